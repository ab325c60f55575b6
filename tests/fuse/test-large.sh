#!/usr/bin/env bash
# A directory of 100,000 entries whose names are bytes, and a file of 8 TiB: by the mount and by the command line, under
# files/ and under root/.  Listing takes time that grows with the number of entries and not with its square.
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

# The kernel makes it: mke2fs -d takes minutes for such a directory.
img=$tmp/disk.img
mke2fs -q -F -t ext4 -b 4096 -N 140000 "$img" 120M > "$tmp/log" 2>&1
mkdir "$tmp/kernel" "$tmp/mnt"
at_exit "umount -q '$tmp/mnt'; umount -q '$tmp/kernel'"
mount -o loop "$img" "$tmp/kernel" 2> /dev/null || skip "no loop devices here"
python3 - "$tmp/kernel" << 'END'
import os, sys
top = os.fsencode(sys.argv[1])
for d in b"etc", b"usr/bin", b"many", b"few", b"less":
    os.makedirs(top + b"/" + d)
with open(top + b"/etc/os-release", "w") as f:
    f.write("ID=large\n")
for name in b"\xff\xfe", b"new\nline", b"%2f", b" ", b"x" * 255:
    open(top + b"/many/" + name, "w").close()
for i in range(100000):
    os.mknod(top + b"/many/entry-%d" % i)
for i in range(25000):
    os.mknod(top + b"/few/entry-%d" % i)
for i in range(6000):
    os.mknod(top + b"/less/entry-%d" % i)
# The first and the last bytes are there, nothing between.
f = os.open(top + b"/large", os.O_CREAT | os.O_WRONLY)
os.pwrite(f, b"start", 0)
os.pwrite(f, b"end", (8 << 40) - 3)
END
ls -U "$tmp/kernel/many" | LC_ALL=C sort > "$tmp/wanted"
umount "$tmp/kernel"

# seconds FILE COMMAND...: of the processor
seconds ()
{
  local out=$1
  shift
  python3 - "$out" "$@" << 'END'
import os, resource, subprocess, sys
with open(sys.argv[1], "wb") as f:
    subprocess.run(sys.argv[2:], stdout=f, check=True)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(u.ru_utime + u.ru_stime)
END
}

# linear WHAT MANY FEW [N N]: four times the entries take four times as long, if not always exactly.
linear ()
{
  note "$1: ${4:-100,000} entries: $2 s, ${5:-25,000}: $3 s"
  python3 -c "import sys; sys.exit($2 > 9 * $3 + 0.3)" || fail "$1 is not linear"
}

for view in partitions/whole/files root; do
  many=$(seconds "$tmp/got" "$XRAYFS" ls "$img" $view/many)
  few=$(seconds "$tmp/few" "$XRAYFS" ls "$img" $view/few)
  [ "$(wc -l < "$tmp/few")" = 25000 ] || fail "$view: $(wc -l < "$tmp/few") entries"
  [ "$(wc -l < "$tmp/got")" -ge 100005 ] || fail "$view: $(wc -l < "$tmp/got") entries"
  linear "xrayfs ls $view" "$many" "$few"
  many=$(seconds "$tmp/got" "$XRAYFS" ls -l "$img" $view/many)
  few=$(seconds "$tmp/few" "$XRAYFS" ls -l "$img" $view/few)
  linear "xrayfs ls -l $view" "$many" "$few"
  "$XRAYFS" cat "$img" $view/large 2> /dev/null | head -c 5 | cmp - <(printf start)
done

[ -e /dev/fuse ] || { note "no /dev/fuse: the mount was left out"; exit 0; }
"$XRAYFS" "$img" "$tmp/mnt" || skip "cannot mount here"
wall () { local s; s=$(date +%s%N); "$@"; echo $((($(date +%s%N) - s) / 1000000)) > "$tmp/ms"; }
for view in partitions/whole/files root; do
  wall ls -U "$tmp/mnt/$view/many" | LC_ALL=C sort > "$tmp/got"
  cmp "$tmp/wanted" "$tmp/got" || fail "$view: names"
  # With their attributes.
  wall find "$tmp/mnt/$view/less" -printf '%s %m\n' > "$tmp/few"
  few=$(cat "$tmp/ms")
  wall find "$tmp/mnt/$view/few" -printf '%s %m\n' > "$tmp/got"
  linear "find in $view, mounted, on the clock" "$(cat "$tmp/ms")/1000" "$few/1000" 25,000 6,000
  assert_equal size "$(stat -c %s "$tmp/mnt/$view/large")" 8796093022208
  assert_equal blocks "$(du -k "$tmp/mnt/$view/large" | cut -f 1)" 8
  assert_equal end "$(tail -c 5 "$tmp/mnt/$view/large" | od -An -tx1)" " 00 00 65 6e 64"
  python3 - "$tmp/mnt/$view/large" << 'END'
import os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
end = 8 << 40
assert os.lseek(f, 0, os.SEEK_DATA) == 0
assert os.lseek(f, 0, os.SEEK_HOLE) == 4096
assert os.lseek(f, 4096, os.SEEK_DATA) == end - 4096
assert os.pread(f, 4096, 4 << 40) == bytes(4096)
END
done
