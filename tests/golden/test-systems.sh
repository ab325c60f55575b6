#!/bin/bash
# xrayfs: more than one system in an image: which of them `os` is about
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two roots, and a partition for /boot.  starts ONE TWO BOOT sets what root=
# the grub.cfg in each of them has ("-": there is no grub.cfg); active N marks
# a partition.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs debugfs sfdisk
failed=0

u1=0b1c7f52-3d0e-4c5f-9a61-0000000001aa
u2=0b1c7f52-3d0e-4c5f-9a61-0000000002aa
u3=0b1c7f52-3d0e-4c5f-9a61-0000000003aa

image=$tmp/disk.img
truncate -s 6M "$image"
printf 'label: dos\nlabel-id: 0x6d696e69\n1M,1M\n2M,1M\n3M,1M\n' |
  sfdisk -q --no-reread --no-tell-kernel "$image"

# tree NAME UUID: a small root, at MiB number of the image.
tree ()
{
  local r=$tmp/$1
  mkdir -p "$r"/{etc,usr/bin,boot/grub}
  echo "ID=$1" > "$r/etc/os-release"
  echo "UUID=$2 / ext4 defaults 0 1" > "$r/etc/fstab"
}
tree one "$u1"
tree two "$u2"
mkdir -p "$tmp/boot/grub"

pack ()
{
  mke2fs -q -F -t ext4 -b 1024 -O ^has_journal,^resize_inode -N 64 -m 0 \
    -U "$2" -d "$tmp/$1" "$tmp/fs.img" 1M > "$tmp/mke2fs"
  dd if="$tmp/fs.img" of="$image" bs=1M seek="$3" conv=notrunc status=none
  rm "$tmp/fs.img"
}

grub ()
{
  if [ "$2" = - ]; then
    rm -f "$1"
  else
    printf 'menuentry x {\n linux /vmlinuz ro root=%s quiet\n}\n' "$2" > "$1"
  fi
}

starts ()
{
  grub "$tmp/one/boot/grub/grub.cfg" "$1"
  grub "$tmp/two/boot/grub/grub.cfg" "$2"
  grub "$tmp/boot/grub/grub.cfg" "$3"
  pack one "$u1" 1
  pack two "$u2" 2
  pack boot "$u3" 3
}

active () { sfdisk -q --no-reread --no-tell-kernel -A "$image" "$@"; }

is ()
{
  local name=$1 e path got
  shift
  for e; do
    path=${e%%=*}
    got=$("$XRAYFS" cat "$image" "$path")
    case $e in
    *=~*) [[ $got == *"${e#*=\~}"* ]] && continue ;;
    *) [ "$got" = "${e#*=}" ] && continue ;;
    esac
    note "$name: $path is '$got', not '${e#*=}'" >&2
    failed=1
  done
}
first="os/id=one os/root_filesystem=partitions/1"
second="os/id=two os/root_filesystem=partitions/2"

# shellcheck disable=SC2086 # words
{
starts - - -
is nobody-says $first "os/others=linux partitions/2" \
  "evidence/os/family=~cannot be told"
active 2
is active-partition $second "os/others=linux partitions/1" \
  "evidence/os/family=~active partition"

active 1
starts "UUID=$u2" - -
is one-starts-two $second
starts - /dev/sda1 -
is two-starts-one $first
starts "UUID=$u2" /dev/vda2 -
is both-start-two $second
starts PARTUUID=6d696e69-02 "UUID=$u2" -
is both-by-different-names $second

# They do not agree: the active partition's counts.
starts "UUID=$u1" "UUID=$u2" -
is active-one $first "os/others=linux partitions/2"
active 2
is active-two $second "os/others=linux partitions/1"
active 1 2
is two-active $first "evidence/os/family=~cannot be told"

# A third place, shared by both.
active 3
starts - - "UUID=$u2"
for r in one two; do
  echo "UUID=$u3 /boot ext4 defaults 0 2" >> "$tmp/$r/etc/fstab"
done
starts - - "UUID=$u2"
is shared-boot $second "os/cmdline=ro root=UUID=$u2 quiet"
starts - - "UUID=$u1"
is shared-boot-one $first
# What is started is not here.
starts - - UUID=dead
is starts-another "evidence/os/family=~none of the systems here" \
  "evidence/os/family=~cannot be told"

# What cannot be asked may have said something else.
sed -i "s/UUID=$u3/UUID=dead/" "$tmp/two/etc/fstab"
starts "UUID=$u1" - "UUID=$u2"
is cannot-ask os/family=unknown os/id=unknown os/others=unknown \
  "evidence/os/family=~which of 2 systems starts cannot be told: partition 2: "

# One system that does not exist in its own fstab.
rm -r "$tmp/two/etc"
starts - - -
is single $first os/others=
}

exit "$failed"
