#!/usr/bin/env bash
# Images made by others: the files, links and counts that programs not ours
# found in them; from damaged ones a clean answer, in bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3
requires_corpus

"$corpus_dir/unpack" "$cache_dir/corpus" e2fsprogs/ syzkaller/ext4/ \
  ext4-view-rs/ ratarmount/ || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" \
  "$srcdir/tests/golden" <<'PY'
import collections, json, os, sys

manifest, images, program, here = sys.argv[1:]
sys.path.insert(0, here)
import corpus_walk

walk = corpus_walk.Walk(program)
PREFIXES = ("e2fsprogs/tests/", "syzkaller/ext4/", "ext4-view-rs/", "ratarmount/")


def check_tree(entry, lines):
    got, _ = walk.tree(entry, lines)
    counts = entry["facts"].get("file_counts", {}).get("whole")
    # What lies in encrypted directories is not listed.
    if counts and not any("encrypted" in line for line in lines):
        if got["dirs"] - counts["dirs"] not in (0, 1) \
                or got["regular"] != counts["regular"] \
                or got["symlinks"] != counts["symlinks"]:
            walk.complain(entry, "counts", got, counts)


def check(entry):
    path = os.path.join(images, entry["id"])
    r = walk.run("-l", path)
    if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout):
        walk.complain(entry, "status", r.returncode, r.stderr[-300:])
    facts_hold = entry["expectation"] == "facts must match"
    if facts_hold and r.returncode and b"encrypted" not in r.stdout:
        walk.complain(entry, "errors", r.stdout[-300:])
    if facts_hold:
        check_tree(entry, r.stdout.decode().splitlines())
        for f in entry["facts"].get("files_to_check", []):
            walk.file(entry, f, path)
    return r.returncode


seen = collections.Counter()
for entry in json.load(open(manifest)):
    fs = entry["facts"].get("filesystem", {}).get("type", "")
    if not entry["id"].startswith(PREFIXES):
        continue
    if not (fs.startswith("ext") or entry["id"].startswith("e2fsprogs/tests/")):
        continue
    seen[check(entry)] += 1
print("whole: %d, in part: %d, refused: %d" % (seen[0], seen[1], seen[3]))
sys.exit(1 if walk.bad or not seen else 0)
PY
