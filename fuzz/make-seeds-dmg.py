#!/usr/bin/env python3
"""Makes the seeds of the dmg fuzz target: fuzz/corpus/dmg/*.

Run it from anywhere; the seeds are in the repository, so this is only for
changing them.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "golden"))
sys.dont_write_bytecode = True
import dmg  # noqa: E402
from seeds import write  # noqa: E402

RAW = b"".join(b"line %d\n" % (i % 50) for i in range(500))
RAW = RAW[:2048] + bytes(2048) + RAW[2048:2048 + 512] + bytes(512)
N = len(RAW) // 512

SEEDS = {m: dmg.build(RAW, [m], 2) for m in sorted(dmg.PACK) if m != "lzfse"}
SEEDS.update({
    "mixed": dmg.build(RAW, ["zlib", "raw", "bzip2", "adc", "lzma"], 1),
    "fork": dmg.build(RAW, ["zlib"], 4, fork=True),
    "split": dmg.build(RAW, ["zlib"], 4, split=[2, 5], ignore=True),
    "no-sums": dmg.build(RAW, ["raw"], 4, sums=False),
    "offset": dmg.build(RAW, ["raw"], 4, prefix=b"x" * 100, data_offset=7),
    "empty": dmg.finish(b"", [dmg.mish(0, 9, [dmg.chunk("zero", 0, 9)])], 9),
    "huge": dmg.finish(b"", [dmg.mish(0, 1 << 50, [
        dmg.chunk("zero", 0, 1 << 50)], 0)], 1 << 50),
    "unknown": dmg.finish(b"", [dmg.mish(0, 9, [
        dmg.chunk(0x80000009, 0, 9), dmg.chunk("lzfse", 9, 1, 0, 100)])], 9),
    "short": dmg.finish(b"x" * 600, [dmg.mish(0, 9, [
        dmg.chunk("raw", 0, 9, 0, 600)])], 9),
    "encrypted": b"encrcdsa" + b"\0\0\0\2" + bytes(100),
})


if __name__ == "__main__":
    write({"dmg": SEEDS})
