#!/bin/bash
# xrayfs: Windows guests that are described in tests/guests, on NTFS
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkntfs lowntfs-3g hivexregedit sfdisk python3 mkfs.fat mcopy
if [ "$(id -u)" != 0 ] || [ ! -e /dev/fuse ]; then
  skip "lowntfs-3g needs root and FUSE"
fi
export PYTHONDONTWRITEBYTECODE=1
python3 "$srcdir/tests/golden/windows.py" "$XRAYFS" \
  "$srcdir/tests/guests/windows.table" "$tmp" || fail "see above"
