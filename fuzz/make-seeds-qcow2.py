#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/qcow2 again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-qcow2.py [DIRECTORY]

Images of a few 512 byte clusters, each with one thing of the format:
qemu-img writes the same with refcounts, which make them larger and which we
do not read."""

import struct
import subprocess
import zlib

from seeds import records as sparse, write

COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1


def header(version=3, bits=9, size=4096, l1=512, l1_size=1, crypt=0,
           incompatible=0, compatible=0, autoclear=0, backing=b"", snaps=0,
           snaps_off=0, compression=0, extensions=()):
    length = 72 if version == 2 else 112
    ext = b"".join(struct.pack(">II", t, len(d)) + d + b"\0" * (-len(d) % 8)
                   for t, d in extensions) + b"\0" * 8
    at = length + len(ext) if backing else 0
    h = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, at, len(backing),
                    bits, size, crypt, l1_size, l1, 1 << bits, 1, snaps,
                    snaps_off)
    if version == 3:
        h += struct.pack(">QQQIIB7x", incompatible, compatible, autoclear, 4,
                         length, compression)
    return h + ext + backing


def image(head, *clusters, cluster=512):
    """Cluster 0 is the header, then those given, from 512 on."""
    data = head.ljust(cluster, b"\0")
    for c in clusters:
        data += c.ljust(-(-len(c) // cluster) * cluster, b"\0")
    return data


def table(*entries):
    return b"".join(struct.pack(">Q", e) for e in entries)


def compressed(at, length, bits=9):
    sectors = (at % 512 + length + 511) // 512 - 1
    return COMPRESSED | sectors << (62 - (bits - 8)) | at


def deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -12)
    return z.compress(data) + z.flush()


def zstd(data):
    return subprocess.run(["zstd", "-19", "-c"], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


L1 = table(1024 | COPIED)
DATA = bytes(range(256)) * 2
SNAP = (struct.pack(">QIHHIIQII", 512, 1, 1, 4, 1600000000, 0, 0, 0, 16) +
        struct.pack(">QQ", 0, 4096) + b"1" + b"snap")
NAMES = struct.pack(">BB46s", 0, 0, b"dirty bit") + \
    struct.pack(">BB46s", 0, 7, b"future")

SEEDS = {
    "v2-data": image(header(2), L1, table(1536 | COPIED, 0, 1536), DATA),
    "v3-zero": image(header(), L1, table(ZERO, 1536 | COPIED | ZERO, 0,
                                         1536 | COPIED), DATA),
    "v3-zlib": image(header(), L1,
                     table(compressed(1540, 300), compressed(1540, 300)),
                     b"\1\2\3\4" + deflate(DATA)),
    "v3-zstd": image(header(incompatible=8, compression=1), L1,
                     table(compressed(1536, 400)), zstd(DATA)),
    "v2-backing": image(header(2, backing=b"base.qcow2",
                               extensions=[(0xe2792aca, b"qcow2")]),
                        L1, table(0, 1536 | COPIED), DATA),
    "v3-json": image(header(backing=b'json:{"driver":"nbd"}'), L1),
    "v3-data-file": image(header(incompatible=4, autoclear=2,
                                 extensions=[(0x44415441, b"data.raw")]),
                          L1, table(COPIED, 512 | COPIED)),
    "v3-snapshots": image(header(snaps=2, snaps_off=1536), L1,
                          table(1536 | COPIED), SNAP + b"\0\0\0" + SNAP),
    "v3-flags": image(header(incompatible=3, compatible=1, autoclear=1,
                             extensions=[(0x6803f857, NAMES),
                                         (0x23852875, b"\0" * 24)]), L1,
                      table(1536 | COPIED), DATA),
    "v3-unknown": image(header(incompatible=0x80,
                               extensions=[(0x6803f857, NAMES)]), L1),
    "v3-luks": image(header(crypt=2, extensions=[(0x0537be77, b"\0" * 16)]),
                     L1, table(1536 | COPIED), DATA),
    "v3-bad": image(header(size=8192), table(1 << 40, 513), table(1 << 50)),
    "v3-short": image(header(), L1, table(1536 | COPIED, 2048 | COPIED),
                      DATA)[:1836],
    "v3-cut": image(header())[:100],
    "v3-extended": sparse(
        (0, header(bits=14, size=65536, incompatible=16, l1=16384)),
        (16384, table(32768 | COPIED)),
        (32768, table(49152 | COPIED, 0xf0f00000f0f, 0, 0xff00000000,
                      compressed(49152 + 5000, 300, 14), 0)),
        (49152, DATA[:100])),
    "v3-2m": sparse((0, header(bits=21, size=1 << 40, l1=0, l1_size=4)),
                    (112, DATA[:8])),
}


if __name__ == "__main__":
    write({"qcow2": SEEDS})
