#!/usr/bin/env bash
# What Linux's own driver shows of images, for comparing: a kernel of Debian is
# booted under emulation (no KVM, no root needed) with nothing but fs-walk in
# it.  Made by hand; what it recorded lies beside the tests.
#
#   linux-walk.sh KERNEL FS-WALK OUT TYPE IMAGE...
#
# KERNEL: a directory with an unpacked linux-image package (dpkg -x).
# Of each image OUT gets a listing NAME.walk and NAME.statfs: the file system's
# block size, its blocks and those that are free.
set -eu

kernel=$1 walk=$2 out=$3 type=$4
shift 4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
mkdir -p "$root"/{bin,lib,mnt,out,proc,dev} "$out"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$walk" "$root/bin/fs-walk"
for lib in $(ldd "$walk" /bin/busybox | grep -o '/[^ ]*'); do
  case $lib in *:) continue ;; esac
  mkdir -p "$root$(dirname "$lib")"
  cp -L "$lib" "$root$lib"
done
modules=()
for m in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk \
  nls_cp437 nls_ascii nls_utf8 fat vfat exfat; do
  file=$(find "$kernel/lib/modules" -name "$m.ko")
  [ -n "$file" ] || continue
  cp "$file" "$root/lib"
  modules+=("$m")
done
names=()
disks=(-drive "file=$tmp/result,format=raw,if=virtio")
truncate -s 256M "$tmp/result"
for image; do
  names+=("$(basename "$image")")
  disks+=(-drive "file=$image,format=raw,if=virtio,snapshot=on")
done
cat > "$root/init" << END
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc
\$b mount -t devtmpfs dev /dev
for m in ${modules[*]}; do \$b insmod /lib/\$m.ko; done
i=1
for n in ${names[*]}; do
  d=\$(echo abcdefghijklmnopqrstuvwxyz | \$b cut -c \$((i + 1)))
  i=\$((i + 1))
  if \$b mount -o ro -t $type /dev/vd\$d /mnt; then
    /bin/fs-walk --posix /mnt > /out/\$n.walk
    \$b stat -f -c '%S %b %f' /mnt > /out/\$n.statfs
    \$b umount /mnt
  else
    echo refused > /out/\$n.walk
  fi
done
\$b tar -c -f /dev/vda -C /out .
\$b sync
\$b poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$tmp/initrd"
qemu-system-x86_64 -machine accel=tcg,type=pc -cpu max -m 1024 -display none \
  -serial "file:$out/console" -no-reboot -kernel "$kernel"/boot/vmlinuz-* -initrd "$tmp/initrd" \
  -append 'console=ttyS0 quiet loglevel=7 panic=-1' "${disks[@]}"
tar -x -f "$tmp/result" -C "$out"
