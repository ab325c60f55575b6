#!/usr/bin/env python3
"""Makes the Linux guests of a table and compares what is said of each.

  linux_guests.py XRAYFS TABLE DIR [--every N] [--only NAME] [--keep]

A row of the table is a family or a guest with keys (see tests/guests/
linux.table), and below it the findings it must have.  Trees are faithful in
layout and in what the files say; programs and modules are headers only.
"""
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys

POLICY = 'import/tencent-cvm-2019'
UUID = '0b1c7f52-3d0e-4c5f-9a61-00000000a11a'
BOOT_UUID = '0b1c7f52-3d0e-4c5f-9a61-00000000b007'
MIB = 1 << 20
MACHINES = {'x86_64': (62, 2), 'i386': (3, 1), 'aarch64': (183, 2)}
# Files of each module below kernel/drivers, and what it needs.
MODULES = {
    'virtio': ('virtio/virtio', []),
    'virtio_ring': ('virtio/virtio_ring', ['virtio']),
    'virtio_pci': ('virtio/virtio_pci', ['virtio_ring', 'virtio']),
    'virtio_blk': ('block/virtio_blk', ['virtio_ring', 'virtio']),
    'virtio_net': ('net/virtio_net', ['virtio_ring', 'virtio']),
    'virtio_scsi': ('scsi/virtio_scsi', ['virtio_ring', 'virtio']),
}
OPTIONS = {'virtio': 'VIRTIO', 'virtio_ring': 'VIRTIO_RING',
           'virtio_pci': 'VIRTIO_PCI', 'virtio_blk': 'VIRTIO_BLK',
           'virtio_net': 'VIRTIO_NET', 'virtio_scsi': 'SCSI_VIRTIO'}
COMPRESSORS = {
    'gzip': ['gzip', '-nc'], 'xz': ['xz', '-c', '--check=crc32'],
    'zstd': ['zstd', '-qc'], 'lz4': ['lz4', '-qlc'],
    'lzma': ['xz', '--format=lzma', '-c'], 'bzip2': ['bzip2', '-c'],
    'none': ['cat']}


# --- the table and the fragments ------------------------------------------

def fragments(directory):
    """Of all *.tree: the files of each "== NAME", which "-- PATH" begin."""
    out = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith('.tree'):
            continue
        files = path = None
        for line in open(os.path.join(directory, name), encoding='utf-8'):
            if line.startswith('== '):
                files = out.setdefault(line[3:].strip(), {})
            elif line.startswith('-- '):
                path = line[3:].strip()
                files[path] = ''
            elif files is not None and path:
                files[path] += line
    return out


def parse(path):
    """The guests: (name, keys, expectations); later keys win."""
    families, guests, wanted = {}, [], None
    for line in open(path, encoding='utf-8'):
        line = line.rstrip('\n')
        if not line or line.startswith('#'):
            continue
        if line.startswith(' '):
            where, _, value = line.strip().partition(' ')
            wanted[where.replace('$p', POLICY)] = value
            continue
        kind, name, *words = line.split()
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
            guests.append((name, keys, wanted))
    return guests


# --- pieces of a tree -----------------------------------------------------

class Tree:
    def __init__(self, top):
        self.top = top
        os.makedirs(top)

    def path(self, path):
        whole = os.path.join(self.top, path.lstrip('/'))
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        return whole

    def put(self, path, data, mode=0o644):
        if isinstance(data, str):
            data = data.encode()
        with open(self.path(path), 'wb') as f:
            f.write(data)
        os.chmod(self.path(path), mode)

    def link(self, path, to):
        os.symlink(to, self.path(path))

    def mkdir(self, path):
        os.makedirs(os.path.join(self.top, path.lstrip('/')), exist_ok=True)


def elf(arch):
    machine, wide = MACHINES[arch]
    return (b'\x7fELF' + bytes([wide, 1, 1]) + bytes(9) +
            struct.pack('<HHI', 2, machine, 1) + bytes(40))


def kernel_image(version, arch):
    """A setup header alone: the boot protocol's magic, and the version."""
    if arch == 'aarch64':
        return bytes(56) + b'ARM\x64' + bytes(64)
    text = version.encode() + b' (builder@host) #1 SMP\0'
    data = bytearray(0x1000)
    data[0x202:0x206] = b'HdrS'
    data[0x20e:0x210] = struct.pack('<H', 0x600)
    data[0x800:0x800 + len(text)] = text
    return bytes(data)


