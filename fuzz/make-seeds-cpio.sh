#!/bin/bash
# xrayfs: the seeds of fuzz-cpio with a filesystem image inside, and in lzo
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make-seeds-cpio.sh DIR    (fuzz/corpus/cpio)
set -euo pipefail
out=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
umask 022
m=root/usr/lib/modules/6.1
mkdir -p $m/kernel root/etc/modprobe.d mkinitrd/lib outer
echo module | tee $m/kernel/virtio-blk.ko > $m/kernel/virtio.ko
echo 'kernel/virtio-blk.ko: kernel/virtio.ko' > $m/modules.dep
echo kernel/fs.ko > $m/modules.builtin
echo 'blacklist floppy' > root/etc/modprobe.d/a.conf
ln -s /dev/null root/etc/modprobe.d/b.conf
find . -exec touch -hd @1700000000 {} +
cpio_of () { (cd "$1" && find . | sort | cpio -o -H newc --quiet --reproducible -R 0:0); }
cpio_of root | lzop -9 -c > "$out/lzo"
mksquashfs root outer/squash-root.img -quiet -no-progress -all-root \
  -mkfs-time 1700000000 -nopad -comp gzip
cpio_of outer > "$out/squash"
cpio_of outer | lzop -9 -c > "$out/squash-lzo"
rm outer/squash-root.img
mkfs.erofs -T1700000000 -U 00000000-0000-0000-0000-000000000001 --all-root \
  outer/erofs-root.img root > /dev/null 2>&1
cpio_of outer | zstd -q > "$out/erofs"
E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -t ext2 -b 1024 -N 32 -d root \
  -U 00000000-0000-0000-0000-000000000001 -E root_owner=0:0,hash_seed=00000000-0000-0000-0000-000000000001 \
  ext2 128k 2> /dev/null
gzip -9n < ext2 > "$out/ext2"
echo module > mkinitrd/lib/virtio_blk.ko
printf '#!/bin/nash\ninsmod /lib/virtio_blk.ko\n' > mkinitrd/init
cpio_of mkinitrd > "$out/mkinitrd"
