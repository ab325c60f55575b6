#!/usr/bin/env bash
# Builds real Debian 12 server images, and beside each the facts that xrayfs
# is expected to find in it.
#
#   make-debian.sh [VARIANT...]     all of them without arguments
#
# Prints the path of each image on stdout, progress on stderr. Everything lives
# in a cache outside the source tree: ${XRAYFS_CACHE:-$XDG_CACHE_HOME/xrayfs}.
# An image is built again only when this script has changed.
#
# No loop device and no mounted image: mke2fs fills the file systems, GRUB is
# put into place as grub-install would. An ordinary user needs a user namespace
# with subordinate ids; where that is not allowed the script exits with 77.

set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8
umask 022

readonly SUITE=bookworm
readonly HOSTNAME_=xray-debian
readonly PACKAGES=(
  linux-image-amd64 initramfs-tools zstd grub-pc
  cloud-init cloud-guest-utils openssh-server
  sudo systemd-timesyncd unattended-upgrades
)
# The order of building. debian.raw first: the next two are converted from it.
readonly VARIANTS=(
  debian.raw debian.qcow2 debian-zstd.qcow2
  no-virtio.qcow2 no-cloud-init.qcow2 data.qcow2
  boot-only.qcow2 boot-mbr.qcow2 no-table.qcow2 gpt.qcow2 separate-boot.qcow2
)

# Fixed, so that a test may name them.
readonly ROOT_UUID=0b1c7f52-3d0e-4c5f-9a61-64656269616e
readonly BOOT_UUID=5f0a9c3e-8e1b-4f27-b1d4-00000000b007
readonly HOME_UUID=c4a7d1b6-20f9-4e8d-8f3a-00000000803e
readonly SWAP_UUID=9d2e6b40-71c5-4a1e-a5d7-00000000500a
readonly DATA_UUID=e83b5f19-4c6a-4d02-9be0-00000000da7a
readonly HASH_SEED=7a0d3c5e-1f42-4b96-8c0e-000000005eed
readonly DISK_ID=0x78726179
readonly GPT_DISK_ID=2b9f4c11-6e0d-4a73-8a55-0000000000d1
readonly GPT_BIOS_ID=2b9f4c11-6e0d-4a73-8a55-0000000000b1
readonly GPT_ROOT_ID=2b9f4c11-6e0d-4a73-8a55-0000000000a2

readonly SECTOR=512 MIB=$((1024 * 1024))
readonly DISK_SIZE=$((3072 * MIB))
# Leaves the last MiB to the backup GPT, in every layout alike.
readonly ROOT_SIZE=$((DISK_SIZE - 3 * MIB))
readonly BOOT_SIZE=$((256 * MIB))

say() { printf 'make-debian: %s\n' "$*" >&2; }
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

