#!/usr/bin/env bash
# ISO 9660 that is damaged, or not understood: an error that names the place,
# and never another answer.  Bits that flip: no crash and no hang.
. "${srcdir:-.}/tests/functions.sh"
requires python3

walk=$(tool fs-walk)
img=$tmp/img

make () { python3 "$srcdir/tests/golden/iso_image.py" "$1" "$img"; }
patch () { printf '%b' "$2" | dd of="$img" bs=1 seek="$1" conv=notrunc status=none; }

# says NAME TEXT: a listing with the text in it
says ()
{
  "$walk" -l -t iso9660 "$img" > "$tmp/ours" || true
  sed 's/\\x20/ /g' "$tmp/ours" | grep -a -q -F -- "$2" || fail "$1: $(head -c 600 "$tmp/ours")"
}

make names-512
says 512 "/dotted mode=100555"
cp "$tmp/ours" "$tmp/512"
make names
says 2048 "/dotted mode=100555"
cmp <(sed 's/ino=[0-9]*//' "$tmp/512") <(sed 's/ino=[0-9]*//' "$tmp/ours") ||
  fail "blocks of 512 bytes"
make junk
says junk "/g mode=100555"

make refused
says gaps "interleaved file"
says sparse "sparse file of Rock Ridge"
grep -a -q '^/gaps .*size=9000' "$tmp/ours" || fail "gaps: no size"
make circle
says circle "more than 32 continuations"

make cut-off
says cut-off "lies beyond the end"
grep -a -q '^/here .*crc=b11b8798' "$tmp/ours" || fail "cut off: what is there"
got=$("$walk" --check -t iso9660 "$img") && fail "cut off: $got"
[[ $got = *"volume has 2048000 bytes, of which $(stat -c %s "$img") are there"* ]] || fail "cut off: $got"
make differs
got=$("$walk" --check -t iso9660 "$img") || fail "differs: $got"
[[ $got = *"volume size is "*" in little-endian, and 77 in big-endian order"* ]] || fail "differs: $got"

# refused WHAT TEXT
refused ()
{
  local got
  got=$("$walk" -t iso9660 "$img") && fail "$1: was read"
  [[ $got = *"$2"* ]] || fail "$1: $got"
}
make names
patch 32769 'CD002'
refused magic 'no volume descriptor'
make names
patch 32896 '\x00\x10'
refused block 'impossible block size 4096'
make names
patch 32777 CDROM
refused sierra 'High Sierra'
make names
patch 32926 '\xff\xff\xff\xff'
refused root 'root directory'
make names
truncate -s 40000 "$img"
refused short 'root directory'

# Of a file with sections one is gone: no shorter file.
make sections
python3 - "$img" << 'EOF'
import sys
d = bytearray(open(sys.argv[1], "rb").read())
at = d.rindex(b"FILE39.;1") - 33
d[at:at + d[at]] = bytes(d[at])
open(sys.argv[1], "wb").write(d)
EOF
says section "inode"

# Every 7th bit of what is not data: an error or an answer, in bounded time.
python3 - "$walk" "$img" "$srcdir/tests/golden" << 'EOF'
import random, subprocess, sys
walk, img, here = sys.argv[1:]
sys.path.insert(0, here)
from iso_image import IMAGES
random.seed(3)
for name in ("odd", "names", "xa"):
    clean = IMAGES[name]()
    places = [at for at in range(0x8000, len(clean)) if clean[at]]
    for n in range(60):
        data = bytearray(clean)
        for at in random.sample(places, 3):
            data[at] ^= 1 << random.randrange(8)
        open(img, "wb").write(data)
        r = subprocess.run([walk, "-l", "-t", "iso9660", img], capture_output=True, timeout=60)
        if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout
                                             and b"lookup-gives" not in r.stdout):
            sys.exit("%s %d: %r" % (name, n, r))
EOF
