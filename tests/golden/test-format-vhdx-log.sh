#!/bin/bash
# xrayfs: a VHDX whose log is in use reads as it would after the replay
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/formats.sh"
cd "$tmp"
export PYTHONPATH=$srcdir/tests/golden PYTHONDONTWRITEBYTECODE=1

# reads_as IMAGE RAW: the contents, while the image stays as it is.
reads_as ()
{
  local before
  before=$(md5sum < "$1")
  "$block_cat" "$1" > got.raw || fail "$1: not read"
  cmp "$2" got.raw || fail "$1: contents differ"
  "$block_cat" --random 5 100 "$2" --threads 3 "$1" || fail "$1: random reads"
  assert_equal "$1 unchanged" "$(md5sum < "$1")" "$before"
  note "$1: same"
}

dirty () { "$block_cat" --info "$1" | grep -qx dirty=1; }

# as_qemu IMAGE: as qemu has it after it replayed the log of a copy.
as_qemu ()
{
  dirty "$1" || fail "$1: is not dirty"
  ! qemu-img convert -f vhdx -O raw "$1" no.raw 2> io.log ||
    fail "$1: qemu finds no log in it"
  cp "$1" copy.vhdx
  qemu-img check -q -f vhdx -r all copy.vhdx > io.log 2>&1 || fail "$(cat io.log)"
  qemu-img convert -f vhdx -O raw copy.vhdx want.raw
  reads_as "$1" want.raw
}

# --- logs that qemu replays, too ------------------------------------------
# Blocks that are written, while the BAT is the one from before: the log has
# the new one.
python3 - << 'EOF'
import random, shutil
from vhdx import *
random.seed(5)
size = 9 * M + 512
blocks = {n: (PRESENT, random.randbytes(M)) for n in (0, 3, 5, 9)}
image("new.vhdx", size, blocks)
end = 9 * M
with open("new.vhdx", "rb") as f:
    f.seek(BAT)
    bat = f.read(4096)
empty = bytes(4096)
half = bat[:32] + bytes(4064)

def make(name, log, updates=((BAT, empty),), source="new.vhdx", length=M):
    shutil.copy(source, name)
    apply(name, updates)
    mark(name, log, length=length)

log = Log()
log.add(1, [(BAT, bat)], flushed=end - M, last=end)
make("one.vhdx", log)
# Entries that are older, of another log, or have nothing to do.
log = Log()
log.add(7, [(BAT, empty)], log_id=bytes([9]) * 16)
log.add(3, [], at=8192)
log.add(4, [(BAT, half)], tail=8192)
log.add(5, [(BAT, bat)], tail=8192, last=end)
make("several.vhdx", log)
# Across the end of the ring.
log = Log()
log.add(2 ** 32 - 1, [(BAT, half)], at=M - 12288)
log.add(2 ** 32, [(BAT, bat)], tail=M - 12288)
make("wrapped.vhdx", log)
log = Log()
log.add(9, [(BAT, bat)], at=M - 4096)
make("split.vhdx", log)
# Zeros, of one sector and of many, over data and under it.
some = [(6 * M + i * 8192, random.randbytes(4096)) for i in range(200)]
log = Log()
log.add(1, some[:100] + [(4 * M + 4096, 40960), (BAT, bat)])
log.add(2, [(6 * M + 8192 * 10, 8192 * 30), (5 * M, 1 << 20)] + some[90:], tail=0)
log.add(3, [(5 * M + 40960, random.randbytes(4096)), (5 * M + 8192, 4096)], tail=0)
make("many.vhdx", log)
# The metadata and the region table.
with open("new.vhdx", "rb") as f:
    f.seek(3 * M)
    table = f.read(128 * K)
    f.seek(192 * K)
    region = f.read(64 * K)
