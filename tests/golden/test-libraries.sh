#!/usr/bin/env bash
# Libraries that are loaded when they are first needed: what needs one that
# cannot be loaded is unknown and names it, and the rest is as ever.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.btrfs
. "$srcdir/tests/golden/guests.sh"

mkdir "$tmp/lib"
for l in libarchive.so.13 libgcrypt.so.20 libsqlite3.so.0 libwim.so.15; do
  : > "$tmp/lib/$l"
done
without () { LD_LIBRARY_PATH=$tmp/lib "$real" "$@"; }
real=$XRAYFS XRAYFS=without

guest libarchive has_virtio=unknown evidence/has_virtio='~libarchive.so.13: ' \
  format=raw os/arch=x86_64 < /dev/null

rm "$tmp/disk.img"
truncate -s 110M "$tmp/disk.img"
mkfs.btrfs -q --csum sha256 "$tmp/disk.img" > "$tmp/log" 2>&1 ||
  fail "mkfs.btrfs: $(cat "$tmp/log")"
expect libgcrypt os/name=unknown
expect libgcrypt evidence/os/name='~libgcrypt.so.20: '

[ $failed = 0 ]
