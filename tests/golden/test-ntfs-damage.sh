#!/usr/bin/env bash
# NTFS that is dirty, hibernated, cut off or damaged: a state, a finding, an
# error that names the place, and never another answer.
. "${srcdir:-.}/tests/functions.sh"
requires python3

walk=$(tool fs-walk)
img=$tmp/img

# An image of fuzz/corpus, expanded.
fresh ()
{
  python3 - "$srcdir/fuzz/corpus/ntfs/$1" "$img" << 'EOF'
import struct, sys
data = open(sys.argv[1], "rb").read()
image, i = bytearray(1536 * 1024), 4
while i + 6 <= len(data):
    off, size = struct.unpack_from(">IH", data, i)
    image[off:off + size] = data[i + 6:i + 6 + size]
    i += 6 + size
open(sys.argv[2], "wb").write(image)
EOF
}

# change CODE: Python, with the image as `d`, the MFT at `mft`, and record (n)
# and attribute (n, type) to find the places in it.
change ()
{
  python3 - "$img" "$1" << 'EOF'
import struct, sys
d = bytearray(open(sys.argv[1], "rb").read())
cluster = struct.unpack_from("<H", d, 11)[0] * d[13]
mft = struct.unpack_from("<Q", d, 48)[0] * cluster
mirror = struct.unpack_from("<Q", d, 56)[0] * cluster
def record(n): return mft + n * 1024
def attribute(n, kind):
    at = record(n) + struct.unpack_from("<H", d, record(n) + 20)[0]
    while struct.unpack_from("<I", d, at)[0] != kind:
        at += struct.unpack_from("<I", d, at + 4)[0]
    return at
def value(n, kind):
    at = attribute(n, kind)
    return at + struct.unpack_from("<H", d, at + 20)[0]
def data(n):
    at = attribute(n, 0x80)
    p = at + struct.unpack_from("<H", d, at + 32)[0]
    a, b = d[p] & 15, d[p] >> 4
    return int.from_bytes(d[p + 1 + a:p + 1 + a + b], "little") * cluster
exec(sys.argv[2])
open(sys.argv[1], "wb").write(d)
EOF
}

state () { "$walk" --info -t ntfs "$img" | sed -n 's/^state=//p'; }
findings () { "$walk" --check -t ntfs "$img"; }

# finds WHAT TEXT: and all files as before.
finds ()
{
  [[ $(findings) = *"$2"* ]] || fail "$1: $(findings)"
  "$walk" -l -t ntfs "$img" > "$tmp/ours" || fail "$1: files are lost"
  cmp "$tmp/wanted" "$tmp/ours" || fail "$1: files differ"
}

# refused WHAT TEXT
refused ()
{
  local got
  got=$("$walk" -l -t ntfs "$img") && fail "$1: was read"
  [[ ${got//\\x20/ } = *"$2"* ]] || fail "$1: $got"
}

fresh compressed
"$walk" -l -t ntfs "$img" > "$tmp/wanted"
assert_equal state "$(state)" clean
assert_equal check "$(findings)" ok

change 'd[value (3, 0x70) + 10] |= 1'
assert_equal dirty "$(state)" dirty
finds dirty 'volume is marked dirty'

fresh compressed
change 'd[data (2) + 60:data (2) + 64] = d[data (2) + 4156:data (2) + 4160] = b"\0\0\0\0"'
assert_equal log "$(state)" needs-recovery
finds log '$LogFile was not closed'

fresh compressed
change 'd[mirror + 1024 + 100] ^= 1'
finds mirror '$MFTMirr differs from $MFT in record 1'
change 'd[mirror:mirror + 4096] = bytes (4096)'
finds mirror 'in record 0'

fresh compressed
change 'd[len (d) - 512 + 20] ^= 1'
finds 'backup boot sector' 'backup boot sector differs'

fresh compressed
truncate -s 1572000 "$img"
finds 'cut off' 'backup boot sector is not on the partition'
truncate -s 1100000 "$img"
[[ $(findings) = *'bytes is cut off: 472064 bytes are missing'* ]] || fail "cut off: $(findings)"

fresh reparse
assert_equal hibernated "$(state)" clean
ino=$("$walk" -t ntfs "$img" | sed -n 's,^/hiberfil.sys .* ino=\([0-9]*\) .*,\1,p')
change "v = value ($ino, 0x80); d[v:v + 4] = b'HIBR'"
assert_equal hibernated "$(state)" hibernated
change "v = value ($ino, 0x80); d[v:v + 4] = bytes (4)"
assert_equal woken "$(state)" clean

# Times before all times.
fresh compressed
change 'v = value (5, 0x10); d[v:v + 32] = (b"\0" * 7 + b"\x80") * 4'
"$walk" -t ntfs "$img" | grep -q '^/ .* mtime=-933981677286' || fail "times"

# A record that was written in part, or is another's.
fresh compressed
ino=$("$walk" -t ntfs "$img" | sed -n 's,^/dir .* ino=\([0-9]*\) .*,\1,p')
change "d[record ($ino) + 510] ^= 1"
refused 'torn record' "inode $ino: MFT record is damaged"
fresh compressed
change "d[record ($ino) + 16] ^= 2"
refused 'stale name' 'name of an inode that is no more'
# A block of names.
fresh compressed
change 'i = d.index (b"INDX", data (11) if 0 else 0x1000)
while b"l\0o\0n\0g\0e\0r" not in d[i:i + 4096]: i = d.index (b"INDX", i + 1)
d[i + 16] ^= 8'
refused 'index block' 'belongs somewhere else'

# Each prefix of an image: errors, and what is shown is as it was.
for seed in compressed reparse; do
  fresh "$seed"
  "$walk" -l -t ntfs "$img" | sed 's/ .*//' > "$tmp/names"
  for size in 0 511 512 4096 20000 90000 100000 600000 1050000 1060000 1070000; do
    fresh "$seed"
    truncate -s "$size" "$img"
    timeout 20 "$walk" -l -t ntfs "$img" > "$tmp/ours" && [ "$size" -lt 1000000 ] \
      && fail "$seed: $size bytes were enough"
    grep -a -v '^error:' "$tmp/ours" | sed 's/ .*//' | grep -v -x -F -f "$tmp/names" \
      && fail "$seed: $size: a new name"
  done
done
note "all as it should be"
