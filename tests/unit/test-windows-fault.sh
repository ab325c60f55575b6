#!/bin/bash
# xrayfs: test-fault-sweep.c over Windows guests
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkntfs lowntfs-3g hivexregedit sfdisk python3
if [ "$(id -u)" != 0 ] || [ ! -e /dev/fuse ]; then
  skip "lowntfs-3g needs root and FUSE"
fi
export PYTHONDONTWRITEBYTECODE=1

# guest NAME BASE OVERLAY...
guest ()
{
  local name=$1 base=$2
  shift 2
  python3 "$srcdir/tests/images/make_windows.py" "$tmp/$name.img" \
    "windows-$base" "${@/#/windows-overlays/}"
}
guest good 2012r2 virtio bound-6.2 cloudbase vmware
guest no 2008r2 virtio bound-6.1 start-3 hibernated

# libntfs-3g forgets memory when a read fails while it mounts.
echo leak:libntfs-3g > "$tmp/suppressions"
export LSAN_OPTIONS="suppressions=$tmp/suppressions:print_suppressions=0"
"$builddir/tests/unit/test-fault-sweep" "$@" "$tmp"/*.img
