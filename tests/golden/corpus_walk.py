"""xrayfs: what the tests of filesystems over images made by others share.
SPDX-License-Identifier: GPL-2.0-or-later"""

import collections
import hashlib
import os
import resource
import subprocess

KINDS = {"10": "regular", "04": "dirs", "12": "symlinks"}


def limit():
    if not os.environ.get("SANITIZED"):  # the address sanitizer wants terabytes
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


class Walk:
    """fs-walk, in bounded time and memory, and what it should have said."""

    def __init__(self, program):
        self.program = program
        self.bad = False

    def run(self, *args):
        return subprocess.run([self.program, *args], capture_output=True,
                              timeout=120, preexec_fn=limit)

    def complain(self, entry, *what):
        self.bad = True
        print("FAILED:", entry["id"], *what)

    def tree(self, entry, lines):
        """How many LINES of a listing are of each kind, and where the links
        lead, which is compared with the facts."""
        kinds, links = collections.Counter(), {}
        for line in lines:
            if " mode=" not in line:
                continue
            name, rest = line.split(" mode=", 1)
            kinds[KINDS.get(rest[:2])] += 1
            if " -> " in rest:
                links[name] = rest.split(" -> ", 1)[1].split(" ")[0]
        for k in entry["facts"].get("symlinks", []):
            if links.get(k["path"].replace(" ", "\\x20")) != k["target"]:
                self.complain(entry, "link", k, links.get(k["path"]))
        return kinds, links

    def file(self, entry, f, *args):
        """Has the file F of the facts the bytes that it should have?"""
        got = self.run("--cat", f["path"], *args).stdout
        if hashlib.sha256(got).hexdigest() != f["sha256"]:
            self.complain(entry, f["path"], got[-200:])
