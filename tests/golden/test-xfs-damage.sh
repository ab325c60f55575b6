#!/usr/bin/env bash
# XFS that is damaged, or not understood: an error that names the place, and
# never another answer.
. "${srcdir:-.}/tests/functions.sh"
requires python3

walk=$(tool fs-walk)
img=$tmp/img

change () { python3 "$srcdir/tests/golden/xfs_image.py" "$@"; }
fresh () { change expand "$srcdir/fuzz/corpus/xfs/$1" "$img"; }
patch () { printf '%b' "$2" | dd of="$img" bs=1 seek="$1" conv=notrunc status=none; }
state () { "$walk" --info -t xfs "$img" | sed -n 's/^state=//p'; }

# refused WHAT TEXT
refused ()
{
  local got
  got=$("$walk" -t xfs "$img") && fail "$1: was read"
  [[ $got = *"$2"* ]] || fail "$1: $got"
}

for seed in v5 v5-small; do
  fresh "$seed"
  "$walk" -l -t xfs "$img" > "$tmp/wanted" || fail "$seed"
  count=$(change damage "$img" "$walk") || fail "$seed"
  note "$seed: $count"

  [ "$(change index "$img")" -gt 0 ] || fail "$seed: no index"
  "$walk" -l -t xfs "$img" > "$tmp/ours" || fail "$seed: index: $(grep -a -m 1 error "$tmp/ours")"
  cmp "$tmp/wanted" "$tmp/ours" || fail "$seed: index"
done

fresh v5
change circle "$img"
timeout 20 "$walk" -t xfs "$img" | grep -a -q 'leaves\\x20in\\x20a\\x20circle' || fail "circle"

# Each prefix of an image: errors, and what is shown is as it was.
for seed in v5-small v4; do
  fresh "$seed"
  "$walk" -l -t xfs "$img" | sed 's/ .*//' > "$tmp/names"
  for size in 0 511 512 4096 65536 200000 1000000 4000000 9000000; do
    fresh "$seed"
    truncate -s "$size" "$img"
    timeout 20 "$walk" -l -t xfs "$img" > "$tmp/ours" && [ "$size" -lt 1000000 ] \
      && fail "$seed: $size bytes were enough"
    grep -a -v '^error:' "$tmp/ours" | sed 's/ .*//' | grep -v -x -F -f "$tmp/names" \
      && fail "$seed: $size: a new name"
  done
done

fresh v5
patch 60 '\x01'
refused 'root inode' 'superblock: checksum is wrong'
fresh v5
change incompat "$img" 0x4100
refused 'unknown features' 'unknown incompatible features 0x4100'
fresh v5
assert_equal state "$(state)" clean
change incompat "$img" 0x10
assert_equal needsrepair "$(state)" errors
fresh v4
patch 101 '\x93'
refused 'version 3' 'version 3'
fresh v4
patch 100 '\x94'
refused 'version 1 directories' 'directories of version 1'
fresh v4
patch 126 '\x01'
refused 'unfinished mkfs' 'did not finish'
fresh v4
patch 0 'YFSB'
refused magic 'wrong magic'
for at in 4:block 84:group 88:group 102:sector 104:inode; do
  fresh v4
  patch "${at%:*}" '\xff\xff'
  refused "field ${at%:*}" "impossible"
done
