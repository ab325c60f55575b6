#!/usr/bin/env python3
"""Makes the Linux guests of a table and compares what is said of each.

  linux_guests.py check XRAYFS TABLE DIR [--every N] [--only NAME] [--keep]
  linux_guests.py list TABLE      the guests and the answers, as Markdown

A row of the table is a family or a guest with keys (see tests/guests/
linux.table), and below it the findings that it must have.
"""
import json
import os
import shutil
import subprocess
import sys

from linux_disks import CannotMake, make_disk
from linux_trees import expand, make_tree, wants

POLICY = 'import/tencent-cvm-2019'
CODES = ['InvalidUrl', 'InvalidFormatSize', 'VirtioNotInstall',
         'PartitionNotPresent', 'CloudInitNotInstalled',
         'RootPartitionNotFound', 'InternalError']
DRIVERS = ['blk', 'net', 'pci', 'ring', 'core', 'scsi']
OTHERS = ['console', 'balloon', 'rng']
FRAGMENT_KEYS = ('os', 'net', 'loader', 'fstab', 'ssh', 'udev', 'more', 'ci')
# What every guest's row, its families or fragments have to say.
REQUIRED = (
    ['os/' + name for name in (
        'family', 'id', 'name', 'version', 'variant', 'arch', 'init',
        'root_filesystem', 'firmware', 'bootloader', 'default_kernel',
        'kernels', 'cmdline', 'fstab', 'packages_format', 'conflicts',
        'others', 'network/interfaces', 'network/dhcp', 'network/eth0',
        'network/ipv6')] +
    ['has_virtio', 'cloud_init', 'cloud_init_info/installed',
     'cloud_init_info/enabled'] +
    ['virtio/' + d for d in DRIVERS + OTHERS] +
    ['%s/%s' % (POLICY, name) for name in ('verdict', 'errors', 'warnings')] +
    ['%s/codes/%s' % (POLICY, code) for code in CODES])


# --- the table and the fragments ------------------------------------------

def shorthand(word, value):
    """What a line "WORD VALUE" expects, if it is short for several."""
    if word == 'virtio':
        has, where = value.split()
        rest = where if where in ('missing', 'unknown') else 'module'
        return {'has_virtio': has,
                **{'virtio/' + d: where for d in DRIVERS},
                **{'virtio/' + d: rest for d in OTHERS}}
    if word == 'cloud':
        installed, enabled, runs = {
            'runs': ('yes', 'yes', 'yes'), 'off': ('yes', 'no', 'no'),
            'none': ('no', 'no', 'no'),
            'unsure': ('yes', 'unknown', 'unknown'),
            'unknown': ('unknown', 'unknown', 'unknown')}[value]
        return {'cloud_init': runs, 'cloud_init_info/installed': installed,
                'cloud_init_info/enabled': enabled}
    if word == 'verdict':
        verdict, *codes = value.split()
        wanted = {'%s/codes/%s' % (POLICY, c): 'ok' for c in CODES}
        wanted['%s/codes/InvalidUrl' % POLICY] = 'n/a'
        for code in codes:
            wanted['%s/codes/%s' % (POLICY, code.lstrip('?'))] = \
                'unknown' if code.startswith('?') else 'fail'
        wanted.pop('%s/codes/none' % POLICY, None)
        errors = [c for c in codes if not c.startswith('?')]
        return {POLICY + '/verdict': verdict,
                POLICY + '/errors': ', '.join(errors) or '-', **wanted}
    if word == 'warn':
        return {POLICY + '/warnings': value}
    return {word.replace('$p', POLICY): value}


def expectation(line, wanted):
    word, _, value = line.strip().partition(' ')
    wanted.update(shorthand(word, value))


