#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/xfs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-xfs.py [DIRECTORY]

Sparse images (tests/sparse.h) of the smallest filesystems that mkfs.xfs
makes, without their logs.  Version 5 is filled through the kernel, so that
this must run as root; version 4 by mkfs.xfs and xfs_db."""

import os
import struct
import subprocess
import sys
import tempfile

from seeds import sparse

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/xfs"
MKFS = ["mkfs.xfs", "-q", "-f", "--unsupported"]


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def save(name, path):
    """A log that was never written is clean; free space holds nothing."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    block, = struct.unpack_from(">I", data, 4)
    start, = struct.unpack_from(">Q", data, 48)
    length, = struct.unpack_from(">I", data, 96)
    ag_log = data[124]
    ag_blocks, = struct.unpack_from(">I", data, 84)
    at = ((start >> ag_log) * ag_blocks + (start & (1 << ag_log) - 1)) * block
    data[at:at + length * block] = bytes(length * block)
    with open(OUT + "/" + name, "wb") as f:
        f.write(sparse(bytes(data)))


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top, many):
    """A file of each form, small."""
    os.chdir(top)
    touch("small", b"small")
    os.symlink("target", "link")
    os.symlink("l" * 900, "link-long")
    os.mknod("device", 0o20600, os.makedev(1, 3))
    for n in (3, 40):
        os.mkdir("dir-%d" % n)
        for i in range(n):
            os.link("small", "dir-%d/%d" % (n, i))
    # Beside blocks of entries an index: a leaf, or a tree of them.
    os.mkdir("dir-leaf")
    for i in range(25):
        os.link("small", "dir-leaf/%s%d" % ("n" * 240, i))
    if many:
        os.mkdir("dir-node")
        for i in range(700):
            os.link("small", "dir-node/%d" % i)
    fd = os.open("extents", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, 10 * 1024)
    os.pwrite(fd, b"x", 3 * 1024)
    for i in range(100 if many else 5):
        os.pwrite(fd, b"%d" % i, (20 + 2 * i) * 1024)
    os.close(fd)
    os.setxattr("small", "user.short", b"value")
    touch("attributes")
    for i in range(8):
        os.setxattr("attributes", "user.%d" % i, b"v" * 50)
    touch("attribute-long")
    os.setxattr("attribute-long", "user.long", b"v" * 3000)
    if many:
        touch("attributes-tree")
        for i in range(40):
            os.setxattr("attributes-tree", "user.%d" % i, b"v" * 100)
    os.chdir("/")


def version_5(name, many, *options):
    with tempfile.TemporaryDirectory() as tmp:
        image, top = tmp + "/image", tmp + "/mnt"
        os.mkdir(top)
        run(*MKFS, "-d", "agcount=1,size=16m,file,name=" + image, *options)
        run("mount", "-o", "loop", image, top)
        try:
            fill(top, many)
        finally:
            run("umount", top)
        save(name, image)


def version_4(name, *options):
    proto = ["/dev/null", "0 0", "d--755 0 0"]
    with tempfile.TemporaryDirectory() as tmp:
        image = tmp + "/image"
        touch(tmp + "/data", b"data" * 1000)
        for n, length in ((3, 1), (40, 1), (25, 200)):
            proto.append("dir-%d-%d d--755 0 0" % (n, length))
            proto += ["%s%d ---644 0 0 %s/data" % ("n" * length, i, tmp)
                      if i == 0 else "%s%d p--644 0 0" % ("n" * length, i)
                      for i in range(n)] + ["$"]
        proto += ["link l--777 0 0 target",
                  "link-long l--777 0 0 " + "l" * 900, "$", ""]
        touch(tmp + "/proto", "\n".join(proto).encode())
        run(*MKFS, "-d", "agcount=1,size=16m,file,name=" + image,
            "-m", "crc=0", "-p", tmp + "/proto", *options)
        root = subprocess.run(["xfs_db", "-r", "-c", "sb 0", "-c",
                               "p rootino", image], check=True,
                              capture_output=True).stdout.split()[-1].decode()
        sets = []
        for i, size in enumerate((10, 100, 500, 3000)):
            sets += ["-c", "attr_set -u a%d -v %d" % (i, size)]
        run("xfs_db", "-x", "-c", "inode " + root, *sets, image)
        save(name, image)


os.makedirs(OUT, exist_ok=True)
version_5("v5", True, "-b", "size=1k", "-m", "rmapbt=1", "-i", "nrext64=1")
version_5("v5-small", False, "-b", "size=1k", "-m",
          "bigtime=0,inobtcount=0,reflink=0,finobt=0", "-i", "sparse=0")
version_4("v4", "-b", "size=1k", "-n", "ftype=0")
version_4("v4-512", "-b", "size=512", "-i", "attr=2")
