#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/ova again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-ova.py [DIRECTORY]"""

import io
import os
import sys
import tarfile

here = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(here, "..", "tests", "golden"))
import make_vmdk as m  # noqa: E402

DISK = m.stream({0: b"a" * 512, 5: b"z" * 512}, 20, grain=1, gtes=8,
                desc_sectors=1, desc=m.descriptor(
                    "streamOptimized", ["RW 20 SPARSE \"x.vmdk\""]))
RAW = b"raw" + bytes(509)


def ovf(*files, disks=None, extra=""):
    """FILES: (id, href, more attributes)."""
    text = "<?xml version=\"1.0\"?><!-- <Disk ovf:fileRef='c'/> -->\n"
    text += "<Envelope xmlns:ovf='o'><References>"
    for i, href, more in files:
        text += f"<File ovf:id='{i}' ovf:href=\"{href}\" {more}/>"
    text += "</References><DiskSection>"
    for i in disks if disks is not None else [f[0] for f in files]:
        text += f"<Disk ovf:diskId='d' ovf:fileRef='{i}'/>"
    return (text + extra + "</DiskSection></Envelope>").encode()


def tar(members, fmt=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    end = out.getvalue().rstrip(b"\0")
    return end + bytes(-len(end) % 512 + 1024)


ONE = ("f", "d.vmdk", "")
IMAGES = {
    "vmdk": tar([("a.ovf", ovf(ONE)), ("d.vmdk", DISK)]),
    "raw": tar([("a.ovf", ovf(("f", "d.img", ""))), ("d.img", RAW)]),
    "two": tar([("a.ovf", ovf(ONE, ("g", "e&amp;.img", ""),
                              disks=["x", "g", "f"])),
                ("d.vmdk", DISK), ("e&.img", RAW)]),
    "unnamed": tar([("a.ovf", ovf()), ("x.vmdk", DISK)]),
    "gzip": tar([("a.ovf", ovf(("f", "d.vmdk", "ovf:compression='gzip'"))),
                 ("d.vmdk", DISK)]),
    "chunks": tar([("a.ovf", ovf(("f", "d", "ovf:chunkSize='9'")))]),
    "pax": tar([("a" * 120 + ".ovf", ovf(ONE)), ("d.vmdk", DISK)],
               tarfile.PAX_FORMAT),
    "gnu": tar([("a" * 120 + ".ovf", ovf(ONE)), ("d.vmdk", DISK)],
               tarfile.GNU_FORMAT),
    "last": tar([("d.vmdk", DISK), ("p/a.ovf", ovf(ONE))]),
    "cut": tar([("a.ovf", ovf(ONE)), ("d.vmdk", DISK)])[:2000],
    "nested": tar([("a.ovf", ovf(ONE)), ("d.vmdk", tar(
        [("a.ovf", ovf(ONE)), ("d.vmdk", RAW)]))]),
    "outside": tar([("a.ovf", ovf(ONE)), ("d.vmdk", m.descriptor(
        "vmfs", ["RW 1 VMFS \"../x\""], parent=1, hint="p.vmdk"))]),
}

where = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "corpus")
os.makedirs(os.path.join(where, "ova"), exist_ok=True)
for name, data in IMAGES.items():
    with open(os.path.join(where, "ova", name), "wb") as f:
        f.write(data)
