#!/usr/bin/env python3
"""xrayfs: makes the seeds of fuzz/corpus/vhd and fuzz/corpus/vdi again.
SPDX-License-Identifier: GPL-2.0-or-later

  fuzz/make-seeds-vhd.py [DIRECTORY]

Images of a few blocks of 4 KiB (VHD) or 512 bytes (VDI), each with one thing
of the format, and some with blocks of the usual size as sparse records."""

import struct

from seeds import records as sparse, write

UNUSED = 0xffffffff
UUID = bytes(range(16))
DATA = bytes(range(256)) * 2
BLOCK = DATA * 8


def summed(data, at):
    """DATA with its checksum at AT."""
    total = ~sum(data[:at] + data[at + 4:]) & 0xffffffff
    return data[:at] + struct.pack(">I", total) + data[at + 4:]


def footer(kind=3, sectors=64, chs=None, creator=b"qem2", version=0x10000,
           features=2, header=512, time=1000, saved=0, uuid=UUID):
    data = struct.pack(">8sIIQI4sI4sQQ", b"conectix", features, version,
                       header if kind != 2 else (1 << 64) - 1, time, creator,
                       0x50003, b"Wi2k", sectors * 512, sectors * 512)
    data += struct.pack(">HBBII16sB", *(chs or (sectors & 0xffff, 1, 1)), kind, 0,
                        uuid, saved)
    return summed(data.ljust(512, b"\0"), 64)


def locator(code, length, at):
    return struct.pack(">4sIIIQ", code, 512, length, 0, at)


def header(bat=1536, entries=8, block=4096, parent=bytes(16), time=0,
           name="", locators=()):
    data = struct.pack(">8sQQIIII16sII", b"cxsparse", (1 << 64) - 1, bat,
                       0x10000, entries, block, 0, parent, time, 0)
    data += name.encode("utf-16be", "surrogatepass").ljust(512, b"\0") + b"".join(locators)
    return summed(data.ljust(1024, b"\0"), 36)