log = Log()
log.add(1, [(192 * K + i, region[i:i + 4096]) for i in range(0, 64 * K, 4096)])
log.add(2, [(3 * M, table[:4096]), (3 * M + 64 * K, table[64 * K:68 * K])], tail=0)
make("metadata.vhdx", log, [(192 * K, 64 * K), (3 * M, 128 * K)])
# A log of 4 MiB that is nearly full.
image("long.vhdx", size, blocks, log_length=4 * M)
with open("long.vhdx", "rb") as f:
    f.seek(5 * M)
    bat = f.read(4096)
log = Log()
for n in range(8):
    log.add(n + 1, [(7 * M + i * 4096, random.randbytes(4096))
                    for i in range(n * 100, n * 100 + 110)], tail=0, length=4 * M)
log.add(9, [(5 * M, bat)], tail=0, length=4 * M)
make("long-log.vhdx", log, [(5 * M, empty)], "long.vhdx", 4 * M)
EOF
for i in one several wrapped split many metadata long-log; do
  as_qemu $i.vhdx
  "$block_cat" --check $i.vhdx > got.check
  assert_equal "$i: check" "$(cat got.check)" \
    "$(printf 'the log has to be replayed\nerrors=0\nnotes=1')"
done
qemu-img convert -f vhdx -O raw new.vhdx want.raw
reads_as one.vhdx want.raw

# --- what qemu does otherwise ---------------------------------------------
# The wanted image is made by replaying the log in python, as [MS-VHDX] 2.3.3
# has it; qemu reads it.
python3 - << 'EOF'
import random, shutil
from vhdx import *
random.seed(6)
size = 9 * M + 512
with open("new.vhdx", "rb") as f:
    f.seek(BAT)
    bat = f.read(4096)

def make(name, log, updates, last=0):
    for copy in name + ".vhdx", name + "-replayed.vhdx":
        shutil.copy("new.vhdx", copy)
        apply(copy, [(BAT, 4096)])
    mark(name + ".vhdx", log)
    apply(name + "-replayed.vhdx", updates, last)

page = [random.randbytes(4096) for _ in range(40)]
# The newest entry has its tail behind the first of the sequence: what is
# before the tail has long been written, and other things since.
log = Log()
log.add(1, [(5 * M, page[0])])
log.add(2, [(5 * M + 4096, page[1])], tail=0)
at = log.add(3, [(BAT, bat)])
log.add(4, [(5 * M + 8192, page[2])], tail=at)
make("tail", log, [(BAT, bat), (5 * M + 8192, page[2])])
# A sequence that has its tail nowhere, with a higher number, and one that is
# damaged in the middle.
log = Log()
log.add(20, [(5 * M, page[0])], tail=M - 4096)
log.add(21, [(5 * M, page[1])], tail=M - 4096)
log.add(5, [(BAT, bat)])
log.add(30, [(5 * M, page[3])], spoil=5000)
log.add(31, [(5 * M, page[4])], tail=0)
make("tails", log, [(BAT, bat)])
# Each place of an entry that can be damaged.
for i, spoil in enumerate((0, 4, 8, 16, 24, 40, 64, 70, 80, 88, 3000, 4096,
                           4100, 6000, 8191)):
    log = Log()
    log.add(1, [(BAT, bat)])
    log.add(2, [(BAT, bytes(4096))], tail=0, spoil=spoil)
    make("spoilt%d" % i, log, [(BAT, bat)])
