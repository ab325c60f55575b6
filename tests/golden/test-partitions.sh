#!/usr/bin/env bash
# Partition tables made by sfdisk, and some that no tool would make: the same
# partitions as sfdisk lists, the same superblocks as blkid finds, and a note
# where something is odd.
# shellcheck source=tests/functions.sh
. "${srcdir:-.}/tests/functions.sh"

requires sfdisk fdisk blkid python3
info=$(tool volume-info)
[ -x "$info" ] || skip "volume-info is not built"
img=$tmp/disk

cat > "$tmp/compare.py" << 'EOF'
# compare.py TOOL IMAGE SECTOR: volume-info against sfdisk -J and blkid -p
import json, re, subprocess, sys
tool, image, sector = sys.argv[1:]

def run(*args):
    return subprocess.run(args, capture_output=True).stdout.decode()

def pairs(text):
    return dict(line.partition('=')[::2] for line in text.splitlines())

def same(key, have, want):
    if (have or None) != (want or None):
        sys.exit('%s: %r, wanted %r' % (key, have, want))

def blkid(prefix, *args):
    found = pairs(run('blkid', '-p', '-o', 'export', *args, image))
    for key in ('TYPE', 'USAGE', 'UUID', 'VERSION', 'LABEL'):
        want = found.get(key, 'none' if key == 'TYPE' else None)
        same(prefix + key, got.get(prefix + key),
             want and want.replace('\\', ''))
    return found

got = pairs(run(tool, '-d', image))
disk = blkid('disk.')
def fdisk():
    # sfdisk has no way to say the sector size before 2.39; fdisk does.
    lines = run('fdisk', '-b', sector, '-l', '-o',
                'Device,Start,Sectors,Type-UUID,UUID', image).splitlines()
    parts = []
    for line in lines:
        if line.startswith(image) and ':' not in line:
            node, start, size, kind, uuid = line.split()
            parts.append({'node': node, 'start': int(start), 'type': kind,
                          'size': int(size), 'uuid': uuid})
    ids = [l.split()[-1] for l in lines if l.startswith('Disk identifier')]
    return {'label': 'gpt', 'id': ids[0], 'partitions': parts}

table = fdisk() if sector != '512' else json.loads(
    run('sfdisk', '-J', image) or '{}').get('partitiontable')
# sfdisk takes the boot sector of a FAT for a table.
if not table or (disk.get('TYPE') and not disk.get('PTTYPE')):
    same('table', got['table'], disk.get('PTTYPE') or
         ('none' if disk.get('TYPE') else 'unpartitioned'))
    sys.exit(0)
same('table', got['table'], table['label'])
same('sector_size', got['sector_size'], sector)
# sfdisk makes an id of zeros for a table that has no entry (exFAT).
same('id', got.get('id') or '00000000', re.sub('^0x', '', table['id']).lower())
parts = table.get('partitions', [])
# An empty table on a filesystem (exFAT): we show that as partition 0.
same('partitions', got['partitions'], str(len(parts) or (1 if disk.get('TYPE') else 0)))
for p in parts:
    n = re.search('[0-9]+$', p['node'][len(image):]).group() + '.'
    start, size = (p[k] * int(sector) for k in ('start', 'size'))
    same(n + 'start', got.get(n + 'start'), str(start))
    same(n + 'size', got[n + 'size'], str(size))
    same(n + 'type', got[n + 'type'],
         p['type'].lower() if '-' in p['type'] else '0x' + p['type'])
    if sector == '512':
        same(n + 'name', got.get(n + 'name'), p.get('name'))
    if 'uuid' in p:
        same(n + 'uuid', got[n + 'uuid'], p['uuid'].lower())
    bootable = p.get('bootable') or 'LegacyBIOSBootable' in p.get('attrs', '')
    same(n + 'bootable', got[n + 'bootable'], 'yes' if bootable else 'no')
    if n + 'extended' not in got and start + size <= int(got['size']):
        blkid(n, '-O', str(start), '-S', str(size))
EOF

# disk SIZE < SCRIPT
disk ()
{
  rm -f "$img"
  truncate -s "$1" "$img"
  sfdisk -q --no-reread --no-tell-kernel "$img" > "$tmp/log" 2>&1 ||
    fail "sfdisk: $(cat "$tmp/log")"
}

# same WHAT [SECTOR]
same ()
{
  python3 "$tmp/compare.py" "$info" "$img" "${2:-512}" || fail "$1"
}

has () { "$info" "$img" | grep -q -- "$2" || fail "$1: no '$2'"; }
has_not () { ! "$info" "$img" | grep -q -- "$2" || fail "$1: has '$2'"; }

