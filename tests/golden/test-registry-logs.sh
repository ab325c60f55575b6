#!/bin/bash
# xrayfs: hives that were being written, brought up to date from their logs
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires hivexregedit python3
get=$(tool hive-get)
cd "$tmp"
export PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=$srcdir/tests/images python3 -c \
  'import make_windows; open("before", "wb").write(make_windows.minimal_hive())'

# merge FROM TO: the .reg on stdin
merge ()
{
  cp "$1" "$2"
  cat > "$2.reg"
  hivexregedit --merge "$2" "$2.reg"
}
{
  printf '[\\A]\n"One"=dword:00000001\n"Gone"="soon"\n\n'
  for i in {1..60}; do printf '[\\A\\Key%d]\n"Name"="value %d"\n\n' "$i" "$i"; done
} > start.reg
merge before first < start.reg
mv first before
printf '[\\A]\n"One"=dword:00000002\n"Gone"=-\n\n[\\A\\New]\n"Text"="middle"\n' |
  merge before middle
{
  printf '[\\A\\New]\n"Text"="after"\n\n[-\\A\\Key7]\n\n'
  for i in {1..90}; do printf '[\\A\\More%d]\n"Name"="value %d"\n\n' "$i" "$i"; done
} > end.reg
merge middle after < end.reg
for i in before middle after; do "$get" $i > $i.txt; done
cmp -s before.txt middle.txt && fail "nothing was changed"
[ "$(stat -c %s after)" -gt "$(stat -c %s before)" ] || fail "it did not grow"

# expect CASE WHAT [STALE]: WHAT the hive says; does it say that it may be old?
expect ()
{
  python3 "$srcdir/tests/golden/hive_logs.py" "$1" before middle after hive
  "$get" hive hive.LOG1 hive.LOG2 > got || fail "$1: cannot be read"
  assert_equal "$1: warnings" "$(grep -c '^!' got)" "${3:-0}"
  sed -i '/^!/d' got
  cmp got "$2.txt" || fail "$1: is not $2"
}
for i in old old-second old-no-header new-{one-log,two-logs,swapped,remnants,no-header}; do
  expect "$i" after
done
expect new-bad-hash middle
expect new-gap middle
expect clean before
for i in old-other-time new-first-bad new-too-old none; do
  expect "$i" before 1
done

# What was put in place before the log ended is not said to be the truth.
python3 "$srcdir/tests/golden/hive_logs.py" old-cut-off before middle after hive
"$get" hive hive.LOG1 2> err | grep -q '^! .*the log ends' || fail "cut off"

# Real ones of Windows 10, with the counts that yarp 1.0.33 gives.
if corpus regipy/UsrClass.dat > path && [ -s "$(cat path)" ]; then
  f=$(cat path)
  corpus regipy/UsrClass.dat.LOG > /dev/null
  "$get" "$f" "$f.LOG1" "$f.LOG2" > got
  assert_equal "UsrClass.dat: keys" "$(grep -c ^K got)" 6238
  assert_equal "UsrClass.dat: values" "$(grep -c ^V got)" 12531
  assert_equal "UsrClass.dat: up to date" "$(grep -c '^!' got)" 0
fi
