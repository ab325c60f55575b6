#!/usr/bin/env bash
# Builds real Debian guests for the boot proof, each with something done to it
# that decides whether it will find a virtio disk or card, run cloud-init, or
# start at all.
#
#   make-guests.sh [GUEST...]     all of them without arguments; --list: names
#
# Prints the path of each image on stdout, progress on stderr. They are kept in
# ${XRAYFS_CACHE:-$XDG_CACHE_HOME/xrayfs}/boot until this script changes.
# Needs root, loop devices and the Debian mirror, and for the guests called
# cured the program ($XRAYFS), whose remedies are run in them.

# shellcheck source=tests/images/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/../images/debian.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The order of building, and of the table.
readonly GUESTS=(
  plain bullseye i386 trixie testing cloud-kernel
  no-virtio no-virtio-cured stripped no-net no-pci
  blacklist blacklist-cured blacklist-cmdline
  xz-modules gzip-initramfs lz4-initramfs lzma-initramfs bzip2-initramfs lzop-initramfs
  dracut dracut-trixie dracut-omit dracut-omit-cured
  two-kernels saved-kernel default-without
  built-in none-at-all
  lvm xfs btrfs extlinux systemd-boot uki
  no-cloud-init cloud-init-disabled cloud-init-masked cloud-init-ec2
  root-sda missing-disk eth0-renamed
)
readonly DISK_SIZE=$((3072 * MIB)) BOOT_SIZE=$((256 * MIB))
readonly ROOT_SIZE=$((DISK_SIZE - 3 * MIB))
readonly ROOT_IN_SPLIT=$((DISK_SIZE - 3 * MIB - BOOT_SIZE))
readonly ESP_SIZE=$((256 * MIB))

# --- trees --------------------------------------------------------------------

# from SUITE [ARCH]: the tree, configured
from() {
  local suite=$1 arch=${2:-amd64} kernel=linux-image-amd64 tar
  [ "$arch" != i386 ] || kernel=linux-image-686-pae
  tar=$(root_tar "$suite" "$arch" "$kernel" "${SERVER_PACKAGES[@]}")
  unpack "$tar" "$tree"
  configure "$tree" "xray-$guest"
  witness
}

# What the guest says of itself on its console, once it is up: the answers
# that xrayfs has to give beforehand.
witness() {
  cat >"$tree/usr/local/sbin/xrayfs-witness" <<'EOF'
#!/bin/sh
driver=none card=none address=none cloud_init=absent
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  address=$(ip -4 -o address show scope global | awk '{ print $4; exit }')
  [ -z "$address" ] || break
  sleep 2
done
for link in /sys/class/net/*/device/driver; do
  [ -e "$link" ] || continue
  driver=$(basename "$(readlink -f "$link")")
  card=$(basename "${link%/device/driver}")
done
[ ! -e /run/cloud-init/disabled ] || cloud_init=disabled
[ ! -e /run/cloud-init/enabled ] || cloud_init=enabled
# Others write to the console as well, into the midst of a line, and getty
# hangs it up: it is opened each time, by the name that never waits for a
# carrier.
for _ in 1 2 3; do
  echo "xrayfs-witness kernel=$(uname -r) root=$(findmnt -no SOURCE /)" \
    "net=$driver card=$card address=${address:-none}" \
    "cloud_init=$cloud_init end" >/dev/console
  sleep 1
done
EOF
  chmod +x "$tree/usr/local/sbin/xrayfs-witness"
  cat >"$tree/etc/systemd/system/xrayfs-witness.service" <<'EOF'
[Unit]
Description=What the boot proof asks
After=systemd-udev-settle.service
Wants=systemd-udev-settle.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/xrayfs-witness

[Install]
WantedBy=multi-user.target
EOF
  ln -s ../xrayfs-witness.service \
    "$tree/etc/systemd/system/multi-user.target.wants/"
}

# guest_apt COMMAND...: apt-get in the guest, which starts nothing
guest_apt() {
  cp /etc/resolv.conf "$tree/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
  chmod +x "$tree/usr/sbin/policy-rc.d"
  in_guest "$tree" apt-get -qq update >&2
  in_guest "$tree" apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends \
    "$@" >"$work/apt.log" 2>&1 || die "apt-get $*: $(tail -n 5 "$work/apt.log")"
  rm "$tree/usr/sbin/policy-rc.d"
  : >"$tree/etc/resolv.conf"
}

newest_kernel() {
  find "$tree/usr/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1
}

# The initramfs of each kernel is made anew.
update() { in_guest "$tree" update-initramfs -u -k all >&2; }

# lost MODULE...: their files are gone, as from a kernel that was slimmed
lost() {
  local module
  for module; do
    find "$tree/usr/lib/modules" -name "$module.ko*" -delete
  done
  in_guest "$tree" depmod "$(newest_kernel)"
  update
}

compressed() {
  sed -i "s/^COMPRESS=.*/COMPRESS=$1/" "$tree/etc/initramfs-tools/initramfs.conf"
  update
}

