"""Trees of described Linux guests: kernels, initramfs, packages, services.

A part of linux_guests.py.  Programs and modules are headers only; what is
read (configurations, databases, lists of modules) is as the real thing.
"""
import os
import shutil
import sqlite3
import struct
import subprocess
import uuid

UUID = '0b1c7f52-3d0e-4c5f-9a61-00000000a11a'
BOOT_UUID = '0b1c7f52-3d0e-4c5f-9a61-00000000b007'
ESP_ID = '0E5B-0E5B'
MACHINE_ID = '0123456789abcdef0123456789abcdef'
MACHINES = {'x86_64': (62, 2), 'i386': (3, 1), 'aarch64': (183, 2)}
# Of each module: its file below kernel/drivers, its option, what it needs.
MODULES = {
    'virtio': ('virtio/virtio', 'VIRTIO', []),
    'virtio_ring': ('virtio/virtio_ring', 'VIRTIO_RING', ['virtio']),
    'virtio_pci': ('virtio/virtio_pci', 'VIRTIO_PCI',
                   ['virtio_ring', 'virtio']),
    'virtio_blk': ('block/virtio_blk', 'VIRTIO_BLK',
                   ['virtio_ring', 'virtio']),
    'virtio_net': ('net/virtio_net', 'VIRTIO_NET', ['virtio_ring', 'virtio']),
    'virtio_scsi': ('scsi/virtio_scsi', 'SCSI_VIRTIO',
                    ['virtio_ring', 'virtio']),
    'virtio_console': ('char/virtio_console', 'VIRTIO_CONSOLE',
                       ['virtio_ring', 'virtio']),
    'virtio_balloon': ('virtio/virtio_balloon', 'VIRTIO_BALLOON',
                       ['virtio_ring', 'virtio']),
    'virtio_rng': ('char/hw_random/virtio-rng', 'HW_RANDOM_VIRTIO',
                   ['virtio_ring', 'virtio']),
}
COMPRESSORS = {
    'gzip': ['gzip', '-nc'], 'xz': ['xz', '-c', '--check=crc32'],
    'zstd': ['zstd', '-qc'], 'lz4': ['lz4', '-qlc'],
    'lzma': ['xz', '--format=lzma', '-c'], 'bzip2': ['bzip2', '-c'],
    'lzo': ['lzop', '-c'], 'none': ['cat']}


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

    def add(self, files, k):
        """Those of a fragment: PATH to text, "-> TARGET" for a link."""
        for path, text in files.items():
            path = expand(path, k)
            if text.startswith('-> '):
                self.link(path, expand(text[3:].strip(), k))
            elif path.endswith('/grubenv'):
                self.put(path, expand(text, k).ljust(1024, '#'))
            else:
                program = '/bin/' in path or '/sbin/' in path or \
                    '/init.d/' in path or '-generator' in path or \
                    path.endswith('/ds-identify')
                self.put(path, expand(text, k), 0o755 if program else 0o644)


def wants(k, key):
    return k.get(key, '') not in ('', 'no', '0')


def uuid_of(k):
    """Of the root filesystem.  The kernel does not mount two Btrfs of one
    UUID at a time: tests may run side by side."""
    if 'subvols' in k and 'uuid' not in k:
        k['uuid'] = str(uuid.uuid4())
    return k.get('uuid', UUID)


