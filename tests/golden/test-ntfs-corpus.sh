#!/usr/bin/env bash
# NTFS volumes made by others: the files, links and counts that ntfs-3g and
# the Sleuth Kit found in them.
. "${srcdir:-.}/tests/functions.sh"
requires python3
requires_corpus

"$corpus_dir/unpack" "$cache_dir/corpus" syzkaller/ntfs phony-guests/w \
  || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" <<'PY'
import collections, hashlib, json, os, re, subprocess, sys

manifest, images, walk = sys.argv[1:]
bad = seen = 0


def run(*args):
    return subprocess.run([walk, "-t", "ntfs", *args], capture_output=True,
                          timeout=120)


def complain(*what):
    global bad
    bad += 1
    print("FAILED:", *what)


def volumes(facts):
    """Number in the facts, and where: of the disk, or of its partitions."""
    if facts.get("filesystem", {}).get("type") == "ntfs":
        yield "whole", []
    for p in facts.get("partitions", []):
        if p.get("fstype") == "ntfs":
            yield p["index"], [str(p["start"]), str(p["size"])]


def check(entry, number, args):
    facts = entry["facts"]
    r = run("-l", *args)
    if r.returncode:
        complain(entry["id"], r.returncode, r.stdout[-300:], r.stderr[-300:])
    kinds, links = collections.Counter(), {}
    for line in r.stdout.decode().splitlines():
        m = re.match(r"(\S+) mode=(..)(?:.* -> (\S+))?", line)
        kinds[{"10": "regular", "04": "dirs", "12": "symlinks"}.get(m[2])] += 1
        links[m[1]] = m[3]
    kinds["dirs"] -= 1  # the root
    counts = facts.get("file_counts", {}).get(str(number), {})
    if {k: kinds[k] for k in counts} != counts:
        complain(entry["id"], "counts", kinds, counts)
    for k in facts.get("symlinks", []):
        # Interix's links are as they were written; those of Windows are
        # relative here, and ntfs-3g has its own words for what it cannot do.
        got = links.get(k["path"])
        if k["partition"] == number and got != k["target"] and \
                not (got and got.startswith("../")):
            complain(entry["id"], "link", k, got)
    for f in facts.get("files_to_check", []):
        if f["partition"] != number:
            continue
        # Windows asks for no case.
        for path in (f["path"], f["path"].upper()):
            got = run("--cat", path, *args).stdout
            if hashlib.sha256(got).hexdigest() != f["sha256"]:
                complain(entry["id"], path, got[-200:])


for entry in json.load(open(manifest)):
    if not entry["id"].startswith(("syzkaller/ntfs", "phony-guests/w")):
        continue
    for number, where in volumes(entry["facts"]):
        check(entry, number, [os.path.join(images, entry["id"]), *where])
        seen += 1
print("volumes: %d" % seen)
sys.exit(1 if bad or not seen else 0)
PY
