#!/bin/bash
# xrayfs: damage of qcow2 images, counted as qemu-img check counts it
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img qemu-io python3
cat=$(tool block-cat)
cd "$tmp"
ulimit -c 0
python3 -c '
import random
random.seed(1)
f = open("disk.raw", "wb")
f.write(random.randbytes(300000))
f.seek(700 << 10)
f.write(b"".join(b"line %d of some text\n" % i for i in range(30000)))
f.truncate((2 << 20) + 512)'

# numbers IMAGE: errors and notes of ours; those of qemu-img.
ours () { "$cat" --check "$1" | sed -n 's/^errors=//p; s/^notes=//p' | xargs; }
qemus ()
{
  { qemu-img check --output=json "$1" 2> /dev/null || true; } |
    python3 -c '
import json, sys
j = json.load(sys.stdin)
print(j.get("corruptions", 0), j.get("leaks", 0))'
}
same () { assert_equal "$1" "$(ours "$1")" "$(qemus "$1")"; }

while read -r name options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O qcow2 $options disk.raw "$name.qcow2"
  same "$name.qcow2"
done << 'END'
v3        -o compat=1.1
v2        -o compat=0.10
c512      -o cluster_size=512
c2m       -o cluster_size=2M
zlib      -c -o cluster_size=4k
zstd      -c -o cluster_size=512,compression_type=zstd
meta      -o preallocation=metadata
full      -o preallocation=full
bits1     -o refcount_bits=1
bits2     -o refcount_bits=2,cluster_size=512
bits4     -o refcount_bits=4,cluster_size=4k
bits8     -o refcount_bits=8
bits32    -o refcount_bits=32
bits64    -o refcount_bits=64,cluster_size=512
ext       -o extended_l2=on
ext-zlib  -c -o extended_l2=on
data      -o data_file=data.raw
data-raw  -o data_file=data-raw.raw,data_file_raw=on
data-ext  -o data_file=data-ext.raw,extended_l2=on
END

cp zlib.qcow2 snapshots.qcow2
qemu-img snapshot -c one snapshots.qcow2
qemu-io -c "write -P 3 1M 100k" -c "write -z 300k 64k" -c "discard 0 64k" \
  snapshots.qcow2 > io.log
qemu-img snapshot -c two snapshots.qcow2
qemu-io -c "write -P 9 0 10k" snapshots.qcow2 > io.log
same snapshots.qcow2
cp v3.qcow2 bitmaps.qcow2
qemu-img bitmap --add bitmaps.qcow2 b0
qemu-img bitmap --add -g 512 bitmaps.qcow2 b1
qemu-io -c "write -P 7 0 1M" bitmaps.qcow2 > io.log
same bitmaps.qcow2
qemu-img create -q -f qcow2 empty.qcow2 0
same empty.qcow2
qemu-img create -q -f qcow2 large.qcow2 10T
same large.qcow2
# On a busy machine qemu cannot always tell how long a key may take.
if qemu-img create -q --object secret,id=s,data=abc -f qcow2 \
  -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=100 \
  luks.qcow2 4M 2> io.log; then
  assert_equal "luks" "$(ours luks.qcow2)" "0 0"
else
  note "LUKS is left out: $(< io.log)"
fi
note "clean images: same"

# A dirty image has counts that are behind: notes to us, and one for the flag;
# qemu counts corruptions.
qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 1M
{ qemu-io -c "write -P 3 0 64k" -c abort dirty.qcow2; } > io.log 2>&1 || true
assert_equal "dirty" "$(ours dirty.qcow2)" "0 3"
assert_equal "dirty, qemu" "$(qemus dirty.qcow2)" "2 0"
# A cluster at the end that has a count and no reference.
cp v3.qcow2 leaked.qcow2
python3 - leaked.qcow2 << 'END'
import sys
f = open(sys.argv[1], "r+b")
f.seek(48)
f.seek(int.from_bytes(f.read(8), "big"))
f.seek(int.from_bytes(f.read(8), "big"))
block = f.read(65536)
free = block.index(bytes(2), 2) & ~1
f.seek(-65536 + free, 1)
f.write(b"\0\1")
f.seek(0, 2)
f.write(bytes(65536))
END
same leaked.qcow2
assert_equal "leaked" "$(ours leaked.qcow2)" "0 1"

