#!/bin/bash
# xrayfs: makes a small guest image by hand, without root, in a second
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make-mini.sh tree DIR           DIR/root and DIR/initramfs: the files of a
#                                   Debian-like server that would be imported
#   make-mini.sh image DIR OUT      packs them: an MBR disk with one ext4
#   make-mini.sh image DIR OUT boot the same with /boot on its own partition
#   make-mini.sh OUT                both
#
# Between `tree` and `image` a test changes what it is about. Without
# DIR/initramfs the initrd in DIR/root/boot stays as it is. Programs and
# modules are headers only: nothing here can be started.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C
umask 022

readonly V=6.1.0-1-amd64
readonly UUID=0b1c7f52-3d0e-4c5f-9a61-00000000a11a
readonly BOOT_UUID=0b1c7f52-3d0e-4c5f-9a61-00000000b007
readonly MIB=$((1024 * 1024))

# elf MACHINE CLASS FILE: the first 64 bytes of a program.
elf ()
{
  mkdir -p "${3%/*}"
  # shellcheck disable=SC2059 # the format is made of escapes
  printf "\\177ELF\\00$2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\2\\0\\$1\\0\\1\\0\\0\\0" > "$3"
  head -c 40 /dev/zero >> "$3"
  chmod 755 "$3"
}

# put FILE: the text on stdin.
put () { mkdir -p "${1%/*}"; cat > "$1"; }

# modules DIR NAME...
modules ()
{
  local dir=$1 m
  shift
  for m; do
    echo "module $m" | put "$dir/kernel/drivers/$m.ko"
  done
}

readonly MODULES=(block/virtio_blk net/virtio_net net/failover
  net/net_failover virtio/virtio virtio/virtio_ring virtio/virtio_pci
  virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev
  scsi/virtio_scsi)

dep ()
{
  local d=kernel/drivers v=kernel/drivers/virtio
  cat << END
$d/block/virtio_blk.ko: $v/virtio_ring.ko $v/virtio.ko
$d/net/virtio_net.ko: $d/net/net_failover.ko $d/net/failover.ko $v/virtio_ring.ko $v/virtio.ko
$d/net/net_failover.ko: $d/net/failover.ko
$d/net/failover.ko:
$d/scsi/virtio_scsi.ko: $v/virtio_ring.ko $v/virtio.ko
$v/virtio.ko:
$v/virtio_ring.ko: $v/virtio.ko
$v/virtio_pci.ko: $v/virtio_pci_legacy_dev.ko $v/virtio_pci_modern_dev.ko $v/virtio_ring.ko $v/virtio.ko
$v/virtio_pci_legacy_dev.ko:
$v/virtio_pci_modern_dev.ko: $v/virtio_ring.ko $v/virtio.ko
END
}

make_system ()
{
  local r=$1
  mkdir -p "$r"/usr/{bin,sbin,lib} "$r"/{dev,proc,sys,run,tmp,home,root,opt}
  ln -s usr/bin "$r/bin"
  ln -s usr/sbin "$r/sbin"
  ln -s usr/lib "$r/lib"
  elf 076 2 "$r/usr/lib/systemd/systemd"
  elf 076 2 "$r/usr/bin/dash"
  ln -s dash "$r/usr/bin/sh"
  ln -s /lib/systemd/systemd "$r/usr/sbin/init"
  put "$r/usr/lib/os-release" << 'END'
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
ID=debian
END
  mkdir -p "$r/etc"
  ln -s ../usr/lib/os-release "$r/etc/os-release"
  echo 12.5 | put "$r/etc/debian_version"
  echo mini | put "$r/etc/hostname"
  echo "UUID=$UUID / ext4 errors=remount-ro 0 1" | put "$r/etc/fstab"
  echo 'root:*:19000:0:99999:7:::' | put "$r/etc/shadow"
  chmod 640 "$r/etc/shadow"
}

# An SSH server, started at boot.
make_ssh ()
{
  local r=$1 wants=$1/etc/systemd/system/multi-user.target.wants
  elf 076 2 "$r/usr/sbin/sshd"
  echo '[Unit]' | put "$r/usr/lib/systemd/system/ssh.service"
  mkdir -p "$wants"
  ln -s /lib/systemd/system/ssh.service "$wants/"
}

make_kernel ()
{
  local r=$1 m
  m=$r/usr/lib/modules/$V
  echo kernel | put "$r/boot/vmlinuz-$V"
  put "$r/boot/config-$V" << 'END'
CONFIG_VIRTIO=m
CONFIG_VIRTIO_PCI=m
CONFIG_VIRTIO_BLK=m
CONFIG_VIRTIO_NET=m
CONFIG_SCSI_VIRTIO=m
# CONFIG_VIRTIO_CONSOLE is not set
CONFIG_VIRTIO_BALLOON=m
CONFIG_HW_RANDOM_VIRTIO=y
CONFIG_EXT4_FS=y
END
  modules "$m" "${MODULES[@]}"
  dep | put "$m/modules.dep"
  put "$m/modules.builtin" << 'END'
kernel/fs/ext4/ext4.ko
kernel/drivers/char/hw_random/virtio-rng.ko
END
  put "$r/boot/grub/grub.cfg" << END
if [ -s \$prefix/grubenv ]; then
  load_env
fi
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
menuentry 'Debian GNU/Linux' --class debian \$menuentry_id_option 'gnulinux-simple-$UUID' {
	insmod ext2
	linux	/boot/vmlinuz-$V root=UUID=$UUID ro quiet
	initrd	/boot/initrd.img-$V
}
END
}

