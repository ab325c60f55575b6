# xrayfs: what the makers of real Debian images share; source it.
#
# No loop device and no mounted image: mke2fs fills the file systems, GRUB is
# put into place as grub-install would.  What is made lies in $cache, a folder
# outside the source tree; $work is a scratch folder in it.
# shellcheck shell=bash

set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8
umask 022

# Fixed, so that a test may name it.
readonly ROOT_UUID=0b1c7f52-3d0e-4c5f-9a61-64656269616e
readonly BOOT_UUID=5f0a9c3e-8e1b-4f27-b1d4-00000000b007
readonly HASH_SEED=7a0d3c5e-1f42-4b96-8c0e-000000005eed
readonly DISK_ID=0x78726179
readonly SECTOR=512 MIB=$((1024 * 1024))

# What every server has, besides its kernel.
readonly SERVER_PACKAGES=(
  initramfs-tools zstd grub-pc
  cloud-init cloud-guest-utils openssh-server
  sudo systemd-timesyncd unattended-upgrades
)

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

require() {
  local tool
  for tool; do
    command -v "$tool" >/dev/null || skip "needs $tool"
  done
}

# Owners, chroot and mount need root, or a user namespace with enough ids.
become_root() {
  [ "$EUID" -ne 0 ] || return 0
  local wrap=(unshare --user --map-root-user --map-auto
    --mount --pid --kill-child --mount-proc)
  "${wrap[@]}" true 2>/dev/null ||
    skip 'an ordinary user needs user namespaces and ids in /etc/subuid'
  exec "${wrap[@]}" bash "$0" "$@"
}

# --- the cache --------------------------------------------------------------

# open_cache [DIR]: sets $cache and $work, a scratch folder in DIR of it, and
# keeps others out of that until the end.
open_cache() {
  local dir
  cache=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xrayfs}
  dir="$cache${1:+/$1}"
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock 9
  rm -rf "$dir"/work.*   # of a run that was killed: the lock is ours
  work=$(mktemp -d "$dir/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
}

# recipe FILE...: changes with the files. Comments are no part of them.
recipe() { cat "$@" | sed '/^ *#/d' | sha256sum | cut -c1-16; }

# --- the guest's file tree --------------------------------------------------

# Keeps the building machine out of the initramfs: its swap would become the
# resume device, and the type of its root would choose the fsck.
first_files() {
  mkdir -p "$1/etc/initramfs-tools/conf.d"
  echo RESUME=none >"$1/etc/initramfs-tools/conf.d/resume"
  echo FSTYPE=ext4 >"$1/etc/initramfs-tools/conf.d/fstype"
}

# bootstrap TAR SUITE ARCH PACKAGE...
bootstrap() {
  local first="$work/first"
  rm -rf "$first"
  mkdir "$first"
  first_files "$first"
  install_debian "$@" && return
  # A mirror may be half-way through the updates, or stand still.
  say 'trying without the updates'
  install_debian "$@" "deb http://deb.debian.org/debian $2 main"
}

# install_debian TAR SUITE ARCH PACKAGE... [deb LINE]
install_debian() {
  local tar=$1 suite=$2 arch=$3 include sources=()
  shift 3
  case ${*: -1} in 'deb '*) sources=("${*: -1}" '--aptopt=Acquire::Check-Valid-Until "false"'); set -- "${@:1:$#-1}" ;; esac
  include=$(IFS=,; echo "$*")
  # shellcheck disable=SC2016 # mmdebstrap's shell expands the hook
  XRAYFS_FIRST="$work/first" mmdebstrap --quiet --mode=root --variant=important \
    --architectures="$arch" --include="$include" \
    --essential-hook='cp -r "$XRAYFS_FIRST/etc" "$1/"' \
    "$suite" "$tar" "${sources[@]}" >&2
}

# root_tar SUITE ARCH PACKAGE...: the path of an installation of Debian
root_tar() {
  local hash name="debian-$1-$2" tar
  hash=$({ declare -f install_debian first_files; echo "$@"; } | sha256sum | cut -c1-16)
  tar="$cache/$name-$hash.tar"
  exec 8>"$cache/$name.lock"
  flock 8
  if [ ! -e "$tar" ]; then
    say "installing Debian ($1, $2)"
    bootstrap "$work/root.tar" "$@" || die "Debian ($1, $2) cannot be installed"
    rm -f "$cache/$name-"*.tar
    mv "$work/root.tar" "$tar"
  fi
  exec 8>&-
  echo "$tar"
}

# unpack TAR TREE. /dev stays empty: devtmpfs covers it, and a user namespace
# makes no devices.
unpack() {
  mkdir "$2"
  tar --xattrs --xattrs-include='*' --exclude='./dev/*' -C "$2" -xf "$1"
}

