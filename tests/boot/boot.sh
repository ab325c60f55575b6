#!/usr/bin/env bash
# Starts a disk image as a cloud would, its disk on virtio-blk and nowhere
# else, and tells how far the guest gets.
#
#   boot.sh IMAGE EXPECT       EXPECT: userspace | no-root
#
# Prints one line. Exit status: 0 as expected, 1 otherwise, 77 without qemu.
# The image is not written to. BOOT_TIMEOUT is in seconds, BOOT_ACCEL (kvm or
# tcg) overrides what is found out, BOOT_LOG names a file for the console.

set -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
srcdir=${srcdir:-$here/../..}
# shellcheck source=tests/functions.sh
. "$here/../functions.sh"
unset MALLOC_PERTURB_   # QEMU is not under test, and is slow enough

readonly QEMU=qemu-system-x86_64
readonly USERSPACE='login: '
readonly NO_ROOT='Gave up waiting for root|\(initramfs\)'
readonly INTERVAL=0.5
readonly TIMEOUT=${BOOT_TIMEOUT:-900}

usage() { echo "usage: ${0##*/} IMAGE userspace|no-root" >&2; exit 2; }

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

# QEMU's option syntax doubles the commas of a file name.
boot() {
  local image=$1 accel=$2 format
  format=$(image_format "$image")
  : >"$console"
  TMPDIR=$tmp start_qemu "$accel" -m 1024 -snapshot \
    -drive "file=${image//,/,,},format=$format,if=virtio" \
    -nic user,restrict=on,model=virtio-net-pci -serial "file:$console"
}

outcome() {
  case $(await "$USERSPACE|$NO_ROOT" "$console" "$TIMEOUT") in
    "$USERSPACE") echo userspace ;;
    '') echo neither ;;
    *) echo no-root ;;
  esac
}

report() {
  local name=${1##*/} found=$2 expect=$3 how="$SECONDS s, $accel"
  if [ "$found" = "$expect" ]; then
    echo "PASS $name: $found ($how)"
    return
  fi
  echo "FAIL $name: $found, expected $expect ($how)"
  { cat "$tmp/qemu.log"; tail -n 20 "$console"; } | sed 's/^/  | /' >&2
  return 1
}

main() {
  local found
  [ $# -eq 2 ] || usage
  case $2 in userspace|no-root) ;; *) usage ;; esac
  requires "$QEMU" qemu-img

  qemu=''
  at_exit stop_qemu
  console=${BOOT_LOG:-$tmp/console.log}
  accel=${BOOT_ACCEL:-}
  if [ -z "$accel" ]; then
    if kvm_works 2>/dev/null; then accel=kvm; else accel=tcg; fi
  fi

  SECONDS=0
  boot "$1" "$accel"
  found=$(outcome)
  stop_qemu
  report "$1" "$found" "$2"
}

main "$@"