# Comments are no part of the recipe.
recipe() { sed '/^ *#/d' "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16; }

bootstrap_recipe() {
  { declare -f bootstrap first_files; echo "$SUITE" "${PACKAGES[@]}"; } |
    sha256sum | cut -c1-16
}

is_current() {
  local stamp="$images/.$1.recipe"
  [ -e "$images/$1" ] && [ -e "$stamp" ] && [ "$(<"$stamp")" = "$(recipe)" ]
}

# The image appears whole or not at all, and its facts before it; the stamp is
# last: whatever is interrupted is built again.
publish() {
  local name=$1 file=$2
  rm -f "$images/.$name.recipe"
  facts_of "$name" >"$work/facts"
  mv "$work/facts" "$images/${name%.*}.facts"
  mv "$file" "$images/$name.part"
  mv "$images/$name.part" "$images/$name"
  recipe >"$images/.$name.recipe"
}

# --- the guest's file tree --------------------------------------------------

# Keeps the building machine out of the initramfs: its swap would become the
# resume device, and the type of its root would choose the fsck.
first_files() {
  mkdir -p "$1/etc/initramfs-tools/conf.d"
  echo RESUME=none >"$1/etc/initramfs-tools/conf.d/resume"
  echo FSTYPE=ext4 >"$1/etc/initramfs-tools/conf.d/fstype"
}

bootstrap() {
  local include first="$work/first"
  include=$(IFS=,; echo "${PACKAGES[*]}")
  mkdir "$first"
  first_files "$first"
  # shellcheck disable=SC2016 # mmdebstrap's shell expands the hook
  XRAYFS_FIRST="$first" mmdebstrap --quiet --mode=root --variant=important \
    --include="$include" \
    --essential-hook='cp -r "$XRAYFS_FIRST/etc" "$1/"' \
    "$SUITE" "$1" >&2
}

root_tar() {
  local tar
  tar="$cache/debian-$SUITE-$(bootstrap_recipe).tar"
  if [ ! -e "$tar" ]; then
    say "installing Debian ($SUITE)"
    bootstrap "$work/root.tar"
    rm -f "$cache/debian-$SUITE-"*.tar
    mv "$work/root.tar" "$tar"
  fi
  echo "$tar"
}

# The common tree, made once a run and only when an image needs it.
# /dev stays empty: devtmpfs covers it, and a user namespace makes no devices.
need_base() {
  local tar
  [ ! -d "$base" ] || return 0
  tar=$(root_tar)
  say 'unpacking'
  mkdir "$base"
  tar --xattrs --xattrs-include='*' --exclude='./dev/*' -C "$base" -xf "$tar"
  configure "$base"
  torture "$base/srv/torture"
}

copy_of_base() {
  need_base
  cp -a --reflink=auto "$base" "$1"
}

configure() {
  local tree=$1
  echo "$HOSTNAME_" >"$tree/etc/hostname"
  printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$HOSTNAME_" >"$tree/etc/hosts"
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

# Everything that a file comparison may stumble over. Device nodes follow when
# the file system exists, see finish_ext4.
torture() {
  local dir=$1 i
  mkdir -p "$dir/big" "$dir/empty" "$dir/other"
  for ((i = 0; i < 5000; i++)); do echo "$i" >"$dir/big/entry-$i"; done
  truncate -s 64M "$dir/sparse"
  printf 'one'  | dd of="$dir/sparse" bs=1 seek=$((5 * MIB + 7)) conv=notrunc status=none
  printf 'last' | dd of="$dir/sparse" bs=1 seek=$((64 * MIB - 4)) conv=notrunc status=none
  echo linked >"$dir/link-a"
  ln "$dir/link-a" "$dir/link-b"
  ln "$dir/link-a" "$dir/other/link-c"
  ln -s link-a "$dir/symlink"
  ln -s /srv/torture/link-a "$dir/symlink-absolute"
  ln -s "$(printf '%0300d' 0)" "$dir/symlink-long"
  echo attributes >"$dir/xattr"
  setfattr -n user.xrayfs.test -v 'a value' "$dir/xattr"
  setfattr -n user.long -v "$(printf '%0500d' 0)" "$dir/xattr"
  echo access >"$dir/acl"
  setfacl -m u:1000:r,g:1001:rw "$dir/acl"
  setfacl -d -m u:1000:rx "$dir/other"
  mkfifo "$dir/fifo"
  echo long >"$dir/$(printf '%0255d' 0)"
  echo bytes >"$dir/"$'not-utf8-\xff\xfe-\xe9'
  echo lines >"$dir/"$'new\nline'
  echo owned >"$dir/setuid"
  chown 60000:60001 "$dir/setuid"
  chmod 4750 "$dir/setuid"
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

# --- layouts: what the partition table changes in the tree ------------------

# layout NAME: sets the partition map as GRUB calls it, and the partitions.
layout() {
  case $1 in
    dos)   table=msdos root_part=1 boot_part=1 ;;
    gpt)   table=gpt root_part=2 boot_part=2 ;;
    whole) table='' root_part='' boot_part='' ;;
    split) table=msdos root_part=5 boot_part=1 ;;
    *) die "no layout $1" ;;
  esac
}

apply_layout() {
  local tree=$1 table root_part boot_part
  layout "$2"
  write_fstab "$2" >"$tree/etc/fstab"
  write_grub_cfg "$tree"
}

