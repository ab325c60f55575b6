#!/usr/bin/env bash
# FAT with the options of mkfs.fat, filled by mtools: the same files come back,
# names in any case are found, and the counts are those of fsck.fat.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.fat mcopy mattrib fsck.fat python3

walk=$(tool fs-walk)
img=$tmp/img
export MTOOLS_SKIP_CHECK=1

mkdir -p "$tmp/tree/EFI/Boot" "$tmp/tree/many" "$tmp/tree/a/b/c/d/e/f"
python3 - "$tmp/tree" <<'PY'
import os, random, sys
os.chdir(sys.argv[1])
random.seed(3)
for n in (0, 1, 511, 512, 513, 2047, 2048, 2049, 32768, 100001):
    open("size-%d" % n, "wb").write(random.randbytes(n))
for name in ("n" * 200, "\u00fc" * 80, "sp ace", "UPPER.TXT", "lower.txt",
             "Mixed.Txt", "a.b.c", "+,;=[]"):
    open(name, "wb").write(name.encode())
open("EFI/Boot/BOOTX64.EFI", "wb").write(random.randbytes(5000))
for i in range(120):
    open("many/an entry with some name %d" % i, "wb").write(b"%d" % i)
open("a/b/c/d/e/f/bottom", "wb").write(b"bottom")
PY

# What both sides have: names, sizes, contents.
contents () { sed -n 's/^\([^ ]*\) mode=10.* size=\([0-9]*\) .* crc=\([0-9a-f]*\).*/\1 \2 \3/p; s/^\([^ ]*\) mode=04.*/\1 dir/p' "$1"; }
"$walk" --posix "$tmp/tree" > "$tmp/listing"
contents "$tmp/listing" > "$tmp/wanted"

fill () { mcopy -i "$1" -s -Q -n "$tmp/tree"/* ::/; }

# Clusters in use, and all of them.
check_counts ()
{
  local used all size
  fsck.fat -n -v "$img" > "$tmp/fsck" 2>&1 || true
  ! grep -q 'only 1 or 2 FATs' "$tmp/fsck" || return 0
  read -r used all size < <(sed -n \
    's/^ *\([0-9]*\) bytes per cluster.*/size \1/p; s/.* files, \([0-9]*\)\/\([0-9]*\) clusters.*/\1 \2/p' \
    "$tmp/fsck" | awk '$1 == "size" { s = $2; next } { print $1, $2, s }')
  assert_equal "$1: info" "$("$walk" --info -t vfat "$img" | head -n 3 | tr '\n' ' ')" \
    "size=$((all * size)) used=$((used * size)) free=$(((all - used) * size)) "
}

# check NAME SIZE WORDS OPTIONS...
check ()
{
  local name=$1 size=$2 words=$3
  shift 3
  rm -f "$img"
  truncate -s "$size" "$img"
  mkfs.fat "$@" "$img" > "$tmp/log" 2>&1 || { note "$name: not here: $(tail -n 1 "$tmp/log")"; return; }
  fill "$img" > "$tmp/log" 2>&1 || fail "$name: mcopy: $(tail -n 2 "$tmp/log")"
  "$walk" -l -t vfat "$img" > "$tmp/listing" || fail "$name: $(grep -a -m 3 error "$tmp/listing")"
  contents "$tmp/listing" > "$tmp/ours"
  cmp -s "$tmp/wanted" "$tmp/ours" || fail "$name: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -300 | head -n 4)"
  check_counts "$name"
  assert_equal "$name: state" "$("$walk" --info -t vfat "$img" | sed -n 's/^state=//p;s/^features=//p' | tr '\n' ' ')" "clean $words "
  assert_equal "$name: check" "$("$walk" --check -t vfat "$img")" ok
  # libblkid wants more of a boot sector than Linux does.
  [ "$name" = atari ] ||
    assert_equal "$name: blkid" "$(blkid -p -o value -s TYPE "$img")" vfat
  tested=yes
}

tested=''
check fat12 4M fat12 -F 12
check fat12-floppy 1440K fat12
check fat12-s1 1800K fat12 -F 12 -s 1 -f 1
check fat12-4k 12M fat12 -F 12 -S 4096 -s 1
check fat16 32M fat16 -F 16
check fat16-s64 400M fat16 -F 16 -s 64
check fat16-r 20M fat16 -F 16 -r 1024 -R 9 -f 3
check fat32 40M fat32 -F 32 -s 1
check fat32-default 600M fat32
check fat32-f1 40M fat32 -F 32 -f 1 -b 0 -R 3
check fat32-a 40M fat32 -F 32 -a -R 40
check fat32-1k 80M fat32 -F 32 -S 1024 -s 1
check fat32-2k 160M fat32 -F 32 -S 2048 -s 1
check fat32-4k 400M fat32 -F 32 -S 4096 -s 1 -M 0xf9
check mbr 40M fat16 -F 16 --mbr=y
check atari 20M fat16 -A -F 16
[ "$tested" ] || fail "no filesystem was made"

# Names in any case, short names, and names that are not there.
cat_file () { "$walk" -t vfat --cat "$1" "$img"; }
check lookup 40M fat32 -F 32
for path in /efi/boot/bootx64.efi /EFI/Boot/BOOTX64.EFI /eFi/bOOT/Bootx64.Efi; do
  cat_file "$path" | cmp - "$tmp/tree/EFI/Boot/BOOTX64.EFI" || fail "$path"
  "$XRAYFS" cat "$img" "partitions/whole/files$path" | cmp - "$tmp/tree/EFI/Boot/BOOTX64.EFI" || fail "$path"
done
short=$(mdir -i "$img" ::/many | sed -n 's/^\(ANENTR~1\) .*/\1/p')
[ "$short" ] || fail "no short name"
cat_file "/many/$short" | grep -q '^[0-9]' || fail "short name"
assert_equal "another case" "$(cat_file "/$(printf '\303\234')$(printf '\303\274%.0s' $(seq 79))")" \
  "$(cat "$tmp/tree/$(printf '\303\274%.0s' $(seq 80))")"
for path in /efi/boot/bootx65.efi /EFI/Boot/BOOTX64.EF /ANENTR~9; do
  got=$(cat_file "$path") && fail "$path is there"
  [[ $got = error:2:* ]] || fail "$path: $got"
done

# Attributes.
mattrib -i "$img" +r '::/sp ace' ::/a
mattrib -i "$img" +h +s ::/lower.txt
"$walk" -t vfat "$img" > "$tmp/listing"
grep -a -q '^/sp\\x20ace mode=100555 ' "$tmp/listing" || fail "read-only"
grep -a -q '^/lower.txt mode=100755 ' "$tmp/listing" || fail "hidden"
grep -a -q '^/a mode=040755 nlink=3 ' "$tmp/listing" || fail "directory"
