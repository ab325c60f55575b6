#!/usr/bin/env python3
"""Changes small Btrfs images (fuzz/corpus/btrfs) of 4 KiB blocks.

  btrfs_image.py expand SEED IMAGE     makes a fuzzer's sparse seed an image
  btrfs_image.py first IMAGE           damages the first copy of each block
  btrfs_image.py damage IMAGE WALK     damages all copies of each block in turn
  btrfs_image.py super IMAGE AT TEXT   changes the superblock (hexadecimal)
  btrfs_image.py places IMAGE          of which trees blocks are, and where they
                                       lie"""
import os
import struct
import subprocess
import sys

BLOCK, SUPER = 4096, 65536
table = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    table.append(c)


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c = c >> 8 ^ table[(c ^ b) & 255]
    return c ^ 0xffffffff


def load(path):
    with open(path, "rb") as f:
        return bytearray(f.read())


def save(path, data):
    with open(path, "wb") as f:
        f.write(data)


def poke(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def expand(seed, path):
    data, out, i = load(seed), bytearray(), 4
    while len(data) - i >= 6:
        at, n = struct.unpack_from(">IH", data, i)
        out.extend(bytes(max(0, at + n - len(out))))
        out[at:at + n] = data[i + 6:i + 6 + n]
        i += 6 + n
    save(path, out)


def blocks(data):
    """Copies of each: lists of offsets.  Of metadata, whose checksums are
    right, by what they hold."""
    same = {}
    for at in range(0, len(data), BLOCK):
        block = bytes(data[at:at + BLOCK])
        if at != SUPER and any(block):
            same.setdefault(block, []).append(at)
    return same.values()


def is_metadata(data, at):
    return data[at + 32:at + 48] == data[SUPER + 32:SUPER + 48]


def places(path):
    data = load(path)
    for copies in blocks(data):
        if is_metadata(data, copies[0]):
            print(struct.unpack_from("<Q", data, copies[0] + 88)[0], *copies)


def super(path, at, text):
    with open(path, "r+b") as f:
        f.seek(SUPER)
        sb = bytearray(f.read(4096))
        new = bytes.fromhex(text)
        sb[int(at, 0):int(at, 0) + len(new)] = new
        sb[:4] = struct.pack("<I", crc32c(sb[32:]))
        f.seek(SUPER)
        f.write(sb)


def first(path):
    data, n = load(path), 0
    for copies in blocks(data):
        if len(copies) > 1:
            poke(path, copies[0] + 1000, bytes([data[copies[0] + 1000] ^ 1]))
            n += 1
    print(n)


def walk(program, path):
    out = subprocess.run([program, "-l", "-t", "btrfs", path],
                         stdout=subprocess.PIPE, timeout=60)
    if out.returncode < 0:
        raise SystemExit("signal %d" % -out.returncode)
    return out.stdout.decode().splitlines()


def compare(wanted, got, at):
    """What differs is an error, or below a directory that is one."""
    if len(got) == 1 and got[0].startswith("error:5:"):
        return True
    broken = [line.split(" ")[0].rstrip("/") + "/" for line in got
              if "readdir-error:5:" in line or "stat-error:5:" in line]
    lines = set(got)
    for line in wanted:
        if line in lines or any(line.startswith(b) for b in broken):
            continue
        name = line.split(" ")[0]
        found = [g for g in got if g.split(" ")[0] == name]
        if not found or not any("-error:5:" in g for g in found):
            raise SystemExit("0x%x: %s became %s" % (at, line[:200], found))
    return any("-error:" in line for line in got)


def damage(path, program):
    data, seen, found, metadata = load(path), 0, 0, 0
    wanted = walk(program, path)
    for copies in blocks(data):
        for at in copies:
            poke(path, at + 50, bytes([data[at + 50] ^ 0x10]))
        seen += 1
        found += compare(wanted, walk(program, path), copies[0])
        metadata += is_metadata(data, copies[0])
        for at in copies:
            poke(path, at + 50, bytes([data[at + 50]]))
    if walk(program, path) != wanted:
        raise SystemExit("another tree in the end")
    print("%d damaged (%d of metadata), %d noticed" % (seen, metadata, found))
    # That of extents, free space and checksums of nothing is not read.
    if seen < 15 or found < seen // 2:
        raise SystemExit("too few")


globals()[sys.argv[1]](*sys.argv[2:])
