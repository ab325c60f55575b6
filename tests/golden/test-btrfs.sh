#!/usr/bin/env bash
# A tree of everything that is hard, on Btrfs with many options: the same
# listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.btrfs btrfs btrfstune losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"
# Where each commit need not wait for a disk.
if [ -w /dev/shm ]; then
  img=$(mktemp /dev/shm/xrayfs-btrfs.XXXXXX)
  at_exit "rm -f '$img'"
fi

# make MOUNT LARGE MANY OPTIONS...: an image with the tree in it; 1: the
# kernel cannot.
make ()
{
  local options=$1 large=$2 many=$3
  shift 3
  rm -f "$img"
  truncate -s 600M "$img"
  mkfs.btrfs -q -f "$@" "$img" > "$tmp/log" 2>&1 || return 1
  mount -o "loop,$options" "$img" "$mnt" 2> "$tmp/log" || return 1
  LARGE=$large python3 "$srcdir/tests/golden/torture-tree.py" "$mnt" 4096 \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  python3 "$srcdir/tests/golden/torture-btrfs.py" "$mnt" 4096 "$many" \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  umount "$mnt"
}

# In the kernel's view each subvolume numbers its inodes from 256 on, and
# placeholders are inode 2 with the time at which they are looked at.
kernel_listing ()
{
  mount -o ro,loop,subvolid=5 "$img" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel"
  usage=$(btrfs filesystem usage -b "$mnt")
  umount "$mnt"
  sed -n 's/ .* ino=2 .*/ /p' "$tmp/kernel" > "$tmp/links"
}

comparable ()
{
  awk 'NR == FNR { links[$1]; next }
    $1 in links { sub (/ ino=.*/, "") }
    { sub (/ ino=[0-9]+/, ""); print }' "$tmp/links" "$1"
}

# A number is that of one file, with as many names as it has links.
check_numbers ()
{
  awk '/ mode=1/ { match ($0, / nlink=[0-9]+/); n = substr ($0, RSTART + 7, RLENGTH - 7)
      match ($0, / ino=[0-9]+/); i = substr ($0, RSTART, RLENGTH); links[i] = n; names[i]++ }
    / mode=04/ { match ($0, / ino=[0-9]+/); i = substr ($0, RSTART, RLENGTH); links[i] = 1; names[i]++ }
    END { for (i in links) if (links[i] != names[i]) { print i, links[i], names[i]; exit 1 } }' \
    "$tmp/ours" || fail "$1: numbers"
}

# What fs_info says is what dump-super and usage say; what the kernel would
# keep in reserve is taken off where metadata and data share their groups.
check_info ()
{
  local super free
  free=$(sed -n 's/.*Free (estimated):\s*\([0-9]*\).*/\1/p' <<< "$usage")
  [[ $usage != *Data+Metadata* ]] ||
    free=$((free + $(sed -n 's/.*Global reserve:\s*\([0-9]*\).*/\1/p' <<< "$usage")))
  super=$(btrfs inspect-internal dump-super "$img")
  value () { sed -n "s/^$1\\s*\\([^ ]*\\).*/\\1/p" <<< "$super"; }
  csum=$(sed -n 's/^csum_type.*(\(.*\)).*/\1/p' <<< "$super")
  assert_equal "$1: info" "$("$walk" --info -t btrfs "$img" | grep -v inodes | tr '\n' ' ')" \
    "size=$(value total_bytes) used=$(value bytes_used) free=$free block_size=$(value sectorsize) state=clean features=$(sed -n '/^incompat_flags/,/^cache/p' <<< "$super" | grep -o '[A-Z][A-Z_0-9]*' | tr '\n' ' ')$(sed -n '/^compat_ro_flags/,/^incompat/p' <<< "$super" | grep -o '[A-Z][A-Z_0-9]*' | tr '\n' ' ')$csum "
}

check ()
{
  local name=$1
  shift
  if ! make "$@"; then
    note "$name: not here: $(head -n 1 "$tmp/log")"
    return 0
  fi
  compare "$name"
}

compare ()
{
  local name=$1
  kernel_listing
  "$walk" -l -t btrfs "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s <(comparable "$tmp/kernel") <(comparable "$tmp/ours") \
    || fail "$name: $(diff <(comparable "$tmp/kernel") <(comparable "$tmp/ours") | cut -c -400 | head -n 4)"
  check_numbers "$name"
  check_info "$name"
  assert_equal "$name: check" "$("$walk" --check -t btrfs "$img")" ok
  note "$name: $(wc -l < "$tmp/ours") files, $(wc -l < "$tmp/links") placeholders"
  tested=yes
}

tested=''
# name, mount, entries of the large directory, how many, options
check default rw 5000 2000
check suse compress=lzo 1000 300 -d single -m dup -O ^no-holes
check 4k compress=zlib 1000 500 -n 4k --csum xxhash -R ^free-space-tree
check 64k compress-force=zstd 500 300 -n 64k -m single --csum sha256
check mixed compress-force=lzo 500 300 -M -m dup -d dup --csum blake2
check 8k nodatasum,max_inline=0 500 300 -n 8k -O ^extref,^skinny-metadata
[ "$tested" ] || skip "no loop devices here, or no Btrfs"
# Metadata keep the first UUID when the filesystem is given another.
btrfstune -f -m "$img" && compare metadata-uuid
