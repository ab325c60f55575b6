#!/usr/bin/env bash
# The boot proof: what xrayfs says of an image against what the guest does
# when it is started from a virtio disk, with a virtio card and a config drive.
#
#   run.sh [--kept] [--table FILE] [GUEST|IMAGE...]   all guests without arguments
#
# Right is: has_virtio yes, and the guest starts from its disk and has its
# card; no, and it does not.  os/default_kernel is the kernel that runs.
# cloud_init yes, and its generator enables it for the config drive.  A guest
# that does not start for another reason was warned of.  The modules of the
# default kernel's initramfs are those that lsinitramfs or lsinitrd list.
#
# What a guest did is kept beside its image: --kept starts none that has been
# started since it was built, and only judges. --table writes
# docs/boot-proof.md. BOOT_JOBS guests run at once (2).
# The program is $XRAYFS, or xrayfs in $top_builddir.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
srcdir=${srcdir:-$here/../..}
# shellcheck source=tests/functions.sh
. "$here/../functions.sh"
export XRAYFS

# What a guest does wrong, besides what has_virtio and cloud_init speak of:
# the outcome, and the warning that has to foretell it.
obstacle() {
  case $1 in
    root-sda)     echo 'no-root named by device' ;;
    missing-disk) echo 'emergency 11111111-2222-3333-4444-555555555555' ;;
    eth0-renamed) echo 'no-address eth0' ;;
  esac
}

finding() { "$XRAYFS" cat "$image" "$1"; }

# word KEY: what the guest said
word() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$said"; }

wrong() { faults+="$*; "; }

# The initramfs as a file of its own
initramfs() {
  local path
  path=$(finding "os/kernels/$kernel/initramfs")
  [ -n "$path" ] || return 1
  if [[ $path == *.efi ]]; then
    # A unified kernel image on the ESP
    finding partitions/1/files"${path#/boot/efi}" >"$dir/uki" 2>/dev/null || finding "root$path" >"$dir/uki"
    objcopy -O binary --only-section=.initrd "$dir/uki" "$1"
  else
    finding "root$path" >"$1"
  fi
}

# lsinitrd lists a squashed inner image only as the name it has.
modules_of_tool() {
  { lsinitrd "$1" 2>/dev/null || lsinitramfs "$1"; lsinitramfs "$1" 2>/dev/null || :; } |
    grep -oP "lib/modules/\\Q$kernel\\E/.*\.ko(\.(gz|xz|zst))?$" |
    sed 's|.*/||; s|\.ko.*||; s|-|_|g' | sort -u
}

check_modules() {
  local count
  if ! initramfs "$dir/initramfs"; then
    modules=none
    return
  fi
  modules_of_tool "$dir/initramfs" >"$dir/want"
  "$(tool initramfs-list)" --modules "$kernel" "$dir/initramfs" | sort -u >"$dir/got"
  count=$(wc -l <"$dir/got")
  if cmp -s "$dir/want" "$dir/got"; then modules="$count, the same"; return; fi
  modules="$count, $(wc -l <"$dir/want") listed"
  wrong "modules differ: $(diff "$dir/want" "$dir/got" | grep '^[<>]' | head -n 3 | tr '\n' ' ')"
}

judge() {
  local found=${said%% *} up=no expected
  expected=$(obstacle "$name")
  [ -n "$said" ] && [ "$found" != neither ] || { wrong 'no outcome'; return; }
  [ "$found" = userspace ] && [ "$(word net)" = virtio_net ] && up=yes
  if [ -z "$expected" ]; then
    [ "$virtio" = "$up" ] || wrong "has_virtio is $virtio"
  else
    if [ "${expected%% *}" = no-address ]; then
      [ "$found" = userspace ] && [ "$(word address)" = none ] || wrong "not ${expected%% *}"
    else
      [ "$found" = "${expected%% *}" ] || wrong "not ${expected%% *}"
    fi
    finding import/default/warnings | grep -qE -- "${expected#* }" || wrong 'not warned of'
  fi
  [ "$found" = userspace ] || return 0
  [ "$(word kernel)" = "$kernel" ] || wrong "the default kernel is $kernel"
  # Unknown is not wrong: another cloud may attach the data otherwise.
  case $(word cloud_init),$cloud in
    enabled,yes|disabled,no|absent,no|*,unknown|,*) ;;
    *) wrong "cloud_init is $cloud" ;;
  esac
}