# patch OFFSET PYTHON-BYTES
patch ()
{
  python3 -c "f = open('$img', 'r+b'); f.seek($1); f.write($2)"
}

# --- dos

disk 100M << 'EOF'
label: dos
label-id: 0x1234abcd
size=10M, type=83
size=10M, type=82
size=10M, type=7, bootable
size=10M, type=ef
EOF
same "four primaries"
has "four primaries" '^3.type_name=NTFS'
has "four primaries" '^2.uuid=1234abcd-02$'
has_not "four primaries" '^note='

for position in 1 2 4; do
  {
    printf 'label: dos\n'
    for ((i = 1; i < position; i++)); do echo "$i: size=4M, type=83"; done
    echo "$position: size=90M, type=f"
    for i in 5 6 7 8 9 10 11 12 13 14 15; do
      echo "$i: size=4M, type=$([ $i = 9 ] && echo 8e || echo 83)"
    done
  } | disk 120M
  same "logical partitions, extended is $position"
  has "logical" "^$position.extended=yes$"
  has_not "logical" '^note='
done

disk 64M << 'EOF'
label: dos
EOF
same "empty dos"

disk 64M << 'EOF'
label: dos
start=2048, size=20M
size=20M
EOF
truncate -s 30M "$img"
has "beyond the end" '^2.beyond_end=yes$'
has "beyond the end" '^note=partition 2 reaches beyond the end'
has_not "beyond the end" '^1.beyond_end=yes$'

# A FreeBSD partition beyond the end: libblkid refuses the whole table.
disk 64M << 'EOF'
label: dos
start=2048, size=20M
size=20M, type=a5
EOF
truncate -s 30M "$img"
has "FreeBSD beyond the end" '^2.beyond_end=yes$'
has "FreeBSD beyond the end" '^1.size=20971520$'

# An EBR that points to itself, and two that point to each other.
disk 64M << 'EOF'
label: dos
1: size=4M
2: size=40M, type=5
5: size=4M
6: size=4M
EOF
same "before the loop"
start=$("$info" "$img" | sed -n 's/^2.start=//p')
next=$("$info" "$img" | sed -n 's/^6.start=//p')
patch "$((next - 1048576 + 462))" "b'\\0\\0\\0\\0\\x05\\0\\0\\0' + \
(($next - 1048576 - $start) // 512).to_bytes(4, 'little') + b'\\0\\x20\\0\\0'"
has "loop" '^note=the chain of logical partitions leads back to sector'
has "loop" '^partitions=4$'

# --- gpt

{
  printf 'label: gpt\n'
  printf 'size=1M, name="efi \303\244\303\266 \350\231\232\346\213\237", '
  printf 'type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n'
  for ((i = 2; i <= 128; i++)); do echo "size=1M, name=\"part $i\""; done
} | disk 200M
same "128 partitions"
has "128 partitions" '^1.type_name=EFI System$'
has_not "128 partitions" '^note='

disk 100M << 'EOF'
label: gpt
size=10M, type=21686148-6449-6E6F-744E-656564454649, attrs="LegacyBIOSBootable"
size=10M, attrs="RequiredPartition GUID:60,63"
start=100000, size=10M, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
5: size=5M, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
EOF
same "types and attributes"
has "attributes" '^1.flags=0x4$'
has "attributes" '^2.flags=0x9000000000000001$'

disk 100M << 'EOF'
label: gpt
EOF
same "empty gpt"

rm -f "$img"
truncate -s 200M "$img"
printf '%s\n' g n 1 '' +20M t 1 n 2 '' +40M w |
  fdisk -b 4096 "$img" > "$tmp/log" 2>&1 || fail "fdisk: $(cat "$tmp/log")"
same "gpt with sectors of 4096" 4096
has_not "gpt 4096" '^note='
patch 4096 "b'\\0' * 4096"
same "gpt 4096, the primary broken" 4096
has "gpt 4096" '^note=primary GPT is missing'

