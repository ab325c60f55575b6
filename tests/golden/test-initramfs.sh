#!/bin/bash
# xrayfs: an initramfs made by real tools holds what those tools say it holds
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires cpio gzip bzip2 xz lz4 lzop zstd timeout mke2fs mksquashfs mkfs.erofs
list=$(tool initramfs-list)
cd "$tmp"
v=6.1.0-1-amd64
failed=0

# Names with blanks; a file larger than one read; links, an empty directory.
mkdir -p "main/usr/lib/modules/$v/kernel/drivers" main/etc/modprobe.d main/dev
for m in virtio-blk.ko virtio_net.ko.xz virtio-pci.ko.zst virtio.ko.gz; do
  echo "$m" > "main/usr/lib/modules/$v/kernel/drivers/$m"
done
head -c 700000 /dev/urandom > main/usr/large
head -c 900000 /dev/zero > main/usr/zeros
touch 'main/etc/a name' main/etc/x{1..300}
ln -s usr/lib main/lib
ln main/usr/large main/usr/hard
mkdir -p early/kernel/x86/microcode
head -c 20001 /dev/urandom > early/kernel/x86/microcode/AuthenticAMD.bin
mkdir -p "more/lib/modules/$v/extra" more/lib/modules/5.0.0
touch "more/lib/modules/$v/extra/virtio_scsi.ko" more/lib/modules/5.0.0/old.ko

# cpio_of DIR [FORMAT]
cpio_of () { (cd "$1" && find . | sort | cpio -o -H "${2:-newc}" --quiet); }
names () { (cd "$1" && find . | sort | sed 's|^\./||'); }
pad () { truncate -s "%$2" "$1"; }

for part in early main more; do
  cpio_of "$part" > "$part.cpio"
  names "$part" > "$part.names"
done
cpio_of main crc > crc.cpio

declare -A pack=(
  [gzip]='gzip -n' [bzip2]=bzip2 [xz]='xz --check=crc32 -0' [lzma]='lzma -0'
  [lz4]='lz4 -l -q -c' [zstd]='zstd -q' [zstd-T]='zstd -q -T2 -B512KiB'
  [cat]=cat [xz-blocks]='xz --check=crc32 -0 --block-size=200000'
  [lzo]='lzop -1 -c' [lzo-crc]='lzop -9 --crc32 -c'
  [lz4-frame]='lz4 -q -c' [zstd-check]='zstd -q --check --long=27'
)

# same WHAT FILE NAMES...: the names of the parts, in their order.
same ()
{
  local what=$1 file=$2
  shift 2
  (for n; do cat "$n.names"; done) | sort > want
  timeout 60 "$list" "$file" 2> error | sed 's|^\./||' | sort > got
  if ! cmp -s want got; then
    note "$what: $(head -n 1 error) ($(diff want got | grep -c '^<') missing," \
      "$(diff want got | grep -c '^>') too many)" >&2
    failed=1
  fi
}

# refused WHAT FILE: an error in one line, soon, and no crash.
refused ()
{
  local status=0
  timeout 20 "$list" "$2" > got 2> error || status=$?
  if [ "$status" -ne 1 ] || [ "$(wc -l < error)" -ne 1 ]; then
    note "$1: status $status, '$(head -c 200 error)'" >&2
    failed=1
  fi
}

same crc crc.cpio main
for c in "${!pack[@]}"; do
  ${pack[$c]} < main.cpio > main.z
  same "$c" main.z main
  cp main.z padded && pad padded 4096
  same "$c, zeros at the end" padded main
  printf '\0\0\0' | cat main.z - > padded
  same "$c, three zeros at the end" padded main
  cp early.cpio image && pad image 512 && cat main.z >> image
  same "microcode and $c" image early main
  # A segment after a compressed one; the kernel's loader pads to 4.
  cp main.z image && pad image 4
  ${pack[$c]} < more.cpio >> image
  same "$c and $c" image main more
  cp main.z image && pad image 4 && cat more.cpio >> image
  same "$c and plain" image main more
  cat main.cpio more.cpio | ${pack[$c]} > image
  same "two archives in one $c" image main more
  (cat main.cpio; head -c 1000 /dev/zero; cat more.cpio) | ${pack[$c]} > image
  same "two archives and zeros in one $c" image main more
  [ "$c" = cat ] && continue
  head -c $(($(wc -c < main.z) / 2)) main.z > short
  refused "$c, cut off" short
  (head -c 1000 main.z; head -c 5000 /dev/urandom) > garbage
  refused "$c, garbage inside" garbage
