#!/usr/bin/env bash
# EROFS: the same listing through src/fs as through the kernel; of compressed
# files all but the data, which are refused.
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

check default
check chunks --chunksize=4096
check no-inline -E noinline_data
check long -E force-inode-extended
check shared-xattrs -x 1
blocks=$(dump.erofs -s "$img" | sed -n 's/^Filesystem blocks: *//p')
assert_equal size "$("$walk" --info -t erofs "$img" | head -n 1)" "size=$((blocks * 4096))"

make -zlz4
"$walk" -l -t erofs "$img" > "$tmp/ours" && fail "lz4: was read"
grep -a -v 'read-error:95:erofs:.*compressed\\x20file' "$tmp/ours" > "$tmp/rest"
grep -a -q 'compressed' "$tmp/ours" || fail "lz4: nothing is compressed"
[ "$(diff "$tmp/wanted" "$tmp/rest" | grep -c '^>')" = 0 ] || fail "lz4: $(diff "$tmp/wanted" "$tmp/rest" | head -n 4)"
assert_equal "lz4: files" "$(wc -l < "$tmp/ours")" "$(wc -l < "$tmp/wanted")"

printf '\xff' | dd of="$img" bs=1 seek=1072 conv=notrunc status=none
got=$("$walk" --check -t erofs "$img") && fail "checksum: $got"
assert_equal checksum "$got" "checksum of the superblock is wrong"
printf '\x80' | dd of="$img" bs=1 seek=1104 conv=notrunc status=none
got=$("$walk" -t erofs "$img") && fail "features: $got"
[[ $got = *"unknown incompatible features 0x80"* ]] || fail "features: $got"
