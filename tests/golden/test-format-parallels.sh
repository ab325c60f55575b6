#!/bin/bash
# xrayfs: Parallels expanding images give the bytes and the facts that qemu-img
# gives, and their damage is found
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "${srcdir:-.}/tests/golden/formats.sh"
requires truncate
cd "$tmp"

# --- what qemu-img writes -----------------------------------------------------
while read -r name size options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img create -q -f parallels $options "$name.hdd" "$size"
  same "$name.hdd"
  clean "$name.hdd"
done << 'END'
tiny    512
odd     1000
empty   7340544
large   200M
END
qemu-img create -q -f parallels nothing.hdd 0
NO_MAP=1 same nothing.hdd # qemu-img map has an extent of no bytes
clean nothing.hdd
while read -r name options; do
  # shellcheck disable=SC2086
  qemu-img convert -O parallels $options disk.raw "$name.hdd"
  same "$name.hdd"
  clean "$name.hdd"
done << 'END'
plain
full     -S 0
fall     -o preallocation=falloc
c512     -o cluster_size=512
c4k      -o cluster_size=4k
c63      -o cluster_size=32256
c2m      -o cluster_size=2M
END
for i in plain c4k c63 c2m; do
  patterns parallels "$i.hdd"
  same "$i.hdd"
  clean "$i.hdd"
  qemu-img check -q "$i.hdd" || fail "$i: qemu-img check does not agree"
done
"$block_cat" --info c63.hdd > info
for i in format=parallels version=2 subformat=expanding cluster_size=32256 \
  features=offsets-in-clusters dirty=0; do
  grep -qx "$i" info || fail "no $i in $(cat info)"
done
assert_equal "safety" "$("$block_cat" --safety plain.hdd)" ""

# --- what qemu-img does not write ---------------------------------------------
python3 - << 'END'
import random, struct
random.seed(2)
DATA = random.randbytes(128 * 1024)
EXT, OLD = b"WithouFreSpacExt", b"WithoutFreeSpace"
def image(name, bat=(1, 2, 0, 4, 3), magic=EXT, version=2, tracks=2, sectors=None,
          entries=None, in_use=0x312e3276, data_off=2, flags=0, ext=0, cut=6144,
          at=None):
    n = len(bat) * tracks if sectors is None else sectors
    h = struct.pack("<16sIIIIIQIIIQ", magic, version, 16, 1, tracks,
                    len(bat) if entries is None else entries, n, in_use,
                    data_off, flags, ext) + struct.pack(f"<{len(bat)}I", *bat)
    data = bytearray(h.ljust(512, b"\0") + DATA)
    if at:
        data[at[0]:at[0] + len(at[1])] = at[1]
    with open(name, "wb") as f:
        f.write(data[:cut])
MAGIC = struct.pack("<Q", 0xab234cef23dcea87)
image("good", cut=5120)
image("old", (4, 2, 0, 8, 6), OLD, cut=5120)
image("old-63", (1, 64, 0, 127), OLD, tracks=63, data_off=1, cut=190 * 512)
image("old-zero", (3, 1, 0), OLD, data_off=0, in_use=0, cut=2560)
image("old-high", (2, 4), OLD, sectors=4 | 7 << 32, cut=3072)
image("old-odd", (2, 5), OLD, tracks=3, sectors=5, cut=4096)
image("long-bat", sectors=5, cut=5120)
image("unused-tail", (1, 2, 0, 0, 0), cut=3072)
image("in-use", in_use=0x746f6e59, cut=5120)
image("mark", in_use=7, cut=5120)
image("flag", flags=1, cut=5120)
image("leak")
image("twice", (1, 2, 0, 1, 3), cut=4096)
image("misfit", (2, 3), OLD, cut=2560)
image("phase", (3, 5), OLD, cut=3584)
image("early", (2, 4), OLD, data_off=4, cut=3072)
image("in-bat", (0, 1) + (0,) * 200 + (1,), OLD, tracks=1, data_off=1)
image("beyond", (1, 2, 0, 4, 6))
image("far", (1, 0xffffffff))
image("last", (1, 2), sectors=3, cut=2560)
image("last-cut", (1, 2), sectors=3, cut=2559)
image("bat-small", sectors=12, cut=5120)
image("ext", (1, 2), ext=6, at=(3072, MAGIC), cut=4096)
image("ext-magic", (1, 2), ext=6, cut=4096)
image("ext-beyond", (1, 2), ext=600, cut=3072)
image("ext-far", (1, 2), ext=1 << 62, cut=3072)
image("version-1", version=1)
image("version-3", version=3)
image("tracks-0", tracks=0)
image("tracks-many", tracks=4186128, sectors=10)
image("tracks-max", tracks=(1 << 32) - 1, sectors=10)
image("tracks-most", (0,), tracks=4186127, sectors=10)
image("entries-many", entries=1 << 29)
image("entries-max", entries=(1 << 32) - 1)
image("entries-cut", entries=5000)
image("sectors-max", sectors=(1 << 64) - 1)
image("sectors-2", sectors=1 << 54)
image("magic", magic=b"WithouFreSpacExT")
image("short", cut=63)
image("signature", cut=16)
END
for i in good old old-63 old-zero old-high old-odd long-bat unused-tail; do
  same "$i" parallels
  clean "$i"
