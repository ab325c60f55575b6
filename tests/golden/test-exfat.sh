#!/usr/bin/env bash
# exFAT with the options of mkfs.exfat, filled through exfat-fuse: the same
# files come back as through it, and fsck.exfat has the same counts.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.exfat fsck.exfat dump.exfat mount.exfat-fuse losetup python3 umount
[ "$(id -u)" = 0 ] || skip "only root has loop devices"

walk=$(tool fs-walk)
mnt=$tmp/mnt img=$tmp/img
mkdir "$mnt"
loop=''
at_exit "umount '$mnt' 2> /dev/null; [ -z \"\$loop\" ] || losetup -d \"\$loop\""

mount_image ()
{
  loop=$(losetup -f --show "$img" 2> /dev/null) || skip "no loop devices here"
  serve mount.exfat-fuse "$@" "$loop" "$mnt" > "$tmp/log" 2>&1 || skip "exfat-fuse: $(tail -n 1 "$tmp/log")"
}

unmount_image ()
{
  umount "$mnt"
  serve_end
  losetup -d "$loop"
  loop=''
}

cat > "$tmp/fill.py" <<'PY'
import os, random, sys
os.chdir(sys.argv[1])
cluster = int(sys.argv[2])
random.seed(4)
for n in (0, 1, cluster - 1, cluster, cluster + 1, 5 * cluster + 3):
    open("size-%d" % n, "wb").write(random.randbytes(n))
for name in ("n" * 250, "\u00fc" * 127, "\U0001f600" * 60, "sp ace", "UPPER", "lower", "a.b.c"):
    open(name, "wb").write(name.encode())
os.makedirs("EFI/Boot")
open("EFI/Boot/BOOTX64.EFI", "wb").write(random.randbytes(5000))
# Directories and files that take turns are in pieces.
for d in ("one", "two"):
    os.mkdir(d)
for i in range(150):
    for d in ("one", "two"):
        open("%s/an entry with some name %d" % (d, i), "wb").write(b"%d" % i)
files = [open("turns-%d" % i, "wb", buffering=0) for i in range(2)]
for i in range(40):
    for f in files:
        f.write(bytes([i]) * cluster)
open("tail", "wb").truncate(3 * cluster + 7)
os.makedirs("/".join("level%d" % i for i in range(30)))
for i in range(0, 150, 3):
    os.unlink("one/an entry with some name %d" % i)
PY

# As fs-walk prints it, but for what exfat-fuse has otherwise: modes and links.
cat > "$tmp/list.py" <<'PY'
import os, sys, zlib
top = os.fsencode(sys.argv[1])
def esc(b):
    return "".join(chr(c) if 0x20 < c < 0x7f and c != 0x5c else "\\x%02x" % c for c in b)
for d, dirs, files in os.walk(top):
    for n in dirs + files:
        p = os.path.join(d, n)
        st = os.lstat(p)
        line = "%s mtime=%d.%09d atime=%d.%09d" % (esc(p[len(top):]), *divmod(st.st_mtime_ns, 10**9),
                                         *divmod(st.st_atime_ns, 10**9))
        if n in files:
            line += " size=%d crc=%08x" % (st.st_size, zlib.crc32(open(p, "rb").read()))
        print(line)
PY
ours ()
{
  sed -n -E '/^\/ /d; s/^([^ ]*) mode=10.* (size=[0-9]+) .* (mtime=[^ ]*) (atime=[^ ]*) .*( crc=[0-9a-f]*).*/\1 \3 \4 \2\5/p; s/^([^ ]*) mode=04.* (mtime=[^ ]*) (atime=[^ ]*) .*/\1 \2 \3/p' "$1"
}

# check NAME SIZE CLUSTER OPTIONS...
check ()
{
  local name=$1 size=$2 cluster=$3 clusters free
  shift 3
  rm -f "$img"
  truncate -s "$size" "$img"
  mkfs.exfat -c "$cluster" "$@" "$img" > "$tmp/log" 2>&1 || { note "$name: not here: $(tail -n 1 "$tmp/log")"; return; }
  mount_image
  python3 "$tmp/fill.py" "$mnt" "$cluster"
  unmount_image
  mount_image -o ro
  python3 "$tmp/list.py" "$mnt" | sort > "$tmp/wanted"
  unmount_image
  "$walk" -l -t exfat "$img" > "$tmp/listing" || fail "$name: $(grep -a -m 3 error "$tmp/listing")"
  ours "$tmp/listing" | sort > "$tmp/ours"
  cmp -s "$tmp/wanted" "$tmp/ours" || fail "$name: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -300 | head -n 4)"
  fsck.exfat -n "$img" > "$tmp/log" 2>&1 || fail "$name: $(tail -n 2 "$tmp/log")"
  assert_equal "$name: files" "$(grep -c ' mode=10' "$tmp/listing")" \
    "$(sed -n 's/.* files \([0-9]*\)$/\1/p' "$tmp/log")"
  dump.exfat "$img" > "$tmp/log" 2>&1
  clusters=$(sed -n 's/^Total Clusters: *\t*\([0-9]*\)/\1/p' "$tmp/log")
  free=$(sed -n 's/^Free Clusters: *\t*\([0-9]*\)/\1/p' "$tmp/log")
  assert_equal "$name: info" "$("$walk" --info -t exfat "$img" | head -n 3 | tr '\n' ' ')" \
    "size=$((clusters * cluster)) used=$(((clusters - free) * cluster)) free=$((free * cluster)) "
  assert_equal "$name: state" "$("$walk" --info -t exfat "$img" | sed -n 's/^state=//p;s/^features=//p' | tr '\n' ' ')" "clean exfat "
  assert_equal "$name: check" "$("$walk" --check -t exfat "$img")" ok
  note "$name: $(wc -l < "$tmp/ours") files"
}

check 512 20M 512 -L label
check 128k 100M 131072 --pack-bitmap
check 32k 60M 32768 -b 4M

# Names in any case, by the table that the image has.
for path in /efi/boot/bootx64.efi /EFI/Boot/BOOTX64.EFI /eFi/bOOT/Bootx64.Efi; do
  assert_equal "$path" "$("$walk" -t exfat --cat "$path" "$img" | wc -c)" 5000
done
"$walk" -t exfat --cat "/$(printf '\303\234%.0s' $(seq 127))" "$img" | grep -q '^ü' || fail "another case"
got=$("$walk" -t exfat --cat /efi/boot/bootx65.efi "$img") && fail "is there"
[[ $got = error:2:* ]] || fail "$got"
