#!/usr/bin/env bash
# A Btrfs log that waits to be replayed (what was fsynced since the last
# commit): the state says so, as dump-super does, and the contents are those
# that the kernel shows without replaying.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.btrfs btrfs losetup mount python3
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null"

# state NAME IMAGE WANTED
state ()
{
  local log
  log=$(btrfs inspect-internal dump-super "$2" | sed -n 's|^log_root\s\s*||p')
  assert_equal "$1" "$("$walk" --info -t btrfs "$2" | sed -n 's/^state=//p')" "$3"
  if [ "$log" = 0 ]; then log=clean; else log=needs-recovery; fi
  assert_equal "$1: dump-super" "$log" "$3"
}

truncate -s 256M "$img"
mkfs.btrfs -q "$img" > "$tmp/log" 2>&1 || fail "mkfs.btrfs"
state new "$img" clean
mount -o loop,commit=300 "$img" "$mnt" 2> /dev/null || skip "no Btrfs here"
for i in {1..50}; do echo "$i" > "$mnt/file-$i"; done
sync -f "$mnt"
python3 - "$mnt" << 'EOF'
import os, sys
os.chdir(sys.argv[1])
for name in ("file-3", "new"):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"fsynced" * 1000)
    os.fsync(fd)
EOF
cp --sparse=always "$img" "$tmp/copy"
umount "$mnt"
state unmounted "$img" clean
state copy "$tmp/copy" needs-recovery

cp --sparse=always "$tmp/copy" "$tmp/ro"
mount -o ro,loop,rescue=nologreplay "$tmp/ro" "$mnt" 2> /dev/null ||
  { note "left out: no rescue=nologreplay here"; exit 0; }
"$walk" --posix "$mnt" > "$tmp/kernel"
umount "$mnt"
"$walk" -l -t btrfs "$tmp/copy" > "$tmp/ours" || fail "copy: $(grep -a -m 3 error "$tmp/ours")"
cmp "$tmp/kernel" "$tmp/ours" || fail "another tree than the kernel's"
! grep -q '^/new ' "$tmp/ours" || fail "the log was empty"

mount -o loop "$tmp/copy" "$mnt"
[ -e "$mnt/new" ] || fail "nothing was recovered"
umount "$mnt"
state recovered "$tmp/copy" clean
