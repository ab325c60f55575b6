#!/usr/bin/env bash
# FAT and exFAT as nobody writes them: the same listing as Linux's own drivers
# give (6.1 of Debian 12, `mount -t vfat` and `-t exfat` without options).  It
# was recorded, since they are not everywhere:
#   apt-get download linux-image-6.1.0-56-amd64; dpkg -x linux-image*.deb KERNEL
#   RECORD=KERNEL bash tests/golden/test-fat-linux.sh
. "${srcdir:-.}/tests/functions.sh"
requires python3 xz

walk=$(tool fs-walk)
golden=$srcdir/tests/golden

# Inode numbers are each driver's own; vfat has no holes, but does not say so
# of an empty file; an exFAT's root has the time of the mount in Linux.
normal () { sed -E 's/ ino=[0-9]+//; s/ data=[-0-9,]+//; /^\/ /s/ [amc]time=[0-9.]+//g' "$1"; }

record ()
{
  bash "$golden/linux-walk.sh" "$RECORD" "$walk" "$tmp/out" "$2" "$tmp/$1"
  { normal "$tmp/out/$1.walk" && echo "statfs $(cat "$tmp/out/$1.statfs")"; } \
    | xz -9e > "$golden/linux-fat/$1.xz"
}

# compare NAME TYPE ARGUMENTS...
compare ()
{
  local name=$1 type=$2
  shift 2
  python3 "$golden/fat_image.py" "$@" "$tmp/$name"
  [ -z "${RECORD:-}" ] || record "$name" "$type"
  "$walk" -l -t "$type" "$tmp/$name" > "$tmp/listing" || fail "$name: $(grep -a -m 3 error "$tmp/listing")"
  normal "$tmp/listing" > "$tmp/ours"
  xz -d -c "$golden/linux-fat/$name.xz" > "$tmp/linux"
  "$walk" --info -t "$type" "$tmp/$name" > "$tmp/info"
  awk -F = '{ v[$1] = $2 } END { print "statfs", v["block_size"], v["size"] / v["block_size"], v["free"] / v["block_size"] }' \
    "$tmp/info" >> "$tmp/ours"
  cmp -s "$tmp/ours" "$tmp/linux" \
    || fail "$name: $(diff "$tmp/linux" "$tmp/ours" | cut -c -400 | head -n 6)"
  note "$name: $(wc -l < "$tmp/ours") lines"
}

compare fat12 vfat fat 12 2000000 512 1
compare fat16 vfat fat 16 12000256 512 2
compare fat32 vfat fat 32 60000256 512 1
compare fat32-4k vfat fat 32 20000768 4096 1
compare exfat exfat exfat 512 1 4000256
compare exfat-4k exfat exfat 4096 2 20004864
