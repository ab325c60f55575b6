#!/usr/bin/env bash
# The commands that do not mount: what they print, and their exit statuses.
. "${srcdir:-.}/tests/functions.sh"

image=$tmp/disk.img
truncate -s 64M "$image"
printf x | dd of="$image" bs=1M seek=40 conv=notrunc status=none

expect ()
{
  local want=$1 got=0
  shift
  "$XRAYFS" "$@" > "$tmp/out" 2> "$tmp/err" || got=$?
  assert_equal "status of $*" "$got" "$want"
  [ "$(wc -l < "$tmp/err")" -le 1 ] || fail "$*: $(cat "$tmp/err")"
}
has () { grep -q -- "$1" "$tmp/out" || fail "no '$1' in: $(cat "$tmp/out")"; }
said () { grep -q -- "$1" "$tmp/err" || fail "no '$1' in: $(cat "$tmp/err")"; }

note ls
expect 0 ls "$image"
has '^format$'
sort -c "$tmp/out" || fail "not sorted"
expect 0 ls "$image" import/
has '^default$'
expect 0 ls -l "$image"
has '^dr-xr-xr-x .* image$'
has '^-r--r--r-- .* 67108864 [-0-9]*T[:0-9]*Z disk$'
expect 0 ls -l "$image" import
has '^lrwxrwxrwx .* default -> '
expect 0 ls -R "$image"
has '^\.:$'
has '^\./image:$'
expect 0 ls "$image" format
has '^format$'
expect 1 ls "$image" nothing; said nothing
expect 3 ls
expect 3 ls -x "$image"
expect 3 ls "$tmp/nothing"; said "xrayfs: $tmp/nothing: "
expect 3 ls "$tmp"

note cat
expect 0 cat "$image" format virtual_size
assert_equal "two findings" "$(tr '\n' ' ' < "$tmp/out")" "raw 67108864 "
expect 0 cat "$image" disk
cmp "$image" "$tmp/out"
expect 0 cat "$image" import/default/verdict
expect 1 cat "$image" nothing format; said nothing; has raw
expect 1 cat "$image" image; said directory
expect 3 cat "$image"
expect 3 cat "$tmp/nothing" format
set +o pipefail
"$XRAYFS" cat "$image" disk 2> "$tmp/err" | head -c 1 > /dev/null
assert_equal "a reader that leaves" "$(cat "$tmp/err")" ""

note export
expect 0 export "$image" "$tmp/all"
assert_equal format "$(cat "$tmp/all/format")" raw
[ ! -e "$tmp/all/disk" ] || fail "raw data exported"
[ -L "$tmp/all/import/default" ] || fail "no link"
[ -s "$tmp/all/import/default/verdict" ] || fail "no verdict"
expect 3 export "$image" "$tmp/all"; said "not empty"
expect 3 export "$image"
mkdir "$tmp/empty-dir"
expect 0 export "$image" "$tmp/empty-dir"

note report
expect 0 report "$image"
cmp "$tmp/out" <("$XRAYFS" cat "$image" report.txt)
expect 0 report --format json "$image"
if command -v python3 > /dev/null; then
  python3 -m json.tool < "$tmp/out" > /dev/null || fail "not JSON"
fi
expect 3 report --format html "$image"; said "not available"
expect 3 report --format nonsense "$image"
expect 3 report

note check
status_of () { case $1 in pass) echo 0 ;; fail) echo 1 ;; *) echo 2 ;; esac; }
verdict=$("$XRAYFS" cat "$image" import/default/verdict)
status=$(status_of "$verdict")
expect "$status" check "$image"
has "^$image: $verdict (tencent-cvm-2019)\$"
expect "$status" check --json "$image"
has "\"verdict\": *\"$verdict\""
expect "$status" check --policy tencent-cvm "$image"
expect 3 check --policy nonsense "$image"; said tencent-cvm
expect 3 check
expect 3 check "$tmp/nothing"
printf 'QFI\373\0\0\0\3' > "$tmp/short.qcow2"
expect 1 check "$tmp/short.qcow2"
has "short.qcow2: fail"
expect 1 check --json "$tmp/short.qcow2"
has '"verdict": *"fail"'
expect 3 check "$image" "$tmp/short.qcow2" "$tmp/nothing"
expect 1 check "$tmp/short.qcow2" "$image"

note policies
expect 0 policies
has '^tencent-cvm-2019	built in$'
expect 3 policies more

note "operands"
expect 0 ls -- "$image"
cp "$image" "$tmp/ls"
(cd "$tmp" && assert_equal "a file called ls" "$("$XRAYFS" cat ./ls format)" raw)
