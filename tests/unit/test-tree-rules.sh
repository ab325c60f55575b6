#!/bin/bash
# xrayfs: test-tree-rules.c over small guests with odd links and names
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs debugfs sfdisk cpio zstd
mini=$srcdir/tests/images/make-mini.sh
"$mini" tree "$tmp/tree"
r=$tmp/tree/root

mkdir -p "$r/links/a/b/c" "$r/deep"
target=$r/links/a/file
echo text > "$target"
ln "$target" "$r/links/hard"
while read -r name to; do
  ln -s "$to" "$r/links/$name"
done << 'END'
relative a/file
absolute /links/a/file
absolute-dir /links/a
root /
dots /..
beyond ../../../../etc/hostname
beyond-root ../..
absolute-beyond /../../etc/hostname
odd a/../../etc/hostname
odd-through absolute-dir/../../../etc/hostname
odd-link dir-link/../hostname
dir-link /etc/cloud
absolute-odd /links/absolute-dir/../a/file
slashes a//b/./../file
trailing a/b/
nowhere /no/such/file
nowhere-odd a/../../../no/../such
loop loop
loop1 loop2
loop2 /links/loop1
into-root ../../../..//root
dot .
dot-dot ..
chain absolute
END
d=$r/deep
for i in {1..20}; do d=$d/$i; done
mkdir -p "$d"
ln -s /etc/hostname "$d/absolute"
ln -s ../../../../../../../../../../../../../../../../../../../../../../../../etc/hostname "$d/beyond"
ln -s ../x/../../../../etc "$d/odd"
touch "$r/links/"$'new\nline' "$r/links/"$'\377\376bytes' "$r/links/%2f"
truncate -s 300K "$r/links/hole"
printf 'PRETTY_NAME="Odd \033[31m\tname"\nID=odd\n' > "$r/usr/lib/os-release"
mkdir -p "$r/lib/modules/"$'6.9\n..'
"$mini" image "$tmp/tree" "$tmp/odd.img"
"$mini" image "$tmp/tree" "$tmp/boot.img" boot
rm -rf "$r" "$tmp/tree/initramfs"
mkdir -p "$r/photos"
"$mini" image "$tmp/tree" "$tmp/data.img"
truncate -s 2M "$tmp/empty.img"

"$builddir/tests/unit/test-tree-rules" "$tmp"/*.img
