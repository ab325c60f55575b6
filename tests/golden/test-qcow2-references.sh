#!/bin/bash
# xrayfs: a backing or data file opens only inside the image's directory; what
# the image itself has can be seen all the same
# SPDX-License-Identifier: GPL-2.0-or-later
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img mkfifo timeout
cat=$(tool block-cat)
cd "$tmp"

mkdir -p in/sub out
qemu-img create -q -f raw out/secret.raw 1M
qemu-img create -q -f raw in/base.raw 1M
cp in/base.raw in/sub/base.raw
cp in/base.raw in/a:b.raw
ln -s ../out/secret.raw in/link-out
ln -s "$PWD/in/base.raw" in/link-absolute
ln -s base.raw in/link-in
ln -s loop in/loop
ln -s ../out in/dir-out
ln -s /proc/self/root in/root
mkfifo in/fifo
ln in/base.raw in/hard.raw

# make NAME BACKING [OPTION...]
make () { qemu-img create -q -u -f qcow2 -b "$2" "${@:3}" "$1" 1M; }

# refused NAME WORDS: block-cat says WORDS, quickly, and gives no bytes.
refused ()
{
  local got
  got=$(timeout 10 "$cat" "$1" 2>&1 > got.raw) && fail "$1: was read"
  case $got in
  *": reference: '"*"$2"*) note "$1: ${got#block-cat: }" ;;
  *) fail "$1: said '$got', wanted '$2'" ;;
  esac
  [ ! -s got.raw ] || fail "$1: gave bytes"
  "$cat" --check "$1" | grep -qF -- "$2" || fail "$1: not among the findings"
  "$cat" --map "$1" > /dev/null 2>&1 && fail "$1: has a map"
  return 0
}
opened () { "$cat" "$1" > got.raw || fail "$1: was not opened"; }

n=0
while IFS='|' read -r backing words; do
  n=$((n + 1))
  make "in/$n.qcow2" "${backing/@/$PWD}" -F raw
  if [ "$words" = ok ]; then opened "in/$n.qcow2"; else
    refused "in/$n.qcow2" "$words"
  fi
done << 'END'
/etc/shadow|lies outside the image's directory
../out/secret.raw|lies outside the image's directory
sub/../../out/secret.raw|lies outside the image's directory
link-out|lies outside the image's directory
link-absolute|lies outside the image's directory
dir-out/secret.raw|lies outside the image's directory
root/etc/passwd|lies outside the image's directory
@/in/../out/secret.raw|lies outside the image's directory
@/out/secret.raw|lies outside the image's directory
@/inside|lies outside the image's directory
file:/etc/shadow|lies outside the image's directory
file:../out/secret.raw|lies outside the image's directory
json:{"file.filename":"base.raw"}|'json:' references are refused
nbd:localhost:10809|'nbd:' references are refused
nbd://localhost/x|'nbd:' references are refused
http://localhost/x|'http:' references are refused
fd:3|'fd:' references are refused
a:b.raw|'a:' references are refused
/dev/null|a device is refused
/dev/fd/0|a device is refused
/dev/fdset/1|a device is refused
fifo|is not a regular file
sub|is not a regular file
loop|symbolic links
missing.raw|no such file
base.raw/x|no such file
base.raw|ok
./sub/../base.raw|ok
link-in|ok
hard.raw|ok
file:base.raw|ok
file:a:b.raw|ok
./a:b.raw|ok
@/in/sub/base.raw|ok
@/in//base.raw|ok
END

# --- loops and long chains ---------------------------------------------------
make in/self.qcow2 self.qcow2 -F qcow2
refused in/self.qcow2 "chain of backing files leads back to 'self.qcow2'"
make in/x.qcow2 y.qcow2 -F qcow2
make in/y.qcow2 sub/z.qcow2 -F qcow2
make in/sub/z.qcow2 ../x.qcow2 -F qcow2
refused in/x.qcow2 "leads back to"
ln in/x.qcow2 in/w.qcow2
refused in/w.qcow2 "leads back to"
qemu-img create -q -f qcow2 in/long0.qcow2 1M
for ((i = 1; i <= 65; i++)); do
  make in/long$i.qcow2 long$((i - 1)).qcow2 -F qcow2
