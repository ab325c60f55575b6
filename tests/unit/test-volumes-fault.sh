#!/usr/bin/env bash
# xrayfs: test-fault-sweep.c over what holds volumes: LVM2, md, LUKS, BitLocker,
# swap
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs python3 mkswap
PATH="$PATH:/usr/sbin:/sbin"
export PYTHONDONTWRITEBYTECODE=1
golden=$srcdir/tests/golden
sweep=$builddir/tests/unit/test-fault-sweep

# A root, such that a volume that is lost makes a difference.
mkdir -p "$tmp/root"/{etc,usr/bin,sbin}
echo 'ID=small' > "$tmp/root/etc/os-release"
echo '/dev/mapper/vg--a-root / ext4 defaults 0 1' > "$tmp/root/etc/fstab"
truncate -s 256K "$tmp/fs"
mke2fs -q -t ext4 -b 1024 -N 32 -O ^has_journal,^resize_inode -d "$tmp/root" "$tmp/fs"

python3 "$golden/lvm_text.py" guest "$tmp/fs" > "$tmp/lvm.img"
assert_equal root "$("$XRAYFS" cat "$tmp/lvm.img" os/root_filesystem)" volumes/vg--a-root
"$XRAYFS" cat "$tmp/lvm.img" volumes/vg--a-root/raw | cmp - "$tmp/fs"
python3 "$golden/md.py" $((2 << 20)) 2 level=1 disks=2 role=1 name=h:a data=$((64 << 10)) \
  size=$((256 << 10)) contents="$tmp/fs" > "$tmp/md.img"
python3 "$golden/md.py" $((2 << 20)) 90 level=1 disks=2 role=1 size=$((256 << 10)) \
  contents="$tmp/fs" > "$tmp/md90.img"
assert_equal root "$("$XRAYFS" cat "$tmp/md.img" os/root_filesystem)" volumes/md-a
python3 "$golden/bitlocker.py" $((256 << 10)) 0x8004 > "$tmp/bitlocker.img"
truncate -s 64K "$tmp/swap.img"
mkswap -q "$tmp/swap.img" 2> /dev/null
images=(lvm md md90 bitlocker swap)
if command -v cryptsetup > /dev/null; then
  truncate -s 17M "$tmp/luks2.img"
  printf x | cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
    "$tmp/luks2.img" - && images+=(luks2)
fi

for i in "${images[@]}"; do
  note "$i"
  "$sweep" "$tmp/$i.img" || fail "$i"
done
