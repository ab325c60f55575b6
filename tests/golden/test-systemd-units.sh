#!/bin/bash
# xrayfs: which units would a boot start? Judged by systemd itself, which
# works out the transaction of default.target over the same files.
# SPDX-License-Identifier: GPL-2.0-or-later
# The changes are for eval.
# shellcheck disable=SC2016,SC2034
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/packages.sh"
requires mke2fs
systemd=/lib/systemd/systemd
[ -x $systemd ] || skip "systemd is not installed"
as_user=()
[ "$(id -u)" != 0 ] || { requires setpriv; as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups); }

good=$tmp/good
tree "$good"
cp "$good/usr/bin/sh" "$good/usr/sbin/sshd"
lib=usr/lib/systemd/system etc=etc/systemd/system
mkdir -p "$good/$etc/multi-user.target.wants" "$good/$lib/multi-user.target.wants"
for t in graphical multi-user basic sysinit local-fs swap sockets timers paths \
  slices rescue emergency network network-pre network-online remote-fs getty; do
  cp "/lib/systemd/system/$t.target" "$good/$lib/" || skip "no units of systemd's here"
done
ln -s graphical.target "$good/$lib/default.target"
ln -s ../getty.target "$good/$lib/multi-user.target.wants/"
ln -s /lib/systemd/system/remote-fs.target "$good/$etc/multi-user.target.wants/"
cat > "$good/$lib/ssh.service" << 'END'
[Unit]
Description=OpenBSD Secure Shell server
After=network.target
[Service]
ExecStart=/usr/sbin/sshd -D
[Install]
WantedBy=multi-user.target
Alias=sshd.service
END
chmod 755 "$tmp"

