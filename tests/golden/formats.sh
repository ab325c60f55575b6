# xrayfs: what the tests of the container formats share; after functions.sh
#   same IMAGE [QEMU_FORMAT [OUR_FORMAT]]
#       Contents, random reads from threads, virtual size, the size of the
#       files, holes, bounds and exact qcow2 size agree with qemu-img.
#       QEMU_FORMAT is given to qemu-img with -f; OUR_FORMAT is expected in
#       `format`.  Variables that turn parts off: NO_MAP, NO_MEASURE.
#   patterns FORMAT IMAGE
#       Has qemu-io write, zero and discard at places that are not aligned.
#   clean IMAGE           a check finds nothing
#   says IMAGE WORDS      a check finds what has WORDS
#   refused IMAGE WORDS   it cannot be read whole, and the reason has WORDS
#   disk_raw    a file with data that compress and data that do not, zeros
#               and holes, of a length that is no multiple of anything but 512
# shellcheck shell=bash
requires qemu-img qemu-io python3 cmp
block_cat=$(tool block-cat)

disk_raw=$tmp/disk.raw
python3 - "$disk_raw" << 'EOF'
import random, sys
random.seed(1)
with open(sys.argv[1], "wb") as f:
    f.write(random.randbytes(1300000))
    f.seek(2500096)
    f.write(b"".join(b"line %d of some text\n" % i for i in range(90000)))
    f.write(bytes(400000))
    f.seek(5 << 20)
    f.write(random.randbytes(3000))
    f.truncate((7 << 20) + 512)
EOF

patterns ()
{
  qemu-io -f "$1" -c "write -P 1 70000 5000" -c "write -z 1M 300k" \
    -c "write -P 2 2500k 64k" -c "discard 2M 128k" \
    -c "write -P 3 3M 1234567" "$2" > "$tmp/io.log" ||
    fail "$2: $(cat "$tmp/io.log")"
}

same ()
{
  local f=${2:+-f $2}
  # qemu-img sees no holes in a dmg: its zeros count as data there.
  [ "${2:-}" != dmg ] || local -x NO_MAP=1 NO_MEASURE=1
  # shellcheck disable=SC2086 # -f FORMAT is two words
  qemu-img convert $f -O raw "$1" "$tmp/want.raw"
  "$block_cat" "$1" > "$tmp/got.raw" || fail "$1: not read"
  cmp "$tmp/want.raw" "$tmp/got.raw" || fail "$1: contents differ"
  "$block_cat" --random 7 100 "$tmp/want.raw" --threads 3 "$1" ||
    fail "$1: random reads"
  # shellcheck disable=SC2086
  qemu-img info $f -U --output=json "$1" > "$tmp/want.info"
  # shellcheck disable=SC2086
  [ -n "${NO_MAP:-}" ] || qemu-img map $f -U --output=json "$1" > "$tmp/want.map"
  # shellcheck disable=SC2086
  qemu-img measure $f -O qcow2 --output=json "$1" > "$tmp/want.measure"
  "$block_cat" --info "$1" > "$tmp/got.info"
  "$block_cat" --status "$1" > "$tmp/got.map" || fail "$1: no map"
  "$XRAYFS" cat "$1" format virtual_size disk_size qcow2_size_bound \
    > "$tmp/got.sizes" || fail "$1: $(cat "$tmp/got.sizes")"
  python3 - "$tmp" "${3:-}" << 'EOF' || fail "$1: differs from qemu-img"
import json, os, sys
tmp, our_format = sys.argv[1:]
want = json.load(open(f"{tmp}/want.info"))
fmt, virtual, disk, bound = open(f"{tmp}/got.sizes").read().split("\n")[:4]
one = dict(l.rstrip("\n").split("=", 1) for l in open(f"{tmp}/got.info"))
ours = our_format or {"vpc": "vhd"}.get(want["format"], want["format"])
pairs = [("format", fmt, ours),
         ("virtual_size", int(virtual), want["virtual-size"]),
         ("disk_size", int(disk), want["actual-size"])]
if "cluster-size" in want:
    pairs.append(("cluster_size", one.get("cluster_size"),
                  str(want["cluster-size"])))
if "backing-filename" in want:
    pairs.append(("backing_file", one.get("backing_file"),
                  want["backing-filename"]))
if not os.environ.get("NO_MEASURE"):
    pairs.append(("qcow2_size_bound", int(bound),
                  json.load(open(f"{tmp}/want.measure"))["required"]))
if not os.environ.get("NO_MAP"):
    holes = []
    for x in json.load(open(f"{tmp}/want.map")):
        kind = "hole" if x["zero"] or not x["data"] else "data"
        if holes and holes[-1][2] == kind:
            holes[-1][1] += x["length"]
        else:
            holes.append([x["start"], x["length"], kind])
    got = [l.split() for l in open(f"{tmp}/got.map")]
    pairs.append(("map", [(int(a), int(b), k) for a, b, k in got],
                  [tuple(h) for h in holes]))
bad = [p for p in pairs if p[1] != p[2]]
for what, a, b in bad:
    print(f"{what}: {a!r}, qemu-img says {b!r}", file=sys.stderr)
sys.exit(bool(bad))
EOF
  same_qcow2_size "$1" "${2:-}"
  note "$1: same"
}

# The exact length of the converted file.
same_qcow2_size ()
{
  local f=${2:+-f $2}
  if ! "$XRAYFS" ls "$1" | grep -qx qcow2_size; then
    return # not there yet
  fi
  # shellcheck disable=SC2086
  qemu-img convert $f -O qcow2 "$1" "$tmp/converted.qcow2"
  assert_equal "$1: qcow2_size" "$("$XRAYFS" cat "$1" qcow2_size)" \
    "$(stat -c %s "$tmp/converted.qcow2")"
  rm "$tmp/converted.qcow2"
}

clean ()
{
  assert_equal "$1: check" "$("$block_cat" --check "$1")" $'errors=0\nnotes=0'
}
says ()
{
  "$block_cat" --check "$1" > check.log || fail "$1: not checked"
  grep -qF -- "$2" check.log || fail "$1: no '$2' in $(cat check.log)"
}
refused ()
{
  local got
  got=$(timeout 20 "$block_cat" "${@:3}" "$1" 2>&1 > refused.raw) &&
    fail "$1: was read"
  case $got in
  *"$2"*) ;;
  *) fail "$1: said '$got', wanted '$2'" ;;
  esac
}
