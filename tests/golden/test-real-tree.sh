#!/usr/bin/env bash
# 30,000 real files (a Debian server and Go's sources) on each filesystem that
# the kernel can mount: the same listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires_debian
requires losetup mount dpkg-deb apt-get
[ "$(id -u)" = 0 ] || skip "only root can mount"
[ -z "$SANITIZED" ] || skip "the torture trees are enough under sanitizers"

walk=$(tool fs-walk)
tree=$tmp/tree mnt=$tmp/mnt img=$tmp/img
mkdir "$tree" "$mnt"
at_exit "umount -q '$mnt'; umount -q '$tree'"

status=0
"$srcdir/tests/images/make-debian.sh" debian.raw > /dev/null || status=$?
[ $status = 0 ] || skip "the images cannot be built here"
mount -o ro,noload,loop,offset=1048576 "$cache_dir/images/debian.raw" "$tree" 2> /dev/null ||
  skip "no loop devices here"

# More files than a small server has.
more=$cache_dir/golang-src.deb
if [ ! -e "$more" ]; then
  (cd "$tmp" && apt-get -q download golang-1.19-src > /dev/null 2>&1) || skip "no package to fetch"
  mv "$tmp"/golang-1.19-src_*.deb "$more"
fi

# on FILESYSTEM: the tree, written by the kernel
on ()
{
  rm -f "$img"
  truncate -s 2G "$img"
  "mkfs.$1" -q "$img" > "$tmp/log" && mount -o loop "$img" "$mnt" || return 1
  cp -a "$tree/." "$mnt"
  dpkg-deb -x "$more" "$mnt"
  umount "$mnt"
}

# compare NAME TYPE MOUNT_OPTIONS: the image through the kernel and by us
compare ()
{
  mount -o "ro,loop${3:+,$3}" "$img" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel"
  files=$(find "$mnt" -type f | wc -l)
  umount "$mnt"
  [ "$files" -ge 30000 ] || fail "only $files files"
  "$walk" -t "$2" "$img" > "$tmp/ours" || fail "$1: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s "$tmp/kernel" "$tmp/ours" ||
    fail "$1: $(diff "$tmp/kernel" "$tmp/ours" | cut -c -400 | head -n 4)"
  note "$1: $files files"
}

for fs in ext4 xfs btrfs; do
  case $fs in
    xfs) options=norecovery ;;
    ext4) options=noload ;;
    *) options= ;;
  esac
  if on "$fs" 2> "$tmp/log"; then compare "$fs" "$fs" "$options"; else note "$fs: not here: $(head -1 "$tmp/log")"; fi
done

# What is made from a directory: that of the last image.
mount -o ro,loop "$img" "$mnt"
for fs in squashfs erofs; do
  case $fs in
    squashfs) mksquashfs "$mnt" "$tmp/made" -quiet -no-progress -comp zstd -Xcompression-level 1 ;;
    erofs) mkfs.erofs -q "$tmp/made" "$mnt" ;;
  esac > "$tmp/log" 2>&1 || { note "$fs: not here: $(head -1 "$tmp/log")"; rm -f "$tmp/made"; continue; }
  mv "$tmp/made" "$tmp/$fs"
done
umount "$mnt"
for fs in squashfs erofs; do
  [ -e "$tmp/$fs" ] || continue
  mv "$tmp/$fs" "$img"
  compare "$fs" "$fs" ''
done
