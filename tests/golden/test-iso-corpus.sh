#!/usr/bin/env bash
# ISO 9660 and squashfs images made by others: the files, links and counts
# that programs not ours found in them; from damaged ones a clean answer, in
# bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
requires python3
requires_corpus

python3 - "$corpus_dir/manifest.json" > "$tmp/list" << 'EOF'
import json, sys
for entry in json.load(open(sys.argv[1])):
    kind = entry["facts"].get("filesystem", {}).get("type", "")
    if kind in ("iso9660", "squashfs") or "squashfs/" in entry["id"] or "iso" in entry["id"]:
        print(entry["id"])
EOF
xargs "$corpus_dir/unpack" "$cache_dir/corpus" < "$tmp/list" || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" \
  "$tmp/list" "$srcdir/tests/golden" << 'EOF'
import collections, json, os, sys

manifest, images, program, wanted, here = sys.argv[1:]
sys.path.insert(0, here)
import corpus_walk

walk = corpus_walk.Walk(program)
wanted = open(wanted).read().split("\n")


def check_tree(entry, lines):
    kinds, links = walk.tree(entry, lines)
    counts = entry["facts"].get("file_counts", {}).get("whole")
    # Some count the root, some do not; some do not know Rock Ridge's links.
    if counts and "symlinks" not in counts:
        kinds["regular"] += kinds["symlinks"]
    if counts and any(kinds[k] - n not in ((0, 1) if k == "dirs" else (0,))
                      for k, n in counts.items() if k in ("dirs", "regular", "symlinks")):
        walk.complain(entry, "counts", kinds, counts)
    return links


def check(entry):
    path = os.path.join(images, entry["id"])
    kind = entry["facts"].get("filesystem", {}).get(
        "type", "squashfs" if "squashfs" in entry["id"] else "iso9660")
    if kind not in ("iso9660", "squashfs"):
        return
    r = walk.run("-l", "-t", kind, path)
    seen[kind, r.returncode] += 1
    if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout):
        walk.complain(entry, "status", r.returncode, r.stderr[-300:])
    if entry["expectation"] != "facts must match" or not entry["facts"].get("filesystem"):
        return
    links = check_tree(entry, r.stdout.decode().splitlines())
    for f in entry["facts"].get("files_to_check", []):
        if f["path"].lower() in links:  # empty for who does not know Rock Ridge
            continue
        walk.file(entry, f, "-t", kind, path)


seen = collections.Counter()
for entry in json.load(open(manifest)):
    if entry["id"] in wanted:
        check(entry)
for (kind, status), n in sorted(seen.items()):
    print(kind, {0: "whole", 1: "in part", 3: "refused"}.get(status), n)
sys.exit(1 if walk.bad or not seen else 0)
EOF
