#!/usr/bin/env python3
"""The headers of a BitLocker volume, for tests: as libbde's documentation has
them; `cryptsetup bitlkDump` is their judge.  Nothing in it can be decrypted.

  bitlocker.py SIZE METHOD [to-go] > IMAGE
"""
import struct
import sys

GUID = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
PLACES = (0x8000, 0x10000, 0x18000)


def entry(kind, value, data):
    return struct.pack("<HHHH", 8 + len(data), kind, value, 1) + data


def key(protection):
    """A volume master key: GUID, time, what protects it, and the key."""
    return entry(2, 8, bytes(range(16)) + struct.pack("<QHH", 0, 0, protection)
                 + entry(0, 3, struct.pack("<I", 0x1000) + bytes(24))
                 + entry(0, 5, bytes(12 + 16 + 44)))


def metadata(size, method):
    entries = (entry(7, 2, "host C: 01.02.2024\0".encode("utf-16-le"))
               + key(0x0800) + key(0x2000)
               + entry(3, 5, bytes(12 + 16 + 44)))
    head = struct.pack("<IIII", 48 + len(entries), 1, 48, 48 + len(entries))
    head += bytes(range(16)) + struct.pack("<IIQ", 1, method, 0)
    block = b"-FVE-FS-" + struct.pack("<HHHHQII", 64, 2, 4, 4, size, 0, 16)
    return block + struct.pack("<4Q", *PLACES, 0x20000) + head + entries


def image(size, method=0x8004, to_go=False):
    out = bytearray(size)
    out[0:11] = b"\xeb\x58\x90" + (b"MSWIN4.1" if to_go else b"-FVE-FS-")
    struct.pack_into("<HB", out, 11, 512, 8)
    at = 424 if to_go else 160
    out[at:at + 16] = GUID
    struct.pack_into("<3Q", out, at + 16, *PLACES)
    out[510:512] = b"\x55\xaa"
    for place in PLACES:
        copy = metadata(size, method)
        out[place:place + len(copy)] = copy
    return bytes(out)


if __name__ == "__main__":
    sys.stdout.buffer.write(image(int(sys.argv[1]), int(sys.argv[2], 0),
                                  "to-go" in sys.argv[3:]))
