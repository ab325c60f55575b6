#!/bin/bash
# xrayfs: sizes are what qemu-img info and qemu-img measure say
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img qemu-io python3
cd "$tmp"
failed=0

# same IMAGE [FORMAT]
same ()
{
  local want got
  want=$({ qemu-img measure -O qcow2 --output=json -f "${2:-qcow2}" "$1"
    qemu-img info -U --output=json -f "${2:-qcow2}" "$1"; } |
    python3 -c '
import json, os, sys
text = sys.stdin.read()
measure, end = json.JSONDecoder().raw_decode(text)
info = json.loads(text[end:])
print(measure["required"], info["virtual-size"], info["actual-size"],
      os.path.getsize(sys.argv[1]))' "$1")
  got=$("$XRAYFS" cat "$1" qcow2_size_bound virtual_size disk_size file_size |
    tr '\n' ' ')
  if [ "${got% }" != "$want" ]; then
    note "$1: $got, qemu-img says $want" >&2
    failed=1
  fi
}

write () { qemu-io -f "$1" "${@:3}" "$2" > io.log || fail "$2: $(cat io.log)"; }

truncate -s 10M sparse.raw
truncate -s 12345678 odd.raw
truncate -s 1 one.raw
truncate -s 65G large.raw
head -c 3000000 /dev/urandom > dense.raw
cp sparse.raw islands.raw
for off in 1000 200000 4194304 9999999; do
  printf data | dd of=islands.raw bs=1 seek=$off conv=notrunc status=none
done
printf end | dd of=large.raw bs=1 seek=60G conv=notrunc status=none
for i in sparse odd one large dense islands; do same $i.raw raw; done

qemu-img convert -O qcow2 dense.raw dense.qcow2
qemu-img convert -O qcow2 islands.raw islands.qcow2
qemu-img convert -c -O qcow2 dense.raw compressed.qcow2
for size in 512 513K 64K 1G 8G 2T; do
  qemu-img create -q -f qcow2 "empty-$size.qcow2" $size
done
for cluster in 512 4K 2M; do
  qemu-img convert -O qcow2 -o cluster_size=$cluster islands.raw "c$cluster.qcow2"
done
for p in metadata falloc full; do
  qemu-img create -q -f qcow2 -o preallocation=$p "$p.qcow2" 5M
done
qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128K ext.qcow2 8M
write qcow2 ext.qcow2 -c 'write 20k 4k' -c 'write -z 300k 8k'
qemu-img convert -O qcow2 -o compat=0.10 islands.raw v2.qcow2
cp islands.qcow2 zero.qcow2
write qcow2 zero.qcow2 -c 'write -z 0 128k' -c 'write -z -u 4M 64k'
qemu-img create -q -f qcow2 -b islands.qcow2 -F qcow2 overlay.qcow2
write qcow2 overlay.qcow2 -c 'write 5M 70k' -c 'write -z 128k 128k'
qemu-img create -q -f qcow2 -b overlay.qcow2 -F qcow2 overlay2.qcow2 20M
write qcow2 overlay2.qcow2 -c 'write 15M 1'
qemu-img create -q -f qcow2 -b islands.raw -F raw over-raw.qcow2
qemu-img create -q -f qcow2 -b compressed.qcow2 -F qcow2 over-compressed.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw data.qcow2 4M
write qcow2 data.qcow2 -c 'write 1M 100k'
for i in *.qcow2; do same "$i"; done
exit "$failed"
