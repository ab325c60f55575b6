#!/usr/bin/env bash
# FAT and exFAT that are damaged: an error that names the place, what is whole
# beside it, and never zeros or names that nobody wrote.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3

PYTHONPATH=$srcdir/tests/golden python3 -B - "$(tool fs-walk)" "$tmp" << 'PY'
import random
import struct
import subprocess
import sys

from fat_image import DIR, Exfat, Fat, File

walk, tmp = sys.argv[1:]
img = tmp + "/img"
DATA = random.Random(5).randbytes(5 * 4096)


def run(kind, *args):
    r = subprocess.run([walk, "-t", kind, *args, img], capture_output=True, timeout=60)
    return r.stdout.replace(b"\\x20", b" ")


def check(what, condition, *more):
    if not condition:
        sys.exit("FAILED: %s: %s" % (what, more))


def save(data):
    with open(img, "wb") as f:
        f.write(data)


def has(what, got, *wanted):
    for w in wanted:
        check(what, w.encode() in got, w, got[:2000])


# --- chains: VICTIM has five clusters, WHOLE is beside it -------------------

def chains(make, kind):
    def harm(change):
        victim = File("victim", DATA)
        v = make()
        save(v.finish([victim, File("whole", b"whole")],
                      lambda v: change(v, victim.clusters)))
        check("whole", run(kind, "--cat", "/whole") == b"whole")
        return v, victim.clusters, run(kind, "--cat", "/victim"), run(kind, "-l")

    def read_part(n, change, *wanted):
        v, c, got, listing = harm(change)
        names = {str(i): cluster for i, cluster in enumerate(c)}
        has(wanted[0], listing, *(w % names for w in wanted))
        # Of what is there all, and of what is not nothing.
        check("part", b"/victim mode" in listing and b"/whole mode" in listing)
        check("what is there", got.startswith(DATA[:n * 4096] + b"error:5:"), n, got[-200:])

    bad = {12: 0xff7, 16: 0xfff7}.get(getattr(make(), "bits", 32),
                                      0xfffffff7 if kind == "exfat" else 0x0ffffff7)
    read_part(3, lambda v, c: v.words.update({c[2]: v.END}),
              "its chain ends at cluster %(2)d, after 3 of 5 clusters")
    for last, first, there in ((2, 0, 3), (0, 0, 1), (2, 2, 3), (3, 1, 4)):
        read_part(there, lambda v, c: v.words.update({c[last]: c[first]}),
                  "its chain leads in a circle, back to cluster %%(%d)d after %d" % (first, there))
    # All of the file is there before the circle closes.
    v, c, got, listing = harm(lambda v, c: v.words.update({c[4]: c[0]}))
    check("circle", got == DATA)
    read_part(2, lambda v, c: v.words.update({c[2]: 0}), "cluster %(2)d of its chain is free")
    read_part(2, lambda v, c: v.words.update({c[2]: bad}),
              "cluster %(2)d of its chain is marked bad")
    read_part(3, lambda v, c: v.words.update({c[2]: v.clusters + 2}),
              "cluster %(2)d of its chain is followed by one that there is not")
    read_part(3, lambda v, c: v.words.update({c[2]: 1}), "is followed by one that there is not")
    # A chain that is too long has all of the file.
    v, c, got, listing = harm(lambda v, c: v.words.update({c[4]: v.free[0], v.free[0]: v.END}))
    check("too long", got == DATA)


for bits, size, sector in ((12, 200 << 10, 512), (16, 18 << 20, 512), (32, 200 << 10, 512)):
    chains(lambda: Fat(bits, size, sector, 8), "vfat")
chains(lambda: Exfat(400 << 10, 512, 8), "exfat")

# --- directories ------------------------------------------------------------

def directory(v, kind, change, *wanted, files=None, absent=None):
    files = files or [File("dir", [File("entry %d" % i) for i in range(40)]), File("whole", b"w")]
    save(v.finish(files, lambda v: change(v, files[0].clusters)))
    listing = run(kind, "-l")
    has("directory", listing, "/whole mode", *wanted)
    # A name that may be in what cannot be read is not "not there".
    got = run(kind, "--cat", "/dir/absent")
    check("absent", b"error:5:" in got, got)
    return listing


