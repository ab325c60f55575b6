#!/bin/bash
# xrayfs: does eth0 get its address by DHCP? Judged by netplan's generator and
# by ifupdown, which read the same files.
# SPDX-License-Identifier: GPL-2.0-or-later
# The changes are for eval.
# shellcheck disable=SC2016,SC2034,SC2059
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/packages.sh"
requires mke2fs apt-get dpkg-deb

pkg=$(unpacked netplan.io libnetplan0 ifupdown) || skip "the packages cannot be fetched"
LD_LIBRARY_PATH=$(dirname "$(find "$pkg" -name 'libnetplan.so*' | head -1)")
export LD_LIBRARY_PATH
"$pkg/usr/libexec/netplan/generate" --help > "$tmp/log" 2>&1 ||
  skip "netplan does not run here: $(head -1 "$tmp/log")"
tree "$tmp/good"
failed=0 n=0

# What eth0 gets: dhcp, static, none; each with +6 for a fixed IPv6 address.
netplan ()
{
  local file=
  "$pkg/usr/libexec/netplan/generate" --root-dir "$1" > "$tmp/log" 2>&1 || { echo broken; return; }
  for f in "$1"/run/systemd/network/*.network; do
    [ ! -e "$f" ] || ! grep -Eq '^Name=(eth0|e\*|eth\*|\*)$' "$f" || { file=$f; break; }
  done
  if [ ! "$file" ]; then echo none
  elif grep -Eq '^ActivationPolicy=(manual|down)' "$file"; then echo off
  elif grep -Eq '^DHCP=(yes|ipv4)' "$file"; then echo dhcp
  elif grep -Eq '^Address=[0-9.]+/' "$file"; then echo static
  elif grep -Eq '^DHCP=ipv6|^Address=.*:' "$file"; then echo ipv6
  else echo none; fi
}

ifupdown ()
{
  local file=$1/etc/network/interfaces up
  up=$("$pkg/sbin/ifquery" -i "$file" -l -a; "$pkg/sbin/ifquery" -i "$file" -l --allow=hotplug) 2> /dev/null
  if ! grep -qx eth0 <<< "$up"; then
    "$pkg/sbin/ifquery" -i "$file" eth0 > /dev/null 2>&1 && echo off || echo none
    return
  fi
  "$pkg/sbin/ifup" -n -v --force --state-dir "$tmp/state" -i "$file" eth0 > "$tmp/log" 2>&1 || true
  if grep -q 'eth0 (inet)' "$tmp/log" || grep -q 'eth0=eth0 (inet)' "$tmp/log"; then
    if grep -Eq 'ip( -4)? addr add [0-9]' "$tmp/log"; then echo static; else echo dhcp; fi
  elif grep -q '(inet6)' "$tmp/log"; then echo ipv6
  else echo none; fi
}

# guest JUDGE NAME WANTED CHANGE
guest ()
{
  one_in_three || return 0
  local judge=$1 name=$2 want=$3 r=$tmp/$2 is said
  cp -a "$tmp/good" "$r"
  mkdir -p "$r"/{etc,lib}/netplan "$r/etc/network/interfaces.d" "$tmp/state"
  eval "$4"
  sed -i "s|/etc/network|$r&|" "$r"/etc/network/interfaces 2> /dev/null || true
  said=$($judge "$r")
  sed -i "s|$r||" "$r"/etc/network/interfaces 2> /dev/null || true
  bare "$r" "$tmp/img"
  is=$("$XRAYFS" cat "$tmp/img" os/network/interfaces | awk -F'\t' '
    $1 == "eth0" || $1 == "e*" || $1 == "eth*" || $1 == "*" { print $2; exit }')
  [ -n "$is" ] || case $("$XRAYFS" cat "$tmp/img" os/network/dhcp) in
    unknown) grep -q 'not valid' <("$XRAYFS" cat "$tmp/img" evidence/os/network/dhcp) && is=broken || is=none ;;
    *) is=none ;;
  esac
  [ "$said" = "$want" ] || { note "$name: the judge says $said, not $want" >&2; failed=1; }
  [ "$is" = "$want" ] || { note "$name: $is, not $want" >&2; failed=1; }
  case $want:$("$XRAYFS" cat "$tmp/img" os/network/dhcp) in
  dhcp:yes | static:no | ipv6:no | off:no | none:no | none:unknown | broken:unknown) ;;
  *) note "$name: $want, and dhcp is $("$XRAYFS" cat "$tmp/img" os/network/dhcp)" >&2; failed=1 ;;
  esac
  rm -rf "$r"
  n=$((n + 1))
}
# y [lib/]FILE TEXT: text under ethernets:
y ()
{
  local file=$1
  [[ $file = */* ]] || file=etc/netplan/$file
  printf "network:\n  version: 2\n  ethernets:\n$2" > "$r/$file.yaml"
  chmod 600 "$r/$file.yaml"
}
guest netplan dhcp dhcp 'y a "    eth0: {dhcp4: true}\n"'
guest netplan yes dhcp 'y a "    eth0:\n      dhcp4: yes\n"'
guest netplan off-word none 'y a "    eth0: {dhcp4: no}\n"'
guest netplan static static 'y a "    eth0: {addresses: [10.0.0.2/24]}\n"'
guest netplan address-options static 'y a "    eth0:\n      addresses:\n        - 10.0.0.2/24: {label: x}\n"'
guest netplan six ipv6 'y a "    eth0: {addresses: [\"2001:db8::2/64\"]}\n"'
guest netplan dhcp6 ipv6 'y a "    eth0: {dhcp6: true}\n"'
guest netplan both dhcp 'y a "    eth0: {dhcp4: true, dhcp6: true}\n"'
guest netplan later-off none 'y a "    eth0: {dhcp4: true}\n"; y b "    eth0: {dhcp4: false}\n"'
guest netplan later-on dhcp 'y a "    eth0: {dhcp4: false}\n"; y b "    eth0: {dhcp4: true}\n"'
guest netplan later-static static 'y a "    eth0: {dhcp4: true}\n"; y b "    eth0: {dhcp4: false, addresses: [10.0.0.2/24]}\n"'
guest netplan later-other dhcp 'y a "    eth0: {dhcp4: true}\n"; y b "    eth1: {dhcp4: false}\n"'
guest netplan other-suffix none 'y a "    eth0: {dhcp4: true}\n"; mv "$r/etc/netplan/a.yaml" "$r/etc/netplan/a.yml"'
guest netplan lib dhcp 'y lib/netplan/a "    eth0: {dhcp4: true}\n"'
guest netplan lib-replaced static 'y lib/netplan/a "    eth0: {dhcp4: true}\n"; y a "    eth0: {addresses: [10.0.0.2/24]}\n"'
guest netplan lib-later none 'y a "    eth0: {dhcp4: true}\n"; y lib/netplan/b "    eth0: {dhcp4: false}\n"'
guest netplan match dhcp 'y a "    any: {match: {name: \"e*\"}, dhcp4: true}\n"'
guest netplan match-merged none 'y a "    any: {match: {name: \"e*\"}, dhcp4: true}\n"; y b "    any: {dhcp4: false}\n"'
guest netplan manual off 'y a "    eth0: {dhcp4: true, activation-mode: manual}\n"'
guest netplan broken broken 'y a "    eth0: {dhcp4: [\n"'
i () { printf "$1" > "$r/etc/network/interfaces"; }
d () { printf "$2" > "$r/etc/network/interfaces.d/$1"; }
lo='auto lo\niface lo inet loopback\n'
guest ifupdown if-dhcp dhcp 'i "${lo}auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-hotplug dhcp 'i "${lo}allow-hotplug eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-static static 'i "${lo}auto eth0\niface eth0 inet static\n address 10.0.0.2/24\n"'
guest ifupdown if-off off 'i "${lo}iface eth0 inet dhcp\n"'
guest ifupdown if-absent none 'i "$lo"'
guest ifupdown if-two dhcp 'i "auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n"'
guest ifupdown if-continued dhcp 'i "auto lo \\\\\n  eth0\niface lo inet loopback\niface eth0 inet \\\\\n dhcp\n"'
guest ifupdown if-six ipv6 'i "${lo}auto eth0\niface eth0 inet6 static\n address 2001:db8::2/64\n"'
guest ifupdown if-comment off 'i "${lo}#auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-source dhcp 'i "source /etc/network/interfaces.d/*\n$lo"; d eth0 "auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-source-suffix none 'i "source /etc/network/interfaces.d/*.cfg\n$lo"; d eth0 "auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-directory dhcp 'i "source-directory /etc/network/interfaces.d\n$lo"; d eth0 "auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-directory-name none 'i "source-directory /etc/network/interfaces.d\n$lo"; d eth0.bak~ "auto eth0\niface eth0 inet dhcp\n"'
guest ifupdown if-relative dhcp 'i "source interfaces.d/*\n$lo"; d eth0 "auto eth0\niface eth0 inet dhcp\n"'
note "$n guests"
[ "$failed" = 0 ]
