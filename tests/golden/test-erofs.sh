#!/usr/bin/env bash
# EROFS: the same listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.erofs dump.erofs losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt src=$tmp/src img=$tmp/img
mkdir "$mnt" "$src"
at_exit "umount '$mnt' 2> /dev/null"
LARGE=1000 python3 "$srcdir/tests/golden/torture-tree.py" "$src" 4096 2> "$tmp/log" ||
  fail "no tree: $(tail -n 3 "$tmp/log")"
# What mkfs.erofs cannot: long paths, some names; and holes of terabytes.
rm -r "$src"/far-* "$src/names"
python3 -c 'import os, shutil, sys
shutil.rmtree(sys.argv[1] + "/deep")' "$src"

make ()
{
  rm -f "$img"
  mkfs.erofs "$@" "$img" "$src" > "$tmp/log" 2>&1 || fail "mkfs.erofs $*: $(tail -c 300 "$tmp/log")"
  mount -t erofs -o ro,loop "$img" "$mnt" 2> "$tmp/log" || skip "no EROFS here"
  "$walk" --posix "$mnt" > "$tmp/wanted"
  umount "$mnt"
}

# check NAME OPTIONS...
check ()
{
  local name=$1
  shift
  make "$@"
  "$walk" -l -t erofs "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s "$tmp/wanted" "$tmp/ours" ||
    fail "$name: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -400 | head -n 4)"
  assert_equal "$name: check" "$("$walk" --check -t erofs "$img")" ok
  note "$name: $(wc -l < "$tmp/ours") files"
}

# Text, programs, zeros, noise and what is none of these for long.
mkdir "$src/data"
cat "$srcdir"/src/fs/*.c > "$src/data/text"
head -c 500000 "$(type -P bash)" > "$src/data/program"
head -c 900000 /dev/zero > "$src/data/zeros"
head -c 90001 /dev/urandom > "$src/data/noise"
cat "$src"/data/{noise,program,text,noise} > "$src/data/all"
for i in {1..40}; do head -c $((i * 397)) "$src/data/program" > "$src/data/start-$i"; done

check default
check chunks --chunksize=4096
check no-inline -E noinline_data
check long -E force-inode-extended
check lz4 -zlz4
check large -zlz4 -C65536
check tails -zlz4hc -C16384 -E ztailpacking
check legacy -zlz4 -E legacy-compress
check long-legacy -zlz4hc -E legacy-compress,force-inode-extended
check short-extents -zlz4 -C16384 --max-extent-bytes=20000
check shared-xattrs -x 1
blocks=$(dump.erofs -s "$img" | sed -n 's/^Filesystem blocks: *//p')
assert_equal size "$("$walk" --info -t erofs "$img" | head -n 1)" "size=$((blocks * 4096))"

printf '\xff' | dd of="$img" bs=1 seek=1072 conv=notrunc status=none
got=$("$walk" --check -t erofs "$img") && fail "checksum: $got"
assert_equal checksum "$got" "checksum of the superblock is wrong"
printf '\x80' | dd of="$img" bs=1 seek=1104 conv=notrunc status=none
got=$("$walk" -t erofs "$img") && fail "features: $got"
[[ $got = *"unknown incompatible features 0x80"* ]] || fail "features: $got"

# What Debian's mkfs.erofs cannot write: one tree in each of the seeds.
list ()
{
  python3 "$srcdir/tests/golden/btrfs_image.py" expand "$srcdir/fuzz/corpus/erofs/$1" "$img"
  "$walk" -l -t erofs "$img" | sed 's/ blocks=[0-9]*//; s/ ino=[0-9]*//' | sort
}
list plain > "$tmp/wanted"
grep -q -a 'blocks.*crc=' "$tmp/wanted" || fail "no tree in the seeds"
for seed in "$srcdir"/fuzz/corpus/erofs/*-*; do
  list "${seed##*/}" > "$tmp/ours"
  cmp -s "$tmp/wanted" "$tmp/ours" || fail "$seed: $(diff "$tmp/wanted" "$tmp/ours" | head -n 4)"
done

# Images made by others.
for i in 0 1 4 8 11; do
  other=$(corpus syzkaller/erofs/erofs_$i.img) || break
  mount -t erofs -o ro,loop "$other" "$mnt" || fail "erofs_$i: cannot be mounted"
  "$walk" --posix "$mnt" > "$tmp/wanted"
  umount "$mnt"
  "$walk" -l -t erofs "$other" > "$tmp/ours" || fail "erofs_$i: $(head -n 1 "$tmp/ours")"
  cmp -s "$tmp/wanted" "$tmp/ours" ||
    fail "erofs_$i: $(diff "$tmp/wanted" "$tmp/ours" | head -n 4)"
done
