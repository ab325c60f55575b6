#!/usr/bin/env bash
# xrayfs: what it costs, against the tools that answer the same questions
#
#   bench.sh [-q] [-o DIRECTORY]
#
#   -q  quick: one round, and nothing that starts a virtual machine
#   -o  keep hyperfine's JSON, one file for each row, command and round
#
# Prints a Markdown table on stdout and progress on stderr.  All figures of a
# table are of one run, the commands of a row in turn, round after round, so
# that what else the machine does falls on all of them; what is shown is the
# median.  "times xrayfs" is the peer's figure divided by that of xrayfs:
# above 1, xrayfs is faster (or smaller).  Nothing is asserted: a slow machine
# is no failure.  But where two commands must give the same bytes, and do not,
# the exit status is 1.
#
# The images are the real Debian server of tests/images/make-debian.sh.  They
# are read before each run that is longer than a moment, so they come from the
# page cache: a kernel may drop what lies idle (DAMON does), and then who comes
# first pays for the others.  A peer that is not installed, or that needs root (the
# kernel's loop mount), is left out, and the table says so.
#
# libguestfs starts a virtual machine.  Unless LIBGUESTFS_BACKEND_SETTINGS is
# set, and unless KVM works, it emulates it (TCG), which is several times as
# slow: the table says which of the two it was.
#
# Environment: XRAYFS (the program; ./xrayfs), XRAYFS_CACHE (as for the tests),
# ROUNDS (3), BENCH_KVM=1 (KVM works here: do not emulate).
# Needs hyperfine 1.13, jq, bash, and /dev/fuse.
# shellcheck disable=SC2016,SC2317  # commands for hyperfine's own bash
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC PATH="$PATH:/usr/sbin:/sbin"

here=$(cd "$(dirname "$0")" && pwd)
rounds=${ROUNDS:-3} quick='' keep=''

say () { printf 'bench: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die () { say "$*"; exit 2; }
have () { command -v "$1" > /dev/null 2>&1; }

while getopts qo: option; do
  case $option in
    q) quick=1 rounds=1 ;;
    o) keep=$(mkdir -p "$OPTARG" && cd "$OPTARG" && pwd) ;;
    *) die "usage: bench.sh [-q] [-o DIRECTORY]" ;;
  esac
done

export XRAYFS=${XRAYFS:-$PWD/xrayfs}
[ -x "$XRAYFS" ] || die "$XRAYFS is not there: build it, or set XRAYFS"
for tool in hyperfine jq fusermount3; do
  have "$tool" || die "needs $tool"
done
[ -c /dev/fuse ] || die "needs /dev/fuse"

cache_dir=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/xrayfs}
"$here/../tests/images/make-debian.sh" debian.raw debian.qcow2 > /dev/null ||
  die "the images cannot be built here"
export raw=$cache_dir/images/debian.raw qcow2=$cache_dir/images/debian.qcow2

tmp=$(mktemp -d "${TMPDIR:-/tmp}/xrayfs-bench.XXXXXX")
export tmp mnt=$tmp/xrayfs loop=$tmp/loop guest=$tmp/guest qsd=$tmp/qsd.raw
mkdir "$mnt" "$loop" "$guest"
: > "$qsd"
results=${keep:-$tmp/results}
mkdir -p "$results"
rm -f "$results"/[0-9][0-9].*.json

# --- what is measured: functions, for hyperfine's shell too ------------------

await ()
{
  local give_up=$((SECONDS + 300)) # an emulated machine starts slowly
  until "$@"; do
    [ "$SECONDS" -lt "$give_up" ] || return 1
    sleep 0.02
  done
}

not_mounted () { ! mountpoint -q "$1"; }
ended () { ! kill -0 "$1" 2> /dev/null; }

end_xrayfs ()
{
  not_mounted "$mnt" || fusermount3 -u "$mnt"
  await not_mounted "$mnt"
}

end_loop () { not_mounted "$loop" || umount "$loop"; }

# Waits for the end of the server that wrote NAME.pid.
end_of ()
{
  local pid
  pid=$(cat "$tmp/$1.pid" 2> /dev/null) || return 0 # QEMU removes its own
  await ended "$pid"
  rm -f "$tmp/$1.pid"
}

end_guest ()
{
  not_mounted "$guest" || guestunmount "$guest"
  await not_mounted "$guest"
  end_of guest
}

end_qsd ()
{
  [ -s "$tmp/qsd.pid" ] || return 0
  kill "$(cat "$tmp/qsd.pid")" 2> /dev/null || true
  end_of qsd
}

