#!/bin/bash
# xrayfs: qcow images of version 1 give the bytes and the facts that qemu-img
# gives; encrypted and damaged ones say so
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "${srcdir:-.}/tests/golden/formats.sh"
requires truncate
cd "$tmp"

# --- what qemu-img writes -----------------------------------------------------
while read -r name size; do
  qemu-img create -q -f qcow "$name.qcow" "$size"
  same "$name.qcow"
  clean "$name.qcow"
done << 'END'
tiny    512
odd     1000
small   1M
empty   7340544
large   200M
END
# qemu-img compresses whole clusters only, and for this format 7.2 ends with a
# status of 1 when all is written.
head -c 7M disk.raw > whole.raw
while read -r name from options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O qcow $options "$from.raw" "$name.qcow" ||
    qemu-img compare -q "$from.raw" "$name.qcow" || fail "convert: $name"
  same "$name.qcow"
  clean "$name.qcow"
done << 'END'
plain   disk
zlib    whole -c
full    disk  -S 0
fall    disk  -o preallocation=falloc
END
for i in plain zlib; do # some of the zlib ones are written again
  patterns qcow "$i.qcow"
  same "$i.qcow"
  clean "$i.qcow"
done
"$block_cat" --info zlib.qcow > info
for i in format=qcow version=1 compression=zlib cluster_size=4096; do
  grep -qx "$i" info || fail "no $i in $(cat info)"
done
grep -q ^backing info && fail "there is no backing file"
assert_equal "safety" "$("$block_cat" --safety zlib.qcow)" \
  "it is a qcow of version 1, which OpenStack refuses"

# --- backing files: clusters of 512 bytes, tables of 32 KiB -----------------
qemu-img create -q -f raw small.raw 3M
qemu-io -f raw -c "write -P 7 1M 1M" small.raw > io.log
qemu-img create -q -f qcow -b zlib.qcow -F qcow a.qcow
qemu-img create -q -f qcow -b small.raw -F raw b.qcow 7M # a short one
qemu-img create -q -f qcow -b a.qcow -F qcow c.qcow 20M
for i in a b c; do
  same "$i.qcow"
  patterns qcow "$i.qcow"
  same "$i.qcow"
  clean "$i.qcow"
done
assert_equal "chain" "$("$block_cat" --info c.qcow | sed -n 's/^backing_chain=//p')" \
  $'a.qcow\nzlib.qcow'
mkdir alone
cp a.qcow alone/
refused alone/a.qcow "no such file"
says alone/a.qcow "no such file"
"$block_cat" --info alone/a.qcow 2> info.err | grep -qx "backing_file=zlib.qcow" ||
  fail "a missing backing file hides the image"

# --- encrypted ----------------------------------------------------------------
qemu-img create -q -f qcow --object secret,id=s,data=abc \
  -o encrypt.format=aes,encrypt.key-secret=s aes.qcow 1M 2> create.log ||
  fail "$(cat create.log)"
"$block_cat" --info aes.qcow | grep -qx encrypted=aes || fail "encrypted"
qemu-io --object secret,id=s,data=abc --image-opts -c "write -P 1 0 64k" \
  driver=qcow,encrypt.key-secret=s,file.filename=aes.qcow > io.log
refused aes.qcow "data are encrypted (AES)"
clean aes.qcow

# --- damage -------------------------------------------------------------------
cp plain.qcow cut.qcow
length=$(stat -c %s cut.qcow)
truncate -s $((length - 5000)) cut.qcow
refused cut.qcow "the end of the file"
says cut.qcow "5000 bytes are missing at its end"
cp zlib.qcow cut-zlib.qcow
truncate -s 500000 cut-zlib.qcow
refused cut-zlib.qcow "the end of the file"

# Two clusters at one place, an L2 table twice, offsets that are not aligned.
python3 - << 'END'
import struct
def image(name, l2=(), l1=None, cut=None, **head):
    h = dict(magic=b"QFI\xfb", version=1, boff=0, blen=0, mtime=0, size=1 << 16,
             bits=9, l2_bits=6, crypt=0, l1off=48)
    h.update(head)
    data = bytearray(16384)
    data[:48] = struct.pack(">4sIQIIQBBHIQ", h["magic"], h["version"], h["boff"],
                            h["blen"], h["mtime"], h["size"], h["bits"],
                            h["l2_bits"], 0, h["crypt"], h["l1off"])
    l1 = l1 or (512,)
    data[48:48 + 8 * len(l1)] = struct.pack(f">{len(l1)}Q", *l1)
    data[512:512 + 8 * len(l2)] = struct.pack(f">{len(l2)}Q", *l2)
    data[4096:] = b"\x55" * (16384 - 4096)
    with open(name, "wb") as f:
        f.write(data[:cut])
