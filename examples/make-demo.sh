#!/usr/bin/env bash
# Makes a small demo image (raw, 24 MiB, sparse) without root: an MBR disk with a Debian-like system on ext4 whose
# initramfs lacks virtio_blk, so that an import would fail with VirtioNotInstall.
# Usage: examples/make-demo.sh OUTPUT
# Needs: mke2fs, sfdisk, cpio, zstd
set -euo pipefail
out=${1:?usage: make-demo.sh OUTPUT}
PATH=$PATH:/usr/sbin:/sbin
version=6.1.0-18-amd64
uuid=6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# put PATH: standard input becomes that file of the guest
put () { mkdir -p "$root$(dirname "$1")"; cat > "$root$1"; }

# A program that does nothing but say for which machine it is: an ELF header.
elf_x86_64 () { printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0'; head -c 44 /dev/zero; }

make_initramfs ()
{
  local tree=$work/initramfs m
  for m in drivers/ata/ahci drivers/scsi/sd_mod fs/ext4/ext4; do
    mkdir -p "$tree/usr/lib/modules/$version/kernel/$(dirname "$m")"
    echo module > "$tree/usr/lib/modules/$version/kernel/$m.ko"
  done
  (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc) | zstd -q
}

make_system ()
{
  local dir=/lib/modules/$version
  mkdir -p "$root"/{etc,usr/bin,usr/lib,boot/grub,var/lib/dpkg/info,tmp,home,proc,sys,dev}
  ln -s usr/bin "$root/bin"
  ln -s usr/lib "$root/lib"
  mkdir -p "$root/usr/sbin" && ln -s usr/sbin "$root/sbin"
  elf_x86_64 | put /usr/bin/sh
  mkdir -p "$root/usr/lib/systemd" && cp "$root/usr/bin/sh" "$root/usr/lib/systemd/systemd"
  ln -s ../lib/systemd/systemd "$root/usr/sbin/init"
  printf '%s\n' 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"' 'ID=debian' 'VERSION_ID="12"' |
    put /usr/lib/os-release
  ln -s ../usr/lib/os-release "$root/etc/os-release"
  echo demo | put /etc/hostname
  echo "UUID=$uuid / ext4 errors=remount-ro 0 1" | put /etc/fstab
  printf 'root:*:19000:0:99999:7:::\n' | put /etc/shadow
  chmod 600 "$root/etc/shadow"

  echo kernel | put /boot/vmlinuz-$version
  printf 'CONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_NET=m\nCONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO=m\n' |
    put /boot/config-$version
  make_initramfs | put /boot/initrd.img-$version
  printf '%s\n' 'set default="0"' "menuentry 'Debian GNU/Linux' --class debian {" \
    "  linux /boot/vmlinuz-$version root=UUID=$uuid ro quiet" \
    "  initrd /boot/initrd.img-$version" '}' | put /boot/grub/grub.cfg

  local m
  for m in virtio/virtio virtio/virtio_ring virtio/virtio_pci block/virtio_blk net/virtio_net; do
    echo module | put "/usr$dir/kernel/drivers/$m.ko"
  done
  echo kernel/fs/binfmt_elf.ko | put /usr$dir/modules.builtin
  printf '%s\n' 'kernel/drivers/virtio/virtio.ko:' \
    'kernel/drivers/virtio/virtio_ring.ko:' \
    'kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko' \
    'kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko' \
    'kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko' |
    put /usr$dir/modules.dep

  printf 'Package: linux-image-%s\nStatus: install ok installed\n\nPackage: cloud-init\nStatus: install ok installed\n' \
    "$version" | put /var/lib/dpkg/status
  echo "/boot/vmlinuz-$version" | put /var/lib/dpkg/info/linux-image-$version.list
  echo '#!/usr/bin/python3' | put /usr/bin/cloud-init
  echo '__VERSION__ = "22.4.2"' | put /usr/lib/python3/dist-packages/cloudinit/version.py
  echo 'datasource_list: [ ConfigDrive, None ]' | put /etc/cloud/cloud.cfg
  echo '[Unit]' | put /usr/lib/systemd/system/cloud-init.service
  mkdir -p "$root/etc/systemd/system/cloud-init.target.wants"
  ln -s /usr/lib/systemd/system/cloud-init.service "$root/etc/systemd/system/cloud-init.target.wants/"
  echo '#!/bin/sh' | put /usr/lib/systemd/system-generators/cloud-init-generator
  printf 'auto eth0\niface eth0 inet dhcp\n' | put /etc/network/interfaces

  cp "$root/usr/bin/sh" "$root/usr/sbin/sshd"
  echo '[Unit]' | put /usr/lib/systemd/system/ssh.service
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -s /usr/lib/systemd/system/ssh.service "$root/etc/systemd/system/multi-user.target.wants/"
}

make_disk ()
{
  local fs=$work/fs.img img=$work/disk.img
  truncate -s 23M "$fs"
  mke2fs -q -t ext4 -U "$uuid" -E root_owner=0:0,lazy_itable_init=0,hash_seed=$uuid -d "$root" "$fs"
  truncate -s 24M "$img"
  printf 'label: dos\nlabel-id: 0x78726179\nstart=2048, type=83, bootable\n' | sfdisk -q "$img"
  # Something to start: "GRUB" is what a BIOS would find first.
  printf '\353\143\220GRUB demo' | dd of="$img" conv=notrunc status=none
  dd if="$fs" of="$img" bs=1M seek=1 conv=notrunc,sparse status=none
  mv "$img" "$out"
}

make_system
make_disk
