#!/usr/bin/env bash
# Encrypted volumes and swap: what their headers say, as cryptsetup and blkid
# have it, and that nothing behind them is taken for absent.
. "${srcdir:-.}/tests/functions.sh"
requires cryptsetup mkswap blkid python3 sfdisk

img=$tmp/disk.img
get () { "$XRAYFS" cat "$img" "partitions/1/$1"; }

# disk FILE: a disk with it as its only partition.
disk ()
{
  rm -f "$img"
  truncate -s $(($(stat -c %s "$1") + (2 << 20))) "$img"
  echo "1M,$(($(stat -c %s "$1") / 512))" | sed 's/1M/2048/' |
    sfdisk -q --no-reread --no-tell-kernel -X dos "$img"
  dd if="$1" of="$img" bs=1M seek=1 conv=notrunc,sparse status=none
  assert_equal filesystem "$(get filesystem)" "$(blkid -p -o value -s TYPE "$1")"
  assert_equal version "$(get fs_version)" "$(blkid -p -o value -s VERSION "$1")"
  assert_equal uuid "$(get fs_uuid)" "$(blkid -p -o value -s UUID "$1")"
}

# hidden WORDS: named, and a guest behind it is unknown for that reason.
hidden ()
{
  local path why="partition 1: encrypted with $1: what it holds cannot be seen"
  for path in os/family has_virtio cloud_init partitions/1/role partitions/1/fs_used; do
    assert_equal "$path" "$("$XRAYFS" cat "$img" "$path")" unknown
  done
  for path in os/family partitions/1/role partitions/1/fs_used; do
    "$XRAYFS" cat "$img" "evidence/$path" | grep -qF "$why" ||
      fail "$path: $("$XRAYFS" cat "$img" "evidence/$path"), not '$why'"
  done
  assert_equal verdict "$("$XRAYFS" cat "$img" import/tencent-cvm-2019/verdict)" unknown
}

luks ()
{
  local type=$1 cipher=$2 bits=$3 hash=$4
  shift 4
  rm -f "$tmp/luks"
  truncate -s 20M "$tmp/luks"
  if ! printf x | cryptsetup -q luksFormat --type "$type" -c "$cipher" -s "$bits" -h "$hash" \
    --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$@" "$tmp/luks" - 2> "$tmp/log"; then
    note "$type $cipher: not here: $(tail -n 1 "$tmp/log")"
    return
  fi
  cryptsetup luksDump "$tmp/luks" > "$tmp/dump" 2> /dev/null
  disk "$tmp/luks"
  hidden "${type^^} ($cipher, $bits-bit key)"
  [[ "$(get fs_features) " == "$cipher $bits-bit $hash "* ]] || fail "$type: features: $(get fs_features)"
  assert_equal "$type: state" "$(get fs_state)" clean
  if [ "$type" = luks2 ]; then
    assert_equal "$type: size" "$(get fs_size)" \
      $(((20 << 20) - $(sed -n 's/^\toffset: \([0-9]*\) .*/\1/p' "$tmp/dump")))
    grep -q "^  0: luks2" "$tmp/dump" && grep -q "Cipher: *$cipher" "$tmp/dump" || fail "cryptsetup differs"
  else
    assert_equal "$type: size" "$(get fs_size)" \
      $(((20 << 20) - 512 * $(sed -n 's/^Payload offset:[^0-9]*//p' "$tmp/dump")))
  fi
}
luks luks1 aes-xts-plain64 512 sha256
luks luks1 aes-cbc-essiv:sha256 256 sha1
luks luks2 aes-xts-plain64 512 sha256 --label "a label"
luks luks2 aes-xts-plain64 256 sha512 --sector-size 4096
# The second header counts where the first is gone; libblkid finds it too.
printf 'XXXXXX' | dd of="$img" bs=1 seek=1M conv=notrunc status=none
hidden "LUKS2 (aes-xts-plain64, 256-bit key)"
# JSON that cannot be read: still encrypted.
for place in $(((1 << 20) + (16 << 10) + 4096)) $(((1 << 20) + 4096)); do
  printf 'XXXXXX' | dd of="$img" bs=1 seek="$place" conv=notrunc status=none
done
assert_equal "damaged LUKS2" "$("$XRAYFS" cat "$img" os/family)" unknown

# The word that cryptsetup prints behind LABEL.
dumped () { sed -n "s/^$1:[ \t]*//p" "$tmp/dump" | head -n 1; }
for method in 0x8000 0x8001 0x8002 0x8003 0x8004 0x8005; do
  for kind in "" to-go; do
    # shellcheck disable=SC2086
    python3 "$srcdir/tests/golden/bitlocker.py" $((2 << 20)) $method $kind > "$tmp/bitlk"
    disk "$tmp/bitlk"
    cryptsetup bitlkDump "$tmp/bitlk" > "$tmp/dump" 2>&1 || fail "bitlkDump: $(cat "$tmp/dump")"
    hidden "BitLocker ($(dumped "Cipher name")-$(dumped "Cipher mode"), $(dumped "Cipher key" | tr -dc 0-9)-bit key)"
    assert_equal "size" "$(get fs_size)" "$(dumped "Volume size" | tr -dc 0-9)"
    [[ $(get fs_features) == *"protector=recovery-password protector=password" ]] || fail "$(get fs_features)"
  done
done

# Swap: its pages, and a suspended system in it.
truncate -s 4M "$tmp/swap"
for page in 4096 16384 65536; do
  mkswap -q -p $page -L "swap area" "$tmp/swap" 2> /dev/null
  disk "$tmp/swap"
  assert_equal "swap: label" "$(get label)" "swap area"
  assert_equal "swap: size" "$(get fs_size)" $(((4 << 20) - page))
  assert_equal "swap: state" "$(get fs_state)$(get fs_used)$(get role)" cleanswap
  assert_equal "swap: family" "$("$XRAYFS" cat "$img" os/family)" none
done
mkswap -q "$tmp/swap" 2> /dev/null
printf 'S1SUSPEND\0' | dd of="$tmp/swap" bs=1 seek=4086 conv=notrunc status=none
disk "$tmp/swap"
assert_equal "suspended" "$(get filesystem) $(get fs_state) $(get role)" "swsuspend hibernated swap"
