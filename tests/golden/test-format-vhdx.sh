#!/bin/bash
# xrayfs: VHDX images give the bytes and the facts that qemu-img gives
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/formats.sh"
cd "$tmp"
export PYTHONPATH=$srcdir/tests/golden PYTHONDONTWRITEBYTECODE=1

# qemu-img's driver for vhdx has no map: all is data to it, so that measure
# counts what was never written.  Ours shows what is there: the bound is at
# most qemu's, and at least what converting makes.
same_vhdx ()
{
  local bound
  NO_MAP=1 same "$1" vhdx
  bound=$("$XRAYFS" cat "$1" qcow2_size_bound)
  qemu-img convert -f vhdx -O qcow2 "$1" bound.qcow2
  [ "$bound" -ge "$(stat -c %s bound.qcow2)" ] || fail "$1: bound is too small"
  rm bound.qcow2
  assert_equal "$1: check" "$("$block_cat" --check "$1")" \
    "$(printf 'errors=0\nnotes=0')"
  assert_equal "$1: safety" "$("$block_cat" --safety "$1")" ""
}

info () { "$block_cat" --info "$1" | sed -n "s/^$2=//p"; }

# --- what qemu-img writes -------------------------------------------------
while read -r name options; do
  [ -n "$name" ] || continue
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O vhdx $options "$disk_raw" "$name.vhdx"
  same_vhdx "$name.vhdx"
  patterns vhdx "$name.vhdx"
  same_vhdx "$name.vhdx"
  case $name in fixed*) want=fixed ;; *) want=dynamic ;; esac
  assert_equal "$name: subformat" "$(info "$name.vhdx" subformat)" "$want"
  assert_equal "$name: version" "$(info "$name.vhdx" version)" 1
  case $(info "$name.vhdx" creator) in QEMU\ v*) ;; *) fail "creator" ;; esac
  assert_equal "$name: dirty" "$(info "$name.vhdx" dirty)" 0
  rm "$name.vhdx"
done << 'END'
default
dynamic-1m    -o subformat=dynamic,block_size=1M
dynamic-2m    -o block_size=2M,log_size=2M
dynamic-256m  -o block_size=256M
state-zero    -o block_size=1M,block_state_zero=on
full          -S 0 -o block_size=1M
log-16m       -o log_size=16M
fixed         -o subformat=fixed
fixed-1m      -o subformat=fixed,block_size=1M
fixed-falloc  -o subformat=fixed,preallocation=falloc
fixed-full    -o subformat=fixed,preallocation=full
END

# --- empty, odd, large ----------------------------------------------------
for size in 0 512 1000 1M 1048577 3145727 5G; do
  qemu-img create -q -f vhdx empty.vhdx "$size"
  "$block_cat" empty.vhdx > got.raw
  assert_equal "empty of $size" "$(stat -c %s got.raw)" \
    "$(qemu-img info --output=json empty.vhdx |
      python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])')"
done
# Behind the first sector bitmap's entry of the BAT, at 4 GiB and more.
qemu-img create -q -f vhdx -o block_size=1M far.vhdx 9G
qemu-io -f vhdx -c "write -P 1 4095M 2M" -c "write -P 2 8191M 3M" \
  -c "write -P 3 9215M 1M" far.vhdx > io.log
"$block_cat" --status far.vhdx > got.map
printf '%s\n' "0 4293918720 hole" "4293918720 2097152 data" \
  "4296015872 4292870144 hole" "8588886016 3145728 data" \
  "8592031744 1070596096 hole" "9662627840 1048576 data" |
  diff - got.map || fail "map of far.vhdx"
qemu-img create -q -f vhdx -o block_size=256M large.vhdx 64T
python3 - << 'EOF'
# Where qemu-io would take long: the last block, by hand.
import struct, vhdx
with open("large.vhdx", "r+b") as f:
    f.seek(192 * 1024 + 16)
    for _ in range(2):
        e = f.read(32)
        if e[:16] == vhdx.guid(vhdx.BAT_ID):
            bat, = struct.unpack_from("<Q", e, 16)
    f.seek(0, 2)
    at = f.tell()
    f.seek(bat + 8 * vhdx.bat_index((1 << 18) - 1, 16))
    f.write(struct.pack("<Q", at | vhdx.PRESENT))
    f.seek(at + (256 << 20) - 4)
    f.write(b"last")
