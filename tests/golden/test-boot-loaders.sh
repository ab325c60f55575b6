#!/usr/bin/env bash
# Guests with two kernels, the second of which has no virtio in its initramfs,
# and each boot loader: which kernel starts, and what it starts with.
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/guests.sh"
requires python3

# Another kernel, newer, whose initramfs lacks all modules; its image says its
# version as a bzImage does.
w=6.9.0-2-amd64
two_kernels ()
{
  cp -a "$r/usr/lib/modules/$v" "$r/usr/lib/modules/$w"
  bzimage "$w" > "$r/boot/vmlinuz-$w"
  cp "$r/boot/config-$v" "$r/boot/config-$w"
  (cd "$tmp/tree" && mkdir empty && cd empty && echo init > init && find . | cpio -o -H newc --quiet) \
    > "$r/boot/initrd.img-$w"
  rm -r "$r/boot/grub"
}

bzimage ()
{
  python3 -c 'import struct, sys
h = bytearray(2048)
h[0x202:0x206] = b"HdrS"
h[0x20e:0x210] = struct.pack("<H", 0x400)
t = sys.argv[1].encode() + b" (builder@host) #1 SMP\0"
h[0x600:0x600 + len(t)] = t
sys.stdout.buffer.write(h)' "$1"
}

# uki KERNEL INITRD CMDLINE ID: a unified kernel image on stdout
uki ()
{
  python3 -c 'import struct, sys
kernel, initrd = (open(n, "rb").read() for n in sys.argv[1:3])
parts = [(b".osrel", b"ID=%s\n" % sys.argv[4].encode()),
         (b".cmdline", sys.argv[3].encode()), (b".linux", kernel), (b".initrd", initrd)]
head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(parts), 0, 0, 0, 0, 0)
at, table, data = 1024, b"", b""
for name, text in parts:
    room = -(-len(text) // 512) * 512
    table += struct.pack("<8sIIIIIIHHI", name, len(text), at, room, at, 0, 0, 0, 0, 0)
    data += text.ljust(room, b"\0")
    at += room
sys.stdout.buffer.write((head + table).ljust(1024, b"\0") + data)' "$@"
}

bls_entries ()
{
  local k
  mkdir -p "$r/boot/grub2" "$r/boot/loader/entries"
  for k in "$v" "$w"; do
    printf 'title Linux %s\nversion %s\nlinux /boot/vmlinuz-%s\ninitrd /boot/initrd.img-%s\noptions ro\n' \
      "$k" "$k" "$k" "$k" > "$r/boot/loader/entries/id-$k.conf"
  done
}

guest grub-legacy os/bootloader=grub-legacy os/default_kernel=$w has_virtio=no \
  'os/cmdline=ro root=/dev/sda1' << 'END'
two_kernels; mkdir "$r/boot/grub"
cat > "$r/boot/grub/menu.lst" << EOF
default 0
timeout 3
title Debian $w
root (hd0,0)
kernel /boot/vmlinuz-$w ro root=/dev/sda1
initrd /boot/initrd.img-$w
title Debian $v
root (hd0,0)
kernel /boot/vmlinuz-$v ro
initrd /boot/initrd.img-$v
EOF
END

guest grub-legacy-saved os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; mkdir "$r/boot/grub"; echo 1 > "$r/boot/grub/default"
printf 'default saved\ntitle a\nkernel /boot/vmlinuz-%s\ninitrd /boot/initrd.img-%s\n' "$w" "$w" \
  "$v" "$v" > "$r/boot/grub/grub.conf"
END

guest extlinux os/bootloader=extlinux os/default_kernel=$v has_virtio=yes \
  'os/cmdline=root=UUID=x quiet' << 'END'
two_kernels; mkdir "$r/boot/extlinux"
cat > "$r/boot/extlinux/extlinux.conf" << EOF
DEFAULT l1
LABEL l0
  LINUX ../vmlinuz-$w
  INITRD ../initrd.img-$w
LABEL l1
  LINUX ../vmlinuz-$v
  INITRD ../initrd.img-$v
  APPEND root=UUID=x quiet
EOF
END

# Names without a version, as Alpine's and Arch's.
guest names-without-version os/bootloader=extlinux os/default_kernel=$w \
  has_virtio=yes os/kernels/$w/image=/boot/vmlinuz-lts os/kernels/$w/initramfs=/boot/initramfs-lts << 'END'
