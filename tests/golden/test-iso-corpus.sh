#!/usr/bin/env bash
# ISO 9660 and squashfs images made by others: the files, links and counts
# that programs not ours found in them; from damaged ones a clean answer, in
# bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
requires python3
requires_corpus

walk=$(tool fs-walk)
python3 - "$corpus_dir/manifest.json" > "$tmp/list" << 'EOF'
import json, sys
for entry in json.load(open(sys.argv[1])):
    kind = entry["facts"].get("filesystem", {}).get("type", "")
    if kind in ("iso9660", "squashfs") or "squashfs/" in entry["id"] or "iso" in entry["id"]:
        print(entry["id"])
EOF
xargs "$corpus_dir/unpack" "$cache_dir/corpus" < "$tmp/list" || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$walk" "$tmp/list" << 'EOF'
import collections, hashlib, json, os, resource, subprocess, sys

manifest, images, walk, wanted = sys.argv[1:]
wanted = open(wanted).read().split("\n")
bad = []


def limit():
    if not os.environ.get("SANITIZED"):  # the address sanitizer wants terabytes
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def run(*args):
    return subprocess.run([walk, *args], capture_output=True, timeout=120,
                          preexec_fn=limit)


def complain(entry, *what):
    bad.append(entry["id"])
    print("FAILED:", entry["id"], *what)


def check_tree(entry, lines):
    kinds = collections.Counter()
    links = {}
    for line in lines:
        if " mode=" not in line:
            continue
        name, rest = line.split(" mode=", 1)
        kinds[{"10": "regular", "04": "dirs", "12": "symlinks"}.get(rest[:2])] += 1
        if " -> " in rest:
            links[name] = rest.split(" -> ", 1)[1].split(" ")[0]
    for k in entry["facts"].get("symlinks", []):
        if links.get(k["path"].replace(" ", "\\x20")) != k["target"]:
            complain(entry, "link", k, links.get(k["path"]))
    counts = entry["facts"].get("file_counts", {}).get("whole")
    # Some count the root, some do not; some do not know Rock Ridge's links.
    if counts and "symlinks" not in counts:
        kinds["regular"] += kinds["symlinks"]
    if counts and any(kinds[k] - n not in ((0, 1) if k == "dirs" else (0,))
                      for k, n in counts.items() if k in ("dirs", "regular", "symlinks")):
        complain(entry, "counts", kinds, counts)
    return links


def check(entry):
    path = os.path.join(images, entry["id"])
    kind = entry["facts"].get("filesystem", {}).get(
        "type", "squashfs" if "squashfs" in entry["id"] else "iso9660")
    if kind not in ("iso9660", "squashfs"):
        return
    r = run("-l", "-t", kind, path)
    seen[kind, r.returncode] += 1
    if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout):
        complain(entry, "status", r.returncode, r.stderr[-300:])
    if entry["expectation"] != "facts must match" or not entry["facts"].get("filesystem"):
        return
    links = check_tree(entry, r.stdout.decode().splitlines())
    for f in entry["facts"].get("files_to_check", []):
        if f["path"].lower() in links:  # empty for who does not know Rock Ridge
            continue
        got = run("-t", kind, "--cat", f["path"], path)
        if hashlib.sha256(got.stdout).hexdigest() != f["sha256"]:
            complain(entry, f["path"], got.stdout[-200:], r.stdout[-300:])


seen = collections.Counter()
for entry in json.load(open(manifest)):
    if entry["id"] in wanted:
        check(entry)
for (kind, status), n in sorted(seen.items()):
    print(kind, {0: "whole", 1: "in part", 3: "refused"}.get(status), n)
sys.exit(1 if bad or not seen else 0)
EOF
