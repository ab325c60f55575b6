#!/bin/bash
# xrayfs: test-hostile-images.c over a small image of each container format
# SPDX-License-Identifier: GPL-2.0-or-later
#
# LONG=1, or `make check-long`: more places of each image.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires qemu-img qemu-io python3
hostile=$builddir/tests/unit/test-hostile-images
cd "$tmp"

python3 -c '
import random
random.seed(1)
f = open("disk.raw", "wb")
f.write(random.randbytes(100000))
f.seek(400 << 10)
f.write(b"".join(b"line %d of some text\n" % i for i in range(20000)))
f.seek(1000 << 10)
f.write(random.randbytes(50000))
f.truncate(1100 << 10)'

# NAME  FORMAT  OPTIONS of qemu-img convert
while read -r name format options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O "$format" $options disk.raw "$name" 2> convert.log ||
    note "$name: qemu-img cannot make it: $(tail -1 convert.log)"
done << 'END'
v3.qcow2        qcow2
v2.qcow2        qcow2     -o compat=0.10
c512.qcow2      qcow2     -o cluster_size=512
zlib.qcow2      qcow2     -c -o cluster_size=4k
v2-zlib.qcow2   qcow2     -c -o cluster_size=4k,compat=0.10
zstd.qcow2      qcow2     -c -o cluster_size=512,compression_type=zstd
ext.qcow2       qcow2     -o extended_l2=on,cluster_size=16k
bits1.qcow2     qcow2     -o refcount_bits=1,cluster_size=1k
bits64.qcow2    qcow2     -o refcount_bits=64,cluster_size=1k
meta.qcow2      qcow2     -o preallocation=metadata,cluster_size=4k
fixed.vhd       vpc       -o subformat=fixed,force_size=on
dynamic.vhd     vpc       -o subformat=dynamic,force_size=on
dynamic.vhdx    vhdx      -o block_size=1M
fixed.vhdx      vhdx      -o subformat=fixed,block_size=1M
sparse.vmdk     vmdk
stream.vmdk     vmdk      -o subformat=streamOptimized
dynamic.vdi     vdi
static.vdi      vdi       -o static=on
plain.qcow      qcow
zlib.qcow       qcow      -c
small.qed       qed       -o cluster_size=4k,table_size=2
small.hdd       parallels -o cluster_size=4k
END
cp zlib.qcow2 snapshots.qcow2
qemu-img snapshot -c one snapshots.qcow2
qemu-io -c "write -P 3 600k 100k" snapshots.qcow2 > io.log
qemu-img snapshot -c two snapshots.qcow2
cp c512.qcow2 bitmaps.qcow2
qemu-img bitmap --add -g 512 bitmaps.qcow2 b0
qemu-io -c "write -P 7 0 100k" bitmaps.qcow2 > io.log
qemu-img create -q -f qcow2 -b v3.qcow2 -F qcow2 overlay.qcow2
qemu-io -c "write -P 7 0 100k" overlay.qcow2 > io.log
# On a busy machine qemu cannot always tell how long a key may take.
qemu-img create -q --object secret,id=s,data=abc -f qcow2 \
  -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=100 \
  luks.qcow2 1M || rm -f luks.qcow2
qemu-img create -q --object secret,id=s,data=abc -f luks \
  -o key-secret=s,iter-time=100 small.luks 64k || rm -f small.luks

shopt -s nullglob
images=(disk.raw ./*.qcow2 ./*.vhd ./*.vhdx ./*.vmdk ./*.vdi ./*.qcow ./*.qed
  ./*.hdd ./*.luks)
[ $# -eq 0 ] || images=("$@")
status=0
"$hostile" "${images[@]}" || status=1

# Containers among the images of the corpus.
if [ $# -eq 0 ] && [ -x "$corpus_dir/unpack" ]; then
  "$corpus_dir/unpack" "$cache_dir/corpus"
  python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" << 'END' > list
import json, os, sys
for x in json.load(open(sys.argv[1])):
    path = os.path.join(sys.argv[2], x["id"])
    if (x.get("facts", {}).get("format", "raw") != "raw"
            and os.path.exists(path) and os.path.getsize(path) < 2 << 20):
        print(path)
END
  mapfile -t images < list
  [ ${#images[@]} -eq 0 ] || "$hostile" "${images[@]}" || status=1
fi
exit $status
