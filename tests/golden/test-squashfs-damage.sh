#!/usr/bin/env bash
# squashfs and EROFS that are damaged, cut off or not understood: an error that
# names the place, and never another answer; no crash and no hang.
. "${srcdir:-.}/tests/functions.sh"
requires python3

walk=$(tool fs-walk)
img=$tmp/img

fresh () { cp "$srcdir/fuzz/corpus/squashfs/$1" "$img"; }
patch () { printf '%b' "$2" | dd of="$img" bs=1 seek="$1" conv=notrunc status=none; }

# refused WHAT TEXT
refused ()
{
  local got
  got=$("$walk" -t squashfs "$img") && fail "$1: was read"
  [[ $got = *"$2"* ]] || fail "$1: $got"
}

fresh gzip
patch 28 '\x03'
refused version 'version 3.0'
fresh gzip
patch 20 '\x07'
refused compression 'unknown compression 7'
fresh gzip
patch 12 '\x00\x20'
refused 'block size' 'impossible block size'
fresh gzip
patch 48 '\xff\xff\xff\xff'
refused 'id table' "impossible owners' table"
fresh gzip
patch 32 '\xff\xff'
refused root 'root directory'
fresh gzip
truncate -s 3000 "$img"
refused 'cut off' 'are there'

# Smaller than what libblkid looks at (1024 bytes), and whole.
if command -v mksquashfs > /dev/null; then
  mkdir "$tmp/small"
  echo hello > "$tmp/small/file"
  mksquashfs "$tmp/small" "$tmp/small.img" -quiet -no-progress -nopad > "$tmp/log" 2>&1 ||
    fail "mksquashfs: $(cat "$tmp/log")"
  [ "$(stat -c %s "$tmp/small.img")" -lt 1024 ] || fail "it is not small"
  assert_equal "small" "$("$XRAYFS" cat "$tmp/small.img" partition_table \
    partitions/whole/filesystem partitions/whole/files/file | tr '\n' ' ')" 'none squashfs hello '
fi

# Each byte of the inode table is damaged once: --check sees what does not
# decompress, and what is still listed was there before.
fresh gzip
"$walk" -l -t squashfs "$img" > "$tmp/whole" || fail "gzip"
assert_equal check "$("$walk" --check -t squashfs "$img")" ok
python3 - "$walk" "$srcdir/fuzz/corpus" "$img" "$tmp/whole" << 'EOF'
import os, random, struct, subprocess, sys
walk, corpus, img, whole = sys.argv[1:]
random.seed(4)
names = {l.split(b" ")[0] for l in open(whole, "rb")}


def run(kind, data, *options):
    open(img, "wb").write(data)
    r = subprocess.run([walk, *options, "-t", kind, img], capture_output=True, timeout=60)
    if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout
                                         and b"lookup-gives" not in r.stdout
                                         and b"--check" not in map(str.encode, options)):
        sys.exit("%s: %r" % (options, r))
    return r


clean = open(corpus + "/squashfs/gzip", "rb").read()
inodes, directories = struct.unpack_from("<QQ", clean, 64)
seen = 0
for at in range(inodes + 2, directories, 3):
    data = bytearray(clean)
    data[at] ^= 0x10
    seen += run("squashfs", data, "--check").returncode != 0
    for line in run("squashfs", data, "-l").stdout.splitlines():
        if line.startswith(b"/") and b"error" not in line and line.split(b" ")[0] not in names:
            sys.exit("%d: a new name: %r" % (at, line))
if seen < (directories - inodes) / 6:
    sys.exit("only %d damages were seen" % seen)
for kind, seed in (("squashfs", "plain"), ("squashfs", "zstd"), ("erofs", "plain"), ("erofs", "chunks"),
                   ("erofs", "lz4-legacy"), ("erofs", "lz4-tails"), ("erofs", "lzma-fragments"),
                   ("erofs", "zstd-fragments")):
    clean = open(corpus + "/" + kind + "/" + seed, "rb").read()
    if clean[:4] == b"SPRS":
        out, i = bytearray(), 4
        while i < len(clean):
            at, n = struct.unpack_from(">IH", clean, i)
            out.extend(bytes(max(0, at + n - len(out))))
            out[at:at + n] = clean[i + 6:i + 6 + n]
            i += 6 + n
        clean = bytes(out)
    places = [i for i in range(len(clean)) if clean[i]]
    for n in range(60):
        data = bytearray(clean)
        for at in random.sample(places, 4):
            data[at] ^= 1 << random.randrange(8)
        run(kind, data, "-l")
EOF
