#!/usr/bin/env bash
# OVA: the disk within is what qemu-img makes of it when it is taken out.
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/formats.sh"
requires tar

cd "$tmp"
ovf () # HREF [ATTRIBUTES] > FILE
{
  cat << EOF
<?xml version="1.0" encoding="UTF-8"?>
<!-- <Disk ovf:fileRef="no"/> <File ovf:id="file1" ovf:href="no"/> -->
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References>
    <File ovf:id="iso" ovf:href="cd.iso"/>
    <File ovf:size='1' ovf:href='$1' ovf:id='file1' ${2:-}/>
  </References>
  <DiskSection><Info>a > b</Info>
    <Disk ovf:capacity="9" ovf:diskId="empty"/>
    <Disk ovf:capacity="1" ovf:diskId="d" ovf:fileRef="file1"/>
  </DiskSection>
</Envelope>
EOF
}
# pack OVA TAR_FORMAT FILE...
pack () { tar --format="$2" -cf "$1" "${@:3}"; }
# same_disk OVA DISK SUBFORMAT
same_disk ()
{
  qemu-img convert -O raw "$2" want.raw
  "$block_cat" "$1" > got.raw || fail "$1: not read"
  cmp want.raw got.raw || fail "$1: contents differ"
  "$block_cat" --random 3 100 want.raw --threads 3 "$1" || fail "$1: reads"
  "$block_cat" --info "$1" > info
  assert_equal "$1: subformat" "$(sed -n 's/^subformat=//p' info)" "$3"
  assert_equal "$1: file" "$(sed -n 's/^extent_files=//p' info)" "$2"
  assert_equal "$1: check" "$("$block_cat" --check "$1")" \
    $'errors=0\nnotes=0'
  "$XRAYFS" cat "$1" format virtual_size disk_size > sizes
  assert_equal "$1: sizes" "$(cat sizes)" "ova
$(stat -c %s want.raw)
$(($(stat -c %b "$1") * 512))"
  # Seeks see what they see in the disk by itself, but for the holes of the
  # file around a raw disk.
  "$block_cat" --status "$1" > got.map
  "$block_cat" --status "$2" > want.map
  [ "$3" = raw ] || cmp want.map got.map || fail "$1: map differs"
  note "$1: same"
}
# refused OVA WORDS
refused ()
{
  ! "$block_cat" "$1" > out 2> err || fail "$1: is read"
  grep -qF "$2" err || fail "$1: $(cat err)"
}

qemu-img convert -O vmdk -o subformat=streamOptimized "$disk_raw" disk1.vmdk
qemu-img convert -O vmdk "$disk_raw" mono.vmdk
qemu-img convert -O qcow2 "$disk_raw" disk.qcow2
cp "$disk_raw" disk.img
echo nothing > cd.iso
echo SHA > vm.mf
long=$(printf 'l%.0s' {1..120}).ovf

ovf disk1.vmdk > vm.ovf
for format in ustar gnu pax v7 oldgnu; do
  pack $format.ova $format vm.ovf vm.mf cd.iso disk1.vmdk
  same_disk $format.ova disk1.vmdk "vmdk streamOptimized"
done
cp vm.ovf "$long"
for format in gnu pax; do
  pack long.ova $format "$long" disk1.vmdk
  same_disk long.ova disk1.vmdk "vmdk streamOptimized"
done
pack last.ova ustar ./cd.iso ./disk1.vmdk ./vm.ovf
"$block_cat" last.ova > got.raw && cmp got.raw "$disk_raw" || fail "last.ova"
ovf mono.vmdk > vm.ovf
pack mono.ova ustar vm.ovf disk1.vmdk mono.vmdk
same_disk mono.ova mono.vmdk "vmdk monolithicSparse"
ovf disk.qcow2 > vm.ovf
pack qcow2.ova ustar vm.ovf disk.qcow2
same_disk qcow2.ova disk.qcow2 qcow2
ovf disk.img > vm.ovf
pack raw.ova ustar vm.ovf disk.img
same_disk raw.ova disk.img raw
ovf 'a&amp;b &#x27;c.img' > vm.ovf
cp disk.img "a&b 'c.img"
pack entity.ova ustar vm.ovf "a&b 'c.img"
same_disk entity.ova "a&b 'c.img" raw
# An OVF that names no disk, and one that is no XML: the first that looks so.
echo "<Envelope/>" > vm.ovf
pack unnamed.ova ustar vm.ovf cd.iso disk1.vmdk disk.qcow2
same_disk unnamed.ova disk1.vmdk "vmdk streamOptimized"
head -c 100000 /dev/zero | tr '\0' '<' > vm.ovf
pack strange.ova ustar vm.ovf disk1.vmdk
same_disk strange.ova disk1.vmdk "vmdk streamOptimized"