# The file gets longer: by LastFileOffset, by zeros, by data.
end = 8 * M
grown = bat[:8] + struct.pack("<Q", end | PRESENT) + bat[16:]
log = Log()
log.add(1, [(BAT, grown)], flushed=end, last=end + M)
make("last", log, [(BAT, grown)], end + M)
log = Log()
log.add(1, [(BAT, grown), (end + 8192, M - 8192)])
make("zeros", log, [(BAT, grown), (end + 8192, M - 8192)])
log = Log()
log.add(1, [(BAT, grown), (end + M - 4096, page[5])])
make("data", log, [(BAT, grown), (end + M - 4096, page[5])])
# Longer than it needs to be, as for disks of large sectors.
log = Log()
log.add(1, [(BAT, bat)], padding=14)
log.add(2, [(5 * M, page[6])], tail=0, padding=14)
make("padded", log, [(BAT, bat), (5 * M, page[6])])
# More descriptors than one sector of them has: qemu 7.2 reads the second of
# those sectors over the first, and refuses the image.
many = [(5 * M + 4096 * i, random.choice(page)) for i in range(120)]
more = [(5 * M + 4096 * i, 4096) for i in range(60, 200, 2)]
log = Log()
log.add(1, many + more + [(BAT, bat)])
make("descriptors", log, many + more + [(BAT, bat)])
# At random, with overlaps.
for n in range(6):
    log, updates, tail = Log(), [(BAT, bat)], 4096 * random.randrange(256)
    log.at = tail
    log.add(1, updates)
    for sequence in range(2, 12):
        more = []
        for _ in range(random.randrange(8)):
            off = 4 * M + 4096 * random.randrange(3 * 256)
            more.append((off, random.choice(page) if random.random() < .5
                         else 4096 * random.randrange(1, 60)))
        log.add(sequence, more, tail=tail)
        updates += more
    make("random%d" % n, log, updates)
EOF
for i in tail tails spoilt{0..14} last zeros data padded descriptors \
  random{0..5}; do
  dirty "$i.vhdx" || fail "$i: is not dirty"
  qemu-img convert -f vhdx -O raw "$i-replayed.vhdx" want.raw
  reads_as "$i.vhdx" want.raw
done

# --- a log in use, without an entry: qemu before its first one -------------
python3 - << 'EOF'
import shutil
from vhdx import *
shutil.copy("new.vhdx", "nothing.vhdx")
mark("nothing.vhdx", Log())
shutil.copy("new.vhdx", "damaged.vhdx")
log = Log()
log.add(1, [(BAT, bytes(4096))], spoil=100)
mark("damaged.vhdx", log)
shutil.copy("new.vhdx", "cut.vhdx")
log = Log()
log.add(1, [(4 * M, bytes(4096))], flushed=9 * M, last=9 * M)
mark("cut.vhdx", log)
EOF
qemu-img convert -f vhdx -O raw nothing.vhdx want.raw
reads_as nothing.vhdx want.raw
assert_equal "nothing: check" "$("$block_cat" --check nothing.vhdx)" \
  "$(printf 'the log is in use, and nothing in it is valid\nerrors=1\nnotes=0')"
# 2.3.3: "the implementation MUST fail to open it".
! "$block_cat" damaged.vhdx > got.raw 2> got.err || fail "damaged.vhdx is read"
grep -q "log: it is in use, and its entries are damaged" got.err ||
  fail "$(cat got.err)"
"$block_cat" --check cut.vhdx | grep -qx \
  "cut.vhdx is cut off: 1048576 bytes are missing at its end (it has 8388608 of 9437184)" ||
  fail "cut.vhdx: $("$block_cat" --check cut.vhdx)"

# --- qemu-io, interrupted --------------------------------------------------
# It replays each entry at once, so that mostly nothing is left to do.
ulimit -c 0
qemu-img create -q -f vhdx -o block_size=1M abort.vhdx 20M
{ qemu-io -f vhdx -c "write -P 3 1M 5M" -c "aio_write -P 4 9M 3M" -c abort \
  abort.vhdx; } > io.log 2>&1 || true
cp abort.vhdx copy.vhdx
qemu-img check -q -f vhdx -r all copy.vhdx > io.log 2>&1 || true
qemu-img convert -f vhdx -O raw copy.vhdx want.raw
reads_as abort.vhdx want.raw

# --- each read fails once -------------------------------------------------
"$block_cat" --fault split.vhdx > got.fault || fail "split.vhdx: faults"
