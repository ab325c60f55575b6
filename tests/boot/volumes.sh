#!/usr/bin/env bash
# Logical volumes and arrays that a kernel made and wrote to, in a virtual
# machine of libguestfs: each reads the same through xrayfs.  By hand: it takes
# minutes under emulation, and needs libguestfs-tools, linux-image-amd64, lvm2
# and mdadm.
#   XRAYFS=build/user/xrayfs tests/boot/volumes.sh
# Last run with Linux 6.1.0, lvm2 2.03.16 and mdadm 4.2: 20 logical volumes
# and 11 arrays were the same; refused: a cache in writeback, a thin
# volume, a snapshot, raid10 with far copies.
. "${srcdir:-.}/tests/functions.sh"
requires guestfish sfdisk
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg

cd "$tmp"
truncate -s 1G lvm.img
truncate -s 700M md.img
for i in 1 2 3 4 5 6; do echo size=160M; done | sfdisk -q -X gpt lvm.img
for ((i = 0; i < 40; i++)); do echo size=16M; done | sfdisk -q -X gpt md.img

cat > in.sh << 'END'
exec 2> /dev/null
for m in dm-{raid,mirror,snapshot,thin-pool,cache,cache-smq} raid{0,1,10,456} linear; do modprobe $m; done
pvcreate -q /dev/sda[1-6]
vgcreate -q -s 1M vg /dev/sda[1-6]
new="lvcreate -q -y -Wn -Zn"
$new -n lin -L 5M vg
$new -n str -i3 -I16k -L 6M vg
$new -n r1 --type raid1 -m1 -L 8M vg
$new -n mir --type mirror -m1 -L 8M vg
$new -n r0 --type raid0 -i2 -L 8M vg
$new -n r0m --type raid0_meta -i2 -L 8M vg
$new -n r4 --type raid4 -i2 -L 8M vg
$new -n r10 --type raid10 -i2 -m1 -I 16k -L 8M vg
for t in raid5{,_ls,_la,_ra,_rs,_n} raid6{,_zr,_nr,_nc}; do $new -n $t --type $t -i3 -I16k -L 9M vg; done
lvcreate -q -y -L 20M --thinpool pool vg
lvcreate -q -y -V 40M --thin -n thin1 vg/pool
for l in orig cached cachedwb; do $new -n $l -L 8M vg; done
vgchange -ay vg > /dev/null
for l in /dev/vg/*; do dd if=/dev/urandom of=$l bs=1M oflag=direct count=8; done
lvcreate -q -y -s -L 4M -n snap vg/orig
for l in cached:writethrough cachedwb:writeback; do
  lvcreate -q -y --type cache-pool -L 8M -n p${l%:*} vg
  lvconvert -q -y --type cache --cachemode ${l#*:} --cachepool p${l%:*} vg/${l%:*}
done
for l in orig cached cachedwb; do dd if=/dev/urandom of=/dev/vg/$l bs=64k count=4 oflag=direct; done
# Until all mirrors and parities are in step.
while lvs --noheadings -o copy_percent -S 'segtype=~"^(raid[1456]|mirror)"' vg |
  grep -v 100.00 | grep -q '[0-9]'; do :; done
sync
for l in /dev/vg/*; do echo "lvm vg-${l##*/} $(sha256sum < $l)"; done

p=1
make () { # NAME DEVICE MEMBERS OPTIONS...
  name=$1 dev=$2 n=$3
  shift 3
  parts=$(seq -f /dev/sdb%g $p $((p + n - 1)))
  p=$((p + n))
  mdadm --create --run --quiet --assume-clean --homehost=h $dev "$@" -n $n $parts
  dd if=/dev/urandom of=$dev bs=1M oflag=direct
  sync
  [ -n "$name" ] || name=$(mdadm --detail $dev | sed -n 's/.*UUID : //p' | cut -d ' ' -f 1)
  echo "md md-$name $(sha256sum < $dev)"
}
make "" /dev/md10 2 -e 0.90 -l 1
for a in "a 2 -e 1.0 -l 1" "b 2 -e 1.1 -l 1" "c 2 -l 1" "d 2 -l 0 -c 16" "e 2 -l linear" "f 3 -l 10 -c 16" \
  "g 3 -l 5 -c 16" "h 4 -l 6 -c 16" "i 3 -l 4 -c 16" "j 3 -l 5 --layout=left-asymmetric -c 16" \
  "k 2 -l 10 --layout=f2 -c 16"; do
  set -- $a
  name=$1 n=$2
  shift 2
  make $name /dev/md/$name $n --name=$name "$@"
done
mdadm --stop --scan
vgchange -an vg > /dev/null
sync
END
guestfish --format=raw -a lvm.img --format=raw -a md.img > sums << 'END'
run
debug-upload in.sh /tmp/in.sh 0755
debug sh "bash /tmp/in.sh"
END

same=0
while read -r disk name sum _; do
  [ "$disk" = lvm ] || [ "$disk" = md ] || continue
  if "$XRAYFS" cat "$disk.img" "volumes/$name/raw" > raw 2> log; then
    assert_equal "$name" "$(sha256sum < raw | cut -d ' ' -f 1)" "$sum"
    same=$((same + 1))
  else
    note "$name: refused: $(tail -n 1 log | sed 's/.*volume: //')"
  fi
done < sums
note "$same volumes are the same"
[ "$same" -ge 30 ] || fail "the machine made too few"
