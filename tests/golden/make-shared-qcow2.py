# xrayfs: a qcow2 of a few KiB or MiB that holds any number of GiB
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make-shared-qcow2.py FILE SIZE CLUSTER_BITS N BYTE
#
# The first N clusters of the disk are one cluster of the file, which has BYTE
# at each 64 KiB and zeros between.
import struct, sys

out, size, bits, n, byte = sys.argv[1], *map(int, sys.argv[2:])
c = 1 << bits
per = c // 8
l1 = -(-size // (c * per))
tables = -(-n // per)
data = (4 + tables) * c
assert l1 * 8 <= c
with open(out, "wb") as f:
    f.truncate(data + c)
    f.write(struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, bits,
                        size, 0, l1, 3 * c, c, 1, 0, 0, 0, 0, 0, 4, 104))
    f.seek(c)
    f.write(struct.pack(">Q", 2 * c))
    f.seek(2 * c)
    f.write(b"\0\1" * (data // c + 1))
    for t in range(tables):
        f.seek(3 * c + t * 8)
        f.write(struct.pack(">Q", (4 + t) * c | 1 << 63))
        f.seek((4 + t) * c)
        f.write(struct.pack(">Q", data) * min(per, n - t * per))
    for at in range(data, data + c, 65536):
        f.seek(at)
        f.write(bytes([byte]))
