#!/usr/bin/env bash
# A guest whose root is on Btrfs, at its top and in its default subvolume as
# openSUSE has it: the findings are those of the same guest on ext4.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs mkfs.btrfs btrfs sfdisk cpio zstd losetup mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

mini=$srcdir/tests/images/make-mini.sh
mkdir "$tmp/mnt"
at_exit "umount '$tmp/mnt' 2> /dev/null"
"$mini" tree "$tmp/tree"
"$mini" image "$tmp/tree" "$tmp/ext4.img"
uuid=$("$XRAYFS" cat "$tmp/ext4.img" partitions/1/fs_uuid)

# guest NAME SUBVOLUME: the tree has its initramfs since the first image was
# made.
guest ()
{
  local name=$1 sub=$2 img=$tmp/$1.img path wanted
  rm -f "$tmp/root.img"
  truncate -s 320M "$tmp/root.img"
  mkfs.btrfs -q -U "$uuid" "$tmp/root.img" > /dev/null 2>&1 || fail "mkfs.btrfs"
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
  truncate -s 322M "$img"
  sfdisk -q --no-reread --no-tell-kernel "$img" << 'END'
label: dos
label-id: 0x6d696e69
1M,320M,83,*
END
  dd if="$tmp/root.img" of="$img" bs=1M seek=1 conv=notrunc,sparse status=none
  dd if="$tmp/ext4.img" of="$img" bs=440 count=1 conv=notrunc status=none

  assert_equal filesystem "$("$XRAYFS" cat "$img" partitions/1/filesystem)" btrfs
  assert_equal state "$("$XRAYFS" cat "$img" partitions/1/fs_state)" clean
  for path in partitions/1/role os/family os/id os/version os/hostname os/arch \
    os/default_kernel has_virtio cloud_init import/tencent-cvm-2019/verdict \
    import/tencent-cvm-2019/errors; do
    wanted=$("$XRAYFS" cat "$tmp/ext4.img" "$path")
    assert_equal "$name: $path" "$("$XRAYFS" cat "$img" "$path")" "$wanted"
  done
  assert_equal "$name: has_virtio" "$("$XRAYFS" cat "$img" has_virtio)" yes
  "$XRAYFS" cat "$img" "partitions/1/files/$sub/etc/fstab" > "$tmp/fstab" ||
    fail "$name: its files cannot be read"
  note "$name"
}

guest top ''
guest opensuse @/.snapshots/1/snapshot
