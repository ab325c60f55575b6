#!/usr/bin/python3
# xrayfs: seeds for fuzz-hive: hives of some forms, and logs of both.
# Usage: make-seeds-hive.py DIR
# Needs hivexregedit.
# SPDX-License-Identifier: GPL-2.0-or-later
import os
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
for name in ('golden', 'images'):
    sys.path.insert(0, os.path.join(here, '..', 'tests', name))
import hive_logs  # noqa: E402
import make_windows  # noqa: E402

START = """[\\A]
"One"=dword:00000001
"Text"="text"
"List"=hex(7):61,00,00,00,62,00,00,00,00,00
"Nine"=hex(b):01,02,03,04,05,06,07,08,09
@="default"

[\\A\\New]
"Text"="x"

[\\B\\C\\D]
"\u4e2d"="\u6587"
"""
MORE = """[\\A\\New]
"Text"="after"
"One"=dword:00000007
"""


def seed(flags, hive, log1=b'', log2=b''):
    return (struct.pack('<III', flags, len(hive), len(log1)) + hive + log1
            + log2)


def main():
    out = sys.argv[1]
    before = make_windows.make_hive([START])
    after = make_windows.make_hive([START, MORE])
    many = make_windows.make_hive(
        ['\n'.join('[\\K%d]\n"V"=dword:%08x\n' % (i, i) for i in range(6))])
    seeds = {'minimal': seed(1, make_windows.minimal_hive()),
             'small': seed(0, before), 'many': seed(1, many)}
    for case in ('old', 'new-two-logs', 'new-no-header'):
        seeds[case] = seed(case == 'new-two-logs',
                           *hive_logs.make(case, before, before[:4096]
                                           + after[4096:], after))
    for name, data in seeds.items():
        with open(os.path.join(out, name), 'wb') as f:
            f.write(data)


main()
