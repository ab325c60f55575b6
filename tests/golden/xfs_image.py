#!/usr/bin/env python3
"""Changes XFS images of version 5, with checksums that are right.

  xfs_image.py incompat IMAGE BITS   sets incompatible features
  xfs_image.py expand SEED IMAGE     makes a fuzzer's sparse seed an image
  xfs_image.py damage IMAGE WALK     damages each block of metadata in turn
  xfs_image.py index IMAGE           damages the indices of directories
  xfs_image.py circle IMAGE          leaves of attributes in a circle"""
import struct
import sys

sys.dont_write_bytecode = True
from image_tools import compare, crc32c, expand, load, save, walk


def number(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


def put_crc(data, at, length, crc_at):
    part = bytearray(data[at:at + length])
    part[crc_at:crc_at + 4] = bytes(4)
    data[at + crc_at:at + crc_at + 4] = struct.pack("<I", crc32c(part))


def incompat(path, bits):
    with open(path, "r+b") as f:
        first = f.read(512)
        step = number(first, 84, 4) * number(first, 4, 4)
        for ag in range(number(first, 88, 4)):
            f.seek(ag * step)
            sb = bytearray(f.read(number(first, 102, 2)))
            sb[216:220] = struct.pack(">I", number(sb, 216, 4) | int(bits, 0))
            put_crc(sb, 0, len(sb), 224)
            f.seek(ag * step)
            f.write(sb)


def metadata(data):
    """Offsets of what files have: not that of free space, and of inodes."""
    block, inode = number(data, 4, 4), number(data, 104, 2)
    for at in range(0, len(data), block):
        if data[at:at + 4] in (b"BMA3", b"XDB3", b"XDD3", b"XARM", b"XSLM") \
                or number(data, at + 8, 2) in (0x3ebe, 0x3df1, 0x3dff, 0x3bee):
            yield at, block
        elif data[at:at + 2] == b"IN":
            for i in range(at, at + block, inode):
                if number(data, i + 2, 2):
                    yield i, inode


def damage(path, program):
    data, seen, found = load(path), 0, 0
    wanted = walk(program, "xfs", path)
    for at, size in metadata(data):
        copy = bytearray(data)
        copy[at + size // 2] ^= 0x10
        save(path, copy)
        seen += 1
        found += compare(wanted, walk(program, "xfs", path), at)
    save(path, data)
    print("%d damaged, %d noticed" % (seen, found))
    # A block in the index alone costs nothing but time.
    if seen < 20 or found < seen * 3 // 4:
        raise SystemExit("too few")


def index(path):
    data, n = load(path), 0
    dir_block = number(data, 4, 4) << data[192]
    for at, _ in metadata(data):
        if number(data, at + 8, 2) in (0x3df1, 0x3dff):
            data[at + 64:at + dir_block - 64] = bytes(dir_block - 128)
            put_crc(data, at, dir_block, 12)
            n += 1
    save(path, data)
    print(n)


def circle(path):
    data = load(path)
    for at, block in metadata(data):
        if number(data, at + 8, 2) == 0x3bee and number(data, at + 4, 4):
            data[at:at + 4] = data[at + 4:at + 8]
            put_crc(data, at, block, 12)
    save(path, data)


globals()[sys.argv[1]](*sys.argv[2:])
