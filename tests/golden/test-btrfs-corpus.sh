#!/usr/bin/env bash
# Images made by others: the files, links and counts that the kernel found in
# them; from damaged ones a clean answer, in bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3
requires_corpus

"$corpus_dir/unpack" "$cache_dir/corpus" btrfs-progs/ syzkaller/btrfs/ util-linux/images-fs/btrfs ||
  skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" <<'PY'
import hashlib, json, os, resource, subprocess, sys

manifest, images, walk = sys.argv[1:]
failed = False
KINDS = {"10": "regular", "04": "dirs", "12": "symlinks"}


def limit():
    if not os.environ.get("SANITIZED"):  # the address sanitizer wants terabytes
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def run(*args):
    return subprocess.run([walk, "-t", "btrfs", *args], timeout=120,
                          stdout=subprocess.PIPE, preexec_fn=limit)


def complain(entry, *what):
    global failed
    failed = True
    print("FAILED:", entry["id"], *what)


def check_facts(entry, path, lines):
    facts = entry["facts"]
    for f in facts.get("files_to_check", []):
        if hashlib.sha256(run("--cat", f["path"], path).stdout).hexdigest() != f["sha256"]:
            complain(entry, f["path"])
    kinds, links = dict.fromkeys(KINDS.values(), 0), {}
    for line in lines[1:]:  # not the root
        kind = KINDS.get(line.split(" mode=")[1][:2])
        if kind:
            kinds[kind] += 1
        if " -> " in line:
            links[line.split(" ")[0]] = line.split(" -> ")[1].split(" ")[0]
    for link in facts.get("symlinks", []):
        if links.get(link["path"]) != link["target"]:
            complain(entry, link["path"], links.get(link["path"]))
    if "file_counts" in facts and facts["file_counts"]["whole"] != kinds:
        complain(entry, kinds)
    info = dict(line.split("=", 1) for line in run("--info", path).stdout.decode().splitlines())
    if "btrfs_super" in facts:
        wanted = facts["btrfs_super"]
        if info["size"] != wanted["total_bytes"] or info["block_size"] != wanted["sectorsize"] \
                or set(wanted["incompat_names"]) - set(info["features"].split()):
            complain(entry, info)


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
        complain(entry, "status", r.returncode)
    if entry["expectation"] == "facts must match":
        if r.returncode:
            complain(entry, lines[:1])
        else:
            check_facts(entry, path, lines)
print("whole: %d, in part: %d, refused: %d" % tuple(seen.get(i, 0) for i in (0, 1, 3)))
sys.exit(1 if failed or not seen else 0)
PY
