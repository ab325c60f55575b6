#!/usr/bin/env bash
# A guest whose root is on Btrfs, at its top and in its default subvolume as
# openSUSE has it: the findings are those of the same guest on ext4.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.btrfs btrfs
. "$srcdir/tests/golden/same-guest.sh"

# guest NAME SUBVOLUME
guest ()
{
  local name=$1 sub=$2 img=$tmp/$1.img
  rm -f "$tmp/root.img"
  truncate -s 320M "$tmp/root.img"
  mkfs.btrfs -q -U "$uuid" "$tmp/root.img" > "$tmp/log" 2>&1 ||
    fail "mkfs.btrfs: $(tail -n 1 "$tmp/log")"
  mount -o loop,compress=zstd "$tmp/root.img" "$tmp/mnt" 2> /dev/null || skip "no Btrfs here"
  if [ "$sub" ]; then
    btrfs -q subvolume create "$tmp/mnt/@"
    mkdir -p "$tmp/mnt/@/.snapshots/1"
    btrfs -q subvolume create "$tmp/mnt/$sub"
    btrfs -q subvolume set-default "$tmp/mnt/$sub"
  fi
  cp -a "$tmp/tree/root/." "$tmp/mnt/$sub"
  sed -i s/ext4/btrfs/ "$tmp/mnt/$sub/etc/fstab"
  umount "$tmp/mnt"
  disk_of "$img"
  same_guest "$name" "$img" btrfs
  "$XRAYFS" cat "$img" "partitions/1/files/$sub/etc/fstab" > "$tmp/fstab" ||
    fail "$name: its files cannot be read"
}

guest top ''
guest opensuse @/.snapshots/1/snapshot