done
opened in/long64.qcow2
assert_equal "length of the chain" \
  "$("$cat" --info in/long64.qcow2 | grep -c ^backing_chain=)" 64
refused in/long65.qcow2 "chain of backing files is too long"

# --- formats, data files -------------------------------------------------------
# raw is never probed: the overlay shows the bytes of a qcow2 file.
qemu-img create -q -f qcow2 in/inner.qcow2 1M
make in/as-raw.qcow2 inner.qcow2 -F raw
"$cat" in/as-raw.qcow2 > got.raw
head -c 3 got.raw | grep -qx QFI || fail "raw was probed"
qemu-img create -q -f qcow2 -o data_file=out/data.raw,preallocation=metadata \
  in/data.qcow2 1M
refused in/data.qcow2 "no such file"
qemu-img create -q -f qcow2 \
  -o data_file=/dev/shm/xrayfs-test.$$,preallocation=metadata in/shm.qcow2 1M
rm -f /dev/shm/xrayfs-test.$$
refused in/shm.qcow2 "a device is refused"

# An empty file is a disk of no bytes if it is said to be raw, else no image.
: > in/nothing.raw
make in/on-nothing.qcow2 nothing.raw -F raw
opened in/on-nothing.qcow2
assert_equal "on an empty file" "$(stat -c %s got.raw)" 1048576
cmp -n 1048576 got.raw /dev/zero || fail "an empty backing file is not zeros"
assert_equal "check" "$("$cat" --check in/on-nothing.qcow2 | head -1)" errors=0
"$cat" in/nothing.raw 2> said && fail "an empty image was opened"
grep -q "the file is empty" said || fail "said $(< said)"

# --- where else references may lead ------------------------------------------------
mkdir more
qemu-img create -q -f raw more/extra.raw 1M
qemu-io -f raw -c 'write -P 65 0 1M' more/extra.raw > io.log
qemu-img create -q -f qcow2 -b "$PWD/more/extra.raw" -F raw in/far.qcow2 1M
make in/near.qcow2 ../more/extra.raw -F raw
ln -s ../more/extra.raw in/link-more
make in/linked.qcow2 link-more -F raw
qemu-img create -q -f qcow2 -b "$PWD/in/base.raw" -F raw more/back.qcow2 1M
qemu-img create -q -f qcow2 -b extra.raw -F raw more/sibling.qcow2 1M
make in/via.qcow2 "$PWD/more/back.qcow2" -F qcow2
make in/both.qcow2 ../more/sibling.qcow2 -F qcow2
make in/dots.qcow2 "$PWD/more/../out/secret.raw" -F raw
for i in far near linked via both; do
  "$XRAYFS" cat in/$i.qcow2 disk > /dev/null 2>&1 && fail "$i: was read"
  "$XRAYFS" cat -o follow=more in/$i.qcow2 disk > got.raw || fail "$i: follow"
  qemu-img convert -O raw in/$i.qcow2 want.raw
  cmp got.raw want.raw || fail "$i: follow: contents differ"
done
assert_equal "chain" "$("$XRAYFS" cat -o follow="$PWD/more" in/both.qcow2 \
  image/backing_chain)" "$PWD/more/sibling.qcow2
$PWD/more/extra.raw"
for i in 1 dots; do
  "$XRAYFS" cat -o follow=more in/$i.qcow2 disk > /dev/null 2>&1 &&
    fail "$i: was read"
done
"$XRAYFS" cat -o follow=nowhere in/far.qcow2 format > got 2>&1 &&
  fail "follow=nowhere"
grep -q "follow=nowhere: No such file" got || fail "$(cat got)"
assert_equal "bad -o" "$("$XRAYFS" ls -o fallow=x in/far.qcow2 2>&1)" \
  "xrayfs: ls: -o takes follow=DIR (see xrayfs -h)"
