#!/usr/bin/env bash
# A tree of everything that is hard, on ext2 to ext4 with many options: the
# same listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs tune2fs losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

# make SIZE BLOCK LARGE OPTIONS...: an image with the tree in it; 1: the
# kernel cannot.
make ()
{
  local size=$1 block=$2 large=$3
  shift 3
  rm -f "$img"
  truncate -s "$size" "$img"
  mke2fs -q -F -b "$block" -N 32768 "$@" "$img" > "$tmp/log" 2>&1 \
    || { cat "$tmp/log"; return 1; }
  mount -o loop "$img" "$mnt" 2> "$tmp/log" || return 1
  LARGE=$large python3 "$srcdir/tests/golden/torture-tree.py" "$mnt" "$block" \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  umount "$mnt"
}

kernel_listing ()
{
  mount -t ext4 -o ro,noload,loop "$img" "$mnt" 2> /dev/null \
    || mount -o ro,loop "$img" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel"
  umount "$mnt"
}

check ()
{
  local name=$1
  shift
  if ! make "$@"; then
    note "$name: not here: $(tail -n 1 "$tmp/log")"
    return
  fi
  kernel_listing
  "$walk" -l "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s "$tmp/kernel" "$tmp/ours" \
    || fail "$name: $(diff "$tmp/kernel" "$tmp/ours" | cut -c -400 | head -n 4)"
  note "$name: $(wc -l < "$tmp/ours") files"
  tested=yes
}

tested=
# name, size, block size, entries of the large directory, options
check ext2-1k 200M 1024 20000 -t ext2
check ext2-4k 200M 4096 5000 -t ext2 -I 128
check ext2-linear 200M 4096 3000 -t ext2 -O ^dir_index
check ext3 200M 4096 5000 -t ext3
check ext4-1k 200M 1024 20000 -t ext4
check ext4 300M 4096 20000 -t ext4
check indirect 300M 4096 2000 -t ext4 -O ^extent,^64bit
check bigalloc 500M 4096 2000 -t ext4 -O bigalloc -C 16384
check inline 300M 4096 5000 -t ext4 -O inline_data -I 512
check no-csum 300M 4096 2000 -t ext4 -O ^metadata_csum,uninit_bg
check 32bit 300M 4096 2000 -t ext4 -O ^64bit
check ea-inode 300M 4096 5000 -t ext4 -O ea_inode,large_dir
check meta-bg 300M 1024 1000 -t ext4 -O meta_bg,^resize_inode
check csum-seed 300M 4096 1000 -t ext4 -O metadata_csum_seed,encrypt,verity
check 2k-128 300M 2048 1000 -t ext4 -I 128
[ "$tested" ] || skip "no loop devices here"

# Kernels without these features refuse to write with them: switched on
# later, they must change nothing.
for feature in casefold project,quota; do
  make 300M 4096 1000 -t ext4 -I 256 || break
  "$walk" -l "$img" > "$tmp/kernel"
  if ! tune2fs -O $feature "$img" > "$tmp/log" 2>&1; then
    note "$feature: not here: $(tail -n 1 "$tmp/log")"
    continue
  fi
  "$walk" -l "$img" > "$tmp/ours" || fail "$feature: an error"
  cmp "$tmp/kernel" "$tmp/ours" || fail "$feature"
  note "$feature"
done

# Blocks of 64 KiB, which kernels with small pages do not mount: against the
# same files in blocks of 4 KiB, but for where they lie.
placeless () { sed -E 's/ (blocks|ino|atime|ctime|data)=[^ ]*//g' "$1" | grep -av '^/ \|^/lost+found'; }
mkdir "$tmp/src"
LARGE=2000 python3 "$srcdir/tests/golden/torture-tree.py" "$tmp/src" 65536 2> /dev/null
# Beyond 64 MiB only data is summed, and what is a hole depends on blocks.
rm -f "$tmp/src"/{far-*,fragment-*,xattr-[456],link-4000}
for block in 4096 65536; do
  rm -f "$img"
  mke2fs -q -F -t ext4 -b $block -I 256 -N 16384 -d "$tmp/src" "$img" 1G > "$tmp/log" 2>&1 \
    || { note "64k: not here: $(tail -n 1 "$tmp/log")"; exit 0; }
  "$walk" -l "$img" > "$tmp/$block" || fail "$block: $(grep -a -m 3 error "$tmp/$block")"
done
cmp <(placeless "$tmp/4096") <(placeless "$tmp/65536") \
  || fail "64k: $(diff <(placeless "$tmp/4096") <(placeless "$tmp/65536") | cut -c -300 | head -n 4)"
note "64k: $(wc -l < "$tmp/65536") files"
