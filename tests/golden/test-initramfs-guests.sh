#!/usr/bin/env bash
# Small guests whose initramfs is made in another way, or blocks a driver.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mksquashfs mkfs.erofs
. "$srcdir/tests/golden/guests.sh"

cmdline () { sed -i "s/ro quiet/ro $1/" "$r/boot/grub/grub.cfg"; }
# inner NAME PROGRAM...: all of the initramfs in an image in it.
inner ()
{
  local name=$1
  shift
  mkdir "$tmp/outer"
  "$@" > /dev/null 2>&1
  rm -rf "$i"
  mv "$tmp/outer" "$i"
  [ -s "$i/$name" ]
}
squash () { inner squash-root.img mksquashfs "$i" "$tmp/outer/squash-root.img"; }

guest squash has_virtio=yes virtio/blk=initramfs << 'END'
squash
END

guest squash-without has_virtio=no virtio/blk=module << 'END'
rm "$i"/usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko
squash
END

guest squash-blacklist has_virtio=no << 'END'
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/no.conf"
squash
END

guest squash-damaged has_virtio=unknown << 'END'
squash
head -c 400 /dev/zero | tr '\0' x |
  dd of="$i/squash-root.img" bs=1 seek=8 conv=notrunc status=none
END

guest squash-of-another-kind has_virtio=unknown << 'END'
squash; echo cramfs > "$i/squash-root.img"
END

guest erofs has_virtio=yes virtio/blk=initramfs << 'END'
inner erofs-root.img mkfs.erofs "$tmp/outer/erofs-root.img" "$i"
END

guest erofs-compressed has_virtio=yes << 'END'
yes '# a long file' | head -n 3000 > "$i/etc/modprobe.d/a.conf"
inner erofs-root.img mkfs.erofs -zlz4 "$tmp/outer/erofs-root.img" "$i"
END

guest erofs-compressed-blacklist has_virtio=no << 'END'
{ yes '# a long file' | head -n 3000; echo blacklist virtio_blk; } > "$i/etc/modprobe.d/a.conf"
inner erofs-root.img mkfs.erofs -zlz4 "$tmp/outer/erofs-root.img" "$i"
END

# Red Hat's mkinitrd: modules in lib, and a script that inserts them.
mkinitrd ()
{
  rm -f "$i/lib"
  mkdir "$i/lib"
  find "$i/usr/lib/modules" -name '*.ko' -exec mv {} "$i/lib" ';'
  rm -rf "$i"/usr/lib/modules "$i/init"
  (echo '#!/bin/nash'; cd "$i"
   for m in lib/*.ko; do echo "echo Loading $m"; echo "insmod /$m "; done
  ) > "$i/init"
}

guest mkinitrd has_virtio=yes virtio/blk=initramfs << 'END'
mkinitrd
END

guest mkinitrd-not-inserted has_virtio=unknown virtio/blk=unknown \
  virtio/pci=initramfs << 'END'
mkinitrd
sed -i 's/insmod.*virtio_blk/#&/' "$i/init"
END

guest mkinitrd-without has_virtio=no virtio/blk=module << 'END'
mkinitrd
rm "$i/lib/virtio_blk.ko"
END

guest booster has_virtio=yes virtio/blk=initramfs << 'END'
find "$i/usr/lib/modules" -name '*.ko' -exec mv {} "$i/usr/lib/modules" ';'
rm -r "$i/usr/lib/modules/$v"; touch "$i/usr/lib/modules/booster.alias"
END

guest initcall-blacklist has_virtio=no virtio/blk=missing << 'END'
printf 'kernel/%s.ko\n' block/virtio_blk >> "$m/modules.builtin"
cmdline initcall_blacklist=foo,virtio_blk_init
END

for key in rd.driver.blacklist module_blacklist rdblacklist; do
  guest "$key" has_virtio=no << END
cmdline $key=virtio-pci
END
done

# Only initramfs-tools takes this one.
guest blacklist-of-another has_virtio=yes << 'END'
cmdline blacklist=virtio_blk
END

guest blacklist-of-initramfs-tools has_virtio=no << 'END'
cmdline blacklist=virtio_blk
mkdir -p "$i/scripts/init-top"; touch "$i/scripts/init-top/blacklist"
END

guest install-true has_virtio=no << 'END'
echo 'install virtio_blk true' > "$i/etc/modprobe.d/no.conf"
END

guest install-modprobe has_virtio=yes << 'END'
echo 'install virtio_blk /sbin/modprobe -i virtio_blk && true' > "$i/etc/modprobe.d/no.conf"
END

guest install-who-knows has_virtio=unknown << 'END'
echo 'install virtio_blk /usr/local/bin/load' > "$i/etc/modprobe.d/no.conf"
END

# The file of /etc takes the place of that of /usr/lib.
guest modprobe-masked has_virtio=yes << 'END'
mkdir -p "$i/usr/lib/modprobe.d"
echo 'blacklist virtio_blk' > "$i/usr/lib/modprobe.d/a.conf"
ln -s /dev/null "$i/etc/modprobe.d/a.conf"
END

guest modprobe-not-masked has_virtio=no << 'END'
mkdir -p "$i/usr/lib/modprobe.d"
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/a.conf"
touch "$i/usr/lib/modprobe.d/a.conf"
END

# A second archive says otherwise.
guest modprobe-replaced has_virtio=yes << 'END'
mkdir -p "$tmp/more/etc/modprobe.d"
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/a.conf"
touch "$tmp/more/etc/modprobe.d/a.conf"
(cd "$tmp/more" && find etc | cpio -o -H newc --quiet) > "$r/boot/extra.img"
sed -i 's|initrd.*|& /boot/extra.img|' "$r/boot/grub/grub.cfg"
END

[ $failed = 0 ]
