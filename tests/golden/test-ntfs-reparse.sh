#!/usr/bin/env bash
# Junctions, symbolic links, files of the Windows Overlay Filter, and reparse
# points of others.
. "${srcdir:-.}/tests/functions.sh"
requires mkntfs ntfs-3g python3
[ "$(id -u)" = 0 ] || skip "only root can mount"
[ -e /dev/fuse ] || skip "no /dev/fuse here"
python3 -c 'import ctypes; ctypes.CDLL("libwim.so.15")' 2> /dev/null \
  || skip "libwim is not there"

walk=$(tool fs-walk)
mkdir "$tmp/mnt"
at_exit "umount '$tmp/mnt' 2> /dev/null"
truncate -s 60M "$tmp/img"
mkntfs -F -Q -q "$tmp/img" > "$tmp/log" 2>&1 || fail "mkntfs"
serve ntfs-3g -o streams_interface=windows "$tmp/img" "$tmp/mnt"
python3 "$srcdir/tests/golden/ntfs_reparse.py" "$tmp/mnt" > "$tmp/wanted"
umount "$tmp/mnt"
serve_end

"$walk" -l -t ntfs "$tmp/img" > "$tmp/got" || true
python3 - "$tmp/wanted" "$tmp/got" << 'EOF' || fail "not what was made"
import re
import sys

unescape = lambda s: re.sub(rb"\\x(..)", lambda m: bytes([int(m[1], 16)]),
                            s.encode()).decode("utf-8", "replace")
got = {line.split(" ", 1)[0]: unescape(line)
       for line in open(sys.argv[2]).read().splitlines()}
bad = 0
for line in open(sys.argv[1], encoding="utf-8").read().splitlines():
    path = re.match(r"[^ :]*", line)[0]
    want = line[len(path):]
    have = got.get(path, "nothing")
    if want.startswith(" -> "):
        ok = have.endswith(want)
    elif want.startswith(" crc="):
        ok = have.endswith(want)
    else:
        ok = want[2:] in have and "read-error:" in have
    if not ok:
        print("%s: wanted '%s', got '%s'" % (path, want, have))
        bad = 1
sys.exit(bad)
EOF
note "$(wc -l < "$tmp/wanted") reparse points"

# Without libwim: an error that names it, no zeros.
mkdir "$tmp/lib"
: > "$tmp/lib/libwim.so.15"
LD_LIBRARY_PATH=$tmp/lib "$walk" -l -t ntfs "$tmp/img" > "$tmp/without" || true
wof='^/(lzx|xpress)[^ ]*-[1-9][^ ]*'
assert_equal "files that need libwim" \
  "$(grep -E -c "$wof .*read-error:.*libwim\.so\.15" "$tmp/without")" \
  "$(grep -E -c "$wof crc=" "$tmp/wanted")"
