#!/bin/bash
# xrayfs: qcow2 images written in random order read as qemu reads them
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires qemu-img qemu-io python3 cmp
cat=$(tool block-cat)
rounds=${ROUNDS:-12}
cd "$tmp"

# commands SEED SIZE: patterns, zeros and discards anywhere.
commands ()
{
  python3 - "$1" "$2" << 'END'
import random, sys
random.seed(int(sys.argv[1]))
size = int(sys.argv[2])
for i in range(60):
    op = random.choice(["write -P %d" % random.randrange(1, 256)] * 3 +
                       ["write -z", "write -zu", "discard"])
    n = random.choice([512, 3000, 4096, 20000, 65536, 300000])
    print(op, random.randrange(size - n) & ~511, (n + 511) & ~511)
    if random.random() < .1:
        n = 65536
        print("write -c -P %d" % random.randrange(256),
              random.randrange(size // n) * n, n)
END
}

size=$((5 * 1024 * 1024 + 1536))
# shellcheck disable=SC2054 # the commas are qemu's
options=(cluster_size=512 cluster_size=4k cluster_size=64k cluster_size=2M
         compat=0.10 extended_l2=on extended_l2=on,cluster_size=16k
         compression_type=zstd)
for ((i = 0; i < rounds; i++)); do
  o=${options[i % ${#options[@]}]}
  rm -f base.qcow2 top.qcow2
  qemu-img create -q -f qcow2 -o "$o" base.qcow2 $((size - i % 2 * 1000448))
  commands $i $((4 * 1024 * 1024)) |
    qemu-io base.qcow2 > io.log 2>&1 || true # some do not fit the clusters
  qemu-img create -q -f qcow2 -o "$o" -b base.qcow2 -F qcow2 top.qcow2 $size
  commands $((i + 1000)) $size | qemu-io top.qcow2 > io.log 2>&1 || true
  qemu-img convert -O raw top.qcow2 want.raw
  "$cat" top.qcow2 > got.raw
  cmp want.raw got.raw || fail "round $i ($o): contents differ"
  "$cat" --random $i 100 want.raw --threads 3 top.qcow2 ||
    fail "round $i ($o): random reads"
done
note "$rounds rounds: same"