# --- flips ---------------------------------------------------------------------
cat > flip.py << 'END'
"""Flips one bit in the tables of each image, again and again, and compares.
Where they differ, on purpose:
- a refcount table that names no block: qemu takes the counts for zeros and
  finds each copied flag wrong as well;
- an L1 entry without a table: qemu takes the header for one;
- a table that is data with a count that fits, the zero flag in version 2,
  and a file that is cut off, which is one more, are found by us alone."""
import json, os, random, subprocess, sys
cat, count, images = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

def load(data, off, n=8):
    return int.from_bytes(data[off:off + n], "big")

def words(data):
    """Offsets of the words of each kind of table, most of them not zero."""
    size = 1 << load(data, 20, 4)
    l1, table = load(data, 40), load(data, 48)
    mask = 0xfffffffffffe00
    found = {"l1": range(l1, l1 + 8 * load(data, 36, 4), 8),
             "table": range(table, table + 64, 8), "l2": [], "block": []}
    for name, into in (("l1", "l2"), ("table", "block")):
        for at in found[name]:
            host = load(data, at) & mask
            found[into] += range(host, host + size, 8) if host else []
    return {k: [w for w in v if load(data, w)] + list(v)[:9]
            for k, v in found.items()}

def excused(kind, word, version, text):
    return (kind == "table" and "cannot be read" in text or
            kind == "l1" and word & 0xfffffffffffe00 == 0 or
            "is a table and data" in text or
            version == 2 and "version 2 has no zero cluster" in text)

rnd = random.Random(7)
done = equal = 0
failed = False
for image in images:
    data = open(image, "rb").read()
    found = words(data)
    for _ in range(count):
        kind = rnd.choice(["l1", "l2", "l2", "block", "block", "table"])
        at, bit = rnd.choice(found[kind]), rnd.randrange(64)
        word = load(data, at) ^ 1 << bit
        with open("flipped.qcow2", "wb") as f:
            f.write(data[:at] + word.to_bytes(8, "big") + data[at + 8:])
        p = subprocess.run(["qemu-img", "check", "-f", "qcow2", "--output=json",
                            "flipped.qcow2"], capture_output=True, text=True)
        q = json.loads(p.stdout)
        text = subprocess.run([cat, "--format", "qcow2", "--check",
                               "flipped.qcow2"], capture_output=True,
                              text=True, check=True).stdout
        o = dict(l.split("=") for l in text.splitlines()[-2:])
        got = int(o["errors"]) - ("is cut off" in text), int(o["notes"])
        want = q.get("corruptions", 0), q.get("leaks", 0)
        done += 1
        equal += got == want
        if got != want and not excused(kind, word, load(data, 4, 4), text):
            failed = True
            print(f"{image}: {kind} at {at} is {word:#x}: {got}, not {want}\n"
                  f"{text}{p.stderr[:500]}")
        if (sum(got) > 0) < (sum(want) > 0):
            failed = True
            print(f"{image}: {kind} at {at} is {word:#x}: nothing found")
print(f"{done} flips, {equal} equal")
sys.exit(failed)
END
python3 flip.py "$cat" "${FLIPS:-12}" v3.qcow2 v2.qcow2 c512.qcow2 zlib.qcow2 \
  bits1.qcow2 bits2.qcow2 bits4.qcow2 bits32.qcow2 bits64.qcow2 ext.qcow2 \
  snapshots.qcow2 bitmaps.qcow2 > flips || fail "$(head -c 3000 flips)"
note "$(< flips)"

