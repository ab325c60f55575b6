#!/usr/bin/env bash
# Logical volumes over two physical volumes in one disk: names, sizes and
# segments as the tools of LVM report them, and the contents of each.
. "${srcdir:-.}/tests/functions.sh"
requires lvm losetup sfdisk mke2fs python3 jq
[ "$(id -u)" = 0 ] || skip "only root has loop devices"
losetup -f > /dev/null 2>&1 || skip "there are no loop devices"
. "$srcdir/tests/golden/lvm.sh"

img=$tmp/disk.img
truncate -s 160M "$img"
sfdisk -q --no-reread --no-tell-kernel "$img" << 'END'
label: gpt
1M,70M,E6D6D379-F507-44C2-A23C-238F2A3DF928
,70M,E6D6D379-F507-44C2-A23C-238F2A3DF928
END
attach "$img"
new=(-an -Zn -Wn -y -q -q)
lvm2 pvcreate -q -q "${devices[@]}"
lvm2 vgcreate -q -q -s 1M v-g "${devices[@]}"
lvm2 lvcreate "${new[@]}" -n root -L 12M v-g "${devices[0]}"
lvm2 lvcreate "${new[@]}" -n between -L 1M v-g "${devices[0]}"
lvm2 lvextend -q -q -L 24M v-g/root "${devices[0]}" # a second segment
lvm2 lvextend -q -q -L 40M v-g/root "${devices[1]}" # and a third
lvm2 lvcreate "${new[@]}" -n str-iped -i 2 -I 16k -L 32M v-g
lvm2 lvcreate "${new[@]}" -n r0 --type raid0 -i 2 -I 64k -L 4M v-g
lvm2 lvcreate "${new[@]}" -n zero --type zero -L 4M v-g
lvm2 lvcreate "${new[@]}" -n error --type error -L 4M v-g
report

# A volume's size, and the filesystem that fills it.
declare -A content=([root]=40M [str-iped]=32M [between]=1M [r0]=4M)
for lv in "${!content[@]}"; do
  truncate -s "${content[$lv]}" "$tmp/$lv"
  # No place looks like another.
  if [ "$lv" = between ]; then
    seq -f %015.0f 65536 > "$tmp/$lv"
  else
    rm -rf "$tmp/tree"
    cp -r "$srcdir/src/fs" "$tmp/tree"
    seq "$(($(stat -c %s "$tmp/$lv") / 16))" > "$tmp/tree/large"
    mke2fs -q -t ext4 -L "$lv" -d "$tmp/tree" "$tmp/$lv"
  fi
  # The legs of raid0 are volumes of their own.
  if [ "$lv" = r0 ]; then
    for leg in 0 1; do
      python3 -c 'import sys
data = open(sys.argv[1], "rb").read(); leg = int(sys.argv[2]); n = 65536
open(sys.argv[3], "wb").write(b"".join(data[i:i+n] for i in range(leg * n, len(data), 2 * n)))' \
        "$tmp/$lv" $leg "$tmp/leg"
      python3 "$srcdir/tests/golden/lvm.py" write "$tmp/report" "r0_rimage_$leg" "$tmp/leg"
    done
  else
    python3 "$srcdir/tests/golden/lvm.py" write "$tmp/report" "$lv" "$tmp/$lv"
  fi
done

assert_equal names "$("$XRAYFS" ls "$img" volumes | tr '\n' ' ')" \
  "v--g-between v--g-error v--g-r0 v--g-root v--g-str--iped v--g-zero "
