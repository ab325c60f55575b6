"""xrayfs: makes VHDX images, with what qemu-img cannot write
SPDX-License-Identifier: GPL-2.0-or-later

For the tests and the fuzz seeds.  [MS-VHDX]; sections are cited by number.

  image (path, size, ...)     an image: see there
  Log (guid)                  a log, filled by hand
  mark (path, log)            gives the log to an image that has none
  apply (path, updates)       what replaying does
"""

import struct
import uuid

K, M = 1 << 10, 1 << 20
NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, PRESENT, PARTIAL = 0, 1, 2, 3, 6, 7
LOG, BAT = M, 2 * M
BAT_ID = "2dc27766-f623-4200-9d64-115e9bfd4a08"
METADATA_ID = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
FILE_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
DISK_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
DISK_ID = "beca12ab-b2e6-4523-93ef-c309e000c746"
LOGICAL = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
PHYSICAL = "cda348c7-445d-4471-9cc9-e9885251c556"
LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
LOCATOR_VHDX = "b04aefb7-d19e-4a81-b789-25b8e9445913"

TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def guid(text):
    return uuid.UUID(text).bytes_le


def summed(data):
    """With the checksum at byte 4."""
    data = data[:4] + bytes(4) + data[8:]
    return data[:4] + struct.pack("<I", crc32c(data)) + data[8:]


# --- the header section -------------------------------------------------


def header(sequence, log_id=bytes(16), data_write=bytes(16), version=1,
           log_version=0, log=LOG, log_length=M):
    h = struct.pack("<4sIQ16s16s16sHHIQ", b"head", 0, sequence, bytes(16),
                    data_write, log_id, log_version, version, log_length, log)
    return summed(h.ljust(4096, b"\0"))


def regions(entries):
    """ENTRIES: (id, offset, length, required)"""
    t = struct.pack("<4sIII", b"regi", 0, len(entries), 0)
    for i, off, length, required in entries:
        t += guid(i) + struct.pack("<QII", off, length, required)
    return summed(t.ljust(64 * K, b"\0"))


def metadata(items):
    """ITEMS: (id, flags, data)"""
    t = struct.pack("<8sHH20x", b"metadata", 0, len(items))
    data = b""
    for i, flags, d in items:
        t += guid(i) + struct.pack("<IIII", 64 * K + len(data), len(d), flags,
                                   0)
        data += d
    return t.ljust(64 * K, b"\0") + data


def locator(pairs, kind=LOCATOR_VHDX):
    head = guid(kind) + struct.pack("<HH", 0, len(pairs))
    text, at = b"", 20 + 12 * len(pairs)
    for key, value in pairs:
        k, v = key.encode("utf-16-le"), value.encode("utf-16-le")
        head += struct.pack("<IIHH", at + len(text), at + len(text) + len(k),
                            len(k), len(v))
        text += k + v
    return head + text


# --- images -------------------------------------------------------------


def standard_items(size, block, sector, physical, flags):
    return [
        (FILE_PARAMETERS, 4, struct.pack("<II", block, flags)),
        (DISK_SIZE, 6, struct.pack("<Q", size)),
        (DISK_ID, 6, bytes(range(16))),
        (LOGICAL, 6, struct.pack("<I", sector)),
        (PHYSICAL, 6, struct.pack("<I", physical)),
    ]


def bat_index(block, chunk):
    return block + block // chunk