done
for i in in-use mark flag leak twice misfit phase early ext tracks-most last; do
  "$block_cat" "$i" > got.raw || fail "$i: not read"
  # qemu-img 7.2 refuses an extension without its checksum.
  [ "$i" = ext ] || {
    qemu-img convert -f parallels -O raw "$i" want.raw
    cmp got.raw want.raw || fail "$i: contents differ"
  }
done
"$block_cat" --info in-use | grep -qx dirty=1 || fail "dirty is not said"
clean ext
"$block_cat" --info ext | grep -qx features=format-extension || fail "extension"
"$block_cat" --info flag | grep -qx features=empty || fail "empty"
qemu-img check -f parallels in-use > check.log 2>&1 && fail "in-use is fine for qemu"
while IFS='|' read -r name words; do says "$name" "$words"; done << 'END'
in-use|not closed cleanly
mark|unknown value 0x7
flag|marked empty and has clusters
leak|1024 bytes at the end are not used
twice|cluster at 0x400 overlaps another
misfit|cluster at 0x600 is not aligned
phase|not aligned with the data area
early|cluster at 0x400 lies before the data area
in-bat|cluster at 0x200 lies before the data area
beyond|1024 bytes are missing at its end (it has 6144 of 7168)
far|cluster offset 0x3fffffffc00 is out of range
last-cut|1 bytes are missing at its end
bat-small|does not cover a disk of 12 sectors
ext-magic|has a wrong magic
ext-beyond|format extension at sector 600 lies beyond
ext-far|lies beyond the end of the file
END
assert_equal "last" "$("$block_cat" --check last | head -1)" "errors=0"
while IFS='|' read -r name words; do refused "$name" "$words"; done << 'END'
in-bat|cluster at 0x200 lies in the BAT
beyond|cluster at 0x1800 lies beyond the end of the file
far|cluster at 0x3fffffffc00 lies beyond the end of the file
last-cut|cluster at 0x800 is cut off by the end of the file
bat-small|BAT of 5 entries does not cover 0x1400
version-1|version 1 is not known
version-3|version 3 is not known
tracks-0|clusters of 0 sectors
tracks-many|clusters of 4186128 sectors are too large
tracks-max|clusters of 4294967295 sectors are too large
entries-many|BAT of 536870912 entries is too large
entries-max|BAT of 4294967295 entries is too large
entries-cut|BAT lies beyond the end of the file
sectors-max|virtual size of 18446744073709551615 sectors
sectors-2|virtual size of 18014398509481984 sectors
short|header is cut off
signature|header is cut off
END
assert_equal "magic" "$("$block_cat" --info magic | head -1)" format=raw
refused magic "not a Parallels image" --format parallels

cp plain.hdd cut.hdd
truncate -s $(($(stat -c %s cut.hdd) - 5000)) cut.hdd
refused cut.hdd "is cut off by the end of the file"
says cut.hdd "5000 bytes are missing at its end"

# --- each read fails once -----------------------------------------------------
for i in good old old-63 tiny.hdd; do
  "$block_cat" --fault "$i" > io.log || fail "$i: faults"
done