def fragments(directory):
    """Of all *.tree: the expectations and the files of each "== NAME"."""
    files, wanted = {}, {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith('.tree'):
            continue
        current = path = None
        for line in open(os.path.join(directory, name), encoding='utf-8'):
            if line.startswith(';;'):
                continue
            if line.startswith('== '):
                current, path = line[3:].strip(), None
                if current in files:
                    raise SystemExit('%s is there twice' % current)
                files[current], wanted[current] = {}, {}
            elif line.startswith('-- '):
                path = line[3:].strip()
                files[current][path] = ''
            elif path:
                files[current][path] += line
            elif current and line.startswith(' '):
                expectation(line, wanted[current])
    for one in files.values():
        for path, text in one.items():
            one[path] = include(text, files)
    return files, wanted


def include(text, files):
    """A line "%NAME" is the text of the fragment NAME."""
    return ''.join(files[line[1:].strip()]['.'] if line.startswith('%')
                   else line for line in text.splitlines(True))


def parse(path):
    """The guests: (name, keys, expectations), later ones win; warnings."""
    families, guests, warnings, wanted = {}, [], {}, None
    for line in open(path, encoding='utf-8'):
        line = line.rstrip('\n')
        if not line or line.startswith('#'):
            continue
        if line.startswith(' '):
            expectation(line, wanted)
            continue
        kind, name, *words = line.split()
        if kind == 'warning':
            warnings[name] = ' '.join(words)
            continue
        keys, wanted = {}, {}
        for word in words:
            key, eq, value = word.partition('=')
            if not eq:
                inherited, expected = families[key]
                keys.update(inherited)
                wanted.update(expected)
            else:
                keys[key] = value
        if kind == 'family':
            families[name] = keys, wanted
        else:
            guests.append((name, dict(keys, name=name), wanted))
    return guests, warnings


def read_table(path):
    """Guests with all that their fragments expect; fragments' files."""
    guests, warnings = parse(path)
    files, expected = fragments(os.path.join(os.path.dirname(path), 'linux'))
    whole = []
    for name, k, wanted in guests:
        base = {}
        for key in FRAGMENT_KEYS:
            for fragment in [f for f in k.get(key, '').split(',') if f]:
                if key != 'ci' or wants(k, 'cloud'):
                    base.update(expected[fragment])
        base.update(wanted)
        missing = [path for path in REQUIRED if path not in base]
        if missing:
            raise SystemExit('%s: nothing is expected of %s' %
                             (name, ', '.join(missing)))
        k.setdefault('iext', k['ext'])
        whole.append((name, k, base))
    return whole, warnings, files


# --- the comparison -------------------------------------------------------

def value_at(report, path):
    for name in path.split('/'):
        report = report[name]
    if isinstance(report, dict):
        report = sorted(report)
    if isinstance(report, list):
        return ', '.join(report) or '-'
    return str(report) or '-'


def got(xrayfs, image, report, path):
    if path.startswith('evidence/'):
        return subprocess.run([xrayfs, 'cat', image, path], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
    return value_at(report, path)


def matches(value, wanted):
    if wanted.startswith('~'):
        return wanted[1:] in value
    if wanted.startswith('!'):
        return wanted[1:] not in value
    return value == wanted


def warning_texts(ids, warnings, wanted, k):
    if ids == '-':
        return '-'
    return ', '.join(expand(warnings[i].replace('$ID', wanted['os/id']), k)
                     for i in ids.split(', '))


def check(xrayfs, name, image, k, wanted, warnings):
    report = json.loads(subprocess.run(
        [xrayfs, 'report', '--format', 'json', image], check=True,
        stdout=subprocess.PIPE).stdout)
    failed = 0
    for path, value in wanted.items():
        if path.endswith('/warnings'):
            value = warning_texts(value, warnings, wanted, k)
        value = expand(value, k)
        path = expand(path, k)
        if path == 'os/kernels':
            value = ', '.join(sorted(value.split(', ')))
        try:
            is_value = got(xrayfs, image, report, path)
        except KeyError:
            is_value = '(not there)'
        if not matches(is_value, value):
            print("%s: %s is '%s', not '%s'" % (name, path, is_value, value))
            failed += 1
    return failed


def check_all(xrayfs, table, tmp, every=1, only=None, keep=False):
    guests, warnings, files = read_table(table)
    failed = done = skipped = 0
    for number, (name, k, wanted) in enumerate(guests):
        if only != name if only else number % every:
            continue
        work = os.path.join(tmp, 'guest')
        os.makedirs(work)
        tree = make_tree(os.path.join(work, 'root'), k, files)
        try:
            image = make_disk(work, tree, k)
            failed += check(xrayfs, name, image, k, wanted, warnings)
            done += 1
        except CannotMake as why:
            print('%s: left out: %s' % (name, why))
            skipped += 1
        if not keep:
            shutil.rmtree(work)
    print('%d of %d guests, %d left out' % (done, len(guests), skipped))
    return failed


# --- the list -------------------------------------------------------------

INTRODUCTION = '''# Linux guests, and what xrayfs says of them

Made by `tests/golden/linux_guests.py list tests/guests/linux.table`; do not
edit.  Each row is a guest that the test suite builds as a disk (a described
tree: layout, configurations and package databases of the distribution, with
an initramfs packed by cpio and the real compressors), and whose answers it
compares: these, and all others of `os/`, `virtio/`, `cloud_init_info/` and
`import/tencent-cvm-2019/`.  It is no proof that the guest boots: for that see
tests/boot.  Where a kernel has its virtio drivers is the row's description,
and no claim about every build of such a kernel.

*Disk* is the order of the partitions, with the root filesystem's type.
*Virtio* is where the default kernel has virtio_blk at boot; *initramfs* is
how it is compressed.
'''


def disk_of(k):
    fs = k['fs']
    if 'subvols' in k:
        fs += ' subvolumes'
    return k['disk'].replace(',', '+') + ' ' + fs


def row_of(name, k, w):
    verdict = w[POLICY + '/verdict']
    if w[POLICY + '/errors'] != '-':
        verdict += ': ' + w[POLICY + '/errors']
    warnings = w[POLICY + '/warnings'].replace(', ', ' ')
    comp = k['comp'] + (' (early microcode)' if wants(k, 'microcode') else '')
    if k['comp'] == 'absent' or 'noinitrd' in k['loader']:
        comp = '-'
    return [name, w['os/name'], w['os/arch'], disk_of(k), w['os/bootloader'],
            expand(w['os/default_kernel'], k), comp, w['has_virtio'],
            w['virtio/blk'], w['cloud_init'], verdict, warnings]


def list_guests(table):
    guests, warnings, _ = read_table(table)
    head = ['guest', 'system', 'arch', 'disk', 'boot loader',
            'default kernel', 'initramfs', 'has_virtio', 'virtio',
            'cloud_init', 'verdict', 'warnings']
    rows = [head, ['---'] * len(head)] + [row_of(*guest) for guest in guests]
    print(INTRODUCTION)
    print('%d guests.\n' % len(guests))
    for row in rows:
        print('| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) +
              ' |')
    print('\nThe warnings:\n')
    for name, text in sorted(warnings.items()):
        print('- `%s`: %s' % (name, text))


def main():
    command, *args = sys.argv[1:]
    if command == 'list':
        return list_guests(args[0])
    xrayfs, table, tmp, *more = args
    every = int(more[more.index('--every') + 1]) if '--every' in more else 1
    only = more[more.index('--only') + 1] if '--only' in more else None
    failed = check_all(xrayfs, table, tmp, every, only, '--keep' in more)
    return sys.exit(failed > 0)


main()
