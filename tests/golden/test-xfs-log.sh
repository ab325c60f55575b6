#!/usr/bin/env bash
# An XFS log that waits to be replayed: the state says so, as xfs_logprint
# does, and the contents are those that the kernel shows without replaying.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.xfs xfs_io xfs_logprint xfs_freeze losetup mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

# state NAME IMAGE WANTED
state ()
{
  assert_equal "$1" "$("$walk" --info -t xfs "$2" | sed -n 's/^state=//p')" "$3"
  case $(xfs_logprint -t "$2" 2> /dev/null) in
    *'state: <CLEAN>'*) assert_equal "$1: xfs_logprint" clean "$3" ;;
    *'state: <DIRTY>'*) assert_equal "$1: xfs_logprint" needs-recovery "$3" ;;
  esac
}

churn ()
{
  local i
  mkdir -p "$mnt/$1"
  for ((i = 0; i < 500; i++)); do : > "$mnt/$1/file-$i"; done
}

# lives NAME OPTIONS...
lives ()
{
  local name=$1
  shift
  rm -f "$img"
  truncate -s 320M "$img"
  mkfs.xfs -q -f "$@" "$img" 2> /dev/null || fail "mkfs.xfs $*"
  state "$name: new" "$img" clean
  mount -o loop "$img" "$mnt" 2> /dev/null || skip "no XFS here"
  churn a
  sync
  cp --sparse=always "$img" "$tmp/copy"
  state "$name: in use" "$tmp/copy" needs-recovery
  xfs_freeze -f "$mnt"
  cp --sparse=always "$img" "$tmp/copy"
  xfs_freeze -u "$mnt"
  state "$name: frozen" "$tmp/copy" needs-recovery
  umount "$mnt"
  state "$name: unmounted" "$img" clean

  mount -o loop "$img" "$mnt"
  churn b
  xfs_io -x -c 'shutdown -f' "$mnt"
  umount "$mnt"
  state "$name: crashed" "$img" needs-recovery
  mount -o ro,norecovery,loop "$img" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel" || true
  umount "$mnt"
  "$walk" -t xfs "$img" > "$tmp/ours" || true
  cmp "$tmp/kernel" "$tmp/ours" || fail "$name: another tree than the kernel's"

  mount -o loop "$img" "$mnt"
  umount "$mnt"
  state "$name: recovered" "$img" clean
  note "$name: $(wc -l < "$tmp/ours") files"
}

lives default
lives stripe -l su=64k
lives wide -l su=256k
lives sector -s size=4k
lives small -l size=10m --unsupported

# A log that is somewhere else.
rm -f "$img"
truncate -s 320M "$img" "$tmp/log-device"
mkfs.xfs -q -f -l "logdev=$tmp/log-device,size=64m" "$img" || fail "external log"
state external "$img" unknown

# So often around the ring that the head is everywhere in it.
rm -f "$img"
truncate -s 48M "$img"
mkfs.xfs -q -f --unsupported -d agcount=2 -b size=1k -l size=5m "$img" 2> "$tmp/log" \
  || { note "around: not here: $(tail -n 1 "$tmp/log")"; exit 0; }
for i in {1..30}; do
  mount -o loop "$img" "$mnt" 2> /dev/null || skip "no small filesystems here"
  churn "$((i % 2))"
  rm -r "${mnt:?}/$((i % 2))"
  sync
  cp --sparse=always "$img" "$tmp/copy"
  state "around $i: in use" "$tmp/copy" needs-recovery
  umount "$mnt"
  state "around $i: unmounted" "$img" clean
done
note "around"
