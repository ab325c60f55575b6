#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/iso9660 again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-iso9660.py [DIRECTORY]

Sparse images (tests/sparse.h): some of tests/golden/iso_image.py, and some
that xorriso makes."""

import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/golden")
from iso_image import IMAGES, sections  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/iso9660"
RECORD = re.compile(rb"[^\0](?:[^\0]|\0{1,15}(?=[^\0]))*")


def save(name, data):
    out = b"SPRS"
    for m in RECORD.finditer(data):
        for at in range(m.start(), m.end(), 0xffff):
            part = data[at:min(at + 0xffff, m.end())]
            out += struct.pack(">IH", at, len(part)) + part
    out += struct.pack(">IH", len(data) - 1, 1) + b"\0"
    with open(OUT + "/" + name, "wb") as f:
        f.write(out)


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top, lines):
    os.chdir(top)
    touch("small", b"small")
    touch("text", b"a line\n" * lines)
    touch("n" * 200, b"long name")
    os.symlink("target", "link")
    os.symlink("/".join(["c" * 90] * 5), "link-long")
    os.mknod("device", 0o20600, os.makedev(1, 3))
    deep = "deep"
    for i in range(10):
        os.mkdir(deep)
        deep += "/%d" % i
    os.mkdir("large")
    for i in range(20):
        touch("large/entry-%d" % i)
    os.chdir("/")


def xorriso(name, lines, *options):
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(tmp + "/tree")
        fill(tmp + "/tree", lines)
        subprocess.run(["xorriso", "-outdev", "stdio:" + tmp + "/image",
                        "-padding", "0", "-map", tmp + "/tree", "/", *options],
                       check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        with open(tmp + "/image", "rb") as f:
            save(name, f.read())


os.makedirs(OUT, exist_ok=True)
for image, seed in (("names", "plain"), ("odd", "odd"), ("xa", "xa"),
                    ("names-512", "block-512"), ("guessed", "guessed"), ("circle", "circle"),
                    ("empty-root", "empty-root")):
    save(seed, IMAGES[image]())
save("sections", sections(4))
xorriso("rock", 300, "-compliance", "deep_paths_off", "-joliet", "off")
xorriso("both", 300, "-joliet", "on")
xorriso("zisofs", 9000, "-set_filter_r", "--zisofs", "/", "--")
