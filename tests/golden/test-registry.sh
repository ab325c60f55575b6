#!/bin/bash
# xrayfs: all keys and values of hives, against libhivex
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires perl
perl -MWin::Hivex -e 1 2> "$tmp/err" || skip "Win::Hivex is not installed"
requires_corpus
get=$(tool hive-get)

for i in hivex/ notatin/ plaso/ regipy/ yarp/ phony-guests/hives/; do
  corpus $i > "$tmp/dir"
done
mapfile -t hives < <(cd "$cache_dir/corpus" && find hivex notatin plaso regipy \
  yarp phony-guests/hives -type f | sort)
[ "${#hives[@]}" -gt 30 ] || fail "only ${#hives[@]} hives in the corpus"

for i in "${hives[@]}"; do
  f=$cache_dir/corpus/$i status=0
  "$get" "$f" > "$tmp/ours" 2> "$tmp/ours.err" || status=$?
  sed -i '/^!/d' "$tmp/ours" # what it says may be old
  case $i in
  # Not a hive, or a log: refused by both.
  yarp/Carving/* | *.LOG[12])
    assert_equal "$i: status" $status 1
    [ -s "$tmp/ours.err" ] || fail "$i: no error"
    [ ! -s "$tmp/ours" ] || fail "$i: not refused"
    continue ;;
  # libhivex gives up: what can be read is read, and the rest is an error.
  plaso/corrupt_sub_key_list.hiv)
    assert_equal "$i: status" $status 1
    grep -q 'not in use' "$tmp/ours.err" || fail "$i: $(cat "$tmp/ours.err")"
    continue ;;
  # An unpaired surrogate, at which its iconv stops.
  yarp/TruncatedPairHive)
    assert_equal "$i: status" $status 0
    assert_equal "$i: keys" "$(grep -c ^K "$tmp/ours")" 4
    continue ;;
  esac
  assert_equal "$i: status" $status 0
  perl "$srcdir/tests/golden/hive-walk.pl" "$f" > "$tmp/theirs" ||
    fail "$i: libhivex"
  cmp "$tmp/ours" "$tmp/theirs" || fail "$i differs"
done
