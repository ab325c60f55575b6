#!/bin/bash
# xrayfs: an initramfs made by dracut holds what lsinitrd says it holds
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Modules that cannot be loaded will do: dracut asks for their names, files
# and dependencies. It looks for them in /lib/modules, so that it needs a
# mount of its own there.
. "${srcdir:-.}/tests/functions.sh"
takes_long
PATH=$PATH:/usr/sbin:/sbin
requires cpio dracut lsinitrd unsquashfs mksquashfs depmod as unshare
[ -d /usr/lib/dracut/modules.d/99squash ] || skip "dracut-squash is missing"
unshare -rm true 2> /dev/null || skip "no user namespaces"
mkdir -p /usr/lib/modules 2> /dev/null || true
[ -d /usr/lib/modules ] || skip "no /usr/lib/modules"
list=$(tool initramfs-list)
cd "$tmp"
v=6.1.0-1-amd64
m=root/usr/lib/modules/$v

# module DIR NAME DEPENDS
module ()
{
  mkdir -p "$m/kernel/$1"
  printf '.section .modinfo,"a"\n.asciz "%s"\n.asciz "%s"\n.asciz "%s"\n' \
    "license=GPL" "name=$2" "depends=$3" | as -o "$m/kernel/$1/$2.ko" -
}

mkdir root
ln -s usr/lib root/lib
module drivers/virtio virtio ""
module drivers/virtio virtio_ring virtio
module drivers/virtio virtio_pci virtio_ring,virtio
module drivers/block virtio_blk virtio_ring,virtio
module drivers/block loop ""
module fs/squashfs squashfs ""
module fs/overlayfs overlay ""
touch "$m"/modules.{builtin,builtin.modinfo,order}
depmod -b root "$v"

unshare -rm sh -c "mount --bind root/usr/lib/modules /usr/lib/modules &&
  exec dracut --force --kver $v --no-hostonly --no-hostonly-cmdline \
    --no-early-microcode --gzip --nostrip --tmpdir '$tmp' \
    -m 'kernel-modules squash' --add-drivers 'virtio_blk virtio_pci' \
    sq.img" > log 2>&1 || { tail -n 5 log >&2; skip "dracut cannot make one"; }

# lsinitrd leaves out the first names of what is inside: unsquashfs has them.
# "-rw-r--r-- 1 root root 568 Jan  1  2024 usr/x"; " -> target" after a link.
lsinitrd sq.img | sed '/^Squashed content/,$d' |
  sed -n 's|^[-dlcbps][-rwxsStT]\{9\} .* [0-9:]\{4,5\} \(.*\)|\1|p' |
  sed 's| -> .*||' | grep -vx . > want
cpio -i --quiet --to-stdout squash-root.img < sq.img > inner
unsquashfs -l inner | sed -n 's|^squashfs-root/||p' >> want
sort -o want want
"$list" sq.img | sed 's|^\./||' | grep -vx . | sort > got
[ "$(wc -l < want)" -gt 100 ] || fail "lsinitrd lists $(wc -l < want) names"
diff want got > difference || {
  head -n 20 difference >&2
  fail "not what lsinitrd lists"
}
assert_equal modules "$("$list" --modules "$v" sq.img | uniq | tr '\n' ' ')" \
  "loop overlay squashfs virtio virtio_blk virtio_pci virtio_ring "
