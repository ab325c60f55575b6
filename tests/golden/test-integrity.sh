#!/bin/bash
# xrayfs: integrity/: what is whole is `ok`, what is not is named, and what we
# call damaged e2fsck, xfs_repair, sgdisk or sfdisk complain about as well
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs e2fsck debugfs mkfs.xfs xfs_repair xfs_db sfdisk sgdisk
failed=0
img=$tmp/img

complain () { note "$*" >&2; failed=1; }

integrity () { "$XRAYFS" cat "$img" "integrity/${1:-partition-whole}"; }

# finds NAME TEXT [JUDGE...]: a line holds TEXT, and the judge does not pass.
finds ()
{
  local name=$1 text=$2 got
  shift 2
  got=$(integrity "${part:-partition-whole}")
  [[ $got == *"$text"* ]] || complain "$name: '$got' lacks '$text'"
  [ $# = 0 ] || ! "$@" > "$tmp/judge" 2>&1 ||
    complain "$name: ${1##*/} finds nothing"
}

whole ()
{
  local name=$1 got
  shift
  got=$(integrity "${part:-partition-whole}")
  [ "$got" = ok ] || complain "$name: '$got'"
  "$@" > "$tmp/judge" 2>&1 || complain "$name: ${1##*/}: $(head -3 "$tmp/judge")"
}

# --- ext: what mkfs makes, and what the kernel leaves ------------------------

ext_judge=(e2fsck -fn "$img")
make_ext ()
{
  rm -f "$img"
  # shellcheck disable=SC2086 # options
  mke2fs -q -F $1 "$img" "${2:-300M}" > "$tmp/log" 2>&1
}

while read -r options; do
  make_ext "$options" || fail "mke2fs $options: $(cat "$tmp/log")"
  whole "mke2fs $options" "${ext_judge[@]}"
done << 'END'
-t ext2
-t ext3
-t ext4
-t ext4 -O ^metadata_csum,^64bit
-t ext4 -O ^metadata_csum,uninit_bg
-t ext4 -O bigalloc
-t ext4 -O meta_bg,^resize_inode -b 1024
-t ext4 -O sparse_super2
-t ext4 -O ^flex_bg,^sparse_super,^resize_inode
-t ext4 -O metadata_csum_seed
-t ext4 -b 1024 -g 1024
-t ext2 -O none
END

# use: as a server would, if it can be mounted.
can_mount=
mnt=$tmp/mnt
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"
use ()
{
  [ "$(id -u)" = 0 ] || return 1
  mount -o "loop,$1" "$img" "$mnt" 2> /dev/null || return 1
  for i in 1 2 3 4 5 6 7 8; do
    mkdir "$mnt/d$i"
    head -c "$((i * 77777))" /dev/urandom > "$mnt/d$i/file"
  done
  rm -r "$mnt/d3" "$mnt/d5"
  umount "$mnt"
  can_mount=yes
}
make_ext "-t ext4"
if use noatime; then whole "ext4, used" "${ext_judge[@]}"; fi
make_ext "-t ext4 -O ^metadata_csum"
if use noatime; then whole "ext4 without checksums, used" "${ext_judge[@]}"; fi
make_ext "-t ext4" 60M
if use noatime && e2fsck -fy "$img" > "$tmp/log" 2>&1 &&
  truncate -s 400M "$img" && resize2fs "$img" > "$tmp/log" 2>&1; then
  whole "ext4, grown" "${ext_judge[@]}"
fi

# --- ext: damage ------------------------------------------------------------------

change () { printf '%s\n' "$@" | debugfs -w -f - "$img" > "$tmp/log" 2>&1; }
zero () { dd if=/dev/zero of="$img" bs=1 seek="$1" count="$2" conv=notrunc status=none; }
make_ext "-t ext4 -b 4096 -G 1 -U 0b1c7f52-3d0e-4c5f-9a61-00000000a11a -E lazy_itable_init=0"
cp --sparse=always "$img" "$tmp/good"
fresh () { cp --sparse=always "$tmp/good" "$img"; }
of_group () { dumpe2fs "$img" 2> /dev/null | sed -n "s/.*$1 at \([0-9]*\) .*/\1/p" | sed -n "$2p"; }

fresh; change "ssv state 3"
finds "error flag" "has marked it as having errors"
fresh; change "ssv error_count 7" "ssv first_error_func ext4_lookup" \
  "ssv first_error_time 20230102030405"
finds "errors counted" "met 7 errors, the first at 2023-01-02T03:04:05Z in ext4_lookup"
fresh; change "feature needs_recovery"
finds "journal" "the journal was not replayed"
fresh; change "ssv state 0"
finds "not unmounted" "it was not unmounted"
fresh; change "ssv last_orphan 12"
finds "orphans" "were being deleted"
fresh; change "set_bg 1 checksum 0x1234"
finds "descriptor" "checksum of the descriptor of group 1 is wrong" "${ext_judge[@]}"
fresh; change "set_bg 1 block_bitmap 99999999" "set_bg 1 checksum calc"
finds "place" "group 1: the block bitmap at block 99999999 lies outside" "${ext_judge[@]}"
fresh; change "set_bg 1 inode_table 76799" "set_bg 1 checksum calc"
finds "table" "group 1: the inode table at block 76799 lies outside" "${ext_judge[@]}"
fresh; change "set_bg 2 free_blocks_count 12" "set_bg 2 checksum calc"
finds "free blocks" "free, the descriptor says 12" "${ext_judge[@]}"
fresh; printf x | dd of="$img" bs=1 seek="$(($(of_group "Block bitmap" 2) * 4096 + 99))" conv=notrunc status=none
finds "block bitmap" "group 1: checksum of the block bitmap is wrong" "${ext_judge[@]}"
fresh; printf x | dd of="$img" bs=1 seek="$(($(of_group "Inode bitmap" 1) * 4096 + 9))" conv=notrunc status=none
finds "inode bitmap" "group 0: checksum of the inode bitmap is wrong" "${ext_judge[@]}"
fresh; zero "$((32768 * 4096))" 1024
finds "copy" "the copy of the superblock in group 1 is none"
fresh; printf x | dd of="$img" bs=1 seek="$((32768 * 4096 + 120))" conv=notrunc status=none
finds "copy" "checksum of the copy of the superblock in group 1 is wrong"
make_ext "-t ext4 -O ^metadata_csum -b 4096"; zero "$((32768 * 4096 + 4))" 4
finds "copy" "the copy of the superblock in group 1 describes another filesystem"
fresh; zero "$(($(debugfs -R "bmap <8> 0" "$img" 2> /dev/null) * 4096))" 4096
finds "journal" "the journal has no superblock" "${ext_judge[@]}"
fresh; change "clri <2>"
finds "root" "the root directory: " "${ext_judge[@]}"
# A root that is a file is damage, not a guest that is not there.
fresh; change "set_inode_field <2> mode 0100644"
finds "root" "the root directory is none" "${ext_judge[@]}"
assert_equal "a file as the root" "$("$XRAYFS" cat "$img" os/family)" unknown
"$XRAYFS" ls "$img" partitions/whole/files > "$tmp/log" 2>&1 && fail "a file was listed"
grep -q 'the root is not a directory' "$tmp/log" || fail "$(cat "$tmp/log")"
fresh; printf x | dd of="$img" bs=1 seek=1144 conv=notrunc status=none
finds "superblock" "it cannot be opened: " "${ext_judge[@]}"
fresh; truncate -s 200M "$img"
finds "cut off" "it has 314572800 bytes, and the last 104857600 of them are missing" "${ext_judge[@]}"

# --- xfs ----------------------------------------------------------------------------

xfs_judge=(xfs_repair -n -f "$img")
make_xfs ()
{
  rm -f "$img"
  truncate -s 400M "$img"
  # shellcheck disable=SC2086 # options
  mkfs.xfs -q -f $1 "$img" > "$tmp/log" 2>&1
}
while read -r options; do
  make_xfs "$options" || fail "mkfs.xfs $options: $(cat "$tmp/log")"
  whole "mkfs.xfs $options" "${xfs_judge[@]}"
done << 'END'
-m crc=1
-m crc=0
-m rmapbt=1,reflink=1
-b size=1024
-s size=4096
END
make_xfs "-m crc=1"
if use noatime; then whole "xfs, used" "${xfs_judge[@]}"; fi
make_xfs "-m crc=0"
if use noatime; then whole "xfs of version 4, used" "${xfs_judge[@]}"; fi
[ -n "$can_mount" ] || note "nothing was mounted: the kernel's traces were not looked at"

make_xfs "-m crc=1"
cp --sparse=always "$img" "$tmp/good"
write () { xfs_db -x -c "$1" -c "write $2" "$img" > "$tmp/log" 2>&1; }
fresh; write "agf 1" "-d freeblks 999999999"
finds "AGF" "group 1: AGF: counts more blocks than there are" "${xfs_judge[@]}"
fresh; write "agf 1" "-d length 5"
finds "AGF" "group 1: AGF: has another length than the group" "${xfs_judge[@]}"
fresh; write "agf 2" "-d seqno 1"
finds "AGF" "group 2: AGF: of another group" "${xfs_judge[@]}"
fresh; write "agf 2" "-c freeblks 7"
finds "AGF" "group 2: AGF: checksum is wrong" "${xfs_judge[@]}"
fresh; write "agi 0" "-d freecount 99999"
finds "AGI" "group 0: AGI: counts more inodes than there can be" "${xfs_judge[@]}"
fresh; write "agi 3" "-d magicnum 1"
finds "AGI" "group 3: AGI: wrong magic" "${xfs_judge[@]}"
fresh; write "agfl 1" "-c magicnum 0"
finds "AGFL" "group 1: AGFL: wrong magic" "${xfs_judge[@]}"
fresh; write "sb 2" "-d dblocks 5"
finds "copy" "group 2: copy of the superblock: describes another filesystem" "${xfs_judge[@]}"
fresh; write "sb 0" "-d fdblocks 5"
finds "sum" "the superblock counts 5 free blocks" "${xfs_judge[@]}"
fresh; write "sb 0" "-d icount 640"
finds "sum" "the superblock counts 640 inodes" "${xfs_judge[@]}"
fresh; truncate -s 150M "$img"
finds "cut off" "and the last 262144000 of them are missing" "${xfs_judge[@]}"

# --- partition tables ----------------------------------------------------------------

part=partition_table
cat > "$tmp/gpt_judge" << 'END'
sgdisk -v "$1" > "$1.log" 2>&1 && grep -q "No problems found" "$1.log" &&
  ! grep -qE "ERROR|Caution" "$1.log"
END
cat > "$tmp/dos_judge" << 'END'
sfdisk --verify "$1" > "$1.log" 2>&1 && grep -q "No errors" "$1.log"
END
gpt_judge=(bash "$tmp/gpt_judge" "$img")
dos_judge=(bash "$tmp/dos_judge" "$img")
table ()
{
  rm -f "$img"
  truncate -s 64M "$img"
  printf '%s\n' "$@" | sfdisk -q --no-reread --no-tell-kernel "$img" > "$tmp/log" 2>&1 ||
    fail "sfdisk: $(cat "$tmp/log")"
}
table "label: gpt" "1M,10M" "11M,10M"
whole gpt "${gpt_judge[@]}"
cp "$img" "$tmp/good"
zero 1024 4
finds "primary entries" "primary GPT is damaged" "${gpt_judge[@]}"
fresh; zero "$((67108864 - 512))" 512
finds "no backup" "backup GPT at the end of the disk is missing" "${gpt_judge[@]}"
fresh; zero "$((67108864 - 512 + 60))" 4
finds "damaged backup" "backup GPT at the end of the disk is damaged" "${gpt_judge[@]}"
fresh; truncate -s 100M "$img"
finds "grown" "the disk ends at LBA" "${gpt_judge[@]}"
fresh; truncate -s 15M "$img"
finds "cut off" "the GPT is that of a disk of" "${gpt_judge[@]}"

table "label: dos" "1M,10M" "11M,10M" "21M,30M,E" "22M,4M" "30M,4M"
whole dos "${dos_judge[@]}"
cp "$img" "$tmp/good"
fresh; printf '\0\60\0\0' | dd of="$img" bs=1 seek="$((446 + 16 + 8))" conv=notrunc status=none
finds overlap "partitions 1 and 2 overlap" "${dos_judge[@]}"
fresh; printf '\0\200' | dd of="$img" bs=1 seek="$((446 + 16 + 12))" conv=notrunc status=none
finds "over the extended one" "partitions 3 and 2 overlap" "${dos_judge[@]}"
fresh; printf '\0\100\0\0' | dd of="$img" bs=1 seek="$((446 + 32 + 12))" conv=notrunc status=none
finds "logical outside" "logical partition 6 lies outside of partition 3" "${dos_judge[@]}"
fresh; truncate -s 40M "$img"
finds "cut off" "partition 3 reaches beyond the end"

exit "$failed"
