#!/usr/bin/env python3
"""Adds to the directory argv[1], the top of a Btrfs, what is hard to read of
it in particular.  argv[2]: its sector size; argv[3]: how many there are of
what is many."""
import fcntl
import itertools
import os
import random
import struct
import subprocess
import sys

os.chdir(sys.argv[1])
sector, many = int(sys.argv[2]), int(sys.argv[3])
random.seed(3)
FICLONE, FICLONERANGE, CREATE = 0x40049409, 0x4020940D, 0x5000940E
GETFLAGS, SETFLAGS, NOCOW = 0x80086601, 0x40086602, 0x00800000


def attempt(fn, *args, **kwargs):
    try:
        return fn(*args, **kwargs)
    except OSError as e:
        print("left out: %s" % e, file=sys.stderr)


def btrfs(*args):
    subprocess.run(("btrfs",) + args, check=True, stdout=subprocess.DEVNULL)


def subvolume(name):
    fd = os.open(os.path.dirname(name) or ".", os.O_RDONLY)
    fcntl.ioctl(fd, CREATE, bytearray(struct.pack(
        "q4088s", 0, os.path.basename(name).encode())))
    os.close(fd)


def touch(name):
    os.close(os.open(name, os.O_CREAT))


def write(name, data, offset=0):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY)
    os.pwrite(fd, data, offset)
    os.fsync(fd)
    os.close(fd)


def words(n):
    """Text that every method makes smaller."""
    return b" ".join(b"%d" % random.randrange(1000) for _ in range(n // 3))[:n]


# What is compressed with each method: inline, one extent, many, and with an
# end within a sector.
for method in ("zlib", "lzo", "zstd"):
    for size in (1, 100, 2000, 2040, sector, sector + 1, 5 * sector - 7,
                 128 << 10, (128 << 10) + 1, 1000001):
        name = "%s-%d" % (method, size)
        touch(name)
        attempt(os.setxattr, name, "btrfs.compression", method.encode())
        write(name, words(size) if size % 3 else bytes(size))
    # Parts of an extent that is partly written again, and its end cut off.
    name = method + "-pieces"
    touch(name)
    attempt(os.setxattr, name, "btrfs.compression", method.encode())
    write(name, words(256 << 10))
    for i in (1, 5, 9, 33):
        write(name, random.randbytes(sector + 5), i * sector)
    os.truncate(name, 200001)
    os.truncate(name, 220000)

# Without checksums: as they are on the disk.
touch("nocow")
fd = os.open("nocow", os.O_RDWR)
flags = attempt(fcntl.ioctl, fd, GETFLAGS, struct.pack("l", 0))
if flags:
    attempt(fcntl.ioctl, fd, SETFLAGS,
            struct.pack("l", struct.unpack("l", flags)[0] | NOCOW))
os.pwrite(fd, random.randbytes(40 * sector + 3), 0)
os.posix_fallocate(fd, 60 * sector, 10 * sector)
os.pwrite(fd, b"x" * sector, 64 * sector)
os.close(fd)

# Extents that are shared, and such of which a part is used.
write("shared", random.randbytes(50 * sector))
with open("shared", "rb") as a, open("clone", "wb") as b:
    attempt(fcntl.ioctl, b, FICLONE, a.fileno())
with open("shared", "rb") as a, open("clone-parts", "wb") as b:
    for i in range(10):
        attempt(fcntl.ioctl, b, FICLONERANGE,
                struct.pack("qQQQ", a.fileno(), i * 4 * sector, sector,
                            (30 - 3 * i) * sector))
with open("clone", "r+b") as b:
    b.seek(20 * sector)
    b.write(random.randbytes(sector))
with open("zlib-1000001", "rb") as a, open("clone-zlib", "wb") as b:
    attempt(fcntl.ioctl, b, FICLONERANGE,
            struct.pack("qQQQ", a.fileno(), 7 * sector, 50 * sector, 0))

# So many extents that they take many leaves; written from the end.
fd = os.open("extents", os.O_CREAT | os.O_RDWR)
for i in reversed(range(many)):
    os.pwrite(fd, b"%d" % i, 2 * i * sector)
os.close(fd)
# Data, holes and unwritten ones in turns.
fd = os.open("mixed", os.O_CREAT | os.O_RDWR)
os.posix_fallocate(fd, 0, many * sector)
for i in range(0, many, 3):
    os.pwrite(fd, random.randbytes(sector), i * sector)
os.close(fd)
# Inline, and then longer.
for size in (1, 500, 2000):
    write("grown-%d" % size, random.randbytes(size))
    os.truncate("grown-%d" % size, 3 * sector + 1)

# Names of one hash: these five bytes are the polynomial.
os.mkdir("collisions")
other = bytes(x ^ y for x, y in zip(b"AAAAA", b"\xf1\x76\xec\x05\x01"))
for parts in itertools.product((b"AAAAA", other), repeat=5):
    attempt(touch, b"collisions/" + b"".join(parts))

for n in (1, 10, 100):
    touch("attributes-%d" % n)
    for i in range(n):
        attempt(os.setxattr, "attributes-%d" % n, "user.%d" % i,
                random.randbytes(i))

# Subvolumes, in each other, and what snapshots have in their place.
subvolume("sub")
write("sub/file", b"in a subvolume")
os.mkdir("sub/dir")
os.chown("sub/dir", 1234, 5678)
subvolume("sub/dir/inner")
subvolume("sub/dir/second")
for i in range(many // 10):
    with open("sub/dir/inner/%d" % i, "w") as f:
        f.write("%d" % i * 50)
btrfs("subvolume", "snapshot", "sub", "snapshot")
btrfs("subvolume", "snapshot", "-r", "sub/dir/inner", "sub/read-only")
write("sub/file", b"changed")
os.unlink("sub/dir/inner/3")
os.rename("sub/dir/second", "sub/renamed")
subvolume("gone")
subvolume("gone/below")
btrfs("subvolume", "snapshot", "gone", "left")
btrfs("subvolume", "delete", "-C", "gone/below", "gone")
for i in range(20):
    subvolume("many-%d" % i)
    write("many-%d/file" % i, b"%d" % i)
btrfs("subvolume", "set-default", "snapshot")
