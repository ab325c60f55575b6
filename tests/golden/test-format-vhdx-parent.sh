#!/bin/bash
# xrayfs: differencing VHDX images, which qemu-img does not read: the bytes
# that are wanted are made along with the images
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires python3 qemu-img qemu-io cmp
cd "$tmp"
export PYTHONPATH=$srcdir/tests/golden PYTHONDONTWRITEBYTECODE=1
block_cat=$(tool block-cat)

info () { "$block_cat" --info "$1" | sed -n "s/^$2=//p"; }

reads_as ()
{
  "$block_cat" "$1" > got.raw || fail "$1: not read"
  cmp "$2" got.raw || fail "$1: contents differ"
  "$block_cat" --random 5 200 "$2" --threads 3 "$1" || fail "$1: random reads"
  note "$1: same"
}

qemu-img create -q -f vhdx -o block_size=2M base.vhdx 7340544
qemu-io -f vhdx -c "write -P 1 0 3M" -c "write -P 2 5M 1M" base.vhdx > io.log
qemu-img convert -f vhdx -O raw base.vhdx base.raw
mkdir sub
python3 - << 'EOF'
import os, random, uuid
from vhdx import *
random.seed(8)
PATH = "\\\\?\\c:\\machines\\"


def linkage(path):
    with open(path, "rb") as f:
        data = f.read(132 * K)
    newest = max(data[64 * K:68 * K], data[128 * K:],
                 key=lambda h: struct.unpack_from("<Q", h, 8))
    return "{%s}" % uuid.UUID(bytes_le=newest[32:48])


def bits(sectors):
    return sum(1 << i for i in sectors)


