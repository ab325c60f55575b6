#!/usr/bin/env bash
# What libblkid says through a spool is what blkid said of the real files:
# every image of the corpus that has facts about its table or its superblock.
# volume-info gets raw bytes, in whatever container the program can read.
# shellcheck source=tests/functions.sh
. "${srcdir:-.}/tests/functions.sh"
takes_long

requires python3 blkid
requires_corpus
images=${XRAYFS_CORPUS_IMAGES:-$cache_dir/corpus}
[ -n "${XRAYFS_CORPUS_IMAGES:-}" ] || "$corpus_dir/unpack" "$images"
[ -x "$(tool volume-info)" ] || skip "volume-info is not built"

python3 - "$corpus_dir/manifest.json" "$images" "$(tool volume-info)" << 'EOF'
import json, os, re, subprocess, sys

manifest, images, tool = sys.argv[1:]

# Where an answer is known to differ, and why.  Keep this short.
exceptions = {
    'util-linux/images-pt/dos+bsd.img':
        'sfdisk lists no BSD slices; kernels and libblkid do (5, 6)',
    'util-linux/images-pt/sun.img':
        'sfdisk lists the slice that is the whole disk; libblkid does not',
    'syzkaller/squashfs/squashfs_7.img':
        'libblkid does not look at 1024 bytes or less; unsquashfs does',
    'syzkaller/squashfs/squashfs_9.img': 'likewise',
}

def info(path):
    out = subprocess.run([tool, '-d', path], capture_output=True)
    got, notes = {}, []
    for line in out.stdout.decode(errors='surrogateescape').splitlines():
        key, _, value = line.partition('=')
        if key == 'note':
            notes.append(value)
        got[key] = value
    if out.returncode not in (0, 1):
        got['crash'] = str(out.returncode) + out.stderr.decode()
    return got

def unsafe(value):
    # What `blkid -o export` does to a value (cat -v and backslashes), undone;
    # volume-info prints the bytes, as `blkid -o value` does.
    def byte(m):
        c = ord(m.group(3))
        c = c ^ 0x40 if m.group(2) else c
        return bytes([c | (0x80 if m.group(1) else 0)])
    out = re.sub(rb'(M-)(\^?)(.)|()(\^)(.)',
                 lambda m: byte(m) if m.group(1) else
                 bytes([ord(m.group(6)) ^ 0x40]),
                 value.replace('\\', '').encode(errors='surrogateescape'))
    return out.decode(errors='surrogateescape')

def whole(got, facts, differ):
    want = facts.get('whole_disk_blkid') or {}
    for key in ('TYPE', 'USAGE', 'UUID', 'VERSION', 'LABEL'):
        differ(key, got.get('disk.' + key),
               want.get(key, 'none' if key == 'TYPE' else None))
    table = want.get('PTTYPE') or ('none' if want.get('TYPE')
                                   else 'unpartitioned')
    differ('table', got.get('table'), table)
    differ('id', got.get('id'), want.get('PTUUID'))

def partitions(got, facts, differ):
    n = 0
    for p in facts.get('partitions', ()):
        n += 1
        def part(key, name=None, ignore_case=False):
            want = p.get(name or key)
            have = got.get('%d.%s' % (p['index'], key))
            if ignore_case:
                want, have = want and want.lower(), have and have.lower()
            if want is not None:
                differ('%d.%s' % (p['index'], key), have, str(want))
        part('start')
        part('size')
        part('uuid', ignore_case=True)
        part('name')
        part('UUID', 'fs_uuid')
        part('LABEL', 'label')
        want = p['type'].lower()
        differ('%d.type' % p['index'], got.get('%d.type' % p['index']),
               want if '-' in want else '0x' + want)
        if p.get('fstype'):
            part('TYPE', 'fstype')
    if facts.get('partition_table') and n:
        differ('partitions', got.get('partitions'), str(n))

checked = equal = excepted = unread = 0
bad = []
for image in json.load(open(manifest)):
    facts, path = image['facts'], os.path.join(images, image['id'])
    # A lost extent is what another test looks at.
    if (image['kind'] != 'image' or not os.path.exists(path) or
            'missing' in image['expectation']):
        continue
    got = info(path)
    if got.get('format') != facts.get('format'):
        unread += 1
        continue
    checked += 1
    differences = []
    def differ(key, have, want):
        if (have or None) != (want or None) and \
           (have or '') != unsafe(want or ''):
            differences.append('%s: %r, blkid %r' % (key, have, want))
    if 'crash' in got:
        differences.append(got['crash'])
    for key in got:
        if key.endswith('error'):
            differences.append(key + ': ' + got[key])
    if 'whole_disk_blkid' in facts or facts['format'] == 'raw':
        whole(got, facts, differ)
    partitions(got, facts, differ)
    if not differences:
        equal += 1
    elif image['id'] in exceptions:
        excepted += 1
        print('exception:', image['id'] + ':', exceptions[image['id']])
        for d in differences:
            print('    ' + d)
    else:
        bad.append((image['id'], differences))
for name, differences in bad:
    print('differs:', name)
    for d in differences:
        print('    ' + d)
print('%d checked, %d equal, %d excepted, %d differ; %d in containers not'
      ' read' % (checked, equal, excepted, len(bad), unread))
sys.exit(1 if bad or checked == 0 else 0)
EOF