# Sets said. Fails where QEMU is missing.
look_at_boot() {
  local file=${image%.*}.said status=0
  : >"$dir/log"
  if [ -n "$kept" ] && [ "$file" -nt "$image" ]; then
    said=$(<"$file")
    return
  fi
  said=$(BOOT_LOG="$dir/console" BOOT_WITNESS=$witness "$here/boot.sh" "$image" 2>"$dir/log") || status=$?
  [ -z "$witness" ] || [ $status -ne 0 ] || echo "$said" >"$file"
  [ $status -ne 77 ]
}

# check NAME IMAGE: a line of the result, and a row of the table
check() {
  local name=$1 image=$2 dir faults='' said='' virtio kernel cloud verdict modules=''
  local status=PASS start=$SECONDS
  dir=$(mktemp -d "$tmp/$name.XXXXXX")
  virtio=$(finding has_virtio) || virtio=nothing
  kernel=$(finding os/default_kernel) || kernel=nothing
  cloud=$(finding cloud_init) || cloud=nothing
  verdict=$(finding import/default/verdict) || verdict=nothing
  look_at_boot || status=SKIP
  check_modules
  judge
  [ -z "$faults" ] || status=FAIL
  echo "$status $name: has_virtio $virtio, cloud_init $cloud; $said ($((SECONDS - start)) s) $faults"
  [ "$status" = PASS ] || sed 's/^/  | /' "$dir/log" >&2
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$kernel" "$modules" \
    "$virtio" "$cloud" "$verdict" "${said%% *}" \
    "$(sed 's/[^ ]* *//; s/kernel=[^ ]* //; s/cloud_init=.*//' <<<"$said")" \
    "$(word cloud_init)" "$status" >"$tmp/row.$name"
  rm -rf "$dir"
}

table() {
  cat <<EOF
# The boot proof

Made by \`make check-boot\` (tests/boot/run.sh): each guest is a real Debian
system, of the packages of the day, with one thing done to it (see
tests/boot/make-guests.sh). It is started by QEMU from a virtio-blk disk, with
a virtio-net card, and with a config drive as a CD-ROM. The first columns are
what xrayfs says of the image, without starting it; the later ones what the
guest did, and said on its console. Modules: how many of the default kernel are
in its initramfs, and whether lsinitramfs or lsinitrd list the same.

Judged on $(date -u +%Y-%m-%d), $("$XRAYFS" --version | head -n 1): $1.

| guest | default kernel | modules | has_virtio | cloud_init | verdict | the guest | what it has | its cloud-init | |
|---|---|---|---|---|---|---|---|---|---|
EOF
  for name in "${names[@]}"; do cat "$tmp/row.$name"; done
}

# Guests are built one after the other, while those before them run.
check_guests() {
  local name image
  for name; do
    image=$("$here/make-guests.sh" "$name") || return
    check "$name" "$image" >>"$tmp/results" &
    while [ "$(jobs -rp | wc -l)" -ge "${BOOT_JOBS:-2}" ]; do wait -n || :; done
  done
  wait
}

main() {
  local name table='' kept='' witness=yes names=() images=() passed failed
  requires "$XRAYFS" qemu-system-x86_64 lsinitramfs
  if [ "${1:-}" = --kept ]; then kept=yes; shift; fi
  if [ "${1:-}" = --table ]; then table=$2; shift 2; fi
  for name; do
    if [ -e "$name" ]; then images+=("$name"); else names+=("$name"); fi
  done
  [ $# -gt 0 ] || mapfile -t names < <("$here/make-guests.sh" --list)
  : >"$tmp/results"
  check_guests "${names[@]}" || exit
  witness=
  for name in "${images[@]}"; do check "${name##*/}" "$name" >>"$tmp/results"; done
  cat "$tmp/results"
  passed=$(grep -c '^PASS' "$tmp/results") || :
  failed=$(grep -c '^FAIL' "$tmp/results") || :
  [ -z "$table" ] || table "$passed guests right, $failed wrong" >"$table"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

main "$@"
