#!/usr/bin/env bash
# Links under root/ lead where they lead in the guest, and never out of it: a chroot into the same tree is the judge.
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs fusermount3 python3
[ "$(id -u)" = 0 ] || skip "only root can make the judge's chroot"
[ -e /dev/fuse ] || skip "there is no /dev/fuse"

links=$srcdir/tests/fuse/root-links.py
python3 "$links" make "$tmp/guest"
mke2fs -q -F -t ext4 -b 1024 -N 4096 -d "$tmp/guest" "$tmp/disk.img" 16M > "$tmp/log" 2>&1
mkdir "$tmp/mnt"
at_exit "umount -q '$tmp/mnt'"
"$XRAYFS" "$tmp/disk.img" "$tmp/mnt" || skip "cannot mount here"

python3 "$links" guest "$tmp/guest" | sort > "$tmp/wanted"
# From the top only: no working directory in the mount.
python3 "$links" mount "$tmp/mnt/root" | grep -v '^/lost+found' | sort > "$tmp/got" || fail "a link leads out"
[ "$(wc -l < "$tmp/wanted")" -gt 1000 ] || fail "too few links"
cmp -s "$tmp/wanted" "$tmp/got" || fail "$(diff "$tmp/wanted" "$tmp/got" | head -20)"
# The same a second time, from what the kernel and the tree have kept.
python3 "$links" mount "$tmp/mnt/root" | grep -v '^/lost+found' | sort | cmp - "$tmp/got"
note "$(wc -l < "$tmp/got") links"