kernel_option() {
  sed -i "s/^GRUB_CMDLINE_LINUX=\"/&$1 /" "$tree/etc/default/grub"
}

with_dracut() { guest_apt install dracut; remake_by_dracut; }

# Where /boot is no ESP, dracut takes its names from Debian's own hook.
remake_by_dracut() {
  local kernel
  kernel=$(newest_kernel)
  in_guest "$tree" dracut --force --quiet --kver "$kernel" \
    "/boot/initrd.img-$kernel" >&2
}

without_virtio_by_dracut() {
  echo 'omit_drivers+=" virtio virtio_ring virtio_pci virtio_blk virtio_scsi virtio_net "' \
    >"$tree/etc/dracut.conf.d/old-machine.conf"
  remake_by_dracut
}

# cured DISK: what xrayfs says would help, done in the guest
cured() {
  local remedy="$work/remedy"
  "${XRAYFS:?names the program}" cat "$1" import/default/remedy >"$remedy"
  grep -q . "$remedy" || die "$guest: no remedy"
  sed "s/^/make-guests: remedy: /" "$remedy" >&2
  cp "$remedy" "$tree/tmp/remedy"
  in_guest "$tree" sh -eu /tmp/remedy >&2
  rm "$tree/tmp/remedy"
}

# --- disks --------------------------------------------------------------------

# table, root_part, boot_part, root_*: see debian.sh

fstab() { printf '%s %s %s %s 0 %s\n' "$@" >>"$tree/etc/fstab"; }

# on_loop DISK OFFSET SIZE COMMAND...: COMMAND gets the loop device
on_loop() {
  local device status=0
  device=$(losetup --find --show --offset "$2" --sizelimit "$3" "$1")
  "${@:4}" "$device" || status=$?
  losetup --detach "$device"
  return $status
}

# copy_tree DEVICE [DIR]: into a directory of its file system
copy_tree() {
  local device=$1 point="$work/point"
  mkdir -p "$point"
  mount "$device" "$point"
  cp -a "$tree/." "$point${2:+/$2}"
  umount "$point"
}

# The ordinary one: a single bootable ext4.
disk_ext4() {
  local table=msdos root_part=1 boot_part=1
  fstab "${root_device:-UUID=$ROOT_UUID}" / ext4 errors=remount-ro 1
  write_grub_cfg "$tree"
  dos_disk "$1"
  install_grub "$tree" "$1" '(,msdos1)/boot/grub' 1
  make_ext4 "$1" $MIB $ROOT_SIZE $ROOT_UUID "$tree"
}

dos_disk() {
  new_disk "$1" $DISK_SIZE
  partition "$1" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=$((ROOT_SIZE / SECTOR)), type=83, bootable
EOF
}

disk_xfs() {
  local table=msdos root_part=1 boot_part=1 root_fs=xfs
  fstab "UUID=$ROOT_UUID" / xfs defaults 0
  write_grub_cfg "$tree"
  dos_disk "$1"
  install_grub "$tree" "$1" '(,msdos1)/boot/grub' 1 xfs
  on_loop "$1" $MIB $ROOT_SIZE fill_xfs
}

# GRUB 2.06 reads no nrext64, which newer tools make by default.
fill_xfs() {
  mkfs.xfs -q -f -m "uuid=$ROOT_UUID" -i nrext64=0 "$1"
  copy_tree "$1"
}

