#!/usr/bin/env bash
# Small guests, each with one thing changed, and what is said of them.
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/guests.sh"

# --- virtio ---------------------------------------------------------------

guest good has_virtio=yes cloud_init=yes $p/verdict=pass $p/warnings= \
  virtio/blk=initramfs virtio/rng=builtin virtio/console=missing \
  os/arch=x86_64 os/default_kernel=$v partitions/1/role=root << 'END'
END

guest built-in has_virtio=yes virtio/blk=builtin virtio/net=builtin << 'END'
rm -r "$i"; sed -i /initrd/d "$r/boot/grub/grub.cfg"
printf 'kernel/%s.ko\n' block/virtio_blk net/virtio-net virtio/virtio \
  virtio/virtio_ring virtio/virtio_pci >> "$m/modules.builtin"
END

guest built-in-by-config has_virtio=yes virtio/blk=builtin << 'END'
rm "$m/modules.builtin"; sed -i s/=m/=y/ "$r/boot/config-$v"
END

guest only-on-root has_virtio=no virtio/blk=module virtio/net=module \
  $p/errors=VirtioNotInstall $p/verdict=fail << 'END'
rm -r "$i"/usr/lib/modules
END

guest net-on-root has_virtio=yes virtio/net=module << 'END'
rm -r "$i"/usr/lib/modules/*/kernel/drivers/net
END

# modules.dep may outlive the file.
guest net-file-gone has_virtio=no virtio/net=missing << 'END'
rm -r "$i"/usr/lib/modules/*/kernel/drivers/net
rm "$m/kernel/drivers/net/virtio_net.ko"
END

# A second partition that the end of the image cuts away: no pass.
after_image ()
{
  truncate -s 20M "$tmp/disk.img"
  echo 8M,10M,83 |
    sfdisk -q --append --no-reread --no-tell-kernel "$tmp/disk.img"
  truncate -s 10M "$tmp/disk.img"
}
guest cut-off $p/verdict=unknown $p/codes/InternalError=unknown \
  has_virtio=yes << 'END'
END
after_image () { :; }

guest net-missing has_virtio=no virtio/net=missing << 'END'
rm -r "$i"/usr/lib/modules/*/kernel/drivers/net
sed -i /virtio_net/d "$m/modules.dep"
END

guest net-blacklisted has_virtio=no virtio/net=missing << 'END'
rm -r "$i"/usr/lib/modules/*/kernel/drivers/net
mkdir -p "$r/etc/modprobe.d"; echo 'blacklist virtio-net' > "$r/etc/modprobe.d/a.conf"
END

guest blacklisted has_virtio=no virtio/pci=module << 'END'
echo 'install virtio_pci /bin/true' > "$i/etc/modprobe.d/no.conf"
END

guest blacklist-is-a-comment has_virtio=yes << 'END'
echo '# blacklist virtio_blk' > "$i/etc/modprobe.d/no.conf"
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/no.conf.dpkg-old"
END

guest blacklisted-on-cmdline has_virtio=no << 'END'
sed -i 's/ro quiet/ro modprobe.blacklist=floppy,virtio_blk/' "$r/boot/grub/grub.cfg"
END

guest initramfs-in-the-kernel has_virtio=unknown << 'END'
rm "$i"/usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko
echo 'CONFIG_INITRAMFS_SOURCE="/usr/src/initramfs"' >> "$r/boot/config-$v"
END

guest no-initramfs-in-the-kernel has_virtio=no << 'END'
rm "$i"/usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko
echo 'CONFIG_INITRAMFS_SOURCE=""' >> "$r/boot/config-$v"
END

# depmod leaves out of the initramfs's list what it does not find there.
guest dependency-left-out has_virtio=no << 'END'
rm "$i"/usr/lib/modules/*/kernel/drivers/virtio/virtio_pci_modern_dev.ko
sed 's|[^ ]*virtio_pci_modern_dev.ko||' "$m/modules.dep" > "$i/usr/lib/modules/$v/modules.dep"
END

guest not-in-the-initramfs-list has_virtio=unknown virtio/blk=unknown virtio/pci=initramfs << 'END'
sed '/virtio_blk.ko:/d' "$m/modules.dep" > "$i/usr/lib/modules/$v/modules.dep"
END

guest dependency-missing has_virtio=no << 'END'
rm "$i"/usr/lib/modules/*/kernel/drivers/virtio/virtio_pci_modern_dev.ko
END

guest dashes has_virtio=yes virtio/blk=initramfs << 'END'
cd "$i/usr/lib/modules/$v/kernel/drivers/block"
xz --check=crc32 virtio_blk.ko; mv virtio_blk.ko.xz virtio-blk.ko.xz
cd "$tmp"
END

