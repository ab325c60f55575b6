#!/usr/bin/env python3
"""Makes ISO 9660 images that no mastering program makes.
SPDX-License-Identifier: GPL-2.0-or-later

  iso_image.py NAME FILE    one of IMAGES
  iso_image.py --list"""
import struct
import sys

SECTOR = 2048
DATE = bytes((117, 7, 14, 2, 40, 0, 4))  # 2017-07-14 02:40:00 +0100


def both(fmt, v):
    return struct.pack("<" + fmt, v) + struct.pack(">" + fmt, v)


def susp(signature, data, version=1):
    return signature + bytes((4 + len(data), version)) + data


def px(mode, nlink=1, uid=1000, gid=100):
    return susp(b"PX", b"".join(both("I", v) for v in (mode, nlink, uid, gid)))


def nm(name, flags=0):
    return susp(b"NM", bytes((flags,)) + name)


def ce(block, offset, size):
    return susp(b"CE", both("I", block) + both("I", offset) + both("I", size))


def sl(*components, more=0):
    return susp(b"SL", bytes((more,)) + b"".join(
        bytes((f, len(t))) + t for f, t in components))


SP = susp(b"SP", b"\xbe\xef\0")
ER = susp(b"ER", bytes((10, 0, 0, 1)) + b"RRIP_1991A")
LINK = px(0o120777) + nm(b"link")


class Image:
    """Blocks are given out from 40 sectors on."""

    def __init__(self, block=2048):
        self.block = block
        self.data = bytearray(40 * SECTOR)
        self.volume = None

    def put(self, data, align=True):
        at = len(self.data) // self.block
        self.data += data + bytes(-len(data) % self.block)
        return at

    def record(self, name, start=0, size=0, flags=0, su=b"", ext=0, gap=0,
               date=DATE):
        pad = b"" if len(name) % 2 else b"\0"
        body = (bytes((ext,)) + both("I", start) + both("I", size) + date +
                bytes((flags, 1 if gap else 0, gap)) + both("H", 1) +
                bytes((len(name),)) + name + pad + su)
        body += bytes((len(body) + 1) % 2)
        return bytes((len(body) + 1,)) + body

    def file(self, name, data=b"", **more):
        return self.record(name, self.put(data), len(data), **more)

    def directory(self, records, dot_su=b"", flags=2):
        """Its records, behind "." and ".."; returns start and size."""
        at = len(self.data) // self.block
        blocks = [b""]
        for r in [None, None] + records:
            r = r or self.record(b"\0", at, 0, 2, dot_su)
            if len(blocks[-1]) + len(r) > SECTOR:
                blocks.append(b"")
            blocks[-1] += r
        size = len(blocks) * SECTOR
        own = self.record(b"\0", at, size, flags, dot_su)
        dots = own + self.record(b"\1", at, size, flags)
        skip = len(self.record(b"\0", at, 0, 2, dot_su)) * 2
        blocks[0] = dots + blocks[0][skip:]
        rest = b"".join(b + bytes(SECTOR - len(b)) for b in blocks)
        self.put(rest)
        return at, size

    def descriptor(self, kind, root, joliet=False):
        d = bytearray(SECTOR)
        d[0], d[1:7] = kind, b"CD001\1"
        d[8:72] = b" " * 64
        d[40:44] = b"TEST"
        size = self.volume or len(self.data) // self.block
        d[80:88] = both("I", size)
        if joliet:
            d[88:91] = b"%/E"
        d[120:124] = d[124:128] = both("H", 1)
        d[128:132] = both("H", self.block)
        d[156:190] = self.record(b"\0", root[0], root[1], 2)
        d[881] = 1
        return bytes(d)

    def finish(self, root, joliet=None):
        at = 16 * SECTOR
        out = [self.descriptor(1, root)]
        if joliet:
            out.append(self.descriptor(2, joliet, True))
        end = bytearray(SECTOR)
        end[0:7] = b"\xffCD001\1"
        for d in out + [bytes(end)]:
            self.data[at:at + SECTOR] = d
            at += SECTOR
        return bytes(self.data)


def names(block=2048):
    i = Image(block)
    records = [i.file(n, n) for n in
               (b"DOTTED.;1", b"NODOT", b"NOVERSION.TXT", b"SECOND.TXT;2",
                b"SLASH/IN.;1", b"lower.TXT;1", b"TEXT.TXT;1")]
    records.append(i.file(b"HIDDEN.;1", b"hidden", flags=1))
    records.append(i.file(b"TEXT.TXT;1", b"other fork", flags=4))
    records.append(i.record(b"EXTENDED.;1", i.put(b"\1" * block + b"data"), 4,
                            ext=1))
    records.append(i.file(b"OLD.;1", b"x", date=bytes((70, 1, 1, 0, 0, 0, 0))))
    records.append(i.file(b"ZONE.;1", b"x", date=bytes((99, 12, 31, 23, 59,
                                                        59, 0xd0))))
    sub = i.directory([i.file(b"INSIDE.;1", b"inside" * 1000)])
    records.append(i.record(b"SUB", *sub, flags=2))
    return i.finish(i.directory(records))


