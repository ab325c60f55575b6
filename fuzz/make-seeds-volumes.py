#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/{lvm2,md,container} again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-volumes.py [DIRECTORY]

Needs cryptsetup and mkswap, and no privilege.  The texts of LVM2 are of the
form that lvm 2.03.16 writes; superblocks of md and BitLocker are those of
tests/golden/md.py and bitlocker.py."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else HERE + "/corpus"
sys.path.insert(0, HERE + "/../tests/golden")
import bitlocker  # noqa: E402
import md  # noqa: E402
from lvm_text import disk, hidden, legs, striped, text, volume  # noqa: E402
from seeds import sparse  # noqa: E402


def save(target, name, data):
    os.makedirs(f"{OUT}/{target}", exist_ok=True)
    with open(f"{OUT}/{target}/{name}", "wb") as f:
        f.write(data)


def lvm2():
    save("lvm2", "linear", text(
        volume("root", [(0, 2, striped(("pv0", 0))),
                        (2, 3, striped(("pv1", 4)))]),
        volume("str-iped", [(0, 4, striped(("pv0", 8), ("pv1", 8),
                                           size=4))])))
    mirror = ('type = "mirror"\nmirror_count = 2\nmirror_log = "m_mlog"\n'
              'mirrors = ["m_rimage_0", 0, "m_rimage_1", 0]')
    save("lvm2", "raid", text(
        volume("r1", [(0, 2, legs("raid1", "a", 2))]), hidden("a", 2, 2, 0),
        volume("r5", [(0, 4, legs("raid5_ls", "b", 3, "stripe_size = 4\n"))]),
        hidden("b", 3, 2, 3),
        volume("r10", [(0, 4, legs("raid10", "c", 4, "data_copies = 2\n"
                                   "stripe_size = 4\n"))]),
        hidden("c", 4, 2, 6),
        volume("m", [(0, 2, mirror)]), hidden("m", 2, 2, 9)))
    save("lvm2", "others", text(
        volume("pool", [(0, 2, 'type = "thin-pool"\nmetadata = "a_rmeta_0"\n'
                               'pool = "a_rimage_0"')]),
        hidden("a", 1, 2, 0),
        volume("thin", [(0, 9, 'type = "thin"\nthin_pool = "pool"')]),
        volume("snapshot0", [(0, 2, 'type = "snapshot"\norigin = "o"\n'
                                    'cow_store = "snap"')]),
        volume("o", [(0, 2, striped(("pv0", 9)))]),
        volume("snap", [(0, 1, striped(("pv0", 12)))], False),
        volume("c", [(0, 2, 'type = "cache"\ncache_pool = "cp"\n'
                            'origin = "o"')]),
        volume("cp", [(0, 1, 'type = "cache-pool"\n'
                             'cache_mode = "writethrough"')], False),
        volume("z", [(0, 1, 'type = "zero"'), (1, 1, 'type = "error"')])))


    for copies in (1, 2):
        save("lvm2", f"disk-{copies}", sparse(disk(text(
            volume("root", [(0, 4, striped(("pv0", 0))),
                            (4, 2, striped(("pv0", 6)))])), copies=copies)))


def make_md():
    for minor in (0, 1, 2, 90):
        members = [md.member(256 << 10, minor, level=1, disks=3, role=i,
                             name="h:a", data=8 << 10, size=100 << 10)
                   for i in range(3)]
        save("md", f"raid1-{minor}", sparse(b"".join(members)))
    for level in (-1, 0, 5, 10):
        members = [md.member(256 << 10, 2, level=level, disks=3, role=i,
                             name="h:a", data=8 << 10, size=96 << 10,
                             chunk=4096, layout=0x102 if level == 10 else 2)
                   for i in range(3)]
        save("md", f"level{level}", sparse(b"".join(members)))


def luks(kind, image):
    subprocess.run(["cryptsetup", "-q", "luksFormat", "--type", kind,
                    "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                    image, "-"], input=b"x", check=True,
                   stderr=subprocess.DEVNULL)
    with open(image, "rb") as f:
        return f.read(4 << 10 if kind == "luks1" else 32 << 10)


def container():
    with tempfile.TemporaryDirectory() as d:
        image = d + "/image"
        for kind in ("luks1", "luks2"):
            with open(image, "wb") as f:
                f.truncate(32 << 20)
            save("container", kind, sparse(luks(kind, image)))
        with open(image, "wb") as f:
            f.truncate(512 << 10)
        subprocess.run(["mkswap", "-q", "-L", "label", image], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(image, "rb") as f:
            save("container", "swap", sparse(f.read()))
    save("container", "bitlocker", sparse(bitlocker.image(256 << 10)))
    save("container", "bitlocker-to-go",
         sparse(bitlocker.image(256 << 10, to_go=True)))


lvm2()
make_md()
container()