guest modules-of-another-kernel has_virtio=no << 'END'
mv "$i/usr/lib/modules/$v" "$i/usr/lib/modules/6.0.0"
END

guest no-initrd-line has_virtio=no virtio/blk=module << 'END'
sed -i /initrd/d "$r/boot/grub/grub.cfg"
END

guest initrd-line-names-a-missing-file has_virtio=no << 'END'
sed -i 's|/boot/initrd.*|/boot/initrd-gone|' "$r/boot/grub/grub.cfg"
END

guest two-initrds has_virtio=yes << 'END'
(cd "$i" && find usr | cpio -o -H newc --quiet) > "$r/boot/extra.img"
rm -r "$i/usr/lib/modules"
sed -i 's|initrd.|&/boot/extra.img |' "$r/boot/grub/grub.cfg"
END

guest initrd-by-variable has_virtio=unknown << 'END'
sed -i 's|/boot/initrd.*|/boot/$img|' "$r/boot/grub/grub.cfg"
END

guest initramfs-is-garbage has_virtio=unknown $p/codes/VirtioNotInstall=unknown \
  $p/verdict=unknown << 'END'
rm -r "$i"; head -c 5000 /dev/zero | tr '\0' x > "$r/boot/initrd.img-$v"
END

guest initramfs-cut-off has_virtio=unknown << 'END'
(cd "$i" && find . | cpio -o -H newc --quiet | zstd -q) | head -c 400 \
  > "$r/boot/initrd.img-$v"
rm -r "$i"
END

guest config-missing has_virtio=yes os/kernels/$v/config= << 'END'
rm "$r/boot/config-$v"
END

guest builtin-list-missing has_virtio=yes virtio/rng=builtin << 'END'
rm "$m/modules.builtin"
END

guest both-missing has_virtio=yes virtio/rng=unknown << 'END'
rm "$m/modules.builtin" "$r/boot/config-$v"
END

guest both-missing-nothing-in-initramfs has_virtio=unknown << 'END'
rm "$m/modules.builtin" "$r/boot/config-$v"; rm -r "$i/usr/lib/modules"
END

guest no-kernel has_virtio=unknown os/default_kernel=unknown << 'END'
rm "$r"/boot/vmlinuz* ; rm "$r/boot/grub/grub.cfg"
END

# --- the default kernel -----------------------------------------------------

guest older-kernel-is-default os/default_kernel=$v has_virtio=yes \
  os/kernels/6.9.0/virtio_blk=unknown << 'END'
echo new > "$r/boot/vmlinuz-6.9.0"
sed 's/6.1.0-1-amd64/6.9.0/' "$r/boot/grub/grub.cfg" | sed -n '/^menuentry/,$p' \
  >> "$r/boot/grub/grub.cfg"
END

guest saved-entry os/default_kernel=6.9.0 has_virtio=unknown << 'END'
echo new > "$r/boot/vmlinuz-6.9.0"
sed -n '/^menuentry/,$p' "$r/boot/grub/grub.cfg" | sed 's/6.1.0-1-amd64/6.9.0/; s/simple/new/' > "$tmp/new"
cat "$tmp/new" >> "$r/boot/grub/grub.cfg"
sed -i 's/default="0"/default="${saved_entry}"/' "$r/boot/grub/grub.cfg"
echo saved_entry=gnulinux-new-0b1c7f52-3d0e-4c5f-9a61-00000000a11a > "$r/boot/grub/grubenv"
END

guest two-kernels-no-entry os/default_kernel=unknown has_virtio=unknown \
  os/cmdline=unknown << 'END'
echo new > "$r/boot/vmlinuz-6.9.0"; echo 'insmod ext2' > "$r/boot/grub/grub.cfg"
END

guest loader-that-is-not-read has_virtio=unknown os/cmdline=unknown \
  os/bootloader=extlinux cloud_init=unknown $p/codes/CloudInitNotInstalled=ok << 'END'
rm -r "$r/boot/grub"; mkdir "$r/boot/extlinux"
echo "DEFAULT linux" > "$r/boot/extlinux/extlinux.conf"
END

# --- cloud-init --------------------------------------------------------------

guest removed-and-cfg-left cloud_init=no cloud_init_info/installed=no \
  $p/errors=CloudInitNotInstalled << 'END'
rm -r "$r/usr/bin/cloud-init" "$r/usr/lib/python3"
END

guest from-pip cloud_init=yes cloud_init_info/installed_as=source \
  cloud_init_info/version=22.4.2 << 'END'
