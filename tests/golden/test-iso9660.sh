#!/usr/bin/env bash
# ISO 9660: images of our own, and seeds of the fuzzer, as Linux shows them
# (a listing recorded once); trees through xorriso and genisoimage, compared
# with the trees; Joliet's names with isoinfo's.
. "${srcdir:-.}/tests/functions.sh"
requires python3

walk=$(tool fs-walk)
img=$tmp/img

listing () { "$walk" -l -t iso9660 "$img" > "$tmp/ours" || fail "$1: $(grep -a -m 3 error "$tmp/ours")"; }

recorded=$(sed -n 's/^=== //p' "$srcdir/tests/golden/iso9660-linux.txt")
for name in $recorded; do
  case $name in
    seed-*) python3 "$srcdir/tests/golden/xfs_image.py" expand \
      "$srcdir/fuzz/corpus/iso9660/${name#seed-}" "$img" ;;
    *) python3 "$srcdir/tests/golden/iso_image.py" "$name" "$img" ;;
  esac
  listing "$name"
  sed -n "/^=== $name\$/,/^=== /{/^===/d;p}" "$srcdir/tests/golden/iso9660-linux.txt" > "$tmp/wanted"
  cmp -s "$tmp/wanted" "$tmp/ours" ||
    fail "$name: $(diff "$tmp/wanted" "$tmp/ours" | cut -c -400 | head -n 4)"
  note "$name: $(wc -l < "$tmp/ours") files"
done

requires xorriso genisoimage isoinfo
[ "$(id -u)" = 0 ] || skip "only root can make devices"
mkdir "$tmp/src"
python3 - "$tmp/src" << 'EOF'
import os, random, stat, sys
os.chdir(sys.argv[1])
random.seed(1)
def write(name, data=b"x"):
    with open(name, "wb") as f:
        f.write(data)
for size in (0, 1, 2047, 2048, 2049, 70000):
    write("size-%d" % size, random.randbytes(size))
os.mkdir("names")
for name in ("n" * 200, "n" * 250, "sp ace", "UPPER.Case", "a.b.c.d", "\xe9" * 50, "-", ".hidden"):
    write("names/" + name)
os.symlink("t" * 240, "link-240")
os.symlink("/".join(["c" * 99] * 9), "link-long")
for name, target in (("root", "/"), ("abs", "/abs/../x/./y"), ("up", "../../up"), ("dot", ".")):
    os.symlink(target, "link-" + name)
os.mkfifo("fifo")
for i, (major, minor) in enumerate(((1, 3), (8, 255), (259, 7))):
    os.mknod("char-%d" % i, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    os.mknod("block-%d" % i, stat.S_IFBLK | 0o640, os.makedev(major, minor))
write("owner")
os.chown("owner", 1000, 4000000)
write("setuid")
os.chmod("setuid", 0o6751)
os.mkdir("sticky")
os.chmod("sticky", 0o1777)
deep = "deep"
for i in range(12):
    os.mkdir(deep)
    write(deep + "/file")
    deep += "/level-%d" % i
os.mkdir("large")
for i in range(1500):
    write("large/an-entry-%d" % i, b"")
for top, dirs, files in os.walk(".", topdown=False):
    for name in dirs + files:
        os.utime(top + "/" + name, (1500000000, 1500000000), follow_symlinks=False)
EOF

# What an ISO image holds of a file; where it is empty, nothing lies.
# genisoimage moves deep directories, and their parents count differently.
placeless () { sed -E 's/ (blocks|ino|nlink|atime|ctime|data)=[^ ]*//g; /^\/ /d' "$1"; }
"$walk" --posix "$tmp/src" > "$tmp/posix"
placeless "$tmp/posix" > "$tmp/wanted"

# tree NAME: the tree with all that Rock Ridge has
tree ()
{
  listing "$1"
  placeless "$tmp/ours" | grep -v '^/rr_moved ' > "$tmp/got"
  cmp -s "$tmp/wanted" "$tmp/got" ||
    fail "$1: $(diff "$tmp/wanted" "$tmp/got" | cut -c -400 | head -n 4)"
  note "$1: $(wc -l < "$tmp/got") files"
}

xorriso -as mkisofs -quiet -R -o "$img" "$tmp/src" 2> /dev/null
tree xorriso
assert_equal features "$("$walk" --info -t iso9660 "$img" | tail -n 1)" features=rock-ridge
assert_equal check "$("$walk" --check -t iso9660 "$img")" ok
xorriso -as mkisofs -quiet -R -J -joliet-long -o "$img" "$tmp/src" 2> /dev/null
tree xorriso-joliet
xorriso -outdev "stdio:$img" -blank all -map "$tmp/src" / -set_filter_r --zisofs / -- \
  > "$tmp/log" 2>&1 || fail "zisofs: $(tail -n 3 "$tmp/log")"
tree zisofs
# genisoimage counts the bytes of long links modulo 256.
rm "$tmp/src/link-long"
sed -i '/^\/link-long /d' "$tmp/wanted"
for options in -R '-R -J -joliet-long' '-R -D'; do
  # shellcheck disable=SC2086
  timeout 20 genisoimage -quiet $options -o "$img" "$tmp/src" 2> /dev/null \
    || { note "genisoimage $options: it cannot"; continue; }
  tree "genisoimage $options"
done

# Size and blocks as isoinfo has them.
size=$(isoinfo -d -i "$img" | sed -n 's/^Volume size is: //p')
assert_equal size "$("$walk" --info -t iso9660 "$img" | head -n 1)" "size=$((size * 2048))"

# isoinfo prints ASCII alone.
rm -r "$tmp/src/names/"*nnn* "$tmp/src/names/"*é* "$tmp/src/deep"
xorriso -as mkisofs -quiet --norock -J -joliet-long -o "$img" "$tmp/src" 2> /dev/null
listing joliet
isoinfo -J -f -i "$img" | sed 's/;1$//' | sort > "$tmp/wanted"
cut -d ' ' -f 1 "$tmp/ours" | grep -v '^/$' | sed 's/\\x20/ /g' | sort > "$tmp/got"
cmp "$tmp/wanted" "$tmp/got" || fail "joliet: $(diff "$tmp/wanted" "$tmp/got" | head -n 4)"
note "joliet: $(wc -l < "$tmp/got") names"
