"""Disks of described Linux guests: filesystems, LVM, partitions, boot code.

A part of linux_guests.py.
"""
import os
import shutil
import struct
import subprocess

from linux_trees import BOOT_UUID, ESP_ID, Tree, uuid_of

MIB = 1 << 20
SECTOR = 512


class CannotMake(Exception):
    """What this machine cannot make, as Btrfs without loop devices."""


def run(*args, **more):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, **more)


# --- filesystems ----------------------------------------------------------

def xfs_prototype(top):
    """What mkfs.xfs -p makes the tree of."""
    out = ['/dev/null', '0 0', 'd--755 0 0']

    def walk(directory):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if os.path.islink(path):
                out.append('%s l--777 0 0 %s' % (name, os.readlink(path)))
            elif os.path.isdir(path):
                out.append('%s d--755 0 0' % name)
                walk(path)
                out.append('$')
            else:
                out.append('%s ---%03o 0 0 %s' % (
                    name, os.stat(path).st_mode & 0o777, path))
    walk(top)
    return '\n'.join(out + ['$', '$']) + '\n'


# Of the root filesystem: where root is, whether by the default subvolume,
# and the other subvolumes with where they are mounted.
SUBVOLUMES = {
    # YaST and the images of SUSE; /boot/grub2 has only GRUB's modules apart.
    'suse': ('@/.snapshots/1/snapshot', True, [
        ('@/.snapshots', '/.snapshots'),
        ('@/boot/grub2/i386-pc', '/boot/grub2/i386-pc'),
        ('@/boot/grub2/x86_64-efi', '/boot/grub2/x86_64-efi'),
        ('@/home', '/home'), ('@/opt', '/opt'), ('@/root', '/root'),
        ('@/srv', '/srv'), ('@/tmp', '/tmp'),
        ('@/usr/local', '/usr/local'), ('@/var', '/var')]),
    # Before 15 what must not be rolled back was taken out of /var piecemeal.
    'suse12': ('@/.snapshots/1/snapshot', True, [
        ('@/.snapshots', '/.snapshots'),
        ('@/boot/grub2/i386-pc', '/boot/grub2/i386-pc'),
        ('@/boot/grub2/x86_64-efi', '/boot/grub2/x86_64-efi'),
        ('@/home', '/home'), ('@/opt', '/opt'), ('@/srv', '/srv'),
        ('@/tmp', '/tmp'), ('@/usr/local', '/usr/local'),
        ('@/var/lib/pgsql', '/var/lib/pgsql'), ('@/var/log', '/var/log'),
        ('@/var/spool', '/var/spool'), ('@/var/tmp', '/var/tmp')]),
    'fedora': ('root', False, [('home', '/home')]),
    'ubuntu': ('@', False, [('@home', '/home')]),
    'debian': ('@rootfs', False, []),
}