two_kernels; rm "$r/boot"/*"$v" "$r/boot/initrd.img-$w"; rm -r "$r/usr/lib/modules/$v"
mv "$r/boot/vmlinuz-$w" "$r/boot/vmlinuz-lts"
mv "$i/usr/lib/modules/$v" "$i/usr/lib/modules/$w"
(cd "$i" && find . | cpio -o -H newc --quiet) > "$r/boot/initramfs-lts"
printf 'DEFAULT lts\nLABEL lts\nLINUX vmlinuz-lts\nINITRD initramfs-lts\nAPPEND quiet\n' > "$r/boot/extlinux.conf"
END

guest bls-newest os/bootloader=grub2 os/default_kernel=$w has_virtio=no << 'END'
two_kernels; bls_entries; printf 'load_env\nset default="${saved_entry}"\nblscfg\n' > "$r/boot/grub2/grub.cfg"
END

guest bls-saved os/bootloader=grub2 os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf 'load_env\nset default="${saved_entry}"\nblscfg\n' > "$r/boot/grub2/grub.cfg"
printf '# GRUB Environment Block\nsaved_entry=id-%s\n' "$v" > "$r/boot/grub2/grubenv"
END

guest bls-number os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf 'set default="1"\nblscfg\n' > "$r/boot/grub2/grub.cfg"
END

# An entry of the text besides, before or behind: the key may be of either.
own='menuentry "Own" --id own {\n linux /boot/vmlinuz-%s ro\n initrd /boot/initrd.img-%s\n}\n'
guest bls-saved-and-own os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf "load_env\nset default=\"\${saved_entry}\"\nblscfg\n$own" "$w" "$w" > "$r/boot/grub2/grub.cfg"
printf '# GRUB Environment Block\nsaved_entry=id-%s\n' "$v" > "$r/boot/grub2/grubenv"
END

guest bls-number-behind-own os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf "set default=2\n${own}blscfg\n" "$w" "$w" > "$r/boot/grub2/grub.cfg"
END

guest bls-own-chosen os/default_kernel=$v has_virtio=yes os/cmdline=ro << 'END'
two_kernels; bls_entries; printf "set default=own\nblscfg\n$own" "$v" "$v" > "$r/boot/grub2/grub.cfg"
END

guest bls-not-told os/default_kernel=unknown has_virtio=unknown << 'END'
two_kernels; bls_entries; printf "set default=\$grub_platform\nblscfg\n" > "$r/boot/grub2/grub.cfg"
END

# One kernel, and another system is the default.
guest grub-other-system os/default_kernel=unknown has_virtio=unknown os/cmdline=unknown << 'END'
sed -i 's/=m/=y/' "$r/boot/config-$v"; rm "$m/modules.builtin"
printf 'set default=1\nmenuentry a {\n linux /boot/vmlinuz-%s\n initrd /boot/initrd.img-%s\n}\nmenuentry Windows {\n chainloader +1\n}\n' \
  "$v" "$v" > "$r/boot/grub/grub.cfg"
END

# GRUB on Btrfs writes to sectors that the filesystem leaves free; ext has one,
# too.
suse_cfg ()
{
  two_kernels; bls_entries
  printf '# GRUB Environment Block\nenv_block=1+1\n' > "$r/boot/grub2/grubenv"
  cat > "$r/boot/grub2/grub.cfg" << 'EOF'
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${env_block}" ]; then
  set env_block="(${root})${env_block}"
  export env_block
  load_env -f "${env_block}"
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="${saved_entry}"
fi
blscfg
EOF
}
after_image ()
{
  printf '# GRUB Environment Block\nsaved_entry=id-%s\n' "$v" |
    dd of="$tmp/disk.img" bs=512 seek=$((2048 + 1)) conv=notrunc status=none
}
guest grub-other-block os/default_kernel=$v has_virtio=yes << 'END'
suse_cfg
END
after_image () { :; }
guest grub-other-block-empty os/default_kernel=$w has_virtio=no << 'END'
suse_cfg
END
guest grub-other-block-beyond os/default_kernel=unknown has_virtio=unknown << 'END'
suse_cfg; sed -i s/1+1/99999999+1/ "$r/boot/grub2/grubenv"
END

# Release 09 is newer than 1 for rpm, whatever a sort by text says.
guest bls-rpm-order os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf 'blscfg\n' > "$r/boot/grub2/grub.cfg"
cd "$r/boot/loader/entries"
mv "id-$v.conf" m-5.0-09.conf; mv "id-$w.conf" m-5.0-1.conf
cd "$tmp"
END

# Two systems' entries: the names' first part decides.
guest bls-two-machines os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; printf 'blscfg\n' > "$r/boot/grub2/grub.cfg"
cd "$r/boot/loader/entries"
mv "id-$v.conf" "20a3456789abcdef-5.1-1.conf"; mv "id-$w.conf" "9a23456789abcdef-6.9-1.conf"
cd "$tmp"
END

# A file that grub.cfg reads, and what it sets.
guest grub-custom os/default_kernel=$v has_virtio=no 'os/cmdline=ro modprobe.blacklist=virtio_blk' << 'END'
two_kernels; mkdir -p "$r/boot/grub"
echo 'set extra="modprobe.blacklist=virtio_blk"' > "$r/boot/grub/custom.cfg"
printf "if [ -f \$prefix/custom.cfg ]; then\nsource \$prefix/custom.cfg\nfi\nmenuentry a {\nlinux /boot/vmlinuz-%s ro \$extra\ninitrd /boot/initrd.img-%s\n}\n" \
  "$v" "$v" > "$r/boot/grub/grub.cfg"
END

loader_conf () { rm -r "$r/boot/grub2"; echo 'timeout 3' > "$r/boot/loader/loader.conf"; }

guest systemd-boot-newest os/default_kernel=$w << 'END'
two_kernels; bls_entries; loader_conf
END

# A sort key comes before what has none; of two, the lesser.
guest systemd-boot-sort-key os/default_kernel=$v << 'END'
two_kernels; bls_entries; loader_conf
echo 'sort-key zz' >> "$r/boot/loader/entries/id-$v.conf"
END

guest systemd-boot-machine os/default_kernel=$v << 'END'
two_kernels; bls_entries; loader_conf
printf 'sort-key a\nmachine-id 1\n' >> "$r/boot/loader/entries/id-$v.conf"
printf 'sort-key a\nmachine-id 2\n' >> "$r/boot/loader/entries/id-$w.conf"
END

# A final is newer than its candidate.
guest systemd-boot-version os/default_kernel=$v << 'END'
two_kernels; bls_entries; loader_conf
cd "$r/boot/loader/entries"
sed -i 's/^version.*/version 7/; $a sort-key a' "id-$v.conf"
sed -i 's/^version.*/version 7~rc1/; $a sort-key a' "id-$w.conf"
cd "$tmp"
END

