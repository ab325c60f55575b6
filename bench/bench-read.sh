#!/usr/bin/env bash
# xrayfs: how fast `disk` is read through the mount, against the programs that
# give the same bytes as a file
#
#   bench-read.sh [-m MIB] [-r ROUNDS] [-d DIRECTORY] [FORMAT...]
#
#   -m  size of the disk (4096)
#   -r  rounds (3)
#   -d  where the images are made, and kept ($XRAYFS_CACHE/bench)
#   FORMAT: raw qcow2 vmdk vhd zlib zstd (all); zlib and zstd are compressed
#   qcow2
#
# The disk has no zeros: three parts of files from /usr to one part that does
# not compress.  Each round mounts each program anew, so the mount has nothing
# in the page cache, reads the image file first, so that it is there, and reads
# the whole disk once with dd bs=1M; the programs in turn, so that what else
# the machine does falls on all of them.  xrayfs reads once more, which must
# come from the page cache.  Medians; "CPU" is user and system time, of
# the server and of dd, which suffers less from other load than the time that
# passed.  "times
# xrayfs": the peer's time divided by that of xrayfs; above 1 xrayfs is faster.
#
# xrayfs is measured as root mounts it, which is with a readahead of 2 MiB, and
# as an ordinary user has it (readahead=0).  The peers leave the kernel's 128
# KiB.
#
# Nothing is asserted but that all give the same bytes: each is compared with
# the disk in the first round.  A format that this xrayfs does not read, and a
# peer that is not installed, are left out, and the table says so.
#
# Environment: XRAYFS (the program; ./xrayfs), XRAYFS_CACHE (as for the tests).
# Needs qemu-img, fusermount3, /dev/fuse.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC PATH="$PATH:/usr/sbin:/sbin"

mib=4096 rounds=3
cache=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/xrayfs}
dir=$cache/bench

say () { printf 'bench-read: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die () { say "$*"; exit 2; }
have () { command -v "$1" > /dev/null 2>&1; }

while getopts m:r:d: option; do
  case $option in
    m) mib=$OPTARG ;;
    r) rounds=$OPTARG ;;
    d) dir=$OPTARG ;;
    *) die "usage: bench-read.sh [-m MIB] [-r ROUNDS] [-d DIRECTORY] [FORMAT...]" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- raw qcow2 vmdk vhd zlib zstd

XRAYFS=${XRAYFS:-$PWD/xrayfs}
[ -x "$XRAYFS" ] || die "$XRAYFS is not there: build it, or set XRAYFS"
for tool in qemu-img fusermount3; do
  have "$tool" || die "needs $tool"
done
[ -c /dev/fuse ] || die "needs /dev/fuse"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/xrayfs-bench.XXXXXX")
mnt=$tmp/mnt pid=''
mkdir "$mnt"
finish ()
{
  set +e
  end
  rmdir "$mnt" && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# --- images ------------------------------------------------------------------

usr () { while tar -cf - -C /usr lib share bin 2> /dev/null; do :; done || true; }

make_raw ()
{
  local i
  set +o pipefail # tar is cut off
  usr | for ((i = 0; i < mib; i += 64)); do
    head -c 48M
    head -c 16M /dev/urandom
  done | head -c "${mib}M" > "$1"
  set -o pipefail
}

# image FORMAT: prints its path
image ()
{
  local raw=$dir/disk-$mib.raw to=$dir/disk-$mib.$1
  mkdir -p "$dir"
  [ -s "$raw" ] || { make_raw "$raw.new" && mv "$raw.new" "$raw"; }
  if [ ! -s "$to" ]; then
    case $1 in
      qcow2) qemu-img convert -O qcow2 "$raw" "$to.new" ;;
      vmdk) qemu-img convert -O vmdk "$raw" "$to.new" ;;
      vhd) qemu-img convert -O vpc -o force_size=on "$raw" "$to.new" ;;
      zlib | zstd) qemu-img convert -c -O qcow2 -o "compression_type=$1" "$raw" "$to.new" ;;
      *) die "$1 is not a format of this benchmark" ;;
    esac
    mv "$to.new" "$to"
  fi
  printf '%s\n' "$to"
}

qemu_name () { case $1 in zlib | zstd) echo qcow2 ;; vhd) echo vpc ;; *) echo "$1" ;; esac; }

# --- the programs: each is started in the foreground and sets $file ----------

