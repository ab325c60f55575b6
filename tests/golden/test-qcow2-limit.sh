#!/bin/bash
# xrayfs: all data are read for a limit's sake only where the bound is over it
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires python3
cd "$tmp"

# --- the bound is enough: nothing else is computed ---
head -c 20000000 /dev/urandom > small.raw
"$XRAYFS" report --format json small.raw > small.json
"$XRAYFS" report small.raw > small.txt
! grep -q '"qcow2_size"' small.json || fail "report.json has it"
! grep -q '^qcow2_size:' small.txt || fail "report.txt has it"
grep -q '^qcow2_size_bound: [0-9]' small.txt || fail "no bound"
"$XRAYFS" export small.raw exported
[ -e exported/qcow2_size_bound ] || fail "the bound is not exported"
for i in qcow2_size evidence/qcow2_size; do
  [ ! -e "exported/$i" ] || fail "$i is exported"
done
read -r -d '' verdict bytes < <("$XRAYFS" cat small.raw \
  import/default/codes/InvalidFormatSize image/bytes_read) || true
assert_equal "a small image" "$verdict" ok
[ "$bytes" -lt 10000000 ] || fail "$bytes bytes were read for a verdict"

# --- it is not ---
[ -z "${QUICK:-}" ] || exit 0
gib=$((1 << 30))

# over NAME GIB BYTE CODE WARNED: 51 GiB, of which GIB are stored.
over ()
{
  python3 "$srcdir/tests/golden/make-shared-qcow2.py" "$1" $((51 * gib)) 21 \
    $(($2 * 512)) "$3"
  "$XRAYFS" report --format json "$1" > "$1.json"
  python3 - "$1.json" "$4" "$5" << 'END' || fail "$1"
import json, sys
r = json.load(open(sys.argv[1]))
policy = r["import"]["tencent-cvm-2019"]
size, code = r["qcow2_size"], policy["codes"]["InvalidFormatSize"]
warned = any("size as qcow2" in w for w in policy["warnings"])
rule = [l.split("\t") for l in policy["requirements"] if l.startswith("qcow2-size\t")]
assert r["qcow2_size_bound"] > 50 * 10**9
assert code == sys.argv[2] and warned == (sys.argv[3] == "yes"), policy
assert rule[0][2] == str(size), (rule, size)
assert (size > 50 << 30) == (code == "fail")
END
  note "$1: $4"
}

over zeros.qcow2 51 0 ok no # read all the same, and empty
over nearly.qcow2 48 1 ok yes
over full.qcow2 51 1 fail no