# No more tries are left.
guest systemd-boot-failed os/default_kernel=$v << 'END'
two_kernels; bls_entries; loader_conf
mv "$r/boot/loader/entries/id-$w.conf" "$r/boot/loader/entries/id-$w+0-3.conf"
END

guest systemd-boot-trying os/default_kernel=$w << 'END'
two_kernels; bls_entries; loader_conf
mv "$r/boot/loader/entries/id-$w.conf" "$r/boot/loader/entries/id-$w+2-1.conf"
END

guest systemd-boot os/bootloader=systemd-boot os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; bls_entries; rm -r "$r/boot/grub2"
printf 'timeout 3\ndefault id-%s*\n' "${v%%-*}" > "$r/boot/loader/loader.conf"
END

guest systemd-boot-saved os/default_kernel=unknown has_virtio=unknown << 'END'
two_kernels; bls_entries; rm -r "$r/boot/grub2"
echo 'default @saved' > "$r/boot/loader/loader.conf"
END

guest unified os/bootloader=systemd-boot os/default_kernel=$w has_virtio=yes 'os/cmdline=ro quiet' << 'END'
two_kernels; mkdir -p "$r/boot/loader" "$r/boot/EFI/Linux"; : > "$r/boot/loader/loader.conf"
mv "$i/usr/lib/modules/$v" "$i/usr/lib/modules/$w"
(cd "$i" && find . | cpio -o -H newc --quiet) > "$tmp/initrd"
uki "$r/boot/vmlinuz-$w" "$tmp/initrd" 'ro quiet' debian > "$r/boot/EFI/Linux/new.efi"
rm "$r/boot/vmlinuz-$w" "$r/boot/initrd.img-$w"
END

guest unified-without-virtio os/default_kernel=$w has_virtio=no << 'END'
two_kernels; mkdir -p "$r/boot/loader" "$r/boot/EFI/Linux"; : > "$r/boot/loader/loader.conf"
uki "$r/boot/vmlinuz-$w" "$r/boot/initrd.img-$w" 'ro' debian > "$r/boot/EFI/Linux/new.efi"
END

# GRUB by UEFI: its configuration on the ESP, and a stub beside.
guest grub-on-esp os/bootloader=grub2 os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; mkdir -p "$r/boot/efi/EFI/centos" "$r/boot/efi/EFI/BOOT"
printf 'search --fs-uuid --set=root x\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n' \
  > "$r/boot/efi/EFI/BOOT/grub.cfg"
printf "set default=0\nmenuentry 'old' {\nlinuxefi /vmlinuz-%s ro\ninitrdefi /initrd.img-%s\n}\n" "$v" "$v" \
  > "$r/boot/efi/EFI/centos/grub.cfg"
END

# Paths of a Btrfs subvolume.
guest subvolume-path os/default_kernel=$v has_virtio=yes << 'END'
two_kernels; mkdir -p "$r/boot/grub"
printf "set default=0\nmenuentry 'a' {\nlinux /@/boot/vmlinuz-%s rootflags=subvol=@\ninitrd /@/boot/initrd.img-%s\n}\n" \
  "$v" "$v" > "$r/boot/grub/grub.cfg"
END

guest zipl os/bootloader=zipl os/default_kernel=$w has_virtio=no << 'END'
two_kernels
printf '[defaultboot]\ndefault=linux\n[linux]\nimage=/boot/vmlinuz-%s\nramdisk=/boot/initrd.img-%s\nparameters="ro"\n' \
  "$w" "$w" > "$r/etc/zipl.conf"
END

guest lilo os/bootloader=lilo os/default_kernel=$v has_virtio=yes << 'END'
two_kernels
printf 'default=b\nimage=/boot/vmlinuz-%s\nlabel=a\nimage=/boot/vmlinuz-%s\nlabel=b\ninitrd=/boot/initrd.img-%s\n' \
  "$w" "$v" "$v" > "$r/etc/lilo.conf"
END

[ $failed = 0 ]
