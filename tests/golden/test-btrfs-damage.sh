#!/usr/bin/env bash
# Btrfs that is damaged, or not understood: the copy that is whole, else an
# error that names the place, and never another answer.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3

walk=$(tool fs-walk)
img=$tmp/img

change () { python3 "$srcdir/tests/golden/btrfs_image.py" "$@"; }
fresh () { change expand "$srcdir/fuzz/corpus/btrfs/$1" "$img"; }
patch () { printf '%b' "$2" | dd of="$img" bs=1 seek="$1" conv=notrunc status=none; }
info () { "$walk" --info -t btrfs "$img" | sed -n "s/^$1=//p"; }

# refused WHAT TEXT
refused ()
{
  local got
  got=$("$walk" -t btrfs "$img") && fail "$1: was read"
  [[ $got = *"$2"* ]] || fail "$1: $got"
}

# Each block, all copies of it: what is shown is as it was, or an error.
for seed in single dup; do
  fresh $seed
  "$walk" -l -t btrfs "$img" > "$tmp/$seed" || fail "$seed"
  assert_equal "$seed: check" "$("$walk" --check -t btrfs "$img")" ok
  count=$(change damage "$img" "$walk") || fail "$seed: $count"
  note "$seed: $count"
done

# The first copy of each, of data too: the other one is read.
fresh dup
first=$(change first "$img")
[ "$first" -gt 10 ] || fail "only $first blocks have two copies"
"$walk" -l -t btrfs "$img" > "$tmp/ours" || fail "first copies: $(grep -a -m 1 error "$tmp/ours")"
cmp "$tmp/dup" "$tmp/ours" || fail "first copies"
"$walk" --check -t btrfs "$img" > "$tmp/check" || fail "first copies: $(cat "$tmp/check")"
grep -q 'checksum is wrong; another copy is whole' "$tmp/check" || fail "check: $(cat "$tmp/check")"

# Both of one: the place is named, and check finds it.
fresh dup
read -r _ one two <<< "$(change places "$img" | grep '^5 ' | tail -n 1)"
patch $((one + 1000)) '\xaa'
patch $((two + 1000)) '\xaa'
"$walk" --check -t btrfs "$img" > "$tmp/check" && fail "check: $(cat "$tmp/check")"
grep -q '^tree 5: block 0x.*checksum is wrong' "$tmp/check" || fail "check: $(cat "$tmp/check")"

# A root that is a file.
fresh single
change root "$img" 100644
"$walk" --check -t btrfs "$img" > "$tmp/check" && fail "check: $(cat "$tmp/check")"
grep -q '^the root is not a directory$' "$tmp/check" || fail "check: $(cat "$tmp/check")"

# Each prefix of an image.
for seed in single dup; do
  sed 's/ .*//' "$tmp/$seed" > "$tmp/names"
  for size in 0 511 65536 69632 200000 1000000 2000000 6000000 9000000; do
    fresh $seed
    truncate -s "$size" "$img"
    timeout 20 "$walk" -l -t btrfs "$img" > "$tmp/ours" && [ "$size" -lt 1000000 ] \
      && fail "$seed: $size bytes were enough"
    grep -a -v '^error:' "$tmp/ours" | sed 's/ .*//' | grep -v -x -F -f "$tmp/names" \
      && fail "$seed: $size: a new name"
    ! "$walk" --check -t btrfs "$img" | grep -q -x ok || fail "$seed: $size: check"
  done
done

# The superblock.
fresh single
patch 66000 '\x01'
refused superblock 'superblock: checksum is wrong'
for feature in 1000:ZONED 2000:EXTENT_TREE_V2 4000:RAID_STRIPE_TREE; do
  fresh single
  change superblock "$img" 0xbc "$(printf '%08x' "0x${feature%:*}" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')"
  refused "${feature#*:}" "feature ${feature#*:} is not read"
done
fresh single
change superblock "$img" 0xbc 00000080
refused 'unknown feature' 'unknown incompatible features 0x80000000'
for field in 90:'sector size' 94:'node size' a0:'size of the system chunk array' c6:'level'; do
  fresh single
  change superblock "$img" "0x${field%%:*}" ffffff
  refused "field ${field%%:*}" "impossible ${field#*:}"
done
fresh single
assert_equal state "$(info state)" clean
change superblock "$img" 0x38 04
assert_equal 'error flag' "$(info state)" errors
"$walk" --check -t btrfs "$img" | grep -q 'says that it has errors' || fail "check: error flag"
fresh single
change superblock "$img" 0x60 0010
assert_equal 'log tree' "$(info state)" needs-recovery
