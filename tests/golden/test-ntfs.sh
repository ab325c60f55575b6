#!/usr/bin/env bash
# A tree of everything that is hard, on NTFS with clusters of all sizes: the
# same listing through src/fs as ntfs-3g's mount gives.  What is left out is
# known to differ: ntfs-3g has no holes (data=), counts negative times wrongly,
# and hides streams that it keeps Linux's attributes in.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkntfs ntfs-3g ntfsinfo python3 mountpoint
[ "$(id -u)" = 0 ] || skip "only root can mount"
[ -e /dev/fuse ] || skip "no /dev/fuse here"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

# mounted OPTIONS
mounted ()
{
  serve ntfs-3g -o "$1" "$img" "$mnt" 2> "$tmp/server" ||
    fail "ntfs-3g: $(tail -n 3 "$tmp/server")"
}

unmount ()
{
  umount "$mnt"
  serve_end
}

# make SIZE CLUSTER LARGE MANY OPTIONS...: an image with the trees in it; LARGE
# of 0: without the one that all filesystems have.
make ()
{
  local size=$1 cluster=$2 large=$3 many=$4 block
  shift 4
  block=$((cluster > 16384 ? 16384 : cluster))
  rm -f "$img"
  truncate -s "$size" "$img"
  mkntfs -F -Q -q -c "$cluster" -p 2048 -H 255 -S 63 "$@" "$img" > "$tmp/log" 2>&1 \
    || fail "mkntfs: $(tail -n 1 "$tmp/log")"
  mounted compression
  [ "$large" = 0 ] ||
    LARGE=$large python3 "$srcdir/tests/golden/torture-tree.py" "$mnt" "$block" \
      2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  python3 "$srcdir/tests/golden/torture-ntfs.py" "$mnt" "$cluster" "$many" \
    2> "$tmp/left-out" || fail "no tree: $(tail -n 3 "$tmp/left-out")"
  # Terabytes of zeros, which ntfs-3g would have to be asked for; and a depth
  # for which FUSE needs long.
  rm -rf "$mnt"/far-* "$mnt"/deep/*/*/*/*/*/*/*
  unmount
}

# Paths whose lines differ are listed, but for those that may.
differing ()
{
  sed -i 's/ data=[^ ]*//; s/ user\.ntfs-3g\.[^ ]*//g' "$tmp/theirs" "$tmp/ours"
  diff "$tmp/theirs" "$tmp/ours" | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u |
    grep -Ev '^/(time-[01]|names-ntfs/\\x)' || true
}

check_info ()
{
  local size
  size=$("$walk" --info -t ntfs "$img" | sed -n 's/^size=//p')
  assert_equal "$1: size" "$size" \
    "$(ntfsinfo -m "$img" | awk -v c="$2" '/Volume Size in Clusters/ { printf "%d", $NF * c }')"
  assert_equal "$1: free" "$("$walk" --info -t ntfs "$img" | sed -n 's/^free=//p')" \
    "$(ntfsinfo -m "$img" | awk -v c="$2" '/Free Clusters/ { printf "%d", $3 * c }')"
  assert_equal "$1: state" "$("$walk" --info -t ntfs "$img" | sed -n 's/^state=//p')" clean
}

check ()
{
  local name=$1 different
  shift
  make "$@"
  mounted ro
  "$walk" --posix "$mnt" > "$tmp/theirs" || true
  unmount
  "$walk" -l -t ntfs "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error: "$tmp/ours")"
  # Linux has no names of more than 255 bytes.
  [ "$(grep -c 'error:36' "$tmp/theirs")" -le 4 ] || fail "$name: ntfs-3g cannot read its own"
  different=$(differing)
  [ -z "$different" ] || fail "$name: $(head -n 5 <<< "$different")"
  check_info "$name" "$2"
  note "$name: $(wc -l < "$tmp/ours") files"
}

# name, size, cluster, entries of the large directory, files in addition
check default 300M 4096 1000 11500
check 512 200M 512 0 500
check 1k 200M 1024 0 20
check 64k 600M 65536 20 20
check 2m 16G 2097152 0 20
check sector-4k 300M 4096 0 20 -s 4096
