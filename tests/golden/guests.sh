# xrayfs: small guests, each with one thing changed: source it.
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest NAME PATH=VALUE... ; the commands on stdin change the tree in $r (the
# root) and $i (the initramfs), then every PATH must read VALUE ("*": any
# text; "~TEXT": a line holds TEXT). The guest before the change passes.
# The script ends with: [ $failed = 0 ]
# shellcheck shell=bash disable=SC2034
requires mke2fs debugfs sfdisk cpio zstd
mini=$srcdir/tests/images/make-mini.sh
v=6.1.0-1-amd64
"$mini" tree "$tmp/good"
p=import/tencent-cvm-2019
failed=0

expect ()
{
  local name=$1 path=${2%%=*} want=${2#*=} got
  got=$("$XRAYFS" cat "$tmp/disk.img" "$path") || got="(not readable)"
  case $want in
  "*") return ;;
  "~"*) [[ $got == *"${want#\~}"* ]] && return ;;
  *) [ "$got" = "$want" ] && return ;;
  esac
  note "$name: $path is '$got', not '$want'" >&2
  "$XRAYFS" cat "$tmp/disk.img" "evidence/$path" >&2 || true
  failed=1
}

guest ()
{
  local name=$1 change
  shift
  # For the commands.
  # shellcheck disable=SC2034
  local r=$tmp/tree/root i=$tmp/tree/initramfs \
    m=$tmp/tree/root/usr/lib/modules/$v
  rm -rf "$tmp/tree"
  cp -a "$tmp/good" "$tmp/tree"
  layout=
  change=$(cat)
  eval "$change"
  "$mini" image "$tmp/tree" "$tmp/disk.img" "$layout"
  after_image
  for e; do expect "$name" "$e"; done
}
after_image () { :; }
