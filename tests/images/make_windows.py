#!/usr/bin/python3
# xrayfs: makes the image of a Windows from its description in tests/guests.
# Usage: make_windows.py OUT.img [LAYOUT] BASE OVERLAY...
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A description is a directory with any of
#   files         lines: dir PATH | rm PATH | pe MACHINE PATH | text WORD PATH
#                        | copy FILE PATH | hive FILE.reg PATH
#                        (the layout "uefi" has an EFI system partition, to
#                        which goes what is below /EFI)
#                        | unfinished CASE (SYSTEM was being written: the file
#                          has what the base says, its logs have the rest)
#   system.reg    merged into /Windows/System32/config/SYSTEM
#   software.reg  merged into .../SOFTWARE
# What a later one says overrides an earlier one. Needs root: FUSE mounts.
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
GUESTS = os.path.join(TESTS, 'guests')
sys.path.insert(0, os.path.join(TESTS, 'golden'))
import hive_logs  # noqa: E402

MACHINES = {'i386': 0x14c, 'x86_64': 0x8664, 'aarch64': 0xaa64}
CONFIG = '/Windows/System32/config'
MIB = 1 << 20
SECTOR = 512
SIZE = 8 * MIB  # of the NTFS


def minimal_hive():
    """A hive of one key, to which hivexregedit adds the others."""
    bins = bytearray(b'hbin' + struct.pack('<II', 0, 4096) + bytes(20))

    def cell(data):
        off = len(bins)
        size = (len(data) + 4 + 7) // 8 * 8
        bins.extend(struct.pack('<i', -size) + data)
        bins.extend(bytes(off + size - len(bins)))
        return off

    nowhere = 0xffffffff
    # A security descriptor that allows everything: no lists at all.
    descriptor = struct.pack('<BBHIIII', 1, 0, 0x8000, 0, 0, 0, 0)
    sk = cell(struct.pack('<2sHIIII', b'sk', 0, 0, 0, 1, len(descriptor))
              + descriptor)
    struct.pack_into('<II', bins, sk + 8, sk, sk)
    root = cell(struct.pack('<2sHQIIIIIIIIIIIIIIIHH', b'nk', 0x2c, 0, 0,
                            nowhere, 0, 0, nowhere, nowhere, 0, nowhere, sk,
                            nowhere, 0, 0, 0, 0, 0, 4, 0) + b'root')
    free = 4096 - len(bins)
    bins.extend(struct.pack('<i', free) + bytes(free - 4))
    head = bytearray(4096)
    struct.pack_into('<4sIIQIIIIIII', head, 0, b'regf', 1, 1, 0, 1, 5, 0, 1,
                     root, 4096, 1)
    total = 0
    for i in range(0, 508, 4):
        total ^= struct.unpack_from('<I', head, i)[0]
    struct.pack_into('<I', head, 508, total)
    return bytes(head + bins)


def with_parents(text):
    """hivexregedit makes no parents: says each of them before its child."""
    seen, out = set(), []
    for line in text.splitlines():
        if line.startswith('[\\') and line.endswith(']'):
            parts = line[2:-1].split('\\')
            out.append('')
            for n in range(1, len(parts)):
                parent = '\\'.join(parts[:n])
                if parent not in seen:
                    seen.add(parent)
                    out.append('[\\%s]\n' % parent)
            seen.add('\\'.join(parts))
        out.append(line)
    return '\n'.join(out) + '\n'


hives = {}  # by the texts they are made of


def make_hive(regs):
    if not regs:
        return minimal_hive()
    key = tuple(regs)
    if key not in hives:
        before = make_hive(regs[:-1])
        with tempfile.TemporaryDirectory() as tmp:
            hive, reg = os.path.join(tmp, 'hive'), os.path.join(tmp, 'reg')
            with open(hive, 'wb') as f:
                f.write(before)
            with open(reg, 'w', encoding='utf-8') as f:
                f.write(with_parents(regs[-1]))
            subprocess.run(['hivexregedit', '--merge', hive, reg], check=True)
            with open(hive, 'rb') as f:
                hives[key] = f.read()
    return hives[key]


def program(machine):
    """What a loader looks at first: DOS header, PE signature, machine."""
    p = bytearray(512)
    p[0:2] = b'MZ'
    struct.pack_into('<I', p, 60, 0x80)
    p[0x80:0x84] = b'PE\0\0'
    struct.pack_into('<H', p, 0x84, MACHINES[machine])
    return bytes(p)


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def describe(names):
    """The tree: path -> bytes; None: a directory."""
    tree, regs = {}, {'system': [], 'software': []}
    unfinished = None
    for name in names:
        where = os.path.join(GUESTS, name)
        for hive, texts in regs.items():
            reg = os.path.join(where, hive + '.reg')
            if os.path.exists(reg):
                texts.append(read(reg))
        files = os.path.join(where, 'files')
        for line in read(files).splitlines() if os.path.exists(files) else ():
            verb, rest = line.split(' ', 1)
            if verb == 'dir':
                tree[rest] = None
            elif verb == 'rm':
                del tree[rest]
            elif verb == 'unfinished':
                unfinished = rest
            else:
                arg, path = rest.split(' ', 1)
                tree[path] = (
                    program(arg) if verb == 'pe'
                    else arg.encode() if verb == 'text'
                    else make_hive([read(os.path.join(GUESTS, arg))])
                    if verb == 'hive'
                    else read(os.path.join(GUESTS, arg)).encode())
    system = make_hive(regs['system'])
    tree[CONFIG + '/SYSTEM'] = system
    if unfinished:
        before = make_hive(regs['system'][:1])
        for suffix, data in zip(('', '.LOG1', '.LOG2'), hive_logs.make(
                unfinished, before, before, system)):
            tree[CONFIG + '/SYSTEM' + suffix] = data
    tree.setdefault(CONFIG + '/SOFTWARE', make_hive(regs['software']))
    return tree