disk 100M << 'EOF'
label: gpt
size=20M
size=20M
EOF
cp "$img" "$tmp/good"
patch 446 "b'\\0\\0\\0\\0\\xee\\0\\0\\0\\1\\0\\0\\0\\xff\\7\\0\\0\
\\x80\\0\\0\\0\\x83\\0\\0\\0\\0\\x08\\0\\0\\0\\xa0\\0\\0'"
has "hybrid" '^note=hybrid MBR: 1 partition of'
same "hybrid"
cp "$tmp/good" "$img"
patch 458 "b'\\xff\\x1f\\0\\0'"
has "protective MBR" '^note=protective MBR covers 8191 sectors of 204799$'
cp "$tmp/good" "$img"
patch 600 "b'x'"
same "the primary GPT is broken"
has "broken primary" '^note=primary GPT is damaged: the backup'
truncate -s 90M "$img"
has "no GPT" '^table=PMBR$'
has "no GPT" '^note=protective MBR alone'
cp "$tmp/good" "$img"
truncate -s 200M "$img"
has "grown" '^note=backup GPT is said to be at LBA 204799, .* 409599$'
has "grown" '^note=backup GPT at the end of the disk is missing$'
has "grown" '^partitions=2$'

# The entries at an unusual place, an entry outside, too many entries.
gpt ()
{
  cp "$tmp/good" "$img"
  python3 - "$img" "$1" << 'EOF'
import struct, sys, zlib
f = open(sys.argv[1], 'r+b')
f.seek(512)
h = bytearray(f.read(512))
f.seek(1024)
array = bytearray(f.read(128 * 128))
lba, count = 2, 128
if sys.argv[2] == 'moved':
    lba = 1900
if sys.argv[2] == 'outside':
    struct.pack_into('<Q', array, 128 + 40, 1 << 40)
if sys.argv[2] == 'many':
    count = 1 << 24
f.seek(1024)
f.write(b'\0' * len(array))
f.seek(lba * 512)
f.write(array)
struct.pack_into('<QII', h, 72, lba, count, 128)
struct.pack_into('<I', h, 88, zlib.crc32(array))
struct.pack_into('<I', h, 16, 0)
struct.pack_into('<I', h, 16, zlib.crc32(h[:92]))
f.seek(512)
f.write(h)
EOF
}
gpt moved
has "entries elsewhere" '^partitions=2$'
gpt outside
has "an entry outside" '^note=entry 2 .* outside of the usable range'
has "an entry outside" '^partitions=1$'
has "an entry outside" '^note=backup GPT differs from the primary$'
gpt many
has "too many entries" '^error=GPT at LBA 1: 16777216 entries'

# --- large and bare disks

disk 3T << 'EOF'
label: gpt
size=1G, name=first
size=2900G, name="most"
name="rest", type=L
EOF
if command -v mkswap > /dev/null; then
  offset=$("$info" "$img" | sed -n 's/^3.start=//p')
  truncate -s 64M "$tmp/swap"
  mkswap -q -L far "$tmp/swap"
  dd if="$tmp/swap" of="$img" bs=4096 count=1 seek=$((offset / 4096)) \
     conv=notrunc status=none
  has "3 TiB" '^3.LABEL=far$'
fi
same "3 TiB"

# whole SIZE PROG ARG...: a file system on the bare disk
whole ()
{
  command -v "$2" > /dev/null || { note "no $2"; return 0; }
  rm -f "$img"
  truncate -s "$1" "$img"
  "${@:2}" "$img" > "$tmp/log" 2>&1 || fail "$2: $(cat "$tmp/log")"
  same "bare $2"
  has "bare $2" '^partitions=1$'
  has "bare $2" '^0.start=0$'
}
whole 64M mkfs.ext4 -q -L 'a label'
whole 64M mkswap -L swap
whole 64M mkfs.vfat -n FATLABEL
whole 300G mkfs.vfat -F 32 -n FARLABEL
whole 400M mkfs.xfs -q -L xfs
whole 200M mkfs.btrfs -q -L btrfs
whole 64M mkfs.ntfs -q -F -L ntfslabel
whole 64M mkfs.exfat -n exfatlabel
whole 64M mkudffs -l udflabel
whole 64M mke2fs -q -t ext2

# More than one superblock: blkid answers nothing, and we say why.
if command -v mkfs.ext4 > /dev/null; then
  rm -f "$img"
  truncate -s 64M "$img"
  mkfs.ext4 -q "$img"
  patch 0 "b'hsqs'.ljust(28, b'\\1') + b'\\4\\0\\0\\0'"
  status=0
  blkid -p "$img" > "$tmp/log" 2>&1 || status=$?
  assert_equal "blkid's status" $status 8
  "$info" -d "$img" > "$tmp/log"
  grep -q '^disk.TYPE=ambivalent$' "$tmp/log" || fail "ambivalent"
  grep -q '^disk.ambivalent=more than one type is there: .*squashfs' \
    "$tmp/log" || fail "ambivalent: not said"
  has "ambivalent" '^table=none$'
fi

truncate -s 0 "$img"
truncate -s 10M "$img"
same "nothing at all"
has "nothing at all" '^table=unpartitioned$'
