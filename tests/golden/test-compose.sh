#!/bin/bash
# xrayfs: root/: what the guest mounts where, by fstab and mount units
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A disk of three filesystems: the root, and two whose file `who` says which
# they are.  fstab NAME PATH=TEXT... with the lines on stdin: then root/PATH
# must hold TEXT ("-": is not there; "!": cannot be read, and does not look
# absent).
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs debugfs sfdisk
failed=0

# filesystem DIR UUID LABEL: $tmp/DIR.img
filesystem ()
{
  mke2fs -q -F -t ext4 -b 1024 -O ^has_journal,^resize_inode -N 128 -m 0 \
    -U "$2" -L "$3" -d "$tmp/$1" "$tmp/$1.img" 1M > "$tmp/mke2fs"
}

r=$tmp/root
mkdir -p "$r"/{etc/systemd/system/local-fs.target.wants,usr/bin,a/inner,b} \
  "$r"/{srv/deep/er,c,boot,"sp ace",home} "$tmp"/{two/{inner,sub},three/inner}
echo ID=test > "$r/etc/os-release"
: > "$r/etc/fstab"
echo root > "$r/who"
echo under > "$r/a/under"
echo under > "$r/srv/deep/who"
echo one-file > "$r/etc/one"
echo other-file > "$r/etc/other"
ln -s a "$r/toa"
ln -s /srv/deep "$r/todeep"
echo two > "$tmp/two/who"
echo sub > "$tmp/two/sub/who"
echo three > "$tmp/three/who"
two=0b1c7f52-3d0e-4c5f-9a61-0000000002aa
three=0b1c7f52-3d0e-4c5f-9a61-0000000003aa
filesystem root 0b1c7f52-3d0e-4c5f-9a61-0000000001aa rootfs
filesystem two "$two" "two 2"
filesystem three "$three" three

# disk OUT TABLE: the same three on a gpt or a dos disk.
disk ()
{
  local n=0 part
  rm -f "$1"
  truncate -s 6M "$1"
  if [ "$2" = gpt ]; then
    sfdisk -q --no-reread --no-tell-kernel "$1" << END
label: gpt
start=1M, size=1M, name=root
start=2M, size=1M, name="part two", uuid=6D696E69-0000-0000-0000-000000000002
start=3M, size=1M, uuid=6D696E69-0000-0000-0000-000000000003
END
  else
    printf 'label: dos\nlabel-id: 0x6d696e69\n1M,1M\n2M,1M\n3M,1M\n' |
      sfdisk -q --no-reread --no-tell-kernel "$1"
  fi
  for part in root two three; do
    n=$((n + 1))
    dd if="$tmp/$part.img" of="$1" bs=1M seek=$n conv=notrunc,sparse \
      status=none
  done
}
disk "$tmp/gpt.img" gpt
disk "$tmp/dos.img" dos

