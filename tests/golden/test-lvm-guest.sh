#!/usr/bin/env bash
# A guest whose root is a logical volume: the findings are those of the same
# guest on a partition.  /boot is a partition, /var another volume.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs sfdisk cpio zstd losetup lvm python3 mkswap
[ "$(id -u)" = 0 ] || skip "only root has loop devices"
losetup -f > /dev/null 2>&1 || skip "there are no loop devices"
. "$srcdir/tests/golden/lvm.sh"

mini=$srcdir/tests/images/make-mini.sh
"$mini" tree "$tmp/tree"
"$mini" image "$tmp/tree" "$tmp/plain.img" boot
root=$tmp/tree/root
boot_uuid=$("$XRAYFS" cat "$tmp/plain.img" partitions/1/fs_uuid)

img=$tmp/disk.img
truncate -s 48M "$img"
sfdisk -q --no-reread --no-tell-kernel "$img" << 'END'
label: dos
label-id: 0x6d696e69
1M,2M,83,*
3M,44M,8e
END
dd if="$tmp/plain.img" of="$img" bs=1M skip=1 seek=1 count=2 conv=notrunc status=none
dd if="$tmp/plain.img" of="$img" bs=440 count=1 conv=notrunc status=none
attach "$img"
losetup -d "${devices[0]}" # /boot holds no volumes
devices=("${devices[1]}")
new=(-an -Zn -Wn -y -q -q)
lvm2 pvcreate -q -q "${devices[@]}"
lvm2 vgcreate -q -q -s 1M debian-vg "${devices[@]}"
lvm2 lvcreate "${new[@]}" -n root -L 4M debian-vg
lvm2 lvcreate "${new[@]}" -n var -L 4M debian-vg
lvm2 lvcreate "${new[@]}" -n swap_1 -L 2M debian-vg
lvm2 lvextend -q -q -L 8M debian-vg/root # two segments
report

# As Debian's installer writes it.
mkdir "$tmp/boot"
mv "$root/boot"/* "$tmp/boot"
mv "$root/var" "$tmp/var"
mkdir "$root/var"
cat > "$root/etc/fstab" << END
/dev/mapper/debian--vg-root / ext4 errors=remount-ro 0 1
UUID=$boot_uuid /boot ext4 defaults 0 2
/dev/debian-vg/var /var ext4 defaults 0 2
/dev/mapper/debian--vg-swap_1 none swap sw 0 0
END
sed -i 's|root=UUID=[^ ]*|root=/dev/mapper/debian--vg-root|; s|/boot/|/|' "$tmp/boot/grub/grub.cfg"
mke2fs -q -t ext4 -b 1024 -d "$root" "$tmp/root.fs" 8M
mke2fs -q -t ext4 -b 1024 -d "$tmp/var" "$tmp/var.fs" 4M
mke2fs -q -t ext4 -b 1024 -O ^has_journal,^resize_inode -m 0 -N 64 -U "$boot_uuid" -d "$tmp/boot" "$tmp/boot.fs" 2M
truncate -s 2M "$tmp/swap.fs"
mkswap -q "$tmp/swap.fs" 2> /dev/null
dd if="$tmp/boot.fs" of="$img" bs=1M seek=1 conv=notrunc status=none
for lv in root var; do
  python3 "$srcdir/tests/golden/lvm.py" write "$tmp/report" $lv "$tmp/$lv.fs"
done
python3 "$srcdir/tests/golden/lvm.py" write "$tmp/report" swap_1 "$tmp/swap.fs"

get () { "$XRAYFS" cat "$img" "$1"; }
vg=volumes/debian--vg
assert_equal root "$(get os/root_filesystem)" $vg-root
assert_equal roles "$(for v in partitions/1 partitions/2 $vg-root $vg-swap_1; do get $v/role; done | tr '\n' ' ')" \
  "boot lvm root swap "
for path in os/family os/id os/name os/version os/hostname os/arch os/default_kernel \
  has_virtio cloud_init virtio/blk virtio/net; do
  wanted=$("$XRAYFS" cat "$tmp/plain.img" "$path")
  assert_equal "$path" "$(get "$path")" "$wanted"
  note "$path: $wanted"
done
assert_equal has_virtio "$(get has_virtio)" yes
assert_equal fstab "$(get os/fstab | cut -d ' ' -f 1,2 | tr '\n' ' ')" \
  "$vg-root / partitions/1 /boot $vg-var /var $vg-swap_1 none "
get root/var/lib/dpkg/status | cmp - "$tmp/var/lib/dpkg/status" || fail "/var is not composed in"
"$XRAYFS" ls "$img" root/boot | grep -q vmlinuz || fail "/boot is not composed in"

# The metadata damaged: there is a root somewhere, or not.
python3 - "$img" << 'END'
import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read(8 << 20)
    at = data.find(b" LVM2 x[5A%r0N*>")
    f.seek(at + 200)
    f.write(b"X")
END
for path in os/family has_virtio cloud_init import/tencent-cvm-2019/verdict; do
  assert_equal "damaged: $path" "$(get "$path")" unknown
done
get evidence/os/family | grep -q "partition 2: metadata area at 0x1000: its header is damaged" ||
  fail "damaged: $(get evidence/os/family)"
"$XRAYFS" ls "$img" volumes > "$tmp/log" 2>&1 && fail "damaged: $(cat "$tmp/log")"
grep -q "is damaged" "$tmp/log" || fail "damaged: $(cat "$tmp/log")"
