#!/usr/bin/env bash
# Images made by others: the files, links and counts that the kernel found in
# them; from damaged ones a clean answer, in bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3
requires_corpus

"$corpus_dir/unpack" "$cache_dir/corpus" btrfs-progs/ syzkaller/btrfs/ util-linux/images-fs/btrfs ||
  skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" \
  "$srcdir/tests/golden" <<'PY'
import json, os, sys

manifest, images, program, here = sys.argv[1:]
sys.path.insert(0, here)
import corpus_walk

walk = corpus_walk.Walk(program)


def run(*args):
    return walk.run("-t", "btrfs", *args)


def check_facts(entry, path, lines):
    facts = entry["facts"]
    for f in facts.get("files_to_check", []):
        walk.file(entry, f, "-t", "btrfs", path)
    kinds, _ = walk.tree(entry, lines[1:])  # not the root
    counts = facts.get("file_counts", {}).get("whole", {})
    if {k: kinds[k] for k in counts} != counts:
        walk.complain(entry, kinds)
    info = dict(line.split("=", 1) for line in run("--info", path).stdout.decode().splitlines())
    if "btrfs_super" in facts:
        wanted = facts["btrfs_super"]
        if info["size"] != wanted["total_bytes"] or info["block_size"] != wanted["sectorsize"] \
                or set(wanted["incompat_names"]) - set(info["features"].split()):
            walk.complain(entry, info)


seen = {}
for entry in json.load(open(manifest)):
    if not (entry["id"].startswith("btrfs-progs/") or entry["id"].startswith("syzkaller/btrfs/")
            or entry["id"] == "util-linux/images-fs/btrfs.img"):
        continue
    path = os.path.join(images, entry["id"])
    r = run("-l", path)
    lines = r.stdout.decode().splitlines()
    seen[r.returncode] = seen.get(r.returncode, 0) + 1
    if r.returncode not in (0, 1, 3) or run("--check", path).returncode not in (0, 1, 3):
        walk.complain(entry, "status", r.returncode)
    if entry["expectation"] == "facts must match":
        if r.returncode:
            walk.complain(entry, lines[:1])
        else:
            check_facts(entry, path, lines)
print("whole: %d, in part: %d, refused: %d" % tuple(seen.get(i, 0) for i in (0, 1, 3)))
sys.exit(1 if walk.bad or not seen else 0)
PY