def expand(text, k):
    """$V and the like.  $BOOT is what a loader's paths begin with."""
    boot = '' if 'boot' in k['disk'] else '/boot'
    if boot and k.get('subvols') == 'ubuntu':
        boot = '/@' + boot
    args = k.get('args', '').replace('+', ' ')
    for key, value in (
            ('$BOOTUUID', BOOT_UUID), ('$BOOTFS', k.get('bootfs', 'ext4')),
            ('$BOOT', boot), ('$UUID', uuid_of(k)),
            ('$ESPID', ESP_ID), ('$ESP', k['esp']), ('$MACHINE', MACHINE_ID),
            ('$PY', k['python']), ('$CIV', k['civ']), ('$UNITS', k['units']),
            ('$LIBEXEC', k['libexec']),
            ('$VG', k['vg'].replace('-', '--')),
            ('$LV', k['lv'].replace('-', '--')),
            ('$V2', k.get('v2', '')), ('$V', k['v']), ('$FS', k['fs']),
            ('$ARGS', ' ' + args if args else ''),
            ('$ROOT', k.get('root', 'UUID=' + uuid_of(k))),
            ('$KERNEL2', os.path.basename(of_version(k, 'image', 'v2'))),
            ('$INITRD2', os.path.basename(of_version(k, 'initrd', 'v2'))),
            ('$KERNEL', os.path.basename(of_version(k, 'image'))),
            ('$INITRD', os.path.basename(of_version(k, 'initrd')))):
        text = text.replace(key, value)
    return text


def of_version(k, key, version='v'):
    return k[key].replace('$V', k.get(version, '')) \
        .replace('$MACHINE', MACHINE_ID)


# --- kernels --------------------------------------------------------------

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


