#!/usr/bin/env bash
# Real files, thousands of them (LONG=1: 30,000), copied by mtools into FAT32
# and through exfat-fuse into exFAT: the same checksums.  And a file as large
# as FAT can have, in pieces.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.fat mcopy mkfs.exfat mount.exfat-fuse losetup python3

walk=$(tool fs-walk)
img=$tmp/img
export MTOOLS_SKIP_CHECK=1

# What FAT can name, and no two that it takes for one.
python3 - "$tmp/tree" "$([ -n "${LONG:-}" ] && echo 30000 || echo 1500)" << 'PY'
import os, re, shutil, sys
top, count = sys.argv[1], int(sys.argv[2])
good, n = re.compile(r'^[^:*?"<>|\\\x00-\x1f~]*[^:*?"<>|\\\x00-\x1f~. ]$'), 0
os.mkdir(top)
for d, dirs, files in os.walk("/usr/share"):
    dirs[:] = sorted(x for x in dirs if good.match(x))
    to, seen = top + d, {x.lower() for x in dirs}
    for f in sorted(files):
        p = os.path.join(d, f)
        if n < count and good.match(f) and f.lower() not in seen and os.path.isfile(p) \
                and not os.path.islink(p) and os.path.getsize(p) < 200000:
            seen.add(f.lower())
            os.makedirs(to, exist_ok=True)
            shutil.copyfile(p, os.path.join(to, f))
            n += 1
print(n, "files")
PY
contents () { sed -n 's/^\([^ ]*\) mode=10.* size=\([0-9]*\) .* crc=\([0-9a-f]*\).*/\1 \2 \3/p; s/^\([^ ]*\) mode=04.*/\1 dir/p' "$1"; }
"$walk" --posix "$tmp/tree" > "$tmp/listing"
contents "$tmp/listing" > "$tmp/wanted"

# compare NAME TYPE
compare ()
{
  "$walk" -l -t "$2" "$img" > "$tmp/listing" || fail "$1: $(grep -a -m 3 error "$tmp/listing")"
  contents "$tmp/listing" > "$tmp/ours"
  cmp -s "$tmp/wanted" "$tmp/ours" || fail "$1: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -300 | head -n 4)"
  assert_equal "$1: check" "$("$walk" --check -t "$2" "$img")" ok
  note "$1: $(wc -l < "$tmp/ours") files and directories"
}

truncate -s 2G "$img"
mkfs.fat -F 32 -s 8 "$img" > /dev/null
mcopy -i "$img" -s -Q -n "$tmp/tree"/* ::/ > "$tmp/log" 2>&1 || fail "mcopy: $(tail -n 2 "$tmp/log")"
compare "FAT32" vfat

# 4 GiB less one byte, each cluster before the one that follows it.  Sanitizers
# make this slow, and have the chains of the other tests.
large ()
{
  rm -f "$img"
  truncate -s 5G "$img"
  mkfs.fat -F 32 -s 64 "$img" > /dev/null
  printf x | mcopy -i "$img" - ::/large
  python3 - "$img" << 'PY'
import array, struct, sys
SIZE = (1 << 32) - 1
with open(sys.argv[1], "r+b") as f:
    boot = f.read(512)
    reserved, fats, fat = struct.unpack("<14xHB19xI", boot[:40])
    cluster, data = 64 * 512, (reserved + fats * fat) * 512
    n = -(-SIZE // cluster)
    last = n + 9  # clusters 10 to n + 9, the last one first
    words = array.array("I", [0] + list(range(10, last)))
    words[0] = 0x0fffffff
    for i in range(fats):
        f.seek((reserved + i * fat) * 512 + 40)
        f.write(words.tobytes())
    root = data  # the root directory is cluster 2
    f.seek(root)
    slots = bytearray(f.read(cluster))
    at = slots.index(b"LARGE      ")
    struct.pack_into("<H", slots, at + 20, last >> 16)
    struct.pack_into("<HI", slots, at + 26, last & 0xffff, SIZE)
    f.seek(root)
    f.write(slots)
    for i in range(0, n, 10007):
        f.seek(data + (last - i - 2) * cluster)
        f.write(b"cluster %d" % i)
PY
  "$walk" -t vfat "$img" | grep -q "^/large .*size=4294967295 .*data=0-4294967295," || fail "large"
  "$XRAYFS" cat "$img" partitions/whole/files/large | python3 -c '
import sys
n = 0
while True:
    b = sys.stdin.buffer.read(32768)
    if not b:
        break
    want = b"cluster %d" % n if n % 10007 == 0 else b""
    assert b == want + bytes(len(b) - len(want)), n
    n += 1
assert n == 131072, n'
  note "a file of 4 GiB in 131072 pieces"
}
[ -n "${SANITIZED:-}" ] || large

[ "$(id -u)" = 0 ] || skip "only root has loop devices"
mkdir "$tmp/mnt"
at_exit "umount '$tmp/mnt' 2> /dev/null; [ -z \"\$loop\" ] || losetup -d \"\$loop\""
rm -f "$img"
truncate -s 2G "$img"
mkfs.exfat -c 4096 "$img" > /dev/null
loop=$(losetup -f --show "$img" 2> /dev/null) || skip "no loop devices here"
serve mount.exfat-fuse "$loop" "$tmp/mnt" > "$tmp/log" 2>&1 || skip "exfat-fuse: $(tail -n 1 "$tmp/log")"
cp -r "$tmp/tree"/. "$tmp/mnt"
umount "$tmp/mnt"
serve_end
losetup -d "$loop"
loop=''
compare exFAT exfat
