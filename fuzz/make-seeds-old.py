#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/qcow, qed and parallels again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-old.py [DIRECTORY]

Images with the smallest clusters that a format has, each with one thing of
the format."""

import struct
import zlib

from seeds import records as sparse, write

DATA = bytes(range(256)) * 2


def deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -12)
    return z.compress(data) + z.flush()


def be64(*entries):
    return struct.pack(f">{len(entries)}Q", *entries)


def le64(*entries):
    return struct.pack(f"<{len(entries)}Q", *entries)


def le32(*entries):
    return struct.pack(f"<{len(entries)}I", *entries)


# --- qcow: clusters and L2 tables of 512 bytes ------------------------------

def qcow(version=1, name_at=0, name=b"", size=40000, bits=9, l2_bits=6,
         crypt=0, l1=64, l1_entries=(512,)):
    h = struct.pack(">4sIQIIQBBHIQ", b"QFI\xfb", version, name_at, len(name),
                    0, size, bits, l2_bits, 0, crypt, l1)
    h = h.ljust(l1, b"\0") + be64(*l1_entries)
    return h.ljust(name_at, b"\0") + name


PACKED = 1 << 63
STREAM = deflate(DATA)
L = len(STREAM) << (63 - 9)
QCOW = {
    "data": sparse((0, qcow()), (512, be64(1024, 1536, 0, 1024)),
                   (1024, DATA + DATA)),
    "packed": sparse((0, qcow()), (512, be64(PACKED | L | 1100, 0,
                                             PACKED | L | 1100)),
                     (1100, STREAM)),
    "backing": sparse((0, qcow(name_at=200, name=b"base.raw")),
                      (512, be64(0, 1024)), (1024, DATA)),
    "aes": sparse((0, qcow(crypt=1)), (512, be64(1024)), (1024, DATA)),
    "large": sparse((0, qcow(size=1 << 36, bits=16, l2_bits=13,
                             l1_entries=(0,) * 100 + (65536,) + (0,) * 27)),
                    (65536 + 65535, b"\0")),
    "bad": sparse((0, qcow(l1_entries=(512, 512))),
                  (512, be64(513, 1 << 40, PACKED | 512, 512)),
                  (1024, DATA)),
    "short": sparse((0, qcow()), (512, be64(1024, 1536).ljust(512, b"\0")),
                    (1024, DATA[:300])),
    "cut": qcow()[:40],
}

# --- qed: clusters of 4 KiB ---------------------------------------------------

K = 4096


def qed(cluster=K, table=1, header=1, features=0, l1=K, size=1 << 20,
        name_at=64, name=b""):
    return struct.pack("<4sIIIQQQQQII", b"QED\0", cluster, table, header,
                       features, 0, 0, l1, size, name_at, len(name)) + name


QED = {
    "data": sparse((0, qed()), (K, le64(2 * K)),
                   (2 * K, le64(3 * K, 4 * K, 0, 1)), (5 * K - 512, DATA)),
    "tables": sparse((0, qed(table=4, l1=K)), (K, le64(0, 5 * K)),
                     (5 * K + 8000, le64(9 * K)), (10 * K - 512, DATA)),
    "backing": sparse((0, qed(features=5, name=b"base.raw")),
                      (K, le64(2 * K)), (2 * K, le64(3 * K, 0, 1)),
                      (4 * K - 512, DATA)),
    "need-check": sparse((0, qed(features=2)), (3 * K - 4, b"\0\0\0\0")),
    "unknown": sparse((0, qed(features=8)), (2 * K - 4, b"\0\0\0\0")),
    "leak": sparse((0, qed()), (9 * K - 1, b"\0")),
    "twice": sparse((0, qed()), (K, le64(2 * K, 2 * K, K)),
                    (2 * K, le64(3 * K, 3 * K, 2 * K, 77, 1 << 50)),
                    (4 * K - 1, b"x")),
    "short": sparse((0, qed()), (K, le64(2 * K)), (2 * K, le64(3 * K)),
                    (3 * K, DATA)),
    "large": sparse((0, qed(cluster=1 << 16, l1=1 << 16, size=1 << 40)),
                    (1 << 16, le64(2 << 16)), ((3 << 16) - 1, b"\0")),
    "cut": qed()[:60],
}

# --- Parallels: clusters of one or two sectors --------------------------------


def parallels(magic=b"WithouFreSpacExt", version=2, tracks=2, bat=(),
              sectors=None, in_use=0x312e3276, data_off=2, flags=0, ext=0):
    n = len(bat) * tracks if sectors is None else sectors
    return struct.pack("<16sIIIIIQIIIQ", magic, version, 16, 100, tracks,
                       len(bat), n, in_use, data_off, flags, ext) + le32(*bat)


OLD = b"WithoutFreeSpace"
PARALLELS = {
    "clusters": sparse((0, parallels(bat=(1, 2, 0, 4, 3))), (1024, DATA * 8)),
    "sectors": sparse((0, parallels(OLD, tracks=1, bat=(1, 3, 0, 2),
                                    data_off=0)), (512, DATA * 3)),
    "63": sparse((0, parallels(OLD, tracks=63, bat=(1, 64, 0), data_off=1)),
                 (64 * 512, DATA), (127 * 512 - 1, b"x")),
    "in-use": sparse((0, parallels(bat=(1,), in_use=0x746f6e59, flags=1)),
                     (1024, DATA * 2)),
    "extension": sparse((0, parallels(bat=(1,), ext=4)), (1024, DATA * 2),
                        (2048, le64(0xab234cef23dcea87)),
                        (3071, b"\0")),
    "bad": sparse((0, parallels(bat=(1, 1, 9, 0xffffffff), sectors=100)),
                  (1024, DATA * 2)),
    "misfit": sparse((0, parallels(OLD, bat=(2, 5, 7, 1))),
                     (1024, DATA * 6)),
    "short": sparse((0, parallels(bat=(1, 2))), (1024, DATA * 3)),
    "large": sparse((0, parallels(tracks=2048, bat=(1,) + (0,) * 40,
                                  data_off=2048)), ((1 << 20) - 1, b"\0")),
    "cut": parallels()[:60],
}


if __name__ == "__main__":
    write({"qcow": QCOW, "qed": QED, "parallels": PARALLELS})
