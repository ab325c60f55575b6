#!/bin/bash
# xrayfs: qcow2 images give the bytes and the facts that qemu-img gives
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires qemu-img qemu-io python3 cmp
cat=$(tool block-cat)
cd "$tmp"

# Data that compress, data that do not, zeros and holes; not whole clusters.
python3 - << 'END'
import random
random.seed(1)
with open("disk.raw", "wb") as f:
    f.write(random.randbytes(1300000))
    f.seek(2500096)
    f.write(b"".join(b"line %d of some text\n" % i for i in range(90000)))
    f.write(bytes(400000))
    f.seek(5 << 20)
    f.write(random.randbytes(3000))
    f.truncate((7 << 20) + 512)
END
qemu-img create -q -f raw small.raw 3M
qemu-io -f raw -c "write -P 7 1M 1M" small.raw > io.log

# same IMAGE: the contents, random reads from threads, and the info agree.
same ()
{
  qemu-img convert -O raw "$1" want.raw
  "$cat" "$1" > got.raw
  cmp want.raw got.raw || fail "$1: contents differ"
  "$cat" --random 7 100 want.raw --threads 3 "$1" || fail "$1: random reads"
  qemu-img info --output=json "$1" > want.json
  "$cat" --info "$1" > got.info
  python3 - "$1" << 'END' || fail "$1: info differs"
import json, sys
want = json.load(open("want.json"))
got = [l.rstrip("\n").partition("=") for l in open("got.info")]
got = [(k, v) for k, _, v in got]
one = dict(got)
data = want["format-specific"]["data"]
features = {v for k, v in got if k == "features"}
pairs = [
    ("format", one["format"], want["format"]),
    ("size", int(one["size"]), want["virtual-size"]),
    ("cluster_size", int(one["cluster_size"]), want["cluster-size"]),
    ("version", one["version"], {"0.10": "2", "1.1": "3"}[data["compat"]]),
    ("compression", one["compression"], data["compression-type"]),
    ("dirty", one["dirty"] == "1", want["dirty-flag"]),
    ("corrupt", one["corrupt"] == "1", data.get("corrupt", False)),
    ("backing_file", one.get("backing_file"), want.get("backing-filename")),
    ("data_file", one.get("data_file"), data.get("data-file")),
    ("extended-l2", "extended-l2" in features, data.get("extended-l2", False)),
    ("lazy-refcounts", "lazy-refcounts" in features,
     data.get("lazy-refcounts", False)),
    ("snapshots", [v.split("\t")[1] for k, v in got if k == "snapshots"],
     [s["name"] for s in want.get("snapshots", [])]),
]
bad = [p for p in pairs if p[1] != p[2]]
for what, a, b in bad:
    print(f"{sys.argv[1]}: {what}: {a!r}, qemu-img says {b!r}")
sys.exit(bool(bad))
END
  note "$1: same"
}

# NAME  OPTIONS of qemu-img convert
while read -r name options; do
  [ -n "$name" ] || continue
  # shellcheck disable=SC2086 # options are words
  qemu-img convert -O qcow2 $options disk.raw "$name.qcow2"
  same "$name.qcow2"
  rm "$name.qcow2"
done << 'END'
v3            -o compat=1.1
v2            -o compat=0.10
v2-zlib       -c -o compat=0.10
c512          -o cluster_size=512
c512-zlib     -c -o cluster_size=512
c512-zstd     -c -o cluster_size=512,compression_type=zstd
c4k           -o cluster_size=4k
c4k-zlib      -c -o cluster_size=4k
c4k-v2        -c -o cluster_size=4k,compat=0.10
c64k-zlib     -c
c64k-zstd     -c -o compression_type=zstd
c2m           -o cluster_size=2M
c2m-zlib      -c -o cluster_size=2M
c2m-zstd      -c -o cluster_size=2M,compression_type=zstd
full          -S 0
prealloc-meta -o preallocation=metadata
prealloc-fall -o preallocation=falloc
prealloc-full -o preallocation=full
lazy          -o lazy_refcounts=on
refcount1     -o refcount_bits=1
refcount64    -o refcount_bits=64
ext           -o extended_l2=on
ext-16k       -o extended_l2=on,cluster_size=16k
ext-2m        -o extended_l2=on,cluster_size=2M
ext-zlib      -c -o extended_l2=on
ext-meta      -o extended_l2=on,preallocation=metadata
data          -o data_file=data.raw
data-raw      -o data_file=data-raw.raw,data_file_raw=on
data-ext      -o data_file=data-ext.raw,extended_l2=on
data-c4k      -o data_file=data-4k.raw,cluster_size=4k
END

# --- chains, snapshots, resizing, dirty flag ---------------------------------
mkdir sub
qemu-img convert -O qcow2 -c disk.raw sub/base.qcow2
qemu-img create -q -f qcow2 -b small.raw -F raw on-raw.qcow2 7M
qemu-img create -q -f qcow2 -b sub/base.qcow2 -F qcow2 a.qcow2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 sub/b.qcow2
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 -o extended_l2=on c.qcow2 12M
qemu-img create -q -f qcow2 -b "$PWD/c.qcow2" -F qcow2 absolute.qcow2 9M
qemu-img create -q -f qcow2 -u -b file:sub/b.qcow2 -F qcow2 prefix.qcow2 7M
for i in on-raw a sub/b c absolute; do
  qemu-io -c "write -P 1 70000 5000" -c "write -z 1M 300k" \
    -c "write -P 2 2500k 64k" -c "discard 2M 128k" "$i.qcow2" > io.log
  same "$i.qcow2"
done
assert_equal "chain" "$("$cat" --info absolute.qcow2 | sed -n 's/^backing_chain=//p')" \
  "$(printf 'c.qcow2\na.qcow2\nsub/base.qcow2')"
assert_equal "chain of prefix" \
  "$("$cat" --info prefix.qcow2 | sed -n 's/^backing_chain=//p')" \
  "$(printf 'sub/b.qcow2\nsub/base.qcow2')"

qemu-img snapshot -c 'first' a.qcow2
qemu-io -c "write -P 9 0 1M" a.qcow2 > io.log
qemu-img snapshot -c 'second one' a.qcow2
qemu-img resize -q a.qcow2 +20M
same a.qcow2
"$cat" --info a.qcow2 | grep -Eq \
  $'^snapshots=2\tsecond one\t7340544\t[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$' ||
  fail "snapshot line: $("$cat" --info a.qcow2 | grep ^snapshots)"

qemu-img create -q -f qcow2 empty.qcow2 0
"$cat" empty.qcow2 > got.raw
assert_equal "empty" "$(stat -c %s got.raw)" 0
qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 1M
ulimit -c 0
{ qemu-io -c "write -P 3 0 64k" -c abort dirty.qcow2; } > io.log 2>&1 || true
"$cat" --info dirty.qcow2 | grep -qx dirty=1 || fail "dirty is not said"
