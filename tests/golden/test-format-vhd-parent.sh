#!/bin/bash
# xrayfs: differencing VHDs, which qemu does not read: bytes that python
# computed; parents that are found, missing, and others
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires python3 cmp
block_cat=$(tool block-cat)
cd "$tmp"

# --- a chain of three, with every mixture of bitmap bits ---------------------
python3 - "$srcdir" << 'END'
import random, runpy, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/fuzz")
m = runpy.run_path(sys.argv[1] + "/fuzz/make-seeds-vhd.py")
random.seed(4)
BLOCK, UNUSED = 4096, m["UNUSED"]

def image(name, uuid, parent=None, lower=b"", sectors=640, block=BLOCK,
          names="", locators=(), text=b"", when=2000):
    """Random blocks over LOWER; returns the disk."""
    disk = bytearray(lower[:sectors * 512].ljust(sectors * 512, b"\0"))
    entries = -(-sectors * 512 // block)
    bitmap = -(-block // 4096 // 512) * 512
    bat, data, at = [], b"", 2048 + len(text)
    for i in range(entries):
        if random.random() < 0.4:
            bat.append(UNUSED)
            continue
        bat.append(at // 512)
        bits = random.choice([random.randbytes(block // 4096),
                              b"\xff" * (block // 4096),
                              b"\0" * (block // 4096)])
        body = random.randbytes(block)
        for s in range(block // 512):
            if parent is None or bits[s // 8] >> (7 - s % 8) & 1:
                off = i * block + s * 512
                if off < len(disk):
                    disk[off:off + 512] = body[s * 512:s * 512 + 512]
        data += bits.ljust(bitmap, b"\0") + body
        at += bitmap + block
    foot = m["footer"](4 if parent else 3, sectors, uuid=uuid, time=1000)
    head = m["header"](entries=entries, block=block, name=names, time=when,
                       parent=parent or bytes(16), locators=locators)
    assert entries * 4 <= 512
    open(name, "wb").write(m["dynamic"](foot, head, bat, text, data))
    return bytes(disk)

def names(**by_code):
    """Locators, and the sectors that they point into."""
    text, locators = b"", []
    for code, name in by_code.items():
        raw = name.encode("utf-8" if code == "MacX" else "utf-16le")
        locators.append(m["locator"](code.encode(), len(raw),
                                     2048 + len(text)))
        text += raw.ljust(-(-len(raw) // 512) * 512, b"\0")
    return {"locators": locators, "text": text}

import os
os.makedirs("sub/deep")
A, B, C = b"A" * 16, b"B" * 16, b"C" * 16
a = image("base.vhd", A, sectors=400)
b = image("sub/b.vhd", B, A, a, names="C:\\x\\none.vhd",
          **names(W2ku="C:\\x\\none.vhd", W2ru="..\\base.vhd"))
c = image("c.vhd", C, B, b, block=65536,
          **names(W2ru=".\\sub\\b.vhd"))
d = image("last.vhd", b"D" * 16, C, c, sectors=500,
          **names(W2ku="D:\\machines\\c.vhd"))
big = image("big.vhd", b"E" * 16, C, c, block=1 << 21, sectors=8200,
            names="c.vhd")
for name, disk in ("base", a), ("sub/b", b), ("c", c), ("last", d), \
        ("big", big):
    open(name + ".raw", "wb").write(disk)

# The names that a parent can have.  The first that is there and has the UUID.
def one(name, **kw):
    kw.setdefault("parent", A)
    raw = image(name + ".vhd", b"F" * 16, kw.pop("parent"), a, **kw)
    open(name + ".raw", "wb").write(raw)
one("n-header", names="base.vhd")
one("n-absolute", names="C:\\dir\\base.vhd")
one("n-relative", **names(W2ru=".\\base.vhd"))
one("n-unix", **names(MacX="file://./base.vhd"))
one("n-mac", **names(MacX="file:///Users/x/base.vhd"))
one("n-second", **names(W2ru="..\\out.vhd", W2ku="Z:\\base.vhd"))
one("n-other", **names(W2ru="c.vhd", W2ku="Z:\\base.vhd"))
one("n-uuid0", parent=bytes(15) + b"\0", names="base.vhd")
one("n-utf", names="b\u00e4s\u00e9-\U0001f4be.vhd")
os.link("base.vhd", "b\u00e4s\u00e9-\U0001f4be.vhd")

one("younger", names="base.vhd", when=999)
one("x-missing", names="C:\\x\\lost.vhd")
one("x-other", names="c.vhd")
one("x-unnamed")
one("x-outside", **names(W2ru="..\\..\\etc\\passwd"))
one("x-self", names="x-self.vhd", parent=b"F" * 16)
one("x-raw", names="c.raw")
END

# same IMAGE: the bytes, in order and at random, and no finding
same ()
{
  "$block_cat" "$1.vhd" > got.raw || fail "$1: not read"
  cmp got.raw "$1.raw" || fail "$1: contents differ"
  "$block_cat" --random 3 200 "$1.raw" --threads 2 "$1.vhd" ||
    fail "$1: random reads"
  assert_equal "$1: check" "$("$block_cat" --check "$1.vhd")" \
    $'errors=0\nnotes=0'
  note "$1: same"
}
for i in base sub/b c last big; do
  # b's parent lies beside its directory: outside, if b is the image
  [ $i = sub/b ] || same $i
done
"$block_cat" sub/b.vhd > got.raw 2> err.log && fail "sub/b: reached out"
grep -q "outside the image's directory" err.log || fail "$(cat err.log)"
for i in n-*.vhd; do same "${i%.vhd}"; done

assert_equal "younger" "$("$block_cat" --check younger.vhd | tail -n 2)" \
  $'errors=0\nnotes=1'
"$block_cat" younger.vhd > got.raw
cmp got.raw younger.raw || fail "younger: contents"

# The bits of a dynamic disk are ignored, as in qemu.
if command -v qemu-img > /dev/null; then
  qemu-img convert -O raw base.vhd qemu.raw
  cmp qemu.raw base.raw || fail "base: qemu reads it differently"
fi

"$block_cat" --info last.vhd > info
assert_equal "chain" "$(sed -n 's/^backing_chain=//p' info)" \
  $'c.vhd\nsub/b.vhd\nsub/../base.vhd'
assert_equal "name" "$(sed -n 's/^backing_file=//p' info)" 'D:\machines\c.vhd'
assert_equal "subformat" "$(sed -n 's/^subformat=//p' info)" differencing
"$block_cat" --safety last.vhd | grep -q "refers to a backing file, 'c.vhd'" ||
  fail "the parent is not said: $("$block_cat" --safety last.vhd)"

# --- parents that cannot be read ---------------------------------------------
# What the image has of its own can be read; the rest is an error.
while IFS='|' read -r name words; do
  "$block_cat" "$name.vhd" > got.raw 2> err.log && fail "$name: was read"
  grep -qF -- "$words" err.log || fail "$name: said $(cat err.log)"
  "$block_cat" --check "$name.vhd" > got.check
  grep -qx errors=1 got.check || fail "$name: check: $(cat got.check)"
  "$block_cat" --info "$name.vhd" > /dev/null 2>&1 || true
  note "$name: $(cat err.log)"
done << 'END'
x-missing|'lost.vhd': no such file
x-other|is another image: its UUID differs
x-unnamed|the image does not name
x-outside|lies outside the image's directory
x-self|leads back to
x-raw|not a VHD image
END

for i in n-relative c x-unnamed; do
  "$block_cat" "$i.vhd" > /dev/null 2>&1 || continue
  "$block_cat" --fault "$i.vhd" > io.log || fail "$i: faults"
done
