#!/usr/bin/env python3
"""Fills the directory argv[1] with everything that is hard to read: what the
filesystem refuses is left out.  argv[2]: its block size."""
import os
import random
import socket
import stat
import struct
import sys

top, block = os.fsencode(sys.argv[1]), int(sys.argv[2])
os.chdir(top)
random.seed(1)


def attempt(fn, *args, **kwargs):
    try:
        return fn(*args, **kwargs)
    except OSError as e:
        print("left out: %s: %s" % (args[0], e.strerror), file=sys.stderr)


def write(name, data, offset=0):
    with open(name, "r+b" if os.path.exists(name) else "wb") as f:
        f.seek(offset)
        f.write(data)


# Sizes around a block, around what fits into an inode, and larger.
for size in (0, 1, 59, 60, 61, 150, 160, 200, block - 1, block, block + 1,
             12 * block, 13 * block + 7, 300 * block + 1):
    write("size-%d" % size, random.randbytes(size))

# Holes: at the start, inside, at the end, and very far away.
write("hole-start", b"end", 10 * block)
for i in range(40):
    write("holes", random.randbytes(block), i * 3 * block)
write("hole-end", b"start")
os.truncate("hole-end", 5 * block + 5)
for i, off in enumerate((1 << 31, (1 << 32) + 5, 15 << 30, 1 << 40, 3 << 40)):
    attempt(write, "far-%d" % i, b"far away", off)

# Unwritten extents, before and after data.
fd = os.open("unwritten", os.O_CREAT | os.O_RDWR)
attempt(os.posix_fallocate, fd, 0, 64 * block)
os.pwrite(fd, random.randbytes(block), 20 * block)
os.close(fd)

# Fragments: two files that take turns.
fds = [os.open("fragment-%d" % i, os.O_CREAT | os.O_WRONLY) for i in range(2)]
for i in range(600):
    for fd in fds:
        os.pwrite(fd, random.randbytes(100), i * 2 * block)
for fd in fds:
    os.close(fd)

# Names.
os.mkdir("names")
for name in (b"n" * 255, b"\xff\xfe\x80", b"new\nline", b"sp ace", b"back\\s",
             b"%2f", b"%2e%2e", b"...", b"\xc3\xa9" * 127, b"-", b"\x01"):
    attempt(write, b"names/" + name, name)
os.symlink("sp ace", "names/link to space")

# Types, links and modes.
for n in (1, 59, 60, 61, 255, 1000, min(4000, block - 1)):
    attempt(os.symlink, "t" * n, "link-%d" % n)
os.symlink("/absolute/../target", "absolute")
for i in range(30):
    os.link("size-1", "hard-%d" % i)
os.mkfifo("fifo")
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
for i, (major, minor) in enumerate(((1, 3), (255, 255), (259, 70000),
                                    (4095, 1048575), (0, 0))):
    for name, kind in (("char-%d", stat.S_IFCHR), ("block-%d", stat.S_IFBLK)):
        attempt(os.mknod, name % i, kind | 0o600, os.makedev(major, minor))
write("owner", b"x")
attempt(os.chown, "owner", 100000, 4000000000)
write("setuid", b"x")
attempt(os.chmod, "setuid", 0o6751)
os.mkdir("sticky", 0o755)
attempt(os.chmod, "sticky", 0o1777)

# Directories: deep, and large.
os.mkdir("deep")
fd = os.open("deep", os.O_RDONLY)
for i in range(400):
    name = "level-%d-with-some-length" % i
    os.mkdir(name, dir_fd=fd)
    below = os.open(name, os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = below
os.close(os.open("bottom", os.O_CREAT, dir_fd=fd))
os.close(fd)
os.mkdir("large")
large = int(os.environ.get("LARGE", "20000"))
for i in range(large):
    os.mknod("large/an-entry-with-some-name-%d" % i)
for i in range(0, large // 7, 3):
    os.unlink("large/an-entry-with-some-name-%d" % i)
for n in (1, 2, 3, 5, 8, 12):  # in the inode, or no longer
    os.mkdir("small-%d" % n)
    for i in range(n):
        write("small-%d/entry-%d" % (n, i), b"%d" % i)

# Attributes: in the inode, in a block, in another inode.
for i, size in enumerate((0, 1, 30, 500, 3000, 20000, 60000)):
    write("xattr-%d" % i, b"x")
    attempt(os.setxattr, "xattr-%d" % i, "user.value", random.randbytes(size))
    attempt(os.setxattr, "xattr-%d" % i, "trusted.t", b"\0\1\2")
write("capability", b"x")
attempt(os.setxattr, "capability", "security.capability",
        struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
for i in range(20):
    attempt(os.setxattr, "sticky", "user.number%d" % i, b"v" * i)
os.symlink("x", "link-xattr")
attempt(os.setxattr, "link-xattr", "trusted.link", b"on a link",
        follow_symlinks=False)
none = 0xffffffff
acl = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *e) for e in ((1, 6, none), (2, 5, 1000),
                                      (2, 0, 70000), (4, 4, none),
                                      (8, 7, 100), (16, 7, none),
                                      (32, 0, none)))
attempt(os.setxattr, "size-1", "system.posix_acl_access", acl)
attempt(os.setxattr, "small-1", "system.posix_acl_default", acl)

# Times: before 1970, after 2038 and after 2106.
for i, t in enumerate((-1, -2147483648, 0, 2147483647, 2147483648,
                       4294967296, 15032385535, 1)):
    write("time-%d" % i, b"x")
    attempt(os.utime, "time-%d" % i, ns=(t * 10**9 + 123456789,
                                         t * 10**9 + 987654321))
