#!/usr/bin/env bash
# VMDK: headers, tables and descriptors that lie, files that are cut, reads
# that fail: a clear error or the right bytes, and little memory.
. "${srcdir:-.}/tests/functions.sh"
requires python3
cd "$tmp"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$srcdir/tests/golden \
  python3 - "$(tool block-cat)" "${SANITIZED:-}" << 'EOF' || fail "see above"
import random, resource, struct, subprocess, sys
import make_vmdk as m

random.seed(2)
block_cat, sanitized = sys.argv[1:]
bad = 0


def limit():
    if not sanitized:
        resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))


def run(*args):
    p = subprocess.run([block_cat, *args], capture_output=True, timeout=60,
                       preexec_fn=limit)
    if p.returncode not in (0, 1):
        sys.exit(f"{args}: status {p.returncode}: {p.stderr.decode()}")
    return p.returncode, p.stderr.decode("utf-8", "replace"), p.stdout


def read(name):
    """The bytes, or the message."""
    with open("out", "wb") as f:
        p = subprocess.run([block_cat, name], stdout=f, timeout=60,
                           stderr=subprocess.PIPE, preexec_fn=limit)
    if p.returncode == 0:
        return open("out", "rb").read()
    if p.returncode != 1:
        sys.exit(f"{name}: status {p.returncode}: {p.stderr.decode()}")
    return p.stderr.decode("utf-8", "replace")


def complain(what, got):
    global bad
    bad += 1
    print(f"{what}: {got[:300]!r}", file=sys.stderr)


def put(name, data):
    with open(name, "wb") as f:
        f.write(data)


# WANT: words of the message; None: the right bytes; True: opens.
def expect(what, data, want, good=None, name="t.vmdk"):
    put(name, data)
    got = read(name)
    if want is None and got != good or isinstance(want, str) and \
            (not isinstance(got, str) or want not in got) or \
            want is True and run("--info", name)[0]:
        complain(what, got)
    run("--check", name)
    run("--safety", name)


def change(data, off, fmt, value):
    out = bytearray(data)
    struct.pack_into(fmt, out, off, value)
    return bytes(out)


N = 20
DATA = {i: random.randbytes(512) for i in (0, 1, 5, 9, 19)}
RAW = b"".join(DATA.get(i, bytes(512)) for i in range(N))
desc = m.descriptor("monolithicSparse", [f"RW {N} SPARSE \"x\""])
SMALL = dict(grain=1, gtes=8, desc_sectors=1)
sparse = m.hosted(DATA, N, desc=desc, **SMALL)
stream = m.stream(DATA, N, desc=m.descriptor(
    "streamOptimized", [f"RW {N} SPARSE \"x\""]), **SMALL)
