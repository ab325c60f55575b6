#!/usr/bin/env bash
# dmg: every method and both kinds of table against qemu-img where it reads
# them, against the data where it does not; real images; damage.
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/formats.sh"
export NO_MAP=1 PYTHONDONTWRITEBYTECODE=1
dmg=$srcdir/tests/golden/dmg.py

make_dmg () { python3 "$dmg" "$disk_raw" "$@" || fail "$*"; }

# Where Debian's qemu-img has no module for the method.
same_as_raw ()
{
  "$block_cat" "$1" > got.raw || fail "$1: not read"
  cmp got.raw "$disk_raw" || fail "$1: contents differ"
  "$block_cat" --random 3 100 "$disk_raw" --threads 3 "$1" ||
    fail "$1: random reads"
  note "$1: same as its data"
}

cd "$tmp"
make_dmg zlib.dmg
make_dmg raw.dmg methods=raw chunk_sectors=100
make_dmg mixed.dmg methods=zlib,raw chunk_sectors=7 split=1,34,9000,14336
make_dmg fork.dmg fork=1 split=40,4000
make_dmg ignore.dmg ignore=1 chunk_sectors=64 split=100
make_dmg offset.dmg methods=raw,zlib prefix=777 data_offset=13
make_dmg no-sums.dmg sums=0
for i in zlib raw mixed fork ignore offset no-sums; do
  same $i.dmg dmg
  clean $i.dmg
done
for i in bzip2 lzma adc; do
  make_dmg $i.dmg methods=$i
  same_as_raw $i.dmg
  clean $i.dmg
done
# LZFSE takes a library and a program that Debian 12 does not have.
if ! grep -q '^#define HAVE_LIBLZFSE' "$builddir/config.h" ||
  ! command -v lzfse > /dev/null; then
  note "no liblzfse here, or no lzfse: LZFSE is left out"
else
  make_dmg lzfse.dmg methods=lzfse,zlib
  same_as_raw lzfse.dmg
  clean lzfse.dmg
fi
make_dmg all.dmg methods=raw,bzip2,lzma,adc,zlib chunk_sectors=33
same_as_raw all.dmg
clean all.dmg
# qemu gives an error for chunks that do not ascend.
make_dmg shuffle.dmg shuffle=1
same_as_raw shuffle.dmg
clean shuffle.dmg

# 7-Zip is another reader of what qemu-img does not read.
if command -v 7z > /dev/null; then
  for i in adc bzip2; do
    7z e -so $i.dmg 2> /dev/null | cmp - "$disk_raw" || fail "7z: $i.dmg"
  done
fi

# The last sector of a raw file is filled up.
head -c 12345 "$disk_raw" > odd.raw
python3 "$dmg" odd.raw odd.dmg
same odd.dmg dmg
head -c 3000000 /dev/zero > zero.raw
python3 "$dmg" zero.raw zero.dmg
same zero.dmg dmg
assert_equal "all zero" "$("$block_cat" --status zero.dmg)" "0 3000320 hole"

# Holes: zeros and free space are none of the data, neighbours are one.
assert_equal "subformat" \
  "$("$XRAYFS" cat adc.dmg image/subformat image/version image/compression)" \
  $'UDCO\n4\nadc'
assert_equal "compression" "$("$XRAYFS" cat all.dmg image/compression)" \
  "adc, zlib, bzip2, lzma"
"$XRAYFS" ls raw.dmg image | grep -qx compression && fail "raw is compressed"
"$block_cat" --map raw.dmg > map
[ "$(grep -c data map)" -lt 6 ] || fail "raw chunks are not joined"

# Each read fails once.
head -c 40000 "$disk_raw" > small.raw
python3 "$dmg" small.raw small.dmg methods=zlib,raw,bzip2 chunk_sectors=9
"$block_cat" --fault small.dmg > /dev/null || fail "fault"

for i in dfvfs/hfsplus_zlib.dmg dfvfs/hfsplus_zlib~2.dmg; do
  if image=$(corpus "$i"); then
    same "$image" dmg
    clean "$image"
  else
    note "no corpus: $i is left out"
  fi
done

# --- damage ----------------------------------------------------------------
python3 - "$srcdir" << 'EOF'
import struct, sys
sys.path.insert(0, sys.argv[1] + "/tests/golden")
from dmg import *
raw = bytes(range(256)) * 4
good = build(raw, ["zlib"], 1)
T = len(good) - 512
def put(name, data):
    with open(name, "wb") as f:
        f.write(data)
def at(off, fmt, value):
    b = bytearray(good)
    struct.pack_into(fmt, b, T + off, value)
    return bytes(b)
put("version.dmg", at(4, ">I", 5))
put("header-size.dmg", at(8, ">I", 0))
put("segments.dmg", at(0x3c, ">I", 3))
put("data-fork.dmg", at(0x18, ">Q", len(good)))
put("sectors.dmg", at(0x1ec, ">Q", 1 << 55))
put("xml-off.dmg", at(0xd8, ">Q", 1 << 63))
put("xml-len.dmg", at(0xe0, ">Q", 1 << 40))
put("no-tables.dmg", at(0xe0, ">Q", 0))
put("fork-off.dmg", at(0x30, ">Q", len(good)))
put("fork-empty.dmg", at(0x30, ">Q", 5))
put("cut-xml.dmg", at(0xe0, ">Q", 400))
put("base64.dmg", good.replace(b"bWlzaA", b"bWlz?A"))
def chunks(*c, data=b"", n=None, sectors=8, **more):
    return finish(data, [mish(0, sectors, list(c), n=n)], sectors, **more)
