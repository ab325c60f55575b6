#!/usr/bin/env python3
"""xrayfs: makes VMDK files that qemu-img cannot make.
SPDX-License-Identifier: GPL-2.0-or-later

VMware, Virtual Disk Format 5.0; seSparse as qemu reads it.  Used by the tests
of the format and by fuzz/make-seeds-vmdk.py.  Sizes are in sectors, grains
are numbered from 0; a grain that is not in DATA is not allocated."""

import struct
import zlib

SECTOR = 512
AT_END = (1 << 64) - 1
NO_PARENT = 0xffffffff


def pad(data, size=SECTOR):
    return data + bytes(-len(data) % size)


def grains(raw, grain):
    """The grains of RAW that are not all zero: number -> bytes."""
    step = grain * SECTOR
    return {i // step: raw[i:i + step] for i in range(0, len(raw), step)
            if any(raw[i:i + step])}


def descriptor(kind, extents, cid=0x12345678, parent=NO_PARENT, hint=None,
               more=""):
    text = (f"# Disk DescriptorFile\nversion=1\nCID={cid:08x}\n"
            f"parentCID={parent:08x}\ncreateType=\"{kind}\"\n")
    if hint is not None:
        text += f"parentFileNameHint=\"{hint}\"\n"
    text += "\n# Extent description\n" + "".join(x + "\n" for x in extents)
    text += "\n# The Disk Data Base\nddb.adapterType = \"ide\"\n" + more
    return text.encode()


def header(capacity, grain, gtes, gd, rgd, overhead, version=1, flags=1,
           desc=(1, 20), algorithm=0, unclean=0, newlines=b"\n \r\n"):
    return pad(struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", version, flags,
                           capacity, grain, desc[0], desc[1], gtes, rgd, gd,
                           overhead, unclean, newlines, algorithm))


def table(entries, n, fmt="<I"):
    return b"".join(struct.pack(fmt, entries.get(i, 0)) for i in range(n))