make_packages ()
{
  local r=$1
  put "$r/var/lib/dpkg/status" << 'END'
Package: cloud-init
Status: install ok installed
Version: 22.4.2-1
Architecture: all

Package: linux-image-6.1.0-1-amd64
Status: install ok installed
Version: 6.1.4-1
Architecture: amd64

END
  echo "/boot/vmlinuz-$V" | put "$r/var/lib/dpkg/info/linux-image-$V.list"
}

make_cloud_init ()
{
  local r=$1 unit
  echo '#!/usr/bin/python3' | put "$r/usr/bin/cloud-init"
  chmod 755 "$r/usr/bin/cloud-init"
  echo '__VERSION__ = "22.4.2"' |
    put "$r/usr/lib/python3/dist-packages/cloudinit/version.py"
  put "$r/etc/cloud/cloud.cfg" << 'END'
users:
  - default
datasource_list: [ NoCloud, ConfigDrive, None ]
END
  echo 'datasource_list: [ ConfigDrive, None ]' |
    put "$r/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
  mkdir -p "$r/etc/systemd/system/cloud-init.target.wants"
  for unit in cloud-init-local cloud-init cloud-config cloud-final; do
    echo '[Unit]' | put "$r/usr/lib/systemd/system/$unit.service"
    ln -s "/lib/systemd/system/$unit.service" \
      "$r/etc/systemd/system/cloud-init.target.wants/"
  done
  echo '#!/bin/sh' | put "$r/usr/lib/systemd/system-generators/cloud-init-generator"
}

make_initramfs ()
{
  local i=$1 m=$1/usr/lib/modules/$V
  mkdir -p "$i"/usr/{bin,lib} "$i"/{etc,conf}
  ln -s usr/bin "$i/bin"
  ln -s usr/lib "$i/lib"
  echo '#!/bin/sh' | put "$i/init"
  modules "$m" "${MODULES[@]}"
  dep | put "$m/modules.dep"
  echo 'options dummy x=1' | put "$i/etc/modprobe.d/options.conf"
}

make_tree ()
{
  mkdir -p "$1"
  make_system "$1/root"
  make_ssh "$1/root"
  make_kernel "$1/root"
  make_packages "$1/root"
  make_cloud_init "$1/root"
  make_initramfs "$1/initramfs"
}

pack_initramfs ()
{
  (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 \
    --reproducible) | zstd -q -c > "$2"
}

# Files belong to root, whoever runs this.
filesystem ()
{
  local dir=$1 out=$2 size=$3 uuid=$4 owner
  truncate -s "$size" "$out"
  owner=$(cd "$dir" && find . -mindepth 1 | sed 's|^\.||' |
    awk '{ printf "sif \"%s\" uid 0\nsif \"%s\" gid 0\n", $0, $0 }')
  E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -F -t ext4 -b 1024 -I 256 -N 512 \
    -O ^has_journal,^resize_inode -m 0 -U "$uuid" \
    -E "root_owner=0:0,hash_seed=$uuid" -d "$dir" "$out"
  debugfs -w -f - "$out" <<< "$owner" > /dev/null 2>&1
}

# The start of the disk: boot code and the table, then the file systems.
image ()
{
  local dir=$1 out=$2 work
  work=$(mktemp -d "${TMPDIR:-/tmp}/mini.XXXXXX")
  # shellcheck disable=SC2064 # now is when the name is known
  trap "rm -rf '$work'" RETURN
  [ ! -d "$dir/initramfs" ] ||
    pack_initramfs "$dir/initramfs" "$dir/root/boot/initrd.img-$V"
  rm -f "$out"
  truncate -s 8M "$out"
  if [ "${3:-}" = boot ]; then
    cp -a "$dir/root" "$work/root"
    mv "$work/root/boot" "$work/boot"
    mkdir "$work/root/boot"
    echo "UUID=$BOOT_UUID /boot ext4 defaults 0 2" >> "$work/root/etc/fstab"
    sed -i 's|/boot/|/|' "$work/boot/grub/grub.cfg"
    filesystem "$work/boot" "$work/boot.img" 2M "$BOOT_UUID"
    filesystem "$work/root" "$work/root.img" 4M "$UUID"
    sfdisk -q --no-reread --no-tell-kernel "$out" << 'END'
label: dos
label-id: 0x6d696e69
1M,2M,83,*
4M,4M,83
END
    dd if="$work/root.img" of="$out" bs=$MIB seek=4 conv=notrunc,sparse \
      status=none
    dd if="$work/boot.img" of="$out" bs=$MIB seek=1 conv=notrunc,sparse \
      status=none
  else
    filesystem "$dir/root" "$work/root.img" 5M "$UUID"
    sfdisk -q --no-reread --no-tell-kernel "$out" << 'END'
label: dos
label-id: 0x6d696e69
1M,5M,83,*
END
    dd if="$work/root.img" of="$out" bs=$MIB seek=1 conv=notrunc,sparse \
      status=none
  fi
  printf '\353\143\220GRUB \0Geom\0Hard Disk\0Read\0 Error' |
    dd of="$out" conv=notrunc status=none
}

for tool in mke2fs debugfs sfdisk cpio zstd; do
  command -v "$tool" > /dev/null ||
    { echo "make-mini: skipped: $tool is not installed"; exit 77; }
done

case ${1:-} in
tree) make_tree "$2" ;;
image) image "$2" "$3" "${4:-}" ;;
'' | -*) sed -n '5,9s/^# *//p' "$0"; exit 1 ;;
*)
  dir=$(mktemp -d "${TMPDIR:-/tmp}/mini-tree.XXXXXX")
  trap 'rm -rf "$dir"' EXIT
  make_tree "$dir"
  image "$dir" "$1" "${2:-}"
  ;;
esac
