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

guest mkinitrd-not-inserted has_virtio=no virtio/blk=module \
  virtio/pci=initramfs << 'END'
mkinitrd
sed -i 's/insmod.*virtio_blk/#&/' "$i/init"
END

# Something that may load more.
guest mkinitrd-not-understood has_virtio=unknown virtio/blk=unknown \
  virtio/pci=initramfs << 'END'
mkinitrd
sed -i 's/insmod.*virtio_blk.*/load_drivers/' "$i/init"
END

# insmod asks neither modprobe.d nor kmod's words.
guest mkinitrd-blacklist has_virtio=yes virtio/blk=initramfs << 'END'
mkinitrd
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/a.conf"
cmdline modprobe.blacklist=virtio_blk
END

guest mkinitrd-module-blacklist has_virtio=no << 'END'
mkinitrd
cmdline module_blacklist=virtio_blk
END

# /init of an initramfs comes before /linuxrc.
guest mkinitrd-linuxrc has_virtio=yes << 'END'
mkinitrd
printf '#!/bin/nash\nfind /\n' > "$i/linuxrc"
END

# Another shell may not come to a line.
guest shell-inserts has_virtio=yes << 'END'
mkinitrd
sed -i '1s/nash/sh/' "$i/init"
END

guest shell-inserts-if has_virtio=unknown << 'END'
mkinitrd
sed -i '1s/nash/sh/; s/^insmod.*virtio_blk.*/if [ -e x ]; then\n&\nfi/' "$i/init"
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

guest initcall-blacklist-of-a-module has_virtio=no virtio/pci=missing << 'END'
cmdline initcall_blacklist=virtio_pci_driver_init
END

# Before 5.18 the function was called init.
guest initcall-blacklist-old has_virtio=unknown virtio/blk=unknown << 'END'
cmdline initcall_blacklist=init
w=5.10.0-1-amd64
mv "$i/usr/lib/modules/$v" "$i/usr/lib/modules/$w"; mv "$m" "$r/usr/lib/modules/$w"
for f in vmlinuz config; do mv "$r/boot/$f-$v" "$r/boot/$f-$w"; done
(cd "$i" && find . | cpio -o -H newc --quiet) > "$r/boot/initrd.img-$w"
rm -r "$i"
sed -i "s/$v/$w/g" "$r/boot/grub/grub.cfg"
END

# The kernel compares names as they are, and takes the last list.
guest module_blacklist has_virtio=no << 'END'
cmdline module_blacklist=floppy,virtio_pci
END

guest module_blacklist-dash has_virtio=yes << 'END'
cmdline module_blacklist=virtio-pci
END

guest module_blacklist-last has_virtio=yes << 'END'
cmdline 'module_blacklist=virtio_pci module_blacklist=floppy'
END

# kmod does not change names on the command line, and of those who need others
# only they themselves are asked about.
guest modprobe-blacklist-dash has_virtio=yes << 'END'
cmdline modprobe.blacklist=virtio-pci,virtio_ring
END

# dracut alone takes these; what it makes of them stays when root is there.
for key in rd.driver.blacklist rdblacklist; do
  guest "$key" has_virtio=yes << END
cmdline $key=virtio-pci
END
  guest "$key-dracut" has_virtio=no virtio/net=missing << END
mkdir -p "\$i/usr/lib/dracut/hooks" "\$i/usr/lib/systemd"; : > "\$i/usr/lib/systemd/systemd"
cmdline $key=virtio-pci,virtio-net
END
done

# Only initramfs-tools and Alpine's mkinitfs take this one.
guest blacklist-of-another has_virtio=yes << 'END'
cmdline blacklist=virtio_blk
END

guest blacklist-of-initramfs-tools has_virtio=no << 'END'
cmdline blacklist=virtio_blk
mkdir -p "$i/scripts/init-top"; touch "$i/scripts/init-top/blacklist"
END

mkinitfs () { mkdir -p "$i/usr/sbin"; touch "$i/usr/sbin/nlplug-findfs"; }
guest blacklist-of-mkinitfs has_virtio=no << 'END'
cmdline blacklist=virtio-blk
mkinitfs
END

guest blacklist-of-mkinitfs-long has_virtio=unknown << 'END'
cmdline blacklist=a,b,virtio_blk
mkinitfs
END