def fat():
    return Fat(32, 200 << 10, 512, 1)


directory(fat(), "vfat", lambda v, c: v.words.update({c[2]: c[0]}), "/dir readdir-error:5:", "circle")
got = directory(fat(), "vfat", lambda v, c: v.words.update({c[2]: 0}), "/dir readdir-error:5:",
                "is free", "/dir/entry 0 mode", "nlink=1 ")
directory(fat(), "vfat", lambda v, c: v.put(c, random.Random(6).randbytes(len(c) * 512)),
          "is no directory")
for first in (0, 1, 0x0ffffff0):
    directory(fat(), "vfat", lambda v, c: None, "its first cluster, %d, is not there" % first,
              files=[File("dir", [], first=first), File("whole", b"w")])
# --- FAT as a whole -----------------------------------------------------------

def whole(v, patch, *wanted, state="clean", files=None):
    data = bytearray(v.finish(files or [File("whole", b"whole")]))
    patch(v, data)
    save(data)
    got = run("vfat", "--check")
    has("check", got, *wanted)
    has("state", run("vfat", "--info"), "state=" + state)
    check("whole", run("vfat", "--cat", "/whole") == b"whole")


def put(data, at, value):
    data[at:at + len(value)] = value


whole(fat(), lambda v, d: None, "ok")
whole(fat(), lambda v, d: put(d, v.fat_at + v.fat_size + 700, b"x"),
      "FAT number 2 differs from the first in 1 sectors")
whole(fat(), lambda v, d: put(d, 65, b"\1"), "was not unmounted", state="dirty")
whole(fat(), lambda v, d: put(d, v.fat_at + 7, b"\x07"), "was not unmounted",
      "differs", state="dirty")
whole(fat(), lambda v, d: put(d, v.fat_at + 7, b"\x0b"), "the medium had errors", state="errors")
v16 = Fat(16, 2200 << 10, 512, 1)
whole(v16, lambda v, d: put(d, v.fat_at + 3, b"\x7f"), "was not unmounted", state="dirty")
whole(Fat(12, 200 << 10, 512, 1), lambda v, d: put(d, 37, b"\1"), "was not unmounted", state="dirty")
whole(fat(), lambda v, d: put(d, 6 * 512 + 3, b"other"), "boot sector differs from its copy at sector 6")
whole(fat(), lambda v, d: put(d, 512 + 488, b"\x05\0\0\0"), "FSInfo has 5 free clusters, and there are")
whole(fat(), lambda v, d: put(d, 19, struct.pack("<H", 2000)), "filesystem has 1024000 bytes, its partition 204800")
# The second table is in use, and the first one wiped.
whole(fat(), lambda v, d: (put(d, 40, b"\x81\0"), put(d, v.fat_at, bytes(v.fat_size))),
      "boot sector differs from its copy")
has("features", run("vfat", "--info"), "features=fat32 no-mirror")
for at, value, text in ((11, b"\0\3", "sectors of 768 bytes"), (13, b"\3", "clusters of 3 sectors"),
                        (14, b"\0\0", "no reserved sectors"), (16, b"\0", "no FAT"),
                        (21, b"\x12", "impossible medium 0x12"), (19, b"\x10\0", "data from")):
    data = bytearray(fat().finish([]))
    put(data, at, value)
    save(data)
    has("boot sector", run("vfat"), "error:22:", text)

# --- exFAT ----------------------------------------------------------------------

def exfat():
    return Exfat(200 << 10, 512, 1)


def exfat_whole(patch, *wanted, state="clean", files=None, boot=True, change=lambda v: None):
    v = exfat()
    data = bytearray(v.finish(files or [File("whole", b"whole")], change))
    patch(v, data)
    save(data)
    has("check", run("exfat", "--check"), *wanted)
    has("state", run("exfat", "--info"), "state=" + state if state else "error:5:")
    check("whole", run("exfat", "--cat", "/whole") == b"whole")
    return run("exfat", "-l")