# configure TREE HOSTNAME: a server with one card, its console on the serial
# line, and the password xrayfs.
configure() {
  local tree=$1
  echo "$2" >"$tree/etc/hostname"
  printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$2" >"$tree/etc/hosts"
  : >"$tree/etc/resolv.conf"
  cat >"$tree/etc/network/interfaces" <<'EOF'
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug eth0
iface eth0 inet dhcp
EOF
  sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="net.ifnames=0 console=tty0 console=ttyS0,115200"/' \
    "$tree/etc/default/grub"
  echo root:xrayfs | in_guest "$tree" chpasswd
  grub_files "$tree"
}

# What grub-install leaves in /boot/grub besides the core image.
grub_files() {
  local tree=$1 grub="$1/boot/grub"
  mkdir -p "$grub/i386-pc" "$grub/fonts"
  cp "$tree"/usr/lib/grub/i386-pc/*.{mod,lst} \
    "$tree/usr/lib/grub/i386-pc/boot.img" "$grub/i386-pc/"
  cp "$tree/usr/share/grub/unicode.pf2" "$grub/fonts/"
  in_guest "$tree" grub-editenv /boot/grub/grubenv create
}

# in_guest TREE COMMAND...: a chroot with /proc and the usual device nodes, in
# a mount namespace of its own so that nothing stays mounted.
in_guest() {
  unshare --mount --pid --fork bash -euc "$(declare -f enter_guest)"'; enter_guest "$@"' \
    in_guest "$1" "${grub_stubs:-}" "$ROOT_UUID" "${@:2}"
}

enter_guest() {
  local tree=$1 stubs=$2 root_uuid=$3 node
  shift 3
  mount -t proc proc "$tree/proc"
  mount -t tmpfs -o mode=755 dev "$tree/dev"
  for node in null zero full random urandom tty; do
    : >"$tree/dev/$node"
    mount --bind "/dev/$node" "$tree/dev/$node"
  done
  ln -s /proc/self/fd "$tree/dev/fd"
  # grub-mkconfig writes root=UUID=... only where udev shows the UUID.
  mkdir -p "$tree/dev/disk/by-uuid"
  : >"$tree/dev/disk/by-uuid/$root_uuid"
  if [ -n "$stubs" ]; then
    mount --bind "$stubs/grub-probe" "$tree/usr/sbin/grub-probe"
    mount --bind "$stubs/grub-mkrelpath" "$tree/usr/bin/grub-mkrelpath"
  fi
  exec chroot "$tree" env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# An initramfs for the machine the guest ran on before, and for no other.
without_virtio() {
  local modules="$work/initramfs.list"
  sed -i 's/^MODULES=.*/MODULES=list/' "$1/etc/initramfs-tools/initramfs.conf"
  printf '%s\n' ahci ata_piix sd_mod mptspi vmw_pvscsi ext4 crc32c_generic \
    >>"$1/etc/initramfs-tools/modules"
  in_guest "$1" update-initramfs -u >&2
  in_guest "$1" sh -c 'lsinitramfs /boot/initrd.img-*' >"$modules"
  grep -q /ahci.ko "$modules" || die 'the initramfs lacks what it was given'
  if grep virtio "$modules" >&2; then die 'virtio is still in the initramfs'; fi
}

# --- GRUB -------------------------------------------------------------------
# table, root_part and boot_part are the partition map as GRUB calls it. Where
# root is no ext4 of its own partition, also root_fs, root_device,
# root_abstraction, root_subvolume.