# What modules= names is loaded by that name.
guest blacklist-and-modules has_virtio=unknown << 'END'
cmdline 'modules=sd-mod,virtio-blk quiet'
echo 'blacklist virtio_blk' > "$i/etc/modprobe.d/no.conf"
mkinitfs
END

guest module-blacklist-and-modules has_virtio=no << 'END'
cmdline 'modules=sd-mod,virtio_blk quiet module_blacklist=virtio_blk'
mkinitfs
END

guest install-true has_virtio=no << 'END'
echo 'install virtio_blk true' > "$i/etc/modprobe.d/no.conf"
END

guest install-another-module has_virtio=unknown << 'END'
echo 'install virtio_blk /sbin/modprobe other' > "$i/etc/modprobe.d/no.conf"
END

guest install-pattern has_virtio=no << 'END'
echo 'install virtio* /bin/false' > "$i/etc/modprobe.d/no.conf"
END

# The first line counts.
guest install-twice has_virtio=yes << 'END'
printf 'install virtio_blk modprobe -i virtio-blk\ninstall virtio_blk false\n' \
  > "$i/etc/modprobe.d/no.conf"
END

# kmod then loads the module itself.
guest install-with-softdep has_virtio=unknown << 'END'
printf 'install virtio_blk /bin/true\nsoftdep virtio_blk pre: virtio_pci\n' > "$i/etc/modprobe.d/no.conf"
END

guest alias-besides has_virtio=yes << 'END'
printf 'alias virtio:d*v* other\nalias virtio:d00000002v* virtio-blk\nalias virtio:d00000001v* virtio_net\n' \
  > "$i/etc/modprobe.d/no.conf"
END

guest continued-line has_virtio=no << 'END'
printf 'blacklist \\\nvirtio-blk\n' > "$i/etc/modprobe.d/no.conf"
END

guest continued-comment has_virtio=yes << 'END'
printf '# off: \\\nblacklist virtio_blk\n' > "$i/etc/modprobe.d/no.conf"
END

guest blacklisted-dependency has_virtio=yes virtio/ring=initramfs << 'END'
printf 'blacklist virtio_ring\nblacklist virtio\n' > "$i/etc/modprobe.d/no.conf"
END

guest no-dependency has_virtio=no virtio/ring=module << 'END'
echo 'install virtio_ring /bin/true' > "$i/etc/modprobe.d/no.conf"
END

# udev does not ask for the module's name.
guest alias-of-the-name has_virtio=yes << 'END'
echo 'alias virtio_blk off' > "$i/etc/modprobe.d/no.conf"
END

guest alias-of-the-device has_virtio=no << 'END'
echo 'alias virtio:d00000002v* off' > "$i/etc/modprobe.d/no.conf"
END

guest alias-of-all-devices has_virtio=no << 'END'
echo 'alias pci:v00001AF4d*sv*sd*bc*sc*i* off' > "$i/etc/modprobe.d/no.conf"
END

guest alias-of-some-devices has_virtio=unknown << 'END'
echo 'alias pci:v00001AF4d00001001sv*sd*bc*sc*i* off' > "$i/etc/modprobe.d/no.conf"
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

# The same on root, for the network card that is loaded there.
net_on_root ()
{
  rm -r "$i"/usr/lib/modules/*/kernel/drivers/net
  mkdir -p "$r/usr/lib/modprobe.d" "$r/usr/local/lib/modprobe.d" "$r/etc/modprobe.d"
}

guest root-masked has_virtio=yes virtio/net=module << 'END'
net_on_root
echo 'blacklist virtio_net' > "$r/usr/lib/modprobe.d/a.conf"
ln -s /dev/null "$r/etc/modprobe.d/a.conf"
END

guest root-masked-local has_virtio=no virtio/net=missing << 'END'
net_on_root
touch "$r/usr/lib/modprobe.d/a.conf"
echo 'blacklist virtio_net' > "$r/usr/local/lib/modprobe.d/a.conf"
END

# What lies in /run is gone when the guest starts.
guest root-run has_virtio=yes virtio/net=module << 'END'
net_on_root
mkdir -p "$r/run/modprobe.d"; echo 'blacklist virtio_net' > "$r/run/modprobe.d/a.conf"
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
