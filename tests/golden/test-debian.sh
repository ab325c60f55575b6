#!/usr/bin/env bash
# The real Debian images: every expected fact, and the verdict.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires_debian

path_of ()
{
  case $1 in
    os_*) echo "os/${1#os_}" ;;
    root_filesystem | hostname | default_kernel) echo "os/$1" ;;
    verdict | errors) echo "import/default/$1" ;;
    *) echo "$1" ;;
  esac
}

status=0
"$srcdir/tests/images/make-debian.sh" > "$tmp/images" || status=$?
[ $status != 77 ] || skip "the images cannot be built here"
[ $status = 0 ] || fail "the images were not built"

checked=0
for facts in "$cache_dir"/images/*.facts; do
  image=${facts%.facts}.qcow2
  while IFS='=' read -r key want; do
    got=$("$XRAYFS" cat "$image" "$(path_of "$key")" | sort | paste -sd,)
    assert_equal "$(basename "$image"): $key" "$got" "$want"
    checked=$((checked + 1))
  done < "$facts"
done
note "$checked facts of $(wc -l < "$tmp/images") images"
[ "$checked" -gt 50 ] || fail "too few facts"
