#!/usr/bin/env bash
# contents: the wrong file, made by the program that people make it with, is
# called what it is; bare, and inside a qcow2.
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img mke2fs sfdisk python3 tar
cd "$tmp"
left_out=

# with PROG COMMAND...: runs COMMAND if PROG is there.
with ()
{
  local prog=$1
  shift
  if command -v "$prog" > /dev/null; then
    "$@" > with.log 2>&1 || fail "$*: $(cat with.log)"
  else
    left_out="$left_out $prog"
    return 1
  fi
}

# is FILE VALUE KIND: and the same in a qcow2.
is ()
{
  local f got
  [ -f "$1" ] || return 0
  qemu-img convert -f raw -O qcow2 "$1" in.qcow2
  for f in "$1" in.qcow2; do
    got=$("$XRAYFS" cat "$f" contents evidence/contents | tr '\n' '|')
    case $got in
      "$2|"*"$3"*) ;;
      *) fail "$f ($1): got '$got', wanted '$2: $3'" ;;
    esac
  done
  count=$((count + 1))
}
count=0

mkdir dir
python3 -c 'print("some text\n" * 300, end="")' > dir/file
head -c 200000 /dev/urandom > dir/disk.img

# --- installers ----------------------------------------------------------
truncate -s 8k dir/boot.bin
if with xorriso xorriso -as mkisofs -quiet -V 'SETUP 1.0' -b boot.bin \
  -no-emul-boot -boot-load-size 4 -o boot.iso dir; then
  is boot.iso installer "bootable ISO 9660 image 'SETUP 1.0'"
  xorriso -as mkisofs -quiet -V PLAIN -o plain.iso dir > with.log 2>&1
  is plain.iso filesystem 'iso9660 without a partition table'
  # A hybrid: an MBR and a GPT, with a FAT filesystem behind the ISO's.
  truncate -s 2M efi.img
  mkfs.vfat efi.img > with.log 2>&1 || true
  xorriso -as mkisofs -quiet -V HYBRID -b boot.bin -no-emul-boot \
    -boot-load-size 4 -partition_offset 16 -append_partition 2 0xef efi.img \
    -o hybrid.iso dir > with.log 2>&1 || fail "$(cat with.log)"
  is hybrid.iso installer "bootable ISO 9660 image 'HYBRID'"
  assert_equal "hybrid" "$("$XRAYFS" cat hybrid.iso partition_table)" dos
  "$XRAYFS" cat hybrid.iso partitions/whole/files/file | cmp - dir/file || fail "hybrid's files"
  # A disk that once was such a stick, and was installed on since.
  truncate -s 8M fs.img
  mke2fs -q -F fs.img
  truncate -s 12M over.img
  printf 'label: gpt\nstart=4096, size=16384\n' | sfdisk -q over.img
  dd if=boot.iso of=over.img bs=2048 skip=16 seek=16 count=16 conv=notrunc \
    status=none
  dd if=fs.img of=over.img bs=512 seek=4096 conv=notrunc status=none
  is over.img disk 'a partition table (gpt)'
  # What is left of the ISO's filesystem is damaged, and does not matter.
  assert_equal "over: family" "$("$XRAYFS" cat over.img os/family)" none
fi
if with genisoimage genisoimage -quiet -udf -V BRIDGE -b boot.bin \
  -no-emul-boot -o udf.iso dir; then
  is udf.iso installer "bootable ISO 9660 image 'BRIDGE', with UDF"
fi
with wimlib-imagex wimlib-imagex capture dir x.wim && is x.wim installer WIM
with wimlib-imagex wimlib-imagex capture dir pipe.wim --pipable &&
  is pipe.wim installer 'pipable Windows imaging file'

# --- archives --------------------------------------------------------------
with zip zip -q -r x.zip dir && is x.zip archive 'zip archive'
with 7z 7z a -bd x.7z dir && is x.7z archive '7-Zip archive'
tar cf gnu.tar dir && is gnu.tar archive 'tar archive'
tar --format=pax -cf pax.tar dir && is pax.tar archive 'tar archive'
tar --format=v7 -cf v7.tar dir && is v7.tar archive 'tar archive'
cp dir/file vm.ovf
# A name that looks like something else.
cp dir/file BZh91AY
tar --format=v7 -cf name.tar BZh91AY && is name.tar archive 'tar archive'
if command -v cpio > /dev/null; then
  for i in newc odc bin crc; do
    find dir | cpio -o -H $i > $i.cpio 2> /dev/null
    is $i.cpio archive 'cpio archive'
  done
fi
with ar ar rc x.a dir/file && is x.a archive 'ar archive'
mkdir -p deb/DEBIAN
printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' \
  > deb/DEBIAN/control
with dpkg-deb dpkg-deb -b deb x.deb && is x.deb archive 'Debian package'
printf '\355\253\356\333\3\0%0100d' 0 > x.rpm
is x.rpm archive 'RPM package'
printf 'Rar!\032\7\1\0%0100d' 0 > x.rar
is x.rar archive 'RAR archive'