mkdir -p "$r/usr/local/bin" "$r/usr/local/lib/python3.11/site-packages"
mv "$r/usr/bin/cloud-init" "$r/usr/local/bin"
mv "$r/usr/lib/python3/dist-packages/cloudinit" "$r/usr/local/lib/python3.11/site-packages"
sed -i 's/^Package: cloud-init/&-utils/' "$r/var/lib/dpkg/status"
END

guest disabled-by-file cloud_init=no cloud_init_info/installed=yes \
  $p/codes/CloudInitNotInstalled=ok $p/warnings=~cloud-init << 'END'
touch "$r/etc/cloud/cloud-init.disabled"
END

guest disabled-on-cmdline cloud_init=no << 'END'
sed -i 's/quiet/cloud-init=disabled quiet/' "$r/boot/grub/grub.cfg"
END

guest not-disabled-on-cmdline cloud_init=yes << 'END'
sed -i 's/quiet/xcloud-init=disabled cloud-init=disabledx/' "$r/boot/grub/grub.cfg"
END

guest masked cloud_init=no cloud_init_info/enabled=no << 'END'
ln -s /dev/null "$r/etc/systemd/system/cloud-init.service"
END

# `systemctl disable` leaves the generator, which alone starts nothing.
guest generator-alone cloud_init=unknown cloud_init_info/enabled=unknown << 'END'
rm -r "$r/etc/systemd/system/cloud-init.target.wants"
END

guest masked-generator cloud_init=no << 'END'
mkdir -p "$r/etc/systemd/system-generators"
ln -s /dev/null "$r/etc/systemd/system-generators/cloud-init-generator"
END

# initramfs-tools loads what conf/modules names, and asks no blacklist for it.
guest blacklisted-and-forced has_virtio=unknown << 'END'
mkdir -p "$i/etc/modprobe.d" "$i/conf"; echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/x.conf"; echo virtio_blk > "$i/conf/modules"
END
guest disabled-by-ds-identify cloud_init=no << 'END'
mkdir -p "$r/usr/lib/cloud-init"; echo '#!/bin/sh' > "$r/usr/lib/cloud-init/ds-identify"
chmod 755 "$r/usr/lib/cloud-init/ds-identify"
echo 'policy: disabled' > "$r/etc/cloud/ds-identify.cfg"
END

guest nothing-starts-it cloud_init=no << 'END'
rm -r "$r/usr/lib/systemd/system-generators" "$r/etc/systemd/system"
END

guest half-there cloud_init=unknown cloud_init_info/version=unknown \
  $p/codes/CloudInitNotInstalled=unknown << 'END'
rm "$r/usr/bin/cloud-init"
END

guest no-config-drive cloud_init=yes $p/verdict=pass $p/warnings=~ConfigDrive << 'END'
echo 'datasource_list: [ Ec2, None ]' > "$r/etc/cloud/cloud.cfg.d/99.cfg"
END

# cloud-init leaves the file out.
guest broken-yaml cloud_init=yes "cloud_init_info/datasources=ConfigDrive
None" << 'END'
echo 'a: [ b' > "$r/etc/cloud/cloud.cfg.d/99.cfg"
END

# --- warnings ---------------------------------------------------------------

guest fstab-by-device $p/verdict=pass $p/warnings=~/dev/vda << 'END'
echo '/dev/sda1 / ext4 defaults 0 1' > "$r/etc/fstab"
END

guest fstab-other-disk $p/verdict=pass "$p/warnings=~not in the image" << 'END'
echo 'UUID=00000000-0000-0000-0000-00000000dddd /srv ext4 defaults 0 2' >> "$r/etc/fstab"
END

guest fstab-other-disk-nofail $p/warnings= << 'END'
echo 'UUID=00000000-0000-0000-0000-00000000dddd /srv ext4 nofail 0 2' >> "$r/etc/fstab"
END

guest usr-elsewhere cloud_init=unknown $p/codes/CloudInitNotInstalled=unknown << 'END'
echo '/dev/mapper/vg-usr /usr ext4 defaults 0 2' >> "$r/etc/fstab"
END

guest boot-elsewhere has_virtio=unknown os/default_kernel=unknown << 'END'
echo '/dev/mapper/vg-boot /boot ext4 defaults 0 2' >> "$r/etc/fstab"
END

guest vmware-tools "os/conflicts=VMware Tools" $p/verdict=pass \
  "$p/warnings=~VMware Tools" << 'END'
touch "$r/usr/bin/vmtoolsd"
END

guest shadow $p/warnings=~/etc/shadow << 'END'
chmod 644 "$r/etc/shadow"
END