start_xrayfs () { end_xrayfs; "$XRAYFS" "$1" "$mnt"; }

# The bytes at which partition 1 starts; noload: do not replay the journal.
start_loop ()
{
  end_loop
  mount -o "loop,ro,noload,offset=$offset" "$raw" "$loop"
}

start_guest ()
{
  end_guest
  guestmount --pid-file "$tmp/guest.pid" -a "$qcow2" -i --ro "$guest"
}

start_qsd ()
{
  end_qsd
  qemu-storage-daemon \
    --blockdev "driver=file,node-name=file,filename=$2,read-only=on" \
    --blockdev "driver=$1,node-name=disk,file=file,read-only=on" \
    --export "type=fuse,id=x,node-name=disk,mountpoint=$qsd,writable=off" \
    --daemonize --pidfile "$tmp/qsd.pid"
}

warm () { cat "$raw" "$qcow2" > /dev/null; }
read_through () { dd if="$1" of=/dev/null bs=1M status=none; }
# To a pipe: GNU tar does not read what it writes to /dev/null.
tar_of () { tar -cf - -C "$1" . | wc -c > "$tmp/bytes.$2"; }

# QEMU's reader alone: what is read goes nowhere.
qemu_read ()
{
  qemu-img convert -n -f "$1" --target-image-opts "$2" \
    "driver=null-co,size=$disk_size"
}

export -f await not_mounted ended end_of end_xrayfs end_loop end_guest end_qsd \
  start_xrayfs start_loop start_guest start_qsd warm read_through tar_of qemu_read

finish ()
{
  set +e
  end_xrayfs
  end_loop
  end_guest
  end_qsd
  # Never below something that is still mounted.
  not_mounted "$mnt" && not_mounted "$loop" && not_mounted "$guest" &&
    [ ! -s "$qsd" ] && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# --- rows --------------------------------------------------------------------

# A row is a question; the first command that answers it is xrayfs.
n=0
whos=() runs_of=() prepares=() commands=()

row ()
{
  n=$((n + 1))
  title=$1
  whos=() runs_of=() prepares=() commands=()
  say "$title"
}

# by WHO RUNS COMMAND [PREPARE]: RUNS a round; "slow": one, in two rounds.
# Without PREPARE the command runs without a shell, whose start would be most
# of the time.
by ()
{
  whos+=("$1") runs_of+=("$2") commands+=("$3") prepares+=("${4:-}")
}

measure ()
{
  local i=$1 round=$2 runs=${runs_of[$1]} warmup=1 file
  local shell=(--shell bash --prepare "warm; ${prepares[$1]}")
  [ "$runs" != slow ] || { runs=1 warmup=0; [ "$round" -le 2 ] || return 0; }
  case ${prepares[i]} in
    '') shell=(--shell none) ;;
    true) ;;
    *) warmup=0 ;;
  esac
  file=$(printf '%s/%02d.%d.%d.json' "$results" "$n" "$i" "$round")
  hyperfine --style none "${shell[@]}" --warmup "$warmup" --runs "$runs" \
    --export-json "$file" "${commands[i]}" > "$tmp/log" 2>&1 ||
    { say "${whos[i]}: $(tail -n 3 "$tmp/log")"; rm -f "$file"; }
}

# median ROW COMMAND: in seconds; nothing if it never ran
median ()
{
  local files
  files=$(printf '%s/%02d.%d.' "$results" "$1" "$2")
  compgen -G "$files*.json" > /dev/null || return 0
  jq -rs '[.[].results[].times[]] | sort | length as $n |
    (.[($n - 1) / 2 | floor] + .[$n / 2 | floor]) / 2' "$files"*.json
}

human ()
{
  awk -v t="$1" 'BEGIN { if (t < 1) printf "%.0f ms", t * 1000
                         else printf "%.*f s", t < 10 ? 2 : 1, t }'
}

ratio () { awk -v a="$1" -v b="$2" 'BEGIN { r = b / a
  printf (r < 10 ? "%.2f" : "%.0f"), r }'; }

line () { printf '| %s | %s | %s | %s | %s |\n' "$@" >> "$tmp/table"; }

