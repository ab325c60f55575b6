#!/usr/bin/env bash
# However a mount ends, no mount and no process stays behind.
# shellcheck disable=SC1091,SC2119,SC2154
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/fuse/processes.sh"

check_end () { await "$user: $1" ended; }

# Kills one of the three in all the ways that matter.
signals ()
{
  local role sig
  for role in guardian server watcher; do
    for sig in TERM INT HUP KILL; do
      mount_image || fail "mount"
      kill -"$sig" "$($role)"
      check_end "SIG$sig to the $role"
    done
  done
}

outside ()
{
  mount_image
  as_user fusermount3 -u "$mnt"
  check_end "fusermount3 -u"
  [ "$(id -u)" = 0 ] || return 0
  mount_image
  umount "$mnt"
  check_end "umount"
}

# An open file: the unmount is lazy, and its reader is not left waiting.
busy ()
{
  mount_image
  exec 9< <(as_user tail -f -c 1 "$mnt/disk" 2> /dev/null)
  local reader=$!
  read -r -n 1 -u 9 -d '' _ || true
  kill -TERM "$(guardian)"
  check_end "SIGTERM while a file is open"
  kill "$reader" 2> /dev/null || true
  exec 9<&-
}

removed ()
{
  mount_image
  mv "$image" "$image.away"
  as_user cmp "$image.away" "$mnt/disk" || fail "disk of a removed image"
  as_user cat "$mnt/partition_table" > /dev/null
  as_user fusermount3 -u "$mnt"
  check_end "image removed"
  mv "$image.away" "$image"
}

# Bytes that are gone are an error, not the end of the file.
shrunk ()
{
  cp "$image" "$image.full"
  mount_image
  truncate -s 1M "$image"
  as_user cat "$mnt/disk" > /dev/null 2>&1 && fail "a shrunk image was read"
  await "problems" as_user grep -q '^source: .*changed' "$mnt/problems"
  as_user fusermount3 -u "$mnt"
  check_end "image shrunk"
  mv "$image.full" "$image"
}

# Each mount gets the numbers of the one before, whose processes may still be
# about to unmount: they must leave it alone.
cycles ()
{
  local i
  for ((i = 0; i < 20; i++)); do
    mount_image || fail "mount $i"
    as_user cat "$mnt/format" > /dev/null || fail "read $i"
    as_user fusermount3 -u "$mnt" || fail "unmount $i"
  done
  check_end "the last of 20 cycles"
}

# The connection is cut, the mount is left.
aborted ()
{
  local control=/sys/fs/fuse/connections
  mount_image
  local number
  number=$(awk -v m="$mnt" '$5 == m { split ($3, d, ":"); print d[2] }' \
    /proc/self/mountinfo)
  if [ -w "$control/$number/abort" ]; then
    echo 1 > "$control/$number/abort"
  else
    kill "$(guardian)"
  fi
  check_end "aborted"
}

# What is mounted in the same place afterwards is not ours to unmount.
replaced ()
{
  mount_image
  local id
  id=$(guardian)
  mount -t tmpfs none "$mnt"
  kill -KILL "$id"
  await "end" none
  grep -q " $mnt .* - tmpfs " /proc/self/mountinfo || fail "tmpfs was unmounted"
  umount "$mnt"
  umount -l "$mnt" 2> /dev/null || true # the dead one, which was covered
  check_end "covered"
}

all ()
{
  signals
  outside
  busy
  removed
  shrunk
  aborted
  cycles
}

all
if [ "$(id -u)" = 0 ]; then
  replaced
  users_can_mount || skip "ordinary users cannot mount here"
  chown nobody "$mnt"
  user=nobody
  all
fi
