#!/usr/bin/env bash
# Starts a disk image as a cloud would, its disk on virtio-blk and nowhere
# else, its card a virtio-net, a config drive in the CD-ROM drive, and tells
# how far the guest gets.
#
#   boot.sh IMAGE
#
# Prints one line: the outcome, and behind it what the guest said of itself:
#   userspace [kernel=... root=... net=... card=... address=... cloud_init=...]
#   no-root      the initramfs or the kernel does not find the root filesystem
#   emergency    root is there, and the system stops before its services
#   neither      nothing of this until BOOT_TIMEOUT, or QEMU ended
# Exit status: 0, 1 for neither, 77 without qemu. The image is not written to.
# BOOT_TIMEOUT is in seconds, BOOT_ACCEL (kvm or tcg) overrides what is found
# out, BOOT_LOG names a file for the console, BOOT_WITNESS=yes waits for what
# the guest says of itself (see make-guests.sh) and not only for its login.

set -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
srcdir=${srcdir:-$here/../..}
# shellcheck source=tests/functions.sh
. "$here/../functions.sh"
unset MALLOC_PERTURB_   # QEMU is not under test, and is slow enough

readonly QEMU=qemu-system-x86_64
readonly WITNESS='xrayfs-witness kernel=[^ ]* root=[^ ]* net=[^ ]* card=[^ ]* address=[^ ]* cloud_init=[^ ]* (ran=[^ ]* )?end'
readonly LOGIN='login: '
readonly NO_ROOT='Gave up waiting for root|\(initramfs\)|rdsosreport\.txt|dracut:/#|VFS: Unable to mount root fs'
readonly EMERGENCY='You are in (emergency|rescue) mode'
readonly INTERVAL=0.5
readonly TIMEOUT=${BOOT_TIMEOUT:-900}
readonly FIRMWARE=/usr/share/ovmf/OVMF.fd

usage() { echo "usage: ${0##*/} IMAGE" >&2; exit 2; }

# start_qemu ACCEL ARGUMENT...
start_qemu() {
  "$QEMU" -machine "accel=$1,type=pc" -cpu max -display none -no-reboot \
    "${@:2}" >"$tmp/qemu.log" 2>&1 </dev/null &
  qemu=$!
}

stop_qemu() {
  [ -n "$qemu" ] || return 0
  kill "$qemu" 2>/dev/null || :
  wait "$qemu" 2>/dev/null || :
  qemu=
}

# await PATTERN FILE SECONDS: prints the first match. Gives up when qemu ends.
# It looks again and again, for a prompt is a line without an end, which grep
# would not give out when following the file.
await() {
  local deadline=$((SECONDS + $3)) running=1 found
  while [ $running -eq 1 ] && [ $SECONDS -lt $deadline ]; do
    kill -0 "$qemu" 2>/dev/null || running=0
    if found=$(grep -aoE -m1 "$1" "$2"); then
      echo "${found%%$'\n'*}"
      return
    fi
    sleep "$INTERVAL"
  done
  return 1
}

# /dev/kvm may exist and open and still abort: only a BIOS that runs is proof.
kvm_works() {
  local log="$tmp/bios.log" status=1
  [ -w /dev/kvm ] || return 1
  : >"$log"
  start_qemu kvm -m 64 -chardev "file,id=bios,path=$log" \
    -device isa-debugcon,iobase=0x402,chardev=bios
  if await SeaBIOS "$log" 20 >/dev/null; then status=0; fi
  stop_qemu
  return $status
}

image_format() {
  qemu-img info --output=json "$1" | sed -n 's/^ *"format": "\([^"]*\)".*/\1/p' | tail -n1
}

# What the provider puts into the drive of a new instance.
config_drive() {
  local drive="$tmp/config" data
  data="$drive/openstack/latest"
  mkdir -p "$data"
  printf '{"uuid": "5f3b9a10-0000-4000-8000-78726179", "hostname": "proof"}\n' >"$data/meta_data.json"
  printf '#cloud-config\n{}\n' >"$data/user_data"
  genisoimage -quiet -R -J -V config-2 -o "$tmp/config.iso" "$drive"
}

# A disk with an ESP, and nothing in its boot sector, is started by UEFI.
by_uefi() {
  local first
  first=$(qemu-img dd -U -O raw "if=$1" of="$tmp/first" bs=446 count=1 2>/dev/null &&
    tr -d '\0' <"$tmp/first" | wc -c)
  [ "${first:-1}" -eq 0 ]
}

# QEMU's option syntax doubles the commas of a file name.
boot() {
  local image=$1 accel=$2 format firmware=()
  format=$(image_format "$image")
  if by_uefi "$image"; then
    [ -e "$FIRMWARE" ] || skip "needs $FIRMWARE"
    firmware=(-bios "$FIRMWARE")
  fi
  config_drive
  : >"$console"
  TMPDIR=$tmp start_qemu "$accel" -m 1024 -snapshot "${firmware[@]}" \
    -drive "file=${image//,/,,},format=$format,if=virtio" \
    -drive "file=$tmp/config.iso,format=raw,if=ide,media=cdrom,readonly=on" \
    -nic user,restrict=on,model=virtio-net-pci -serial "file:$console"
}

outcome() {
  local sign=$LOGIN found
  [ -z "${BOOT_WITNESS:-}" ] || sign=$WITNESS
  found=$(await "$sign|$NO_ROOT|$EMERGENCY" "$console" "$TIMEOUT") || :
  case $found in
    xrayfs-witness*) found=${found#xrayfs-witness}; echo "userspace${found% end}" ;;
    "$LOGIN") echo userspace ;;
    '') echo neither; return 1 ;;
    'You are'*) echo emergency ;;
    *) echo no-root ;;
  esac
}

main() {
  local status=0
  [ $# -eq 1 ] || usage
  requires "$QEMU" qemu-img genisoimage

  qemu=''
  at_exit stop_qemu
  console=${BOOT_LOG:-$tmp/console.log}
  accel=${BOOT_ACCEL:-}
  if [ -z "$accel" ]; then
    if kvm_works 2>/dev/null; then accel=kvm; else accel=tcg; fi
  fi
  boot "$1" "$accel"
  outcome || status=$?
  stop_qemu
  [ $status -eq 0 ] || { cat "$tmp/qemu.log"; tail -n 20 "$console"; } | sed 's/^/  | /' >&2
  return $status
}

main "$@"
