#!/usr/bin/env bash
# Guests with one obstacle each, what is said of it, and the commands that
# take it away, for each distribution.
# The functions are for the commands on stdin.
# shellcheck disable=SC2317,SC2154,SC2016,SC2034
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/guests.sh"

o=os/obstacles
cmdline () { sed -i "s|quiet|$1|" "$r/boot/grub/grub.cfg"; }
# system ID VERSION FORMAT: another distribution, as far as is asked.
system ()
{
  printf 'ID=%s\nVERSION_ID="%s"\nNAME=x\n' "$1" "$2" > "$r/usr/lib/os-release"
  rm -rf "$r/var/lib/dpkg" "$r/etc/debian_version"
  case $3 in
  rpm) mkdir -p "$r/var/lib/rpm"; touch "$r/var/lib/rpm/Packages" ;;
  apk) mkdir -p "$r/lib/apk/db"; touch "$r/lib/apk/db/installed" ;;
  pacman) mkdir -p "$r/var/lib/pacman/local" ;;
  deb) mkdir -p "$r/var/lib/dpkg"; touch "$r/var/lib/dpkg/status" ;;
  esac
}
no_virtio () { rm -r "$i"/usr/lib/modules; }
no_cloud_init () { rm -r "$r/usr/bin/cloud-init" "$r/usr/lib/python3"; }

guest good $p/warnings= $p/remedy= $o/no_grub_core=unknown $o/no_ssh=no \
  $o/root_full=no $o/selinux_relabel=no $o/no_boot_code=no \
  $o/no_active_partition=no $o/console=no $o/disk_ids=no << 'END'
END

# --- the guest's files ------------------------------------------------------

guest by-device $o/device_names=yes $o/disk_ids=no \
  "$p/remedy=sed -i 's|^/dev/sda1[[:space:]]|UUID=0b1c7f52-3d0e-4c5f-9a61-00000000a11a |' /etc/fstab" << 'END'
echo '/dev/sda1 / ext4 defaults 0 1' > "$r/etc/fstab"
END
guest by-path $o/device_names=no $o/disk_ids=yes "$p/warnings=~by-path" << 'END'
echo '/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1 / ext4 defaults 0 1' > "$r/etc/fstab"
END
# Names made of what is on the disk stay.
guest by-dm-name $o/disk_ids=no << 'END'
echo '/dev/disk/by-id/dm-name-vg-data /data ext4 nofail 0 2' >> "$r/etc/fstab"
END
guest root-by-device $o/device_names=yes "$p/remedy=~update-grub" << 'END'
sed -i 's|root=[^ ]*|root=/dev/sda1|' "$r/boot/grub/grub.cfg"
END
guest other-disk $o/other_disks=yes "$p/remedy=sed -i 's|^/dev/sdb1[[:space:]]|#&|' /etc/fstab" << 'END'
echo '/dev/sdb1 /data ext4 defaults 0 2' >> "$r/etc/fstab"
END
# No line that a guest wrote is handed on.
guest not-literal $o/other_disks=yes $p/remedy= << 'END'
echo "UUID=x'\$(reboot)' /data ext4 defaults 0 2" >> "$r/etc/fstab"
END
guest ssh-off $o/no_ssh=yes "$p/warnings=~nothing starts it" "$p/remedy=~systemctl enable ssh.service" << 'END'
rm "$r"/etc/systemd/system/multi-user.target.wants/ssh.service
END
guest ssh-masked $o/no_ssh=yes << 'END'
ln -s /dev/null "$r/etc/systemd/system/ssh.service"
END
guest ssh-by-socket $o/no_ssh=no << 'END'
cd "$r/etc/systemd/system"; rm multi-user.target.wants/ssh.service; mkdir sockets.target.wants
echo '[Unit]' > "$r/usr/lib/systemd/system/ssh.socket"; ln -s x sockets.target.wants/ssh.socket; cd "$tmp"
END
guest no-ssh-server $o/no_ssh=yes "$p/warnings=~no SSH server is installed" << 'END'
rm "$r/usr/sbin/sshd"
END
guest inodes $o/root_full=yes "$p/warnings=~inodes are free" "$p/remedy=~apt-get clean" << 'END'
mkdir "$r/many"; touch "$r"/many/{1..393}
END
guest full $o/root_full=yes "$p/warnings=~bytes are free" << 'END'
head -c $((4 * 1024 * 1024 + 650 * 1024)) /dev/urandom > "$r/home/big"
END
guest relabel $o/selinux_relabel=yes "$p/remedy=~fixfiles" << 'END'
touch "$r/.autorelabel"
END
guest relabel-disabled $o/selinux_relabel=no << 'END'
touch "$r/.autorelabel"; mkdir "$r/etc/selinux"; echo SELINUX=disabled > "$r/etc/selinux/config"
END
guest console-elsewhere $o/console=yes "$p/remedy=~console=tty0 console=ttyS0,115200" << 'END'
cmdline console=hvc0
END
guest consoles $o/console=no << 'END'
cmdline 'console=hvc0 console=ttyS0,115200n8'
END

