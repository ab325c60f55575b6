# xrayfs: programs of Debian's packages that are not installed: source it.
# SPDX-License-Identifier: GPL-2.0-or-later
#
# unpacked NAME...  prints a directory into which the packages are unpacked,
#                   fetched once and kept; fails where none can be fetched
# tree DIR          an empty system below DIR: /usr merged, systemd, GRUB
# bare DIR IMG      packs it as a file system without a partition table
# shellcheck shell=bash disable=SC2154
unpacked ()
{
  local dir=$cache_dir/deb name
  mkdir -p "$dir" "$tmp/pkg"
  for name; do
    if ! compgen -G "$dir/${name}_*.deb" > /dev/null; then
      mkdir -p "$tmp/fetch"
      (cd "$tmp/fetch" && apt-get -q download "$name" > /dev/null 2>&1) || return 1
      mv "$tmp/fetch"/*.deb "$dir/"
    fi
    dpkg-deb -x "$(compgen -G "$dir/${name}_*.deb" | tail -1)" "$tmp/pkg"
  done
  printf '%s\n' "$tmp/pkg"
}

tree ()
{
  mkdir -p "$1"/usr/{bin,sbin,lib/systemd/system,lib/modules} "$1"/{etc,boot/grub,var/lib,run,proc}
  ln -s usr/bin "$1/bin"
  ln -s usr/sbin "$1/sbin"
  ln -s usr/lib "$1/lib"
  printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\076\0\1\0\0\0' > "$1/usr/lib/systemd/systemd"
  head -c 40 /dev/zero >> "$1/usr/lib/systemd/systemd"
  cp "$1/usr/lib/systemd/systemd" "$1/usr/bin/sh"
  ln -s /lib/systemd/systemd "$1/usr/sbin/init"
  printf 'ID=debian\nVERSION_ID="12"\n' > "$1/etc/os-release"
  echo UUID=0b1c7f52-3d0e-4c5f-9a61-00000000a11a / ext4 defaults 0 1 > "$1/etc/fstab"
  echo 0123456789abcdef0123456789abcdef > "$1/etc/machine-id"
  kernel_cmdline "$1" quiet
}

kernel_cmdline ()
{
  printf 'menuentry a {\n linux /boot/vmlinuz-6.1.0-1-amd64 root=UUID=0b1c7f52-3d0e-4c5f-9a61-00000000a11a ro %s\n}\n' \
    "$2" > "$1/boot/grub/grub.cfg"
  echo kernel > "$1/boot/vmlinuz-6.1.0-1-amd64"
  echo "root=x ro $2" > "$1/proc/cmdline"
}

bare ()
{
  rm -f "$2"
  truncate -s 6M "$2"
  mke2fs -q -F -t ext4 -b 1024 -N 1024 -O ^has_journal,^resize_inode -m 0 \
    -E root_owner=0:0 -U 0b1c7f52-3d0e-4c5f-9a61-00000000a11a -d "$1" "$2"
}
