#!/usr/bin/env bash
# A tree of everything that is hard, in squashfs with many options: the same
# listing through src/fs as through the kernel.
. "${srcdir:-.}/tests/functions.sh"
takes_long
requires mksquashfs unsquashfs mkfs.xfs losetup python3 mount
[ "$(id -u)" = 0 ] || skip "only root can mount"

walk=$(tool fs-walk)
mnt=$tmp/mnt src=$tmp/src img=$tmp/img
mkdir "$mnt" "$src"
at_exit "umount '$src' 2> /dev/null"
at_exit "umount '$mnt' 2> /dev/null"

# XFS holds attributes of any size.  Files of terabytes are left out, since
# mksquashfs reads their holes, and so is a path of more than 4096 bytes.
truncate -s 400M "$tmp/source"
mkfs.xfs -q -f "$tmp/source"
mount -o loop "$tmp/source" "$src" 2> /dev/null || skip "no loop devices here"
LARGE=1000 python3 "$srcdir/tests/golden/torture-tree.py" "$src" 4096 2> "$tmp/log" ||
  fail "no tree: $(tail -n 3 "$tmp/log")"
rm -r "$src"/far-* "$src/deep"
python3 - "$src" << 'EOF'
import os, random, sys
os.chdir(sys.argv[1])
random.seed(2)
with open("blocks", "wb") as f:  # more than a metadata block of sizes
    f.write(random.randbytes(10000 * 1000))
with open("holes-between", "wb") as f:
    for i in range(10):
        f.seek(i * 3 << 20)
        f.write(random.randbytes(1 << 17))
    f.truncate(32 << 20)
with open("hole-only", "wb") as f:
    f.truncate(40 << 20)
with open("compressible", "wb") as f:
    f.write(b"a line of text\n" * 100000)
for i in range(40):  # values that are stored once
    open("shared-%d" % i, "w").close()
    os.setxattr("shared-%d" % i, "user.shared", b"v" * 200)
    os.setxattr("shared-%d" % i, "trusted.own", b"%d" % i)
for i in range(1, 300):
    with open("tail-%d" % i, "wb") as f:
        f.write(random.randbytes(i * 37))
EOF

# What unsquashfs says of the superblock.
check_info ()
{
  local said got export=' '
  said=$(unsquashfs -s "$img")
  number () { sed -n "s/^$1 \([0-9]*\).*/\1/p" <<< "$said"; }
  got="$("$walk" --info -t squashfs "$img" | tail -n +3 | tr '\n' ' ')"
  grep -q 'is exportable' <<< "$said" && export=' export '
  [[ $got = "free=0 inodes=$(number 'Number of inodes') inodes_free=0 block_size=$(number 'Block size') state=clean features=$(sed -n 's/^Compression //p' <<< "$said")"*"$export"* ]] ||
    fail "$1: info: $got"
}

# check NAME OPTIONS...: where the kernel lacks the compression, the tree must
# be that of the options before.
check ()
{
  local name=$1
  shift
  rm -f "$img"
  mksquashfs "$src" "$img" -noappend -quiet -no-progress "$@" > "$tmp/log" 2>&1 ||
    fail "$name: $(tail -n 1 "$tmp/log")"
  truncate -s %4096 "$img" # -nopad: loop devices have whole sectors
  if mount -t squashfs -o ro,loop "$img" "$mnt" 2> "$tmp/log"; then
    "$walk" --posix "$mnt" > "$tmp/wanted"
    umount "$mnt"
  else
    [ -s "$tmp/wanted" ] || skip "no squashfs here"
    note "$name: not in this kernel"
  fi
  "$walk" -l -t squashfs "$img" > "$tmp/ours" || fail "$name: $(grep -a -m 3 error "$tmp/ours")"
  cmp -s "$tmp/wanted" "$tmp/ours" ||
    fail "$name: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -400 | head -n 4)"
  check_info "$name"
  note "$name: $(wc -l < "$tmp/ours") files"
}

check default
check lzma -comp lzma -no-exports
check lzo -comp lzo -no-duplicates
check lz4 -comp lz4 -Xhc -no-fragments
check xz -comp xz -Xbcj x86 -Xdict-size 50%
check 1m -comp zstd -b 1M -tailends
check 4k -comp zstd -b 4096
check plain -noI -noD -noF -noX -noId
check plain-data -noD -b 64k -no-sparse
check no-xattrs -no-xattrs -all-root -nopad
