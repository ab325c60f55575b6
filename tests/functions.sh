# xrayfs: what every test script shares.  Source it first:
#   . "${srcdir:-.}/tests/functions.sh"
# It gives:
#   $XRAYFS            the program under test
#   $tmp               a directory of the test's own, removed at the end
#   takes_long         skips in a quick run
#   requires PROG...   skips (77) when a program is missing, and says which
#   skip WHY, fail WHY, note TEXT
#   at_exit COMMAND    runs at the end, last first, whatever happens
#   corpus ID          prints the path of an image of the shared corpus, unpacked;
#                      skips where the corpus is not there
#   tool NAME          prints the path of a built test helper (tests/tools)
# shellcheck shell=bash
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${top_builddir:-.}" && pwd)
XRAYFS=${XRAYFS:-$builddir/xrayfs}
test_name=$(basename "$0" .sh)

# Make malloc errors show.
export MALLOC_PERTURB_=165
export LC_ALL=C.UTF-8 TZ=UTC

tmp=$(mktemp -d "${TMPDIR:-/tmp}/xrayfs-$test_name.XXXXXX")
at_exit_commands=("rm -rf '$tmp'")

run_at_exit ()
{
  local status=$? i
  set +e
  for ((i = ${#at_exit_commands[@]} - 1; i >= 0; i--)); do
    eval "${at_exit_commands[i]}"
  done
  exit "$status"
}
trap run_at_exit EXIT
trap 'exit 1' INT TERM HUP

at_exit () { at_exit_commands+=("$*"); }
note () { printf '%s: %s\n' "$test_name" "$*"; }
skip () { note "skipped: $*"; exit 77; }
fail () { note "FAILED: $*" >&2; exit 1; }

# For tests that take a minute or more: not in a quick run (distcheck).
takes_long () { [ -z "${QUICK:-}" ] || skip "left out of a quick run"; }

# Where other programs are most of the work: under sanitizers, whose turn is
# our code, one case in three.
one_in_three ()
{
  case ${SANITIZED:-} in *-fsanitize*) ;; *) return 0 ;; esac
  cases=$((${cases:-0} + 1))
  [ $((cases % 3)) = 1 ]
}

requires ()
{
  local prog
  for prog in "$@"; do
    command -v "$prog" > /dev/null 2>&1 || skip "$prog is not installed"
  done
}

# assert_equal WHAT GOT WANTED
assert_equal ()
{
  [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}

# The folder of real images made by others, where it is there.
corpus_dir=${XRAYFS_CORPUS:-$srcdir/../shared/corpus}
cache_dir=${XRAYFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/xrayfs}

corpus ()
{
  [ -x "$corpus_dir/unpack" ] || return 1
  "$corpus_dir/unpack" "$cache_dir/corpus" "$1" || return 1
  printf '%s\n' "$cache_dir/corpus/$1"
}

requires_corpus ()
{
  [ -x "$corpus_dir/unpack" ] || skip "the corpus is not there"
}

# Building the real images needs a mount namespace, which a plain chroot (whose
# root is no mount point) cannot have.
requires_debian ()
{
  requires mmdebstrap qemu-img unshare
  [ "$(id -u)" != 0 ] || unshare --mount true 2> /dev/null ||
    skip "no mount namespaces here, so the Debian images cannot be built"
}

# Two tests that take a loop device at the same moment: one is told that it is
# busy, and tries again: nothing tells when it is free.
mount ()
{
  local said
  for _ in 1 2 3 4 5; do
    said=$(command mount "$@" 2>&1) && return 0
    case $said in
      *busy*) sleep 0.3 ;;
      *) break ;;
    esac
  done
  printf '%s\n' "$said" >&2
  return 32
}

# serve COMMAND...: a FUSE program, which returns once it has mounted, and
# leaves a process.  serve_end: after the umount, until that one has written
# all and is gone: it holds the pipe open.
serve ()
{
  mkfifo "$tmp/serving"
  cat "$tmp/serving" &
  serving=$!
  "$@" 9> "$tmp/serving"
}
serve_end ()
{
  wait "$serving"
  rm "$tmp/serving"
}

tool () { printf '%s\n' "$builddir/tests/tools/$1"; }
