#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/fat and fuzz/corpus/exfat again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-fat.py [DIRECTORY]

Sparse images (tests/sparse.h) with a little of everything."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE + "/../tests/golden")
from fat_image import LABEL, RO, Exfat, Fat, File, long_slots  # noqa: E402
from seeds import sparse  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus"


def save(kind, name, data):
    os.makedirs(OUT + "/" + kind, exist_ok=True)
    with open("%s/%s/%s" % (OUT, kind, name), "wb") as f:
        f.write(sparse(data))


def tree(cluster, **more):
    """A file of each form, small."""
    return [File("empty"), File("small", b"small", attr=RO),
            File("a long name \u00fc \U0001f600", b"x" * (3 * cluster + 5), **more),
            File("dir", [File("sub", [File("file", b"1")]), File("2", [File("file", b"2")]),
                         File("3", [File("file", b"3")])], **more),
            File("many", [File("entry %d" % i) for i in range(60)], **more)]


def fat_tree(cluster):
    def short(name, **more):
        return File(None, b"", short=name, **more)

    label = b"SEED       " + bytes([LABEL]) + bytes(20)
    return [short(b"LABELLED   ", junk=[label]), short(b"\x05\x80\xe4 X  A B", lcase=24),
            short(b"ORPHAN     ", junk=long_slots("nobody's", b"OTHER      "))] + tree(cluster)


for bits, size, sector, per_cluster in ((12, 200 << 10, 512, 8), (16, 2200 << 10, 512, 1),
                                        (32, 300 << 10, 512, 8), (32, 400 << 10, 4096, 1)):
    v = Fat(bits, size, sector, per_cluster)
    save("fat", "fat%d-%d" % (bits, sector), v.finish(fat_tree(512)))
for name, sector, per_cluster, size in (("512", 512, 1, 200 << 10), ("4k", 512, 8, 400 << 10)):
    v = Exfat(size, sector, per_cluster)
    files = tree(512) + [File("run", b"y" * 3000, contiguous=True, valid=1000, utc=0xb8),
                         File("vendor", b"v", extra=[bytes([0xe0, 0]) + bytes(30)])] + \
        [File("contiguous", tree(512), contiguous=True)]
    save("exfat", name, v.finish(files))
