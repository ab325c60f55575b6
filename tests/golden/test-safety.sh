#!/usr/bin/env bash
# safety: the rules of OpenStack's format inspector, as a table; and against
# the inspector itself where python3 has it (oslo.utils 7.3 or later).
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img mke2fs mkfs.vfat sfdisk python3
cd "$tmp"

for python in python3 /usr/bin/python3 none; do
  "$python" -c 'import oslo_utils.imageutils.format_inspector' 2> /dev/null &&
    break
done
[ "$python" != none ] || note "no format_inspector: the table alone"
count=0 compared=0

# is FILE safe | is FILE REASON...: exactly these.  ours FILE ...: for rules
# of our own, which the inspector does not have.
ours ()
{
  local file=$1
  shift
  "$XRAYFS" cat "$file" safety > got
  printf '%s\n' "$@" > want
  cmp -s got want || fail "$file: $(diff want got)"
  count=$((count + 1))
}

is ()
{
  ours "$@"
  [ "$python" != none ] || return 0
  local verdict
  verdict=$("$python" - "$1" 2> /dev/null << 'EOF'
import sys
from oslo_utils.imageutils import format_inspector as fi
try:
    fi.detect_file_format(sys.argv[1]).safety_check()
    print("safe")
except (fi.ImageFormatError, fi.SafetyCheckFailed):
    print("unsafe")
EOF
  )
  case $2:$verdict in
    safe:safe) ;;
    safe:*) fail "$1: the inspector says '$verdict'" ;;
    *:unsafe) ;;
    *) fail "$1: the inspector says '$verdict', we say $2" ;;
  esac
  compared=$((compared + 1))
}

# poke FILE OFFSET BYTES
poke () { printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# --- raw: the MBR --------------------------------------------------------------
truncate -s 4M dos.img
printf 'label: dos\nstart=2048, size=2048, type=83, bootable\n' | sfdisk -q dos.img
is dos.img safe
truncate -s 4M gpt.img
printf 'label: gpt\nstart=2048, size=2048\n' | sfdisk -q gpt.img
is gpt.img safe
cp gpt.img more.img
poke more.img $((446 + 16 + 4)) '\x83'
is more.img 'the MBR has partitions besides the protective one'
cp gpt.img lba.img
poke lba.img $((446 + 8)) '\x02'
is lba.img "the protective MBR's entry starts at sector 2, not 1"
cp gpt.img chs.img
poke chs.img $((446 + 1)) '\x01'
is chs.img "the protective MBR's entry starts at a wrong CHS"
cp dos.img second.img
poke second.img $((446 + 16 + 4)) '\xee'
poke second.img $((446 + 16 + 1)) '\0\002\0'
poke second.img $((446 + 16 + 8)) '\x01'
is second.img 'the MBR has partitions besides the protective one'
cp dos.img flag.img
poke flag.img $((446 + 32)) '\x01'
is flag.img 'MBR entry 3 has the boot flag 0x01'
truncate -s 1M empty-mbr.img
poke empty-mbr.img 510 '\x55\xaa'
is empty-mbr.img 'the MBR defines no partitions'

# --- raw: other ----------------------------------------------------------------
truncate -s 4M fat.img ext.img zero.img
mkfs.vfat fat.img > /dev/null
is fat.img safe
mke2fs -q -F ext.img
is ext.img safe
is zero.img safe
printf 'x' > tiny.img
is tiny.img safe
if command -v xorriso > /dev/null; then
  mkdir dir
  cp tiny.img dir
  xorriso -as mkisofs -quiet -o plain.iso dir > log 2>&1 || fail "$(cat log)"
  is plain.iso safe
  cp plain.iso hybrid.iso
  poke hybrid.iso 446 '\x80\0\0\0\x17\0\0\0\0\0\0\0\0\x01\0\0'
  poke hybrid.iso 510 '\x55\xaa'
  is hybrid.iso 'the file is valid as iso and as gpt'
fi
printf 'LUKS\272\276\0\2' > luks2.img
truncate -s 1M luks2.img
is luks2.img 'LUKS version 2 is not supported'
for ms in 20 100 400; do
  qemu-img create -q -f luks --object secret,id=s,data=abc \
    -o key-secret=s,iter-time=$ms luks1.img 1M 2> log && break
done
[ ! -f luks1.img ] || is luks1.img safe

# --- qcow2 ---------------------------------------------------------------------
qemu-img create -q -f qcow2 plain.qcow2 2M
is plain.qcow2 safe
qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 2M
is v2.qcow2 safe
qemu-img create -q -f qcow2 -o compression_type=zstd,lazy_refcounts=on zstd.qcow2 2M
is zstd.qcow2 safe
qemu-img create -q -f qcow2 -b plain.qcow2 -F qcow2 backed.qcow2
is backed.qcow2 "it refers to a backing file, 'plain.qcow2'"
qemu-img create -q -f qcow2 -u -b /etc/shadow -F raw outside.qcow2 2M
is outside.qcow2 "it refers to a backing file, '/etc/shadow'"
qemu-img create -q -f qcow2 -o data_file=data.raw data.qcow2 2M
is data.qcow2 "it refers to a data file, 'data.raw'"
qemu-img create -q -f qcow2 -o extended_l2=on extended.qcow2 2M
is extended.qcow2 'it uses the feature extended-l2'
cp v2.qcow2 place.qcow2
poke place.qcow2 8 '\0\0\0\0\0\0\x01\0'
is place.qcow2 'the header has a place for a backing file'
cp v2.qcow2 both.qcow2
poke both.qcow2 446 '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x01\0\0'
poke both.qcow2 510 '\x55\xaa'
is both.qcow2 'the file is valid as qcow2 and as gpt'
cp plain.qcow2 iso.qcow2
poke iso.qcow2 32769 CD001
is iso.qcow2 'the file is valid as qcow2 and as iso'

# --- of our own ------------------------------------------------------------------
head -c 65536 /dev/urandom > some.raw
PYTHONDONTWRITEBYTECODE=1 python3 "$srcdir/tests/golden/dmg.py" some.raw some.dmg
ours some.dmg safe
cp plain.qcow2 dmg.qcow2
cat some.dmg >> dmg.qcow2
ours dmg.qcow2 'the file is valid as qcow2 and as dmg'

# A read that fails leaves it unknown, with the reason.
"$XRAYFS" ls plain.qcow2 | grep -qx safety || fail "no row"
note "$count images, $compared compared with the inspector"