# Without an OVF it is an archive, and no disk.
pack plain.tar ustar cd.iso disk1.vmdk
assert_equal "plain tar" raw "$("$XRAYFS" cat plain.tar format)"

# --- refused
ovf disk1.vmdk 'ovf:compression="gzip"' > vm.ovf
pack bad.ova ustar vm.ovf disk1.vmdk
refused bad.ova "disk 'disk1.vmdk' is compressed (gzip)"
ovf disk1.vmdk 'ovf:compression="identity"' > vm.ovf
pack ok.ova ustar vm.ovf disk1.vmdk
same_disk ok.ova disk1.vmdk "vmdk streamOptimized"
ovf disk1.vmdk 'ovf:chunkSize="1"' > vm.ovf
pack bad.ova ustar vm.ovf disk1.vmdk
refused bad.ova "is split"
ovf gone.vmdk > vm.ovf
pack bad.ova ustar vm.ovf disk1.vmdk
refused bad.ova "disk 'gone.vmdk' is not in the archive"
ovf packed.vmdk > vm.ovf
gzip -c disk1.vmdk > packed.vmdk
pack bad.ova ustar vm.ovf packed.vmdk
refused bad.ova "disk 'packed.vmdk' is compressed (gzip)"
ovf ok.ova > vm.ovf
pack bad.ova ustar vm.ovf ok.ova
refused bad.ova "an OVA within an OVA"
ovf vm.ovf > vm.ovf.new && head -c 2000000 /dev/zero >> vm.ovf.new
mv vm.ovf.new vm.ovf
pack bad.ova ustar vm.ovf disk1.vmdk
refused bad.ova "is too large"
# What a disk in an archive names would lie outside of it.
qemu-img create -q -f vmdk -b mono.vmdk -F vmdk child.vmdk
ovf child.vmdk > vm.ovf
pack bad.ova ustar vm.ovf child.vmdk
refused bad.ova "references to other files are refused"
"$block_cat" --check bad.ova | grep -q "^mono.vmdk: references" || fail "check"
"$block_cat" --safety bad.ova | grep -q "backing file, 'mono.vmdk'" ||
  fail "safety"

# --- cut off, damaged
ovf disk1.vmdk > vm.ovf
pack whole.ova ustar vm.ovf disk1.vmdk disk.img
size=$(stat -c %s disk.img)
head -c 6000000 whole.ova > cut.ova
"$block_cat" cut.ova > got.raw || fail "the disk before the cut is not read"
cmp got.raw "$disk_raw" || fail "cut.ova: contents differ"
start=$(python3 -c "import tarfile
print(tarfile.open('whole.ova').getmember('disk.img').offset_data)")
"$block_cat" --check cut.ova > check
grep -q "cut.ova is cut off: $((start + size - 6000000)) bytes" check ||
  fail "$(cat check)"
head -c 100000 ustar.ova > cut.ova
refused cut.ova "bytes are cut off"
python3 - << 'EOF'
import random
data = bytearray(open("whole.ova", "rb").read()[:1500000])
for name, off, value in [("size", 124, b"77777777777\0"),
                         ("base256", 124, b"\x80" + b"\xff" * 11),
                         ("negative", 124, b"\xff" * 12),
                         ("far", 124, b"\x80\0\0\0\x7f" + b"\xff" * 7),
                         ("type", 156, b"2"), ("sum", 148, b"0000001\0")]:
    d = bytearray(data)
    d[off:off + len(value)] = value
    if name != "sum":
        d[148:156] = b" " * 8
        d[148:156] = b"%06o\0 " % sum(d[:512])
    open(f"hostile-{name}.ova", "wb").write(d)
EOF
for i in hostile-*.ova; do
  timeout 20 "$block_cat" --format ova "$i" > out 2> err && fail "$i: is read"
  [ $? = 1 ] || fail "$i: $(cat err)"
done
ovf disk.img > vm.ovf
head -c 3000 disk.img > small.img
ovf small.img > vm.ovf
pack fault.ova ustar vm.ovf small.img
"$block_cat" --fault fault.ova > /dev/null || fail "fault"
