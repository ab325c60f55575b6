#!/usr/bin/env python3
"""Makes the seeds of the rpm fuzz target: fuzz/corpus/rpm/*.  The first byte
chooses the store."""
import os
import sqlite3
import struct
import subprocess
import sys
import tempfile


def header(name, extra=0):
    tags = [(1000, 6, name), (1001, 6, b"1"), (1002, 6, b"2"),
            (1003, 4, struct.pack(">I", 3)), (1022, 6, b"noarch"),
            (1116, 4, struct.pack(">II", 0, 1)),
            (1117, 8, b"vmlinuz\0config"), (1118, 8, b"/boot/\0/lib/"),
            (1004, 6, b"x" * extra)]
    index, data = b"", b""
    for tag, kind, value in tags:
        if kind == 4:
            data += b"\0" * (-len(data) % 4)
        count = 2 if tag in (1116, 1117, 1118) else 1
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += value + (b"" if kind == 4 else b"\0")
    return struct.pack(">II", len(tags), len(data)) + index + data


HEADERS = [header(b"kernel"), header(b"bash", 100), header(b"big", 1500)]


def sqlite(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    db.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY,"
               " blob BLOB NOT NULL)")
    db.executemany("INSERT INTO Packages (blob) VALUES (?)",
                   [(h,) for h in HEADERS])
    db.commit()


def ndb(path):
    slots, blobs, at = [], b"", 256
    for n, h in enumerate(HEADERS):
        whole = struct.pack("<4sIII", b"BlbS", n + 1, 0, len(h)) + h
        whole += b"\0" * (-len(whole) % 16)
        slots.append(struct.pack("<4sIII", b"Slot", n + 1, at,
                                 len(whole) // 16))
        blobs += whole
        at += len(whole) // 16
    slots += [struct.pack("<4sIII", b"Slot", 0, 0, 0)] * (254 - len(slots))
    with open(path, "wb") as f:
        f.write(struct.pack("<4sIIII12x", b"RpmP", 0, 1, 1, 9) +
                b"".join(slots) + blobs)


def bdb(path):
    text = "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=512\nHEADER=END\n"
    for n, h in enumerate(HEADERS):
        text += " %s\n %s\n" % (struct.pack("<I", n + 1).hex(), h.hex())
    subprocess.run(["db5.3_load", path], input=text + "DATA=END\n", text=True,
                   check=True)


out = sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus/rpm"
os.makedirs(out, exist_ok=True)
with tempfile.TemporaryDirectory() as tmp:
    for i, make in enumerate((sqlite, ndb, bdb)):
        made = os.path.join(tmp, make.__name__)
        make(made)
        with open(made, "rb") as f, \
             open(os.path.join(out, make.__name__), "wb") as to:
            to.write(bytes([i]) + f.read())
with open(os.path.join(out, "header"), "wb") as to:
    to.write(b"\3" + HEADERS[1])
