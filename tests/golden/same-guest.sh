# xrayfs: one guest with its root on another filesystem: source it, after
# functions.sh.
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   $tmp/ext4.img, $tmp/tree/root   the guest, and the tree that it is made of
#   $uuid                           for another root, which the tree has now
#   $tmp/mnt                        a place to mount $tmp/root.img, of 320 MiB
#   disk_of IMAGE                   puts $tmp/root.img into a disk
#   same_guest NAME IMAGE TYPE      the findings are those of ext4.img
# shellcheck shell=bash disable=SC2034
requires mke2fs sfdisk cpio zstd losetup mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

mini=$srcdir/tests/images/make-mini.sh
mkdir "$tmp/mnt"
at_exit "umount '$tmp/mnt' 2> /dev/null"
# The tree has its initramfs once the image was made.
"$mini" tree "$tmp/tree"
"$mini" image "$tmp/tree" "$tmp/ext4.img"
# Not that of all such guests: mkfs.btrfs looks into every loop device whether
# somebody has it.
old=$("$XRAYFS" cat "$tmp/ext4.img" partitions/1/fs_uuid)
uuid=$(cat /proc/sys/kernel/random/uuid)
grep -rlIZF "$old" "$tmp/tree/root/etc" "$tmp/tree/root/boot" |
  xargs -0 sed -i "s/$old/$uuid/g"

disk_of ()
{
  truncate -s 322M "$1"
  sfdisk -q --no-reread --no-tell-kernel "$1" << 'END'
label: dos
label-id: 0x6d696e69
1M,320M,83,*
END
  dd if="$tmp/root.img" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
  dd if="$tmp/ext4.img" of="$1" bs=440 count=1 conv=notrunc status=none
}

same_guest ()
{
  local name=$1 img=$2 path wanted
  assert_equal "$name: filesystem" "$("$XRAYFS" cat "$img" partitions/1/filesystem)" "$3"
  assert_equal "$name: state" "$("$XRAYFS" cat "$img" partitions/1/fs_state)" clean
  for path in partitions/1/role os/family os/id os/version os/hostname os/arch \
    os/default_kernel has_virtio cloud_init import/tencent-cvm-2019/verdict \
    import/tencent-cvm-2019/errors; do
    wanted=$("$XRAYFS" cat "$tmp/ext4.img" "$path")
    assert_equal "$name: $path" "$("$XRAYFS" cat "$img" "$path")" "$wanted"
  done
  assert_equal "$name: has_virtio" "$("$XRAYFS" cat "$img" has_virtio)" yes
  note "$name"
}