def wants(k, key):
    return k.get(key, '') not in ('', 'no', '0')


def modules_of(k, key):
    value = k.get(key, '')
    return [] if value in ('', 'no') else \
        ['virtio' if m == 'core' else 'virtio_' + m for m in value.split(',')]


def put_modules(tree, base, names, builtin, ext):
    dep = ''
    for m in names:
        file, needs = MODULES[m]
        tree.put('%s/kernel/drivers/%s%s' % (base, file, ext), 'module ' + m)
        dep += 'kernel/drivers/%s%s:%s\n' % (file, ext, ''.join(
            ' kernel/drivers/%s%s' % (MODULES[n][0], ext)
            for n in needs if n not in builtin))
    tree.put(base + '/modules.dep', dep)


# --- package databases ----------------------------------------------------

def rpm_header(name, version, release, vendor, arch, files):
    """rpm's immutable header without its region tag: index and data."""
    dirs = sorted({os.path.dirname(f) + '/' for f in files})
    tags = [(1000, 6, [name]), (1001, 6, [version]), (1002, 6, [release]),
            (1011, 6, [vendor] if vendor else []), (1022, 6, [arch]),
            (1116, 4, [dirs.index(os.path.dirname(f) + '/') for f in files]),
            (1117, 8, [os.path.basename(f) for f in files]),
            (1118, 8, dirs)]
    index, data = b'', b''
    for tag, kind, values in tags:
        if not values:
            continue
        if kind == 4:
            data += bytes(-len(data) % 4)
        index += struct.pack('>IIII', tag, kind, len(data), len(values))
        data += b''.join(struct.pack('>I', v) if kind == 4
                         else v.encode() + b'\0' for v in values)
    return struct.pack('>II', len(index) // 16, len(data)) + index + data


def rpm_database(tree, kind, packages):
    blobs = [rpm_header(*p) for p in packages]
    if kind == 'rpm-sqlite':
        path = tree.path('/var/lib/rpm/rpmdb.sqlite')
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY "
                   'AUTOINCREMENT, blob BLOB NOT NULL)')
        db.executemany("INSERT INTO 'Packages' VALUES (?, ?)",
                       enumerate(blobs, 1))
        db.commit()
        db.close()
    elif kind == 'rpm-bdb':
        text = 'VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n'
        text += ' 00000000\n ' + struct.pack('<I', len(blobs)).hex() + '\n'
        for n, blob in enumerate(blobs, 1):
            text += ' %s\n %s\n' % (struct.pack('<I', n).hex(), blob.hex())
        subprocess.run(['db5.3_load', tree.path('/var/lib/rpm/Packages')],
                       input=text + 'DATA=END\n', text=True, check=True)
    else:
        ndb(tree.path('/usr/lib/sysimage/rpm/Packages.db'), blobs)


