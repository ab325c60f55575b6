#!/usr/bin/env bash
# Mounting: options, messages, exit statuses, and that the tree can be read.
# shellcheck disable=SC1091,SC2119,SC2154
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/fuse/processes.sh"

unmount () { fusermount3 -u "$mnt"; await "unmount" ended; }

note "a tree that can be read, as soon as mounting returns"
expect 0 mount_image
assert_equal format "$(cat "$mnt/format")" raw
cmp "$image" "$mnt/disk"
grep -q " $mnt ro,nosuid,nodev.* - fuse.xrayfs $image ro" /proc/self/mountinfo ||
  fail "mount options: $(grep " $mnt " /proc/self/mountinfo)"
assert_equal "size before open" "$(stat -c %s "$mnt/virtual_size")" 0
cat "$mnt/virtual_size" > /dev/null
assert_equal "size after open" "$(stat -c %s "$mnt/virtual_size")" 9
assert_equal "nothing there" "$(cat "$mnt/nothing" 2>&1)" \
  "cat: $mnt/nothing: No such file or directory"
(: > "$mnt/new") 2> /dev/null && fail "a file was made"
assert_equal "time" "$(stat -c %Y "$mnt/format")" "$(stat -c %Y "$image")"
unmount

note "options"
for o in -s "-o ro" "-o uid=12,gid=34" "-o allow_root" "-o max_read=65536" \
  "-o clone_fd,max_threads=2,max_idle_threads=1" "-o noexec,noatime" \
  "-o fsname=other,subtype=xray" "-o max_readahead=4096" "-o default_permissions"; do
  # shellcheck disable=SC2086
  expect 0 mount_image $o
  cmp "$image" "$mnt/disk"
  [ "$o" != "-o uid=12,gid=34" ] ||
    assert_equal owner "$(stat -c %u:%g "$mnt/format")" 12:34
  unmount
done
expect 0 mount_image -o allow_other
grep " $mnt " /proc/self/mountinfo | grep -q 'default_permissions.*allow_other' ||
  fail "allow_other without default_permissions"
unmount

note "1: arguments"
expect 1 "$program"
expect 1 "$program" "$image"
expect 1 mount_image -o nonsense; said nonsense
expect 1 mount_image --nonsense; said nonsense
expect 1 mount_image -o rw; said rw
expect 1 mount_image -o suid
expect 1 mount_image -o uid=me; said uid=me
expect 1 mount_image "$tmp/more"; said "$tmp"

note "2: mount point"
expect 2 "$program" "$image" "$tmp/nowhere"; said "$tmp/nowhere"
expect 2 "$program" "$image" "$image"; said "not a directory"
expect 2 "$program" "$image" "$tmp"; said "not empty"
touch "$mnt/hidden"
expect 2 mount_image; said "not empty"
expect 0 mount_image -o nonempty
[ ! -e "$mnt/hidden" ] || fail "not mounted over"
unmount
rm "$mnt/hidden"

note "3: image"
expect 3 "$program" "$tmp/nothing" "$mnt"; said "xrayfs: $tmp/nothing: "
expect 3 "$program" "$mnt" "$mnt"; said "directory"
mkfifo "$tmp/fifo"
expect 3 "$program" "$tmp/fifo" "$mnt"; said pipe
expect 3 "$program" /dev/null "$mnt"; said "character device"
: > "$tmp/empty"
expect 3 "$program" "$tmp/empty" "$mnt"; said "empty"
printf 'QFI\373\0\0\0\3' > "$tmp/short.qcow2"
expect 3 "$program" "$tmp/short.qcow2" "$mnt"
ended || fail "something is left"

note "as an ordinary user"
if ! users_can_mount; then
  note "left out: ordinary users cannot mount here"
else
  user=nobody
  expect 2 mount_image; said "not writable"
  chown nobody "$mnt"
  chmod 600 "$image"
  expect 3 mount_image; said "Permission denied"
  chmod 644 "$image"
  if ! grep -q '^user_allow_other' /etc/fuse.conf 2> /dev/null; then
    expect 4 mount_image -o allow_other; said user_allow_other
  fi
  expect 0 mount_image
  assert_equal owner "$(runuser -u nobody -- stat -c %U "$mnt/format")" nobody
  runuser -u nobody -- fusermount3 -u "$mnt"
  await "unmount" ended
  user=
fi

note "help, version, foreground"
expect 0 "$program" -h
grep -q 'Usage:' "$tmp/out" || fail "no usage"
expect 0 "$program" -V
grep -q '^xrayfs ' "$tmp/out" || fail "no version"
for f in -f -d; do
  "$program" "$f" "$image" "$mnt" > "$tmp/out" 2>&1 &
  await "mount $f" test -e "$mnt/format"
  kill -TERM $!
  wait $! || fail "$f: status $? after SIGTERM"
  await "end of $f" ended
done

note "the caller's output is not held open"
out=$(mount_image 2>&1)
assert_equal "output" "$out" ""
unmount
