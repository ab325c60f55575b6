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

# shellcheck source=tests/images/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

readonly SUITE=bookworm
readonly HOSTNAME_=xray-debian
readonly PACKAGES=(linux-image-amd64 "${SERVER_PACKAGES[@]}")
# The order of building. debian.raw first: the next two are converted from it.
readonly VARIANTS=(
  debian.raw debian.qcow2 debian-zstd.qcow2
  no-virtio.qcow2 no-cloud-init.qcow2 data.qcow2
  boot-only.qcow2 boot-mbr.qcow2 no-table.qcow2 gpt.qcow2 separate-boot.qcow2
)

# Fixed, so that a test may name them.
readonly HOME_UUID=c4a7d1b6-20f9-4e8d-8f3a-00000000803e
readonly SWAP_UUID=9d2e6b40-71c5-4a1e-a5d7-00000000500a
readonly DATA_UUID=e83b5f19-4c6a-4d02-9be0-00000000da7a
readonly GPT_DISK_ID=2b9f4c11-6e0d-4a73-8a55-0000000000d1
readonly GPT_BIOS_ID=2b9f4c11-6e0d-4a73-8a55-0000000000b1
readonly GPT_ROOT_ID=2b9f4c11-6e0d-4a73-8a55-0000000000a2

readonly DISK_SIZE=$((3072 * MIB))
# Leaves the last MiB to the backup GPT, in every layout alike.
readonly ROOT_SIZE=$((DISK_SIZE - 3 * MIB))
readonly BOOT_SIZE=$((256 * MIB))

# --- the cache --------------------------------------------------------------

readonly RECIPE=("${BASH_SOURCE[0]}" "$(dirname "${BASH_SOURCE[0]}")/debian.sh")

is_current() {
  local stamp="$images/.$1.recipe"
  [ -e "$images/$1" ] && [ -e "$stamp" ] && [ "$(<"$stamp")" = "$(recipe "${RECIPE[@]}")" ]
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
  recipe "${RECIPE[@]}" >"$images/.$name.recipe"
}

# --- the guest's file tree --------------------------------------------------

# The common tree, made once a run and only when an image needs it.
need_base() {
  local tar
  [ ! -d "$base" ] || return 0
  tar=$(root_tar "$SUITE" amd64 "${PACKAGES[@]}")
  say 'unpacking'
  unpack "$tar" "$base"
  configure "$base" "$HOSTNAME_"
  torture "$base/srv/torture"
}

copy_of_base() {
  need_base
  cp -a --reflink=auto "$base" "$1"
}

# Everything that a file comparison may stumble over. Device nodes follow when
# the file system exists, see before_fsck.
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

# --- disks ------------------------------------------------------------------

# An ordinary user has no device nodes to copy: debugfs makes them.
before_fsck() {
  [ -d "$2/srv/torture" ] || return 0
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
    # Its initramfs has no driver of CD-ROM drives either, so that cloud-init's
    # generator would not see a configuration drive.
    no-virtio.qcow2)     guest_facts partitions/1 dos VirtioNotInstall no unknown ;;
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

  open_cache
  images="$cache/images"
  mkdir -p "$images"
  base="$work/base"

  for name; do
    ensure "$name"
    echo "$images/$name"
  done
}

main "$@"