def image(path, size, blocks=None, block=M, sector=512, physical=512,
          fixed=False, parent=None, bitmaps=None, data_write=bytes(16),
          log=None, log_length=M, creator="xrayfs's test", short=0,
          items=None):
    """BLOCKS: {number: (state, bytes or None)}; BITMAPS: {chunk: bytes};
    PARENT: pairs of the locator; LOG: a Log; SHORT: bytes to leave away at
    the end.  Returns where the blocks are: {number: offset}."""
    chunk = (sector << 23) // block
    count = -(-size // block)
    chunks = -(-count // chunk)
    entries = chunks * (chunk + 1)
    bat_at = LOG + log_length
    bat_length = max(M, -(-entries * 8 // M) * M)
    meta_at = bat_at + bat_length
    end = meta_at + M
    if items is None:
        items = standard_items(size, block, sector, physical,
                               fixed | (parent is not None) << 1)
        if parent is not None:
            items.append((LOCATOR, 4, locator(parent)))
    table = regions([(BAT_ID, bat_at, bat_length, 1),
                     (METADATA_ID, meta_at, M, 1)])
    places = {}
    with open(path, "wb") as f:
        def put(off, data):
            f.seek(off)
            f.write(data)

        put(0, b"vhdxfile" + creator.encode("utf-16-le"))
        log_id = log.guid if log else bytes(16)
        put(64 * K, header(6, log_id, data_write, log_length=log_length))
        put(128 * K, header(7, log_id, data_write, log_length=log_length))
        put(192 * K, table)
        put(256 * K, table)
        put(meta_at, metadata(items))
        for n, (state, data) in sorted((blocks or {}).items()):
            at = 0
            if data is not None:
                at, end = end, end + block
                put(at, data)
                places[n] = at
            put(bat_at + 8 * bat_index(n, chunk),
                struct.pack("<Q", at | state))
        for n, bits in (bitmaps or {}).items():
            put(bat_at + 8 * (n * (chunk + 1) + chunk),
                struct.pack("<Q", end | PRESENT))
            put(end, bits)
            end += M
        f.truncate(end - short)
        if log:
            log.write(f, LOG, log_length)
    return places


# --- the log (2.3) ------------------------------------------------------


class Log:
    """Entries that are put at places of the ring."""

    def __init__(self, seed=1):
        self.guid = bytes([seed]) * 16
        self.entries = []
        self.at = 0

    def add(self, sequence, updates, tail=None, at=None, flushed=0, last=0,
            log_id=None, length=M, spoil=None, padding=0):
        """UPDATES: (offset, bytes of 4096) or (offset, number of zeros).
        TAIL: where the sequence starts; None: here."""
        at = self.at if at is None else at
        tail = at if tail is None else tail
        data = [u for u in updates if isinstance(u[1], bytes)]
        sectors = -(-(len(updates) + 2) // 128)
        total = (sectors + len(data) + padding) * 4096
        e = struct.pack("<4sIIIQII16sQQ", b"loge", 0, total, tail, sequence,
                        len(updates), 0, log_id or self.guid, flushed, last)
        for off, what in updates:
            if isinstance(what, bytes):
                e += struct.pack("<4s4s8sQQ", b"desc", what[-4:], what[:8],
                                 off, sequence)
            else:
                e += struct.pack("<4sIQQQ", b"zero", 0, what, off, sequence)
        e = e.ljust(sectors * 4096, b"\0")
        for _, what in data:
            e += struct.pack("<4sI4084sI", b"data", sequence >> 32,
                             what[8:-4], sequence & 0xffffffff)
        e = summed(e.ljust(total, b"\0"))
        if spoil is not None:
            e = e[:spoil] + bytes([e[spoil] ^ 1]) + e[spoil + 1:]
        self.entries.append((at, e))
        self.at = (at + total) % length
        return at

    def write(self, f, offset, length):
        for at, e in self.entries:
            first = e[:length - at]
            f.seek(offset + at)
            f.write(first)
            f.seek(offset)
            f.write(e[len(first):])


def mark(path, log, offset=LOG, length=M):
    """Puts LOG into an image that has a log there, and says so in its
    headers."""
    with open(path, "r+b") as f:
        log.write(f, offset, length)
        for at in 64 * K, 128 * K:
            f.seek(at)
            h = f.read(4096)
            f.seek(at)
            f.write(summed(h[:48] + log.guid + h[64:]))


def apply(path, updates, last=0):
    """What replaying does: the updates, in order, and an empty log."""
    with open(path, "r+b") as f:
        for off, what in updates:
            f.seek(off)
            f.write(what if isinstance(what, bytes) else bytes(what))
        for at in 64 * K, 128 * K:
            f.seek(at)
            h = f.read(4096)
            f.seek(at)
            f.write(summed(h[:48] + bytes(16) + h[64:]))
        f.seek(0, 2)
        f.truncate(max(f.tell(), last))