def make_subvolume(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    run('btrfs', '-q', 'subvolume', 'create', path)


def fill_subvolumes(mnt, top, scheme):
    root, default, others = SUBVOLUMES[scheme]
    if root.startswith('@/'):
        make_subvolume(os.path.join(mnt, '@'))
    for name, _ in others[:1] if default else []:
        make_subvolume(os.path.join(mnt, name))  # root lies in it
    make_subvolume(os.path.join(mnt, root))
    run('cp', '-a', top + '/.', os.path.join(mnt, root))
    for name, point in others:
        whole = os.path.join(mnt, name)
        under = os.path.join(mnt, root + point)
        if not os.path.exists(whole):
            make_subvolume(whole)
        os.makedirs(under, exist_ok=True)
        for entry in os.listdir(under):
            run('mv', os.path.join(under, entry), whole)
    if default:
        run('btrfs', '-q', 'subvolume', 'set-default',
            os.path.join(mnt, root))


def btrfs_with_subvolumes(top, image, scheme, uuid):
    run('mkfs.btrfs', '-q', '-U', uuid, image)
    mnt = image + '.mnt'
    os.makedirs(mnt)
    if subprocess.run(['mount', '-o', 'loop', image, mnt],
                      stderr=subprocess.DEVNULL).returncode:
        raise CannotMake('Btrfs cannot be mounted')
    try:
        fill_subvolumes(mnt, top, scheme)
    finally:
        run('umount', mnt)


def filesystem(kind, top, image, size, uuid, label=''):
    with open(image, 'wb') as f:
        f.truncate(size)
    if kind.startswith('ext'):
        old = ['-O', '^has_journal,^resize_inode']
        run('mke2fs', '-q', '-F', '-t', kind, '-b', '1024', '-I', '256',
            '-N', '512', *old, '-m', '0', '-U', uuid, '-L', label, '-d', top,
            image)
    elif kind == 'xfs':
        with open(image + '.proto', 'w', encoding='utf-8') as f:
            f.write(xfs_prototype(top))
        run('mkfs.xfs', '-q', '-f', '-m', 'uuid=' + uuid,
            '-p', image + '.proto', image)
    elif kind == 'btrfs':
        run('mkfs.btrfs', '-q', '-U', uuid, '--rootdir', top, image)
    elif kind == 'vfat':
        run('mkfs.vfat', '-i', uuid.replace('-', ''), image,
            stderr=subprocess.DEVNULL)
        for name in os.listdir(top):
            run('mcopy', '-s', '-i', image, os.path.join(top, name), '::')
    else:
        raise SystemExit('no filesystem ' + kind)


# --- LVM ------------------------------------------------------------------

def lvm(image, contents, vg, lv):
    """A physical volume with the volume group VG and its one volume LV."""
    extents = (os.path.getsize(contents) + MIB - 1) // MIB
    size = (extents + 1) * MIB

    ids = ['AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-%06d' % n for n in (1, 2, 3)]
    text = vg + ''' {
id = "%s"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 2048
max_lv = 0
max_pv = 0
physical_volumes {
pv0 {
id = "%s"
device = "/dev/sda2"
status = ["ALLOCATABLE"]
pe_start = 2048
pe_count = %d
}
}
logical_volumes {
%s {
id = "%s"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = %d
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}
}
}
}
contents = "Text Format Volume Group"
version = 1
''' % (ids[0], ids[1], extents, lv, ids[2], extents)
    text = text.encode() + b'\0'
    area = 1020 * 1024
    body = b'\x20\x4c\x56\x4d\x32\x20\x78\x5b\x35\x41\x25\x72\x30\x4e\x2a\x3e'
    body += struct.pack('<IQQ', 1, 4096, area)
    body += struct.pack('<QQII', 512, len(text), lvm_crc(text), 0)
    body = body.ljust(508, b'\0')
    header = struct.pack('<I', lvm_crc(body)) + body
    label = struct.pack('<I8s', 32, b'LVM2 001')
    label += ids[1].replace('-', '').encode() + struct.pack('<Q', size)
    label += struct.pack('<QQQQ', MIB, 0, 0, 0)
    label += struct.pack('<QQQQ', 4096, area, 0, 0)
    label = label.ljust(512 - 20, b'\0')
    label = struct.pack('<8sQI', b'LABELONE', 1, lvm_crc(label)) + label
    with open(image, 'wb') as f:
        f.truncate(size)
        f.seek(512)
        f.write(label)
        f.seek(4096)
        f.write(header + text)
        copy_into(f, contents, MIB)


def lvm_crc(data):
    """CRC-32, reflected, begun with LVM's own value and not inverted."""
    import zlib
    return zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff


# --- the disk -------------------------------------------------------------

# What a partition is for: its type of the MBR, and of a GPT.
TYPES = {'root': ('83', 'L'), 'boot': ('83', 'L'), 'pv': ('8e', 'L'),
         'esp': ('ef', 'U'), 'swap': ('82', 'S'),
         'bios': ('', '21686148-6449-6E6F-744E-656564454649'),
         'usr': ('', '5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6'),
         'usrb': ('', '5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6')}
# Container Linux's names, its type for the root, and the attributes by which
# its GRUB chooses: priority 1 (from bit 48), successful (56).  The other /usr
# has a higher priority, and no tries left.
COREOS = {'esp': ',name="EFI-SYSTEM"', 'bios': ',name="BIOS-BOOT"',
          'usr': ',name="USR-A",attrs="GUID:48,56"',
          'usrb': ',name="USR-B",attrs="GUID:49"', 'root': ',name="ROOT"'}
COREOS_ROOT = '3884DD41-8582-4404-B9A8-E9B84F2DF50E'


def take_out(tree, path, to):
    """The directory becomes a partition's; its mount point stays."""
    os.makedirs(tree.path(path), exist_ok=True)
    shutil.move(tree.path(path), to)
    os.makedirs(tree.path(path))
    return to


def make_partition(kind, tmp, tree, k):
    image = os.path.join(tmp, kind + '.img')
    size = {'xfs': 300, 'btrfs': 110}
    if kind == 'bios':
        with open(image, 'wb') as f:
            f.truncate(MIB)
    elif kind == 'swap':
        with open(image, 'wb') as f:
            f.truncate(4 * MIB)
        run('mkswap', '-U', BOOT_UUID, image, stderr=subprocess.DEVNULL)
    elif kind == 'esp':
        top = take_out(tree, k['esp'], os.path.join(tmp, 'esp'))
        filesystem('vfat', top, image, 4 * MIB, ESP_ID)
    elif kind == 'boot':
        top = take_out(tree, '/boot', os.path.join(tmp, 'boot'))
        fs = k.get('bootfs', 'ext4')
        filesystem(fs, top, image, size.get(fs, 4) * MIB, BOOT_UUID,
                   'boot' if 'ostree' in k else '')
    elif kind == 'usrb':
        old = Tree(os.path.join(tmp, 'old-usr'))
        old.put('/lib/os-release', 'ID=not-this-one\n')
        old.put('/lib/modules/0-old/modules.builtin', '')
        filesystem('ext4', old.top, image, 4 * MIB, 'random')
    elif kind == 'usr':
        top = take_out(tree, '/usr', os.path.join(tmp, 'usr'))
        filesystem(k['usrfs'], top, image, size.get(k['usrfs'], 8) * MIB,
                   BOOT_UUID)
    elif 'subvols' in k:
        with open(image, 'wb') as f:
            f.truncate(size['btrfs'] * MIB)
        btrfs_with_subvolumes(tree.top, image, k['subvols'], uuid_of(k))
    else:
        filesystem(k['fs'], tree.top, image, size.get(k['fs'], 8) * MIB,
                   uuid_of(k))
    if kind == 'pv':
        lvm(image + '.pv', image, k['vg'], k['lv'])
        return image + '.pv'
    return image


def write_boot_code(f, kind, core):
    """The first sector's, which loads GRUB's core from the sector CORE."""
    if kind in ('grub2', 'grub-legacy'):
        code = bytearray(440)
        code[:3] = b'\353\143\220' if kind == 'grub2' else b'\353\110\220'
        code[0x180:0x184] = b'GRUB'
        if kind == 'grub2':
            code[0x5c:0x64] = struct.pack('<Q', core)
        else:
            code[0x44:0x48] = struct.pack('<I', core)
        f.write(code)
        first = bytearray(SECTOR)
        first[:4] = b'core'
        first[0x1f4:0x200] = struct.pack('<QHH', core + 1, 1, 0x820)
        f.seek(core * SECTOR)
        f.write(first)
    elif kind == 'syslinux':
        f.write(b'\x33\xc0\xfa\x8e\xd8\x8e\xd0\xbc\x00\x7c')


TABLES = {}


def partition(disk, size, script):
    """Makes DISK of SIZE MiB with the partition table that sfdisk makes of
    SCRIPT; the disks that are alike have one and the same."""
    with open(disk, 'wb') as f:
        f.truncate(size * MIB)
    if (size, script) not in TABLES:
        run('sfdisk', '-q', '--no-reread', '--no-tell-kernel', disk,
            input=script.encode())
        with open(disk, 'rb') as f:
            start = f.read(MIB)
            f.seek(-MIB, os.SEEK_END)
            TABLES[size, script] = start, f.read()
        return
    start, end = TABLES[size, script]
    with open(disk, 'r+b') as f:
        f.write(start)
        f.seek(-MIB, os.SEEK_END)
        f.write(end)


def copy_into(disk, image, at):
    """The data of IMAGE, and not its holes, to AT of DISK (a file)."""
    with open(image, 'rb') as f:
        end = os.fstat(f.fileno()).st_size
        hole = 0
        while hole < end:
            try:
                data = os.lseek(f.fileno(), hole, os.SEEK_DATA)
            except OSError:
                return  # a hole up to the end
            hole = os.lseek(f.fileno(), data, os.SEEK_HOLE)
            f.seek(data)
            disk.seek(at + data)
            disk.write(f.read(hole - data))


def make_disk(tmp, tree, k):
    """The disk, and in it the partitions in the order of "disk"."""
    parts = k['disk'].split(',')
    gpt = 'esp' in parts or 'bios' in parts
    # What is mounted in another is taken out before it.
    order = ('bios', 'swap', 'esp', 'boot', 'usr', 'usrb', 'root', 'pv')
    images = {kind: make_partition(kind, tmp, tree, k)
              for kind in sorted(parts, key=order.index)}
    at, script = 1, 'label: %s\n' % ('gpt' if gpt else 'dos')
    starts = []
    for n, kind in enumerate(parts):
        length = os.path.getsize(images[kind]) // MIB
        active = ',bootable' if not gpt and n == 0 and k['active'] != 'no' else ''
        more = COREOS[kind] if 'usr' in parts else active
        guid = COREOS_ROOT if 'usr' in parts and kind == 'root' else \
            TYPES[kind][gpt]
        script += 'start=%dM,size=%dM,type=%s%s\n' % (at, length, guid, more)
        starts.append(at)
        at += length
    disk = os.path.join(tmp, 'disk.img')
    partition(disk, at + 1, script)
    core = starts[parts.index('bios')] * MIB // SECTOR \
        if 'bios' in parts else 1
    with open(disk, 'r+b') as f:
        write_boot_code(f, k['mbr'], core)
        for start, kind in zip(starts, parts):
            copy_into(f, images[kind], start * MIB)
    return disk
