#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/erofs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-erofs.py [DIRECTORY]

The tree of make-seeds-squashfs.py through mkfs.erofs."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/erofs"


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top):
    os.chdir(top)
    touch("small", b"small")
    touch("blocks", b"".join(b"%d\n" % i for i in range(2000)))
    touch("holes", b"x" * 100)
    with open("holes", "r+b") as f:
        f.seek(20000)
        f.write(b"y" * 300)
    os.symlink("target", "link")
    os.mknod("device", 0o20600, os.makedev(1, 3))
    os.mkfifo("fifo")
    os.mkdir("large")
    for i in range(100):
        os.link("small", "large/an-entry-with-a-longer-name-%d" % i)
    os.makedirs("a/b/c")
    for i in range(3):
        touch("attributes-%d" % i)
        os.setxattr("attributes-%d" % i, "user.shared", b"v" * 100)
        os.setxattr("attributes-%d" % i, "trusted.own", b"%d" % i)
    os.chdir("/")


def seed(name, *options):
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(tmp + "/tree")
        fill(tmp + "/tree")
        subprocess.run(["mkfs.erofs", "-T", "1500000000", "-U",
                        "00000000-0000-0000-0000-000000000001", *options,
                        OUT + "/" + name, tmp + "/tree"],
                       check=True, stdout=subprocess.DEVNULL)


os.makedirs(OUT, exist_ok=True)
seed("plain", "-x", "1")
seed("chunks", "--chunksize=4096")
seed("lz4", "-zlz4", "-E", "force-inode-extended")