expect("good", sparse, None, RAW)
expect("good stream", stream, None, RAW)
GD, GT, MAX = 1024, 1536, (1 << 64) - 1
for what, off, fmt, value, want in [
        ("magic", 0, "<I", 0, None), ("version 0", 4, "<I", 0, "version 0"),
        ("version 4", 4, "<I", 4, "version 4 is not"),
        ("version max", 4, "<I", 0xffffffff, "is not known"),
        ("capacity max", 12, "<Q", MAX, "capacity"),
        ("capacity 2^53", 12, "<Q", 1 << 53, "too large"),
        ("capacity 2^28", 12, "<Q", 1 << 28, "grain directory at"),
        ("capacity 0", 12, "<Q", 0, "extent 'x': no such file"),
        ("grain 0", 20, "<Q", 0, "grain size of 0"),
        ("grain max", 20, "<Q", MAX, "grain size"),
        ("grain 2 GiB", 20, "<Q", 1 << 22, "grain size"),
        ("descriptor 0", 28, "<Q", 0, "without the descriptor"),
        ("descriptor size 0", 36, "<Q", 0, "without the descriptor"),
        ("descriptor behind", 28, "<Q", 1 << 30, "descriptor is cut off"),
        ("descriptor max", 28, "<Q", MAX, "descriptor of"),
        ("descriptor huge", 36, "<Q", 1 << 40, "too large"),
        ("descriptor elsewhere", 28, "<Q", 9, "no CID"),
        ("entries 0", 44, "<I", 0, "tables of 0 entries"),
        ("entries 513", 44, "<I", 513, "tables of 513 entries"),
        ("entries max", 44, "<I", 0xffffffff, "entries"),
        ("directory 0", 56, "<Q", 0, "grain table at"),
        ("directory behind", 56, "<Q", 1 << 40, "lies beyond the end"),
        ("directory huge", 56, "<Q", MAX - 1, "grain directory of 0x"),
        ("directory at the end", 56, "<Q", MAX, "footer"),
        ("overhead", 64, "<Q", 1 << 20, "cut off"),
        ("overhead max", 64, "<Q", MAX, "overhead"),
        ("algorithm 2", 77, "<H", 2, "algorithm 2"),
        ("algorithm deflate", 77, "<H", 1, "deflate data are damaged"),
        ("compression flag", 8, "<I", 0x10001, "disagree"),
        ("redundant behind", 48, "<Q", MAX, None),
        ("newlines", 73, "<I", 1, None),
        ("table behind", GD, "<I", 1 << 30, "grain table at 0x8000000000"),
        ("table at the end", GD, "<I", len(sparse) // 512, "grain table"),
        ("grain behind", GT, "<I", 1 << 31, "grain at 0x10000000000 lies"),
        ("grain 1", GT, "<I", 1, "bad grain table entry 0x1 (grain 0)")]:
    expect(what, change(sparse, off, fmt, value), want,
           change(sparse, 0, "<I", 0) if what == "magic" else RAW)
# In both header and footer, as a liar would.
F = len(stream) - 1024
for what, off, fmt, value, want in [
        ("stream: grain 4 MiB", 20, "<Q", 8192, "are not supported"),
        ("stream: capacity", 12, "<Q", 1 << 40, "grain directory"),
        ("stream: algorithm", 77, "<H", 9, "algorithm 9")]:
    expect(what, change(change(stream, off, fmt, value), F + off, fmt, value),
           want)
    expect(what + " of the footer", change(stream, F + off, fmt, value), want)
for what, off, fmt, value, want in [
        ("footer: magic", F, "<I", 0, "there is no footer at"),
        ("footer: marker", F - 512 + 12, "<I", 2, "there is no footer at"),
        ("footer: end", F + 512 + 12, "<I", 1, "there is no footer at"),
        ("footer: capacity", F + 12, "<Q", 0, "footer: the capacity is 0"),
        ("footer: again", F + 56, "<Q", MAX, "another footer"),
        ("marker: sector", 1024, "<Q", 7, "is for sector 7"),
        ("marker: size 0", 1032, "<I", 0, "of 0 bytes"),
        ("marker: size max", 1032, "<I", 0xffffffff, "4294967295 bytes"),
        ("data", 1040, "<I", 0, "deflate data are damaged")]:
    expect(what, change(stream, off, fmt, value), want)
short = m.stream({0: b"x"}, N, desc=desc, **SMALL)
expect("a grain that is too short", short, "end after 1 of 512")

# --- extents behind a descriptor
def behind(what, word, data, want, good=None, sectors=N):
    put("e", data)
    expect(what, m.descriptor("vmfsSparse", [f"RW {sectors} {word} \"e\""]),
           want, good)


cowd = m.cowd(DATA, N)
behind("cowd", "VMFSSPARSE", cowd, None, RAW)
for what, off, value, want in [
        ("version", 4, 2, "COWD version 2"), ("size 0", 12, 0, "capacity"),
        ("size", 12, 0xffffffff, "lies beyond"),
        ("grain 0", 16, 0, "grain size of 0"),
        ("grain", 16, 0xffffffff, "grain size"),
        ("directory", 20, 0xffffffff, "lies beyond"),
        ("entries", 24, 0, "too small"), ("table", 2048, 1 << 20, "table at"),
        ("grain 2", 2560, 2, "bad grain table entry 0x2"),
        ("grain behind", 2560, 0xffffffff, "lies beyond")]:
    behind("cowd: " + what, "VMFSSPARSE", change(cowd, off, "<I", value),
           want)
seDATA = {0: random.randbytes(4096), 5: b"y" * 4096}
seRAW = b"".join(seDATA.get(i, bytes(4096)) for i in range(8))
se = m.sesparse(seDATA, 64, zeroed=(1,), unmapped=(2,))
behind("sesparse", "SESPARSE", se, None, seRAW, 64)
for what, word, value, want in [
        ("version", 1, 1, "version 0x1 is"), ("size 0", 2, 0, "capacity"),
        ("size", 2, 1 << 50, "too large"), ("size max", 2, MAX, "capacity"),
        ("grain", 3, 16, "grains of 16"), ("table", 4, 32, "tables of 32"),
        ("flags", 5, 1, "unknown fields"), ("reserved", 8, 1, "unknown"),
        ("volatile", 10, 2, "no volatile header at"), ("volatile", 10, MAX, "volatile header"),
        ("directory", 16, 1 << 40, "lies beyond"),
        ("directory size", 17, 0, "too small"),
        ("tables", 18, 1 << 50, "grain table at"),
        ("grains", 24, 1 << 50, "lies beyond"),
        ("pad", 40, 1, "unknown fields"), ("journal", 64 + 3, 1, "journal"),
        ("entry", 128, 7, "bad grain directory entry 0x7"),
        ("entry far", 128, 1 << 60 | 9999, "grain table at")]:
    behind("sesparse: " + what, "SESPARSE",
           change(se, word * 8, "<Q", value), want, None, 64)
table = 3 * 512
for value, want in [(4 << 60, "bad grain table"), (1, "bad grain table"),
                    (3 << 60 | 99 << 48, "lies beyond"),
                    (MAX >> 2, "bad grain table")]:
    behind(f"sesparse: grain {value:x}", "SESPARSE",
           change(se, table, "<Q", value), want, None, 64)
behind("not sparse", "SPARSE", RAW, "is not a sparse extent")
behind("empty", "SPARSE", b"", "header is cut off")

# --- descriptors
put("f", RAW)
for what, kind, lines, want in [
        ("ZERO", "custom", ["RW 2 FLAT \"f\" 0", "RW 3 ZERO",
                            "rdonly 15 flat \"f\" 5"], None),
        ("NOACCESS", "custom", ["RW 2 FLAT \"f\" 0", "NOACCESS 3 ZERO"],
         "NOACCESS"),
        ("beyond", "vmfs", ["RW 21 VMFS \"f\""], "lies beyond the end of ext"),
        ("offset", "custom", [f"RW 1 FLAT \"f\" {1 << 54}"], "offset"),
        ("offset max", "custom", [f"RW 1 FLAT \"f\" {MAX}"], "line 8: the"),
        ("offset 2^64", "custom", [f"RW 1 FLAT \"f\" {MAX + 1}"], "offset"),
        ("no offset", "custom", ["RW 1 FLAT \"f\""], "has no offset"),
        ("size", "custom", [f"RW {MAX} ZERO"], "line 8: the extent's size"),
        ("size word", "custom", ["RW x ZERO"], "extent's size"),
        ("size -1", "custom", ["RW -1 ZERO"], "extent's size"),
        ("sum", "custom", [f"RW {(1 << 54) - 1} ZERO"] * 2, "too large"),
        ("no name", "custom", ["RW 1 FLAT f 0"], "no file name"),
        ("no end", "custom", ["RW 1 FLAT \"f"], "no file name"),
        ("empty name", "custom", ["RW 1 FLAT \"\" 0"], "no file name"),
        ("type", "custom", ["RW 1 VMFSRDM \"f\""], "'VMFSRDM' are not"),
        ("no type", "custom", ["RW 1"], "no file name"),
        ("none", "custom", [], "names no extent"),
        ("device", "fullDevice", ["RW 1 FLAT \"/dev/sda\" 0"], "is a device"),
        ("dev", "custom", ["RW 1 FLAT \"/dev/null\" 0"], "a device is ref"),
        ("outside", "vmfs", ["RW 1 VMFS \"../f\""], "outside the image's"),
        ("absolute", "vmfs", ["RW 1 VMFS \"/etc/passwd\""], "outside"),
        ("protocol", "vmfs", ["RW 1 VMFS \"nbd:h\""], "references are ref"),
        ("itself", "vmfs", ["RW 1 VMFS \"t.vmdk\""], "leads back"),
        ("kind", "strange", ["RW 1 VMFS \"f\""], "'strange' is not known"),
        ("many", "custom", ["RW 1 FLAT \"f\" 0"] * 2049, "more than 2048")]:
    expect("line: " + what, m.descriptor(kind, lines), want,
           RAW[:1024] + bytes(1536) + RAW[2560:])
one = ["RW 20 VMFS \"f\""]
for what, data, want in [
        ("no CID", b"# Disk DescriptorFile\ncreateType=\"vmfs\"\n", "no CID"),
        ("no type", b"# Disk DescriptorFile\nCID=1\n", "no createType"),
        ("only the word", b"# Disk DescriptorFile", "no CID"),
        ("crlf", m.descriptor("vmfs", one).replace(b"\n", b"\r\n"), None),
        ("encrypted", m.descriptor("vmfs", one, more=(
            "ddb.iofilters = \"vmwarevmcrypt\"\n")), "are encrypted (vmware"),
        ("keys", b"# Disk DescriptorFile\nCID=1\nencryption.keySafe=\"x\"\n",
         "descriptor is encrypted"),
        ("parent unnamed", m.hosted(DATA, N, desc=m.descriptor(
            "vmfs", one, parent=5), **SMALL), "does not name"),
        ("parent itself", m.hosted(DATA, N, desc=m.descriptor(
            "x", one, parent=5, hint="t.vmdk"), **SMALL), "leads back"),
        ("parent raw", m.hosted(DATA, N, desc=m.descriptor(
            "x", one, parent=5, hint="f"), **SMALL), "not a VMDK image"),
        ("parent outside", m.hosted(DATA, N, desc=m.descriptor(
            "x", one, parent=5, hint="../f"), **SMALL), "outside"),
        ("COWD alone", cowd, "without the descriptor"),
        ("seSparse alone", se, "without the descriptor"),
        ("KDMV", b"KDMV", "header is cut off"),
        ("large", m.descriptor("vmfs", one) + b"#" * (1 << 20), "too large")]:
    expect(what, data, want, RAW)

# --- findings
def finds(what, data, words, errors, name="t.vmdk"):
    put(name, data)
    status, err, out = run("--check", name)
    out = out.decode()
    if status or words not in out or f"errors={errors}\n" not in out:
        complain("check: " + what, out + err)


redundant = m.hosted(DATA, N, desc=desc, redundant=True, **SMALL)
finds("copy", change(redundant, GT, "<I", 99), "and its copy at", 0)
finds("table twice", change(sparse, GD + 4, "<I", 3), "overlaps another one", 1)
finds("grain twice", change(sparse, GT + 4, "<I",
                            struct.unpack_from("<I", sparse, GT)[0]),
      "overlaps another grain", 1)
finds("grain in a table", change(sparse, GT, "<I", 3), "overlaps", 1)
finds("cut", sparse[:-600], "600 bytes are missing", 1)
finds("grain behind", change(sparse, GT, "<I", 100),
      f"{101 * 512 - len(sparse)} bytes are missing", 1)
finds("text mode", change(sparse, 73, "<I", 0x0a0a200a), "as text", 1)
finds("no newline test", change(sparse, 73, "<I", 0), "not filled in", 0)
finds("unclean", change(sparse, 72, "<B", 1), "not closed properly", 0)
finds("sizes", change(sparse, 12, "<Q", 19), "the descriptor says 10240", 1)
finds("footer", change(stream, F + 36, "<Q", 2), "disagree on the desc", 1)
finds("marker", change(stream, 1024, "<Q", 7), "is for sector 7", 1)
put("f", RAW[:-100])
finds("flat cut", m.descriptor("vmfs", one), "f is cut off: 100 bytes", 1)
put("f", RAW)

# --- OpenStack's reasons
def unsafe(what, data, words):
    put("t.vmdk", data)
    status, err, out = run("--safety", "t.vmdk")
    if status or (words not in out.decode() if words else out):
        complain("safety: " + what, out.decode() + err)


unsafe("good", sparse, None)
unsafe("good stream", stream, None)
unsafe("flat", m.descriptor("vmfs", one), "this is 'vmfs'")
for what, kw, words in [
        ("slash", dict(extents=["RW 20 SPARSE \"a/b\""]), "another directory"),
        ("no extent", dict(extents=[]), "names no extent"),
        ("letters", dict(extents=one, more="ddb.x = \"\u00e9\"\n"), "ASCII"),
        ("line", dict(extents=one, more="what is this\n"), "unknown line"),
        ("parent", dict(extents=one, parent=1, hint="p"), "backing file, 'p'")]:
    unsafe(what, m.hosted(DATA, N, desc=m.descriptor(
        "monolithicSparse", **kw), **SMALL), words)
unsafe("footer", change(stream, F + 36, "<Q", 2), "header and footer differ")
unsafe("marker", change(stream, F + 600, "<Q", 2), "are not empty")

# --- cut anywhere: an error, or what was there
for image in (sparse, redundant, stream):
    for n in range(4, len(image), 256):
        put("t.vmdk", image[:n])
        got = read("t.vmdk")
        if not isinstance(got, str) and got != RAW:
            complain(f"cut at {n}", got)
        if isinstance(got, bytes):
            complain(f"cut at {n} and complete", got)

# --- each read fails
put("e", cowd)
for name, data in (("1.vmdk", sparse), ("2.vmdk", stream),
                   ("3.vmdk", redundant)):
    put(name, data)
    status, err, out = run("--fault", name)
    if status:
        complain(f"fault {name}", err)
sys.exit(bad > 0)
EOF
