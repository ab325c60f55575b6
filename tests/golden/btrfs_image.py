#!/usr/bin/env python3
"""Changes small Btrfs images (fuzz/corpus/btrfs) of 4 KiB blocks.

  btrfs_image.py expand SEED IMAGE     makes a fuzzer's sparse seed an image
  btrfs_image.py first IMAGE           damages the first copy of each block
  btrfs_image.py damage IMAGE WALK     damages all copies of each block in turn
  btrfs_image.py superblock IMAGE AT TEXT
                                       changes the superblock (hexadecimal)
  btrfs_image.py places IMAGE          of which trees blocks are, and where they
                                       lie
  btrfs_image.py root IMAGE MODE       changes the mode (octal) of the root"""
import struct
import sys

sys.dont_write_bytecode = True
from image_tools import compare, crc32c, expand, load, walk

BLOCK, SUPER = 4096, 65536


def poke(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def blocks(data):
    """Lists of the offsets of copies: what holds the same."""
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


def superblock(path, at, text):
    with open(path, "r+b") as f:
        f.seek(SUPER)
        sb = bytearray(f.read(4096))
        new = bytes.fromhex(text)
        sb[int(at, 0):int(at, 0) + len(new)] = new
        sb[:4] = struct.pack("<I", crc32c(sb[32:]))
        f.seek(SUPER)
        f.write(sb)


def root(path, mode):
    """The inode item (key 256 1 0) in leaves of tree 5; the mode is at 52."""
    data = load(path)
    for copies in blocks(data):
        at = copies[0]
        tree, n, level = struct.unpack_from("<QIB", data, at + 88)
        if not is_metadata(data, at) or tree != 5 or level:
            continue
        block = bytearray(data[at:at + BLOCK])
        for i in range(n):
            key, off = block[101 + 25 * i:][:17], 101 + 25 * i + 17
            if key == struct.pack("<QBQ", 256, 1, 0):
                item = 101 + struct.unpack_from("<I", block, off)[0]
                struct.pack_into("<I", block, item + 52, int(mode, 8))
        block[:4] = struct.pack("<I", crc32c(block[32:]))
        for at in copies:
            poke(path, at, block)


def first(path):
    data, n = load(path), 0
    for copies in blocks(data):
        if len(copies) > 1:
            poke(path, copies[0] + 1000, bytes([data[copies[0] + 1000] ^ 1]))
            n += 1
    print(n)


def damage(path, program):
    data, seen, found, metadata = load(path), 0, 0, 0
    wanted = walk(program, "btrfs", path)
    for copies in blocks(data):
        for at in copies:
            poke(path, at + 50, bytes([data[at + 50] ^ 0x10]))
        seen += 1
        found += compare(wanted, walk(program, "btrfs", path), copies[0])
        metadata += is_metadata(data, copies[0])
        for at in copies:
            poke(path, at + 50, bytes([data[at + 50]]))
    if walk(program, "btrfs", path) != wanted:
        raise SystemExit("another tree in the end")
    print("%d damaged (%d of metadata), %d noticed" % (seen, metadata, found))
    # That of extents, free space and checksums of nothing is not read.
    if seen < 15 or found < seen // 2:
        raise SystemExit("too few")


globals()[sys.argv[1]](*sys.argv[2:])
