#!/bin/bash
# xrayfs: Linux guests that are described in tests/guests/linux.table
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3 cpio gzip xz zstd lz4 bzip2 mke2fs mkfs.xfs mkfs.btrfs btrfs \
  mkfs.vfat mcopy sfdisk db5.3_load
table=$srcdir/tests/guests/linux.table
export PYTHONDONTWRITEBYTECODE=1

python3 "$srcdir/tests/golden/linux_guests.py" list "$table" > "$tmp/guests.md"
cmp -s "$tmp/guests.md" "$srcdir/docs/guests.md" ||
  fail "docs/guests.md is not what linux_guests.py list makes of the table"

every=1
# The sanitizers' turn is the code, not the table.
! grep -qs 'fsanitize' "$builddir/config.status" || every=3
# Many small disks, made one after another: in memory, if there is room.
work=$(mktemp -d /dev/shm/xrayfs-guests.XXXXXX 2> /dev/null) || work=$tmp/guests
at_exit "rm -rf '$work'"
python3 "$srcdir/tests/golden/linux_guests.py" check "$XRAYFS" "$table" \
  "$work" --every "$every" || fail "see above"
