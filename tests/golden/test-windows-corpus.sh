#!/bin/bash
# xrayfs: Windows guests of the corpus, against virt-inspector's facts
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires jq
requires_corpus
corpus phony-guests/win > /dev/null

jq -r '.. | objects | select(.facts.os?[0].name? == "windows")
  | .id as $id | .facts.os[0] | [$id, .product_name, .product_variant,
    "\(.major_version).\(.minor_version)", .arch, .hostname,
    .windows_systemroot, .windows_current_control_set] | @tsv' \
  "$corpus_dir/manifest.json" > "$tmp/list"
[ -s "$tmp/list" ] || fail "no Windows in the manifest"

while IFS=$'\t' read -r id name variant version arch host dir set; do
  "$XRAYFS" report --format json "$cache_dir/corpus/$id" > "$tmp/json"
  got=$(jq -r '.os | [.name, .variant, .version, .arch, .hostname,
    .system_root, .control_set, .family] | join("|")' "$tmp/json")
  assert_equal "$id" "$got" \
    "$name|$variant|$version|$arch|$host|$dir|$set|windows"
  jq -e '.os.firmware as $f | .import["tencent-cvm-2019"]
    | .verdict == "fail" and ($f | IN("none", "uefi", "unknown"))' \
    "$tmp/json" > /dev/null || fail "$id: verdict or firmware"
  note "$id: firmware $(jq -r .os.firmware "$tmp/json")"
done < "$tmp/list"
