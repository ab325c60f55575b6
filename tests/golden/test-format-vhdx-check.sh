#!/bin/bash
# xrayfs: damage of VHDX images is found and named
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires python3
cd "$tmp"
export PYTHONPATH=$srcdir/tests/golden PYTHONDONTWRITEBYTECODE=1
block_cat=$(tool block-cat)

# Blocks at 4, 5 and 6 MiB.
python3 - << 'EOF'
import shutil
from vhdx import *
image("good.vhdx", 5 * M, {n: (PRESENT, b"x" * M) for n in range(3)})


def change(name, *writes, cut=0):
    shutil.copy("good.vhdx", name + ".vhdx")
    with open(name + ".vhdx", "r+b") as f:
        for off, data in writes:
            f.seek(off)
            f.write(data if isinstance(data, bytes) else struct.pack("<Q", data))
        if cut:
            f.truncate(7 * M - cut)


change("header1", (64 * K + 100, b"x"))
change("header2", (128 * K + 100, b"x"))
change("regions1", (192 * K + 60000, b"x"))
change("regions2", (256 * K + 60000, b"x"))
change("regions", (256 * K, regions([(BAT_ID, 2 * M, M, 1)])))
change("overlap", (BAT + 8, 4 * M | PRESENT))
change("in-log", (BAT + 8, LOG | PRESENT))
change("in-header", (BAT + 8, PRESENT))
change("state", (BAT + 8, 4))
change("beyond", (BAT + 8, 9 * M | PRESENT))
change("far", (BAT + 8, (1 << 64) - M | PRESENT))
change("cut", cut=1000)
change("cut-blocks", cut=2 * M + 7)
change("cut-bat", cut=4 * M)
items = standard_items(5 * M, M, 512, 512, 0)
image("no-id.vhdx", 5 * M, items=items[:2] + items[3:])
image("physical.vhdx", 5 * M,
      items=items[:4] + [(PHYSICAL, 6, struct.pack("<I", 513))])
image("sectors.vhdx", 4096 + 512, sector=4096)
EOF

# NAME  ERRORS NOTES  what is found
while read -r name errors notes what; do
  "$block_cat" --check "$name.vhdx" > got.check || fail "$name: no check"
  printf '%serrors=%s\nnotes=%s\n' "${what:+$what$'\n'}" "$errors" "$notes" |
    diff - got.check || fail "$name"
done << 'END'
good 0 0
header1 0 1 header 1 of 2: checksum is wrong
header2 0 1 header 2 of 2: checksum is wrong
regions1 1 0 region table 1 of 2: checksum is wrong
regions2 0 1 region table 2 of 2: checksum is wrong
regions 0 1 the two region tables differ
overlap 1 0 BAT entry 1: block at 0x400000 overlaps another
in-log 1 0 BAT entry 1: block at 0x100000 lies in the log
in-header 1 0 BAT entry 1: block at 0x0 lies in the header
state 1 0 BAT entry 1: state 4 is not known
beyond 1 0 beyond.vhdx is cut off: 3145728 bytes are missing at its end (it has 7340032 of 10485760)
far 1 0 BAT entry 1: offset 0xfffffffffff00000
cut 1 0 cut.vhdx is cut off: 1000 bytes are missing at its end (it has 7339032 of 7340032)
cut-blocks 1 0 cut-blocks.vhdx is cut off: 2097159 bytes are missing at its end (it has 5242873 of 7340032)
no-id 1 0 metadata: virtual disk ID is not there
physical 1 0 metadata: physical sector size of 513 bytes
sectors 1 0 metadata: virtual disk size of 4608 bytes is not a whole number of sectors
END

# What is there can be read; what is not is an error, and never zeros.
! "$block_cat" cut.vhdx > got.raw 2> got.err || fail "cut.vhdx is read"
grep -q "data at 0x6ffc18 lie beyond the end of the file" got.err ||
  fail "$(cat got.err)"
! "$block_cat" cut-bat.vhdx > got.raw 2> got.err || fail "cut-bat.vhdx is read"
for i in header1 header2 regions1 regions2; do
  "$block_cat" $i.vhdx > got.raw || fail "$i.vhdx is not read"
  "$block_cat" good.vhdx > want.raw
  cmp want.raw got.raw || fail "$i: contents differ"
done
