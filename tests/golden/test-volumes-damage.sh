#!/usr/bin/env bash
# Bytes changed in the metadata of LVM2 and md: the root that lies on them is
# found or unknown, never "none"; nothing crashes.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs python3
export PYTHONDONTWRITEBYTECODE=1
golden=$srcdir/tests/golden
mkdir -p "$tmp/root"/{etc,usr/bin,sbin}
echo 'ID=small' > "$tmp/root/etc/os-release"
truncate -s 256K "$tmp/fs"
mke2fs -q -t ext4 -b 1024 -N 32 -O ^has_journal,^resize_inode -d "$tmp/root" "$tmp/fs"
python3 "$golden/lvm_text.py" guest "$tmp/fs" 1 > "$tmp/lvm"
python3 "$golden/md.py" $((2 << 20)) 2 level=1 disks=1 role=0 name=h:a data=$((64 << 10)) \
  size=$((256 << 10)) contents="$tmp/fs" > "$tmp/md"

# damage IMAGE FIRST LENGTH PLACES: one byte at a time, spread over the range.
damage ()
{
  local image=$1 first=$2 length=$3 places=$4 i off family status n=0
  assert_equal "$image" "$("$XRAYFS" cat "$tmp/$image" os/family)" linux
  for ((i = 0; i < places; i++)); do
    off=$((first + i * length / places))
    cp "$tmp/$image" "$tmp/disk.img"
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2])); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 0x11]))' "$tmp/disk.img" $off
    family=$("$XRAYFS" cat "$tmp/disk.img" os/family 2> "$tmp/log") || { status=$?; fail "$image: $off: status $status: $(cat "$tmp/log")"; }
    case $family in
      unknown) n=$((n + 1)) ;;
      linux) ;;
      *) fail "$image: byte $off changed: $family" ;;
    esac
  done
  note "$image: $places places, $n of them unknown"
  [ "$n" -gt 0 ] || fail "$image: no byte was of importance"
}
damage lvm 4096 64 16                # header of the metadata area
damage lvm $((4096 + 60440)) 1000 20 # the text, up to the area's end
damage lvm $((4096 + 512)) 100 8     # and what goes round
# But for the magic number and the place (144) by which libblkid knows it.
damage md $((4096 + 8)) 136 12
damage md $((4096 + 152)) 104 12
