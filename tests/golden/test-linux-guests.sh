#!/bin/bash
# xrayfs: Linux guests that are described in tests/guests/linux.table
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3 cpio gzip xz zstd lz4 mke2fs mkfs.xfs mkfs.btrfs mkfs.vfat \
  mcopy sfdisk db5.3_load
every=1
# The sanitizers' turn is the code, not the table.
! grep -qs 'fsanitize' "$builddir/config.status" || every=3
PYTHONDONTWRITEBYTECODE=1 python3 "$srcdir/tests/golden/linux_guests.py" \
  "$XRAYFS" "$srcdir/tests/guests/linux.table" "$tmp" --every "$every" ||
  fail "see above"
