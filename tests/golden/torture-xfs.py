#!/usr/bin/env python3
"""Adds to the directory argv[1] what is hard to read of XFS in particular.
argv[2]: its block size; argv[3]: how many there are of what is many."""
import fcntl
import os
import random
import stat
import sys

os.chdir(sys.argv[1])
block, many = int(sys.argv[2]), int(sys.argv[3])
random.seed(2)
FICLONE = 0x40049409


def attempt(fn, *args, **kwargs):
    try:
        return fn(*args, **kwargs)
    except OSError as e:
        print("left out: %s" % e, file=sys.stderr)


def touch(name):
    os.close(os.open(name, os.O_CREAT))


def write(name, data, offset=0):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY)
    os.pwrite(fd, data, offset)
    os.close(fd)


# The largest numbers of devices, and links of every length.
os.mknod("char-max", stat.S_IFCHR | 0o600, os.makedev(511, (1 << 18) - 1))
os.mkdir("links")
for n in list(range(1, 600)) + list(range(block - 70, min(block + 10, 1024))) \
        + [1000, 1021, 1022, 1023]:
    if 0 < n < 1024 and not os.path.lexists("links/%d" % n):
        os.symlink("l" * n, "links/%d" % n)

# So many extents that the tree has several levels; written from the end.
fd = os.open("extents", os.O_CREAT | os.O_RDWR)
for i in reversed(range(many)):
    os.pwrite(fd, b"%d" % i, 2 * i * block)
os.close(fd)
# Data, holes and unwritten ones in turns.
fd = os.open("mixed", os.O_CREAT | os.O_RDWR)
os.posix_fallocate(fd, 0, many * block)
for i in range(0, many, 3):
    os.pwrite(fd, random.randbytes(block), i * block)
os.close(fd)

# Blocks that two files share, and one that is no longer shared.
write("shared", random.randbytes(50 * block))
with open("shared", "rb") as a, open("clone", "wb") as b:
    attempt(fcntl.ioctl, b, FICLONE, a.fileno())
with open("clone", "r+b") as b:
    b.seek(20 * block)
    b.write(random.randbytes(block))

# Directories of each form, with and without holes in them.
for n in {1, 2, 5, 10, 20, 60, 100, 200, 400, 900, many}:
    os.mkdir("entries-%d" % n)
    for i in range(n):
        touch("entries-%d/%d-%s" % (n, i, "e" * (i % 50)))
for i in range(many // 4, many // 2):
    os.unlink("entries-%d/%d-%s" % (many, i, "e" * (i % 50)))
# Names of one hash: the bytes at I and at I + 32 are turned alike.
os.mkdir("collisions")
for i in range(many // 4):
    name = bytearray(b"A" * 64)
    for bit in range(16):
        name[bit + (32 if i >> bit & 1 else 0)] = ord("B")
    touch(b"collisions/" + name)

# Attributes: in the inode, in a leaf, in a tree, and of each length.
for n in (1, 3, 10, 50, 300, 1500):
    name = "attributes-%d" % n
    touch(name)
    for i in range(n):
        attempt(os.setxattr, name, "user.%d" % i, random.randbytes(i % 400))
for i, size in enumerate((200, block // 2, block - 100, block, 2 * block,
                          65535, 65536)):
    name = "value-%d" % i
    touch(name)
    attempt(os.setxattr, name, "user.value", random.randbytes(min(size, 65536)))
    attempt(os.setxattr, name, "security.label", b"label")
for i in range(0, 1500, 7):
    attempt(os.removexattr, "attributes-1500", "user.%d" % i)
os.mkdir("attributed")
touch("attributed/entry")
for i in range(40):
    os.setxattr("attributed", "user.%d" % i, b"v" * i)

# Times beyond those of 32 bits.
for i, t in enumerate((-2147483648, 4294967296, 16299260425)):
    touch("era-%d" % i)
    os.utime("era-%d" % i, ns=(t * 10**9 + 1, t * 10**9 + 999999999))
