#!/bin/bash
# xrayfs: VHD images give the bytes and the facts that qemu-img gives
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/formats.sh"
cd "$tmp"

info () { "$block_cat" --info "$1" | sed -n "s/^$2=//p"; }
# clean IMAGE: no finding, nothing against it
clean ()
{
  assert_equal "$1: check" "$("$block_cat" --check "$1")" \
    $'errors=0\nnotes=0'
  assert_equal "$1: safety" "$("$block_cat" --safety "$1")" ""
}

# --- all that qemu-img writes ------------------------------------------------
# SUBFORMAT  OPTIONS of qemu-img convert
n=0
while read -r subformat options; do
  n=$((n + 1))
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O vpc $options disk.raw "$n.vhd"
  same "$n.vhd" vpc vhd
  clean "$n.vhd"
  patterns vpc "$n.vhd"
  same "$n.vhd" vpc vhd
  clean "$n.vhd"
  assert_equal "$n.vhd: subformat" "$(info "$n.vhd" subformat)" "$subformat"
  assert_equal "$n.vhd: version" "$(info "$n.vhd" version)" 1.0
  rm "$n.vhd"
done << 'END'
dynamic
dynamic -o force_size=on
dynamic -S 0
fixed -o subformat=fixed
fixed -o subformat=fixed,force_size=on
fixed -o subformat=fixed -S 0
END

for size in 512 1M 2097664 3M 10000000; do
  for options in subformat=dynamic subformat=fixed force_size=on; do
    qemu-img create -q -f vpc -o $options empty.vhd $size
    same empty.vhd vpc vhd
    clean empty.vhd
    qemu-io -f vpc -c "write -P 5 0 512" -c "write -P 6 100k 1k" empty.vhd \
      > io.log 2>&1 || true # beyond the end of the smallest
    same empty.vhd vpc vhd
  done
done
# Too large to compare their bytes: a geometry that is full, and the largest.
for options in "129G subformat=dynamic" "129G subformat=fixed" \
  "2040G force_size=on"; do
  qemu-img create -q -f vpc -o "${options#* }" large.vhd "${options% *}"
  want=$(qemu-img info -f vpc --output=json large.vhd |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])')
  assert_equal "size of $options" "$("$XRAYFS" cat large.vhd virtual_size)" \
    "$want"
  rm large.vhd
done

# --- whose size: the geometry or the current size ----------------------------
# Both are there, and differ.
vhd ()
{
  python3 - "$srcdir" "$@" << 'END'
import runpy, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/fuzz")
m = runpy.run_path(sys.argv[1] + "/fuzz/make-seeds-vhd.py")
open(sys.argv[2], "wb").write(eval(" ".join(sys.argv[3:]), m))
END
}
for creator in 'vpc ' 'vs  ' qemu qem2 'win ' 'd2v ' 'tap\0' CTXS vbox \
  '\0\0\0\0' abcd; do
  for kind in 2 3; do
    vhd creator.vhd "dynamic(footer($kind, 64, (3, 4, 5), b'$creator')," \
      "header(), BAT, BITS, BLOCK, BITS, BLOCK) if $kind == 3 else" \
      "BLOCK * 8 + footer($kind, 64, (3, 4, 5), b'$creator')"
    same creator.vhd vpc vhd
  done
done
vhd creator.vhd "BLOCK * 8 + footer(2, 64, (3, 4, 5), b'wa\\0\\0')"
assert_equal "Azure's size" "$("$XRAYFS" cat creator.vhd virtual_size)" 32768
assert_equal "Azure's creator" "$(info creator.vhd creator)" wa
vhd creator.vhd "VHD['dynamic-saved']"
assert_equal "features" "$(info creator.vhd features)" \
  $'temporary\nsaved-state'

# --- footers that are short, damaged, lost, several --------------------------
qemu-img convert -O vpc -o subformat=fixed disk.raw fixed.vhd
qemu-img convert -f vpc -O raw fixed.vhd fixed.raw
truncate -s -1 fixed.vhd
same fixed.vhd vpc vhd
clean fixed.vhd

