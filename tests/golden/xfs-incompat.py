#!/usr/bin/env python3
"""Sets incompatible features in the superblocks of the XFS image argv[1]:
argv[2] are the bits."""
import struct
import sys

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


with open(sys.argv[1], "r+b") as f:
    sb = f.read(512)
    block, = struct.unpack_from(">I", sb, 4)
    ag_blocks, ag_count = struct.unpack_from(">II", sb, 84)
    sector, = struct.unpack_from(">H", sb, 102)
    for ag in range(ag_count):
        f.seek(ag * ag_blocks * block)
        sb = bytearray(f.read(sector))
        bits, = struct.unpack_from(">I", sb, 216)
        struct.pack_into(">I", sb, 216, bits | int(sys.argv[2], 0))
        struct.pack_into("<I", sb, 224, 0)
        struct.pack_into("<I", sb, 224, crc32c(sb))
        f.seek(ag * ag_blocks * block)
        f.write(sb)