exfat_whole(lambda v, d: None, "ok")
exfat_whole(lambda v, d: put(d, 106, b"\2"), "was not unmounted", state="dirty")
exfat_whole(lambda v, d: put(d, 106, b"\4"), "the medium had errors", state="errors")
exfat_whole(lambda v, d: put(d, 13 * 512, b"x"), "copy of the boot region: checksum is wrong")
exfat_whole(lambda v, d: put(d, v.at(v.places["upcase"]) + 5, b"x"), "up-case table is damaged")
exfat_whole(lambda v, d: put(d, v.at(v.places["bitmap"]), b"\0"), "is marked as free")
exfat_whole(lambda v, d: put(d, v.at(v.places["root"]) + 32, b"\x01"), "allocation bitmap is not there",
            state=None)
exfat_whole(lambda v, d: None, "allocation bitmap: cluster 2 of its chain is free", state=None,
            change=lambda v: v.words.update({v.places["bitmap"]: 0}))
# A set whose checksum is wrong: the others are there, and an error.
got = exfat_whole(lambda v, d: put(d, v.at(v.places["root"]) + 100, b"x"), "ok",
                  files=[File("hurt", b"x"), File("whole", b"whole")])
has("hurt", got, "/ readdir-error:5:", "checksum of the entry is wrong", "/whole mode")
check("hurt", b"/hurt" not in got)
has("absent", run("exfat", "--cat", "/absent"), "error:5:")
got = exfat_whole(lambda v, d: None, "ok", files=[
    File("whole", b"whole", junk=[bytes([0x86]) + bytes(31)])])
has("unknown", got, "unexpected, of type 0x86")
got = exfat_whole(lambda v, d: None, "ok", files=[
    File("whole", b"whole", junk=[bytes([0xa6]) + bytes(31)], extra=[bytes([0xe0]) + bytes(31)])])
check("benign", b"error" not in got)
got = exfat_whole(lambda v, d: None, "ok", files=[
    File("long", b"x" * 2000, valid=1999), File("whole", b"whole")])
check("valid", run("exfat", "--cat", "/long") == b"x" * 1999 + b"\0")
has("valid", got, "/long mode=100755 nlink=1 uid=0 gid=0 size=2000")
got = exfat_whole(lambda v, d: None, "ok", files=[
    File("long", b"x" * 2000, valid=2001), File("whole", b"whole")])
has("valid", got, "2001 of 2000 bytes are valid")
got = exfat_whole(lambda v, d: None, "ok", files=[
    File("run", b"x" * 2000, contiguous=True, first=exfat().clusters), File("whole", b"whole")])
has("run", got, "4 clusters from", "reach beyond the last one")
directory(exfat(), "exfat", lambda v, c: v.words.update({c[2]: 0}), "/dir readdir-error:5:", "is free",
          "/dir/entry 0 mode", "nlink=1 ")
data = bytearray(exfat().finish([]))
put(data, 600, b"x")
save(data)
has("boot region", run("exfat"), "error:22:", "checksum is wrong")

# --- each part of an image ----------------------------------------------------

def prefixes(kind, v):
    files = [File("data", DATA), File("dir", [File("name %d" % i, b"%d" % i) for i in range(60)])]
    data = v.finish(files)
    save(data)
    names = {line.split(b" mode=")[0] for line in run(kind, "-l").splitlines()}
    for size in list(range(0, 8192, 512)) + list(range(8192, len(data) - 600, 19 * 512)):
        save(data[:size])
        for line in run(kind, "-l").splitlines():
            if b" mode=" in line:
                check("prefix", line.split(b" mode=")[0] in names, size, line)
        got = run(kind, "--cat", "/data")
        check("prefix", got == DATA or b"error" in got, size, got[:100])


prefixes("vfat", Fat(12, 100 << 10, 512, 1))
prefixes("vfat", fat())
prefixes("exfat", exfat())
print("done")
PY
