#!/bin/bash
# xrayfs: qcow2_size is the length of what qemu-img convert writes
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img qemu-io python3 fallocate
cd "$tmp"
failed=0

# same IMAGE [FORMAT [CONVERT-OPTIONS...]]: exact and bound.
same ()
{
  local want got
  qemu-img convert -f "${2:-qcow2}" -O qcow2 "${@:3}" "$1" out.qcow2
  got=$("$XRAYFS" cat "$1" qcow2_size qcow2_size_bound | tr '\n' ' ')
  want="$(stat -c %s out.qcow2) $(qemu-img measure -f "${2:-qcow2}" \
    -O qcow2 --output=json "$1" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["required"])') "
  rm out.qcow2
  [ "$got" = "$want" ] && return
  note "$1: $got, qemu-img says $want" >&2
  failed=1
}

# raw FILE SIZE [OFFSET:LENGTH[:zero]]...: bytes (or stored zeros) at places.
raw ()
{
  python3 - "$@" << 'END'
import random, sys
random.seed(1)
with open(sys.argv[1], "wb") as f:
    f.truncate(int(sys.argv[2]))
    for place in sys.argv[3:]:
        at, length, *zero = place.split(":")
        f.seek(int(at))
        f.write(bytes(int(length)) if zero else random.randbytes(int(length)))
END
}

write () { qemu-io -f qcow2 "${@:2}" "$1" > io.log || fail "$1: $(cat io.log)"; }

# --- raw: name, size, places ---
while read -r name size places; do
  # shellcheck disable=SC2086 # places are words
  raw "$name.raw" "$size" $places
  same "$name.raw" raw
  rm "$name.raw"
done << 'END'
one         1
byte        1             0:1
odd         1000          999:1
sector      65537         65536:1
before      70000         65535:1
both        200000        65535:2
empty       10000000
stored      10000000      0:10000000:zero
dense       3000000       0:3000000
tail        1000000       999999:1
islands     10485760      1000:1 200000:4 4194304:4 9999999:7
short-gaps  1000000       0:100 1024:100 4608:512 8704:3 65024:1024
unaligned   9000000       511:3000 131071:2 262000:200 1048575:1
zero-runs   9000000       0:9000000 512:512:zero 66000:4096:zero 131072:65536:zero 200000:131072:zero 524288:3000000:zero
two-tables  1073741824    0:1 536870911:1
later-table 1073741824    536870912:1
terabytes   3298534883328 0:1 1099511627775:2 3298534883327:1
END

# --- other sources ---
raw base.raw 9000000 0:2000000 300000:200000:zero 3000000:5 5000000:70000:zero 8999999:1
while read -r name options; do
  # shellcheck disable=SC2086
  qemu-img convert -f raw -O qcow2 $options base.raw "$name.qcow2"
  same "$name.qcow2"
done << 'END'
plain      -S 4k
all-data   -S 0
v2         -o compat=0.10
c512       -o cluster_size=512
c4k        -o cluster_size=4k -S 0
c2m        -o cluster_size=2M
compressed -c
zstd       -c -o compression_type=zstd
c2m-comp   -c -o cluster_size=2M
ext        -o extended_l2=on,cluster_size=16k
prealloc   -o preallocation=metadata
falloc     -o preallocation=falloc
data-file  -o data_file=data.raw
END
cp plain.qcow2 zero.qcow2
write zero.qcow2 -c 'write -z 0 128k' -c 'write -z -u 600k 64k' \
  -c 'write -P 0 1M 100k' -c 'discard 1536k 64k'
same zero.qcow2
qemu-img create -q -f qcow2 -b zero.qcow2 -F qcow2 overlay.qcow2
write overlay.qcow2 -c 'write 5M 70k' -c 'write -z 128k 128k'
same overlay.qcow2
qemu-img create -q -f qcow2 -b overlay.qcow2 -F qcow2 -o cluster_size=4k top.qcow2 20M
write top.qcow2 -c 'write 15M 512' -c 'write -P 0 300k 10k'
same top.qcow2
qemu-img create -q -f qcow2 -b compressed.qcow2 -F qcow2 -o extended_l2=on short.qcow2 5M
same short.qcow2
for options in '-m 1' '-m 16' '-W' '-W -m 16'; do
  # shellcheck disable=SC2086
  same top.qcow2 qcow2 $options
done

# --- preallocation is told by references, not by lengths ---
# The end was given back to the host: no more references than data, and what
# the host dug out of the data since then is data nevertheless.
qemu-img create -q -f qcow2 freed.qcow2 64M
write freed.qcow2 -c 'write -P 0 0 2M' -c 'write -P 1 2M 62M'
qemu-io -f qcow2 -d unmap -c 'discard 40M 24M' freed.qcow2 > io.log
fallocate -d freed.qcow2
same freed.qcow2
# The same with references: they are more than the host has.
qemu-img create -q -f qcow2 dug.qcow2 64M
write dug.qcow2 -c 'write -P 0 0 62M' -c 'write -P 1 62M 2M'
fallocate -d dug.qcow2
same dug.qcow2
for bits in 1 2 8 64; do
  qemu-img create -q -f qcow2 -o refcount_bits=$bits,preallocation=metadata \
    refs.qcow2 200M
  write refs.qcow2 -c 'write 1M 1M'
  same refs.qcow2
done

# --- more than qcow2 with clusters of 64 KiB can hold ---
qemu-img create -q -f qcow2 -o cluster_size=2M huge.qcow2 2P
same huge.qcow2
qemu-img create -q -f qcow2 -o cluster_size=2M huge.qcow2 3P
! qemu-img convert -O qcow2 huge.qcow2 out.qcow2 2> io.log ||
  fail "qemu-img converts it"
assert_equal huge.qcow2 "$("$XRAYFS" cat huge.qcow2 qcow2_size)" unknown

# --- the first of several refcount blocks is full: 2 GiB of output ---
if [ -z "${QUICK:-}" ]; then
  python3 "$srcdir/tests/golden/make-shared-qcow2.py" refblocks.qcow2 \
    $((5 << 30)) 16 32761 1
  same refblocks.qcow2
fi
exit "$failed"
