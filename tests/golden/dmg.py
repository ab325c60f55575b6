# xrayfs: makes dmg images, since no program of Debian does
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   python3 dmg.py RAW DMG [KEY=VALUE...]     the keywords of build()
import base64
import bz2
import lzma
import random
import shutil
import struct
import subprocess
import sys
import zlib

SECTOR = 512
TYPES = {"zero": 0, "raw": 1, "ignore": 2, "adc": 0x80000004,
         "zlib": 0x80000005, "bzip2": 0x80000006, "lzfse": 0x80000007,
         "lzma": 0x80000008, "comment": 0x7ffffffe, "end": 0xffffffff}


def adc(data):
    """Greedy, with every kind of operation that the data call for."""
    out, seen, i, literal = bytearray(), {}, 0, bytearray()

    def flush():
        for k in range(0, len(literal), 128):
            part = literal[k:k + 128]
            out.append(0x80 | (len(part) - 1))
            out.extend(part)
        literal.clear()

    while i < len(data):
        at = seen.get(data[i:i + 3])
        n = 0
        if at is not None and i - at <= 65536:
            while n < 67 and i + n < len(data) and data[at + n] == data[i + n]:
                n += 1
        seen[data[i:i + 3]] = i
        back = i - at - 1 if at is not None else 0
        if 3 <= n <= 18 and back < 1024:
            flush()
            out += bytes([(n - 3) << 2 | back >> 8, back & 255])
        elif n >= 4:
            flush()
            out += bytes([0x40 | (n - 4), back >> 8, back & 255])
        else:
            literal.append(data[i])
            n = 1
        i += n
    flush()
    return bytes(out)


PACK = {"raw": bytes, "zlib": lambda d: zlib.compress(d, 9),
        "bzip2": bz2.compress, "adc": adc,
        "lzma": lambda d: lzma.compress(d, lzma.FORMAT_XZ)}
# Apple's own program (github.com/lzfse/lzfse), where it is there.
if shutil.which("lzfse"):
    PACK["lzfse"] = lambda d: subprocess.run(
        ["lzfse", "-encode"], input=d, stdout=subprocess.PIPE,
        check=True).stdout


def chunk(kind, sector, count, offset=0, length=0):
    return struct.pack(">IIQQQQ", TYPES.get(kind, kind), 0, sector, count,
                       offset, length)


def mish(sector, count, chunks, crc=None, data_offset=0, n=None):
    kind, bits = (0, 0) if crc is None else (2, 32)
    return (struct.pack(">IIQQQII24x", 0x6d697368, 1, sector, count,
                        data_offset, 2056, 0) +
            struct.pack(">III124x", kind, bits, crc or 0) +
            struct.pack(">I", len(chunks) if n is None else n) +
            b"".join(chunks))


def plist(tables):
    xml = ('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n'
           "<dict>\n\t<key>resource-fork</key>\n\t<dict>\n\t\t<key>blkx</key>"
           "\n\t\t<array>\n")
    for i, t in enumerate(tables):
        text = base64.b64encode(t).decode()
        lines = [text[k:k + 52] for k in range(0, len(text), 52)]
        xml += ("\t\t\t<dict>\n\t\t\t\t<key>Attributes</key>\n\t\t\t\t"
                "<string>0x0050</string>\n\t\t\t\t<key>Data</key>\n"
                "\t\t\t\t<data>\n\t\t\t\t" + "\n\t\t\t\t".join(lines) +
                "\n\t\t\t\t</data>\n\t\t\t\t<key>ID</key>\n\t\t\t\t"
                f"<string>{i}</string>\n\t\t\t</dict>\n")
    xml += ("\t\t</array>\n\t\t<key>plst</key>\n\t\t<array>\n\t\t\t<dict>\n"
            "\t\t\t\t<key>Data</key>\n\t\t\t\t<data>\n\t\t\t\tAAAAAAAAAAA=\n"
            "\t\t\t\t</data>\n\t\t\t</dict>\n\t\t</array>\n\t</dict>\n"
            "</dict>\n</plist>\n")
    return xml.encode()


def resources(tables):
    data = b"".join(struct.pack(">I", len(t)) + t for t in tables)
    return struct.pack(">IIII240x", 256, 256 + len(data), len(data),
                       50) + data + bytes(50)


def trailer(sectors, fork=(0, 0), xml=(0, 0), data=(0, 0), data_crc=None,
            master=None, version=4, segments=(0, 0), flags=1, size=512):
    def checksum(crc):
        kind, bits = (0, 0) if crc is None else (2, 32)
        return struct.pack(">III124x", kind, bits, crc or 0)
    t = struct.pack(">4sIIIQQQQQII16x", b"koly", version, size, flags, 0,
                    data[0], data[1], fork[0], fork[1], *segments)
    t += checksum(data_crc) + struct.pack(">QQ120x", *xml) + checksum(master)
    t += struct.pack(">IQ12x", 1, sectors)
    assert len(t) == 512, len(t)
    return t


def finish(data, tables, sectors, fork=False, prefix=b"", **more):
    """A file of the data fork, the tables and a trailer."""
    info = resources(tables) if fork else plist(tables)
    at = (len(prefix) + len(data), len(info))
    more.setdefault("data", (len(prefix), len(data)))
    return prefix + data + info + trailer(
        sectors, **({"fork": at} if fork else {"xml": at}), **more)


def build(raw, methods=("zlib",), chunk_sectors=512, fork=False, split=(),
          sums=True, ignore=False, shuffle=False, pack=PACK, prefix=b"",
          data_offset=0):
    """RAW as an image: chunks of the methods in turn, zeros as `zero` (or
    `ignore`), a table from each sector of SPLIT on."""
    assert len(raw) % SECTOR == 0
    sectors = len(raw) // SECTOR
    data, tables, crcs, turn = bytearray(data_offset), [], b"", 0
    bounds = [0] + [s for s in split if s < sectors] + [sectors]
    for first, end in zip(bounds, bounds[1:]):
        chunks, crc = [chunk("comment", 0, 0)], 0
        for s in range(first, end, chunk_sectors):
            n = min(chunk_sectors, end - s)
            piece = raw[s * SECTOR:(s + n) * SECTOR]
            if not any(piece):
                kind, stored = "ignore" if ignore else "zero", b""
            else:
                kind = methods[turn % len(methods)]
                turn += 1
                stored = pack[kind](piece)
            if kind != "ignore":
                crc = zlib.crc32(piece, crc)
            chunks.append(chunk(kind, s - first, n, len(data) - data_offset,
                                len(stored)))
            data += stored
        if shuffle:
            random.Random(1).shuffle(chunks)
        chunks.append(chunk("end", end - first, 0, len(data)))
        tables.append(mish(first, end - first, chunks, crc if sums else None,
                           data_offset))
        crcs += struct.pack(">I", crc)
    return finish(bytes(data), tables, sectors, fork, prefix,
                  data_crc=zlib.crc32(data) if sums else None,
                  master=zlib.crc32(crcs) if sums else None)


def main():
    options = {"split": ()}
    for arg in sys.argv[3:]:
        key, value = arg.split("=", 1)
        if key == "methods":
            options[key] = value.split(",")
        elif key == "split":
            options[key] = [int(v) for v in value.split(",")]
        elif key == "prefix":
            options[key] = bytes(int(value))
        else:
            options[key] = int(value)
    with open(sys.argv[1], "rb") as f:
        raw = f.read()
    with open(sys.argv[2], "wb") as f:
        f.write(build(raw + bytes(-len(raw) % SECTOR), **options))


if __name__ == "__main__":
    main()
