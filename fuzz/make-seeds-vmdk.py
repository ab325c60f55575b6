#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/vmdk and vmdk-extent again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-vmdk.py [DIRECTORY]

Disks of a few sectors, each with one thing of the format."""

import os
import random
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(here, "..", "tests", "golden"))
import make_vmdk as m  # noqa: E402

random.seed(1)
NOISE = random.randbytes(200)
DATA = {0: b"a" * 512, 1: NOISE + bytes(312), 5: b"z" * 512}
SMALL = dict(grain=1, gtes=8, desc_sectors=1)


def desc(kind, **kw):
    return m.descriptor(kind, ["RW 20 SPARSE \"x.vmdk\""], **kw)


def sparse_records(image):
    """The "SPRS" form of fuzz-format.c."""
    out, at = b"SPRS", 0
    for i in range(0, len(image), 32):
        if any(image[i:i + 32]):
            piece = image[i:i + 32].rstrip(b"\0")
            out += struct.pack(">IH", i, len(piece)) + piece
            at = i + len(piece)
    if at < len(image):
        out += struct.pack(">IH", len(image) - 1, 1) + b"\0"
    return out


def small(data=DATA, kind="monolithicSparse", how=None, **kw):
    d = kw.pop("desc", None) or desc(kind)
    return m.hosted(data, 20, desc=d, **{**SMALL, **kw})


def squeezed(**kw):
    d = kw.pop("desc", None) or desc("streamOptimized")
    return m.stream(DATA, 20, desc=d, **{**SMALL, **kw})


LINES = ["RW 8 FLAT \"f.img\" 2", "RDONLY 8 ZERO", "NOACCESS 4 FLAT \"x\" 0",
         "RW 9 VMFS \"y\"", "RW 5 SESPARSE \"s\"", "RW 5 VMFSSPARSE \"c\""]
IMAGES = {
    "sparse": small(),
    "redundant": small(redundant=True),
    "zeroed": small(zeroed=(2, 3)),
    "parent": small(desc=desc("monolithicSparse", parent=1, hint="p.vmdk")),
    "parent-unnamed": small(desc=desc("monolithicSparse", parent=1)),
    "unclean": small(unclean=1),
    "no-descriptor": m.hosted(DATA, 20, grain=1, gtes=8, desc_sectors=0),
    "stream": squeezed(),
    "stream-no-footer": squeezed(footer=False),
    "stream-no-markers": squeezed(markers=False),
    "wrapped": small(desc=m.descriptor("custom", LINES))[:1024],
    "flat": m.descriptor("monolithicFlat", ["RW 8 FLAT \"f.img\" 0"]),
    "lines": m.descriptor("custom", LINES),
    "encrypted": m.descriptor("vmfs", ["RW 8 VMFS \"x\""],
                              more="ddb.iofilters = \"vmwarevmcrypt\"\n"),
    "versioned": b"# c\n  \nversion=1\nCID=1\ncreateType=\"vmfs\"\n"
                 b"RW 1 ZERO\n",
}
wrapped = bytearray(IMAGES["wrapped"])
wrapped[12:20] = bytes(8)
IMAGES["wrapped"] = bytes(wrapped)
EXTENTS = {
    "cowd": m.cowd(DATA, 20),
    "sesparse": m.sesparse({0: b"a" * 4096, 1: NOISE, 5: b"z"}, 100,
                           zeroed=(2,), unmapped=(3,)),
    "hosted": m.hosted(DATA, 20, grain=1, gtes=8, desc_sectors=0),
    "stream": squeezed(),
}

where = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "corpus")
for folder, images in (("vmdk", IMAGES), ("vmdk-extent", EXTENTS)):
    os.makedirs(os.path.join(where, folder), exist_ok=True)
    for name, data in images.items():
        if folder == "vmdk":
            data = min(data, sparse_records(data), key=len)
        with open(os.path.join(where, folder, name), "wb") as f:
            f.write(data)
