#!/usr/bin/env bash
# LUKS version 1 as a container: sizes and cipher as qemu-img has them, data
# that are never shown, headers that lie; and qcow2 with encrypted data.
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img python3
block_cat=$(tool block-cat)
cd "$tmp"
secret="--object secret,id=s,data=abc"

# create FORMAT FILE OPTIONS SIZE: qemu-img cannot always measure 20 ms.
create ()
{
  local ms
  for ms in 20 100 400; do
    # shellcheck disable=SC2086
    if qemu-img create -q -f "$1" $secret -o "$3iter-time=$ms" "$2" "$4" \
      2> create.log; then
      return
    fi
  done
  skip "qemu-img makes no such image: $(cat create.log)"
}

# same_header IMAGE: as qemu-img info.
same_header ()
{
  qemu-img info --output=json "$1" > want.json
  "$block_cat" --info "$1" > got.info 2> got.err && fail "$1: it has a map"
  grep -q 'data are encrypted (LUKS)' got.err || fail "$1: $(cat got.err)"
  python3 - "$1" << 'EOF' || fail "$1: differs from qemu-img"
import json, sys
want = json.load(open("want.json"))
have = want["format-specific"]["data"]
got = set(open("got.info").read().split("\n"))
cipher, bits = have["cipher-alg"].rsplit("-", 1)
mode, iv = have["cipher-mode"], have["ivgen-alg"]
if "ivgen-hash-alg" in have:
    iv += ":" + have["ivgen-hash-alg"]
bits = int(bits) * (2 if mode == "xts" else 1)
slots = sum(s["active"] for s in have["slots"])
for line in ("format=luks", "encrypted=luks", "version=1",
             f"size={want['virtual-size']}",
             f"features=cipher {cipher}-{mode}-{iv}",
             f"features=hash {have['hash-alg']}",
             f"features=uuid {have['uuid']}", f"features=key-bits {bits}",
             f"features=key-slots {slots}"):
    if line not in got:
        sys.exit(f"no '{line}' in {got}")
EOF
  assert_equal "$1: check" "$("$block_cat" --check "$1")" $'errors=0\nnotes=0'
  "$block_cat" "$1" > out 2> got.err && fail "$1 was read"
  assert_equal "$1: sizes" \
    "$("$XRAYFS" cat "$1" virtual_size disk_size file_size)" \
    "$(python3 -c 'import json; i = json.load(open("want.json"))
print(i["virtual-size"], i["actual-size"], sep="\n")')
$(stat -c %s "$1")"
  note "$1: same"
}

create luks plain.luks key-secret=s, 3146752
same_header plain.luks
create luks cbc.luks \
  key-secret=s,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha512, 5M
same_header cbc.luks
create luks serpent.luks key-secret=s,cipher-alg=serpent-256,ivgen-alg=plain, 1M
same_header serpent.luks
# A second key; and a file that is no multiple of a sector.
# shellcheck disable=SC2086
if qemu-img amend $secret --object secret,id=t,data=def --image-opts \
  driver=luks,key-secret=s,file.filename=cbc.luks \
  -o state=active,new-secret=t,iter-time=100 2> amend.log; then
  same_header cbc.luks
fi
payload=$(python3 -c 'import json; print(
  json.load(open("want.json"))["format-specific"]["data"]["payload-offset"])')
for more in 0 1 512 777; do
  head -c $((payload + more)) cbc.luks > cut.luks
  assert_equal "cut at $more" "$("$XRAYFS" cat cut.luks virtual_size)" \
    "$(qemu-img info --output=json cut.luks |
      python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])')"
done

# The tree: known is what the header says, all else unknown with the reason.
"$XRAYFS" cat plain.luks format image/encrypted > out
assert_equal "format" "$(cat out)" $'luks\nluks'
for i in contents partition_table os/family has_virtio cloud_init \
  qcow2_size_bound image/allocated; do
  assert_equal "$i" "$("$XRAYFS" cat plain.luks $i)" unknown
  "$XRAYFS" cat plain.luks evidence/$i | grep -q 'data are encrypted' ||
    fail "evidence/$i: $("$XRAYFS" cat plain.luks evidence/$i)"
done
"$XRAYFS" report plain.luks > /dev/null || fail "no report"

# qcow2: the same, for either kind of encryption.
create qcow2 luks.qcow2 encrypt.format=luks,encrypt.key-secret=s,encrypt. 3M
qemu-img create -q -f qcow2 $secret -o encrypt.format=aes,encrypt.key-secret=s \
  aes.qcow2 3M 2> create.log || skip "$(cat create.log)"
for i in luks aes; do
  # shellcheck disable=SC2086
  qemu-io $secret --image-opts -c "write -P 7 64k 128k" \
    "driver=qcow2,encrypt.key-secret=s,file.filename=$i.qcow2" > io.log ||
    note "$i.qcow2: $(cat io.log)"
  assert_equal "$i.qcow2" "$("$XRAYFS" cat $i.qcow2 image/encrypted)" $i
  "$block_cat" $i.qcow2 2> got.err > out && fail "$i.qcow2 was read"
  grep -qi "data are encrypted ($i)" got.err || fail "$(cat got.err)"
  "$XRAYFS" report $i.qcow2 | grep -q 'The image is encrypted' ||
    fail "$i.qcow2: the report does not say so"
done

# --- headers that lie ---------------------------------------------------------
# lie OFFSET HEX WORDS: refused, or found by the check.
lie ()
{
  cp cbc.luks bad.luks
  printf '%b' "$(printf '%s' "$2" | sed 's/../\\x&/g')" |
    dd of=bad.luks bs=1 seek="$1" conv=notrunc status=none
  "$block_cat" --check bad.luks > out 2>&1 || true
  grep -qF -- "$3" out || fail "$1 $2: $(cat out)"
}
ff=$(printf 'ff%.0s' $(seq 40))
lie 8 "$ff" 'cipher name is not terminated'
lie 40 "$ff" 'cipher mode is not terminated'
lie 72 "$ff" 'hash name is not terminated'
lie 168 "$ff" 'UUID is not terminated'
lie 104 00000007 'data at 0xe00 overlap the header'
lie 104 ffffffff 'data at 0x1fffffffe00 lie beyond the end of the file'
lie 108 ffffffff 'key slots 0 and 1 overlap'
lie 164 00000000 'the master key has no iterations'
lie 208 00000001 'key slot 0: state 0x00000001'
lie 212 00000000 'key slot 0: no iterations'
lie 248 00000001 'key slot 0: its key overlaps the header'
lie 248 ffffffff 'key slot 0: its key overlaps the data'
lie 252 00000fff 'key slot 0: 4095 stripes'
for n in 8 300 591; do
  head -c $n cbc.luks > bad.luks
  "$block_cat" --info bad.luks > out 2>&1 && fail "cut at $n was opened"
  grep -q 'luks: header is cut off' out || fail "cut at $n: $(cat out)"
done
head -c "$payload" cbc.luks > bad.luks
"$block_cat" --check bad.luks | grep -q 'where the data should start' ||
  fail "no data: not found"
# Version 2 is a raw disk.
printf 'LUKS\272\276\0\2' | dd of=bad.luks conv=notrunc status=none
assert_equal "version 2" "$("$XRAYFS" cat bad.luks format)" raw
"$block_cat" --fault plain.luks > /dev/null || fail "fault"
