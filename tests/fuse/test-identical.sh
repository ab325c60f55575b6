#!/usr/bin/env bash
# partitions/1/files of the real image, mounted: all files identical to a kernel loop mount (content, mode, owner, times
# to the nanosecond, links, xattrs, holes), also when an ordinary user mounts; disk identical to qemu-img convert -O raw.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires_debian
requires losetup fusermount3 setpriv
[ "$(id -u)" = 0 ] || skip "only root can make the kernel's mount"
[ -e /dev/fuse ] || skip "there is no /dev/fuse"

status=0
"$srcdir/tests/images/make-debian.sh" debian.raw debian.qcow2 > /dev/null || status=$?
[ $status = 0 ] || skip "the images cannot be built here"
raw=$cache_dir/images/debian.raw
walk=$(tool fs-walk)

chmod 755 "$tmp"
mkdir "$tmp/kernel" "$tmp/mnt"
at_exit "umount -q '$tmp/mnt'; umount -q '$tmp/kernel'"
mount -o ro,noload,loop,offset=1048576 "$raw" "$tmp/kernel" 2> /dev/null || skip "no loop devices here"

# Inode numbers differ; which names are one file must not: the number of the first name with it stands for each.
links_by_name ()
{
  awk '{ if (match ($0, / ino=[0-9]+/)) { i = substr ($0, RSTART, RLENGTH); if (!(i in first)) first[i] = NR;
         sub (/ ino=[0-9]+/, " ino=" first[i]) } print }'
}

"$walk" --posix "$tmp/kernel" | links_by_name > "$tmp/wanted"
[ "$(wc -l < "$tmp/wanted")" -gt 20000 ] || fail "too few files"

# compare NAME IMAGE COMMAND...: COMMAND is who mounts and reads
compare ()
{
  local name=$1 image=$2
  shift 2
  "$@" "$XRAYFS" "$image" "$tmp/mnt" || fail "$name: cannot mount"
  "$@" "$walk" --posix "$tmp/mnt/partitions/1/files" | links_by_name > "$tmp/got"
  cmp -s "$tmp/wanted" "$tmp/got" || fail "$name: $(diff "$tmp/wanted" "$tmp/got" | cut -c -300 | head -6)"
  "$@" cmp "$tmp/mnt/disk" "$raw" || fail "$name: disk"
  "$@" fusermount3 -u "$tmp/mnt"
  note "$name: $(wc -l < "$tmp/got") files and the disk"
}

compare root "$cache_dir/images/debian.qcow2"

[ -e /etc/mtab ] || { note "left out: ordinary users cannot mount here"; exit 0; }

# An ordinary user: whose directories lead to the image is not our matter, so it is a link to a descriptor's target.
user=65534
chown $user "$tmp/mnt"
as_user () { setpriv --reuid $user --regid $user --clear-groups "$@"; }
as_user test -r "$raw" || { cp --sparse=always "$raw" "$tmp/debian.raw"; raw=$tmp/debian.raw; }
if ! as_user "$XRAYFS" -V > /dev/null 2>&1; then
  cp "$XRAYFS" "$walk" "$tmp/"
  XRAYFS=$tmp/xrayfs walk=$tmp/fs-walk
fi
compare user "$raw" as_user