# starts ROOT: does the transaction have a start job for a server?
starts ()
{
  local l target
  # Links from the root are the guest's.
  find "$1/etc/systemd" "$1/$lib" -type l | while read -r l; do
    target=$(readlink "$l")
    case $target in /dev/null) ;; /*) ln -sfn "$1$target" "$l" ;; esac
  done
  chmod -R a+rX "$1"
  HOME=/ SYSTEMD_UNIT_PATH=$1/$etc:$1/$lib "${as_user[@]}" "$systemd" --test --system \
    --unit=default.target > "$tmp/transaction" 2>&1
  if sed -n '/^-> By jobs/,$p' "$tmp/transaction" |
    grep -Eq 'Action: (ssh|sshd)\.(service|socket) -> start'; then echo yes; else echo no; fi
}

failed=0 n=0
# guest NAME WANTED CHANGE: WANTED is for people; the judge decides, unless it
# is said to be what the judge does not look at ("!yes", "!no").
guest ()
{
  one_in_three || return 0
  local name=$1 want=$2 r=$tmp/$1 is
  cp -a "$good" "$r"
  eval "$3"
  bare "$r" "$tmp/img"
  case $("$XRAYFS" cat "$tmp/img" import/tencent-cvm-2019/warnings) in
  *"reached by SSH"*) is=no ;;
  *) is=yes ;;
  esac
  case $want in
  !*) want=${want#!} ;;
  *) [ "$(starts "$r")" = "$want" ] || {
      note "$name: systemd does not say $want" >&2
      grep -E 'rror|ailed|Action' "$tmp/transaction" >&2 || true
      failed=1
    } ;;
  esac
  [ "$is" = "$want" ] || { note "$name: started: $is, not $want" >&2; failed=1; }
  rm -rf "$r"
  n=$((n + 1))
}
# want TARGET [UNIT [LINK]]
want () { mkdir -p "$r/$etc/$1"; ln -s "${3:-/lib/systemd/system/${2:-ssh.service}}" "$r/$etc/$1/${2:-ssh.service}"; }
m=multi-user.target.wants

guest unlinked no ''
guest absolute yes 'want $m'
guest relative yes 'want $m ssh.service ../../../../lib/systemd/system/ssh.service'
guest requires yes 'want multi-user.target.requires'
guest vendor yes 'ln -s ../ssh.service "$r/$lib/$m/"'
guest vendor-masked no 'ln -s ../ssh.service "$r/$lib/$m/"; ln -s /dev/null "$r/$etc/ssh.service"'
guest masked no 'want $m; ln -s /dev/null "$r/$etc/ssh.service"'
guest empty-file no 'want $m; : > "$r/$etc/ssh.service"'
guest masked-link no 'ln -s ../ssh.service "$r/$lib/$m/"; ln -s /dev/null "$r/$etc/$m/ssh.service"; : > "$r/$etc/ssh.service"'
guest unit-gone no 'want $m; rm "$r/$lib/ssh.service"'
guest in-etc yes 'mv "$r/$lib/ssh.service" "$r/$etc/"; want $m ssh.service ../ssh.service'
guest alias-alone no 'ln -s /lib/systemd/system/ssh.service "$r/$etc/sshd.service"'
guest alias-wanted yes 'ln -s /lib/systemd/system/ssh.service "$r/$etc/sshd.service"; want $m sshd.service'
guest alias-of-masked no 'ln -s /lib/systemd/system/ssh.service "$r/$etc/sshd.service"; want $m; ln -s /dev/null "$r/$etc/ssh.service"'
guest graphical yes 'want graphical.target.wants'
guest graphical-not-default no 'want graphical.target.wants; ln -s /lib/systemd/system/multi-user.target "$r/$etc/default.target"'
guest multi-user-default yes 'want $m; ln -s /lib/systemd/system/multi-user.target "$r/$etc/default.target"'
guest rescue-default no 'want $m; ln -s /lib/systemd/system/rescue.target "$r/$etc/default.target"'
guest rescue no 'want rescue.target.wants'
guest own-default yes 'want my.target.wants; echo "[Unit]" > "$r/$lib/my.target"; ln -s my.target "$r/$lib/default.target.tmp"; ln -sfn /lib/systemd/system/my.target "$r/$etc/default.target"'
guest own-default-requires yes 'want $m; printf "[Unit]\nRequires=multi-user.target\n" > "$r/$lib/my.target"; ln -s /lib/systemd/system/my.target "$r/$etc/default.target"'
guest basic yes 'want basic.target.wants'
guest sysinit yes 'want sysinit.target.wants'
guest default-wants yes 'want default.target.wants'
guest of-wanted-target yes 'echo "[Unit]" > "$r/$lib/my.target"; want my.target.wants; want $m my.target'
guest of-unwanted-target no 'echo "[Unit]" > "$r/$lib/my.target"; want my.target.wants'
guest of-missing-target no 'want gone.target.wants'
guest remote-fs yes 'want remote-fs.target.wants'
guest socket yes 'printf "[Socket]\nListenStream=22\nAccept=yes\n" > "$r/$lib/ssh.socket"; cp "$r/$lib/ssh.service" "$r/$lib/ssh@.service"; want sockets.target.wants ssh.socket'
guest socket-masked no 'printf "[Socket]\nListenStream=22\nAccept=yes\n" > "$r/$lib/ssh.socket"; want sockets.target.wants ssh.socket; ln -s /dev/null "$r/$etc/ssh.socket"'
guest in-run no 'mkdir -p "$r/run/systemd/system/$m"; ln -s /lib/systemd/system/ssh.service "$r/run/systemd/system/$m/"'
guest usr-unmerged yes 'want $m; rm "$r/lib"; mkdir -p "$r/lib/systemd/system"; mv "$r/$lib"/* "$r/lib/systemd/system/"; rmdir "$r/$lib"; ln -s /lib/systemd/system "$r/$lib"; mv "$r/usr/lib/systemd/systemd" "$r/lib/systemd/"'
guest wanted-by-a-service yes 'echo "[Service]
ExecStart=/bin/true" > "$r/$lib/a.service"; want $m a.service; want a.service.wants'
# Conditions are looked at when the unit's turn comes.
guest condition-fails '!no' 'want $m; mkdir -p "$r/$etc/ssh.service.d"; printf "[Unit]\nConditionPathExists=!/etc/ssh/sshd_not_to_be_run\n" > "$r/$etc/ssh.service.d/a.conf"; mkdir "$r/etc/ssh"; touch "$r/etc/ssh/sshd_not_to_be_run"'
guest condition-taken-back '!yes' 'want $m; mkdir -p "$r/$etc/ssh.service.d"; printf "[Unit]\nConditionPathExists=/nowhere\n" > "$r/$etc/ssh.service.d/a.conf"; printf "[Unit]\nConditionPathExists=\n" > "$r/$etc/ssh.service.d/b.conf"'
guest condition-holds '!yes' 'want $m; mkdir -p "$r/$etc/ssh.service.d"; printf "[Unit]\nConditionPathExists=!/etc/ssh/sshd_not_to_be_run\n" > "$r/$etc/ssh.service.d/a.conf"'
guest container-only '!no' 'want $m; mkdir -p "$r/$etc/ssh.service.d"; printf "[Unit]\nConditionVirtualization=container\n" > "$r/$etc/ssh.service.d/a.conf"'
guest no-container '!yes' 'want $m; mkdir -p "$r/$lib/ssh.service.d"; printf "[Unit]\nConditionVirtualization=!container\n" > "$r/$lib/ssh.service.d/a.conf"'

note "$n guests, judged by $($systemd --version | head -1)"
[ "$failed" = 0 ]
