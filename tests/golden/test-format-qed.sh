#!/bin/bash
# xrayfs: QED images give the bytes and the facts that qemu-img gives, and
# their damage is found as qemu-img check finds it
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
. "${srcdir:-.}/tests/golden/formats.sh"
requires truncate
cd "$tmp"

both_clean ()
{
  clean "$1"
  qemu-img check -q "$1" || fail "$1: qemu-img check does not agree"
}

# --- what qemu-img writes -----------------------------------------------------
while read -r name size options; do
  # shellcheck disable=SC2086 # options are words
  qemu-img create -q -f qed $options "$name.qed" "$size"
  same "$name.qed"
  both_clean "$name.qed"
done << 'END'
tiny    512
empty   7340544
large   200M
END
while read -r name options; do
  # shellcheck disable=SC2086
  qemu-img convert -O qed $options disk.raw "$name.qed"
  same "$name.qed"
  both_clean "$name.qed"
done << 'END'
plain
full      -S 0
fall      -o preallocation=falloc
c4k       -o cluster_size=4k
c4k-t2    -o cluster_size=4k,table_size=2
t16       -o table_size=16
c1m       -o cluster_size=1M
END
qemu-img create -q -f qed nothing.qed 0
NO_MAP=1 same nothing.qed # qemu-img map has an extent of no bytes
both_clean nothing.qed
# qemu 7.2 makes tables of one cluster and refuses to open them.
qemu-img create -q -f qed -o table_size=1,cluster_size=4k t1.qed 5M
"$block_cat" t1.qed > got.raw || fail "t1.qed"
assert_equal "t1.qed" "$(stat -c %s got.raw)" 5242880
for i in plain c4k t16 c1m; do
  patterns qed "$i.qed"
  same "$i.qed"
  both_clean "$i.qed"
  qemu-img resize -q "$i.qed" 11534848
  same "$i.qed"
  qemu-io -f qed -c "write -P 9 10M 100k" "$i.qed" > io.log
  same "$i.qed"
  both_clean "$i.qed"
done
assert_equal "safety" "$("$block_cat" --safety plain.qed)" \
  "it is a QED image, a format that OpenStack refuses"

# --- backing files ------------------------------------------------------------
qemu-img create -q -f raw small.raw 3M
qemu-io -f raw -c "write -P 7 1M 1M" small.raw > io.log
qemu-img create -q -f qed -b small.raw -F raw a.qed 7M # a short one
qemu-img create -q -f qed -b c4k.qed -F qed b.qed
qemu-img create -q -f qed -b b.qed -F qed -o cluster_size=4k c.qed 20M
for i in a b c; do
  same "$i.qed"
  patterns qed "$i.qed" # zeroes what the backing file has
  same "$i.qed"
  both_clean "$i.qed"
done
assert_equal "chain" "$("$block_cat" --info c.qed | sed -n 's/^backing_chain=//p')" \
  $'b.qed\nc4k.qed'
"$block_cat" --info a.qed > info
for i in backing_file=small.raw backing_format=raw features=backing-file \
  features=backing-format-no-probe cluster_size=65536 dirty=0; do
  grep -qx "$i" info || fail "no $i in $(cat info)"
done
mkdir alone
cp b.qed alone/
refused alone/b.qed "no such file"
says alone/b.qed "no such file"

# --- damage -------------------------------------------------------------------
ulimit -c 0
qemu-img create -q -f qed dirty.qed 1M
{ qemu-io -f qed -c "write -P 3 0 64k" -c abort dirty.qed; } > io.log 2>&1 || true
"$block_cat" --info dirty.qed | grep -qx dirty=1 || fail "dirty is not said"
says dirty.qed "need-check"
qemu-img convert -f qed -O raw -U dirty.qed want.raw
"$block_cat" dirty.qed > got.raw
cmp got.raw want.raw || fail "dirty.qed"

length=$(stat -c %s c1m.qed)
cp c1m.qed cut.qed
truncate -s $((length - 5000)) cut.qed
refused cut.qed "is cut off by the end of the file"
says cut.qed "5000 bytes are missing at its end"
truncate -s $((length - (3 << 20))) cut.qed
refused cut.qed "the end of the file"

# Compared with qemu-img check: how many corruptions, how many leaks.
python3 - << 'END'
import struct
K = 4096
def image(name, l2=(), l1=None, cut=None, **head):
    h = dict(magic=b"QED\0", cluster=K, table=2, header=1, features=0, compat=0,
             auto=0, l1off=K, size=1 << 20, noff=100, nlen=0)
    h.update(head)
    data = bytearray(20 * K)
    data[:64] = struct.pack("<4sIIIQQQQQII", h["magic"], h["cluster"], h["table"],
                            h["header"], h["features"], h["compat"], h["auto"],
                            h["l1off"], h["size"], h["noff"], h["nlen"])
    l1 = l1 or (3 * K,)
    data[K:K + 8 * len(l1)] = struct.pack(f"<{len(l1)}Q", *l1)
    data[3 * K:3 * K + 8 * len(l2)] = struct.pack(f"<{len(l2)}Q", *l2)
    data[5 * K:] = b"\x55" * (15 * K)
    with open(name, "wb") as f:
        f.write(data[:cut])
