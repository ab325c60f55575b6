#!/bin/bash
# xrayfs: when a read of a qcow2 image fails, there is an error or the right
# data, never wrong data
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img qemu-io
cat=$(tool block-cat)
cd "$tmp"

seq 1 60000 > text
truncate -s 2M text
while read -r name options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -f raw -O qcow2 $options text "$name.qcow2"
  qemu-io -c "write -P 1 1M 64k" -c "write -z 1536k 64k" -c "discard 0 64k" \
    "$name.qcow2" > io.log
  "$cat" --fault "$name.qcow2" > reads || fail "$name"
  note "$name: $(< reads)"
done << 'END'
v3
v2        -o compat=0.10
c4k-zlib  -c -o cluster_size=4k
zlib      -c
zstd      -c -o compression_type=zstd
ext       -o extended_l2=on
data      -o data_file=data.raw
END
qemu-img create -q -f qcow2 -b zlib.qcow2 -F qcow2 top.qcow2 3M
qemu-img snapshot -c one top.qcow2
"$cat" --fault top.qcow2 > reads || fail "top"
note "top: $(< reads)"