start_xrayfs () { file=$mnt/disk; "$XRAYFS" -f "$2" "$mnt" & pid=$!; }
start_xrayfs_user () { file=$mnt/disk; "$XRAYFS" -f -o readahead=0 "$2" "$mnt" & pid=$!; }
start_qsd ()
{
  file=$tmp/qsd
  : > "$file"
  qemu-storage-daemon \
    --blockdev "driver=file,node-name=file,filename=$2,read-only=on" \
    --blockdev "driver=$(qemu_name "$1"),node-name=disk,file=file,read-only=on" \
    --export "type=fuse,id=x,node-name=disk,mountpoint=$file,writable=off" &
  pid=$!
}
start_nbdfuse ()
{
  file=$mnt/nbd
  nbdfuse -r "$file" "[" qemu-nbd -r -f "$(qemu_name "$1")" "$2" "]" > /dev/null 2>&1 &
  pid=$!
}
start_nbdkit ()
{
  file=$mnt/nbd
  nbdfuse -r "$file" "[" nbdkit -f -r file "$2" "]" > /dev/null 2>&1 &
  pid=$!
}
start_xmount () # goes to the background by itself
{
  local name=${2##*/}
  file=$mnt/${name%.*}.dd
  xmount --in raw "$2" --out raw "$mnt" > /dev/null
  pid=$(pgrep -n -x xmount)
}

is_there () { [ -s "$file" ]; }
await ()
{
  local i
  for ((i = 0; i < 500; i++)); do
    "$@" && return 0
    sleep 0.02
  done
  return 1
}

ended () { ! kill -0 "$pid" 2> /dev/null; }

end ()
{
  if [ -n "$pid" ] && [ -s "$tmp/qsd" ]; then kill "$pid"; fi
  ! mountpoint -q "$mnt" || fusermount3 -u "$mnt"
  [ -z "$pid" ] || wait "$pid" 2> /dev/null || await ended || true
  pid=''
  rm -f "$tmp/qsd"
}

family ()
{
  local child
  echo "$1"
  for child in $(pgrep -P "$1" || true); do family "$child"; done
}

# Seconds of CPU time of the program and all that it started.
cpu ()
{
  local p
  for p in $(family "$pid"); do
    sed 's/.*) //' "/proc/$p/stat" 2> /dev/null || true
  done | awk -v hz="$(getconf CLK_TCK)" '{ t += $12 + $13 } END { printf "%.2f", t / hz }'
}

# read_once WHO: a line "seconds, CPU of the server, CPU of dd" in its record
read_once ()
{
  local before after TIMEFORMAT='%R %U %S'
  before=$(cpu)
  { time dd if="$file" of=/dev/null bs=1M status=none; } 2> "$tmp/time"
  after=$(cpu)
  awk -v before="$before" -v after="$after" \
    '{ printf "%.3f %.2f %.2f\n", $1, after - before, $2 + $3 }' "$tmp/time" >> "$tmp/$format.$1"
}

# --- rounds ------------------------------------------------------------------

peers_of ()
{
  echo xrayfs xrayfs_user
  ! have qemu-storage-daemon || echo qsd
  ! have nbdfuse || ! have qemu-nbd || echo nbdfuse
  [ "$1" != raw ] || ! have nbdfuse || ! have nbdkit || echo nbdkit
  [ "$1" != raw ] || ! have xmount || echo xmount
}

one_run ()
{
  local who=$1 path=$2 round=$3
  cat "$path" > /dev/null
  "start_$who" "$format" "$path"
  await is_there || { say "$format: $who did not start"; end; return 0; }
  read_once "$who"
  [ "$who" != xrayfs ] || read_once again
  if [ "$round" = 1 ] && ! cmp "$file" "$dir/disk-$mib.raw"; then
    die "$format: $who gave other bytes"
  fi
  end
}

left_out=()
image raw > /dev/null
for format; do
  path=$(image "$format")
  if ! "$XRAYFS" cat "$path" format > /dev/null 2>&1; then
    left_out+=("$format (this xrayfs does not read it)")
    continue
  fi
  for ((round = 1; round <= rounds; round++)); do
    for who in $(peers_of "$format"); do
      say "$format, round $round: $who"
      one_run "$who" "$path" "$round"
    done
  done
done

# --- the table ---------------------------------------------------------------

median () # FILE COLUMN
{
  sort -n -k "$2,$2" "$1" | awk -v c="$2" '{ v[NR] = $c }
    END { printf "%.2f", (v[int ((NR + 1) / 2)] + v[int (NR / 2) + 1]) / 2 }'
}

name_of ()
{
  case $1 in
    xrayfs) echo "**xrayfs**" ;;
    xrayfs_user) echo "xrayfs -o readahead=0" ;;
    again) echo "xrayfs, second read" ;;
    qsd) echo "qemu-storage-daemon, FUSE export" ;;
    nbdfuse) echo "nbdfuse, qemu-nbd" ;;
    nbdkit) echo "nbdfuse, nbdkit file" ;;
    xmount) echo "xmount" ;;
  esac
}

printf '| image | program | time | MiB/s | times xrayfs | CPU, server + dd |\n|---|---|---:|---:|---:|---:|\n'
for format; do
  [ -s "$tmp/$format.xrayfs" ] || continue
  own=$(median "$tmp/$format.xrayfs" 1)
  for who in xrayfs again xrayfs_user qsd nbdfuse nbdkit xmount; do
    [ -s "$tmp/$format.$who" ] || continue
    t=$(median "$tmp/$format.$who" 1)
    awk -v f="$format" -v w="$(name_of "$who")" -v t="$t" -v own="$own" -v m="$mib" \
      -v c="$(median "$tmp/$format.$who" 2)" -v d="$(median "$tmp/$format.$who" 3)" \
      'BEGIN { printf "| %s | %s | %.2f s | %.0f | %.2f | %.2f + %.2f s |\n",
               f, w, t, m / (t + 1e-9), t / (own + 1e-9), c, d }'
  done
done
printf '\n%s; %s MiB; %s CPUs; Linux %s; medians of %s rounds; load average %s.\n' \
  "$("$XRAYFS" -V | head -n 1)" "$mib" "$(nproc)" "$(uname -r)" "$rounds" "$(cut -d' ' -f1-3 /proc/loadavg)"
for name in "${left_out[@]}"; do printf 'Left out: %s.\n' "$name"; done