# --- the first sector -------------------------------------------------------

# bytes OFFSET ESCAPES: into the disk.
bytes () { printf "%b" "$2" | dd of="$tmp/disk.img" bs=1 seek="$1" conv=notrunc status=none; }
after_image () { bytes 92 '\1\0\0\0\0\0\0\0'; }
guest core-empty $o/no_grub_core=yes "$p/warnings=~sector 1 is empty" "$p/remedy=~grub-install" << 'END'
END
after_image () { bytes 92 '\1\0\0\0\0\0\0\0'; bytes 512 'core'; bytes $((512 + 0x1f4)) '\2\0\0\0\0\0\0\0\77\0\0\010'; }
guest core $o/no_grub_core=no $p/warnings= << 'END'
END
after_image () { bytes 92 '\1\0\0\0\0\0\0\0'; bytes 512 'core'; bytes $((512 + 0x1f4)) '\2\0\0\0\0\0\1\0\77\0\0\010'; }
guest core-list-outside $o/no_grub_core=yes "$p/warnings=~block list" << 'END'
END
after_image () { bytes 92 '\0\0\0\0\1\0\0\0'; }
guest core-outside $o/no_grub_core=yes "$p/warnings=~beyond the end of the disk" << 'END'
END
after_image () { bytes 0 '\353\110\220'; bytes 68 '\0\0\377\0'; }
guest legacy-stage2-outside $o/no_grub_core=yes << 'END'
END
after_image () { bytes 446 '\0'; }
guest not-active $o/no_active_partition=yes $p/warnings= << 'END'
END
after_image () { dd if=/dev/zero of="$tmp/disk.img" bs=440 count=1 conv=notrunc status=none; }
guest no-boot-code $o/no_boot_code=yes $o/no_grub_core=no "$p/remedy=~grub-install /dev/sda" << 'END'
END
after_image () { :; }

# --- commands for each distribution -----------------------------------------

guest debian "$p/remedy=printf 'virtio_pci\nvirtio_blk\nvirtio_net\n' >> /etc/initramfs-tools/modules
update-initramfs -u -k $v" << 'END'
no_virtio
END
guest centos6 "$p/remedy=~dracut -f /boot/initramfs-$v.img $v" << 'END'
system centos 6.10 rpm; no_virtio
END
guest centos7 "$p/remedy=~dracut -f --kver $v" "$p/remedy=~/etc/dracut.conf.d/virtio.conf" << 'END'
system centos 7 rpm; no_virtio
END
guest sles11 "$p/remedy=~INITRD_MODULES" << 'END'
system sles 11.4 rpm; no_virtio
END
guest sles15 "$p/remedy=~dracut -f --kver $v" << 'END'
system sles 15.5 rpm; no_virtio
END
guest arch "$p/remedy=~mkinitcpio -P" << 'END'
system arch '' pacman; no_virtio
END
guest alpine "$p/remedy=~mkinitfs $v" << 'END'
system alpine 3.19 apk; no_virtio
END
while read -r id version format command; do
  # shellcheck disable=SC2086
  guest "$id $version" "$p/remedy=~$command" << END
system $id $version $format; no_cloud_init
END
done << 'END'
ubuntu 22.04 deb apt-get install cloud-init
centos 6.10 rpm yum install epel-release
centos 7 rpm yum install cloud-init
rocky 9.3 rpm dnf install cloud-init
fedora 40 rpm dnf install cloud-init
opensuse-leap 15.5 rpm zypper install cloud-init
arch - pacman pacman -S cloud-init
alpine 3.19 apk apk add cloud-init
amzn 2 rpm yum install cloud-init
END

exit "$failed"
