#!/usr/bin/env bash
# Btrfs on several devices, with each profile: the same listing as through
# the kernel; without one of them, what lies on the others.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mkfs.btrfs btrfs losetup mount sfdisk python3
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt
mkdir "$mnt"
at_exit "umount '$mnt' 2> /dev/null; losetup -d \"\${loops[@]}\" 2> /dev/null"
loops=()

# attach N: the devices
attach ()
{
  local i
  loops=()
  for ((i = 1; i <= $1; i++)); do
    loops+=("$(losetup -f --show "$tmp/dev$i" 2> /dev/null)") || skip "no loop devices here"
  done
}

detach ()
{
  losetup -d "${loops[@]}"
  loops=()
}

fill ()
{
  python3 - "$mnt" << 'EOF'
import fcntl, os, random, struct, sys
os.chdir(sys.argv[1])
random.seed(4)
fd = os.open("nocow", os.O_CREAT | os.O_RDWR)
fcntl.ioctl(fd, 0x40086602, struct.pack("l", 0x00800000))
os.write(fd, random.randbytes(300000))
for i, size in enumerate((10, 5000, 70000, 65536, 1000003, 3 << 20)):
    with open("file-%d" % i, "wb") as f:
        f.write(random.randbytes(size))
for i in range(300):
    open("name-%d" % i, "w").write("x" * i)
for name in ("compressed", "compressed-too"):
    open(name, "w").close()
    os.setxattr(name, "btrfs.compression", b"zlib")
    open(name, "w").write("text " * 100000)
EOF
}

numberless () { sed 's/ ino=[0-9]*//' "$1"; }

# Without device N: "all" or errors that name it, of what lies there alone.
without ()
{
  local n=$1 last=$2 wanted=$3 i others=() image=$tmp/dev1
  [ "$n" != 1 ] || image=$tmp/dev2
  for ((i = 1; i <= last; i++)); do
    [ "$i" = "$n" ] || others+=(--member "$tmp/dev$i")
  done
  "$walk" "${others[@]}" -t btrfs "$image" > "$tmp/ours" || true
  if [ "$wanted" = all ]; then
    cmp <(numberless "$tmp/kernel") <(numberless "$tmp/ours") || fail "$name without $n"
  else
    grep -q "device $n of $last ([-0-9a-f]*) is missing" <(sed 's/\\x20/ /g' "$tmp/ours") ||
      fail "$name without $n: $(grep -a -m 1 error "$tmp/ours")"
    # What can be read is right.
    grep -v error "$tmp/ours" | grep -v -x -F -f "$tmp/kernel" && fail "$name without $n: other files"
  fi
  "$walk" "${others[@]}" --check -t btrfs "$image" > "$tmp/check" || true
  grep -q "device $n of $last .* is missing" "$tmp/check" || fail "$name without $n: check: $(cat "$tmp/check")"
}

# check NAME DEVICES WITHOUT OPTIONS...
check ()
{
  local name=$1 n=$2 wanted=$3 i options=ro members=()
  shift 3
  for ((i = 1; i <= n; i++)); do
    rm -f "$tmp/dev$i"
    truncate -s 260M "$tmp/dev$i"
    [ "$i" = 1 ] || members+=(--member "$tmp/dev$i")
  done
  attach "$n"
  for ((i = 1; i < n; i++)); do options+=,device=${loops[i]}; done
  if ! mkfs.btrfs -q -f "$@" "${loops[@]}" > "$tmp/log" 2>&1 ||
    ! mount -o "${options#ro,}" "${loops[0]}" "$mnt" 2> "$tmp/log"; then
    detach
    note "$name: not here: $(head -n 1 "$tmp/log")"
    return 0
  fi
  fill
  umount "$mnt"
  mount -o "$options" "${loops[0]}" "$mnt"
  "$walk" --posix "$mnt" > "$tmp/kernel"
  umount "$mnt"
  detach
  "$walk" -l "${members[@]}" -t btrfs "$tmp/dev1" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp "$tmp/kernel" "$tmp/ours" || fail "$name"
  assert_equal "$name: check" "$("$walk" "${members[@]}" --check -t btrfs "$tmp/dev1")" ok
  without "$n" "$n" "$wanted"
  [ "$wanted" != all ] || without 1 "$n" all
  note "$name: $(wc -l < "$tmp/ours") files on $n devices"
  tested=yes
}

tested=''
check single 2 some -d single -m raid1
check raid0 2 some -d raid0 -m raid1
check raid1 2 all -d raid1 -m raid1
check raid10 4 all -d raid10 -m raid10
check raid1c3 3 all -d raid1c3 -m raid1c3
check raid1c4 4 all -d raid1c4 -m raid1c4
check raid5 3 some -d raid5 -m raid1
check raid6 4 some -d raid6 -m raid1c3
[ "$tested" ] || skip "no Btrfs here"

# A copy that is older, of a device that was away for a while.
check raid1 2 all -d raid1 -m raid1
cp --sparse=always "$tmp/dev2" "$tmp/old"
attach 2
mount -o "device=${loops[1]}" "${loops[0]}" "$mnt"
echo changed > "$mnt/name-5"
head -c 200000 /dev/urandom | dd of="$mnt/nocow" conv=notrunc status=none
rm "$mnt/name-6"
umount "$mnt"
detach
"$walk" -t btrfs --member "$tmp/dev2" "$tmp/dev1" > "$tmp/wanted"
mv "$tmp/old" "$tmp/dev2"
"$walk" -t btrfs --member "$tmp/dev2" "$tmp/dev1" > "$tmp/ours" || fail "old member"
cmp "$tmp/wanted" "$tmp/ours" || fail "old member"
"$walk" -t btrfs --member "$tmp/dev1" "$tmp/dev2" > "$tmp/ours" || fail "from the old one"
cmp "$tmp/wanted" "$tmp/ours" || fail "from the old one"
"$walk" --check -t btrfs --member "$tmp/dev2" "$tmp/dev1" > "$tmp/check" || fail "old member: $(cat "$tmp/check")"
grep -q 'is of generation' "$tmp/check" || fail "old member: check"

# Partitions of one image.
truncate -s 530M "$tmp/disk"
sfdisk -q --no-reread --no-tell-kernel "$tmp/disk" << 'END'
label: dos
1M,260M,83
261M,260M,83
END
check raid0 2 some -d raid0 -m raid1
dd if="$tmp/dev1" of="$tmp/disk" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$tmp/dev2" of="$tmp/disk" bs=1M seek=261 conv=notrunc,sparse status=none
for n in 1 2; do
  crc=$("$XRAYFS" cat "$tmp/disk" "partitions/$n/files/file-4" | md5sum)
  assert_equal "partition $n" "$crc" "$("$walk" --cat /file-4 -t btrfs --member "$tmp/dev2" "$tmp/dev1" | md5sum)"
done
