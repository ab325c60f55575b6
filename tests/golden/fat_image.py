#!/usr/bin/env python3
"""Writes FAT and exFAT images of exactly what is wanted, always the same: what
no formatter and no driver would write is among it.

  fat_image.py fat BITS SIZE SECTOR SECTORS-PER-CLUSTER IMAGE [MANY]
  fat_image.py exfat SECTOR SECTORS-PER-CLUSTER SIZE IMAGE [MANY]

MANY: so many files in the large directory.  No permission is asked of the
specification: see torture() for what they get."""
import random
import struct
import sys

DIR, RO, HIDDEN, SYSTEM, LABEL = 0x10, 1, 2, 4, 8


class File:
    """A file or (data is a list) a directory."""

    def __init__(self, name, data=b"", short=None, attr=0, lcase=0,
                 date=0x5a8f, time=0x6b2d, junk=(), **more):
        self.name, self.data, self.short = name, data, short
        self.attr = attr | (DIR if isinstance(data, list) else 0)
        self.lcase, self.date, self.time, self.junk = lcase, date, time, junk
        self.more = more


class Volume:
    """Clusters and their chains: SCATTER puts none beside another."""

    def __init__(self, size, cluster, clusters):
        self.image = bytearray(size)
        self.cluster, self.clusters = cluster, clusters
        self.words = {}
        free = list(range(2, clusters + 2))
        self.rng = random.Random(7)
        # Some at the front stay together, the rest is shuffled in small steps.
        tail = free[64:]
        for i in range(0, len(tail) - 16, 16):
            part = tail[i:i + 16]
            self.rng.shuffle(part)
            tail[i:i + 16] = part
        self.free = free[:64] + tail

    def alloc(self, n):
        got, self.free = self.free[:n], self.free[n:]
        assert len(got) == n, "image too small"
        return got

    def alloc_run(self, n):
        """The first N free ones that lie together."""
        free = sorted(self.free)
        for i in range(len(free) - n + 1):
            if free[i + n - 1] - free[i] == n - 1:
                got = free[i:i + n]
                self.free = [c for c in self.free if c not in set(got)]
                return got
        raise AssertionError("image too small")

    def chain(self, clusters):
        for a, b in zip(clusters, clusters[1:]):
            self.words[a] = b
        if clusters:
            self.words[clusters[-1]] = self.END

    def at(self, cluster):
        return self.data_at + (cluster - 2) * self.cluster

    def put(self, clusters, data):
        for i, c in enumerate(clusters):
            part = data[i * self.cluster:(i + 1) * self.cluster]
            self.image[self.at(c):self.at(c) + len(part)] = part

    def need(self, data, least=0):
        return max(least, -(-len(data) // self.cluster))


# --- FAT ------------------------------------------------------------------

def checksum(short):
    s = 0
    for c in short:
        s = ((s & 1) << 7) + (s >> 1) + c & 0xff
    return s


def long_slots(name, short):
    units = name.encode("utf-16-le") if isinstance(name, str) else name
    n = -(-len(units) // 26)
    if len(units) % 26:
        units += b"\0\0"
    units = units.ljust(n * 26, b"\xff")
    out = []
    for i in range(n, 0, -1):
        u = units[(i - 1) * 26:i * 26]
        out.append(bytes([i | (0x40 if i == n else 0)]) + u[:10]
                   + bytes([15, 0, checksum(short)]) + u[10:22] + b"\0\0" + u[22:])
    return out


class Fat(Volume):
    def __init__(self, bits, size, sector, per_cluster, n_fats=2):
        self.bits, self.sector = bits, sector
        self.END = (1 << min(bits, 28)) - 1
        reserved = 32 if bits == 32 else 1
        root = 0 if bits == 32 else 512
        sectors = size // sector
        cluster = sector * per_cluster
        # A table for all sectors is large enough.
        fat = -(-((sectors // per_cluster + 2) * bits // 8 + 1) // sector)
        data = reserved + n_fats * fat + root * 32 // sector
        super().__init__(size, cluster, (sectors - data) // per_cluster)
        self.fat_at, self.fat_size = reserved * sector, fat * sector
        self.n_fats = n_fats
        self.root_at, self.root_size = (reserved + n_fats * fat) * sector, root * 32
        self.data_at = data * sector
        b = bytearray(512)
        b[0:11] = b"\xeb\x3c\x90xrayfs  "
        struct.pack_into("<HBHBHHBHHHII", b, 11, sector, per_cluster, reserved,
                         n_fats, root, sectors if sectors < 65536 else 0, 0xf8,
                         0 if bits == 32 else fat, 32, 64, 0,
                         sectors if sectors >= 65536 else 0)
        tail = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x12345678, b"TORTURE    ",
                           b"FAT%d   " % bits)
        if bits == 32:
            struct.pack_into("<IHHIHH", b, 36, fat, 0, 0, 2, 1, 6)
            b[64:64 + len(tail)] = tail
        else:
            b[36:36 + len(tail)] = tail
        b[510:] = b"\x55\xaa"
        self.image[:512] = b
        if bits == 32:
            self.image[6 * sector:6 * sector + 512] = b

    def slot(self, f, short, cluster, size):
        t = f.more
        return struct.pack("<11sBBBHHHHHHHI", short, f.attr, f.lcase,
                           t.get("cs", 0), f.time, f.date, t.get("adate", f.date),
                           cluster >> 16, f.time, f.date, cluster & 0xffff, size)

    def directory(self, files, own, parent):
        """The slots; what is below is written."""
        out, dot = [], File("")
        dot.attr = DIR
        if own is not None:
            out += [self.slot(dot, b".          ", own, 0),
                    self.slot(dot, b"..         ", parent, 0)]
        for i, f in enumerate(files):
            out += f.junk
            short = f.short or b"F%07dX  " % i
            if f.name is not None:
                out += long_slots(f.name, short)
            if isinstance(f.data, list):
                first = self.subdirectory(f, own or 0)
                out.append(self.slot(f, short, first, 0))
            else:
                got = f.clusters = self.alloc(self.need(f.data))
                self.chain(got)
                self.put(got, f.data)
                out.append(self.slot(f, short, got[0] if got else 0, len(f.data)))
        return out

    def subdirectory(self, f, parent):
        first = self.alloc(1)
        slots = b"".join(self.directory(f.data, first[0], parent))
        got = f.clusters = first + self.alloc(self.need(slots, 1) - 1)
        self.chain(got)
        self.put(got, slots)
        return f.more.get("first", got[0])

    def finish(self, files, change=lambda v: None):
        """CHANGE may do harm before the table is written."""
        if self.bits == 32:
            first = self.alloc(1)
            slots = b"".join(self.directory(files, None, 0))
            got = first + self.alloc(self.need(slots, 1) - 1)
            self.chain(got)
            self.put(got, slots)
        else:
            slots = b"".join(self.directory(files, None, 0))
            assert len(slots) <= self.root_size, len(slots)
            self.image[self.root_at:self.root_at + len(slots)] = slots
        self.words[0], self.words[1] = self.END & ~7 | 0xf8 & self.END, self.END
        change(self)
        table = bytearray(self.fat_size + 4)
        for c, w in self.words.items():
            if self.bits == 12:
                old, = struct.unpack_from("<H", table, c * 3 // 2)
                new = old | w << 4 if c % 2 else old & 0xf000 | w
                struct.pack_into("<H", table, c * 3 // 2, new & 0xffff)
            elif self.bits == 16:
                struct.pack_into("<H", table, c * 2, w)
            else:  # the highest bits mean nothing
                struct.pack_into("<I", table, c * 4, w | (c % 16) << 28)
        for i in range(self.n_fats):
            at = self.fat_at + i * self.fat_size
            self.image[at:at + self.fat_size] = table[:self.fat_size]
        if self.bits == 32:
            free = self.clusters - (len(self.words) - 2)
            struct.pack_into("<I", self.image, self.sector, 0x41615252)
            struct.pack_into("<III", self.image, self.sector + 484, 0x61417272, free, 2)
            self.image[self.sector + 510:self.sector + 512] = b"\x55\xaa"
        return bytes(self.image)


# --- exFAT ----------------------------------------------------------------

def sum16(data):
    s = 0
    for i, c in enumerate(data):
        if i not in (2, 3):
            s = ((s & 1) << 15) + (s >> 1) + c & 0xffff
    return s


def sum32(data, skip=()):
    s = 0
    for i, c in enumerate(data):
        if i not in skip:
            s = ((s & 1) << 31) + (s >> 1) + c & 0xffffffff
    return s


def up(c):
    u = chr(c).upper() if c < 0x600 and not 0xd800 <= c < 0xe000 else chr(c)
    return ord(u) if len(u) == 1 and ord(u) < 65536 else c


def upcase_table():
    out = [up(c) for c in range(0x600)] + [0xffff, 0x10000 - 0x600]
    return struct.pack("<%dH" % len(out), *out)


class Exfat(Volume):
    END = 0xffffffff

    def __init__(self, size, sector, per_cluster):
        self.sector, self.per_cluster = sector, per_cluster
        cluster, sectors = sector * per_cluster, size // sector
        self.fat_off = 24
        fat = -(-(sectors // per_cluster + 2) * 4 // sector)
        heap = 24 + fat
        super().__init__(size, cluster, (sectors - heap) // per_cluster)
        self.fat_len, self.heap, self.sectors = fat, heap, sectors
        self.data_at = heap * sector
        self.used = set()

    def alloc(self, n):
        got = super().alloc(n)
        self.used.update(got)
        return got

    def alloc_run(self, n):
        got = super().alloc_run(n)
        self.used.update(got)
        return got

    def store(self, f, data, least=0):
        """Writes DATA; returns (first cluster, flags)."""
        n = self.need(data, least)
        if n == 0:
            return 0, 1
        if f.more.get("contiguous"):
            got, flags = self.alloc_run(n), 3
        else:
            got, flags = self.alloc(n), 1
            self.chain(got)
        self.put(got, data)
        f.clusters = got
        return f.more.get("first", got[0]), flags

    def entry(self, f, first, flags, size):
        t = f.more
        units = f.name.encode("utf-16-le") if isinstance(f.name, str) else f.name
        names = [bytes([0xc1, 0]) + units[i:i + 30].ljust(30, b"\0")
                 for i in range(0, len(units), 30)]
        extra = list(t.get("extra", ()))
        stamp = f.date << 16 | f.time
        head = struct.pack("<BBHHHIIIBBBBB", 0x85, 1 + len(names) + len(extra), 0,
                           f.attr, 0, stamp, stamp, stamp, 0, t.get("cs", 0),
                           0x80, t.get("utc", 0x80), t.get("utc", 0x80)).ljust(32, b"\0")
        hashed = 0
        for i in range(0, len(units), 2):
            for c in struct.pack("<H", up(struct.unpack_from("<H", units, i)[0])):
                hashed = ((hashed & 1) << 15) + (hashed >> 1) + c & 0xffff
        stream = struct.pack("<BBBBHHQIIQ", 0xc0, flags, 0, len(units) // 2, hashed,
                             0, t.get("valid", size), 0, first, size)
        es = bytearray(b"".join([head, stream] + names + extra))
        struct.pack_into("<H", es, 2, sum16(es))
        return bytes(es)

    def directory(self, files):
        out = []
        for f in files:
            out += f.junk
            if isinstance(f.data, list):
                slots = b"".join(self.directory(f.data))
                first, flags = self.store(f, slots, 1)
                size = self.need(slots, 1) * self.cluster
            else:
                first, flags = self.store(f, f.data)
                size = len(f.data)
            out.append(self.entry(f, first, flags, size))
        return out

    def finish(self, files, change=lambda v: None):
        table = upcase_table()
        bitmap_size = -(-self.clusters // 8)
        bitmap = self.alloc(-(-bitmap_size // self.cluster))
        upcase = self.alloc(self.need(table))
        root = self.alloc(1)
        for c in bitmap, upcase:
            self.chain(c)
        self.put(upcase, table)
        head = [struct.pack("<BB22s", 0x83, 4, "Tört".encode("utf-16-le")).ljust(32, b"\0"),
                struct.pack("<BB18xIQ", 0x81, 0, bitmap[0], bitmap_size),
                struct.pack("<B3xI12xIQ", 0x82, sum32(table), upcase[0], len(table))]
        slots = b"".join(head + self.directory(files))
        root += self.alloc(self.need(slots) - 1)
        self.chain(root)
        self.put(root, slots)
        bits = bytearray(len(bitmap) * self.cluster)
        for c in self.used:
            bits[(c - 2) // 8] |= 1 << (c - 2) % 8
        self.put(bitmap, bytes(bits))
        self.words[0], self.words[1] = 0xfffffff8, 0xffffffff
        self.places = {"bitmap": bitmap[0], "upcase": upcase[0], "root": root[0]}
        change(self)
        for c, w in self.words.items():
            struct.pack_into("<I", self.image, self.fat_off * self.sector + 4 * c, w)
        self.boot(root[0])
        return bytes(self.image)

    def boot(self, root):
        region = bytearray(12 * self.sector)
        region[:11] = b"\xeb\x76\x90EXFAT   "
        struct.pack_into("<QQIIIIIIHHBBBBB", region, 64, 0, self.sectors, self.fat_off,
                         self.fat_len, self.heap, self.clusters, root, 0x12345678,
                         0x100, 0, self.sector.bit_length() - 1,
                         self.per_cluster.bit_length() - 1, 1, 0x80, 0xff)
        region[510:512] = b"\x55\xaa"
        for i in range(1, 9):
            region[(i + 1) * self.sector - 4:(i + 1) * self.sector] = b"\0\0\x55\xaa"
        s = sum32(region[:11 * self.sector], (106, 107, 112))
        region[11 * self.sector:] = struct.pack("<I", s) * (self.sector // 4)
        self.image[:len(region)] = self.image[len(region):2 * len(region)] = region


# --- what they hold -------------------------------------------------------

def sizes(cluster):
    rng = random.Random(1)
    return [File("size %d" % n, rng.randbytes(n))
            for n in (0, 1, cluster - 1, cluster, cluster + 1, 3 * cluster,
                      40 * cluster + 7)]


def names():
    out = [File(n, b"%d" % len(n)) for n in (
        "n" * 255, "\U0001f600" * 127 + "x", "\u00fc" * 255, "Case.txt", "case.TXT",
        "CASE.txt", " leading", "trailing. x", "%2f", "a.b.c.d", "plus+,;=[]",
        "\u0391\u03b2\u0413", "13 characters", "26 characters of a name   z",
        "new\nline", "\x7f", "colon:", "back\\slash")]
    return out


def deep(levels):
    f = File("bottom", b"reached")
    for i in range(levels):
        f = File("level %d" % i, [f])
    return f


def many(n):
    return [File("an entry with some name %d" % i, b"%d" % i if i % 7 == 0 else b"")
            for i in range(n)]


def times():
    return [File("time-%d" % i, b"", date=d, time=t, cs=c) for i, (d, t, c) in enumerate(
        ((0x21, 0, 0), (0xff9f, 0xbf7d, 199), (0x5a5d, 0xbf7d, 0), (0x58, 0x1234, 99)))]


def common(cluster, count):
    return [File("sizes", sizes(cluster)), File("names", names()), deep(60),
            File("many", many(count)), File("times", times()), File("empty", []),
            File("read-only", b"x", attr=RO), File("read-only dir", [], attr=RO),
            File("hidden", b"x", attr=HIDDEN | SYSTEM)]


def fat_torture(cluster, count):
    def short(b, **more):
        return File(None, b, short=b, **more)

    label = b"TORTURE    " + bytes([LABEL]) + bytes(20)
    gone = b"\xe5ONE    TXT" + bytes([0x20]) + bytes(20)
    lost = long_slots("a name that belongs to nobody at all", b"OTHER   TXT")
    shorts = [short(b) for b in (
        b"\x05IRST   BYT", b"A B     C D", b"        EXT", b"NOEXT      ", b"ABCDEFGHIJK",
        b"NUL\0ABCDEFG", bytes(range(0x80, 0x8b)), bytes(range(0x8b, 0x96)),
        bytes(range(0x96, 0xa1)), bytes(range(0xa1, 0xac)), bytes(range(0xac, 0xb7)),
        bytes(range(0xb7, 0xc2)), bytes(range(0xc2, 0xcd)), bytes(range(0xcd, 0xd8)),
        bytes(range(0xd8, 0xe3)), b"_" + bytes(range(0xe3, 0xed)), bytes(range(0xed, 0xf8)),
        bytes(range(0xf8, 0x100)) + b"X  ", b"'!#$%&()@^`", b"\x20LEAD   TXT")]
    for i, lcase in enumerate((8, 16, 24)):
        shorts.append(short(b"LOWER%d  TXT" % i, lcase=lcase))
        shorts.append(short(b"\x8e\x99\x9a%d\xe4\xe2\xe8 \x80\x90\xea" % i, lcase=lcase))
    broken = [
        short(b"WRONGSUM   ", junk=lost), short(b"ORDER      ", junk=[
            long_slots("b" * 30, b"ORDER      ")[i] for i in (1, 0, 2)]),
        short(b"CUT        ", junk=long_slots("c" * 30, b"CUT        ")[1:]),
        short(b"TWICE      ", junk=long_slots("first", b"TWICE      ") * 2),
        short(b"AFTERGONE  ", junk=long_slots("d", b"AFTERGONE  ") + [gone]),
        short(b"AFTERLABEL ", junk=long_slots("e", b"AFTERLABEL ") + [label]),
        short(b"MIXED      ", junk=long_slots("f" * 30, b"MIXED      ")[:1]
              + long_slots("g" * 30, b"MIXED2     ")),
        File("gone before", b"1", junk=[gone] * 40 + lost)]
    root = [File("shorts", shorts), File("broken", broken), short(b"LABELLED   ", junk=[label])]
    return root + common(cluster, count)


def exfat_torture(cluster, count):
    guid = bytes([0xa0, 0]) + bytes(30)
    gone = bytes([0x05, 2]) + bytes(30) + bytes([0x40]) + bytes(31) + bytes([0x41]) + bytes(31)
    rng = random.Random(2)
    zones = [File("utc-%02x" % u, b"", utc=u, cs=u % 200) for u in
             (0x00, 0x80, 0x81, 0xa0, 0xb8, 0xff, 0xfc, 0xd0, 0xc0, 0x3f)]
    whole = [File("run-%d" % n, rng.randbytes(n), contiguous=True)
             for n in (1, cluster, cluster + 1, 20 * cluster + 5)]
    return common(cluster, count) + [
        File("zones", zones), File("contiguous", whole, contiguous=True),
        File("many contiguous", many(count), contiguous=True),
        File("deleted before", b"1", junk=[gone] * 9 + [guid])]


def main():
    if sys.argv[1] == "fat":
        bits, size, sector, per_cluster = map(int, sys.argv[2:6])
        v, torture = Fat(bits, size, sector, per_cluster), fat_torture
    else:
        sector, per_cluster, size = map(int, sys.argv[2:5])
        v, torture = Exfat(size, sector, per_cluster), exfat_torture
    args = sys.argv[6 if sys.argv[1] == "fat" else 5:]
    count = int(args[1]) if len(args) > 1 else 60
    with open(args[0], "wb") as f:
        f.write(v.finish(torture(v.cluster, count)))


if __name__ == "__main__":
    main()