used = tuple(i * K for i in range(5, 20))
image("good", used)
image("zeros", used + (1, 1))
image("autoclear", used, auto=1 << 40, compat=1 << 7)
image("leak", used[:10])
image("twice", used + (5 * K, 6 * K))
image("on-table", used + (4 * K,))
image("in-header", used + (0x800, K * 0))
image("unaligned", (5 * K + 512,) + used[1:])
image("beyond", used[:14] + (20 * K,))
image("far", used[:14] + (1 << 60,))
image("table-twice", used, (3 * K, 3 * K))
image("l2-beyond", used, (19 * K,))
image("l2-far", used, (1 << 63,))
image("l2-unaligned", used, (3 * K + 8,))
image("l2-header", used, (0x200,))
image("cut-odd", used, cut=20 * K - 1)
image("f-8", features=8)
image("f-max", features=(1 << 64) - 1)
image("c-2048", cluster=2048)
image("c-128m", cluster=128 << 20)
image("c-5000", cluster=5000)
image("t-0", table=0)
image("t-3", table=3)
image("t-32", table=32)
image("h-0", header=0)
image("h-2", header=2)
image("h-max", header=(1 << 32) - 1)
image("l1-unaligned", l1off=K + 8)
image("l1-header", l1off=0)
image("l1-beyond", l1off=1 << 40)
image("l1-max", l1off=(1 << 64) - K)
image("l1-cut", l1off=19 * K)
image("size-odd", size=1000)
image("size-large", size=1 << 40)
image("size-max", size=(1 << 64) - 512)
image("name-long", features=1, nlen=1024)
image("name-out", features=1, noff=4000, nlen=97)
image("name-wrap", features=1, noff=(1 << 32) - 1, nlen=2)
image("name-empty", used, features=1)
image("short", cut=63)
image("signature", cut=4)
END
# counts IMAGE: errors and leaks are as many as qemu-img check says, where what
# is beyond the end counts for one with us
while read -r name; do
  qemu-img check -f qed --output=json "$name" > want.json 2> check.log || true
  "$block_cat" --check "$name" > got.check || fail "$name: not checked"
  python3 - "$name" << 'END' || fail "$name: not as qemu-img check"
import json, re, sys
want = json.load(open("want.json"))
got = open("got.check").read()
errors, notes = map(int, re.search(r"errors=(\d+)\nnotes=(\d+)", got).groups())
leaks = re.search(r"(\d+) clusters are not used", got)
pairs = [(errors, want.get("corruptions", 0)),
         (int(leaks.group(1)) if leaks else 0, want.get("leaks", 0))]
if any(a != b for a, b in pairs):
    print(sys.argv[1], got, json.dumps(want))
    sys.exit(1)
END
done << 'END'
good
zeros
autoclear
leak
twice
on-table
in-header
unaligned
beyond
far
END
for i in good zeros autoclear leak name-empty; do
  "$block_cat" "$i" > got.raw || fail "$i"
  qemu-img convert -f qed -O raw "$i" want.raw
  cmp got.raw want.raw || fail "$i"
done
while IFS='|' read -r name words check; do
  refused "$name" "$words"
  [ -z "$check" ] || says "$name" "$check"
done << 'END'
in-header|cluster offset 0x800 is not aligned|cluster offset 0x800
unaligned|cluster offset 0x5200 is not aligned|cluster offset 0x5200
beyond|cluster at 0x14000 lies beyond the end of the file|4096 bytes are missing
far|cluster at 0x1000000000000000 lies beyond|out of range
cut-odd|cluster at 0x13000 is cut off by the end|1 bytes are missing
l2-beyond|L2 table at 0x13000 is cut off by the end|4096 bytes are missing
l2-far|L2 table at 0x8000000000000000 lies beyond the end|out of range
l2-unaligned|L2 table offset 0x3008 is not aligned|not aligned
l2-header|L2 table offset 0x200 is not aligned|not aligned
f-8|features 0x8 are not supported
f-max|features 0xfffffffffffffff8 are not supported
c-2048|clusters of 2048 bytes
c-128m|clusters of 134217728 bytes
c-5000|clusters of 5000 bytes
t-0|tables of 0 clusters
t-3|tables of 3 clusters
t-32|tables of 32 clusters
h-0|header of 0 clusters
h-2|L1 table at 0x1000 lies in the header
h-max|L1 table at 0x1000 lies in the header
l1-unaligned|L1 table offset 0x1008 is not aligned
l1-header|L1 table at 0x0 lies in the header
l1-beyond|L1 table at 0x10000000000 lies beyond the end
l1-max|L1 table at 0xfffffffffffff000 lies beyond the end
l1-cut|L1 table at 0x13000 is cut off by the end
size-odd|virtual size of 1000 bytes is no multiple of 512
size-large|is more than the tables cover
size-max|virtual size of 18446744073709551104 bytes
name-long|backing file name of 1024 bytes is too long
name-out|backing file name at 0xfa0 lies beyond the header
name-wrap|backing file name at 0xffffffff lies beyond the header
short|header is cut off
signature|header is cut off
END
says table-twice "L2 table at 0x3000 overlaps another"

# --- each read fails once -----------------------------------------------------
for i in good zeros leak; do
  "$block_cat" --fault "$i" > io.log || fail "$i: faults"
done