put("overlap.dmg", chunks(chunk("zero", 0, 5), chunk("zero", 4, 4)))
put("announced.dmg", chunks(chunk("zero", 0, 8), n=2))
put("more.dmg", chunks(chunk("zero", 0, 4), chunk("zero", 4, 4), n=1))
put("sector.dmg", chunks(chunk("zero", (1 << 64) - 1, 8)))
put("table-cut.dmg", finish(b"", [mish(0, 8, [])[:100]], 8))
put("fork-cut.dmg", finish(b"", [mish(0, 8, [])[:150]], 8, fork=True))
# These open: what is there can be read.
put("gap.dmg", chunks(chunk("zero", 0, 3), chunk("zero", 5, 3)))
put("short.dmg", chunks(chunk("raw", 0, 8, 0, 1000), data=b"x" * 4096))
put("type.dmg", chunks(chunk("zero", 0, 4), chunk(0x80000009, 4, 4)))
put("beyond.dmg", chunks(chunk("raw", 0, 8, 1 << 40, 4096)))
put("overflow.dmg", chunks(chunk("zlib", 0, 8, (1 << 64) - 1, 4096)))
put("large.dmg", chunks(chunk("zlib", 0, 1 << 30, 0, 10), sectors=1 << 30))
put("stored.dmg", chunks(chunk("zlib", 0, 8, 0, 1 << 33)))
put("rubbish.dmg", chunks(chunk("zlib", 0, 8, 0, 100), data=b"x" * 100))
put("less.dmg", chunks(chunk("zlib", 0, 8, 0, 100),
                       data=zlib.compress(bytes(4095)).ljust(100)))
put("extra.dmg", chunks(chunk("bzip2", 0, 8, 0, 100),
                        data=bz2.compress(bytes(4097)).ljust(100)))
put("adc-back.dmg", chunks(chunk("adc", 0, 8, 0, 2), data=b"\x00\x05"))
put("xz-memory.dmg", chunks(chunk("lzma", 0, 8, 0, 200), data=lzma.compress(
    bytes(4096), filters=[{"id": lzma.FILTER_LZMA2,
                           "dict_size": 1 << 30}]).ljust(200)))
put("lzfse.dmg", chunks(chunk("lzfse", 0, 8, 0, 8), data=b"bvx-1234"))
put("longer.dmg", chunks(chunk("zero", 0, 9)))
put("master.dmg", at(0x168, ">I", 1))
put("data-sum.dmg", at(0x58, ">I", 1))
bad = bytearray(build(raw, ["raw"], 1))
bad[3] ^= 1
put("flipped.dmg", bytes(bad))
EOF

# refused NAME WORDS: it does not open, and the message has the words.
refused ()
{
  "$block_cat" --info "$1.dmg" > out 2>&1 && fail "$1 was opened"
  grep -qF -- "$2" out || fail "$1: $(cat out)"
}
refused version 'version 5 is not known'
refused header-size 'trailer of 0 bytes'
refused segments 'segment 0 of 3'
refused data-fork 'data fork at'
refused sectors 'disk of 36028797018963968 sectors'
refused xml-off 'property list: '
refused xml-len 'property list: '
refused no-tables 'there is no block table'
refused fork-off 'resource fork: '
refused fork-empty 'resource fork: 5 bytes are too few'
refused cut-xml 'property list: <data> does not end'
refused base64 'is not base64'
refused overlap 'two chunks have the sector 4'
refused announced 'block table 1: it is cut off'
refused more 'block table 1: more chunks than the 1 announced'
refused sector 'block table 1: chunk of 8 sectors'
refused table-cut 'block table 1: it is cut off'
refused fork-cut 'block table 1: it is cut off'
printf 'encrcdsa\0\0\0\2%0500d' 0 > encrypted.dmg
refused encrypted 'the image is encrypted'
head -c 100 zlib.dmg > cut.dmg
assert_equal "without its trailer" "$("$XRAYFS" cat cut.dmg format)" raw

# unreadable NAME WORDS: it opens, the read is an error, the check says so.
unreadable ()
{
  "$block_cat" "$1.dmg" > /dev/null 2> out && fail "$1 was read"
  grep -qF -- "$2" out || fail "$1: $(cat out)"
  "$block_cat" --check "$1.dmg" > out || fail "$1: check"
  grep -qF -- "${3:-$2}" out || fail "$1: check: $(cat out)"
}
unreadable gap 'no chunk has sector 3' 'no chunk has the sectors 3 to 4'
unreadable short 'sector 1: raw chunk stores less'
unreadable type 'sector 4: chunk type 0x80000009 is not known'
unreadable beyond 'sector 0: chunk at 0x10000000000 lies beyond'
unreadable overflow 'lies beyond the end of the data'
unreadable large 'compressed chunk of 1073741824 sectors'
unreadable stored 'is too large'
for i in rubbish:zlib less:zlib extra:bzip2 adc-back:ADC; do
  unreadable "${i%:*}" "${i#*:} data are damaged"
done
unreadable xz-memory 'bytes of memory'
unreadable lzfse LZFSE

# findings NAME TEXT
findings ()
{
  "$block_cat" --check "$1.dmg" > out || fail "$1"
  grep -qF -- "$2" out || fail "$1: $(cat out)"
}
findings longer 'the chunks reach to sector 9, the disk to 8'
findings master 'the master checksum differs'
findings data-sum 'the checksum of the data fork differs'
findings flipped 'the checksum of block table 1 (from sector 0) differs'