def hosted(data, capacity, grain=128, gtes=512, zeroed=(), redundant=False,
           desc=None, desc_sectors=20, flags=0, version=None, **kw):
    """monolithicSparse: header, descriptor, (copy of the) directory and the
    tables, then the grains.  Returns the file."""
    if desc is None:
        desc = descriptor("monolithicSparse",
                          [f"RW {capacity} SPARSE \"x.vmdk\""])
    count = -(-capacity // (grain * gtes))
    gd_sectors = -(-count * 4 // SECTOR)
    gt_sectors = -(-gtes * 4 // SECTOR)
    meta = gd_sectors + count * gt_sectors
    first = 1 + desc_sectors
    copies = 2 if redundant else 1
    overhead = -(-(first + copies * meta) // grain) * grain
    where, body = {}, b""
    for i in sorted(data):
        where[i] = overhead + len(body) // SECTOR
        body += pad(data[i], grain * SECTOR)
    for i in zeroed:
        where[i] = 1

    def tables(at):
        used = [any(i in where for i in range(t * gtes, (t + 1) * gtes))
                for t in range(count)]
        gd = {t: at + gd_sectors + t * gt_sectors for t in range(count)
              if used[t]}
        return pad(table(gd, count)) + b"".join(
            pad(table({i - t * gtes: s for i, s in where.items()
                       if t * gtes <= i < (t + 1) * gtes}, gtes))
            for t in range(count))

    flags |= 1 | (2 if redundant else 0) | (4 if zeroed else 0)
    rgd = first if redundant else 0
    gd = first + (meta if redundant else 0)
    head = header(capacity, grain, gtes, gd, rgd, overhead, flags=flags,
                  version=version or (2 if zeroed else 1),
                  desc=(1, desc_sectors) if desc_sectors else (0, 0), **kw)
    size = desc_sectors * SECTOR
    out = head + desc[:size].ljust(size, b"\0")
    for c in range(copies):
        out += tables(first + c * meta)
    return out.ljust(overhead * SECTOR, b"\0") + body


def marker(val, size, kind):
    return pad(struct.pack("<QII", val, size, kind))


def stream(data, capacity, grain=128, gtes=512, desc=None, desc_sectors=20,
           footer=True, markers=True, lba=0, change=None, level=9):
    """streamOptimized as VMware writes it: header, descriptor, grains and
    tables in the order of the disk, directory, footer, end of stream."""
    if desc is None:
        desc = descriptor("streamOptimized",
                          [f"RDONLY {capacity} SPARSE \"x.vmdk\""])
    flags = 0x10001 | (0x20000 if markers else 0)

    def head(gd):
        return header(capacity, grain, gtes, gd, 0, overhead, version=3,
                      flags=flags, desc=(1, desc_sectors), algorithm=1)

    overhead = -(-(1 + desc_sectors) // grain) * grain
    out = bytearray(overhead * SECTOR)
    count = -(-capacity // (grain * gtes))
    gd = {}
    for t in range(count):
        where = {}
        for i in range(t * gtes, (t + 1) * gtes):
            if i not in data:
                continue
            where[i - t * gtes] = len(out) // SECTOR
            z = zlib.compress(data[i], level)
            if markers:
                z = struct.pack("<QI", i * grain + lba, len(z)) + z
            out += pad(z)
        if where:
            body = pad(table(where, gtes))
            if markers:
                out += marker(len(body) // SECTOR, 0, 1)
            gd[t] = len(out) // SECTOR
            out += body
    body = pad(table(gd, count))
    if markers:
        out += marker(len(body) // SECTOR, 0, 2)
    at = len(out) // SECTOR
    out += body
    out[:SECTOR] = head(AT_END if footer else at)
    out[SECTOR:SECTOR + len(desc)] = desc
    if footer:
        f = bytearray(head(at))
        if change:
            f[change[0]:change[0] + len(change[1])] = change[1]
        out += marker(1, 0, 3) + f + marker(0, 0, 0)
    return bytes(out)


def cowd(data, capacity, grain=1, unclean=0):
    """vmfsSparse: an extent without a descriptor."""
    count = -(-capacity // (grain * 4096))
    gd_sectors = -(-count * 4 // SECTOR)
    at = 4 + gd_sectors
    gd, tables, first = {}, [], at
    used = sorted({i // 4096 for i in data})
    first += 32 * len(used)
    where, body = {}, b""
    for i in sorted(data):
        where[i] = first + len(body) // SECTOR
        body += pad(data[i], grain * SECTOR)
    for t in used:
        gd[t] = at + 32 * len(tables)
        tables.append(table({i - t * 4096: s for i, s in where.items()
                             if i // 4096 == t}, 4096))
    head = struct.pack("<4sIIIIIII", b"COWD", 1, 3, capacity, grain, 4,
                       count, first + len(body) // SECTOR)
    head = head.ljust(1648, b"\0") + struct.pack("<I", unclean)
    return (head.ljust(2048, b"\0") + pad(table(gd, count)) +
            b"".join(tables) + body)


def sesparse(data, capacity, zeroed=(), unmapped=(), replay=0, change=()):
    """seSparse: grains of 8 sectors, tables of 4096 entries."""
    count = -(-capacity // (8 * 4096))
    gd_sectors = -(-count * 8 // SECTOR)
    entries = {i: 1 << 60 for i in unmapped}
    entries.update({i: 2 << 60 for i in zeroed})
    body = b""
    for n, i in enumerate(sorted(data)):
        entries[i] = 3 << 60 | (n & 0xfff) << 48 | n >> 12
        body += pad(data[i], 4096)
    used = sorted({i // 4096 for i in entries})
    tables_at = 2 + gd_sectors
    grains_at = -(-(tables_at + 64 * len(used)) // 8) * 8
    words = [0] * 26
    words[:6] = [0xcafebabe, 0x200000001, capacity, 8, 64, 0]
    words[10:12] = [1, 1]
    words[16:20] = [2, gd_sectors, tables_at, 64 * len(used)]
    words[24:26] = [grains_at, len(body) // SECTOR]
    for i, v in change:
        words[i] = v
    gd = {t: 1 << 60 | n for n, t in enumerate(used)}
    out = pad(struct.pack("<26Q", *words))
    out += pad(struct.pack("<4Q", 0xcafecafe, 0, 0, replay))
    out += pad(table(gd, count, "<Q"))
    for t in used:
        out += table({i - t * 4096: v for i, v in entries.items()
                      if i // 4096 == t}, 4096, "<Q")
    return out.ljust(grains_at * SECTOR, b"\0") + body