# --- compressed --------------------------------------------------------------
gzip -k dir/disk.img && is dir/disk.img.gz compressed "gzip of 'disk.img'"
gzip -c < dir/disk.img > no-name.gz && is no-name.gz compressed gzip
with xz xz -k dir/disk.img && is dir/disk.img.xz compressed xz
with xz xz -k --format=lzma dir/disk.img && is dir/disk.img.lzma compressed lzma
with xz xz -k --format=lzma -9 -S .lz9 dir/disk.img && is dir/disk.img.lz9 compressed lzma
with zstd zstd -q dir/disk.img && is dir/disk.img.zst compressed zstd
with bzip2 bzip2 -k dir/disk.img && is dir/disk.img.bz2 compressed bzip2
with bzip2 bzip2 -k vm.ovf && is vm.ovf.bz2 compressed bzip2
with lz4 lz4 -q dir/disk.img dir/disk.img.lz4 && is dir/disk.img.lz4 compressed lz4
with lz4 lz4 -q -l dir/disk.img dir/disk.img.lzl && is dir/disk.img.lzl compressed lz4
with lzop lzop dir/disk.img && is dir/disk.img.lzo compressed lzop

# --- other files -------------------------------------------------------------
cp "$(command -v tar)" elf && is elf other 'ELF program'
is dir/file other text
printf '<?xml version="1.0"?>\n<Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">\n' > x.ovf
is x.ovf other 'text: OVF descriptor'
printf '.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\n' > x.vmx
is x.vmx other 'text: VMware configuration (.vmx)'
printf '<domain type="kvm">\n' > x.xml
is x.xml other 'text: libvirt domain'
printf '\n<!DOCTYPE html>\n<title>403</title>\n' > download.qcow2
is download.qcow2 other 'text: HTML page'
printf '<?xml version="1.0"?>\n<x/>\n' > y.xml
is y.xml other 'text: XML'
printf '%%PDF-1.4\n\1' > x.pdf && is x.pdf other 'PDF document'
printf '\377\376t\0e\0x\0t\0\n\0' > utf16.txt && is utf16.txt other 'text (UTF-16)'
python3 - << 'EOF'
import struct
pe = bytearray(b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 0x80))
open("x.exe", "wb").write(bytes(pe.ljust(0x80, b"\0")) + b"PE\0\0" + bytes(99))
ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
open("x.msi", "wb").write(ole + bytes(600))
open("x.aff", "wb").write(b"AFF10\r\n\0" + bytes(600))
open("x.E01", "wb").write(b"EVF\t\r\n\xff\0" + bytes(600))
EOF
is x.exe other 'Windows program (PE)'
is x.msi other 'OLE compound file'
is x.aff other 'AFF image'
is x.E01 other 'Expert Witness image'
for i in dfvfs/ext2.E01 keramics/ext2.E01 containerized-data-importer/archive.tar; do
  if image=$(corpus "$i"); then
    case $i in
      *.tar) is "$image" archive 'tar archive' ;;
      *) is "$image" other 'Expert Witness image' ;;
    esac
  fi
done
head -c 9000 /dev/zero > zeros && is zeros empty 'nothing but zeros'
python3 -c 'import random; random.seed(2); open("noise", "wb").write(random.randbytes(70000))'
is noise other 'data of no known kind'

# --- filesystems, disks --------------------------------------------------------
truncate -s 4M ext.img
mke2fs -q -F ext.img
is ext.img filesystem 'ext2 without a partition table'
with mksquashfs mksquashfs dir x.squashfs -quiet -no-progress &&
  is x.squashfs filesystem 'squashfs without a partition table'
truncate -s 4M disk.img
printf 'label: dos\nstart=2048\n' | sfdisk -q disk.img
is disk.img disk 'a partition table (dos)'

# An image in an image.
qemu-img create -q -f vdi inner.vdi 1M
qemu-img convert -f raw -O qcow2 inner.vdi twice.qcow2
assert_equal "twice" "$("$XRAYFS" cat twice.qcow2 contents)" other
"$XRAYFS" cat twice.qcow2 evidence/contents |
  grep -qx 'another image (vdi) inside this one' || fail "twice: no reason"

# --- the verdict says which it was -----------------------------------------------
# reason FILE WORDS
reason ()
{
  [ -f "$1" ] || return 0
  "$XRAYFS" cat "$1" import/default/reasons/RootPartitionNotFound > out
  grep -qF -- "$2" out || fail "$1: $(cat out)"
}
reason boot.iso "this is an installation medium: bootable ISO 9660 image 'SETUP 1.0'."
reason x.wim 'this is an installation medium: Windows imaging file (WIM).'
reason gnu.tar 'this is an archive: tar archive.'
reason dir/disk.img.gz "this is a compressed file: gzip of 'disk.img'."
reason zeros 'this is an empty image: nothing but zeros.'
reason dir/file 'this is a wrong file: text.'
"$XRAYFS" cat dir/disk.img.gz import/default/remedy | grep -q decompress ||
  fail "no remedy"
note "$count files${left_out:+, left out for want of:$left_out}"