def sections(count=40):
    """Files of several extents, of which one's records lie in two sectors."""
    i = Image()
    records = []
    for n in range(count):
        parts = [b"%d-%d " % (n, k) * 400 for k in range(n % 4 + 1)]
        parts = [p[:len(p) // 2048 * 2048 or 2048].ljust(2048, b".")
                 for p in parts[:-1]] + [parts[-1]]
        for p in parts:
            i.put(b"between")
            records.append(i.file(b"FILE%02d.;1" % n, p,
                                  flags=0 if p is parts[-1] else 0x80))
    return i.finish(i.directory(records))


def odd():
    """Rock Ridge as the standard allows it, and few write it."""
    i = Image()
    long = nm(b"continued-", 1) + nm(b"name-in-three-", 1) + nm(b"parts")
    third = i.put(nm(b"s") + px(0o100640, 3))
    second = i.put(bytes(100) + nm(b"over-area", 1) + ce(third, 0, 42))
    su = [
        px(0o100644) + long,
        ce(second, 100, 14 + 28) + nm(b"continues-", 1),
        px(0o120777) + nm(b"link-root") + sl((8, b"")),
        px(0o120777) + nm(b"link-all") +
        sl((8, b""), (0, b"a"), (4, b""), (2, b""), (1, b"cut"), more=1) +
        sl((0, b"-here"), (0, b"z")),
        px(0o120777) + nm(b"link-two") + sl((0, b"a"), more=1) +
        sl((0, b"b"), (0, b"")),
        px(0o20666) + nm(b"low-only") + susp(b"PN", both("I", 0) +
                                             both("I", 0x803)),
        px(0o60660) + nm(b"high-low") + susp(b"PN", both("I", 8) +
                                             both("I", 17)),
        px(0o104755) + nm(b"times") + susp(b"TF", b"\x0e" + DATE +
                                           bytes((118,)) + DATE[1:] +
                                           bytes((119,)) + DATE[1:]),
        nm(b"only-a-name"),
        px(0o100600) + nm(b"ends") + b"ST\4\1",
    ]
    records = [i.file(b"F%02d.;1" % n, b"%d" % n, su=s)
               for n, s in enumerate(su)]
    far = i.directory([i.file(b"INSIDE.;1", b"inside", su=nm(b"inside"))],
                      px(0o40711, 2, 5, 6) + susp(b"PL", both("I", 0)))
    records.append(i.record(b"MOVED.;1", su=nm(b"moved") +
                            susp(b"CL", both("I", far[0]))))
    hidden = i.directory([i.record(b"REAL", *far, flags=2,
                                   su=nm(b"real") + susp(b"RE", b""))])
    records.append(i.record(b"RR_MOVED", *hidden, flags=2,
                            su=nm(b"rr_moved") + px(0o40755)))
    area = i.put(ER)
    return i.finish(i.directory(records, SP + px(0o40750, 2) +
                                ce(area, 0, len(ER))))


def xa():
    """CD-ROM XA: 14 bytes before what SUSP has."""
    i = Image()
    attributes = bytes(4) + b"\x0d\x55XA" + bytes(6)
    records = [i.file(b"F.;1", b"xa", su=attributes + px(0o100611) +
                      nm(b"Name-XA"))]
    sp = susp(b"SP", b"\xbe\xef\x0e")
    return i.finish(i.directory(records, attributes + sp + ER))


def guessed():
    """Rock Ridge that nothing announces."""
    i = Image()
    return i.finish(i.directory(
        [i.file(b"F.;1", b"x", su=px(0o100604) + nm(b"Guessed Name"))]))


def junk():
    """What is not Rock Ridge, and not announced either."""
    i = Image()
    return i.finish(i.directory(
        [i.file(b"G.;1", b"x", su=b"\1\2\3\4\5\6")]))


def empty_root():
    """Rock Ridge with nothing in it, and Joliet."""
    i = Image()
    name = "Name ä.txt;1".encode("utf-16-be")
    joliet = i.directory([i.file(name, b"joliet")])
    return i.finish(i.directory([], SP + ER), joliet)


def joliet():
    """With Rock Ridge's names missing, and periods at the end."""
    i = Image()
    records = [i.file(n.encode("utf-16-be"), b"x") for n in
               ("plain;1", "dots...;1", "\u4e2d\u6587" * 16, "\uff0f", "A b")]
    return i.finish(i.directory([i.file(b"F.;1", b"x")]),
                    i.directory(records))


def refused():
    """What would give other data than was meant."""
    i = Image()
    return i.finish(i.directory(
        [i.file(b"GAPS.;1", b"x" * 9000, gap=1),
         i.file(b"SPARSE.;1", b"x", su=susp(b"SF", both("I", 0) + both("I", 9) +
                                            b"\1"))], SP + ER))


def circle():
    i = Image()
    at = len(i.data) // 2048
    i.put(ce(at, 0, 28))
    return i.finish(i.directory([i.file(b"F.;1", b"x", su=ce(at, 0, 28))],
                                SP + ER))


def cut_off():
    i = Image()
    i.volume = 1000
    return i.finish(i.directory([i.record(b"GONE.;1", 900, 5000),
                                 i.file(b"HERE.;1", b"here")]))


def differs():
    image = bytearray(names())
    struct.pack_into(">I", image, 16 * SECTOR + 84, 77)
    return bytes(image)


IMAGES = {"names": names, "names-1024": lambda: names(1024),
          "names-512": lambda: names(512), "sections": sections, "odd": odd,
          "xa": xa, "guessed": guessed, "junk": junk, "empty-root": empty_root,
          "joliet": joliet, "refused": refused, "circle": circle,
          "cut-off": cut_off, "differs": differs}

if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(IMAGES))
    else:
        with open(sys.argv[2], "wb") as out:
            out.write(IMAGES[sys.argv[1]]())
