#!/usr/bin/env bash
# md arrays: members written by hand (mdadm --examine judges them) of each
# version and level, degraded and stale ones, and what lies on them.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mdadm sfdisk mke2fs python3

md=$srcdir/tests/golden/md.py
img=$tmp/disk.img
part=$((8 << 20))

# disk MEMBER...: a disk with these members as partitions of 8 MiB.
disk ()
{
  local i=0 m
  rm -f "$img"
  truncate -s $((part * $# + (4 << 20))) "$img"
  for m; do echo "size=$((part / 512))"; done |
    sfdisk -q --no-reread --no-tell-kernel -X gpt "$img"
  for m; do
    dd if="$m" of="$img" bs=1M seek=$((1 + 8 * i)) conv=notrunc,sparse status=none
    i=$((i + 1))
  done
}

# member OUT MINOR KEY=VALUE...
member ()
{
  local out=$1 swap=()
  shift
  python3 "$md" $part "$@" > "$out"
  [[ " $* " != *" big=1 "* ]] || swap=(--metadata=0.swap)
  mdadm --examine "${swap[@]}" "$out" > "$tmp/examine" 2>&1 || fail "mdadm: $(cat "$tmp/examine")"
  grep -q "Checksum : .*- correct" "$tmp/examine" || fail "mdadm: $(cat "$tmp/examine")"
}

raw () { "$XRAYFS" cat "$img" "volumes/$1/raw" 2> "$tmp/log"; }

# data OUT BYTES: no place looks like another.
data () { seq -f %015.0f $(($2 / 16)) > "$1"; }

# The filesystem of a mirror, for each version; the second member alone is in
# sync, has more events, or is the only one.
truncate -s 6M "$tmp/fs"
mke2fs -q -t ext4 -L mirrored -d "$srcdir/src/fs" "$tmp/fs"
for minor in 0 1 2 90 90.big; do
  version=1.$minor name=md-array big=0
  case $minor in
    90*) version=0.90.0 name=md-30313233:34353637:38396162:63646566 ;;
  esac
  [ "$minor" = 90.big ] && big=1
  common=(${minor%.*} level=1 disks=2 name=host:array data=$((1 << 20)) size=$((6 << 20)) big=$big)
  member "$tmp/0" "${common[@]}" role=0 events=20
  member "$tmp/1" "${common[@]}" role=1 events=22 contents="$tmp/fs"
  disk "$tmp/0" "$tmp/1"
  assert_equal "$minor: volumes" "$("$XRAYFS" ls "$img" volumes)" "$name"
  raw $name | cmp - "$tmp/fs" || fail "$minor: not the member that is in sync"
  assert_equal "$minor: filesystem" "$("$XRAYFS" cat "$img" volumes/$name/{filesystem,label,role} | tr '\n' ' ')" "ext4 mirrored data "
  assert_equal "$minor: member" "$("$XRAYFS" cat "$img" partitions/2/{filesystem,fs_version,fs_size,fs_used} | tr '\n' ' ')" \
    "linux_raid_member $version $((6 << 20))  "
  "$XRAYFS" ls -lR "$img" "volumes/$name/files" | sed "s|volumes/$name/||" > "$tmp/ours"
  "$XRAYFS" ls -lR "$tmp/fs" partitions/whole/files | sed 's|partitions/whole/||' > "$tmp/wanted"
  cmp "$tmp/ours" "$tmp/wanted" || fail "$minor: its files differ"
  disk "$tmp/1" # degraded
  raw $name | cmp - "$tmp/fs" || fail "$minor: degraded"
  "$XRAYFS" cat "$img" volumes/$name/size problems | grep -q "device 0 is not in the image" ||
    fail "$minor: problems do not say that it is degraded"
done

# Spare, faulty, recovering: none can be read.
for wrong in device=2,roles=0,1,65535 device=1,roles=0,65534 recovery=2048; do
  # shellcheck disable=SC2046
  member "$tmp/1" 2 level=1 disks=2 role=1 name=array data=$((1 << 20)) size=$((6 << 20)) \
    contents="$tmp/fs" $(sed 's/,roles/ roles/' <<< "$wrong")
  disk "$tmp/1"
  "$XRAYFS" ls "$img" volumes > "$tmp/ours" 2> "$tmp/log" && [ -s "$tmp/ours" ] &&
    fail "$wrong: $(cat "$tmp/ours")"
  grep -q "no device in the image is in sync" "$tmp/log" || fail "$wrong: $(cat "$tmp/log")"
  assert_equal "$wrong: family" "$("$XRAYFS" cat "$img" os/family)" unknown
done

# Striped levels, from the kernel's formulas written once more: chunk C of the
# data lies in row C / k; which device has it depends on the layout.
cat > "$tmp/stripe.py" << 'END'
import sys
level, layout, n, chunk, size, source, *out = sys.argv[1:]
layout, n, chunk, size = int(layout), int(n), int(chunk), int(size)
body = open(source, "rb").read()
legs = [bytearray(size) for _ in range(n)]
rows = size // chunk
def put(leg, row, c):
    legs[leg][row * chunk:(row + 1) * chunk] = body[c * chunk:(c + 1) * chunk]
for row in range(rows):
    if level == "0":
        for i in range(n): put(i, row, row * n + i)
    elif level == "10":  # near: copies side by side
        for i in range(n): put(i, row, (row * n + i) // layout)
    else:
        parities = 2 if level == "6" else 1
        p = {0: n - 1 - row % n, 1: row % n, 2: n - 1 - row % n, 3: row % n, 4: 0, 5: n - parities,
             8: row % n, 9: n - 1 - (row + 1) % n, 10: n - 1 - row % n}[layout]
        q = {10: (p - 1) % n}.get(layout, (p + 1) % n) if parities == 2 else p
        free = [i for i in range(n) if i not in (p, q)]
        if layout in (2, 3, 10):  # go on behind the parity
            behind = p if layout == 10 else q
            free = [i for i in [(behind + 1 + k) % n for k in range(n)] if i not in (p, q)]
        for k, leg in enumerate(free): put(leg, row, row * (n - parities) + k)
for leg, path in zip(legs, out): open(path, "wb").write(leg)
END
# Enough rows that every layout goes round.
size=$((1 << 20)) chunk=16384
striped ()
{
  local level=$1 layout=$2 n=$3 data=$4 i parts=()
  data "$tmp/data" $((data * size))
  for ((i = 0; i < n; i++)); do parts+=("$tmp/leg$i"); done
  python3 "$tmp/stripe.py" "$level" "$layout" "$n" $chunk $size "$tmp/data" "${parts[@]}"
  for ((i = 0; i < n; i++)); do
    member "$tmp/$i" 2 "level=$level" "disks=$n" role=$i name=h:s data=$((part - size)) size=$size \
      chunk=$chunk layout="$([ "$level" = 10 ] && echo $((0x100 + layout)) || echo "$layout")" contents="$tmp/leg$i"
    parts[i]=$tmp/$i
  done
  disk "${parts[@]}"
  raw md-s | cmp - "$tmp/data" || fail "level $level, layout $layout: $(cat "$tmp/log")"
  # Without the first: raid10 has all, and so has what keeps its parity there;
  # the others say what is missing.
  disk "${parts[@]:1}"
  if [ "$level" = 10 ] || [ "$layout" = 4 ]; then
    raw md-s | cmp - "$tmp/data" || fail "degraded level $level"
  else
    raw md-s > "$tmp/ours" && fail "level $level, layout $layout: degraded, and read"
    grep -q "is not in the image" "$tmp/log" || fail "level $level: $(cat "$tmp/log")"
  fi
}
striped 0 0 3 3
striped 10 2 4 2
for layout in 0 1 2 3 4 5; do striped 5 $layout 3 2; done
for layout in 0 1 2 3 4 5 8 9 10; do striped 6 $layout 5 3; done

# Two arrays of one name: the second has its UUID.
for i in 0 1; do
  member "$tmp/$i" 2 level=1 disks=1 role=0 name=h:same data=$((1 << 20)) size=$((6 << 20)) uuid=abcdefghijklmno$i
done
disk "$tmp/0" "$tmp/1"
assert_equal "two of one name" "$("$XRAYFS" ls "$img" volumes | tr '\n' ' ')" \
  "md-61626364:65666768:696a6b6c:6d6e6f31 md-same "

# A superblock with a wrong checksum is damage, not an absent array.
printf '\377' | dd of="$img" bs=1 seek=$(((1 << 20) + 4096 + 80)) conv=notrunc status=none
printf '\377' | dd of="$img" bs=1 seek=$(((9 << 20) + 4096 + 80)) conv=notrunc status=none
"$XRAYFS" cat "$img" os/family > "$tmp/ours"
assert_equal "damage" "$(cat "$tmp/ours")" unknown