disk_btrfs() {
  local table=msdos root_part=1 boot_part=1 root_fs=btrfs root_subvolume=@rootfs
  fstab "UUID=$ROOT_UUID" / btrfs "defaults,subvol=$root_subvolume" 0
  write_grub_cfg "$tree"
  dos_disk "$1"
  install_grub "$tree" "$1" "(,msdos1)/$root_subvolume/boot/grub" 1 btrfs
  on_loop "$1" $MIB $ROOT_SIZE fill_btrfs
}

fill_btrfs() {
  mkfs.btrfs -q -f -U "$ROOT_UUID" "$1"
  mkdir -p "$work/point"
  mount "$1" "$work/point"
  btrfs -q subvolume create "$work/point/@rootfs"
  umount "$work/point"
  copy_tree "$1" @rootfs
}

# /boot, and / in a logical volume, as Debian's installer does it
disk_lvm() {
  local table=msdos root_part=2 boot_part=1 root_device=/dev/mapper/xray-root
  local root_abstraction=lvm start=$((MIB + BOOT_SIZE))
  fstab /dev/mapper/xray-root / ext4 errors=remount-ro 1
  fstab "UUID=$BOOT_UUID" /boot ext4 defaults 2
  update
  write_grub_cfg "$tree"
  new_disk "$1" $DISK_SIZE
  partition "$1" <<EOF
label: dos
label-id: $DISK_ID
start=1MiB, size=256MiB, type=83, bootable
start=257MiB, size=$((ROOT_IN_SPLIT / SECTOR)), type=8e
EOF
  install_grub "$tree" "$1" '(,msdos1)/grub' 1
  mv "$tree/boot" "$work/boot"
  mkdir "$tree/boot"
  make_ext4 "$1" $MIB $BOOT_SIZE $BOOT_UUID "$work/boot"
  rm -rf "$work/boot"
  new_disk "$work/root" $((2560 * MIB))
  make_ext4 "$work/root" 0 $((2560 * MIB)) $ROOT_UUID "$tree"
  on_loop "$1" $start $ROOT_IN_SPLIT make_volume
  # One extent after the other, behind the metadata's MiB.
  dd if="$work/root" of="$1" bs=1M seek=$((start / MIB + 1)) conv=notrunc,sparse status=none
  rm "$work/root"
}

make_volume() {
  lvm2 pvcreate -q --dataalignment 1m "$1"
  lvm2 vgcreate -q xray "$1"
  lvm2 lvcreate -q -y -an -Zn -Wn -L 2560M -n root xray
  [ "$(lvm2 lvs --noheadings --segments -o seg_pe_ranges xray | tr -d ' ')" = "$1:0-639" ] ||
    die 'the volume is not in one piece'
}

lvm2() {
  LVM_SUPPRESS_FD_WARNINGS=1 lvm "$1" --driverloaded n --config \
    'devices { filter=["a|^/dev/loop|","r|.*|"] use_devicesfile=0 obtain_device_list_from_udev=0 }
     backup { backup=0 archive=0 } activation { monitoring=0 udev_sync=0 }' "${@:2}" 2>>"$work/lvm.log"
}

disk_extlinux() {
  local kernel
  kernel=$(newest_kernel)
  fstab "UUID=$ROOT_UUID" / ext4 errors=remount-ro 1
  rm -rf "$tree/boot/grub"
  mkdir "$tree/boot/extlinux"
  cat >"$tree/boot/extlinux/extlinux.conf" <<EOF
default l0
prompt 1
timeout 10
label l0
	menu label Debian GNU/Linux, kernel $kernel
	linux /boot/vmlinuz-$kernel
	initrd /boot/initrd.img-$kernel
	append root=UUID=$ROOT_UUID ro net.ifnames=0 console=tty0 console=ttyS0,115200
EOF
  dos_disk "$1"
  # Its driver knows no file system of 64-bit block numbers.
  on_loop "$1" $MIB $ROOT_SIZE fill_extlinux
  head -c 440 /usr/lib/syslinux/mbr/mbr.bin | poke "$1" 0
}

