# xrayfs: what the tests of mounting share.  Source it after functions.sh.
#   $program             a copy of the program that any user can run
#   $image $mnt          a small image, and a directory to mount on
#   $user                where set, an ordinary user to run as
#   as_user COMMAND...   runs it as $user
#   await WHAT COMMAND   waits until COMMAND succeeds
#   mounted, ended       is $mnt mounted; has all of xrayfs for $mnt ended
#   guardian, server, watcher   their pids
#   expect STATUS COMMAND       checks the exit status; output in $tmp/out
# shellcheck shell=bash disable=SC2154,SC2119,SC2120

[ -w /dev/fuse ] || skip "/dev/fuse cannot be used here"
requires fusermount3 runuser pgrep

chmod 755 "$tmp"
program=$tmp/xrayfs
cp "$XRAYFS" "$program"
image=$tmp/disk.img
mnt=$tmp/mnt
user=

truncate -s 64M "$image"
printf 'not a file system' | dd of="$image" bs=1M seek=40 conv=notrunc status=none
mkdir "$mnt"

# fusermount3 wants to read /etc/mtab, which a bare chroot does not have.
users_can_mount ()
{
  [ "$(id -u)" = 0 ] && id nobody > /dev/null 2>&1 && [ -e /etc/mtab ]
}

as_user ()
{
  if [ -n "$user" ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

await ()
{
  local what=$1 i
  shift
  for ((i = 0; i < 1500; i++)); do
    "$@" && return 0
    sleep 0.02 # between two looks; the event ends the wait
  done
  fail "$what: waited in vain"
}

mounted () { grep -q " ${1:-$mnt} " /proc/self/mountinfo; }

# A zombie has no command line, so it does not count: who reaps the guardian
# is not for us to say.
processes ()
{
  local p
  for p in $(pgrep -x xrayfs); do
    tr '\0' '\n' 2> /dev/null < "/proc/$p/cmdline" | grep -qxF "${1:-$mnt}" &&
      echo "$p"
  done
  return 0
}

none () { [ -z "$(processes "$@")" ]; }
ended () { none "$@" && ! mounted "$@"; }

# The server alone cannot gain power; the guardian is the parent of both.
server ()
{
  local p
  for p in $(processes "$@"); do
    grep -q '^NoNewPrivs:.*1' "/proc/$p/status" && echo "$p"
  done
  return 0
}
guardian () { awk '/^PPid/ { print $2 }' "/proc/$(server "$@")/status"; }
watcher ()
{
  processes "$@" | grep -vxe "$(server "$@")" -e "$(guardian "$@")"
}

take_down ()
{
  fusermount3 -u -q -z "$1" 2> /dev/null || umount -l "$1" 2> /dev/null
  processes "$1" | xargs -r kill -9
}
at_exit "take_down '$mnt'"

expect ()
{
  local want=$1 got=0
  shift
  "$@" > "$tmp/out" 2> "$tmp/err" || got=$?
  [ "$got" = "$want" ] || {
    cat "$tmp/out" "$tmp/err" >&2
    fail "$*: status $got, wanted $want"
  }
  [ "$want" = 0 ] || [ "$(wc -l < "$tmp/err")" -le 1 ] ||
    fail "$*: more than one line: $(cat "$tmp/err")"
}

said () { grep -q -- "$1" "$tmp/err" || fail "did not say '$1': $(cat "$tmp/err")"; }

mount_image () { as_user "$program" "$@" "$image" "$mnt"; }

# In a container without the right to mount, there is nothing to test.
if ! mount_image 2> "$tmp/err"; then
  grep -qi 'permi' "$tmp/err" && skip "mounting is not allowed here"
  fail "mount: $(cat "$tmp/err")"
fi
fusermount3 -u "$mnt" || umount "$mnt"
await "first unmount" ended