for lv in "${!content[@]}"; do
  dir=volumes/v--g-${lv//-/--}
  "$XRAYFS" cat "$img" "$dir/raw" > "$tmp/raw" || fail "$lv: it cannot be read"
  cmp "$tmp/raw" "$tmp/$lv" || fail "$lv: its bytes differ"
  assert_equal "$lv: size" "$("$XRAYFS" cat "$img" "$dir/size")" \
    "$(jq -r ".report[0].lv[] | select(.lv_name == \"$lv\").lv_size" "$tmp/report")"
  [ "$lv" = between ] && continue
  assert_equal "$lv: filesystem" "$("$XRAYFS" cat "$img" "$dir/filesystem")" ext4
  assert_equal "$lv: label" "$("$XRAYFS" cat "$img" "$dir/label")" "$lv"
  "$XRAYFS" ls -lR "$img" "$dir/files" | sed "s|$dir/||" > "$tmp/ours"
  "$XRAYFS" ls -lR "$tmp/$lv" partitions/whole/files | sed 's|partitions/whole/||' > "$tmp/wanted"
  cmp "$tmp/ours" "$tmp/wanted" || fail "$lv: its files differ"
done
"$XRAYFS" cat "$img" volumes/v--g-zero/raw | cmp -n $((4 << 20)) - /dev/zero
"$XRAYFS" cat "$img" volumes/v--g-error/raw > "$tmp/raw" 2> "$tmp/log" &&
  fail "a segment of errors can be read"
grep -q "gives errors" "$tmp/log" || fail "no reason: $(cat "$tmp/log")"

# Segments: where lvm says that they lie.
python3 - "$tmp/report" "${devices[@]}" > "$tmp/wanted" << 'END'
import json, sys
r = json.load(open(sys.argv[1]))["report"][0]
names = {d: f"partitions/{i + 1}" for i, d in enumerate(sys.argv[2:])}
starts = {p["pv_name"]: int(p["pe_start"]) for p in r["pv"]}
size = int(r["vg"][0]["vg_extent_size"])
for s in sorted(r["seg"], key=lambda s: (s["lv_name"], int(s["seg_start"]))):
    if s["lv_name"][0] == "[":
        continue
    where = []
    for p in s["seg_pe_ranges"].split():
        d, _, e = p.rpartition(":")
        first = int(e.split("-")[0]) * size
        where.append(f"{names[d]}:{starts[d] + first}" if d in names else f"[{d}]:{first}")
    stripe = s["stripe_size"] if len(where) > 1 else 0
    print(" ".join([s["seg_start"], s["seg_size"], s["segtype"], str(stripe), *where]))
END
for lv in between error r0 root str--iped zero; do
  "$XRAYFS" cat "$img" "volumes/v--g-$lv/segments"
done > "$tmp/ours"
diff "$tmp/wanted" "$tmp/ours" || fail "segments differ"

# The physical volumes.
for i in 0 1; do
  assert_equal "physical volume $i" \
    "$(for f in fs_size fs_used fs_free; do "$XRAYFS" cat "$img" partitions/$((i + 1))/$f; done | tr '\n' ' ')" \
    "$(jq -r ".report[0].pv[] | select(.pv_name == \"${devices[i]}\") | .pv_size, .pv_used, .pv_free" "$tmp/report" | tr '\n' ' ')"
  assert_equal "role $i" "$("$XRAYFS" cat "$img" partitions/$((i + 1))/role)" lvm
done

# One physical volume alone: what lies on the other is EIO, and said.
truncate -s 160M "$tmp/half.img"
dd if="$img" of="$tmp/half.img" bs=1M count=71 conv=notrunc,sparse status=none
"$XRAYFS" cat "$tmp/half.img" volumes/v--g-between/raw | cmp - "$tmp/between" || fail "half: between"
"$XRAYFS" cat "$tmp/half.img" volumes/v--g-str--iped/raw > /dev/null 2> "$tmp/log" &&
  fail "half a striped volume can be read"
grep -q "is not in the image" "$tmp/log" || fail "no reason: $(cat "$tmp/log")"
"$XRAYFS" cat "$tmp/half.img" volumes/v--g-root/raw 2> /dev/null |
  cmp -n $((24 << 20)) - "$tmp/root" || fail "half: root"
"$XRAYFS" cat "$tmp/half.img" volumes/v--g-root/size problems > "$tmp/log"
grep -q "volume group v-g: physical volume .* is not in the image" "$tmp/log" ||
  fail "problems do not say what is missing: $(cat "$tmp/log")"
