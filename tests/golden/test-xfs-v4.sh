#!/usr/bin/env bash
# XFS of version 4, which new kernels do not mount: what mkfs.xfs copied into
# it from a prototype, and the attributes that xfs_db added.
. "${srcdir:-.}/tests/functions.sh"
requires mkfs.xfs xfs_db python3


walk=$(tool fs-walk)
img=$tmp/img

mkdir "$tmp/src"
cd "$tmp/src"
for n in 1 10 100 1500; do
  mkdir "dir-$n"
  for ((i = 0; i < n; i++)); do
    printf '%0*d' "$i" "$n" > "dir-$n/$i-name-$((i * i))"
  done
done
head -c 3000000 /dev/urandom > large
for n in 1 100 150 156 157 400 1000; do
  ln -s "$(printf "%0${n}d" 0)" "link-$n"
done
mkfifo fifo
chmod 4711 large
cd "$tmp"

# The prototype: mkfs.xfs(8).  fields MODE: type, setuid, setgid, permissions.
python3 - "$tmp/src" > "$tmp/proto" << 'EOF'
import os, stat, sys
def show(path, depth):
    for name in sorted(os.listdir(path)):
        p = path + "/" + name
        st = os.lstat(p)
        kind = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l",
                stat.S_IFIFO: "p"}[stat.S_IFMT(st.st_mode)]
        mode = "%s%s-%03o 0 0" % (kind, "u" if st.st_mode & 0o4000 else "-",
                                  st.st_mode & 0o777)
        rest = {"-": p, "l": kind == "l" and os.readlink(p)}.get(kind, "")
        print(name, mode, rest)
        if kind == "d":
            show(p, depth + 1)
            print("$")
print("/dev/null\n0 0\nd--755 0 0")
show(sys.argv[1], 0)
print("$")
EOF

placeless () { sed -E 's/ (blocks|ino|[amc]time|data)=[^ ]*//g; /^\/ /d' "$1"; }
"$walk" --posix "$tmp/src" > "$tmp/wanted"

attributes () { grep -a '^/large ' "$tmp/ours" | tr ' ' '\n' | grep -a '^user\|^trusted'; }
value_length () { echo $(($(attributes | sed -n "s/^$1=//p" | tr -d '\n' | wc -c) / 2)); }

# with OPTIONS...
with ()
{
  rm -f "$img"
  truncate -s 320M "$img"
  mkfs.xfs -q -f -m crc=0 -p "$tmp/proto" "$@" "$img" 2> "$tmp/log" \
    || { note "$*: not here: $(head -n 1 "$tmp/log")"; return 0; }
  "$walk" -l -t xfs "$img" > "$tmp/ours" || fail "$*: $(grep -a -m 3 error "$tmp/ours")"
  cmp <(placeless "$tmp/wanted") <(placeless "$tmp/ours") \
    || fail "$*: $(diff <(placeless "$tmp/wanted") <(placeless "$tmp/ours") | cut -c -300 | head -n 4)"

  # In a leaf, in a tree of them, and with values in blocks of their own.
  local ino i commands=()
  ino=$(sed -n 's/^\/large .* ino=\([0-9]*\) .*/\1/p' "$tmp/ours")
  for ((i = 0; i < 200; i++)); do
    commands+=(-c "attr_set -u attribute-$i -v $((i * 7 + 1))")
  done
  xfs_db -x -c "inode $ino" "${commands[@]}" \
    -c 'attr_set -u long -v 60000' -c 'attr_set -r root -v 9' "$img" > /dev/null 2>&1 \
    || { note "$*: without attributes, which xfs_db dies of"; return 0; }
  "$walk" -t xfs "$img" > "$tmp/ours" || fail "$*: $(grep -a -m 3 error "$tmp/ours")"
  for i in user.attribute-0:1 user.attribute-199:1394 user.long:60000 trusted.root:9; do
    assert_equal "$*: ${i%:*}" "$(value_length "${i%:*}")" ${i#*:}
  done
  assert_equal "$*: attributes" "$(attributes | wc -l)" 202
  note "$*: $(wc -l < "$tmp/ours") files"
}

with -n ftype=0
with -n ftype=1
with -b size=512
with -b size=1k -n size=16k
with -b size=64k
with -i attr=1,projid32bit=0 -l lazy-count=0,version=1 -n ftype=0
with -i size=2048 -s size=4k