done
cat early.cpio more.cpio main.cpio > image
same "three plain ones" image early more main

cat main.cpio more.cpio | zstd -q > image
assert_equal modules "$("$list" --modules "$v" image | tr '\n' ' ')" \
  "virtio virtio_blk virtio_net virtio_pci virtio_scsi "
assert_equal "modules of another kernel" "$("$list" --modules 5.0.0 image)" old

# One checksum a block is what Linux skips.
lzop -F -c < main.cpio > other
refused "lzo without checksums" other

# The rest of it in a filesystem image, as by dracut's squash modules.
for image in squash-root.img squashfs-root.img squash/root.img \
  erofs-root.img; do
  rm -rf outer
  mkdir -p "outer/$(dirname "$image")" outer/usr
  case $image in
  erofs*) mkfs.erofs "outer/$image" main > /dev/null 2>&1 ;;
  *) mksquashfs main "outer/$image" -quiet -no-progress -no-xattrs ;;
  esac
  (names outer; names main | grep -vx .) > both.names
  cpio_of outer | zstd -q > main.z
  same "$image" main.z both
  assert_equal "modules in $image" \
    "$("$list" --modules "$v" main.z | tr '\n' ' ')" \
    "virtio virtio_blk virtio_net virtio_pci "
  # Its tables are at its end.
  case $image in erofs*) continue ;; esac
  truncate -s $(($(wc -c < "outer/$image") / 2)) "outer/$image"
  cpio_of outer > damaged
  refused "$image, cut off" damaged
done

# An initrd of the time before initramfs.
mke2fs -q -t ext2 -d main ext2 4M
(names main; echo lost+found) | grep -vx . > initrd.names
same ext2 ext2 initrd
gzip -c ext2 > ext2.gz
same "ext2 in gzip" ext2.gz initrd
lzop -c ext2 > ext2.lzo
same "ext2 in lzo" ext2.lzo initrd

head -c 200000 main.cpio > short
refused "plain, cut off" short
: > empty
refused "empty file" empty
head -c 9000 /dev/zero > zeros
refused "zeros" zeros
head -c 9000 /dev/urandom | sed 's/^/x/' > garbage
refused "garbage" garbage
for format in odc bin hpodc hpbin tar ustar; do
  cpio_of more "$format" > other
  refused "cpio -H $format" other
done

# The same file in the formats of others: newc and crc alone are read.
for id in bin crc hpbin hpodc newc odc; do
  file=$(corpus "ratarmount/single-file.$id.cpio") || break
  case $id in
  newc | crc) echo bar > bar.names; same "corpus: $id" "$file" bar ;;
  *) refused "corpus: $id" "$file" ;;
  esac
done

# A real one, by initramfs-tools.
if command -v lsinitramfs > /dev/null && [ -f "$cache_dir/images/debian.qcow2" ]; then
  path=$("$XRAYFS" ls "$cache_dir/images/debian.qcow2" partitions/1/files/boot |
    grep '^initrd.img-' | head -n 1)
  "$XRAYFS" cat "$cache_dir/images/debian.qcow2" \
    "partitions/1/files/boot/$path" > real
  lsinitramfs real > real.names
  same "Debian's $path" real real
  # What has_virtio reads is that file, and little else.
  for image in debian.qcow2 debian.raw; do
    [ -f "$cache_dir/images/$image" ] || continue
    bytes=$("$XRAYFS" cat "$cache_dir/images/$image" has_virtio \
      image/bytes_read | tail -n 1)
    if [ "$bytes" -gt $(($(wc -c < real) + 8 * 1024 * 1024)) ]; then
      note "has_virtio of $image reads $bytes bytes" >&2
      failed=1
    fi
  done
fi
exit "$failed"
