#!/bin/bash
# xrayfs: VHD and VDI images made by others, as qemu-img has them
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/formats.sh"
requires_corpus

while read -r id sha; do
  if ! image=$(corpus "$id"); then
    note "$id: not there"
    continue
  fi
  same "$image"
  assert_equal "$id: check" "$("$block_cat" --check "$image")" \
    $'errors=0\nnotes=0'
  "$block_cat" "$image" > "$tmp/got.raw"
  [ "$sha" = - ] ||
    assert_equal "$id" "$(sha256sum < "$tmp/got.raw")" "$sha  -"
done << 'END'
dfvfs/ext2.vhd 870be7ae16c1fa8faab05c6eb9205dc9a7ae35c5f552c5cf8a267c0bc6a5cb99
dfvfs/ext2~2.vhd 2adb1dc3b82940ddd88f5f864404af98dc7e801b1403bbe0d6e6f15617088b3f
dfvfs/image~2.vhd c6db12a7db548e193c29420c1b4533e4708b20c5033db5cc29ef075d48316d25
tritium-os/test~2.vdi -
END