fill_extlinux() {
  mkfs.ext4 -q -F -O '^64bit,^metadata_csum' -U "$ROOT_UUID" "$1"
  copy_tree "$1"
  mount "$1" "$work/point"
  extlinux --install "$work/point/boot/extlinux" >&2
  umount "$work/point"
}

# disk_efi DISK: an ESP made of $work/esp, and root
disk_efi() {
  local esp="$work/esp.img"
  new_disk "$1" $DISK_SIZE
  partition "$1" <<EOF
label: gpt
start=1MiB, size=256MiB, type=uefi
start=257MiB, size=$((ROOT_IN_SPLIT / SECTOR)), type=linux
EOF
  new_disk "$esp" $ESP_SIZE
  mkfs.vfat -F 32 -i 78726179 "$esp" >/dev/null
  mcopy -s -Q -i "$esp" "$work"/esp/* ::
  dd if="$esp" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
  make_ext4 "$1" $((257 * MIB)) $ROOT_IN_SPLIT $ROOT_UUID "$tree"
  rm -rf "$esp" "$work/esp"
}

efi_system() {
  fstab "UUID=$ROOT_UUID" / ext4 errors=remount-ro 1
  fstab UUID=7872-6179 /boot/efi vfat umask=0077 1
  rm -rf "$tree/boot/grub"
  guest_apt install systemd-boot systemd-boot-efi "$@"
  mkdir -p "$work/esp/EFI/BOOT" "$work/esp/loader" "$tree/boot/efi" "$tree/etc/kernel"
  cp "$tree/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$work/esp/EFI/BOOT/BOOTX64.EFI"
  printf 'timeout 3\nconsole-mode keep\n' >"$work/esp/loader/loader.conf"
  echo "root=UUID=$ROOT_UUID ro net.ifnames=0 console=tty0 console=ttyS0,115200" \
    >"$tree/etc/kernel/cmdline"
}

# As systemd-boot's own kernel-install lays it out
esp_entries() {
  local kernel
  kernel=$(newest_kernel)
  in_guest "$tree" systemd-machine-id-setup >&2
  in_guest "$tree" env BOOT_ROOT=/boot/efi MACHINE_ID="$(<"$tree/etc/machine-id")" \
    sh -c 'mkdir -p /boot/efi/loader/entries "/boot/efi/$MACHINE_ID"; kernel-install add "$@"' \
    - "$kernel" "/boot/vmlinuz-$kernel" "/boot/initrd.img-$kernel" >&2
  cp -r "$tree"/boot/efi/* "$work/esp/"
  rm -rf "$tree"/boot/efi/*
  find "$work/esp" -type f >&2
}

esp_uki() {
  local kernel
  kernel=$(newest_kernel)
  mkdir -p "$work/esp/EFI/Linux"
  in_guest "$tree" ukify build --linux "/boot/vmlinuz-$kernel" \
    --initrd "/boot/initrd.img-$kernel" --cmdline @/etc/kernel/cmdline \
    --uname "$kernel" --os-release @/etc/os-release --output /tmp/uki >&2
  mv "$tree/tmp/uki" "$work/esp/EFI/Linux/debian-$kernel.efi"
}

# --- a kernel of one's own ----------------------------------------------------

# own_kernel FRAGMENT...: Debian's source, nothing but what the fragments name
own_kernel() {
  local hash source out
  hash=$(recipe "$@" "${BASH_SOURCE[0]}")
  out="$cache/boot/kernel-$hash"
  if [ ! -d "$out" ]; then
    say "building a kernel of $*"
    source=$(echo /usr/src/linux-source-*.tar.xz)
    [ -e "$source" ] || skip 'needs linux-source, flex, bison, bc, libelf-dev'
    mkdir "$work/linux" "$work/kernel"
    tar -C "$work/linux" --strip-components=1 -xf "$source"
    cat "$@" >"$work/fragment"
    make -s -C "$work/linux" KCONFIG_ALLCONFIG="$work/fragment" allnoconfig >&2
    make -s -C "$work/linux" -j"$(nproc)" bzImage >&2
    cp "$work/linux/arch/x86/boot/bzImage" "$work/kernel/vmlinuz"
    cp "$work/linux/.config" "$work/kernel/config"
    make -s -C "$work/linux" kernelrelease >"$work/kernel/release"
    if grep -q ^CONFIG_MODULES=y "$work/kernel/config"; then
      make -s -C "$work/linux" -j"$(nproc)" modules >&2
      make -s -C "$work/linux" INSTALL_MOD_PATH="$work/kernel" modules_install >&2
      rm -f "$work"/kernel/lib/modules/*/{build,source}
    fi
    mv "$work/kernel" "$out"
    rm -rf "$work/linux"
  fi
  echo "$out"
}

