#!/usr/bin/env bash
# -o no_open: the kernel does not ask for opens.  A finding is computed by its
# first read, and reads whole whoever asks for its size meanwhile.
# shellcheck disable=SC1091,SC2119,SC2154
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/fuse/processes.sh"
requires timeout

below=$tmp/below
mkdir "$below"
at_exit "take_down '$below'; processes '$below' | xargs -r kill -CONT"
"$program" -o max_readahead=4096 "$image" "$below"
slow=$(server "$below")

note "opening computes nothing, reading does"
mount_image -o no_open
exec 3< "$mnt/virtual_size"
assert_equal "size after open" "$(stat -c %s "$mnt/virtual_size")" 0
assert_equal text "$(timeout 10 cat <&3)" 67108864
assert_equal "size of what is open" "$(stat -Lc %s /dev/fd/3)" 9
exec 3<&-
assert_equal "size after read" "$(stat -c %s "$mnt/virtual_size")" 9
cmp "$image" "$mnt/disk"
python3 - "$mnt/disk" "$mnt/README" << 'EOF'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
hole = os.lseek(fd, 0, os.SEEK_HOLE)
assert os.lseek(fd, hole, os.SEEK_DATA) > hole
text = open(sys.argv[2], "rb").read()
fd = os.open(sys.argv[2], os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_HOLE) == len(text) == os.lseek(fd, 0, os.SEEK_END)
assert b"".join(iter(lambda: os.read(fd, 7), b"")) == b""
os.lseek(fd, 0, os.SEEK_SET)
assert b"".join(iter(lambda: os.read(fd, 7), b"")) == text
EOF
for name in $(cd "$mnt" && find . -maxdepth 2 -type f ! -name disk ! -name raw); do
  timeout 60 cat "$mnt/$name" > "$tmp/got" || fail "$name"
  assert_equal "size of $name" "$(stat -c %s "$mnt/$name")" "$(stat -c %s "$tmp/got")"
  case $name in ./problems|./source|./image/bytes_read|./report.*) continue ;; esac
  "$program" cat "$image" "$name" | cmp - "$tmp/got" || fail "text of $name"
done
fusermount3 -u "$mnt"
await "unmount" ended

note "others ask for the size while it is computed"
"$program" -o no_open "$below/disk" "$mnt"
kill -STOP "$slow"
pids=()
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
  cat "$mnt/partition_table" > "$tmp/reader.$i" &
  pids+=($!)
done
waiting () { [ -n "$(cat "$mnt/progress")" ]; }
await "an evaluation under way" waiting
for i in $(seq 50); do ls -l "$mnt/partition_table"; ls "$mnt"; done > /dev/null
timeout 10 cat "$mnt/format" > /dev/null || fail "format was delayed"

note "a reader can be interrupted"
kill -TERM "${pids[0]}"
wait "${pids[0]}" && fail "an interrupted reader succeeded"
kill -CONT "$slow"
for i in 2 3 4 5 6 7 8 9 10 11 12 13; do
  wait "${pids[i - 1]}" || fail "reader $i"
  assert_equal "reader $i" "$(cat "$tmp/reader.$i")" "$(cat "$mnt/partition_table")"
done
[ -s "$tmp/reader.2" ] || fail "read as empty"

fusermount3 -u "$mnt"
await "unmount" ended

note "what changes is read anew"
changed () { cat "$mnt/format" > /dev/null; [ "$(cat "$mnt/problems")" != "$before" ]; }
mount_image -o no_open
before=$(cat "$mnt/problems")
touch "$image"
await "a problem" changed
fusermount3 -u "$mnt"
await "unmount" ended

note "with one thread, opens are asked for"
mount_image -o no_open -s
: < "$mnt/virtual_size"
assert_equal "size after open" "$(stat -c %s "$mnt/virtual_size")" 9
fusermount3 -u "$mnt"
await "unmount" ended
