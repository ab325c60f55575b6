#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/squashfs and of erofs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-squashfs.py [DIRECTORY]

A small tree through mksquashfs and mkfs.erofs.  One squashfs is not
compressed at all, so that the fuzzer gets at the metadata.  What Debian 12's
mkfs.erofs cannot write comes from the one that MKFS_EROFS names (1.9 did)."""

import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus"


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


def make_sparse(path):
    """tests/sparse.h"""
    with open(path, "rb") as f:
        data = f.read()
    out = b"SPRS"
    for m in re.finditer(rb"[^\0](?:[^\0]|\0{1,15}(?=[^\0]))*", data):
        out += struct.pack(">IH", m.start(), len(m[0])) + m[0]
    with open(path, "wb") as f:
        f.write(out + struct.pack(">IH", len(data) - 1, 1) + data[-1:])


def seed(how, name, *options, mkfs="mkfs.erofs"):
    os.makedirs(OUT + "/" + how, exist_ok=True)
    to = OUT + "/" + how + "/" + name
    with tempfile.TemporaryDirectory() as tmp:
        tree = tmp + "/tree"
        os.mkdir(tree)
        fill(tree)
        make = {"squashfs": ["mksquashfs", tree, to, "-noappend", "-b", "4096",
                             "-all-time", "1500000000", "-mkfs-time",
                             "1500000000", "-nopad", *options],
                "erofs": [mkfs, "-T", "1500000000", "-U",
                          "00000000-0000-0000-0000-000000000001", *options,
                          to, tree]}
        subprocess.run(make[how], check=True, stdout=subprocess.DEVNULL)
    if how == "erofs":
        make_sparse(to)


seed("squashfs", "plain", "-noI", "-noD", "-noF", "-noX", "-noId")
seed("squashfs", "gzip")
for compression in ("lzma", "lzo", "lz4", "xz", "zstd"):
    seed("squashfs", compression, "-comp", compression)
seed("erofs", "plain", "-x", "1")
seed("erofs", "chunks", "--chunksize=4096")
seed("erofs", "lz4", "-zlz4", "-E", "force-inode-extended")
seed("erofs", "lz4-legacy", "-zlz4", "-E", "legacy-compress")
seed("erofs", "lz4-tails", "-zlz4hc", "-C16384", "-E", "ztailpacking")
if "MKFS_EROFS" in os.environ:
    for name, *options in (
            ("lzma-fragments", "-zlzma", "-C16384", "-E", "fragments"),
            ("deflate-dedupe", "-zdeflate", "-C8192", "-E",
             "dedupe,ztailpacking"),
            ("zstd-fragments", "-zzstd", "-C16384", "-E",
             "all-fragments,dedupe")):
        seed("erofs", name, *options, mkfs=os.environ["MKFS_EROFS"])
