#!/usr/bin/python3
# xrayfs: makes the guests of a table and compares what is said of each.
# Usage: windows.py XRAYFS TABLE DIR
# SPDX-License-Identifier: GPL-2.0-or-later
import json
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '..', 'images'))
import make_windows  # noqa: E402

POLICY = 'import/tencent-cvm-2019'


def parse(path):
    """The guests: (name, base, overlays, expectations)."""
    bases, guests, current = {}, [], None
    for line in open(path, encoding='utf-8'):
        line = line.rstrip('\n')
        if not line or line.startswith('#'):
            continue
        if line.startswith(' '):
            where, _, value = line.strip().partition(' ')
            current[where.replace('$p', POLICY)] = value
            continue
        words = line.split()
        current = {}
        if words[0] == 'base':
            bases[words[1]] = current
        else:
            guests.append((words[1], words[2], words[3:], current))
    return [(n, b, o, {**bases['all'], **bases[b], **own})
            for n, b, o, own in guests]


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
    if wanted.startswith('~'):
        return wanted[1:] in value
    if wanted.startswith('!'):
        return wanted[1:] not in value
    return value == wanted


def main():
    xrayfs, table, tmp = sys.argv[1:]
    failed = 0
    for name, base, overlays, wanted in parse(table):
        image = os.path.join(tmp, 'disk.img')
        layout = [o for o in overlays if o in make_windows.LAYOUTS]
        make_windows.make_image(
            image, layout + ['windows-' + base] + [
                'windows-overlays/' + o for o in overlays
                if o not in layout])
        report = json.loads(subprocess.run(
            [xrayfs, 'report', '--format', 'json', image], check=True,
            stdout=subprocess.PIPE).stdout)
        for path, value in wanted.items():
            try:
                is_value = got(xrayfs, image, report, path)
            except KeyError:
                is_value = '(not there)'
            if not matches(is_value, value):
                print("%s of %s: %s is '%s', not '%s'"
                      % (name, base, path, is_value, value))
                failed += 1
    sys.exit(failed > 0)


main()
