#!/usr/bin/env bash
# XFS with no two free blocks together but pairs: the blocks of directories,
# and values of attributes, lie in pieces.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.xfs xfs_io xfs_db losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

truncate -s 320M "$img"
# Nothing is kept in reserve.
mkfs.xfs -q -f -b size=1k -n size=64k \
  -m reflink=0,finobt=0,rmapbt=0,inobtcount=0 "$img"
mount -o loop "$img" "$mnt" 2> /dev/null || skip "no XFS here"
xfs_io -x -c 'resblks 0' "$mnt" > /dev/null

python3 - "$mnt" << 'EOF'
import os, sys
os.chdir(sys.argv[1])
os.mkdir("pieces")
open("one", "w").close()
open("attributed", "w").close()
free = os.statvfs(".").f_bavail * 1024
fd = os.open("large", os.O_CREAT | os.O_RDWR)
while free > 65536:
    try:
        os.posix_fallocate(fd, 0, free)
        break
    except OSError:
        free -= 1 << 20
fd = os.open("rest", os.O_CREAT | os.O_RDWR)
try:
    for i in range(1 << 20):
        os.posix_fallocate(fd, i * 1024, 1024)
except OSError:
    pass
EOF
commands=()
for ((i = 0; i < 24 << 20; i += 4096)); do commands+=(-c "fpunch $i 2048"); done
xfs_io "${commands[@]}" "$mnt/large"
for i in {1..2000}; do
  ln "$mnt/one" "$mnt/pieces/$i-$(printf '%0200d' 0)"
done
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.v", b"v" * 60000)' \
  "$mnt/attributed"
inode=$(stat -c %i "$mnt/pieces")
umount "$mnt"

pieces=$(xfs_db -r -c "inode $inode" -c bmap "$img" | wc -l)
[ "$pieces" -gt 100 ] || skip "the directory has only $pieces pieces"
mount -o ro,norecovery,loop "$img" "$mnt"
"$walk" --posix "$mnt" > "$tmp/kernel"
umount "$mnt"
"$walk" -l -t xfs "$img" > "$tmp/ours" || fail "$(grep -a -m 3 error "$tmp/ours")"
cmp "$tmp/kernel" "$tmp/ours" || fail "another tree than the kernel's"
note "$pieces pieces"
