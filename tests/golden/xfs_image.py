#!/usr/bin/env python3
"""Changes XFS images of version 5, with checksums that are right.

  xfs_image.py incompat IMAGE BITS   sets incompatible features
  xfs_image.py expand SEED IMAGE     makes a fuzzer's sparse seed an image
  xfs_image.py damage IMAGE WALK     damages each block of metadata in turn
  xfs_image.py index IMAGE           damages the indices of directories
  xfs_image.py circle IMAGE          leaves of attributes in a circle"""
import struct
import subprocess
import sys

table = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    table.append(c)


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c = c >> 8 ^ table[(c ^ b) & 255]
    return c ^ 0xffffffff


def number(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


def put_crc(data, at, length, crc_at):
    part = bytearray(data[at:at + length])
    part[crc_at:crc_at + 4] = bytes(4)
    data[at + crc_at:at + crc_at + 4] = struct.pack("<I", crc32c(part))


def load(path):
    with open(path, "rb") as f:
        return bytearray(f.read())


def save(path, data):
    with open(path, "wb") as f:
        f.write(data)


def incompat(path, bits):
    with open(path, "r+b") as f:
        first = f.read(512)
        step = number(first, 84, 4) * number(first, 4, 4)
        for ag in range(number(first, 88, 4)):
            f.seek(ag * step)
            sb = bytearray(f.read(number(first, 102, 2)))
            sb[216:220] = struct.pack(">I", number(sb, 216, 4) | int(bits, 0))
            put_crc(sb, 0, len(sb), 224)
            f.seek(ag * step)
            f.write(sb)


def expand(seed, path):
    data, out, i = load(seed), bytearray(), 4
    while len(data) - i >= 6:
        at, n = struct.unpack_from(">IH", data, i)
        out.extend(bytes(max(0, at + n - len(out))))
        out[at:at + n] = data[i + 6:i + 6 + n]
        i += 6 + n
    save(path, out)


def metadata(data):
    """Offsets of what files have: not that of free space, and of inodes."""
    block, inode = number(data, 4, 4), number(data, 104, 2)
    for at in range(0, len(data), block):
        if data[at:at + 4] in (b"BMA3", b"XDB3", b"XDD3", b"XARM", b"XSLM") \
                or number(data, at + 8, 2) in (0x3ebe, 0x3df1, 0x3dff, 0x3bee):
            yield at, block
        elif data[at:at + 2] == b"IN":
            for i in range(at, at + block, inode):
                if number(data, i + 2, 2):
                    yield i, inode


def walk(program, path):
    out = subprocess.run([program, "-l", "-t", "xfs", path],
                         stdout=subprocess.PIPE)
    if out.returncode < 0:
        raise SystemExit("signal %d" % -out.returncode)
    return out.stdout.decode().splitlines()


def compare(wanted, got, at):
    """What differs is an error, or below a directory that is one."""
    broken = [line.split(" ")[0].rstrip("/") + "/" for line in got
              if "readdir-error" in line or "stat-error" in line]
    lines = set(got)
    for line in wanted:
        if line in lines or any(line.startswith(b) for b in broken):
            continue
        name = line.split(" ")[0]
        found = [g for g in got if g.split(" ")[0] == name]
        if not found or "-error:5:" not in found[0]:
            raise SystemExit("0x%x: %s became %s" % (at, line[:200], found))
    return len(broken) > 0 or any("-error:" in line for line in got)


def damage(path, program):
    data, seen, found = load(path), 0, 0
    wanted = walk(program, path)
    for at, size in metadata(data):
        copy = bytearray(data)
        copy[at + size // 2] ^= 0x10
        save(path, copy)
        seen += 1
        found += compare(wanted, walk(program, path), at)
    save(path, data)
    print("%d damaged, %d noticed" % (seen, found))
    # A block in the index alone costs nothing but time.
    if seen < 20 or found < seen * 3 // 4:
        raise SystemExit("too few")


def index(path):
    data, n = load(path), 0
    dir_block = number(data, 4, 4) << data[192]
    for at, _ in metadata(data):
        if number(data, at + 8, 2) in (0x3df1, 0x3dff):
            data[at + 64:at + dir_block - 64] = bytes(dir_block - 128)
            put_crc(data, at, dir_block, 12)
            n += 1
    save(path, data)
    print(n)


def circle(path):
    data = load(path)
    for at, block in metadata(data):
        if number(data, at + 8, 2) == 0x3bee and number(data, at + 4, 4):
            data[at:at + 4] = data[at + 4:at + 8]
            put_crc(data, at, block, 12)
    save(path, data)


globals()[sys.argv[1]](*sys.argv[2:])