write_fstab() {
  cat <<EOF
# /etc/fstab: static file system information.
#
# Use 'blkid' to print the universally unique identifier for a
# device; this may be used with UUID= as a more robust way to name devices
# that works even if disks are added and removed. See fstab(5).
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
UUID=$ROOT_UUID /               ext4    errors=remount-ro 0       1
EOF
  [ "$1" = split ] || return 0
  cat <<EOF
UUID=$BOOT_UUID /boot           ext4    defaults        0       2
UUID=$HOME_UUID /home           ext4    defaults        0       2
UUID=$SWAP_UUID none            swap    sw              0       0
EOF
}

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
root_device=/dev/vda$root_part root_uuid=$ROOT_UUID root_drive=$(grub_drive "$root_part")
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
case $subject in
  /boot|/boot/*|"$boot_device") device=$boot_device uuid=$boot_uuid drive=$boot_drive ;;
  *) device=$root_device uuid=$root_uuid drive=$root_drive ;;
esac
case $target in
  device) echo "$device" ;;
  fs) echo ext2 ;;
  fs_uuid) echo "$uuid" ;;
  partmap) echo "$table" ;;
  compatibility_hint) echo "$drive" ;;
  hints_string) echo "--hint-bios=$drive --hint-efi=$drive --hint-baremetal=ahci0${drive#hd0}" ;;
  abstraction|cryptodisk_uuid) ;;
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
echo "\${1#$prefix}"
EOF
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

# mke2fs -d makes linear directories only, and an ordinary user has no device
# nodes to copy: e2fsck -D indexes, debugfs makes the nodes.
finish_ext4() {
  if [ -d "$2/srv/torture" ]; then add_devices "$1"; fi
  e2fsck -fyD "$1" >"$work/e2fsck.log" 2>&1 || [ $? -eq 1 ] ||
    die "e2fsck: $(<"$work/e2fsck.log")"
  e2fsck -fn "$1" >"$work/e2fsck.log" 2>&1 || die "e2fsck: $(<"$work/e2fsck.log")"
}

add_devices() {
  debugfs -w -f - "$1" >"$work/debugfs.log" 2>&1 <<'EOF'
cd /srv/torture
mknod char-device c 1 3
sif char-device mode 020640
mknod block-device b 259 300
sif block-device mode 060660
EOF
  # It exits with 0 whatever happens; more than this means trouble.
  if grep -vE '^debugfs|^Allocated inode' "$work/debugfs.log" >&2; then die 'debugfs failed'; fi
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

# install_grub TREE DISK PREFIX LBA: the boot sector's code, which stops short
# of the partition table, and the core image at LBA.
install_grub() {
  local tree=$1 disk=$2 prefix=$3 lba=$4 grub="$1/boot/grub/i386-pc"
  in_guest "$tree" grub-mkimage -O i386-pc -o /boot/grub/i386-pc/core.img \
    -p "$prefix" biosdisk part_msdos part_gpt ext2
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

# disk_dos TREE DISK: one bootable ext4 partition
disk_dos() {
  local tree=$1 disk=$2
  apply_layout "$tree" dos
  new_disk "$disk" $DISK_SIZE
  partition "$disk" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=$((ROOT_SIZE / SECTOR)), type=83, bootable
EOF
  install_grub "$tree" "$disk" '(,msdos1)/boot/grub' 1
  make_ext4 "$disk" $MIB $ROOT_SIZE $ROOT_UUID "$tree"
}

disk_gpt() {
  local tree=$1 disk=$2
  apply_layout "$tree" gpt
  new_disk "$disk" $DISK_SIZE
  partition "$disk" <<EOF
label: gpt
label-id: $GPT_DISK_ID
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, uuid=$GPT_BIOS_ID
start=2MiB, size=$((ROOT_SIZE / SECTOR)), type=linux, uuid=$GPT_ROOT_ID, name=root
EOF
  install_grub "$tree" "$disk" '(,gpt2)/boot/grub' $((MIB / SECTOR))
  make_ext4 "$disk" $((2 * MIB)) $ROOT_SIZE $ROOT_UUID "$tree"
}

# Without a table there is no room for GRUB: such disks are started by a
# kernel from outside.
disk_whole() {
  apply_layout "$1" whole
  new_disk "$2" $DISK_SIZE
  make_ext4 "$2" 0 $DISK_SIZE $ROOT_UUID "$1"
}

# disk_split TREE DISK: /boot, swap, and logical partitions for / and /home.
# Takes the tree apart.
disk_split() {
  local tree=$1 disk=$2 root_start=$((514 * MIB)) root_size=$((2304 * MIB))
  local home_start=$((root_start + root_size + MIB)) home_size=$((128 * MIB))
  apply_layout "$tree" split
  new_disk "$disk" $DISK_SIZE
  partition "$disk" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=256MiB, type=83, bootable
start=257MiB, size=256MiB, type=82
start=513MiB, type=5
start=$((root_start / SECTOR)), size=$((root_size / SECTOR)), type=83
start=$((home_start / SECTOR)), size=$((home_size / SECTOR)), type=83
EOF
  install_grub "$tree" "$disk" '(,msdos1)/grub' 1
  mkdir "$work/split"
  mv "$tree/boot" "$tree/home" "$work/split/"
  mkdir "$tree/boot" "$tree/home"
  make_home "$work/split/home"
  make_ext4 "$disk" $MIB $BOOT_SIZE $BOOT_UUID "$work/split/boot"
  make_swap "$disk" $((257 * MIB)) $((256 * MIB))
  make_ext4 "$disk" $root_start $root_size $ROOT_UUID "$tree"
  make_ext4 "$disk" $home_start $home_size $HOME_UUID "$work/split/home"
}

make_home() {
  mkdir "$1/guest"
  cp "$base/etc/skel/.profile" "$1/guest/"
  echo 'only on /home' >"$1/guest/notes.txt"
  chown -R 1000:1000 "$1/guest"
}

make_swap() {
  new_disk "$work/swap" "$3"
  mkswap --quiet --uuid $SWAP_UUID "$work/swap"
  head -c 4096 "$work/swap" | poke "$1" "$2"
}

# disk_boot TREE DISK none|dos: the file system of a separate /boot alone
disk_boot() {
  local tree=$1 disk=$2 offset=0
  apply_layout "$tree" split
  new_disk "$disk" $((BOOT_SIZE + 2 * MIB))
  if [ "$3" = dos ]; then
    offset=$MIB
    partition "$disk" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=256MiB, type=83, bootable
EOF
    install_grub "$tree" "$disk" '(,msdos1)/grub' 1
  fi
  make_ext4 "$disk" $offset $BOOT_SIZE $BOOT_UUID "$tree/boot"
}

disk_data() {
  local disk=$1 documents="$work/documents" size=$((254 * MIB))
  mkdir -p "$documents/reports/2024" "$documents/photos"
  echo 'The minutes of the last meeting.' >"$documents/reports/2024/minutes.txt"
  printf 'name,amount\nrent,1200\n' >"$documents/reports/2024/accounts.csv"
  head -c 3000000 /dev/zero | tr '\0' 'x' >"$documents/photos/holiday.jpg"
  new_disk "$disk" $((256 * MIB))
  partition "$disk" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=$((size / SECTOR)), type=83
EOF
  make_ext4 "$disk" $MIB $size $DATA_UUID "$documents"
}

# --- variants ---------------------------------------------------------------

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

without_cloud_init() {
  in_guest "$1" dpkg --purge cloud-init >&2
  if [ -e "$1/usr/bin/cloud-init" ]; then die 'cloud-init is still there'; fi
}

# changed_disk DISK CHANGE: the ordinary disk, of a tree that CHANGE worked on
changed_disk() {
  copy_of_base "$work/tree"
  "$2" "$work/tree"
  "$3" "$work/tree" "$1"
  rm -rf "$work/tree"
}

unchanged() { :; }

# build_raw NAME DISK
build_raw() {
  case $1 in
    debian.raw)          need_base; disk_dos "$base" "$2" ;;
    no-virtio.qcow2)     changed_disk "$2" without_virtio disk_dos ;;
    no-cloud-init.qcow2) changed_disk "$2" without_cloud_init disk_dos ;;
    data.qcow2)          disk_data "$2" ;;
    boot-only.qcow2)     need_base; disk_boot "$base" "$2" none ;;
    boot-mbr.qcow2)      need_base; disk_boot "$base" "$2" dos ;;
    no-table.qcow2)      need_base; disk_whole "$base" "$2" ;;
    gpt.qcow2)           need_base; disk_gpt "$base" "$2" ;;
    separate-boot.qcow2) changed_disk "$2" unchanged disk_split ;;
    *) die "no variant $1" ;;
  esac
}

to_qcow2() { qemu-img convert -f raw -O qcow2 "${@:3}" "$1" "$2"; }

build() {
  local name=$1 out="$work/image"
  say "building $name"
  case $name in
    debian.qcow2)      to_qcow2 "$images/debian.raw" "$out" ;;
    debian-zstd.qcow2) to_qcow2 "$images/debian.raw" "$out" -c -o compression_type=zstd ;;
    *.raw)             build_raw "$name" "$out" ;;
    *)                 build_raw "$name" "$work/disk"; to_qcow2 "$work/disk" "$out"; rm "$work/disk" ;;
  esac
  publish "$name" "$out"
}

ensure() {
  case $1 in
    debian.qcow2|debian-zstd.qcow2) ensure debian.raw ;;
  esac
  is_current "$1" || build "$1"
}

# --- facts ------------------------------------------------------------------

# facts TABLE ERRORS HAS_VIRTIO CLOUD_INIT: those of every image
facts() {
  cat <<EOF
partition_table=$1
errors=$2
verdict=$([ -z "$2" ] && echo pass || echo fail)
has_virtio=$3
cloud_init=$4
EOF
}

# guest_facts ROOT TABLE ERRORS HAS_VIRTIO CLOUD_INIT
guest_facts() {
  facts "${@:2}"
  cat <<EOF
root_filesystem=$1
os_id=debian
os_version=12
os_arch=x86_64
hostname=$HOSTNAME_
default_kernel=$(kernel_version)
EOF
}

no_guest_facts() {
  facts "$1" "$2" unknown unknown
  printf '%s=\n' root_filesystem os_id os_version os_arch hostname default_kernel
}

# Only debian-*.qcow2 may come without the tree: they are made of debian.raw.
kernel_version() {
  if [ -d "$base" ]; then
    ls "$base/usr/lib/modules"
  else
    sed -n 's/^default_kernel=//p' "$images/debian.facts"
  fi
}

# GPT is a warning for Linux in the default policy. Without an operating system
# virtio and cloud-init are unknown, and their codes do not apply.
facts_of() {
  case $1 in
    debian.*|debian-*)   guest_facts partitions/1 dos '' yes yes ;;
    no-virtio.qcow2)     guest_facts partitions/1 dos VirtioNotInstall no yes ;;
    no-cloud-init.qcow2) guest_facts partitions/1 dos CloudInitNotInstalled yes no ;;
    data.qcow2)          no_guest_facts dos RootPartitionNotFound ;;
    boot-only.qcow2)     no_guest_facts none PartitionNotPresent,RootPartitionNotFound ;;
    boot-mbr.qcow2)      no_guest_facts dos RootPartitionNotFound ;;
    no-table.qcow2)      guest_facts partitions/whole none PartitionNotPresent yes yes ;;
    gpt.qcow2)           guest_facts partitions/2 gpt '' yes yes ;;
    separate-boot.qcow2) guest_facts partitions/5 dos '' yes yes ;;
    *) die "no facts of $1" ;;
  esac
}

# --- main -------------------------------------------------------------------

check_names() {
  local name
  for name; do
    case " ${VARIANTS[*]} " in
      *" $name "*) ;;
      *) say "no variant $name; there are: ${VARIANTS[*]}"; exit 2 ;;
    esac
  done
}

main() {
  local name
  [ $# -gt 0 ] || set -- "${VARIANTS[@]}"
  check_names "$@"
  require unshare flock tar sha256sum mmdebstrap mke2fs e2fsck debugfs sfdisk \
    mkswap setfattr setfacl qemu-img
  become_root "$@"

  cache=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xrayfs}
  images="$cache/images"
  mkdir -p "$images"
  exec 9>"$cache/lock"
  flock 9
  rm -rf "$cache"/work.*   # of a run that was killed: the lock is ours
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  base="$work/base"

  for name; do
    ensure "$name"
    echo "$images/$name"
  done
}

main "$@"
