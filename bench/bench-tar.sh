#!/usr/bin/env bash
# xrayfs: reading all files of a real system through the mount, against the
# kernel's loop mount of the same raw file
#
#   bench-tar.sh [FILESYSTEM...]     ext4 xfs btrfs; without, those that work
#
# The Debian server of tests/images/make-debian.sh, put on each filesystem.
# For each: tar to a pipe, the first time after mounting and once more, and
# find; the programs in turn, round after round, so that what else the machine
# does falls on all.  Shown are medians of the wall clock and of processor
# time, tar's and the server's together, which a busy machine disturbs less;
# and xrayfs's divided by the kernel's: below 1, xrayfs is faster.  Both must
# give the same number of bytes, else the exit status is 1.
#
# Environment: XRAYFS (./xrayfs), XRAYFS_CACHE, ROUNDS (5).  Needs root, for the
# loop mounts, and room for 3 GiB a filesystem in the cache.
# shellcheck disable=SC2317  # called by name, and by trap
set -euo pipefail
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/sbin:/sbin"

here=$(cd "$(dirname "$0")" && pwd)
rounds=${ROUNDS:-5}
XRAYFS=${XRAYFS:-$PWD/xrayfs}
say () { printf 'bench-tar: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die () { say "$*"; exit 2; }

[ -x "$XRAYFS" ] || die "$XRAYFS is not there: build it, or set XRAYFS"
[ "$(id -u)" = 0 ] || die "needs root, for the loop mounts"
"$here/../tests/images/make-debian.sh" debian.raw > /dev/null ||
  die "the image cannot be built here"
images=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/xrayfs}/images
tmp=$(mktemp -d "${TMPDIR:-/tmp}/xrayfs-bench.XXXXXX")
mkdir "$tmp/ours" "$tmp/loop" "$tmp/from"

unmount ()
{
  if mountpoint -q "$1"; then umount "$1"; fi
  until ! mountpoint -q "$1" && [ -z "$(server)" ]; do sleep 0.02; done
}
# The pid of the server: it alone cannot gain power.
server ()
{
  local pid
  for pid in $(pgrep -x "$(basename "$XRAYFS" | cut -c1-15)" || true); do
    tr '\0' '\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qxF "$tmp/ours" &&
      grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" && echo "$pid"
  done
  return 0
}
finish ()
{
  set +e
  for at in ours loop from; do
    mountpoint -q "$tmp/$at" && umount "$tmp/$at"
  done
  mountpoint -q "$tmp/from" || mountpoint -q "$tmp/ours" || mountpoint -q "$tmp/loop" ||
    rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# The whole of it on a filesystem without a partition table.
make_image ()
{
  local type=$1 image=$images/tar-$1.raw
  [ ! -s "$image" ] || return 0
  say "making $image"
  rm -f "$image.new"
  truncate -s 3G "$image.new"
  case $type in
    ext4) mkfs.ext4 -q "$image.new" ;;
    xfs) mkfs.xfs -q "$image.new" ;;
    btrfs) mkfs.btrfs -q "$image.new" ;;
    *) die "$type: not known" ;;
  esac
  mount -o "ro,noload,offset=$("$XRAYFS" cat "$images/debian.raw" partitions/1/start)" \
    "$images/debian.raw" "$tmp/from"
  mount "$image.new" "$tmp/loop"
  cp -a "$tmp/from/." "$tmp/loop"
  umount "$tmp/loop" "$tmp/from"
  mv "$image.new" "$image"
}

start_ours () { "$XRAYFS" "$1" "$tmp/ours"; directory=$tmp/ours/partitions/whole/files; }
start_loop () { mount -o "loop,ro${norecovery[$2]:+,${norecovery[$2]}}" "$1" "$tmp/loop"; directory=$tmp/loop; }
declare -A norecovery=([ext4]=noload [xfs]=norecovery [btrfs]='')

tar_of () { tar -cf - -C "$directory" . | wc -c; }
find_in () { find "$directory" -type f | wc -l; }

ticks () { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/${1:-none}/stat" 2> /dev/null || echo 0; }
# measure ROW WHO COMMAND: adds a line of seconds: wall, processor
measure ()
{
  local pid before times wall user system result
  pid=$(server)
  before=$(ticks "$pid")
  times=$( { TIMEFORMAT='%R %U %S'; time "$3" > "$tmp/result"; } 2>&1 )
  read -r wall user system <<< "$times"
  result=$(cat "$tmp/result")
  awk -v w="$wall" -v u="$user" -v s="$system" -v t="$(($(ticks "$pid") - before))" \
    -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.3f %.3f\n", w, u + s + t / hz }' \
    >> "$tmp/times.$1.$2"
  printf '%s\n' "$result" >> "$tmp/results.$1"
}
median ()
{
  sort -n -k"$2" "$1" | awk -v f="$2" '{ x[NR] = $f }
    END { printf "%.2f", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }'
}
row ()
{
  local f
  local w=() c=()
  for f in ours kernel; do
    w+=("$(median "$tmp/times.$2.$f" 1)") c+=("$(median "$tmp/times.$2.$f" 2)")
  done
  printf '| %s | %s s | %s s | %s | %s s | %s s | %s |\n' "$1" \
    "${w[0]}" "${w[1]}" "$(awk "BEGIN { printf \"%.2f\", ${w[0]} / ${w[1]} }")" \
    "${c[0]}" "${c[1]}" "$(awk "BEGIN { printf \"%.2f\", ${c[0]} / ${c[1]} }")"
}

status=0
bench ()
{
  local type=$1 image=$images/tar-$1.raw round who
  make_image "$type"
  rm -f "$tmp"/times.* "$tmp"/results.*
  for ((round = 1; round <= rounds; round++)); do
    say "$type, round $round of $rounds"
    for who in ours kernel; do
      cat "$image" > /dev/null
      case $who in
        ours) start_ours "$image" ;;
        kernel) start_loop "$image" "$type" ;;
      esac
      measure first "$who" tar_of
      measure again "$who" tar_of
      measure again "$who" tar_of
      measure find "$who" find_in
      unmount "$tmp/ours"
      unmount "$tmp/loop"
    done
  done
  {
    row "$type: tar, just mounted" first
    row "$type: tar, once more" again
    row "$type: find, once more" find
  } >> "$tmp/table"
  for row in first again find; do
    [ "$(sort -u "$tmp/results.$row" | wc -l)" = 1 ] ||
      { say "$type, $row: not the same"; status=1; }
  done
}

[ $# -gt 0 ] || set -- ext4 xfs btrfs
for type; do
  command -v "mkfs.$type" > /dev/null || { say "mkfs.$type is not there"; continue; }
  make_image "$type"
  [ -n "$("$XRAYFS" ls "$images/tar-$type.raw" partitions/whole/files 2> /dev/null)" ] ||
    { say "$type cannot be read here"; continue; }
  bench "$type"
done

printf '| row | xrayfs | kernel | ratio | processor | kernel | ratio |\n'
printf '|---|---:|---:|---:|---:|---:|---:|\n'
cat "$tmp/table"
printf '\n%s CPUs; Linux %s; medians of %s rounds; load average at the end %s.\n' \
  "$(nproc)" "$(uname -r)" "$rounds" "$(cut -d' ' -f1-3 /proc/loadavg)"
exit $status
