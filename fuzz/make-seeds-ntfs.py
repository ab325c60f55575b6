#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/ntfs again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-ntfs.py [DIRECTORY]

Sparse images (tests/sparse.h) of the smallest volumes that mkntfs makes,
filled through ntfs-3g, so that this must run as root.  The log is dropped, but
for a restart page of our own, and $UpCase is cut to ASCII."""

import os
import random
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/golden")
import ntfs_reparse  # noqa: E402
from seeds import sparse  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus/ntfs"
SIZE = 1536 * 1024


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def attribute(data, record, kind):
    """Where an attribute of a record is."""
    at = record + struct.unpack_from("<H", data, record + 20)[0]
    while struct.unpack_from("<I", data, at)[0] != kind:
        at += struct.unpack_from("<I", data, at + 4)[0]
    return at


def place(data, at, cluster):
    """Bytes of the first run of an attribute: where, how many."""
    p = at + struct.unpack_from("<H", data, at + 32)[0]
    a, b = data[p] & 15, data[p] >> 4
    length = int.from_bytes(data[p + 1:p + 1 + a], "little")
    lcn = int.from_bytes(data[p + 1 + a:p + 1 + a + b], "little")
    return lcn * cluster, length * cluster


def restart_page():
    page = bytearray(4096)
    struct.pack_into("<4sHHQIIHHHH", page, 0, b"RSTR", 30, 9, 0, 4096, 4096,
                     48, 0, 1, 1)
    for at in (30, *range(510, 4096, 512)):
        struct.pack_into("<H", page, at, 1)
    struct.pack_into("<QHHHH", page, 48, 1, 1, 0xffff, 0xffff, 2)
    return page


def trim(data):
    """Drops what is large and says little."""
    cluster = struct.unpack_from("<H", data, 11)[0] * data[13]
    mft = struct.unpack_from("<Q", data, 48)[0] * cluster
    log, size = place(data, attribute(data, mft + 2 * 1024, 0x80), cluster)
    data[log:log + size] = bytes(size)
    data[log:log + 4096] = data[log + 4096:log + 8192] = restart_page()
    up = attribute(data, mft + 10 * 1024, 0x80)
    at, size = place(data, up, cluster)
    data[at + 256:at + size] = bytes(size - 256)
    struct.pack_into("<QQ", data, up + 48, 256, 256)
    boot = struct.unpack_from("<Q", data, 40)[0] * 512
    data[84:510] = bytes(426)
    data[boot:boot + 512] = data[:512]


def touch(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def fill(top, compressed):
    os.chdir(top)
    touch("small", b"small")
    touch("data", b"data" * 400)
    os.link("small", "link")
    os.mkdir("dir")
    for i in range(40):
        os.link("small", "dir/a longer name %d" % i)
    touch("stream", b"x")
    touch("stream:one", b"value")
    touch("many", b"m")
    for i in range(14):
        touch("many:a stream of some length %d" % i, b"v" * 30)
    with open("sparse", "wb") as f:
        f.seek(100000)
        f.write(b"end")
    if compressed:
        os.mkdir("compressed")
        os.setxattr("compressed", "system.ntfs_attrib",
                    struct.pack("<I", 0x820))
        touch("compressed/text", ntfs_reparse.text(12000))
        touch("compressed/zeros", bytes(20000))
    else:
        ntfs_reparse.junction("junction", "\\??\\C:\\dir\\x")
        ntfs_reparse.symlink("dir/symlink", "..\\small", True)
        for kind in ntfs_reparse.WOF_KINDS:
            ntfs_reparse.wof(kind, ntfs_reparse.text(5000), kind)
        os.symlink("target", "interix")
        touch("hiberfil.sys", b"wake" + bytes(100))
    os.chdir("/")


def volume(name, compressed, *options):
    random.seed(5)
    with tempfile.TemporaryDirectory() as tmp:
        image, top = tmp + "/image", tmp + "/mnt"
        os.mkdir(top)
        touch(image)
        os.truncate(image, SIZE)
        run("mkntfs", "-F", "-Q", "-s", "512", "-p", "0", "-H", "0", "-S",
            "0", *options, image)
        run("ntfs-3g", "-o", "streams_interface=windows,compression", image,
            top)
        try:
            fill(top, compressed)
        finally:
            run("umount", top)
        with open(image, "rb") as f:
            data = bytearray(f.read())
    trim(data)
    with open(OUT + "/" + name, "wb") as f:
        f.write(sparse(bytes(data)))


os.makedirs(OUT, exist_ok=True)
volume("compressed", True, "-c", "512")
volume("reparse", False, "-c", "4096")
