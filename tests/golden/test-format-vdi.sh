#!/bin/bash
# xrayfs: VDI images give the bytes and the facts that qemu-img gives
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/formats.sh"
cd "$tmp"

info () { "$block_cat" --info "$1" | sed -n "s/^$2=//p"; }
clean ()
{
  assert_equal "$1: check" "$("$block_cat" --check "$1")" \
    $'errors=0\nnotes=0'
  assert_equal "$1: safety" "$("$block_cat" --safety "$1")" ""
}

# --- all that qemu-img writes ------------------------------------------------
n=0
while read -r subformat options; do
  n=$((n + 1))
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O vdi $options disk.raw "$n.vdi"
  same "$n.vdi"
  clean "$n.vdi"
  patterns vdi "$n.vdi"
  same "$n.vdi"
  clean "$n.vdi"
  assert_equal "$n.vdi: subformat" "$(info "$n.vdi" subformat)" "$subformat"
  assert_equal "$n.vdi: version" "$(info "$n.vdi" version)" 1.1
  assert_equal "$n.vdi: creator" "$(info "$n.vdi" creator)" \
    "QEMU VM Virtual Disk Image"
  rm "$n.vdi"
done << 'END'
dynamic
dynamic -S 0
fixed -o static=on
fixed -o static=on -S 0
END
for size in 0 512 1M 1049088 10000000; do
  for options in static=off static=on; do
    qemu-img create -q -f vdi -o $options empty.vdi $size
    clean empty.vdi
    [ $size != 0 ] || continue
    same empty.vdi
    qemu-io -f vdi -c "write -P 5 0 512" -c "write -P 6 100k 1k" empty.vdi \
      > io.log 2>&1 || true # beyond the end of the smallest
    same empty.vdi
  done
done
qemu-img create -q -f vdi large.vdi 100T
assert_equal "100 TiB" "$("$XRAYFS" cat large.vdi virtual_size)" \
  $((100 << 40))
rm large.vdi

# --- what others write, and what is damaged ----------------------------------
# put IMAGE OFFSET FORMAT VALUE...: numbers into the header
put ()
{
  python3 - "$@" << 'END'
import struct, sys
f = open(sys.argv[1], "r+b")
f.seek(int(sys.argv[2], 0))
f.write(struct.pack("<" + sys.argv[3], *(int(v, 0) for v in sys.argv[4:])))
END
}
finding ()
{
  "$block_cat" --check "$1" | grep -qF -- "$2" ||
    fail "$1: not found: $2: $("$block_cat" --check "$1")"
}
qemu-img convert -O vdi disk.raw good.vdi
qemu-img convert -O raw good.vdi good.raw

# Odd sizes are rounded up; discarded blocks are zeros.
cp good.vdi odd.vdi
put odd.vdi 0x170 Q 7340033
same odd.vdi
cp good.vdi zero.vdi
put zero.vdi 0x200 I 0xfffffffe
put zero.vdi 0x184 I 5
same zero.vdi
clean zero.vdi

# As qemu-img check.
cp good.vdi bad.vdi
put bad.vdi 0x184 I 3
finding bad.vdi "the header counts 3 blocks in use, and the block map has 6"
put bad.vdi 0x200 I 1
finding bad.vdi "overlaps"
put bad.vdi 0x200 I 100
finding bad.vdi "its place, 100, is none of the 8 that the image has"
qemu-img check bad.vdi > /dev/null 2>&1 && fail "qemu-img finds nothing"

# Cut off: an error, not zeros, and so many bytes.
cp good.vdi cut.vdi
truncate -s -3000 cut.vdi
"$block_cat" cut.vdi > got.raw 2> err.log && fail "cut off: was read"
grep -q "lies beyond the end of the file" err.log || fail "$(cat err.log)"
finding cut.vdi "cut.vdi is cut off: 3000 bytes are missing at its end"

# Differencing: what it has can be read.
cp good.vdi diff.vdi
put diff.vdi 0x4c I 4
put diff.vdi 0x1a8 4I 1 2 3 4
"$block_cat" diff.vdi > got.raw 2> err.log && fail "differencing: was read"
grep -q "known by its UUID alone (00000001-0002-0000-0300-000004000000)" \
  err.log || fail "$(cat err.log)"
finding diff.vdi "the parent is not there"
"$block_cat" --safety diff.vdi | grep -q "needs a parent image" || fail safety
"$XRAYFS" cat diff.vdi image/subformat | grep -qx differencing ||
  fail "differencing is not said"

# Refused, with the reason.  OFFSET FORMAT VALUE|WORDS
while IFS='|' read -r change words; do
  cp good.vdi lie.vdi
  # shellcheck disable=SC2086 # three words
  put lie.vdi $change
  "$block_cat" lie.vdi > got.raw 2> err.log && fail "$change: was read"
  grep -qF -- "$words" err.log || fail "$change: said $(cat err.log)"
  [ ! -s got.raw ] || fail "$change: gave bytes"
  qemu-img info lie.vdi > /dev/null 2>&1 && [ "${change%% *}" != 0x4c ] &&
    note "qemu opens it: $change"
done << 'END'
0x44 I 0x10000|version 1.0 is not known
0x44 I 0|version 0.0 is not known
0x44 I 0xffffffff|is not known
0x4c I 0|image type 0 is not known
0x4c I 5|image type 5 is not known
0x154 I 0|block map at 0x0
0x154 I 513|block map at 0x201
0x154 I 0xfffffe00|blocks at
0x158 I 0|blocks at 0x0
0x158 I 512|blocks at 0x200
0x158 I 1025|blocks at 0x401
0x168 I 4096|sectors of 4096 bytes
0x168 I 0|sectors of 0 bytes
0x170 Q 0xffffffffffffffff|virtual size
0x170 Q 0x8000000000000000|virtual size
0x170 Q 0x3fffffff00001|virtual size
0x170 Q 0x3fffffff00000|is too small
0x170 Q 8388609|is too small
0x178 I 0|block size of 0 bytes
0x178 I 256|block size of 256 bytes
0x178 I 1048577|block size of 1048577 bytes
0x17c I 512|512 extra bytes
0x180 I 7|is too small
0x180 I 0|is too small
0x180 I 0x40000000|block map of 1073741824 entries
END
head -c 300 good.vdi > lie.vdi
"$block_cat" lie.vdi > got.raw 2> err.log && fail "cut header: was read"
grep -q "header is cut off" err.log || fail "$(cat err.log)"

python3 - "$srcdir" << 'END'
import runpy, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/fuzz")
m = runpy.run_path(sys.argv[1] + "/fuzz/make-seeds-vhd.py")
for name in "dynamic", "fixed":
    open(f"fault-{name}.vdi", "wb").write(m["VDI"][name])
END
for i in dynamic fixed; do
  "$block_cat" --fault fault-$i.vdi > io.log || fail "$i: faults"
done