def ndb(path, blobs):
    import zlib
    slots, out, at = [], b'', 4096 // 16
    for n, blob in enumerate(blobs, 1):
        whole = struct.pack('<4sIII', b'BlbS', n, 0, len(blob)) + blob
        whole += bytes(-(len(whole) + 12) % 16)
        whole += struct.pack('<II4s', zlib.adler32(whole), len(blob), b'BlbE')
        slots.append(struct.pack('<4sIII', b'Slot', n, at, len(whole) // 16))
        out += whole
        at += len(whole) // 16
    slots += [struct.pack('<4sIII', b'Slot', 0, 0, 0)] * (254 - len(slots))
    with open(path, 'wb') as f:
        f.write(struct.pack('<4sIIII12x', b'RpmP', 0, 1, 1, len(blobs) + 1) +
                b''.join(slots) + out)


def dpkg_database(tree, packages):
    status = ''
    for name, version, maker, arch, files, source in packages:
        status += 'Package: %s\nStatus: install ok installed\n' \
            'Maintainer: %s\nArchitecture: %s\n' % (name, maker, arch)
        status += 'Source: %s\n' % source if source else ''
        status += 'Version: %s\nDescription: a package\n\n' % version
        tree.put('/var/lib/dpkg/info/%s.list' % name,
                 '/.\n' + ''.join(f + '\n' for f in files))
    tree.put('/var/lib/dpkg/status', status)


def apk_database(tree, packages):
    text = ''
    for name, version, maker, arch, files in packages:
        text += 'C:Q1bTtF5526tETKfL+lnigzIDvm+2o=\nP:%s\nV:%s\nA:%s\nm:%s\n' \
            % (name, version, arch, maker)
        for f in files:
            text += 'F:%s\nR:%s\n' % (os.path.dirname(f)[1:],
                                      os.path.basename(f))
        text += '\n'
    tree.put('/lib/apk/db/installed', text)


def pacman_database(tree, packages):
    tree.put('/var/lib/pacman/local/ALPM_DB_VERSION', '9\n')
    for name, version, maker, arch, files in packages:
        top = '/var/lib/pacman/local/%s-%s/' % (name, version)
        tree.put(top + 'desc', '%%NAME%%\n%s\n\n%%VERSION%%\n%s\n\n%%ARCH%%\n'
                 '%s\n\n%%PACKAGER%%\n%s\n\n' % (name, version, arch, maker))
        tree.put(top + 'files', '%FILES%\n' +
                 ''.join(f[1:] + '\n' for f in files) + '\n')


def make_packages(tree, k, kernel_files):
    """The kernel's package, one of the base, and cloud-init's."""
    kind, arch = k.get('pkg', ''), k['arch']
    maker = k.get('maker', '').replace('_', ' ')
    kmaker = k.get('kmaker', k.get('maker', '')).replace('_', ' ')
    kpkg = k.get('kpkg', '').replace('$V', k['v'])
    listed = [] if kpkg in ('', 'none') else [kpkg]
    if kmaker == 'none':
        kmaker = ''
    if kind.startswith('rpm'):
        packages = [('filesystem', '3', '1', maker, arch, ['/usr/bin'])]
        packages += [(p, '1', '1', kmaker, arch, kernel_files)
                     for p in listed]
        if wants(k, 'cloud'):
            packages.append(('cloud-init', '22.1', '1', maker, 'noarch',
                             ['/usr/bin/cloud-init']))
        rpm_database(tree, kind, packages)
    elif kind == 'dpkg':
        deb = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(arch, arch)
        packages = [('base-files', '1', maker, deb, ['/etc'], '')]
        packages += [(p, '1', kmaker, deb, kernel_files, k.get('ksource', ''))
                     for p in listed]
        if wants(k, 'cloud'):
            packages.append(('cloud-init', '22.1', maker, 'all',
                             ['/usr/bin/cloud-init'], ''))
        dpkg_database(tree, packages)
    elif kind in ('apk', 'pacman'):
        base = 'alpine-baselayout' if kind == 'apk' else 'filesystem'
        packages = [(base, '1-1', maker, arch, ['/etc/fstab'])]
        packages += [(p, '1-1', kmaker, arch, kernel_files) for p in listed]
        (apk_database if kind == 'apk' else pacman_database)(tree, packages)


# --- a tree ---------------------------------------------------------------

def make_init(tree, k, lib):
    kind = k['init']
    if kind == 'systemd':
        tree.put(lib + '/systemd/systemd', elf(k['arch']), 0o755)
        tree.link('/sbin/init', lib + '/systemd/systemd')
    elif kind == 'busybox':
        tree.put('/bin/busybox', elf(k['arch']), 0o755)
        tree.link('/sbin/init', '/bin/busybox')
        tree.put('/etc/inittab', '::sysinit:/sbin/openrc sysinit\n')
        tree.put('/sbin/openrc', elf(k['arch']), 0o755)
    else:
        tree.put('/sbin/init', elf(k['arch']), 0o755)
        if kind == 'upstart':
            tree.put('/sbin/initctl', elf(k['arch']), 0o755)
            tree.put('/etc/init/rc.conf', 'start on runlevel [0123456]\n')
        if kind != 'upstart' or k['pkg'].startswith('rpm'):
            tree.put('/etc/inittab', 'id:%s:initdefault:\n' %
                     (2 if k['pkg'] == 'dpkg' else 3))


def make_cloud_init(tree, k):
    if not wants(k, 'cloud'):
        return
    tree.put('/usr/bin/cloud-init', '#!/usr/bin/python3\n', 0o755)
    tree.put(k['python'] + '/cloudinit/version.py', '__VERSION__ = "22.1"\n')
    tree.put('/etc/cloud/cloud.cfg', 'users:\n - default\n'
             'datasource_list: [ ConfigDrive, None ]\n')
    if k['init'] == 'systemd':
        for unit in ('cloud-init-local', 'cloud-init', 'cloud-config',
                     'cloud-final'):
            tree.put('/usr/lib/systemd/system/%s.service' % unit, '[Unit]\n')
            if k['cloud'] != 'off':
                tree.link('/etc/systemd/system/%s.wants/%s.service' % (
                    k.get('target', 'cloud-init.target'), unit),
                    '/usr/lib/systemd/system/%s.service' % unit)
        if k.get('target', 'cloud-init.target') == 'cloud-init.target':
            tree.put('/usr/lib/systemd/system/cloud-init.target', '[Unit]\n')
            tree.put('/usr/lib/systemd/system-generators/cloud-init-generator',
                     '#!/bin/sh\n', 0o755)
    elif k['init'] == 'busybox':
        tree.put('/etc/init.d/cloud-init', '#!/sbin/openrc-run\n', 0o755)
        tree.link('/etc/runlevels/default/cloud-init', '/etc/init.d/cloud-init')
    elif k['pkg'] == 'dpkg' and k['init'] == 'upstart':
        tree.put('/etc/init/cloud-init.conf', 'start on mounted\n')
    else:
        rc = {'dpkg': '/etc/'}.get(k['pkg'], '/etc/rc.d/')
        if 'suse' in k['net']:
            rc = '/etc/init.d/'
            tree.put(rc + 'cloud-init', '#!/bin/sh\n', 0o755)
            tree.link(rc + 'rc3.d/S51cloud-init', '../cloud-init')
        else:
            tree.put(rc + 'init.d/cloud-init', '#!/bin/sh\n', 0o755)
            tree.link(rc + 'rc%d.d/S51cloud-init' % (
                2 if k['pkg'] == 'dpkg' else 3), '../init.d/cloud-init')
    if k['cloud'] == 'off':
        tree.put('/etc/cloud/cloud-init.disabled', '')


def nash(modules):
    """What mkinitrd writes as init."""
    load = ''.join('echo "Loading %s.ko module"\ninsmod /lib/%s.ko \n' % (m, m)
                   for m in modules)
    return '''#!/bin/nash

mount -t proc /proc /proc
setquiet
echo Mounting proc filesystem
mount -t sysfs /sys /sys
mount -o mode=0755 -t tmpfs /dev /dev
mkdir /dev/pts
mknod /dev/null c 1 3
echo Setting up hotplug.
hotplug
echo Creating block device nodes.
mkblkdevs
''' + load + '''stabilized --hash --interval 1000 /proc/scsi/scsi
mkblkdevs
echo Scanning logical volumes
lvm vgscan --ignorelockingfailure
resume LABEL=SWAP
mkrootdev -t ext3 -o defaults,ro /dev/root
mount /sysroot
setuproot
switchroot
'''


def make_initramfs(top, k, lib):
    """What dracut, initramfs-tools, mkinitcpio or mkinitrd pack."""
    tree = Tree(top)
    have = modules_of(k, 'has')
    builtin = modules_of(k, 'builtin')
    tree.put('/init', '#!/bin/sh\n', 0o755)
    tree.put('/bin/sh', elf(k['arch']), 0o755)
    base = '%s/modules/%s' % ('/usr/lib' if wants(k, 'imerged') else '/lib',
                              k['v'])
    if wants(k, 'flat'):  # mkinitrd of CentOS 5: all modules in /lib
        for m in have:
            tree.put('/lib/%s.ko' % m, 'module ' + m)
        tree.put('/init', nash(modules_of(k, 'inserts')
                               if 'inserts' in k else have), 0o755)
        tree.link('/sbin/modprobe', '/bin/nash')
    else:
        put_modules(tree, base, have, builtin, k['ext'])
    work = top + '.cpio'
    with open(work, 'wb') as out:
        if wants(k, 'microcode'):
            early = Tree(top + '-early')
            early.put('/early_cpio', '1\n')
            early.put('/kernel/x86/microcode/GenuineIntel.bin', bytes(2048))
            out.write(cpio(early.top))
        out.write(subprocess.run(COMPRESSORS[k['comp']], input=cpio(top),
                                 stdout=subprocess.PIPE, check=True).stdout)
    return work


def cpio(top):
    names = subprocess.run(['find', '.'], cwd=top, check=True,
                           stdout=subprocess.PIPE).stdout
    return subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet', '-R', '0:0'],
                          cwd=top, input=names, check=True,
                          stdout=subprocess.PIPE).stdout


def expand(text, k):
    boot = '' if k['disk'] in ('boot', 'uefi', 'lvm') else '/boot'
    for key, value in (('$BOOTUUID', BOOT_UUID), ('$BOOT', boot),
                       ('$UUID', UUID), ('$V', k['v']), ('$FS', k['fs']),
                       ('$KERNEL', os.path.basename(k['image'])),
                       ('$INITRD', os.path.basename(k['initrd']))):
        text = text.replace(key, value)
    return text


def make_tree(top, k, parts):
    for key in ('image', 'initrd'):
        k[key] = k[key].replace('$V', k['v'])
    tree = Tree(top)
    lib = '/usr/lib' if wants(k, 'merged') else '/lib'
    if wants(k, 'merged'):
        for name in ('bin', 'sbin', 'lib'):
            tree.mkdir('/usr/' + name)
            tree.link('/' + name, 'usr/' + name)
    for name in ('dev', 'proc', 'sys', 'run', 'tmp', 'boot', 'root', 'etc',
                 'usr/bin', 'usr/lib', 'var/log', 'home'):
        tree.mkdir(name)
    for part in ('os', 'net', 'loader', 'fstab'):
        for fragment in [f for f in k.get(part, '').split(',') if f]:
            for path, text in parts[fragment].items():
                if text.startswith('-> '):
                    tree.link(path, text[3:].strip())
                else:
                    tree.put(expand(path, k), expand(text, k))
    make_init(tree, k, lib)
    for name in ('bash', 'ls'):
        if not os.path.lexists(tree.path('/bin/' + name)):
            tree.put('/bin/' + name, elf(k['arch']), 0o755)
    if k['init'] != 'busybox':
        tree.link('/bin/sh', 'bash')
    tree.put('/etc/hostname', k['name'] + '\n')
    tree.put('/etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o640)
    builtin = modules_of(k, 'builtin')
    base = '%s/modules/%s' % (lib, k['v'])
    tree.put(k['image'], kernel_image(k['v'], k.get('karch', k['arch'])))
    if k['config'] != 'none':
        tree.put(k['config'].replace('$V', k['v']), ''.join(
            'CONFIG_%s=%s\n' % (o, 'y' if m in builtin else 'm')
            for m, o in OPTIONS.items()))
    put_modules(tree, base, [m for m in MODULES if m not in builtin and
                             m not in modules_of(k, 'absent')],
                builtin, k['ext'])
    if k['list'] != 'none':
        tree.put(base + '/modules.builtin', ''.join(
            'kernel/drivers/%s.ko\n' % MODULES[m][0] for m in builtin) +
            'kernel/fs/ext4/ext4.ko\n')
    if k['comp'] != 'absent':
        shutil.move(make_initramfs(top + '-initramfs', k, lib),
                    tree.path(k['initrd']))
    make_cloud_init(tree, k)
    owned = [k.get('owns', k['image']).replace('$V', k['v'])]
    make_packages(tree, k, owned)
    return deploy(top, k) if 'ostree' in k else tree


def deploy(top, k):
    """The system becomes ostree's deployments, whose kernels are on /boot;
    the entry of number `boots` is the first."""
    os.rename(top, top + '-system')
    tree, n = Tree(top), int(k['ostree'])
    system, name = top + '-system', k.get('osname', 'fedora-coreos')
    inner = k.get('top', '')
    boot = (inner if k['disk'] == 'mbr' else '') + '/boot'
    shutil.move(system + '/boot', tree.path(boot))
    for directory in ('boot', 'var', 'sysroot'):
        shutil.rmtree(os.path.join(system, directory), ignore_errors=True)
        os.mkdir(os.path.join(system, directory))
    os.symlink('sysroot/ostree', system + '/ostree')
    tree.link(boot + '/boot', '.')
    tree.link(boot + '/loader', 'loader.1')
    tree.link(inner + '/ostree/boot.1', 'boot.1.1')
    for i in range(n):
        commit, checksum = '%064x.0' % (0xf00d + i), '%064x' % (0xb007 + i)
        path = '%s/ostree/deploy/%s/deploy/%s' % (inner, name, commit)
        shutil.copytree(system, tree.path(path), symlinks=True)
        tree.put(path + '.origin', '[origin]\n')
        tree.put(path + '/etc/hostname', '%s-%d\n' % (k['name'], i))
        tree.link('%s/ostree/boot.1.1/%s/%s/0' % (inner, name, checksum),
                  '../../../deploy/%s/deploy/%s' % (name, commit))
        kernels = '/ostree/%s-%s' % (name, checksum)
        # Only the one that starts can have virtio in its initramfs.
        starts = i == int(k.get('boots', n - 1))
        for key, to in (('image', 'vmlinuz-$V'), ('initrd', 'initramfs-$V.img')):
            data = open(system + k[key].replace('$V', k['v']), 'rb').read()
            tree.put(boot + kernels + '/' + to.replace('$V', k['v']),
                     data if starts or key == 'image' else
                     cpio(Tree(top + '-empty-%d' % i).top))
        tree.put('%s/loader.1/entries/ostree-%d%s.conf' % (
            boot, n + 1 if starts else i + 1, k.get('suffix', '')),
            'title Fedora (ostree:%d)\nversion %d\noptions %s'
            'ostree=/ostree/boot.1/%s/%s/0 %s\n'
            'linux %s%s/vmlinuz-%s\ninitrd %s%s/initramfs-%s.img\n' % (
                i, i + 1, expand(k.get('options', '').replace('+', ' '), k),
                name, checksum, expand('root=UUID=$UUID rw', k),
                k.get('prefix', ''), kernels, k['v'], k.get('prefix', ''),
                kernels, k['v']))
    if 'firstboot' in k:
        tree.put(boot + '/ignition.firstboot', k['firstboot'].replace(
            '+', ' ') + '\n' if k['firstboot'] != 'yes' else '')
    tree.put('%s/ostree/deploy/%s/var/lib/fact' % (inner, name), 'shared\n')
    return tree


# --- a disk ---------------------------------------------------------------

def run(*args, **more):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, **more)


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


def filesystem(kind, top, image, size, uuid, label=''):
    with open(image, 'wb') as f:
        f.truncate(size)
    if kind.startswith('ext'):
        old = ['-O', '^has_journal,^resize_inode']
        run('mke2fs', '-q', '-F', '-t', kind, '-b', '1024', '-I', '256',
            '-N', '512', *old, '-m', '0', '-U', uuid, '-L', label, '-d', top,
            image)
    elif kind == 'xfs':
        with open(image + '.proto', 'w') as f:
            f.write(xfs_prototype(top))
        run('mkfs.xfs', '-q', '-f', '-m', 'uuid=' + uuid,
            '-p', image + '.proto', image)
    elif kind == 'btrfs':
        run('mkfs.btrfs', '-q', '-U', uuid, '--rootdir', top, image)
    elif kind == 'vfat':
        run('mkfs.vfat', image, stderr=subprocess.DEVNULL)
        for name in os.listdir(top):
            run('mcopy', '-s', '-i', image, os.path.join(top, name), '::')
    else:
        raise SystemExit('no filesystem ' + kind)


def lvm(image, contents, uuid):
    """A physical volume with a volume group vg and one linear volume."""
    extents = (os.path.getsize(contents) + MIB - 1) // MIB
    size = (extents + 1) * MIB

    ids = ['AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-%06d' % n for n in (1, 2, 3)]
    text = '''vg {
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
root {
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
''' % (ids[0], ids[1], extents, ids[2], extents)
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
        f.seek(MIB)
        with open(contents, 'rb') as c:
            shutil.copyfileobj(c, f)


def lvm_crc(data):
    """CRC-32, reflected, begun with LVM's own value and not inverted."""
    import zlib
    return zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff


def make_disk(tmp, tree, k):
    """The partitions: (filesystem's image, MBR type, GPT type)."""
    size = {'xfs': 300, 'btrfs': 110}.get(k['fs'], 8) * MIB
    root, boot, esp = (os.path.join(tmp, n + '.img')
                       for n in ('root', 'boot', 'esp'))
    partitions = []
    if k['disk'] == 'uefi':
        top = tree.path('/boot/efi')
        os.makedirs(top, exist_ok=True)
        moved = os.path.join(tmp, 'esp')
        shutil.move(top, moved)
        os.makedirs(top)
        filesystem('vfat', moved, esp, 4 * MIB, '')
        partitions.append((esp, 'ef', 'U'))
    if k['disk'] in ('boot', 'uefi', 'lvm'):
        moved = os.path.join(tmp, 'boot')
        shutil.move(tree.path('/boot'), moved)
        os.makedirs(os.path.join(tree.top, 'boot', 'efi'))
        filesystem('xfs' if k.get('bootfs') == 'xfs' else 'ext4', moved, boot,
                   300 * MIB if k.get('bootfs') == 'xfs' else 4 * MIB,
                   BOOT_UUID, 'boot' if 'ostree' in k else '')
        partitions.append((boot, '83', 'L'))
    filesystem(k['fs'], tree.top, root, size, UUID)
    if k['disk'] == 'lvm':
        lvm(root + '.pv', root, UUID)
        root += '.pv'
    partitions.append((root, '8e' if k['disk'] == 'lvm' else '83', 'L'))
    disk = os.path.join(tmp, 'disk.img')
    at, script = 1, 'label: %s\n' % ('gpt' if k['disk'] == 'uefi' else 'dos')
    for image, mbr, gpt in partitions:
        length = os.path.getsize(image) // MIB
        script += '%dM,%dM,%s\n' % (at, length,
                                    gpt if k['disk'] == 'uefi' else mbr)
        at += length
    with open(disk, 'wb') as f:
        f.truncate((at + 1) * MIB)
    run('sfdisk', '-q', '--no-reread', '--no-tell-kernel', disk,
        input=script.encode())
    at = 1
    for image, _, _ in partitions:
        run('dd', 'if=' + image, 'of=' + disk, 'bs=1M', 'seek=%d' % at,
            'conv=notrunc,sparse', 'status=none')
        at += os.path.getsize(image) // MIB
    if k['disk'] != 'uefi':
        with open(disk, 'r+b') as f:
            f.write(b'\353\143\220GRUB \0Geom\0Hard Disk\0Read\0 Error')
    return disk


# --- the comparison -------------------------------------------------------

def value_at(report, path):
    for name in path.split('/'):
        report = report[name]
    if isinstance(report, list):
        return ', '.join(report) or '-'
    return str(report) or '-'


def got(xrayfs, image, report, path):
    if path.startswith('evidence/'):
        return subprocess.run([xrayfs, 'cat', image, path], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
    return value_at(report, path)


def matches(value, wanted):
    if wanted == '*':
        return True
    if wanted.startswith('~'):
        return wanted[1:] in value
    if wanted.startswith('!'):
        return wanted[1:] not in value
    return value == wanted


def check(xrayfs, name, image, k, wanted):
    report = json.loads(subprocess.run(
        [xrayfs, 'report', '--format', 'json', image], check=True,
        stdout=subprocess.PIPE).stdout)
    failed = 0
    for path, value in wanted.items():
        value = expand(value, k)
        path = expand(path, k)
        try:
            is_value = got(xrayfs, image, report, path)
        except KeyError:
            is_value = '(not there)'
        if not matches(is_value, value):
            print("%s: %s is '%s', not '%s'" % (name, path, is_value, value))
            failed += 1
    return failed


def main():
    xrayfs, table, tmp, *more = sys.argv[1:]
    every = int(more[more.index('--every') + 1]) if '--every' in more else 1
    only = more[more.index('--only') + 1] if '--only' in more else None
    parts = fragments(os.path.join(os.path.dirname(table), 'linux'))
    failed, done = 0, 0
    guests = parse(table)
    for number, (name, k, wanted) in enumerate(guests):
        if (only and only != name) or (not only and number % every):
            continue
        k['name'] = name
        work = os.path.join(tmp, 'guest')
        os.makedirs(work)
        tree = make_tree(os.path.join(work, 'root'), k, parts)
        image = make_disk(work, tree, k)
        failed += check(xrayfs, name, image, k, wanted)
        done += 1
        if '--keep' not in more:
            shutil.rmtree(work)
    print('%d of %d guests' % (done, len(guests)))
    sys.exit(failed > 0)


main()
