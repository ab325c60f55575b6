#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/squashfs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-squashfs.py [DIRECTORY]

Small trees through mksquashfs.  One is not compressed at all, so that the
fuzzer gets at the metadata."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/squashfs"


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top):
    os.chdir(top)
    touch("small", b"small")
    touch("blocks", b"".join(b"%d\n" % i for i in range(3000)))
    touch("holes", b"x" * 100)
    with open("holes", "r+b") as f:
        f.seek(40000)
        f.write(b"y" * 5000)
    os.symlink("target", "link")
    os.mknod("device", 0o20600, os.makedev(1, 3))
    os.mkfifo("fifo")
    os.mkdir("large")
    for i in range(40):
        os.link("small", "large/entry-%d" % i)
    os.makedirs("a/b/c")
    for i in range(3):
        touch("attributes-%d" % i)
        os.setxattr("attributes-%d" % i, "user.shared", b"v" * 100)
        os.setxattr("attributes-%d" % i, "trusted.own", b"%d" % i)
    os.setxattr("link", "trusted.link", b"1", follow_symlinks=False)
    os.setxattr("fifo", "trusted.fifo", b"1")
    os.setxattr("device", "trusted.device", b"1")
    os.chdir("/")


def seed(name, *options):
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(tmp + "/tree")
        fill(tmp + "/tree")
        subprocess.run(["mksquashfs", tmp + "/tree", OUT + "/" + name,
                        "-noappend", "-b", "4096", "-all-time", "1500000000",
                        "-mkfs-time", "1500000000", "-nopad", *options],
                       check=True, stdout=subprocess.DEVNULL)


os.makedirs(OUT, exist_ok=True)
seed("plain", "-noI", "-noD", "-noF", "-noX", "-noId")
seed("gzip")
for how in ("lzma", "lzo", "lz4", "xz", "zstd"):
    seed(how, "-comp", how)