# As `make install` does without an installkernel; Debian's kernel goes.
install_own_kernel() {
  local kernel=$1 version
  version=$(<"$kernel/release")
  rm -rf "$tree"/usr/lib/modules/* "$tree"/boot/{vmlinuz,initrd,config,System}*
  rm -f "$tree"/{vmlinuz,initrd.img}{,.old}
  cp "$kernel/vmlinuz" "$tree/boot/vmlinuz-$version"
  cp "$kernel/config" "$tree/boot/config-$version"
  [ ! -d "$kernel/lib" ] || cp -r "$kernel/lib/modules/." "$tree/usr/lib/modules/"
  # Without an initramfs the kernel knows no UUID of a file system.
  by_device=yes
}

# --- guests -------------------------------------------------------------------

build() {
  local disk=$1 by_device='' root_device='' kernel
  case $guest in
    plain)             from bookworm ;;
    bullseye)          from bullseye ;;
    i386)              from bookworm i386 ;;
    trixie)            from trixie ;;
    testing)           from testing ;;
    cloud-kernel)      from bookworm; guest_apt install linux-image-cloud-amd64
                       guest_apt purge linux-image-amd64 'linux-image-*[0-9]-amd64' ;;
    no-virtio)         from bookworm; without_virtio "$tree" ;;
    no-virtio-cured)   from bookworm; without_virtio "$tree"
                       disk_ext4 "$disk"; : >"$tree/etc/fstab"; cured "$disk" ;;
    stripped)          from bookworm; lost virtio_blk ;;
    no-net)            from bookworm; lost virtio_net ;;
    no-pci)            from bookworm; lost virtio_pci ;;
    blacklist)         from bookworm
                       echo 'blacklist virtio_blk' >"$tree/etc/modprobe.d/local.conf"; update ;;
    blacklist-cured)   from bookworm
                       echo 'blacklist virtio_blk' >"$tree/etc/modprobe.d/local.conf"; update
                       disk_ext4 "$disk"; : >"$tree/etc/fstab"; cured "$disk" ;;
    blacklist-cmdline) from bookworm; kernel_option module_blacklist=virtio_blk ;;
    xz-modules)        from bookworm; compressed_modules ;;
    gzip-initramfs)    from bookworm; compressed gzip ;;
    lz4-initramfs)     from bookworm; guest_apt install lz4; compressed lz4 ;;
    lzma-initramfs)    from bookworm; guest_apt install xz-utils; compressed lzma ;;
    bzip2-initramfs)   from bookworm; guest_apt install bzip2; compressed bzip2 ;;
    lzop-initramfs)    from bookworm; guest_apt install lzop; compressed lzop ;;
    dracut)            from bookworm; with_dracut ;;
    dracut-trixie)     from trixie; with_dracut ;;
    dracut-omit)       from bookworm; with_dracut; without_virtio_by_dracut ;;
    dracut-omit-cured) from bookworm; with_dracut; without_virtio_by_dracut
                       disk_ext4 "$disk"; : >"$tree/etc/fstab"; cured "$disk" ;;
    two-kernels)       from bookworm; guest_apt install linux-image-cloud-amd64 ;;
    saved-kernel)      from bookworm; guest_apt install linux-image-cloud-amd64; save_other_kernel ;;
    default-without)   from bookworm; guest_apt install linux-image-cloud-amd64; newest_without ;;
    built-in)          from bookworm
                       kernel=$(own_kernel "$here/kernel.config" "$here/kernel-virtio.config")
                       install_own_kernel "$kernel" ;;
    none-at-all)       from bookworm
                       kernel=$(own_kernel "$here/kernel.config" "$here/kernel-ata.config")
                       install_own_kernel "$kernel" ;;
    lvm)               from bookworm; guest_apt install lvm2 ;;
    xfs)               from bookworm; guest_apt install xfsprogs ;;
    btrfs)             from bookworm; guest_apt install btrfs-progs ;;
    extlinux)          from bookworm ;;
    systemd-boot)      from bookworm; efi_system; esp_entries ;;
    uki)               from trixie; efi_system systemd-ukify; esp_uki ;;
    no-cloud-init)     from bookworm; in_guest "$tree" dpkg --purge cloud-init >&2 ;;
    cloud-init-disabled) from bookworm; touch "$tree/etc/cloud/cloud-init.disabled" ;;
    cloud-init-masked) from bookworm
                       in_guest "$tree" systemctl mask cloud-init-local cloud-init cloud-config cloud-final >&2 ;;
    cloud-init-ec2)    from bookworm
                       echo 'datasource_list: [ Ec2 ]' >"$tree/etc/cloud/cloud.cfg.d/99_local.cfg" ;;
    root-sda)          from bookworm; by_device=yes root_device=/dev/sda1 ;;
    missing-disk)      from bookworm
                       mkdir "$tree/data"
                       fstab UUID=11111111-2222-3333-4444-555555555555 /data ext4 defaults 2 ;;
    eth0-renamed)      from bookworm
                       sed -i 's/net.ifnames=0 //' "$tree/etc/default/grub" ;;
    *) die "no guest $guest" ;;
  esac
  [ -z "$by_device" ] || echo 'GRUB_DISABLE_LINUX_UUID=true' >>"$tree/etc/default/grub"
  case $guest in
    lvm|xfs|btrfs|extlinux) "disk_$guest" "$disk" ;;
    systemd-boot|uki) disk_efi "$disk" ;;
    *) disk_ext4 "$disk" ;;
  esac
}

# GRUB starts the last version, unless it remembers another.
save_other_kernel() {
  local kernel
  kernel=$(find "$tree/usr/lib/modules" -mindepth 1 -maxdepth 1 -not -name '*cloud*' -printf '%f')
  sed -i 's/^GRUB_DEFAULT=.*/GRUB_DEFAULT=saved/' "$tree/etc/default/grub"
  in_guest "$tree" grub-set-default \
    "gnulinux-advanced-$ROOT_UUID>gnulinux-$kernel-advanced-$ROOT_UUID"
}

