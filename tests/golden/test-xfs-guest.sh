#!/usr/bin/env bash
# A guest whose root is on XFS: the findings are those of the same guest on
# ext4.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.xfs
. "$srcdir/tests/golden/same-guest.sh"

truncate -s 320M "$tmp/root.img"
mkfs.xfs -q -f -m uuid="$uuid" "$tmp/root.img"
mount -o loop "$tmp/root.img" "$tmp/mnt" 2> /dev/null || skip "no XFS here"
cp -a "$tmp/tree/root/." "$tmp/mnt"
sed -i s/ext4/xfs/ "$tmp/mnt/etc/fstab"
umount "$tmp/mnt"
disk_of "$tmp/xfs.img"
same_guest xfs "$tmp/xfs.img" xfs

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
