#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/btrfs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-btrfs.py [DIRECTORY]

Sparse images (tests/sparse.h) of the smallest filesystems that mkfs.btrfs
makes, filled through the kernel, so that this must run as root, and with what
they do not use any more taken out."""

import fcntl
import os
import struct
import subprocess
import sys
import tempfile

from seeds import sparse

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/btrfs"
FICLONERANGE = 0x4020940D


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top, many):
    """A file of each form, small."""
    os.chdir(top)
    touch("inline", b"small")
    touch("data", b"data" * 1100)
    os.symlink("target", "link")
    os.mknod("device", 0o20600, os.makedev(1, 3))
    for method in ("zlib", "lzo", "zstd"):
        for n in (300, 20000):
            name = "%s-%d" % (method, n)
            touch(name)
            os.setxattr(name, "btrfs.compression", method.encode())
            touch(name, b"%d " % n * (n // 5))
    with open("zlib-20000", "rb") as a, open("clone", "wb") as b:
        fcntl.ioctl(b, FICLONERANGE,
                    struct.pack("qQQQ", a.fileno(), 4096, 8192, 0))
    fd = os.open("extents", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, 4 * 4096)
    os.pwrite(fd, b"x", 2 * 4096)
    for i in range(40 if many else 2):
        os.pwrite(fd, b"%d" % i, (8 + 2 * i) * 4096)
    os.close(fd)
    os.setxattr("data", "user.short", b"value")
    os.mkdir("dir")
    for i in range(60 if many else 3):
        os.link("inline", "dir/%d" % i)
    # Of one hash: these five bytes are the polynomial.
    touch("dir/AAAAA")
    touch(b"dir/" + bytes(x ^ y for x, y in
                          zip(b"AAAAA", b"\xf1\x76\xec\x05\x01")))
    run("btrfs", "subvolume", "create", "sub")
    run("btrfs", "subvolume", "create", "sub/below")
    touch("sub/file", b"in a subvolume")
    run("btrfs", "subvolume", "snapshot", "sub", "snapshot")
    run("btrfs", "subvolume", "set-default", "snapshot")
    os.chdir("/")


def make(name, size, many, profile, *options):
    with tempfile.TemporaryDirectory() as tmp:
        image, top = tmp + "/image", tmp + "/mnt"
        os.mkdir(top)
        with open(image, "wb") as f:
            f.truncate(size << 20)
        run("mkfs.btrfs", "-q", "-M", "-n", "4096", *options, image)
        run("mount", "-o", "loop", image, top)
        try:
            # A smaller image than mkfs.btrfs would give the profile to.
            run("btrfs", "balance", "start", "-f", "-dconvert=" + profile,
                "-mconvert=" + profile, top)
            fill(top, many)
            run("sync", "-f", top)
            run("fstrim", top)
        finally:
            run("umount", top)
        with open(image, "rb") as f:
            data = f.read()
        with open(OUT + "/" + name, "wb") as f:
            f.write(sparse(data))


os.makedirs(OUT, exist_ok=True)
make("single", 16, True, "single")
make("dup", 24, False, "dup", "-O", "^no-holes")
make("raid0", 32, False, "raid0", "--csum", "xxhash")
