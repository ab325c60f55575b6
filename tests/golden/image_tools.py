"""What xfs_image.py and btrfs_image.py share: small images, whose blocks are
damaged in turn."""
import struct
import subprocess

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


def load(path):
    with open(path, "rb") as f:
        return bytearray(f.read())


def save(path, data):
    with open(path, "wb") as f:
        f.write(data)


def expand(seed, path):
    """Makes a fuzzer's sparse seed (tests/sparse.h) an image."""
    data, out, i = load(seed), bytearray(), 4
    while len(data) - i >= 6:
        at, n = struct.unpack_from(">IH", data, i)
        out.extend(bytes(max(0, at + n - len(out))))
        out[at:at + n] = data[i + 6:i + 6 + n]
        i += 6 + n
    save(path, out)


def walk(program, kind, path):
    """The listing of tests/tools/fs-walk."""
    out = subprocess.run([program, "-l", "-t", kind, path],
                         stdout=subprocess.PIPE, timeout=60)
    if out.returncode < 0:
        raise SystemExit("signal %d" % -out.returncode)
    return out.stdout.decode().splitlines()


def compare(wanted, got, at):
    """What differs is an error, or below a directory that is one, or nothing
    can be read.  Was anything noticed?"""
    if len(got) == 1 and got[0].startswith("error:5:"):
        return True
    broken = [line.split(" ")[0].rstrip("/") + "/" for line in got
              if "readdir-error:5:" in line or "stat-error:5:" in line]
    lines = set(got)
    for line in wanted:
        if line in lines or any(line.startswith(b) for b in broken):
            continue
        name = line.split(" ")[0]
        found = [g for g in got if g.split(" ")[0] == name]
        if not any("-error:5:" in g for g in found):
            raise SystemExit("0x%x: %s became %s" % (at, line[:200], found))
    return any("-error:" in line for line in got)
