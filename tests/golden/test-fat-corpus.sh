#!/usr/bin/env bash
# FAT and exFAT images made by others: the files that programs not ours found
# in them, and how many there are.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3
requires_corpus

ids=(imagemounter/test.fat12 tritium-os/exampledisk.img tritium-os/floppy.flp go-diskfs/file.qcow2 util-linux/images-fs/fat32 \
  syzkaller/exfat/ syzkaller/msdos/ syzkaller/vfat/ util-linux/images-fs/exfat)
"$corpus_dir/unpack" "$cache_dir/corpus" "${ids[@]}" || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" "${ids[@]}" << 'PY'
import collections, hashlib, json, os, subprocess, sys

manifest, images, walk = sys.argv[1:4]
prefixes = tuple(sys.argv[4:])
bad = 0


def run(*args):
    return subprocess.run([walk, *args], capture_output=True, timeout=60)


def complain(*what):
    global bad
    bad += 1
    print("FAILED:", *what)


def check(entry):
    path = os.path.join(images, entry["id"])
    facts = entry["facts"]
    kind = facts.get("filesystem", {}).get("type") or "vfat"
    r = run("-l", "-t", kind, path)
    if r.returncode and b"error" not in r.stdout:
        complain(entry["id"], "status", r.returncode, r.stderr[-300:])
    if r.returncode:
        complain(entry["id"], r.stdout[-400:])
    if run("--info", "-t", kind, path).returncode or run("--check", "-t", kind, path).returncode not in (0, 1):
        complain(entry["id"], "info or check")
    for f in facts.get("files_to_check", []):
        if "Volume Label Entry" in f["path"] or f["path"].startswith("/$"):
            continue
        got = run("--cat", f["path"], "-t", kind, path)
        if hashlib.sha256(got.stdout).hexdigest() != f["sha256"]:
            complain(entry["id"], f["path"], got.stdout[-200:])
    # The judge counts a label as a file.
    regular = sum(" mode=10" in line for line in r.stdout.decode().splitlines())
    labels = sum("Volume Label Entry" in f["path"] for f in facts.get("files_to_check", []))
    counts = facts.get("file_counts", {}).get("whole", {})
    if counts and counts["regular"] not in (regular, regular + labels):
        complain(entry["id"], "files", regular, counts)
    return r.returncode


seen = collections.Counter()
for entry in json.load(open(manifest)):
    if entry["id"].startswith(prefixes):
        seen[check(entry)] += 1
print("whole: %d, in part: %d, refused: %d" % (seen[0], seen[1], seen[3]))
sys.exit(1 if bad or not seen else 0)
PY