def unified(kernel, initrd, release, options, version):
    """A program for UEFI with the kernel in its sections (UAPI.5)."""
    parts = [(b'.osrel', release), (b'.cmdline', options.encode()),
             (b'.uname', version.encode()), (b'.linux', kernel),
             (b'.initrd', initrd)]
    head = b'MZ'.ljust(60, b'\0') + struct.pack('<I', 64)
    head += b'PE\0\0' + struct.pack('<HHIIIHH', 0x8664, len(parts),
                                    0, 0, 0, 0, 0)
    at, table, data = 1024, b'', b''
    for name, text in parts:
        room = -(-len(text) // 512) * 512
        table += struct.pack('<8sIIIIIIHHI', name, len(text), at, room, at,
                             0, 0, 0, 0, 0)
        data += text.ljust(room, b'\0')
        at += room
    return (head + table).ljust(1024, b'\0') + data


def modules_of(k, key):
    value = k.get(key, '')
    return [] if value in ('', 'no') else \
        ['virtio' if m == 'core' else 'virtio_' + m for m in value.split(',')]


def put_modules(tree, base, names, builtin, ext):
    dep = ''
    for m in names:
        file, _, needs = MODULES[m]
        tree.put('%s/kernel/drivers/%s%s' % (base, file, ext), 'module ' + m)
        dep += 'kernel/drivers/%s%s:%s\n' % (file, ext, ''.join(
            ' kernel/drivers/%s%s' % (MODULES[n][0], ext)
            for n in needs if n not in builtin))
    tree.put(base + '/modules.dep', dep)


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


def make_initramfs(top, k):
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
        put_modules(tree, base, have, builtin, k['iext'])
    if 'blacklist' in k:
        tree.put('/etc/modprobe.d/local.conf',
                 'blacklist %s\n' % k['blacklist'])
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


def put_kernel(tree, k, lib):
    """The kernel V with its configuration, modules and initramfs."""
    builtin = modules_of(k, 'builtin')
    base = '%s/modules/%s' % (lib, k['v'])
    karch = k.get('karch', k['arch'])
    tree.put(of_version(k, 'image'), kernel_image(k['v'], karch))
    if k['config'] != 'none':
        tree.put(of_version(k, 'config'), ''.join(
            'CONFIG_%s=%s\n' % (o, 'y' if m in builtin else 'm')
            if m not in modules_of(k, 'absent') else
            '# CONFIG_%s is not set\n' % o
            for m, (_, o, _) in MODULES.items()))
    put_modules(tree, base, [m for m in MODULES if m not in builtin and
                             m not in modules_of(k, 'absent')],
                builtin, k['ext'])
    if k['list'] != 'none':
        tree.put(base + '/modules.builtin', ''.join(
            'kernel/drivers/%s.ko\n' % MODULES[m][0] for m in builtin) +
            'kernel/fs/ext4/ext4.ko\n')
    if k['comp'] != 'absent':
        shutil.move(make_initramfs(tree.top + '-' + k['v'], k),
                    tree.path(of_version(k, 'initrd')))
    if 'uki' in k:
        put_unified(tree, k)


def put_unified(tree, k):
    """The kernel and its initramfs become one file, as ukify makes it."""
    image, initrd = (tree.path(of_version(k, n)) for n in ('image', 'initrd'))
    with open(tree.path('/usr/lib/os-release'), 'rb') as f:
        release = f.read()
    with open(image, 'rb') as a, open(initrd, 'rb') as b:
        data = unified(a.read(), b.read(), release,
                       expand('root=$ROOT ro$ARGS', k), k['v'])
    os.unlink(image)
    os.unlink(initrd)
    tree.put(expand(k['uki'], k), data)


def spare_images(tree, k, lib):
    """What Red Hat's tools leave beside: an initramfs for the crash kernel,
    and the rescue image, which has every driver."""
    other = dict(k, has='core,ring,pci,blk,net,scsi', comp='gzip')
    if 'kdump' in k['spare']:
        work = make_initramfs(tree.top + '-kdump', other)
        shutil.move(work, tree.path('/boot/initramfs-%skdump.img' % k['v']))
    if 'rescue' in k['spare']:
        work = make_initramfs(tree.top + '-rescue', other)
        shutil.move(work, tree.path('/boot/initramfs-0-rescue-%s.img' %
                                    MACHINE_ID))
        shutil.copy(tree.path(of_version(k, 'image')),
                    tree.path('/boot/vmlinuz-0-rescue-' + MACHINE_ID))


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
    # Where it is since: SUSE 15, Fedora 36; the old place is a link.
    moved = '/usr/lib/sysimage/rpm'
    if kind in ('rpm-ndb', 'rpm-sqlite-usr'):
        tree.mkdir(moved)
        tree.link('/var/lib/rpm', '../..' + moved)
    if kind.startswith('rpm-sqlite'):
        path = tree.path('/var/lib/rpm/rpmdb.sqlite' if kind == 'rpm-sqlite'
                         else moved + '/rpmdb.sqlite')
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


def kernels_of(k):
    """The guest's kernels: itself, and with the keys that end with 2."""
    if 'v2' not in k:
        return [k]
    return [k, dict(k, **{key[:-1]: value for key, value in k.items()
                          if key.endswith('2') and key[:-1] in k})]


def make_packages(tree, k):
    """The kernels' packages, one of the base, and cloud-init's."""
    kind, arch = k.get('pkg', ''), k['arch']
    maker = k.get('maker', '').replace('_', ' ')
    kmaker = k.get('kmaker', k.get('maker', '')).replace('_', ' ')
    kmaker = '' if kmaker == 'none' else kmaker
    kernels = [(one['kpkg'].replace('$V', one['v']),
                [k.get('owns', one['image']).replace('$V', one['v'])])
               for one in kernels_of(k) if one.get('kpkg', 'none') != 'none']
    files = ['/usr/bin/cloud-init']
    cloud = k.get('ciname', 'cloud-init') if wants(k, 'cloud') else None
    if kind.startswith('rpm'):
        packages = [('filesystem', '3', '1', maker, arch, ['/usr/bin'])]
        packages += [(p, '1', '1', kmaker, arch, f) for p, f in kernels]
        if cloud:
            packages.append((cloud, k['civ'], '1', maker, 'noarch', files))
        rpm_database(tree, kind, packages)
    elif kind == 'dpkg':
        deb = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(arch, arch)
        packages = [('base-files', '1', maker, deb, ['/etc'], '')]
        packages += [(p, '1', kmaker, deb, f, k.get('ksource', ''))
                     for p, f in kernels]
        if cloud:
            packages.append((cloud, k['civ'], maker, 'all', files, ''))
        dpkg_database(tree, packages)
    elif kind in ('apk', 'pacman'):
        base = 'alpine-baselayout' if kind == 'apk' else 'filesystem'
        packages = [(base, '1-1', maker, arch, ['/etc/fstab'])]
        packages += [(p, '1-1', kmaker, arch, f) for p, f in kernels]
        if cloud:
            packages.append((cloud, k['civ'] + '-r0', maker, 'noarch', files))
        (apk_database if kind == 'apk' else pacman_database)(tree, packages)


# --- a tree ---------------------------------------------------------------

def make_init(tree, k, lib):
    kind = k['init']
    if kind == 'systemd':
        tree.put(lib + '/systemd/systemd', elf(k['arch']), 0o755)
        tree.link('/sbin/init', lib + '/systemd/systemd')
        tree.put('/etc/machine-id', MACHINE_ID + '\n')
    elif kind == 'busybox':
        tree.put('/bin/busybox', elf(k['arch']), 0o755)
        tree.link('/sbin/init', '/bin/busybox')
        tree.put('/etc/inittab', '::sysinit:/sbin/openrc sysinit\n'
                 '::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n')
        tree.put('/sbin/openrc', elf(k['arch']), 0o755)
    else:
        tree.put('/sbin/init', elf(k['arch']), 0o755)
        if kind == 'upstart':
            tree.put('/sbin/initctl', elf(k['arch']), 0o755)
            tree.put('/etc/init/rc.conf', 'start on runlevel [0123456]\n')
        if kind != 'upstart' or k['pkg'].startswith('rpm'):
            tree.put('/etc/inittab', 'id:%s:initdefault:\n' %
                     (2 if k['pkg'] == 'dpkg' else 3))


def make_skeleton(tree, k):
    for name in ('bin', 'sbin', 'lib') if wants(k, 'merged') else ():
        tree.mkdir('/usr/' + name)
        tree.link('/' + name, 'usr/' + name)
    for name in ('dev', 'proc', 'sys', 'run', 'tmp', 'boot', 'root', 'etc',
                 'usr/bin', 'usr/lib', 'var/log', 'home'):
        tree.mkdir(name)
    if k['pkg'].startswith('rpm') and 'suse' not in k['net']:
        # chkconfig's: /etc/rc3.d and /etc/init.d are links since long.
        for name in ('init.d', 'rc3.d', 'rc5.d'):
            tree.mkdir('/etc/rc.d/' + name)
            tree.link('/etc/' + name, 'rc.d/' + name)


def make_tree(top, k, parts):
    tree = Tree(top)
    lib = '/usr/lib' if wants(k, 'merged') else '/lib'
    make_skeleton(tree, k)
    for part in ('os', 'net', 'loader', 'fstab', 'ssh', 'udev', 'more', 'ci'):
        if part == 'ci' and not wants(k, 'cloud'):
            continue
        for fragment in [f for f in k.get(part, '').split(',') if f]:
            tree.add(parts[fragment], k)
    if k['cloud'] == 'off':
        tree.put('/etc/cloud/cloud-init.disabled', '')
    make_init(tree, k, lib)
    for name in ('bash', 'ls'):
        if not os.path.lexists(tree.path('/bin/' + name)):
            tree.put('/bin/' + name, elf(k['arch']), 0o755)
    if k['init'] != 'busybox':
        tree.link('/bin/sh', 'bash')
    if not os.path.lexists(tree.path('/etc/hostname')):
        tree.put('/etc/hostname', k['name'] + '\n')
    tree.put('/etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o640)
    for one in reversed(kernels_of(k)):
        put_kernel(tree, one, lib)
    if 'spare' in k:
        spare_images(tree, k, lib)
    make_packages(tree, k)
    return deploy(top, k) if 'ostree' in k else tree


def deploy(top, k):
    """The system becomes ostree's deployments, whose kernels are on /boot;
    the entry of number `boots` is the first."""
    os.rename(top, top + '-system')
    tree, n = Tree(top), int(k['ostree'])
    system, name = top + '-system', k.get('osname', 'fedora-coreos')
    inner = k.get('top', '')
    boot = (inner if k['disk'] == 'root' else '') + '/boot'
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
            with open(system + of_version(k, key), 'rb') as f:
                data = f.read()
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