guest has-run "$p/warnings=~has run before" << 'END'
mkdir -p "$r/var/lib/cloud"; ln -s instances/i-1 "$r/var/lib/cloud/instance"
END

# --- which system -------------------------------------------------------------

guest lsb-release os/id=ubuntu os/version=10.04 "os/name=Ubuntu 10.04 LTS" << 'END'
rm "$r/etc/os-release" "$r/usr/lib/os-release"
printf 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_DESCRIPTION="Ubuntu 10.04 LTS"\n' > "$r/etc/lsb-release"
END

guest redhat-release os/id=centos os/version=6.10 << 'END'
rm "$r/etc/os-release" "$r/usr/lib/os-release" "$r/etc/debian_version"
echo 'CentOS release 6.10 (Final)' > "$r/etc/redhat-release"
END

guest debian-version os/id=debian os/version=12.5 << 'END'
rm "$r/etc/os-release" "$r/usr/lib/os-release"
END

guest no-release-file os/id=unknown has_virtio=yes $p/verdict=pass << 'END'
rm "$r/etc/os-release" "$r/usr/lib/os-release" "$r/etc/debian_version"
END

guest i386 os/arch=i386 << 'END'
printf '\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0\1\0\0\0' > "$r/usr/lib/systemd/systemd"
END

guest aarch64 os/arch=aarch64 << 'END'
printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0' > "$r/usr/lib/systemd/systemd"
END

guest script-as-init os/arch=x86_64 << 'END'
rm "$r/usr/sbin/init"; echo '#!/bin/sh' > "$r/usr/sbin/init"
END

guest boot-partition has_virtio=yes os/root_filesystem=partitions/2 \
  partitions/1/role=boot $p/verdict=pass << 'END'
layout=boot
END

# --- no root, and what cannot be read -------------------------------------------

guest data-disk os/family=none has_virtio=unknown cloud_init=unknown \
  $p/errors=RootPartitionNotFound $p/codes/VirtioNotInstall=n/a << 'END'
rm -rf "$r" "$i"; mkdir -p "$r/photos"
END

# Only a boot partition and SUPERBLOCK, which this version does not read: the
# root may lie in there.
beside ()
{
  after_image ()
  {
    eval "$make"
    truncate -s 400M "$tmp/disk.img"
    echo 8M,391M,83 | sfdisk -q --append --no-reread --no-tell-kernel \
      "$tmp/disk.img"
    dd if="$tmp/other" of="$tmp/disk.img" bs=1M seek=8 conv=notrunc,sparse \
      status=none
  }
  make=$2
  guest "beside-$1" "partitions/2/filesystem=$3" os/family=unknown \
    has_virtio=unknown cloud_init=unknown $p/verdict=unknown \
    $p/codes/RootPartitionNotFound=unknown $p/errors= \
    $p/codes/VirtioNotInstall=unknown $p/codes/CloudInitNotInstalled=unknown \
    << 'END'
rm -rf "$i"; mv "$r/boot" "$tmp/tree/boot"; rm -rf "$r"; mv "$tmp/tree/boot" "$r"
END
  # shellcheck disable=SC2317
  after_image () { :; }
}
# What `beside` is given is expanded when it is run.
# shellcheck disable=SC2016
{
if command -v python3 > /dev/null; then
  beside lvm 'python3 - "$tmp/other" << "END"
import struct, sys, zlib
body = struct.pack("<I8s32s", 32, b"LVM2 001", b"abcdefghijklmnopqrstuvwxyz012345")
body = body.ljust(512 - 20, b"\0")
crc = zlib.crc32(body, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff
label = struct.pack("<8sQI", b"LABELONE", 1, crc) + body
open(sys.argv[1], "wb").write(bytes(512) + label + bytes(4096))
END
' LVM2_member
fi
# XFS with a feature of the future.
if command -v mkfs.xfs > /dev/null && command -v python3 > /dev/null; then
  beside xfs 'rm -f "$tmp/other"; truncate -s 391M "$tmp/other"
    mkfs.xfs -q "$tmp/other"
    python3 "$srcdir/tests/golden/xfs_image.py" incompat "$tmp/other" 0x8000' xfs
fi
# NTFS without its $UpCase.
if command -v mkfs.ntfs > /dev/null; then
  beside ntfs 'rm -f "$tmp/other"; truncate -s 391M "$tmp/other"
    mkfs.ntfs -q -F -Q -c 4096 "$tmp/other" > /dev/null 2>&1
    printf "\0\0\0\0" | dd of="$tmp/other" bs=1 seek=$((4 * 4096 + 10 * 1024)) \
      conv=notrunc status=none' ntfs
fi
}

exit "$failed"