# --- cut off -------------------------------------------------------------------
# Exactly what is missing, but where the counts are lost too (bits64, c512), and
# of compressed data to the sector.
for name in v3 v2 zlib c512 snapshots bits64; do
  size=$(stat -c %s $name.qcow2)
  for gone in 1 511 4097 70001 300000; do
    head -c $((size - gone)) $name.qcow2 > cut.qcow2
    "$cat" --check cut.qcow2 > found
    grep -q "^cut.qcow2 is cut off: $gone bytes are missing" found && continue
    said=$(sed -n 's/^cut.qcow2 is cut off: \([0-9]*\) .*/\1/p' found)
    case $name-$gone in
    zlib-1 | zlib-511) assert_equal "$name-$gone" "$said" "" ;;
    zlib-*) [ $((gone - said)) -lt 512 ] || fail "$name-$gone: $said" ;;
    c512-300000) [ "$said" -gt 270000 ] || fail "$name-$gone: $said" ;;
    *) fail "$name without $gone bytes: $(< found)" ;;
    esac
  done
done

# --- a short last cluster --------------------------------------------------------
# reads_as_qemu IMAGE: its contents are those that qemu-img reads.
reads_as_qemu ()
{
  qemu-img convert -O raw "$1" want.raw
  "$cat" "$1" > got.raw || fail "$1: not read"
  cmp want.raw got.raw || fail "$1: contents differ"
  assert_equal "$1" "$(ours "$1")" "0 0"
}
# is_cut_off IMAGE: there is an error, not zeros.
is_cut_off ()
{
  "$cat" "$1" > got.raw 2> said && fail "$1: was read"
  grep -q "is cut off by the end of the file" said || fail "$1: $(< said)"
  "$cat" --check "$1" | grep -q "$1 is cut off: " || fail "$1: not found"
}
for options in compat=1.1 compat=0.10 cluster_size=4k refcount_bits=1; do
  qemu-img create -q -f qcow2 -o $options short.qcow2 1M
  qemu-io -c "write -P 3 0 512" short.qcow2 > io.log
  cp short.qcow2 more.qcow2
  size=$(stat -c %s short.qcow2)
  cluster=$("$cat" --info short.qcow2 | sed -n 's/^cluster_size=//p')
  truncate -s $((size - cluster + 1024)) short.qcow2
  reads_as_qemu short.qcow2
  truncate -s $((size - cluster + 1023)) short.qcow2
  is_cut_off short.qcow2
  # Something lies behind it.
  qemu-io -c "write -P 4 512k 512" more.qcow2 > io.log
  truncate -s $((size - cluster + 1024)) more.qcow2
  is_cut_off more.qcow2
done
# The counts know nothing of it; a table does.
qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy.qcow2 1M
{ qemu-io -c "write -P 3 0 512" -c "write -P 4 512k 512" -c flush -c abort \
  lazy.qcow2; } > io.log 2>&1 || true
truncate -s $((5 * 65536 + 1024)) lazy.qcow2
is_cut_off lazy.qcow2
# The end of the disk is the end of the last cluster.
for size in 1049088 1050112; do
  qemu-img create -q -f qcow2 disk-end.qcow2 $size
  qemu-io -c "write -P 5 1048576 512" disk-end.qcow2 > io.log
  truncate -s $((5 * 65536 + size - 1048576)) disk-end.qcow2
  reads_as_qemu disk-end.qcow2
done
note "ends of files: as they should be"

# --- a bad snapshot table ------------------------------------------------------
# It makes the snapshots unknown, and nothing else.
cp snapshots.qcow2 bad.qcow2
printf '\377\377\377' | dd of=bad.qcow2 bs=1 seek=65 conv=notrunc status=none
"$XRAYFS" cat bad.qcow2 image/version image/cluster_size image/snapshots \
  > rows || fail "$(< rows)"
assert_equal "rows" "$(xargs < rows)" "3 4096 unknown"
"$cat" --check bad.qcow2 | grep -q "^snapshot table: snapshot 0: read at" ||
  fail "$("$cat" --check bad.qcow2)"
