#!/usr/bin/env bash
# Physical volumes in odd places: on an array, twice in one disk, of two groups
# with one name, within a logical volume; snapshots and caches.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mke2fs python3 sfdisk
export PYTHONDONTWRITEBYTECODE=1
golden=$srcdir/tests/golden
img=$tmp/disk.img
truncate -s 256K "$tmp/fs"
mkdir "$tmp/few"
cp "$golden"/lvm.* "$tmp/few"
mke2fs -q -t ext4 -b 1024 -N 32 -O ^has_journal,^resize_inode -L inside -d "$tmp/few" "$tmp/fs"
python3 "$golden/lvm_text.py" guest "$tmp/fs" > "$tmp/pv"

# disk FILE...: as partitions of 4 MiB.
disk ()
{
  local i=1 f
  rm -f "$img"
  truncate -s $((4 * $# + 2))M "$img"
  for f; do echo "size=4MiB"; done | sfdisk -q --no-reread --no-tell-kernel -X gpt "$img"
  for f; do
    dd if="$f" of="$img" bs=1M seek=$i conv=notrunc,sparse status=none
    i=$((i + 4))
  done
}
get () { "$XRAYFS" cat "$img" "$@"; }
volumes () { "$XRAYFS" ls "$img" volumes | tr '\n' ' '; }
root () { get volumes/vg--a-root/raw | cmp - "$tmp/fs" || fail "$1: other bytes"; }
problem () { get volumes/vg--a-root/size problems | grep -q "$2" || fail "$1: $(get volumes/vg--a-root/size problems)"; }

# On an array.
python3 "$golden/md.py" $((4 << 20)) 2 level=1 disks=2 role=1 name=h:pv data=$((64 << 10)) size=$((3 << 20)) contents="$tmp/pv" > "$tmp/member"
disk "$tmp/member"
assert_equal "on an array" "$(volumes)" "md-pv vg--a-root vg--a-thin "
root "on an array"
assert_equal "on an array" "$(get volumes/md-pv/{filesystem,role,fs_features} volumes/vg--a-root/label | tr '\n' ' ')" \
  "LVM2_member lvm vg=vg-a allocatable inside "
get volumes/vg--a-root/segments | grep -q " volumes/md-pv:" || fail "$(get volumes/vg--a-root/segments)"

# A clone of the same physical volume.
disk "$tmp/pv" "$tmp/pv"
assert_equal "clone" "$(volumes)" "vg--a-root vg--a-thin "
root clone
problem clone "partition 2: the same physical volume (UUID A.*) as partition 1"
assert_equal "clone: family" "$(get os/family)" unknown

# The newer metadata count.
python3 - "$golden" "$tmp/pv" "$tmp/newer" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
import lvm_text as l
pv = open(sys.argv[2], "rb").read()
new = l.text(l.volume("renamed", [(0, 4, l.striped(("pv1", 0)))])).replace(b"seqno = 4", b"seqno = 5")
open(sys.argv[3], "wb").write(l.disk(new, letter="B", size=2 << 20, contents=[(0, b"new" * 1000)]))
END
disk "$tmp/pv" "$tmp/newer"
assert_equal newer "$(volumes)" "vg--a-renamed "
get volumes/vg--a-renamed/raw | head -c 3000 | cmp - <(python3 -c 'print("new" * 1000, end="")') || fail "newer: other bytes"

# Another group of the same name.
python3 - "$golden" "$tmp/other" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
import lvm_text as l
new = l.text(l.volume("root", [(0, 4, l.striped(("pv0", 0)))])).replace(l.uuid("g").encode(), l.uuid("h").encode()).replace(l.uuid("A").encode(), l.uuid("C").encode())
open(sys.argv[2], "wb").write(l.disk(new, letter="C", size=2 << 20))
END
disk "$tmp/pv" "$tmp/other"
assert_equal "one name" "$(volumes)" "vg--a-root vg--a-thin "
root "one name"
problem "one name" "partition 2: volume group vg-a: a logical volume 'vg--a-root' is there before"

# Within a logical volume.
truncate -s 3M "$tmp/inner"
dd if="$tmp/pv" of="$tmp/inner" conv=notrunc status=none
python3 - "$golden" "$tmp/inner" "$tmp/outer" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
import lvm_text as l
n = 3 << 8
new = l.text(l.volume("pv", [(0, n, l.striped(("pv0", 0)))]), extents=n).replace(b"vg-a", b"out").replace(l.uuid("g").encode(), l.uuid("h").encode()).replace(l.uuid("A").encode(), l.uuid("C").encode())
open(sys.argv[3], "wb").write(l.disk(new, letter="C", size=l.START + n * 4096, contents=[(0, open(sys.argv[2], "rb").read())]))
END
disk "$tmp/outer"
assert_equal nested "$(volumes)" "out-pv "
assert_equal "nested: filesystem" "$(get volumes/out-pv/filesystem)" LVM2_member
assert_equal "nested: family" "$(get os/family)" unknown
get evidence/os/family | grep -q "what lies within a logical volume is not put together" || fail "$(get evidence/os/family)"

# A disk within an array: there may be a system on its partitions.
truncate -s 2M "$tmp/inner"
echo 1M,512K | sfdisk -q --no-reread --no-tell-kernel -X dos "$tmp/inner"
python3 "$golden/md.py" $((4 << 20)) 2 level=1 disks=1 role=0 name=h:disk data=$((64 << 10)) size=$((3 << 20)) contents="$tmp/inner" > "$tmp/member"
disk "$tmp/member"
assert_equal "disk in an array" "$(get volumes/md-disk/filesystem os/family volumes/md-disk/role | tr '\n' ' ')" "none unknown unknown "
get evidence/os/family | grep -q "volume md-disk: it has a partition table (dos), which is not read" || fail "$(get evidence/os/family)"

# Kinds: what is read, and the words for what is not.
python3 - "$golden" "$tmp/fs" "$tmp/kinds" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
import lvm_text as l
fs = open(sys.argv[2], "rb").read(); n = len(fs) // 4096
here = l.striped(("pv0", 0))
def pool(mode): return l.volume("cp_" + mode, [(0, 1, f'type = "cache-pool"\ncache_mode = "{mode}"')], False)
def cache(mode): return l.volume(mode, [(0, n, f'type = "cache"\ncache_pool = "cp_{mode}"\norigin = "o"')])
text = l.text(
    l.volume("o", [(0, n, here)], False), pool("writethrough"), pool("writeback"), cache("writethrough"), cache("writeback"),
    l.volume("orig", [(0, n, here)]), l.volume("snap", [(0, 1, here)], False),
    l.volume("snapshot0", [(0, n, 'type = "snapshot"\norigin = "orig"\ncow_store = "snap"')]),
    l.volume("merging", [(0, n, here)]), l.volume("snap1", [(0, 1, here)], False),
    l.volume("snapshot1", [(0, n, 'type = "snapshot"\norigin = "merging"\nmerging_store = "snap1"')]),
    l.volume("r1", [(0, n, l.legs("raid1", "a", 2))]),
    l.volume("a_rmeta_0", [(0, 1, l.striped(("pv0", n)))], False), l.volume("a_rimage_0", [(0, n, here)], False),
    l.volume("a_rmeta_1", [(0, 1, l.striped(("pv0", n)))], False), l.volume("a_rimage_1", [(0, n, l.striped(("pv1", 0)))], False),
    l.volume("mir", [(0, n, 'type = "mirror"\nmirror_count = 2\nmirrors = ["a_rimage_0", 0, "a_rimage_1", 0]')]),
    l.volume("future", [(0, n, 'type = "warp"')]), extents=n + 1)
meta = bytearray(4096)
import struct
struct.pack_into("<4sIIIQQQQ", meta, 0, b"DmRd", 1, 2, 0, 9, 0, 2**64 - 1, 2**64 - 1)
open(sys.argv[3], "wb").write(l.disk(text, size=2 << 20, contents=[(0, fs), (n, bytes(meta))]))
END
disk "$tmp/kinds"
assert_equal kinds "$(volumes)" "vg--a-future vg--a-merging vg--a-mir vg--a-orig vg--a-r1 vg--a-snap vg--a-snap1 vg--a-writeback vg--a-writethrough "
for lv in orig writethrough r1 mir; do
  get volumes/vg--a-$lv/raw | cmp - "$tmp/fs" || fail "$lv: other bytes"
done
while read -r lv why; do
  get volumes/vg--a-"$lv"/raw > "$tmp/raw" 2> "$tmp/log" && fail "$lv can be read"
  grep -q "$why" "$tmp/log" || fail "$lv: $(cat "$tmp/log")"
  assert_equal "$lv: filesystem" "$(get volumes/vg--a-"$lv"/filesystem)" unknown
done << 'END'
writeback a cache (writeback): what was written last may be in it alone
snap a snapshot of 'orig'
merging a snapshot is being merged into 'merging'
future a segment of type 'warp', which is not read
END
