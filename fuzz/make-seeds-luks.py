#!/usr/bin/env python3
"""Makes the seeds of the luks fuzz target: fuzz/corpus/luks/*."""
import struct

from seeds import write


def header(payload=16, key=64, version=1, slots=None, iterations=1000,
           cipher=b"aes"):
    h = (b"LUKS\xba\xbe" + struct.pack(">H32s32s32sII20s32sI40s", version,
                                       cipher, b"xts-plain64", b"sha256",
                                       payload, key, b"d" * 20, b"s" * 32,
                                       iterations, b"01234567-89ab"))
    for i in range(8):
        s = (slots or {}).get(i, (0xdead, 0, 8 + i, 4000))
        h += struct.pack(">II32sII", s[0], s[1], b"", s[2], s[3])
    return h


DATA = bytes(range(256)) * 36  # 9216: 1024 bytes of data
SEEDS = {
    "good": (header() + DATA)[:9216],
    "odd": (header() + DATA)[:9000],
    "active": (header(slots={0: (0xac71f3, 1000, 8, 4000),
                             1: (0xac71f3, 0, 0, 1),
                             2: (7, 7, 0xffffffff, 0xffffffff)}) +
               DATA)[:9216],
    "beyond": header(payload=0xffffffff, key=0xffffffff),
    "overlap": header(payload=1),
    "name": (header(cipher=b"x" * 32) + DATA)[:9216],
    "version": header(version=2),
    "cut": header()[:300],
}


if __name__ == "__main__":
    write({"luks": SEEDS})