def dynamic(foot, head, bat, *blocks, end=None):
    """A BAT of one sector, then from 2048 on what is given, in sectors."""
    data = foot + head + struct.pack(">%dI" % len(bat), *bat)
    data = data.ljust(2048, b"\xff")
    for b in blocks:
        data += b.ljust(-(-len(b) // 512) * 512, b"\0")
    return data + (foot if end is None else end)


DYN = footer()
DIFF = footer(4)
BITS = b"\xff".ljust(512, b"\0")
BAT = [4, UNUSED, 13] + [UNUSED] * 5
NAME = "..\\x\\base.vhd".encode("utf-16le")

VHD = {
    "fixed": DATA * 2 + footer(2, 2),
    "fixed-511": DATA * 2 + footer(2, 2)[:511],
    "fixed-chs": DATA * 20 + footer(2, 20, (2, 3, 3), b"vpc "),
    "fixed-azure": DATA * 2 + footer(2, 2, creator=b"wa\0\0"),
    "fixed-short": DATA + footer(2, 8),
    "fixed-nested": footer() + DATA + footer(2, 2),
    "fixed-large": footer(2, 1 << 40, (65535, 16, 255), b"vpc "),
    "dynamic": dynamic(DYN, header(), BAT, BITS, BLOCK, BITS, BLOCK),
    "dynamic-no-end": dynamic(DYN, header(), BAT, BITS, BLOCK, BITS, BLOCK,
                              end=b""),
    "dynamic-no-start": bytes(512) +
    dynamic(DYN, header(), BAT, BITS, BLOCK, BITS, BLOCK)[512:],
    "dynamic-differ": dynamic(DYN, header(), BAT, BITS, BLOCK, BITS, BLOCK,
                              end=footer(3, 32)),
    "dynamic-saved": dynamic(footer(features=3, saved=1), header(), BAT,
                             BITS, BLOCK, BITS, BLOCK),
    "dynamic-bad": dynamic(DYN, header(), [4, 4, 5, 0, 1 << 31, 3, 100, 13],
                           BITS, BLOCK, BITS, BLOCK),
    "dynamic-cut": dynamic(DYN, header(), BAT, BITS, BLOCK, BITS,
                           BLOCK)[:10000],
    "dynamic-2m": sparse((0, footer(sectors=10000)),
                         (512, header(entries=4, block=1 << 21)),
                         (1536, struct.pack(">4I", UNUSED, 4, UNUSED, 9)),
                         (2560, DATA)),
    "dynamic-2040g": sparse((0, footer(sectors=0xff000000)),
                            (512, header(entries=0x3fc00, block=1 << 23)),
                            (1536, b"\xff" * 400)),
    "differencing": dynamic(
        DIFF, header(parent=UUID, time=1000, name="C:\\vm\\base.vhd",
                     locators=[locator(b"W2ru", len(NAME), 11264),
                               locator(b"W2ku", len(NAME), 11264),
                               locator(b"MacX", 20, 11292)]),
        BAT, b"\xa5".ljust(512, b"\0"), BLOCK, BITS, BLOCK,
        NAME.ljust(28, b"\0") + b"file://./base.vhd"),
    "differencing-unnamed": dynamic(DIFF, header(), BAT, BITS, BLOCK, BITS,
                                    BLOCK),
    "differencing-bad": dynamic(
        DIFF, header(name="\ud83d",
                     locators=[locator(b"W2ru", 1 << 31, 1 << 63),
                               locator(b"W2ru", 100, 11200)]), BAT, BITS,
        BLOCK),
    "differencing-2m": sparse((0, footer(4, 10000)),
                              (512, header(entries=4, block=1 << 21)),
                              (1536, struct.pack(">4I", UNUSED, 4, UNUSED,
                                                 UNUSED)),
                              (2048, b"\xf0" * 500), (2560, DATA)),
    "version": footer(3, version=0x20000),
    "type": footer(5),
    "cut": DYN[:80],
}


def vdi(kind=1, size=4096, block=512, blocks=8, used=2, bmap=512, data=1024,
        version=0x10001, link=bytes(16), extra=0, sector=512,
        text=b"<<< Oracle VM VirtualBox Disk Image >>>\n"):
    h = text.ljust(64, b"\0") + b"\x7f\x10\xda\xbe"
    h += struct.pack("<IIII256sII", version, 0x180, kind, 0, b"", bmap, data)
    h += struct.pack("<IIIIIQIIII", 0, 0, 0, sector, 0, size, block, extra,
                     blocks, used)
    return (h + UUID + UUID + link + link).ljust(512, b"\0")


def with_map(head, *entries, blocks=(DATA, DATA[::-1])):
    return (head + struct.pack("<%dI" % len(entries), *entries)
            ).ljust(1024, b"\0") + b"".join(blocks)


MAP = [1, 0, UNUSED, UNUSED - 1] + [UNUSED] * 4

VDI = {
    "dynamic": with_map(vdi(), *MAP),
    "fixed": with_map(vdi(2, 1000, blocks=2), 0, 1),
    "differencing": with_map(vdi(4, link=UUID), *MAP),
    "undo": with_map(vdi(3), *MAP),
    "bad": with_map(vdi(), 0, 0, 7, 8, 1 << 31, 1, UNUSED, UNUSED - 1),
    "short": with_map(vdi(), *MAP)[:1700],
    "cut": vdi()[:400],
    "version": vdi(version=0x10002),
    "text": with_map(vdi(text=b"\xff\n"), *MAP),
    "large": sparse((0, vdi(size=1 << 46, block=1 << 20, blocks=1 << 26,
                            data=1 << 29)), (512, b"\xff" * 64)),
    "1m": sparse((0, vdi(size=3 << 20, block=1 << 20, blocks=3, used=1)),
                 (512, struct.pack("<3I", UNUSED, 0, UNUSED)), (1024, DATA)),
    "many": sparse((0, vdi(size=128 << 20, blocks=1 << 18, data=1 << 21)),
                   (66000, DATA), (1 << 20, b"\0")),
}


if __name__ == "__main__":
    write({"vhd": VHD, "vdi": VDI})