def child(name, parent, raw, size, relative, block=M, sector=512,
          write=bytes(16), pairs=None, link=None):
    """Blocks of all states, at random: NAME.vhdx over PARENT, NAME.raw."""
    with open(raw, "rb") as f:
        want = bytearray(f.read(size).ljust(size, b"\0"))
    blocks, bitmaps, chunk = {}, {}, (sector << 23) // block
    for n in range(-(-size // block)):
        kind = n % 7 if n < 7 else random.randrange(7)
        data = random.randbytes(block)
        start, end = n * block, min((n + 1) * block, size)
        if kind in (1, 2, 3):       # undefined, zero, unmapped
            blocks[n] = (kind, None)
            want[start:end] = bytes(end - start)
        elif kind == 4:
            blocks[n] = (PRESENT, data)
            want[start:end] = data[:end - start]
        elif kind in (5, 6):
            blocks[n] = (PARTIAL, data)
            per = block // sector
            here, at = set(), 0
            while at < per:
                run = random.choice((1, 1, 2, 7, 8, 9, 31, 64, 500))
                if random.random() < .5:
                    here.update(range(at, min(at + run, per)))
                at += run
            c = bitmaps.setdefault(n // chunk, bytearray(M))
            step = M // chunk
            c[n % chunk * step:(n % chunk + 1) * step] = \
                bits(here).to_bytes(step, "little")
            for s in sorted(here):
                a = start + s * sector
                b = min(a + sector, size)
                if a < b:
                    want[a:b] = data[s * sector:s * sector + b - a]
    if pairs is None:
        pairs = [("parent_linkage", link or linkage(parent)),
                 ("relative_path", relative),
                 ("volume_path", "\\\\?\\Volume{26a21bda-a627-11d7-9931-"
                  "806e6f6e6963}\\machines\\" + os.path.basename(parent)),
                 ("absolute_win32_path", PATH + os.path.basename(parent))]
    image(name + ".vhdx", size, blocks, block=block, sector=sector,
          physical=sector, parent=pairs, bitmaps=bitmaps, data_write=write)
    with open(name + ".raw", "wb") as f:
        f.write(want)


S = 7340544
child("a", "base.vhdx", "base.raw", S, ".\\base.vhdx", write=b"a" * 16)
child("b", "a.vhdx", "a.raw", 9 * M + 1024, "a.vhdx", block=2 * M)
child("sub/c", "a.vhdx", "a.raw", 3 * M, "..\\a.vhdx")
# The paths lead elsewhere; the file was moved along.
child("moved", "base.vhdx", "base.raw", S, "..\\..\\old\\base.vhdx")
child("absolute", "base.vhdx", "base.raw", S, "",
      pairs=[("absolute_win32_path", PATH + "base.vhdx"),
             ("parent_linkage", linkage("base.vhdx").upper())])
child("linkage2", "base.vhdx", "base.raw", S, "", pairs=[
    ("relative_path", "base.vhdx"),
    ("parent_linkage", "{00000000-0000-0000-0000-000000000001}"),
    ("parent_linkage2", linkage("base.vhdx"))])
child("changed", "base.vhdx", "base.raw", S, "base.vhdx",
      link="{00000000-0000-0000-0000-000000000001}")
# Beside it lies another disk of that name.
child("other", "base.vhdx", "base.raw", S, "..\\old\\base.vhdx",
      link="{00000000-0000-0000-0000-000000000001}")
child("lost", "base.vhdx", "base.raw", S, "gone.vhdx", pairs=[
    ("parent_linkage", linkage("base.vhdx")), ("relative_path", "gone.vhdx")])
# Sectors of 4 KiB, and chunks of 16 blocks.
image("base-4k.vhdx", 5 * M, {n: (PRESENT, random.randbytes(M))
                              for n in (0, 1, 3)}, sector=4096, physical=4096)
with open("base-4k.vhdx", "rb") as f, open("base-4k.raw", "wb") as g:
    f.seek(4 * M)
    g.write(f.read(2 * M) + bytes(M) + f.read(M) + bytes(M))
child("child-4k", "base-4k.vhdx", "base-4k.raw", 8 * M, "base-4k.vhdx",
      sector=4096)
# The second sector bitmap, behind 4 GiB.
image("far.vhdx", 4100 * M,
      {4095: (PARTIAL, b"\1" * M), 4096: (PARTIAL, b"\2" * M)},
      parent=[("relative_path", "base.vhdx"),
              ("parent_linkage", linkage("base.vhdx"))],
      bitmaps={0: bytes(M - 256) + b"\1".ljust(256, b"\0"),
               1: b"\2".ljust(256, b"\0")})
# What cannot be: partial without a bitmap, without a parent.
link = [("relative_path", "base.vhdx"), ("parent_linkage", linkage("base.vhdx"))]
image("no-bitmap.vhdx", 2 * M, {0: (PARTIAL, b"x" * M)}, parent=link)
image("no-parent.vhdx", 2 * M, {0: (PARTIAL, b"x" * M)})
image("loop.vhdx", 2 * M, parent=[("relative_path", "loop.vhdx")])
image("type.vhdx", 2 * M, parent=link, items=standard_items(2 * M, M, 512, 512, 2)
      + [(LOCATOR, 4, locator(link, DISK_ID))])
image("no-locator.vhdx", 2 * M, items=standard_items(2 * M, M, 512, 512, 2))
EOF

for i in a b moved absolute linkage2 child-4k; do
  reads_as $i.vhdx $i.raw
  assert_equal "$i: check" "$("$block_cat" --check $i.vhdx)" \
    "$(printf 'errors=0\nnotes=0')"
  "$block_cat" --safety $i.vhdx | grep -q "^it refers to a backing file" ||
    fail "$i: safety"
done
reads_as changed.vhdx changed.raw
"$block_cat" --check changed.vhdx | grep -qx \
  "parent 'base.vhdx' has changed since, or is another disk" ||
  fail "changed.vhdx: check"

# A parent outside of the image's directory is not opened; from the directory
# above it is inside.
! "$block_cat" sub/c.vhdx > got.raw 2> got.err || fail "sub/c.vhdx is read"
grep -q "'../a.vhdx': lies outside the image's directory" got.err ||
  fail "$(cat got.err)"
for i in lost:gone.vhdx:"no such file" \
         other:../old/base.vhdx:"lies outside the image's directory"; do
  IFS=: read -r name path why <<< "$i"
  ! "$block_cat" "$name.vhdx" > got.raw 2> got.err || fail "$name.vhdx is read"
  grep -q "'$path': $why" got.err || fail "$(cat got.err)"
  "$block_cat" --check "$name.vhdx" | grep -qx "$path: $why" ||
    fail "$name: check"
  # What it has itself is there: block 4.
  "$XRAYFS" cat "$name.vhdx" format virtual_size > got.size
  assert_equal "$name" "$(cat got.size)" "$(printf 'vhdx\n7340544')"
done

assert_equal "subformat" "$(info a.vhdx subformat)" differencing
assert_equal "backing_file" "$(info a.vhdx backing_file)" '.\base.vhdx'
assert_equal "backing_format" "$(info a.vhdx backing_format)" vhdx
assert_equal "backing_chain" "$(info b.vhdx backing_chain)" \
  "$(printf 'a.vhdx\n./base.vhdx')"

"$block_cat" --map far.vhdx | grep -v unallocated | cut -d' ' -f1-4 |
  tail -2 | diff - <(printf '%s\n' "4293918720 512 data far.vhdx" \
    "4294967808 512 data far.vhdx") || fail "map of far.vhdx"

while read -r name why; do
  "$block_cat" "$name.vhdx" > got.raw 2> got.err && fail "$name.vhdx is read"
  grep -q "$why" got.err || fail "$name: $(cat got.err)"
done << 'END'
no-bitmap sector bitmap of chunk 0 is not there (BAT entry 4096)
no-parent BAT entry 0: block is partially present without a parent
loop chain of backing files leads back to
type parent locator: its type is not known
no-locator parent locator: is not there
END
"$block_cat" --check no-bitmap.vhdx | grep -qx \
  "BAT entry 4096: sector bitmap of partial blocks is not there" ||
  fail "no-bitmap: check"
"$block_cat" --check no-parent.vhdx | grep -qx \
  "BAT entry 0: block is partially present without a parent" ||
  fail "no-parent: check"
"$block_cat" --fault b.vhdx > got.fault || fail "b.vhdx: faults"
