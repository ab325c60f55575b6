#!/usr/bin/env python3
"""Reparse points, in a directory that ntfs-3g has mounted with
"streams_interface=windows".

  ntfs_reparse.py DIRECTORY    makes one of each kind, and prints what should
                               be read: "path -> target", "path crc=..." or
                               "path: words of the error"
"""
import ctypes
import os
import random
import struct
import sys
import zlib

MOUNT_POINT, SYMLINK, WOF = 0xa0000003, 0xa000000c, 0x80000017
# Algorithm: number in the point, libwim's number, bytes of a chunk.
WOF_KINDS = {"xpress4k": (0, 1, 4096), "lzx": (1, 2, 32768),
             "xpress8k": (2, 1, 8192), "xpress16k": (3, 1, 16384)}


def set_point(path, tag, data, guid=b""):
    os.setxattr(path, "system.ntfs_reparse_data",
                struct.pack("<IHH", tag, len(data), 0) + guid + data,
                follow_symlinks=False)


def names(target, shown, fixed):
    a, b = target.encode("utf-16le"), shown.encode("utf-16le")
    return struct.pack("<HHHH", 0, len(a), len(a) + 2, len(b)) + fixed + \
        a + b"\0\0" + b + b"\0\0"


def junction(path, target):
    os.mkdir(path)
    set_point(path, MOUNT_POINT, names(target, "shown", b""))


def symlink(path, target, relative, directory=False):
    os.mkdir(path) if directory else open(path, "w").close()
    set_point(path, SYMLINK,
              names(target, "shown", struct.pack("<I", int(relative))))


def compress(data, kind):
    number, libwim, chunk = WOF_KINDS[kind]
    lib = ctypes.CDLL("libwim.so.15")
    lib.wimlib_compress.restype = ctypes.c_size_t
    codec = ctypes.c_void_p()
    assert lib.wimlib_create_compressor(libwim, ctypes.c_size_t(chunk), 0,
                                        ctypes.byref(codec)) == 0
    out, ends = b"", []
    for i in range(0, len(data), chunk):
        part = data[i:i + chunk]
        buf = ctypes.create_string_buffer(chunk)
        n = lib.wimlib_compress(part, ctypes.c_size_t(len(part)), buf,
                                ctypes.c_size_t(len(part) - 1), codec)
        out += buf.raw[:n] if n else part
        ends.append(len(out))
    lib.wimlib_free_compressor(codec)
    return b"".join(struct.pack("<I", e) for e in ends[:-1]) + out


def wof(path, data, kind, stream=None):
    with open(path, "wb") as f:
        f.truncate(len(data))
    with open(path + ":WofCompressedData", "wb") as f:
        f.write(compress(data, kind) if stream is None else stream)
    set_point(path, WOF, struct.pack("<IIII", 1, 2, 1, WOF_KINDS[kind][0]))


def text(n):
    words = [random.randbytes(random.randrange(2, 9)) for _ in range(99)]
    out = b""
    while len(out) < n:
        out += b"".join(random.choices(words, k=100))
    return out[:n]


def make_links():
    os.makedirs("dir/below")
    for i, (target, want) in enumerate((
            ("\\??\\C:\\Users\\All Users", "../../Users/All Users"),
            ("\\??\\c:\\", "../.."),
            ("\\??\\C:\\a\\..\\..\\..\\b", "../../b"),
            ("\\??\\D:\\data", "../../D:/data"),
            ("\\??\\Volume{01234567-89ab-cdef-0123-456789abcdef}\\",
             "../../Volume{01234567-89ab-cdef-0123-456789abcdef}"),
            ("\\\\?\\C:\\x", "../../x"))):
        junction("dir/below/junction-%d" % i, target)
        print("/dir/below/junction-%d -> %s" % (i, want))
    for i, (target, relative, want) in enumerate((
            ("..\\other\\file", True, "../other/file"),
            ("a\\b\\..\\c", True, "a/c"),
            (".", True, "."),
            ("..\\..\\..\\..\\etc\\passwd", True, "../etc/passwd"),
            ("\\Windows\\notepad.exe", True, "../Windows/notepad.exe"),
            ("\\??\\C:\\Windows", False, "../Windows"),
            ("\\??\\UNC\\server\\share", False, "../UNC/server/share"),
            ("\u00e4\U0001f600", True, "\u00e4\U0001f600"))):
        symlink("dir/link-%d" % i, target, relative, i % 2)
        print("/dir/link-%d -> %s" % (i, want))
    symlink("top", "..\\..\\x", True)
    print("/top -> x")
    # WSL.
    open("wsl", "w").close()
    set_point("wsl", 0xa000001d, struct.pack("<I", 2) + b"/usr/bin/env")
    print("/wsl -> /usr/bin/env")


def make_wof():
    for kind, (_, _, chunk) in WOF_KINDS.items():
        for size in (0, 1, 300, chunk - 1, chunk, chunk + 1, 3 * chunk + 77,
                     1000000):
            data = text(size)
            if size > 5 * chunk:
                data = data[:chunk] + random.randbytes(chunk) + \
                    bytes(chunk) + data[3 * chunk:]
            wof("%s-%d" % (kind, size), data, kind)
            print("/%s-%d crc=%08x" % (kind, size, zlib.crc32(data)))
    wof("wof-damaged", text(9000), "lzx", b"\xff" * 500)
    print("/wof-damaged: WOF: ")
    wof("wof-cut", text(90000), "xpress4k", b"\0\0\0\0\x01")
    print("/wof-cut: WOF: ")


def make_others():
    for tag, what in ((0x80000013, "data deduplication"),
                      (0x9000601a, "cloud"), (0x80000099, "not known")):
        name = "tag-%x" % tag
        with open(name, "wb") as f:
            f.truncate(100000)
        set_point(name, tag, b"some data")
        if tag != 0x9000601a:
            print("/%s: %s (reparse tag 0x%08x)" % (name, what, tag))
        else: # all there
            print("/%s crc=%08x" % (name, zlib.crc32(bytes(100000))))
    os.mkdir("cloud-dir")
    with open("cloud-dir/file", "wb") as f:
        f.write(b"1")
    set_point("cloud-dir", 0x9000601a, b"some data")
    print("/cloud-dir/file crc=%08x" % zlib.crc32(b"1"))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    random.seed(4)
    make_links()
    make_wof()
    make_others()
