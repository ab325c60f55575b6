#!/usr/bin/env bash
# A guest whose root is on XFS: the findings are those of the same guest on
# ext4.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs mkfs.xfs sfdisk cpio zstd losetup mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

mini=$srcdir/tests/images/make-mini.sh
mkdir "$tmp/mnt"
at_exit "umount '$tmp/mnt' 2> /dev/null"
"$mini" tree "$tmp/tree"
"$mini" image "$tmp/tree" "$tmp/ext4.img"
uuid=$("$XRAYFS" cat "$tmp/ext4.img" partitions/1/fs_uuid)

# The tree has its initramfs since the first image was made.
truncate -s 320M "$tmp/root.img"
mkfs.xfs -q -f -m uuid="$uuid" "$tmp/root.img"
mount -o loop "$tmp/root.img" "$tmp/mnt" 2> /dev/null || skip "no XFS here"
cp -a "$tmp/tree/root/." "$tmp/mnt"
sed -i s/ext4/xfs/ "$tmp/mnt/etc/fstab"
umount "$tmp/mnt"
truncate -s 322M "$tmp/xfs.img"
sfdisk -q --no-reread --no-tell-kernel "$tmp/xfs.img" << 'END'
label: dos
label-id: 0x6d696e69
1M,320M,83,*
END
dd if="$tmp/root.img" of="$tmp/xfs.img" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$tmp/ext4.img" of="$tmp/xfs.img" bs=440 count=1 conv=notrunc status=none

assert_equal filesystem "$("$XRAYFS" cat "$tmp/xfs.img" partitions/1/filesystem)" xfs
assert_equal state "$("$XRAYFS" cat "$tmp/xfs.img" partitions/1/fs_state)" clean
for path in partitions/1/role os/family os/id os/version os/hostname os/arch \
  os/default_kernel has_virtio cloud_init import/tencent-cvm-2019/verdict \
  import/tencent-cvm-2019/errors; do
  wanted=$("$XRAYFS" cat "$tmp/ext4.img" "$path")
  assert_equal "$path" "$("$XRAYFS" cat "$tmp/xfs.img" "$path")" "$wanted"
  note "$path: $wanted"
done
assert_equal has_virtio "$("$XRAYFS" cat "$tmp/xfs.img" has_virtio)" yes

# A copy of the disk while it is mounted, as of a running server: what was
# written last is in the log alone, so nothing is certain.
mount -o loop "$tmp/root.img" "$tmp/mnt"
rm "$tmp/mnt/boot"/initrd*
sync -f "$tmp/mnt"
cp --sparse=always "$tmp/root.img" "$tmp/copy.img"
umount "$tmp/mnt"
dd if="$tmp/copy.img" of="$tmp/xfs.img" bs=1M seek=1 conv=notrunc status=none
assert_equal "state of the copy" \
  "$("$XRAYFS" cat "$tmp/xfs.img" partitions/1/fs_state)" needs-recovery
for path in os/family has_virtio cloud_init import/tencent-cvm-2019/verdict; do
  assert_equal "$path of the copy" "$("$XRAYFS" cat "$tmp/xfs.img" "$path")" unknown
done
"$XRAYFS" cat "$tmp/xfs.img" evidence/os/family | grep -q "log was not replayed (needs-recovery)" ||
  fail "no reason: $("$XRAYFS" cat "$tmp/xfs.img" evidence/os/family)"
"$XRAYFS" cat "$tmp/xfs.img" partitions/1/files/etc/fstab > "$tmp/fstab" ||
  fail "its files cannot be read"
