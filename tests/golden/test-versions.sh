#!/usr/bin/env bash
# The orders of entries against systemd-analyze and rpm, over versions made of
# a few parts.
. "${srcdir:-.}/tests/functions.sh"
requires systemd-analyze rpm
program=$builddir/tests/unit/test-versions
systemd-analyze compare-versions 1 2 > /dev/null ||
  [ $? -le 12 ] || skip "systemd-analyze cannot compare versions"

parts=(1 2 10 01 a b rc1 el9 . - '~' ^ _ x86)
version ()
{
  local i text=
  for ((i = 0; i <= RANDOM % 5; i++)); do
    text+=${parts[RANDOM % ${#parts[@]}]}
  done
  REPLY=$text
}

RANDOM=4711
failed=0 script=
pairs=()
for ((n = 0; n < 150; n++)); do
  version; a=$REPLY
  version; b=$REPLY
  pairs+=("$a" "$b")
  want=$(systemd-analyze compare-versions -- "$a" "$b" || true)
  case $want in *' < '*) want='<' ;; *' > '*) want='>' ;; *) want='=' ;; esac
  got=$("$program" systemd "$a" "$b")
  [ "$got" = "$want" ] ||
    { note "systemd: '$a' $got '$b', and not $want"; failed=1; }
  # GRUB knows nothing of '^', and rpm cuts at '-' before it compares.
  [[ $a$b = *[-^]* ]] || script+="print(rpm.vercmp('$a', '$b')) print(' ')"
done

read -ra answers < <(rpm --eval "%{lua:$script}")
i=0
for ((n = 0; n < 300; n += 2)); do
  a=${pairs[n]} b=${pairs[n + 1]}
  [[ $a$b = *[-^]* ]] && continue
  case ${answers[i]} in -1) want='<' ;; 1) want='>' ;; *) want='=' ;; esac
  i=$((i + 1))
  got=$("$program" rpm "$a" "$b")
  [ "$got" = "$want" ] ||
    { note "rpm: '$a' $got '$b', and not $want"; failed=1; }
done
note "150 and $i pairs compared"
[ $failed = 0 ]