class Mounted:
    """An NTFS in a file, mounted by lowntfs-3g, names in any case.  What was
    written is in the file once the program has ended."""

    def __init__(self, image):
        self.image = image

    def __enter__(self):
        self.dir = tempfile.mkdtemp()
        self.server = subprocess.Popen(
            ['lowntfs-3g', '-o', 'ignore_case,no_detach', self.image, self.dir],
            stderr=subprocess.DEVNULL)
        while not os.path.ismount(self.dir):
            if self.server.poll() is not None:
                sys.exit('lowntfs-3g: status %d' % self.server.returncode)
            time.sleep(0.005)
        return self.dir

    def __exit__(self, *unused):
        subprocess.run(['umount', self.dir], check=True)
        self.server.wait()
        os.rmdir(self.dir)


def fill(where, tree):
    for path, data in tree.items():
        to = where + path
        os.makedirs(to if data is None else os.path.dirname(to),
                    exist_ok=True)
        if data is not None:
            with open(to, 'wb') as f:
                f.write(data)


# "two": the same Windows twice, and a store that starts the second.
LAYOUTS = {
    'two': 'label: dos\nlabel-id: 0x34333231\n2048,%d,7,*\n'
           f'{(SIZE + MIB) // SECTOR},{SIZE // SECTOR},7\n',
    'dos': 'label: dos\nlabel-id: 0x34333231\n2048,%d,7,*\n',
    'inactive': 'label: dos\nlabel-id: 0x34333231\n2048,%d,7\n',
    'dynamic': 'label: dos\nlabel-id: 0x34333231\n2048,%d,42,*\n',
    'no-code': 'label: dos\nlabel-id: 0x34333231\n2048,%d,7,*\n',
    'gpt': 'label: gpt\n2048,%d,EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n',
    'uefi': 'label: gpt\n2048,%d,EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n'
            f'{(SIZE + MIB) // SECTOR},{MIB // SECTOR},U\n',
}


def partition(out, layout):
    with open(out, 'wb') as f:
        f.truncate((2 if layout == 'two' else 1) * SIZE + 3 * MIB)
        # What a BIOS starts, as far as its looks go.
        if layout != 'no-code':
            f.write(b'\xfa\x33\xc0Missing operating system'.ljust(440, b'\x90'))
    subprocess.run(['sfdisk', '-q', '--no-reread', '--no-tell-kernel', out],
                   input=(LAYOUTS[layout] % (SIZE // SECTOR)).encode(),
                   check=True)


made = {}


def empty_ntfs(path):
    """The same one each time, made once."""
    if not made:
        with open(path, 'wb') as f:
            f.truncate(SIZE)
        subprocess.run(['mkntfs', '-F', '-q', '-Q', '-c', '4096', '-p', '2048',
                        '-H', '255', '-S', '63', path], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, 'rb') as f:
            made['ntfs'] = f.read()
    with open(path, 'wb') as f:
        f.write(made['ntfs'])


def make_fat(tmp, tree):
    fat, where = os.path.join(tmp, 'fat'), os.path.join(tmp, 'tree')
    fill(where, tree)
    with open(fat, 'wb') as f:
        f.truncate(MIB)
    subprocess.run(['mkfs.fat', fat], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['mcopy', '-s', '-i', fat, os.path.join(where, 'EFI'), '::'],
                   check=True)
    return fat


def put(part, out, at):
    with open(part, 'rb') as f, open(out, 'r+b') as to:
        to.seek(at)
        shutil.copyfileobj(f, to, MIB)


def make_image(out, names):
    """NAMES: a layout, which may be left out, and descriptions."""
    layout = names[0] if names[0] in LAYOUTS else 'dos'
    names = names[names[0] in LAYOUTS:]
    tree, esp = describe(names), None
    if layout == 'uefi':
        esp = {p: d for p, d in tree.items() if p.startswith('/EFI/')}
        tree = {p: d for p, d in tree.items() if p not in esp}
    partition(out, layout)
    with tempfile.TemporaryDirectory() as tmp:
        ntfs = os.path.join(tmp, 'ntfs')
        empty_ntfs(ntfs)
        with Mounted(ntfs) as where:
            fill(where, tree)
        put(ntfs, out, MIB)
        if layout == 'two':
            put(ntfs, out, SIZE + MIB)
        if esp:
            put(make_fat(tmp, esp), out, SIZE + MIB)


if __name__ == '__main__':
    make_image(sys.argv[1], sys.argv[2:])
