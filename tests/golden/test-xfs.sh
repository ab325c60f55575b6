#!/usr/bin/env bash
# A tree of everything that is hard, on XFS with many options: the same
# listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.xfs xfs_admin xfs_db losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

# make SIZE BLOCK LARGE MANY OPTIONS...: an image with the tree in it; 1: the
# kernel cannot.
make ()
{
  local size=$1 block=$2 large=$3 many=$4
  shift 4
  rm -f "$img"
  truncate -s "$size" "$img" 2> "$tmp/log" || return 1
  mkfs.xfs -q -f "$@" "$img" > "$tmp/log" 2>&1 || return 1
  [ -z "$incompat" ] || python3 "$srcdir/tests/golden/xfs_image.py" incompat "$img" "$incompat"
  mount -o loop,nouuid "$img" "$mnt" 2> "$tmp/log" || return 1
  LARGE=$large python3 "$srcdir/tests/golden/torture-tree.py" "$mnt" "$block" \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  python3 "$srcdir/tests/golden/torture-xfs.py" "$mnt" "$block" "$many" \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  umount "$mnt"
}

kernel_listing ()
{
  mount -o ro,norecovery,nouuid,loop "$img" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel"
  umount "$mnt"
}

# What fs_info says is what the superblock has.
# shellcheck disable=SC2154
check_info ()
{
  eval "$(xfs_db -r -c 'sb 0' -c 'p dblocks blocksize fdblocks icount ifree' "$img" | tr -d ' ')"
  assert_equal "$1: info" "$("$walk" --info -t xfs "$img" | head -n 7 | tr '\n' ' ')" \
    "size=$((dblocks * blocksize)) used=$(((dblocks - fdblocks) * blocksize)) free=$((fdblocks * blocksize)) inodes=$icount inodes_free=$ifree block_size=$blocksize state=clean "
}

check ()
{
  local name=$1
  shift
  if ! make "$@"; then
    note "$name: not here: $(head -n 1 "$tmp/log")"
    return
  fi
  kernel_listing
  "$walk" -l -t xfs "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s "$tmp/kernel" "$tmp/ours" \
    || fail "$name: $(diff "$tmp/kernel" "$tmp/ours" | cut -c -400 | head -n 4)"
  check_info "$name"
  note "$name: $(wc -l < "$tmp/ours") files"
  tested=yes
}

# Metadata keeps the first UUID when the filesystem is given another.
change_uuid ()
{
  make 400M 4096 300 300 || return 0
  xfs_admin -U generate "$img" > /dev/null
  kernel_listing
  "$walk" -l -t xfs "$img" > "$tmp/ours" || fail "uuid: $(grep -a -m 3 error "$tmp/ours")"
  cmp "$tmp/kernel" "$tmp/ours" || fail "uuid"
  [[ $("$walk" --info -t xfs "$img") = *meta-uuid* ]] || fail "uuid: not changed"
  note "uuid: $(wc -l < "$tmp/ours") files"
}

tested='' incompat=''
# name, size, block size, entries of the large directory, how many, options
check default 400M 4096 20000 3000
check centos7 400M 4096 2000 1000 -m bigtime=0,inobtcount=0,reflink=0,finobt=0 -i sparse=0
check centos8 400M 4096 2000 1000 -m bigtime=0,inobtcount=0,rmapbt=0
check all 400M 4096 2000 1000 -m rmapbt=1 -i nrext64=1
check 1k 400M 1024 20000 4000 -b size=1k -m rmapbt=1 -i nrext64=1
check 2k 400M 2048 2000 1000 -b size=2k -i size=1024 -l su=32k
check 16k 500M 16384 1000 500 -b size=16k
check 64k 1G 65536 500 300 -b size=64k
check dir-8k 400M 4096 5000 2000 -n size=8k
check dir-64k 400M 1024 5000 2000 -b size=1k -n size=64k
check inode-2k 400M 4096 1000 1000 -i size=2048
check sector-4k 400M 4096 1000 1000 -s size=4k
check agcount 2G 4096 1000 1000 -d agcount=13
check inode64 8T 4096 500 300 -l size=64m
check ascii-ci 400M 4096 500 300 -n version=ci
change_uuid
# What mkfs.xfs of Debian 12 cannot: exchange and parent.
incompat=0xc0
check parent 400M 4096 500 300
[ "$tested" ] || skip "no loop devices here, or no XFS"