# Runs the row and prints it: one line a peer.
end_row ()
{
  local i round own other
  for ((round = 1; round <= rounds; round++)); do
    for i in "${!whos[@]}"; do
      measure "$i" "$round"
    done
  done
  own=$(median "$n" 0)
  [ -n "$own" ] || { line "$title" "failed" "" "" ""; return 0; }
  [ ${#whos[@]} -gt 1 ] || line "$title" "$(human "$own")" "no peer" "" ""
  for ((i = 1; i < ${#whos[@]}; i++)); do
    other=$(median "$n" "$i")
    if [ -n "$other" ]; then
      line "$title" "$(human "$own")" "${whos[i]}" "$(human "$other")" \
           "$(ratio "$own" "$other")"
    else
      line "$title" "$(human "$own")" "${whos[i]}" "failed" ""
    fi
  done
}

# --- which peers are there ---------------------------------------------------

left_out=()
usable ()
{
  local name=$1
  shift
  "$@" > /dev/null 2>&1 && return
  left_out+=("$name")
  return 1
}

no_vm () { [ -z "$quick" ] && have "$1"; }
loop_works () { [ "$(id -u)" = 0 ] && start_loop; }
qsd_works () { have qemu-storage-daemon && start_qsd raw "$raw"; }

disk_size=$("$XRAYFS" cat "$raw" virtual_size)
offset=$("$XRAYFS" cat "$raw" partitions/1/start)
export disk_size offset

export LIBGUESTFS_BACKEND=${LIBGUESTFS_BACKEND:-direct}
vm=''
if [ -z "${LIBGUESTFS_BACKEND_SETTINGS:-}" ] && [ -z "${BENCH_KVM:-}" ]; then
  export LIBGUESTFS_BACKEND_SETTINGS=force_tcg
fi
case ${LIBGUESTFS_BACKEND_SETTINGS:-} in
  *force_tcg*) vm=" (TCG, no KVM)" ;;
esac

with_qemu_img='' with_inspector='' with_guest='' with_loop='' with_qsd=''
usable qemu-img have qemu-img && with_qemu_img=1
usable virt-inspector no_vm virt-inspector && with_inspector=1
usable guestmount no_vm guestmount && with_guest=1
usable "the kernel's loop mount" loop_works && with_loop=1
usable "qemu-storage-daemon's FUSE export" qsd_works && with_qsd=1
end_loop
end_qsd

# --- memory ------------------------------------------------------------------

# The process and all that descend from it.
family ()
{
  local child
  printf '%s\n' "$1"
  for child in $(pgrep -P "$1" || true); do
    family "$child"
  done
}

# Peak resident memory of them in KiB: VmHWM, so pages that they share count
# more than once.
peak ()
{
  local pid
  for pid in $(family "$1"); do
    cat "/proc/$pid/status" 2> /dev/null || true
  done | awk '/^VmHWM:/ { sum += $2 } END { print sum + 0 }'
}

# Or it has ended already.
serves () { [ -d "$2" ] || ended "$1"; }

# peak_of MOUNTPOINT DIRECTORY SERVER...: starts it in the foreground, has it
# serve DIRECTORY to tar, and prints its peak.
peak_of ()
{
  local at=$1 directory=$2 pid
  shift 2
  "$@" > "$tmp/log" 2>&1 &
  pid=$!
  if await serves "$pid" "$directory" && [ -d "$directory" ]; then
    tar_of "$directory" memory
    peak "$pid"
    fusermount3 -u "$at"
  else
    kill "$pid" 2> /dev/null || true
  fi
  wait "$pid" || true
}

mib () { awk -v k="$1" 'BEGIN { printf "%.0f MiB", k / 1024 }'; }

memory_row ()
{
  local own peer
  say "memory"
  own=$(peak_of "$mnt" "$mnt/partitions/1/files/$2" "$XRAYFS" -f "$qcow2" "$mnt")
  if [ -z "$3" ]; then
    line "$1" "$(mib "$own")" "no peer" "" ""
    return
  fi
  peer=$(peak_of "$guest" "$guest/$2" \
         guestmount --no-fork -a "$qcow2" -i --ro "$guest")
  [ -n "$peer" ] || { line "$1" "$(mib "$own")" "guestmount$vm" failed ""; return; }
  line "$1" "$(mib "$own")" "guestmount and its VM$vm" "$(mib "$peer")" \
       "$(ratio "$own" "$peer")"
}

# --- the questions -----------------------------------------------------------

say "reading the images once"
cat "$raw" "$qcow2" > /dev/null
load_before=$(cut -d' ' -f1-3 /proc/loadavg)
doc=usr/share/doc

for kind in qcow2 raw; do
  row "format and size of an image, $kind"
  by xrayfs 10 "$XRAYFS cat ${!kind} format virtual_size"
  [ -z "$with_qemu_img" ] || by "qemu-img info" 10 "qemu-img info ${!kind}"
  end_row
done

row "can it boot on virtio (has_virtio)"
by xrayfs 10 "$XRAYFS cat $qcow2 has_virtio"
end_row

row "which system is it (name, version)"
by xrayfs 10 "$XRAYFS cat $qcow2 os/name os/version"
[ -z "$with_inspector" ] || by "virt-inspector$vm" slow \
  "virt-inspector --no-applications --no-icon -a $qcow2"
end_row

row "will the cloud take it (check)"
by xrayfs 10 "$XRAYFS check $qcow2"
end_row

row "mount, and read etc/hostname"
by xrayfs 5 '$XRAYFS $qcow2 $mnt && cat $mnt/partitions/1/files/etc/hostname' \
  end_xrayfs
[ -z "$with_guest" ] || by "guestmount$vm" slow \
  'guestmount --pid-file $tmp/guest.pid -a $qcow2 -i --ro $guest &&
   cat $guest/etc/hostname' end_guest
[ -z "$with_loop" ] || by "kernel loop mount of the raw image" 5 \
  'mount -o loop,ro,noload,offset=$offset $raw $loop && cat $loop/etc/hostname' \
  end_loop
end_row
end_guest

# Both read the same image; the qcow2 costs xrayfs a little more.
row "tar of all files, just mounted"
by xrayfs 1 'tar_of $mnt/partitions/1/files all.0' 'start_xrayfs $raw'
[ -z "$with_loop" ] || by "kernel loop mount" 1 'tar_of $loop all.1' start_loop
end_row

row "tar of all files, once more"
start_xrayfs "$raw"
by xrayfs 1 'tar_of $mnt/partitions/1/files all.2' true
if [ -n "$with_loop" ]; then
  start_loop
  by "kernel loop mount" 1 'tar_of $loop all.3' true
fi
end_row

if [ -n "$with_guest" ]; then
  row "tar of $doc, just mounted"
  by xrayfs 1 "tar_of \$mnt/partitions/1/files/$doc doc.0" 'start_xrayfs $qcow2'
  by "guestmount$vm" slow "tar_of \$guest/$doc doc.1" start_guest
  end_row
  row "tar of $doc, once more"
  start_xrayfs "$qcow2"
  by xrayfs 1 "tar_of \$mnt/partitions/1/files/$doc doc.2" true
  by "guestmount$vm" slow "tar_of \$guest/$doc doc.3" true
  end_row
fi
end_guest
end_loop

for kind in raw qcow2; do
  row "read the whole disk (3 GiB), $kind"
  by xrayfs 1 'read_through $mnt/disk' "start_xrayfs \$$kind"
  [ -z "$with_qsd" ] || by "qemu-storage-daemon's FUSE export" 1 \
    'read_through $qsd' "start_qsd $kind \$$kind"
  [ -z "$with_qemu_img" ] || by "qemu-img convert (no FUSE, skips holes)" 1 \
    "qemu_read $kind \$$kind" true
  [ "$kind" = qcow2 ] || by "dd of the file itself" 1 'read_through $raw' true
  end_row
done
end_xrayfs
end_qsd

memory_row "peak memory, tar of $doc" "$doc" "$with_guest"
memory_row "peak memory, tar of all files" . ""

# --- the table ---------------------------------------------------------------

status=0
for group in all doc; do
  compgen -G "$tmp/bytes.$group.*" > /dev/null || continue
  [ "$(sort -u "$tmp/bytes.$group".* | wc -l)" = 1 ] || { say "tar ($group): not the same bytes"; status=1; }
done

printf '| question | xrayfs | peer | peer takes | times xrayfs |\n'
printf '|---|---:|---|---:|---:|\n'
cat "$tmp/table"
printf '\n%s; %s CPUs; Linux %s; medians of %s rounds (libguestfs: 2).\n' \
       "$("$XRAYFS" -V | head -n 1)" "$(nproc)" "$(uname -r)" "$rounds"
printf 'Load average before %s, after %s.\n' "$load_before" \
       "$(cut -d' ' -f1-3 /proc/loadavg)"
[ -z "$vm" ] || [ -n "$quick" ] ||
  printf 'libguestfs ran its VM emulated (TCG): with KVM it is faster.\n'
for name in "${left_out[@]}"; do
  printf 'Left out (not usable here, or because of -q): %s.\n' "$name"
done
exit $status