C = 1 << 63
image("good", (4096, 4608, 0, 8192))
image("twice", (4096, 4608, 4096))
image("on-table", (4096, 512))
image("on-packed", (C | 16 << 54 | 4100, 4096))
image("table-twice", (4096,), (512, 512))
image("unaligned", (4097,))
image("l2-unaligned", (4096,), (513,))
image("l2-beyond", (4096,), (1 << 30,))
image("l2-far", (4096,), (1 << 62,))
image("beyond", (16384,))
image("far", (1 << 60,))
image("rubbish", (C | 100 << 54 | 4096,))
image("nothing", (C | 4096,))
image("packed-beyond", (C | 400 << 54 | 16300,))
image("size-0", size=0)
image("size-1", size=1)
image("size-max", size=(1 << 64) - 1)
image("size-2", size=(1 << 63) - 1)
image("bits-8", bits=8)
image("bits-17", bits=17)
image("l2-5", l2_bits=5)
image("l2-14", l2_bits=14)
image("crypt-2", crypt=2)
image("l1-beyond", l1off=1 << 40)
image("l1-max", l1off=(1 << 64) - 8)
image("name-long", boff=100, blen=1024)
image("name-beyond", boff=1 << 62, blen=10)
image("version-0", version=0)
image("short", cut=47)
image("signature", cut=8)
END
clean good
"$block_cat" good > got.raw || fail "good is refused"
refused version-0 "not a qcow image" --format qcow
while IFS='|' read -r name words check; do
  refused "$name" "$words"
  [ -z "$check" ] || says "$name" "$check"
done << 'END'
unaligned|cluster offset 0x1001 is not aligned|cluster offset 0x1001 is not aligned
l2-unaligned|L2 table offset 0x201 is not aligned|not aligned
l2-beyond|L2 table at 0x40000000 lies beyond the end of the file|out of range
l2-far|L2 table at 0x4000000000000000 lies beyond|out of range
beyond|cluster at 0x4000 lies beyond the end of the file|512 bytes are missing
far|cluster at 0x1000000000000000 lies beyond the end|out of range
rubbish|compressed cluster at 0x1000: deflate data are damaged
nothing|compressed cluster at 0x1000: deflate data are damaged
packed-beyond|compressed cluster at 0x3fac lies beyond|316 bytes are missing
size-0|virtual size of 0 bytes
size-1|virtual size of 1 bytes
size-max|virtual size of 18446744073709551615 bytes
size-2|L1 table of 281474976710656 entries is too large
bits-8|cluster size of 2^8 bytes
bits-17|cluster size of 2^17 bytes
l2-5|L2 tables of 2^5 entries
l2-14|L2 tables of 2^14 entries
crypt-2|encryption method 2 is not supported
l1-beyond|L1 table at 0x10000000000 lies beyond the end of the file
l1-max|L1 table at 0xfffffffffffffff8 lies beyond the end of the file
name-long|backing file name of 1024 bytes is too long
name-beyond|backing file name at 0x4000000000000000 lies beyond the end
short|header is cut off
signature|header is cut off
END
says twice "cluster at 0x1000 overlaps another"
says on-table "cluster at 0x200 overlaps another"
says on-packed "cluster at 0x1000 overlaps another"
says table-twice "L2 table at 0x200 overlaps another"

# --- each read fails once; other people's images ------------------------------
qemu-img create -q -f qcow f.qcow 200k
qemu-io -f qcow -c "write -P 5 10000 20000" -c "write -P 6 150k 9000" f.qcow > io.log
qemu-img convert -c -O qcow f.qcow fz.qcow ||
  qemu-img compare -q f.qcow fz.qcow || fail "convert: fz"
for i in f.qcow fz.qcow good; do
  "$block_cat" --fault "$i" > io.log || fail "$i: faults"
done
if image=$(corpus containerized-data-importer/invalid/invalid-qcow-large-size.img); then
  refused "$image" "qcow: L1 table"
else
  note "the corpus is not there"
fi