image=$tmp/gpt.img
expect ()
{
  local name=$1 path=${2%%=*} want=${2#*=} got
  if got=$("$XRAYFS" cat "$image" "$path" 2> "$tmp/err"); then
    [ "$got" != "$want" ] || return 0
  elif grep -qi "no such file" "$tmp/err"; then
    [ "$want" != - ] || return 0
    got="(absent)"
  else
    [ "$want" != ! ] || return 0
    got=$(cat "$tmp/err")
  fi
  note "$name: $path is '$got', not '$want'" >&2
  failed=1
}

# put FILE: stdin, into the root filesystem of $image.
put ()
{
  cat > "$tmp/text"
  debugfs -w -f - "$image?offset=1048576" > "$tmp/debugfs" 2>&1 << END
rm $1
write $tmp/text $1
END
}

fstab ()
{
  local name=$1 e
  shift
  put /etc/fstab
  for e; do
    case $e in
    os/* | evidence/*) expect "$name" "$e" ;;
    *) expect "$name" "root/$e" ;;
    esac
  done
}

# --- ways to name a device --------------------------------------------------

for device in "UUID=$two" "UUID=\"$two\"" "UUID='$two'" \
  "UUID=${two^^}" "/dev/disk/by-uuid/$two" 'LABEL=two\0402' \
  'LABEL="two\0402"' '/dev/disk/by-label/two\x202' \
  PARTUUID=6d696e69-0000-0000-0000-000000000002 \
  PARTUUID=6D696E69-0000-0000-0000-000000000002 \
  /dev/disk/by-partuuid/6d696e69-0000-0000-0000-000000000002 \
  'PARTLABEL=part\040two' '/dev/disk/by-partlabel/part\x20two' \
  /dev/sda2 /dev/hda2 /dev/vda2 /dev/xvda2 /dev/nvme0n1p2 /dev/mmcblk0p2; do
  fstab "$device" a/who=two a/under=- who=root << END
# comment
UUID=0b1c7f52-3d0e-4c5f-9a61-0000000001aa / ext4 defaults 0 1
$device	/a	ext4 defaults 0 2
END
done
fstab resolved "os/fstab=partitions/2 /a auto ro 0 0" << END
/dev/sda2 /a auto ro
END

# What is not there must not look absent.
for device in /dev/sdb2 /dev/sda9 /dev/nvme1n1p2 /dev/xvdb2 UUID=dead \
  LABEL=two PARTUUID=6d696e69-02 /dev/mapper/vg-lv /dev/vg/lv /dev/md0 \
  /dev/disk/by-id/ata-X-part2 /dev/disk/by-path/pci-0-part2 ID=x-part2 \
  /dev/dm-2 nas:/export //nas/share overlay /images/x.squashfs; do
  fstab "$device" 'a/under=!' 'a/nothing=!' who=root << END
$device /a ext4 defaults 0 2
END
  fstab "$device, nofail" a/under=under a/nothing=- << END
$device /a ext4 ro,nofail 0 2
END
done

# The line of the root tells which disk this is.
fstab sdb-is-this-disk a/who=two 'b/x=!' << END
/dev/sdb1 / ext4 defaults 0 1
/dev/sdb2 /a ext4 defaults 0 1
/dev/sda3 /b ext4 defaults 0 1
END
fstab by-id-is-this-disk a/who=two 'b/who=!' << END
/dev/disk/by-id/ata-A-part1 / ext4 defaults 0 1
/dev/disk/by-id/ata-A-part2 /a ext4 defaults 0 1
/dev/disk/by-id/ata-B-part3 /b ext4 defaults 0 1
END
fstab by-path-is-this-disk a/who=two b/who=three << END
/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1 / ext4 defaults 0 1
/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part2 /a ext4 defaults 0 1
UUID=$three /b ext4 defaults 0 1
END
fstab by-id-of-another-partition 'a/who=!' \
  "evidence/os/fstab=fstab: /: its line names /dev/disk/by-id/ata-A-part3,\
 which is not among the volumes read and not this root, partitions/1
fstab: /a: /dev/disk/by-id/ata-A-part2 is not among the volumes read" << END
/dev/disk/by-id/ata-A-part3 / ext4 defaults 0 1
/dev/disk/by-id/ata-A-part2 /a ext4 defaults 0 1
END
fstab cloned who=root "evidence/os/fstab=fstab: /: its line names\
 UUID=$two, which is partitions/2 and not this root, partitions/1" << END
UUID=$two / ext4 defaults 0 1
END

# --- what is no disk -----------------------------------------------------------

fstab not-mounted a/under=under b/x=- who=root << END
proc /a proc defaults 0 0
tmpfs /a tmpfs size=1G 0 0
UUID=$two none swap sw 0 0
/dev/sda2 swap swap defaults 0 0
/dev/cdrom /a udf,iso9660 user,noauto 0 0
/dev/sr0 /a auto ro 0 0
/dev/fd0 /a auto rw,user 0 0
none /a devpts gid=5 0 0
short line
END

# --- points -----------------------------------------------------------------------

fstab octal "sp ace/who=two" << END
UUID=$two /sp\\040ace ext4 defaults 0 2
END
fstab slashes a/who=two << END
UUID=$two //a/ ext4 defaults 0 2
END
fstab by-a-link a/who=two << END
UUID=$two /toa ext4 defaults 0 2
END
fstab by-an-absolute-link srv/deep/who=two << END
UUID=$two /todeep ext4 defaults 0 2
END
fstab later-over-earlier a/who=three << END
UUID=$two /a ext4 defaults 0 2
UUID=$three /a ext4 defaults 0 2
END
fstab nested a/who=two a/inner/who=three << END
UUID=$three /a/inner ext4 defaults 0 2
UUID=$two /a ext4 defaults 0 2
END
fstab nested-in-blind 'a/who=!' 'a/inner/who=!' << END
UUID=$three /a/inner ext4 defaults 0 2
UUID=dead /a ext4 defaults 0 2
END
fstab no-such-point who=root nowhere/who=- << END
UUID=$two /nowhere ext4 defaults 0 2
END
fstab on-a-file etc/one=one-file << END
UUID=$two /etc/one ext4 defaults 0 2
END

# --- bind ---------------------------------------------------------------------------

fstab bind b/who=under c/who=- << END
/srv/deep /b none bind 0 0
END
fstab bind-before-its-source b/who=two c/who=sub << END
/a /b none defaults,bind 0 0
/a/sub /c none rw,bind,nofail 0 0
UUID=$two /a ext4 defaults 0 2
END
fstab bind-shows-no-mounts-below b/inner/who=- b/who=two << END
UUID=$two /a ext4 defaults 0 2
UUID=$three /a/inner ext4 defaults 0 2
/a /b none bind 0 0
END
fstab rbind b/inner/who=three b/who=two 'b/sub/x=!' << END
UUID=$two /a ext4 defaults 0 2
UUID=$three /a/inner ext4 defaults 0 2
UUID=dead /a/sub ext4 defaults 0 2
/a /b none rbind 0 0
END
fstab rbind-of-the-root b/a/inner/who=three b/a/who=two b/b/x=- << END
UUID=$two /a ext4 defaults 0 2
UUID=$three /a/inner ext4 defaults 0 2
/ /b none rbind 0 0
END
fstab mount-below-a-bind b/inner/who=three a/inner/who=- << END
UUID=$three /b/inner ext4 defaults 0 2
/a /b none bind 0 0
END
fstab bind-of-blind 'b/x=!' << END
UUID=dead /a ext4 defaults 0 2
/a /b none bind 0 0
END
fstab bind-a-file etc/one=other-file << END
/etc/other /etc/one none bind 0 0
END
fstab bind-in-a-circle who=root << END
/a /b none bind 0 0
/b /a none bind 0 0
END
fstab bind-of-nothing b/x=- << END
/not/there /b none bind 0 0
END

# --- mount units ----------------------------------------------------------------------

wants=/etc/systemd/system/local-fs.target.wants
put $wants/a.mount << END
[Unit]
Description=What=/dev/none
[Mount]
# What=/dev/sdb9
What = /dev/disk/by-uuid/$two
Where=/a
Options=ro
END
fstab unit a/who=two << END
END
fstab unit-over-fstab a/who=two << END
UUID=$three /a ext4 defaults 0 2
END
put $wants/a.mount << END
[Mount]
What=/dev/disk/by-uuid/dead
Where=/a
END
fstab unit-missing 'a/who=!' << END
END
put $wants/a.mount << END
[Mount]
What=%h/x
Where=/a
END
fstab unit-with-specifier a/under=under << END
END

# --- another table ---------------------------------------------------------------------

image=$tmp/dos.img
for device in PARTUUID=6d696e69-02 /dev/disk/by-partuuid/6d696e69-02 \
  /dev/sda2; do
  fstab "dos: $device" a/who=two << END
$device /a ext4 defaults 0 2
END
done

# --- without a table: /dev/xvda1 was the disk ----------------------------------------

image=$tmp/whole.img
{ head -c 1M /dev/zero; cat "$tmp/root.img"; } > "$image"
put /etc/fstab << END
/dev/xvda1 / ext4 defaults 0 1
/dev/xvda2 /a ext4 defaults 0 1
END
tail -c +1048577 "$image" > "$image.2"
image=$image.2
expect whole "os/fstab=partitions/whole / ext4 defaults 0 1
/dev/xvda2 /a ext4 defaults 0 1"
expect whole 'root/a/x=!'

exit "$failed"
