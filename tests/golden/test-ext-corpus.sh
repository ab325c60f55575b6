#!/usr/bin/env bash
# Images made by others: the files, links and counts that programs not ours
# found in them; from damaged ones a clean answer, in bounded time and memory.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires python3
requires_corpus

"$corpus_dir/unpack" "$cache_dir/corpus" e2fsprogs/ syzkaller/ext4/ \
  ext4-view-rs/ ratarmount/ || skip "the corpus cannot be unpacked"
python3 - "$corpus_dir/manifest.json" "$cache_dir/corpus" "$(tool fs-walk)" <<'PY'
import collections, hashlib, json, os, resource, subprocess, sys

manifest, images, walk = sys.argv[1:]
PREFIXES = ("e2fsprogs/tests/", "syzkaller/ext4/", "ext4-view-rs/", "ratarmount/")
bad = collections.Counter()


def limit():
    if not os.environ.get("SANITIZED"):  # the address sanitizer wants terabytes
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def run(*args):
    return subprocess.run([walk, *args], capture_output=True, timeout=120,
                          preexec_fn=limit)


def complain(entry, *what):
    bad[entry["id"]] += 1
    print("FAILED:", entry["id"], *what)


def check_files(entry, path):
    for f in entry["facts"].get("files_to_check", []):
        r = run("--cat", f["path"], path)
        if hashlib.sha256(r.stdout).hexdigest() != f["sha256"]:
            complain(entry, f["path"], r.stdout[-200:])


def check_tree(entry, path, lines):
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
    # What lies in encrypted directories is not listed.
    if counts and not any("encrypted" in line for line in lines):
        got = {k: kinds[k] for k in counts}
        if got["dirs"] - counts["dirs"] not in (0, 1) \
                or got["regular"] != counts["regular"] \
                or got["symlinks"] != counts["symlinks"]:
            complain(entry, "counts", got, counts)


def check(entry):
    path = os.path.join(images, entry["id"])
    r = run("-l", path)
    if r.returncode not in (0, 1, 3) or (r.returncode and b"error" not in r.stdout):
        complain(entry, "status", r.returncode, r.stderr[-300:])
    facts_hold = entry["expectation"] == "facts must match"
    if facts_hold and r.returncode and b"encrypted" not in r.stdout:
        complain(entry, "errors", r.stdout[-300:])
    if facts_hold:
        check_tree(entry, path, r.stdout.decode().splitlines())
        check_files(entry, path)
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
sys.exit(1 if bad or not seen else 0)
PY
