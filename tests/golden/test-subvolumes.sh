#!/bin/bash
# xrayfs: which subvolume of a Btrfs is the guest's root, and the others that
# its fstab mounts: as openSUSE, Fedora, Ubuntu and Debian lay them out
# SPDX-License-Identifier: GPL-2.0-or-later
#
# layout NAME PATH=TEXT...: the commands on stdin fill $t, the top of the
# filesystem; sub NAME makes a subvolume, system NAME WHO one with a root in it
# whose fstab has the lines on stdin.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.btrfs btrfs mount losetup
[ "$(id -u)" = 0 ] || skip "only root can mount"
failed=0
t=$tmp/top
img=$tmp/btrfs.img
uuid=0b1c7f52-3d0e-4c5f-9a61-00000000b7f5
mkdir "$t"
at_exit "umount '$t' 2> /dev/null"

sub () { btrfs -q subvolume create "$t/$1"; }
fill ()
{
  mkdir -p "$t/$1"/{etc,usr/bin,home,srv,boot/grub}
  echo "ID=$2" > "$t/$1/etc/os-release"
  cat > "$t/$1/etc/fstab"
}
system () { sub "$1"; fill "$@"; }
snapshot () { btrfs -q subvolume snapshot "$t/$1" "$t/$2"; }
default () { btrfs -q subvolume set-default "$t/$1"; }

layout ()
{
  local name=$1 e got
  shift
  rm -f "$img"
  truncate -s 120M "$img"
  mkfs.btrfs -q -U "$uuid" "$img" > /dev/null 2>&1 || fail "mkfs.btrfs"
  mount -o loop "$img" "$t" 2> /dev/null || skip "no Btrfs here"
  eval "$(cat)"
  umount "$t"
  for e in os/family=linux os/root_filesystem=partitions/whole os/others= "$@"; do
    got=$("$XRAYFS" cat "$img" "${e%%=*}" 2> "$tmp/err") || got="($(cat "$tmp/err"))"
    case $e in
    *=~*) [[ $got == *"${e#*=\~}"* ]] && continue ;;
    *) [ "$got" = "${e#*=}" ] && continue ;;
    esac
    note "$name: ${e%%=*} is '$got', not '${e#*=}'" >&2
    failed=1
  done
}

# The texts are for eval.
# shellcheck disable=SC2016
{
layout at-the-top os/id=top << 'END'
fill . top <<< "UUID=$uuid / btrfs defaults 0 0"
END

layout opensuse os/id=current root/home/who=home root/srv/who=srv \
  root/.snapshots/2/info=info << 'END'
sub @; sub @/home; sub @/srv; sub @/.snapshots
echo home > "$t/@/home/who"; echo srv > "$t/@/srv/who"
mkdir "$t/@/.snapshots/1" "$t/@/.snapshots/2"
echo info > "$t/@/.snapshots/2/info"
system @/.snapshots/1/snapshot current << E
UUID=$uuid / btrfs defaults 0 0
UUID=$uuid /home btrfs subvol=/@/home 0 0
UUID=$uuid /srv btrfs subvol=@/srv 0 0
UUID=$uuid /.snapshots btrfs subvol=/@/.snapshots 0 0
E
mkdir "$t/@/.snapshots/1/snapshot/.snapshots"
default @/.snapshots/1/snapshot
snapshot @/.snapshots/1/snapshot @/.snapshots/2/snapshot
echo ID=old > "$t/@/.snapshots/2/snapshot/etc/os-release"
END

layout fedora os/id=fedora root/home/who=home << 'END'
system root fedora << E
UUID=$uuid / btrfs subvol=root,compress=zstd:1 0 0
UUID=$uuid /home btrfs subvol=home,compress=zstd:1 0 0
E
sub home; echo home > "$t/home/who"
END

layout ubuntu-with-snapshots os/id=ubuntu root/home/who=home << 'END'
system @ ubuntu << E
UUID=$uuid / btrfs defaults,subvol=@ 0 1
UUID=$uuid /home btrfs defaults,subvol=@home 0 2
E
sub @home; echo home > "$t/@home/who"
mkdir -p "$t/timeshift-btrfs/snapshots/2024-01-01"
snapshot @ timeshift-btrfs/snapshots/2024-01-01/@
snapshot @ @-before; echo ID=before > "$t/@-before/etc/os-release"
END

layout debian os/id=debian << 'END'
system @rootfs debian <<< "UUID=$uuid / btrfs defaults,subvol=@rootfs 0 0"
END

layout another-name os/id=odd << 'END'
system a-copy copy <<< "UUID=$uuid / btrfs subvol=/sys 0 0"
system sys odd <<< "LABEL=x / btrfs subvol=nothing 0 0
UUID=$uuid / btrfs subvol=/sys 0 0"
END

layout default-is-an-old-snapshot os/id=now << 'END'
system @ now <<< "UUID=$uuid / btrfs subvol=@ 0 0"
snapshot @ old; echo ID=old > "$t/old/etc/os-release"
default old
END

layout by-number os/id=by-number root/home/who=by-number << 'END'
system @ first <<< "UUID=$uuid / btrfs subvolid=257 0 0"
system root by-number <<< "UUID=$uuid / btrfs subvolid=257 0 0
UUID=$uuid /home btrfs subvolid=258 0 0"
sub data; echo by-number > "$t/data/who"
END

layout by-the-command-line os/id=second "os/cmdline=root=UUID=$uuid rootflags=subvol=@2" << 'END'
system @ first <<< "UUID=$uuid / btrfs subvol=@ 0 0"
system @2 second <<< "UUID=$uuid / btrfs subvol=@ 0 0"
for s in @ @2; do
  printf 'menuentry x {\n linux /vmlinuz root=UUID=%s rootflags=subvol=@2\n}\n' "$uuid" \
    > "$t/$s/boot/grub/grub.cfg"
done
END

layout no-such-subvolume os/id=x root/home/who=under \
  "evidence/os/fstab=~/home: subvolume '@gone': @gone: no such" << 'END'
system @ x <<< "UUID=$uuid / btrfs subvol=@ 0 0
UUID=$uuid /home btrfs subvol=@gone 0 0"
echo under > "$t/@/home/who"
END
}

exit "$failed"
