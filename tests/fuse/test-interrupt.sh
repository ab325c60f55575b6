#!/usr/bin/env bash
# A slow finding delays no fast one, and a reader that waits for it can be
# interrupted.  The image is as slow as we want: it is the `disk` of another
# mount, whose server we stop and let go on.
# shellcheck disable=SC1091,SC2119,SC2154
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/fuse/processes.sh"
requires timeout

below=$tmp/below
mkdir "$below"
at_exit "take_down '$below'; processes '$below' | xargs -r kill -CONT"
"$program" -o max_readahead=4096 "$image" "$below"
slow=$(server "$below")
image=$below/disk
mount_image
quick=$(server)

note "the image stops answering"
kill -STOP "$slow"
pids=()
for name in has_virtio partition_table cloud_init os/arch partition_table; do
  cat "$mnt/$name" > "$tmp/${name//\//-}.$((${#pids[@]}))" &
  pids+=($!)
done
# Each of those requests is in an evaluation thread once it shows as one.
waiting () { [ -n "$(cat "$mnt/progress")" ]; }
await "an evaluation under way" waiting

note "fast ones answer"
for name in format virtual_size progress README; do
  timeout 10 cat "$mnt/$name" > /dev/null || fail "$name was delayed"
done

note "a reader can be interrupted"
sh -c 'echo $$ > "$2.pid"; exec cat "$1"' - "$mnt/os/id" "$tmp/reader" &
reader=$!
await "the reader" test -s "$tmp/reader.pid"
blocked () { grep -qs -e fuse -e request_wait "/proc/$reader/wchan" "/proc/$reader/stack"; }
[ ! -r "/proc/$reader/stack" ] || await "the reader to wait" blocked
kill -TERM "$reader"
gone () { ! kill -0 "$reader" 2> /dev/null; }
await "the end of the interrupted reader" gone
kill -TERM "${pids[4]}" # one of two that wait for the same
wait "${pids[4]}" && fail "an interrupted reader succeeded"

note "the others get their answer"
kill -CONT "$slow"
for i in 0 1 2 3; do
  wait "${pids[i]}" || fail "reader $i"
done
assert_equal has_virtio "$(cat "$tmp/has_virtio.0")" "$(cat "$mnt/has_virtio")"
assert_equal partition_table "$(cat "$tmp/partition_table.1")" \
  "$(cat "$mnt/partition_table")"
fusermount3 -u "$mnt"
await "unmount" ended

note "the end does not wait for an image that does not answer"
fusermount3 -u "$below"
await "unmount" ended "$below"
image=$tmp/disk.img
"$program" -o max_readahead=4096 "$image" "$below"
slow=$(server "$below")
image=$below/disk
mount_image
kill -STOP "$slow"
cat "$mnt/partition_table" > /dev/null 2>&1 &
await "an evaluation under way" waiting
kill -TERM "$(guardian)"
await "the end of the mount" ended
wait $! && fail "read from a mount that had ended"
kill -CONT "$slow"
fusermount3 -u "$below"
await "unmount" ended "$below"
[ -n "$quick" ]
