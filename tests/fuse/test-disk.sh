#!/usr/bin/env bash
# disk through the mount: the bytes that qemu-img convert gives, with readers
# in sequence and at random at once; a second read comes from the page cache;
# interrupted readers, and an unmount while data are being decoded ahead; and
# it can be a loop device.
# shellcheck disable=SC1091,SC2119,SC2154
. "${srcdir:-.}/tests/functions.sh"
requires qemu-img python3 cmp timeout
. "$srcdir/tests/fuse/processes.sh"

# 48 MiB that compress, with a MiB here and there that does not.
python3 - "$tmp/want.raw" << 'EOF'
import random, sys
random.seed(4)
with open(sys.argv[1], "wb") as f:
    for i in range(48):
        f.write(random.randbytes(1 << 20) if i % 7 == 3 else
                b"".join(b"line %d of %d\n" % (j, i) for j in range(90000))[:1 << 20])
EOF
printf '16M,8M,L\n' | sfdisk -q "$tmp/want.raw" 2> /dev/null || note "no partition table: no sfdisk"

make ()
{
  case $1 in
    raw) cp "$tmp/want.raw" "$tmp/disk.raw" ;;
    qcow2 | vmdk | vdi | vhdx) qemu-img convert -f raw -O "$1" "$tmp/want.raw" "$tmp/disk.$1" ;;
    vhd) qemu-img convert -f raw -O vpc -o force_size=on "$tmp/want.raw" "$tmp/disk.$1" ;;
    zlib | zstd) qemu-img convert -f raw -c -O qcow2 -o "compression_type=$1" "$tmp/want.raw" "$tmp/disk.$1" ;;
    zlib2M) qemu-img convert -f raw -c -O qcow2 -o cluster_size=2M "$tmp/want.raw" "$tmp/disk.$1" ;;
    streamOptimized) qemu-img convert -f raw -O vmdk -o subformat="$1" "$tmp/want.raw" "$tmp/disk.$1" ;;
  esac
}

unmount () { fusermount3 -u "$mnt"; await "unmount" ended; }
bytes_read () { cat "$mnt/image/bytes_read"; }
block_cat=$(tool block-cat)
at_random () { "$block_cat" --random "$1" 60 "$tmp/want.raw" --threads 3 "$mnt/disk"; }

# The kernel may still be reading ahead for others, and may drop a page of a
# file at any time: so once is enough.
comes_from_cache ()
{
  local before after
  before=$(bytes_read)
  for _ in 1 2 3 4 5; do
    cmp "$mnt/disk" "$tmp/want.raw" || fail "$format: a second read differs"
    after=$(bytes_read)
    [ "$before" != "$after" ] || return 0
    before=$after
  done
  return 1
}

readers ()
{
  local pids=() seed
  for seed in 1 2; do at_random $seed & pids+=($!); done
  cmp "$mnt/disk" "$tmp/want.raw" || fail "$1: differs"
  for p in "${pids[@]}"; do wait "$p" || fail "$1: random readers"; done
}

for format in raw qcow2 zlib zlib2M zstd vmdk streamOptimized vhd vdi vhdx; do
  make $format
  image=$tmp/disk.$format
  "$program" cat "$image" format > /dev/null 2>&1 || { note "$format: not read by this version"; continue; }
  note "$format"
  "$program" cat "$image" disk | cmp - "$tmp/want.raw" || fail "$format: cat differs"
  for o in readahead=0 readahead=2048 max_read=65536; do
    expect 0 mount_image -o "$o"
    readers "$format, $o"
    comes_from_cache || fail "$format: a second read is read from the image"
    unmount
  done
  rm "$image"
done

note "interrupted readers"
make zlib
image=$tmp/disk.zlib
mount_image -o readahead=0
for i in 1 2 3 4 5 6 7 8; do
  dd if="$mnt/disk" of="$tmp/part" bs=64k skip=$((i * 60)) status=none &
  reading () { [ -s "$tmp/part" ] || ! kill -0 $! 2> /dev/null; }
  await "a reader" reading
  kill -KILL $! 2> /dev/null || true
  wait $! 2> /dev/null || true
  rm -f "$tmp/part"
done
readers "after interrupts"
unmount

note "unmounted while it is read"
for i in 1 2 3 4 5; do
  mount_image -o readahead=0
  dd if="$mnt/disk" of="$tmp/part" bs=64k status=none 2> /dev/null &
  await "a reader" reading
  kill -TERM "$(guardian)"
  await "the end" ended
  wait $! || true
  cmp -n "$(stat -c %s "$tmp/part")" "$tmp/part" "$tmp/want.raw" || fail "wrong bytes before the end"
  rm -f "$tmp/part"
done

[ "$(id -u)" = 0 ] || { note "left out: only root can make a loop device"; exit 0; }
mount_image
if loop=$(losetup -r -f --show "$mnt/disk" 2> /dev/null); then
  at_exit "losetup -d $loop 2> /dev/null"
  note "as a loop device"
  cmp "$loop" "$tmp/want.raw" || fail "loop device differs"
  dd if="$loop" bs=64k skip=100 count=300 status=none |
    cmp - <(dd if="$tmp/want.raw" bs=64k skip=100 count=300 status=none) || fail "dd"
  if command -v fdisk > /dev/null; then
    assert_equal "fdisk -l" "$(fdisk -l -o Start,End,Type "$loop" 2>&1 | sed 1d)" \
      "$(fdisk -l -o Start,End,Type "$tmp/want.raw" 2>&1 | sed 1d)"
  fi
  losetup -d "$loop"
  gone () { ! losetup "$loop" > /dev/null 2>&1; }
  await "the loop device to go" gone
else
  note "left out: no loop devices here"
fi
unmount
