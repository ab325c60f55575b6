#!/bin/bash
# xrayfs: containers made by others read as qemu-img reads them; raw ones are
# their file, filled up to whole sectors
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires_corpus
. "$srcdir/tests/golden/formats.sh"
"$corpus_dir/unpack" "$cache_dir/corpus"

# ID FORMAT SIZE; what is malformed, or lacks a part, has tests of its own.
python3 - "$corpus_dir/manifest.json" > "$tmp/list" << 'END'
import json, sys
for i in json.load(open(sys.argv[1])):
    f = i.get("facts", {})
    if i["kind"] == "image" and "missing" not in i["expectation"] and \
       "format" in f:
        print(i["id"], f["format"], f["virtual_size"])
END
declare -A qemu=([vhd]=vpc)
containers=0 raws=0
while read -r id format size; do
  image=$cache_dir/corpus/$id
  got=$("$XRAYFS" cat "$image" format virtual_size | tr '\n' ' ')
  assert_equal "$id" "$got" "$format $size "
  if [ "$format" = raw ]; then
    raws=$((raws + 1))
    continue
  fi
  # qemu has no map of these: all of it is data to qemu-img map.
  NO_MAP=$(case $format in dmg | vhdx) echo 1 ;; esac) same "$image" "${qemu[$format]:-$format}"
  containers=$((containers + 1))
done < "$tmp/list"
note "$containers containers, $raws raw images"
[ "$containers" -ge 15 ] || fail "only $containers containers"
