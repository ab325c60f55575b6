#!/usr/bin/env bash
# has_virtio against the truth: a guest of which xrayfs says `yes` reaches its
# userspace from a virtio disk, and one of which it says `no` does not find
# its root.
#
#   run.sh [IMAGE...]          debian.qcow2 and no-virtio.qcow2, and these
#
# The program is $XRAYFS, or xrayfs in $top_builddir.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
srcdir=${srcdir:-$here/../..}
# shellcheck source=tests/functions.sh
. "$here/../functions.sh"
passed=0 failed=0

# tell STATUS LINE
tell() {
  if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  echo "$2"
}

boot() {
  local line status=0
  line=$("$here/boot.sh" "$1" "$2") || status=$?
  if [ $status -eq 77 ]; then
    echo "$line"
    exit 77
  fi
  tell $status "$line"
}

check() {
  local image=$1 answer
  answer=$("$XRAYFS" cat "$image" has_virtio) || answer=nothing
  case $answer in
    yes) boot "$image" userspace ;;
    no) boot "$image" no-root ;;
    *) tell 1 "FAIL ${image##*/}: has_virtio is '$answer'" ;;
  esac
}

main() {
  local made image
  requires "$XRAYFS"
  # A failing assignment ends the script with its status: 77 is handed on.
  made=$("$here/../images/make-debian.sh" debian.qcow2 no-virtio.qcow2)
  while read -r image; do check "$image"; done <<<"$made"
  for image; do check "$image"; done
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ]
}

main "$@"