qemu-img convert -O vpc disk.raw dynamic.vhd
qemu-img convert -O raw dynamic.vhd dynamic.raw
# finding WORDS: dynamic bytes are right, and the check says WORDS
finding ()
{
  "$block_cat" broken.vhd > got.raw || fail "$1: not read"
  cmp got.raw dynamic.raw || fail "$1: contents differ"
  "$block_cat" --check broken.vhd | grep -qF -- "$1" ||
    fail "$1: not found: $("$block_cat" --check broken.vhd)"
}
patch_at () { printf %s "$2" | dd of=broken.vhd bs=1 seek="$1" conv=notrunc status=none; }
end=$(($(stat -c %s dynamic.vhd) - 512))
cp dynamic.vhd broken.vhd
truncate -s $end broken.vhd
finding "there is no footer at the end of the file"
# Nothing is lost: qemu reads it, and so may an import.
assert_equal "no footer" "$("$XRAYFS" cat broken.vhd integrity/image)" \
  "there is no footer at the end of the file; its copy at the start was used"
assert_equal "no footer: code" \
  "$("$XRAYFS" cat broken.vhd import/tencent-cvm-2019/codes/InternalError)" ok
qemu-img convert -f vpc -O raw broken.vhd got.raw
cmp got.raw dynamic.raw || fail "no footer: qemu reads something else"
truncate -s $((end - 512)) broken.vhd
"$block_cat" --check broken.vhd |
  grep -qF "broken.vhd is cut off: 1024 bytes are missing at its end" ||
  fail "cut off before the footer: $("$block_cat" --check broken.vhd)"
cp dynamic.vhd broken.vhd
patch_at $((end + 100)) x
finding "footer at 0x$(printf %x $end) is damaged"
cp dynamic.vhd broken.vhd
patch_at 100 x
finding "copy of the footer at the start is damaged"
patch_at 0 x
finding "there is no copy of the footer at the start"
patch_at $((end + 100)) x
"$block_cat" broken.vhd > got.raw 2> err.log && fail "two bad footers: read"
grep -q "checksum of the footer at 0x" err.log || fail "said: $(cat err.log)"
cp dynamic.vhd broken.vhd
patch_at $((512 + 200)) x
finding "checksum of the dynamic disk header at 0x200 is wrong"

# Random data are not claimed: a raw disk whose last sector has the cookie.
head -c 4096 /dev/urandom > random.raw
printf conectixxxxxxxx | dd of=random.raw bs=1 seek=3584 conv=notrunc status=none
assert_equal "random data" "$("$XRAYFS" cat random.raw format)" raw
vhd nested.vhd "VHD['fixed-nested']"
"$block_cat" --safety nested.vhd | grep -q "the footer of another VHD" ||
  fail "a VHD in a fixed VHD is not said"
vhd differ.vhd "VHD['dynamic-differ']"
"$block_cat" --safety differ.vhd | grep -q "describe different disks" ||
  fail "footers that differ are not said"
# A qcow2 whose last cluster ends in a footer is a qcow2.
qemu-img create -q -f qcow2 last.qcow2 1M
qemu-io -c "write -P 0 0 64k" last.qcow2 > io.log
tail -c 512 dynamic.vhd >> last.qcow2
assert_equal "footer in a qcow2" "$("$XRAYFS" cat last.qcow2 format)" qcow2

# --- blocks that are not there: never zeros ----------------------------------
cp dynamic.vhd broken.vhd
truncate -s $((end - 100000)) broken.vhd
"$block_cat" broken.vhd > got.raw 2> err.log && fail "cut off: was read"
grep -q "lies beyond the end of the data" err.log || fail "$(cat err.log)"
"$block_cat" --check broken.vhd | grep -q "100512 bytes are missing" ||
  fail "cut off: $("$block_cat" --check broken.vhd)"
"$block_cat" --random 1 3 dynamic.raw broken.vhd 2> err.log || true
grep -q differ err.log && fail "cut off: wrong bytes"
vhd bad.vhd "VHD['dynamic-bad']"
assert_equal "findings of bad.vhd" \
  "$("$block_cat" --check bad.vhd | sed -n 's/^errors=//p')" 9

# --- each read fails once ----------------------------------------------------
for i in fixed dynamic dynamic-no-end; do
  vhd fault.vhd "VHD['$i']"
  "$block_cat" --fault fault.vhd > io.log || fail "$i: faults"
done