# The guest's own grub-mkconfig writes the file. It asks grub-probe about disks
# that do not exist yet: a stand-in answers for the finished image.
write_grub_cfg() {
  local tree=$1 grub_stubs="$work/stubs"
  mkdir -p "$grub_stubs"
  grub_probe_stub >"$grub_stubs/grub-probe"
  grub_mkrelpath_stub >"$grub_stubs/grub-mkrelpath"
  chmod +x "$grub_stubs"/*
  in_guest "$tree" grub-mkconfig -o /boot/grub/grub.cfg 2>"$work/mkconfig.log" ||
    die "grub-mkconfig: $(<"$work/mkconfig.log")"
}

grub_drive() { echo "hd0${1:+,$table$1}"; }

grub_probe_stub() {
  local boot_uuid=$ROOT_UUID
  [ "$boot_part" = "$root_part" ] || boot_uuid=$BOOT_UUID
  cat <<EOF
#!/bin/sh
table=$table
boot_device=/dev/vda$boot_part boot_uuid=$boot_uuid boot_drive=$(grub_drive "$boot_part")
root_device=${root_device:-/dev/vda$root_part} root_uuid=$ROOT_UUID root_drive=$(grub_drive "$root_part")
boot_fs=ext2 root_fs=${root_fs:-ext2} root_abstraction=${root_abstraction:-}
EOF
  cat <<'EOF'
while [ $# -gt 0 ]; do
  case $1 in
    -t) target=$2; shift ;;
    --target=*) target=${1#*=} ;;
    --device) ;;
    *) subject=$1 ;;
  esac
  shift
done
device=$root_device uuid=$root_uuid drive=$root_drive
fs=$root_fs abstraction=$root_abstraction
if [ "$boot_uuid" != "$root_uuid" ]; then
  case $subject in
    /boot|/boot/*|"$boot_device")
      device=$boot_device uuid=$boot_uuid drive=$boot_drive
      fs=$boot_fs abstraction= ;;
  esac
fi
case $target in
  device) echo "$device" ;;
  fs) echo "$fs" ;;
  fs_uuid) echo "$uuid" ;;
  partmap) echo "$table" ;;
  compatibility_hint) echo "$drive" ;;
  hints_string) echo "--hint-bios=$drive --hint-efi=$drive --hint-baremetal=ahci0${drive#hd0}" ;;
  abstraction) [ -z "$abstraction" ] || echo "$abstraction" ;;
  cryptodisk_uuid) ;;
  *) exit 1 ;;
esac
EOF
}

# Paths in grub.cfg are relative to the file system that holds /boot.
grub_mkrelpath_stub() {
  local prefix=
  [ "$boot_part" = "$root_part" ] || prefix=/boot
  cat <<EOF
#!/bin/sh
path=${root_subvolume:+/$root_subvolume}\${1#$prefix}
echo "\${path%/}"
EOF
}

# install_grub TREE DISK PREFIX LBA [MODULE]: the boot sector's code, which
# stops short of the partition table, and the core image at LBA.
install_grub() {
  local tree=$1 disk=$2 prefix=$3 lba=$4 grub="$1/boot/grub/i386-pc"
  in_guest "$tree" grub-mkimage -O i386-pc -o /boot/grub/i386-pc/core.img \
    -p "$prefix" biosdisk part_msdos part_gpt "${5:-ext2}"
  head -c 440 "$grub/boot.img" | poke "$disk" 0
  # Where the core lies, and the boot drive: the one that the BIOS names.
  le64 "$lba" | poke "$disk" $((0x5c))
  printf '\xff' | poke "$disk" $((0x64))
  # NOPs, as grub-bios-setup writes for a hard disk: they let the code correct
  # a BIOS that passes a floppy's number.
  printf '\x90\x90' | poke "$disk" $((0x66))
  # The core's first sector names the sector where the rest begins.
  poke "$disk" $((lba * SECTOR)) <"$grub/core.img"
  le64 $((lba + 1)) | poke "$disk" $((lba * SECTOR + 0x1f4))
}

# --- disks ------------------------------------------------------------------

new_disk() {
  rm -f "$1"
  truncate -s "$2" "$1"
}

partition() { sfdisk --quiet --no-reread "$1" >&2; }

# make_ext4 DISK OFFSET SIZE UUID TREE
make_ext4() {
  mke2fs -q -t ext4 -U "$4" -E "offset=$2,nodiscard,hash_seed=$HASH_SEED" \
    -d "$5" "$1" $(($3 / 1024))k 2>"$work/mke2fs.log" ||
    die "mke2fs: $(<"$work/mke2fs.log")"
  finish_ext4 "$1?offset=$2" "$5"
}

# mke2fs -d makes linear directories only: e2fsck -D indexes.
finish_ext4() {
  if declare -F before_fsck >/dev/null; then before_fsck "$@"; fi
  e2fsck -fyD "$1" >"$work/e2fsck.log" 2>&1 || [ $? -eq 1 ] ||
    die "e2fsck: $(<"$work/e2fsck.log")"
  e2fsck -fn "$1" >"$work/e2fsck.log" 2>&1 || die "e2fsck: $(<"$work/e2fsck.log")"
}

# poke FILE OFFSET: stdin goes there
poke() { dd of="$1" bs=64K seek="$2" oflag=seek_bytes conv=notrunc status=none; }

le64() {
  local value=$1 i bytes=
  for ((i = 0; i < 8; i++, value >>= 8)); do
    bytes+=$(printf '\\x%02x' $((value & 255)))
  done
  printf '%b' "$bytes"
}

to_qcow2() { qemu-img convert -f raw -O qcow2 "${@:3}" "$1" "$2"; }
