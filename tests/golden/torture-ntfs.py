#!/usr/bin/env python3
"""Adds to the directory argv[1], which ntfs-3g has mounted with
"compression", what only NTFS has.  argv[2]: its cluster size; argv[3]: how
many files in addition."""
import os
import random
import struct
import sys

top, cluster, many = os.fsencode(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.chdir(top)
random.seed(2)
COMPRESSED = struct.pack("<I", 0x820)


def attempt(fn, *args, **kwargs):
    try:
        return fn(*args, **kwargs)
    except OSError as e:
        print("left out: %s: %s" % (args[0], e.strerror), file=sys.stderr)


def write(name, data, offset=0):
    with open(name, "r+b" if os.path.exists(name) else "wb") as f:
        f.seek(offset)
        f.write(data)


def text(n):
    words = [random.randbytes(random.randrange(1, 9)) for _ in range(200)]
    out = b""
    while len(out) < n:
        out += b"".join(random.choices(words, k=1000))
    return out[:n]


# LZNT1: what compresses, what does not, zeros, holes, and odd sizes.
if cluster <= 4096:
    os.mkdir("compressed")
    attempt(os.setxattr, "compressed", "system.ntfs_attrib", COMPRESSED)
    unit = 16 * cluster
    for size in (1, 500, 1500, 4095, 4096, 4097, unit - 1, unit, unit + 1,
                 3 * unit + 77, 400000):
        write("compressed/text-%d" % size, text(size))
        write("compressed/noise-%d" % size, random.randbytes(size))
        write("compressed/zeros-%d" % size, bytes(size))
    mixed = b"".join((text(3000), random.randbytes(9000), bytes(5000))[i % 3]
                     for i in range(120))
    write("compressed/mixed", mixed)
    for i in range(10):
        write("compressed/holes", text(unit + 5), i * 5 * unit + 100)
    # In pieces, since two files take turns.
    fds = [os.open("compressed/turn-%d" % i, os.O_CREAT | os.O_WRONLY)
           for i in range(2)]
    for i in range(60):
        for fd in fds:
            os.pwrite(fd, text(unit), i * unit)
    for fd in fds:
        os.close(fd)

# Sizes about what fits into a record.
for size in range(400, 800, 20):
    write("resident-%d" % size, random.randbytes(size))

# Streams: empty, in the record, in clusters, many (in an attribute list), of
# a directory, and with names of all kinds.
for i, size in enumerate((0, 1, 300, 3000, 50000, 65536)):
    write("stream-%d" % i, b"x")
    attempt(os.setxattr, "stream-%d" % i, "user.Zone.Identifier",
            random.randbytes(size))
write("streams", b"x")
for i in range(60):
    attempt(os.setxattr, "streams", "user.stream number %d" % i,
            random.randbytes(i * 37))
os.mkdir("stream-dir")
attempt(os.setxattr, "stream-dir", "user.on a directory", b"value")
attempt(os.setxattr, "stream-dir", "user.\u00e4\u4e2d\U0001f600", b"value")

# Names: beyond the first plane, upper and lower case side by side.
os.mkdir("names-ntfs")
for name in ("\U0001f600\u4e2d\u6587", "CASE", "case", "Case", "\u00c4rger",
             "\u00e4rger", "\u0178", "\u00ff", "\ufffd", "a:b", "n" * 255,
             "\u4e2d" * 255, "\U00010400" * 127, "trailing.", "trailing "):
    attempt(write, "names-ntfs/" + name, name.encode())

# A file in many pieces, with an attribute list.
fds = [os.open("pieces-%d" % i, os.O_CREAT | os.O_WRONLY) for i in range(2)]
for i in range(1500 if cluster <= 4096 else 200 if cluster <= 65536 else 20):
    for fd in fds:
        os.pwrite(fd, b"%d" % i * 5, i * cluster)
for fd in fds:
    os.close(fd)

# Sparse: ntfs-3g makes holes where nothing was written.
for i in range(30 if cluster <= 65536 else 5):
    write("sparse", random.randbytes(min(cluster, 4096) + 3),
          i * max(70000, 3 * cluster) + 5)

# Many files, in directories of many sizes.
for i in range(int(many)):
    d = "many/%d" % (i % 7 * (i % 60))
    os.makedirs(d, exist_ok=True)
    write("%s/file-%d-of-many.%x" % (d, i, i * 7919),
          random.randbytes(random.choice((0, 10, 600, 1000, 5000))))
# Records that are used again.
for i in range(0, int(many), 3):
    d = "many/%d" % (i % 7 * (i % 60))
    os.unlink("%s/file-%d-of-many.%x" % (d, i, i * 7919))
for i in range(int(many) // 10):
    write("again-%d" % i, b"again")