EOF
for i in far large; do
  "$XRAYFS" cat $i.vhdx virtual_size > got.size
  assert_equal "size of $i" "$(cat got.size)" \
    "$(qemu-img info --output=json $i.vhdx |
      python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])')"
  assert_equal "check of $i" "$("$block_cat" --check $i.vhdx)" \
    "$(printf 'errors=0\nnotes=0')"
done
qemu-io -r -f vhdx -c "read -v $((64 * 1024 ** 4 - 4)) 4" large.vhdx |
  grep -q "last" || fail "large.vhdx by qemu-io"
assert_equal "map of large" "$("$block_cat" --status large.vhdx | tail -1)" \
  "70368475742208 268435456 data"
rm large.vhdx far.vhdx

# --- what qemu cannot write: states, sectors of 4 KiB ----------------------
python3 - << 'EOF'
import random
from vhdx import *
random.seed(3)
data = [random.randbytes(M) for _ in range(4)]
size = 7 * M + 512
blocks = {0: (PRESENT, data[0]), 1: (ZERO, None), 2: (UNDEFINED, None),
          3: (UNMAPPED, None), 5: (5, None), 6: (PRESENT, data[1]),
          7: (PRESENT, data[2])}
image("states.vhdx", size, blocks)
# Images of qemu have had a last block that ends with the disk.
image("short.vhdx", size, blocks, short=M - 512)
# Blocks whose order in the file is another: no run of them.
image("fixed.vhdx", 4 * M, {n: (PRESENT, d) for n, d in enumerate(data)},
      fixed=True, creator="Ünïcode\U0001f40d\n2")
image("4k.vhdx", 3 * M + 4096, {n: (PRESENT, data[n]) for n in (0, 2, 3)},
      sector=4096, physical=4096)
with open("4k.raw", "wb") as f:
    for n in (0, 2):
        f.seek(n * M)
        f.write(data[n])
    f.write(data[3][:4096])
# Chunks of 4 GiB: the entry of the first bitmap lies between blocks.
image("chunks.vhdx", 4098 * M, {4095: (PRESENT, data[0]),
                                4096: (PRESENT, data[1])})
image("chunks-4k.vhdx", 32769 * M, {32767: (PRESENT, data[0]),
                                    32768: (PRESENT, data[1])}, sector=4096)
EOF
for i in states short fixed chunks; do
  same_vhdx $i.vhdx
done
assert_equal "creator" "$(info fixed.vhdx creator)" "Ünïcode🐍?2"
"$block_cat" --map states.vhdx | cut -d' ' -f1-3 |
  diff - <(printf '%s\n' "0 1048576 data" "1048576 1048576 zero" \
    "2097152 4194304 unallocated" "6291456 1049088 data") ||
  fail "map of states.vhdx"
# qemu 7.2 takes a disk with sectors of 4 KiB for an eighth of its size.
"$block_cat" 4k.vhdx > got.raw || fail "4k.vhdx: not read"
cmp got.raw 4k.raw || fail "4k.vhdx: contents differ"
"$block_cat" --random 1 200 4k.raw --threads 3 4k.vhdx || fail "4k.vhdx: random"
assert_equal "4k: features" "$(info 4k.vhdx features)" \
  "$(printf 'logical-sector-size-4096\nphysical-sector-size-4096')"
assert_equal "4k: check" "$("$block_cat" --check 4k.vhdx)" \
  "$(printf 'errors=0\nnotes=0')"
"$block_cat" --status chunks-4k.vhdx |
  diff - <(printf '%s\n' "0 34358689792 hole" "34358689792 2097152 data") ||
  fail "map of chunks-4k.vhdx"

# --- each read fails once -------------------------------------------------
for i in states fixed 4k; do
  "$block_cat" --fault $i.vhdx > got.fault || fail "$i.vhdx: faults"
done
