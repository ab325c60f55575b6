#!/usr/bin/env python3
"""Members of md arrays, for tests: superblocks as include/uapi/linux/raid/md_p.h
has them, written by hand; `mdadm --examine` is their judge.

  md.py SIZE MINOR KEY=VALUE... > IMAGE

MINOR is 0, 1 or 2 of version 1, or 90 (big=1: of a big-endian machine)."""
import struct
import sys

MAGIC = 0xA92B4EFC


def fold(words):
    total = sum(words)
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def version1(place, data_size, *, level, disks, role, name, data, size,
             chunk=0, layout=0, events=7, uuid=b"0123456789abcdef",
             roles=None, recovery=None, clean=1, reshape=0, device=None):
    features = (2 if recovery is not None else 0) | (4 if reshape else 0)
    roles = roles or list(range(disks))
    device = role if device is None else device
    sb = bytearray(256 + 2 * len(roles))
    struct.pack_into("<III", sb, 0, MAGIC, 1, features)
    sb[16:32] = uuid
    sb[32:64] = name.encode().ljust(32, b"\0")
    struct.pack_into("<iIQII", sb, 72, level, layout, size // 512,
                     chunk // 512, disks)
    struct.pack_into("<QQQQ", sb, 128, data // 512, data_size // 512,
                     place // 512, recovery or 0)
    struct.pack_into("<I", sb, 160, device)
    struct.pack_into("<QQ", sb, 200, events, 2**64 - 1 if clean else 0)
    struct.pack_into("<I", sb, 220, len(roles))
    struct.pack_into(f"<{len(roles)}H", sb, 256, *roles)
    padded = bytes(sb) + bytes(-len(sb) % 4)
    struct.pack_into("<I", sb, 216,
                     fold(struct.unpack(f"<{len(padded) // 4}I", padded)))
    return bytes(sb)


def version0(*, level, disks, role, size, chunk=0, layout=0, events=7,
             uuid=b"0123456789abcdef", state=6, big=0, clean=1, minor_device=3,
             **_):
    order = ">" if big else "<"
    u = struct.unpack(">4I", uuid)
    w = [0] * 1024
    w[0:14] = [MAGIC, 0, 90, 0, 0, u[0], 0, level & 0xFFFFFFFF, size >> 10,
               disks, disks, minor_device, 0, u[1]]
    w[14:16] = u[2:4]
    w[33:37] = [clean, disks, disks, 0]
    w[39:41] = [0, events] if big else [events, 0]
    w[64:66] = [layout, chunk]
    for i in range(disks):
        w[128 + 32 * i:128 + 32 * i + 5] = [i, 8, i + 1, i, 6]
    w[992:997] = [role, 8, role + 1, role, state]
    w[38] = fold(w)
    return struct.pack(f"{order}1024I", *w)


def member(total, minor, contents=b"", **fields):
    """A whole member, CONTENTS where its data begin."""
    image = bytearray(total)
    if minor == 90:
        data, place = 0, (total & ~0xFFFF) - 0x10000
        sb = version0(**fields)
    else:
        data = 0 if minor == 0 else fields["data"]
        place = (((total // 512 - 16) & ~7) * 512, 0, 4096)[minor]
        fields["data"] = data
        room = (place if minor == 0 else total) - data
        sb = version1(place, room, **fields)
    image[data:data + len(contents)] = contents
    image[place:place + len(sb)] = sb
    return bytes(image)


if __name__ == "__main__":
    options = dict(a.split("=", 1) for a in sys.argv[3:])
    options = {k: int(v) if v.lstrip("-").isdigit() else v
               for k, v in options.items()}
    path = options.pop("contents", None)
    if "roles" in options:
        options["roles"] = [int(r) for r in str(options["roles"]).split(",")]
    if "uuid" in options:
        options["uuid"] = str(options["uuid"]).encode()
    body = open(path, "rb").read() if path else b""
    sys.stdout.buffer.write(
        member(int(sys.argv[1]), int(sys.argv[2]), body, **options))
