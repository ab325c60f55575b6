#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/vhdx again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-vhdx.py [DIRECTORY]

Sparse images: tests/golden/vhdx.py makes them, and what is not zero becomes
records for fuzz-format.c.  Checksums are zero: fuzz-vhdx.c makes them right,
so that what the fuzzer changes still gets behind them."""

import os
import re
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/golden")
sys.dont_write_bytecode = True
import vhdx  # noqa: E402
from vhdx import K, M, ZERO, UNMAPPED, PRESENT, PARTIAL  # noqa: E402
from seeds import write  # noqa: E402

DATA = bytes(range(1, 64))


def sparse(data, size):
    """Runs of at most 64 KiB that are not zero, and the last byte."""
    out = b"SPRS"
    for m in re.finditer(rb"[^\0](?:[^\0]|\0{1,15}(?=[^\0]))*", data):
        out += struct.pack(">IH", m.start(), len(m[0])) + m[0]
    if data[-1:] == b"\0":
        out += struct.pack(">IH", size - 1, 1) + b"\0"
    return out


def without_checksums(data):
    data = bytearray(data)
    for at in 64 * K, 128 * K, 192 * K, 256 * K:
        data[at + 4:at + 8] = bytes(4)
    for at in range(M, len(data), 4096):
        if data[at:at + 4] == b"loge":
            data[at + 4:at + 8] = bytes(4)
    # One region table is enough, and twice as fast.
    data[256 * K:320 * K] = bytes(64 * K)
    return bytes(data)


def seed(size=3 * M - 512, **more):
    with tempfile.TemporaryDirectory() as tmp:
        path = tmp + "/image"
        vhdx.image(path, size, **more)
        with open(path, "rb") as f:
            data = f.read(6 * M)
    return sparse(without_checksums(data), len(data))


def log(*entries):
    made = vhdx.Log()
    for sequence, updates, more in entries:
        made.add(sequence, updates, **more)
    return made


BAT_SECTOR = struct.pack("<QQQ", 4 * M | PRESENT, ZERO, 5 * M | PRESENT)
BAT_SECTOR = BAT_SECTOR.ljust(4096, b"\0")
PARENT = [("parent_linkage", "{00000000-0000-0000-0000-000000000000}"),
          ("relative_path", ".\\parent.vhdx"),
          ("absolute_win32_path", "\\\\?\\c:\\x\\parent.vhdx")]
ITEMS = vhdx.standard_items(3 * M, M, 512, 4096, 0)

SEEDS = {
    "dynamic": seed(blocks={0: (PRESENT, DATA), 1: (ZERO, None),
                            2: (UNMAPPED, None)}),
    "fixed": seed(2 * M, fixed=True, blocks={0: (PRESENT, DATA),
                                             1: (PRESENT, DATA)}),
    "4k": seed(sector=4096, physical=4096, blocks={1: (PRESENT, DATA)}),
    "large-blocks": seed(60 << 40, block=256 * M, blocks={}),
    "child": seed(parent=PARENT, blocks={0: (PARTIAL, DATA),
                                         1: (PRESENT, DATA)},
                  bitmaps={0: b"\x05\xff\0\xf0"}),
    "states": seed(blocks={0: (1, None), 1: (4, None), 2: (5, None)}),
    "short": seed(M, blocks={0: (PRESENT, DATA)}, short=M - 1000),
    "log": seed(log=log((1, [(2 * M, BAT_SECTOR), (4 * M, 4096)],
                         {"flushed": 4 * M, "last": 6 * M}))),
    "log-sequence": seed(
        blocks={0: (PRESENT, DATA)},
        log=log((1, [(2 * M, bytes(4096))], {}),
                (2, [(4 * M, 1 << 20)], {"tail": 0}),
                (3, [(4 * M + 8192, DATA.ljust(4096, b"x"))], {"tail": 0}))),
    "log-wrapped": seed(
        log=log((5, [(2 * M, BAT_SECTOR)], {"at": M - 4096}),
                (6, [(4 * M, DATA.ljust(4096, b"y"))],
                 {"tail": M - 4096, "last": 6 * M}))),
    "log-cut": seed(log=log((1, [(2 * M, BAT_SECTOR)],
                             {"flushed": 9 * M}))),
    "log-many": seed(log=log((1, [(4 * M + i * 4096, 8192)
                                  for i in range(140)], {}))),
    "items": seed(items=ITEMS + [(vhdx.BAT_ID, 1, b"user"),
                                 (vhdx.METADATA_ID, 0, b"other")]),
}


if __name__ == "__main__":
    write({"vhdx": SEEDS})