# The initramfs of the kernel that starts, and of no other, lacks virtio.
newest_without() {
  local conf="$tree/etc/initramfs-tools/initramfs.conf"
  sed -i 's/^MODULES=.*/MODULES=list/' "$conf"
  echo ext4 >>"$tree/etc/initramfs-tools/modules"
  in_guest "$tree" update-initramfs -u -k "$(newest_kernel)" >&2
  sed -i 's/^MODULES=.*/MODULES=most/' "$conf"
}

compressed_modules() {
  find "$tree/usr/lib/modules" -name '*.ko' -print0 |
    xargs -0 -n 64 -P "$(nproc)" xz --check=crc32 -0
  in_guest "$tree" depmod "$(newest_kernel)"
  update
}

main() {
  local guest image stamp want
  [ "${1:-}" != --list ] || { printf '%s\n' "${GUESTS[@]}"; return; }
  [ $# -gt 0 ] || set -- "${GUESTS[@]}"
  require unshare flock tar sha256sum mmdebstrap mke2fs e2fsck sfdisk losetup \
    lvm qemu-img mkfs.xfs mkfs.btrfs mkfs.vfat mcopy extlinux
  [ "$EUID" -eq 0 ] || skip 'needs root'
  open_cache boot
  want=$(recipe "${BASH_SOURCE[0]}" "$here"/../images/debian.sh "$here"/kernel*.config)
  for guest; do
    image="$cache/boot/$guest.qcow2" stamp="$cache/boot/.$guest.recipe"
    if [ ! -e "$image" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
      say "building $guest"
      rm -f "$stamp"
      tree="$work/tree"
      build "$work/disk" >&2
      to_qcow2 "$work/disk" "$work/image"
      mv "$work/image" "$image"
      echo "$want" >"$stamp"
      rm -rf "$tree" "$work/disk"
    fi
    echo "$image"
  done
}

main "$@"
