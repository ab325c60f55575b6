#!/bin/bash
# xrayfs: test-fault-sweep.c over small guests, each made in a second
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs debugfs sfdisk cpio zstd
PATH="$PATH:/usr/sbin:/sbin"
mini=$srcdir/tests/images/make-mini.sh
sweep=$builddir/tests/unit/test-fault-sweep
v=6.1.0-1-amd64

# guest NAME [LAYOUT]: packs what the lines before have changed in $tmp/tree.
guest () { "$mini" image "$tmp/tree" "$tmp/$1.img" "${2:-}"; }
fresh () { rm -rf "$tmp/tree"; "$mini" tree "$tmp/tree"; root=$tmp/tree/root; }

fresh
guest good
guest separate-boot boot

# The answers are no: nothing that fails may make them yes.
fresh
rm -r "$tmp/tree/initramfs/usr/lib/modules/$v/kernel/drivers/block"
rm -r "$root/usr/lib/python3" "$root/usr/bin/cloud-init"
guest no-virtio-no-cloud-init

# Reasons for a no that a failing read could hide.
fresh
echo 'blacklist virtio_blk' > "$tmp/tree/initramfs/etc/modprobe.d/no.conf"
touch "$root/etc/cloud/cloud-init.disabled"
echo "/dev/sda1 / ext4 defaults 0 1" > "$root/etc/fstab"
echo "/dev/sdb1 /srv ext4 defaults 0 1" >> "$root/etc/fstab"
mkdir -p "$root/var/lib/cloud/instance" "$root/etc/vmware-tools"
touch "$root/etc/vmware-tools/installer"
guest blacklisted-and-disabled

# Older files, everything built in, the default kernel not the newest.
fresh
rm "$root/etc/os-release" "$root/usr/lib/os-release"
printf 'kernel/%s.ko\n' {block/virtio_blk,net/virtio_net} \
  virtio/{virtio,virtio_ring,virtio_pci} \
  >> "$root/usr/lib/modules/$v/modules.builtin"
cp "$root/boot/vmlinuz-$v" "$root/boot/vmlinuz-6.9.0"
sed -i '/initrd/d' "$root/boot/grub/grub.cfg"
ln -sf /dev/null "$root/etc/systemd/system/cloud-init.service"
guest builtin

# No root filesystem: a failure that is certain, until something is unread.
fresh
rm -rf "$root" "$tmp/tree/initramfs"
mkdir -p "$root/photos"
echo picture > "$root/photos/1.jpg"
guest data

# Nothing but the file system; and nothing at all.
dd if="$tmp/good.img" of="$tmp/bare.img" bs=1M skip=1 count=5 status=none
truncate -s 4M "$tmp/empty.img"

# Two systems: what is read of the second is not said of the first.
fresh
echo other > "$root/etc/hostname"
sed -i 's/a11a/2222/' "$root/etc/fstab" "$root/boot/grub/grub.cfg"
guest second
cp "$tmp/good.img" "$tmp/two-systems.img"
truncate -s 14M "$tmp/two-systems.img"
echo 8M,5M,83 |
  sfdisk -q --append --no-reread --no-tell-kernel "$tmp/two-systems.img"
dd if="$tmp/second.img" of="$tmp/two-systems.img" bs=1M skip=1 seek=8 \
  count=5 conv=notrunc status=none
rm "$tmp/second.img"

# The container's own tables.
if command -v qemu-img > /dev/null; then
  qemu-img convert -O qcow2 "$tmp/good.img" "$tmp/qcow2.img"
fi

# The sanitizers' turn is the code, not the answers.
[ -z "${SANITIZED:-}" ] || set -- --only-nth
"$sweep" "$@" "$tmp"/*.img
