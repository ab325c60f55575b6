#!/usr/bin/env python3
"""Where symbolic links of a guest lead.

  root-links.py make DIR          a root with links that want to get out
  root-links.py guest DIR         where each leads in a chroot, a line each
  root-links.py mount ROOT        where each leads from outside, below ROOT"""
import os
import sys

PARTS = ["..", ".", "a", "b", "abs", "up", "deep", "etc", "file", "nothing",
         "", "a/b", "loop"]


def targets():
    for first in PARTS:
        for second in PARTS:
            for slash in "", "/":
                yield slash + first + "/" + second
                yield slash + first + "/../" + second + "/../../" + first
    yield from ("/", "//", "/..", "/../../../etc", ".", "..", "../..",
                "../../../../../../../../etc", ".//.././//../etc",
                "../" * 200 + "etc", "a/" + "../" * 200 + "etc/file",
                "/proc/self/root/etc", "/proc/self/cwd", "..a/b", "a../..b",
                "x" * 200)


def make_links(where):
    for i, target in enumerate(sorted(set(targets()))):
        os.symlink(target, os.path.join(where, "l%03d" % i))


def make(top):
    for d in "etc", "a/b/c", "usr/bin", "proc/self":
        os.makedirs(os.path.join(top, d))
    for d in "", "a", "a/b", "a/b/c":
        here = os.path.join(top, d)
        with open(os.path.join(here, "file"), "w") as f:
            f.write(d)
        os.symlink("/a/b", os.path.join(here, "abs"))
        os.symlink("..", os.path.join(here, "up"))
        os.symlink("loop", os.path.join(here, "loop"))
        make_links(here)
    with open(os.path.join(top, "etc/os-release"), "w") as f:
        f.write("ID=links\n")
    # Deeper than an id can tell.
    here = os.path.join(top, "deep")
    for depth in range(1, 101):
        os.mkdir(here)
        if depth in (60, 61, 62, 63, 64, 65, 100):
            for i, target in enumerate((
                    "/etc", "/", "../x", "../" * depth + "etc",
                    "../" * (depth + 9) + "etc", "d/../../d", "/../etc/../a",
                    "d/" + "../" * (depth + 5) + "etc", "../" * (depth - 1))):
                os.symlink(target, os.path.join(here, "l%d" % i))
        here = os.path.join(here, "d")


def links(top):
    for here, dirs, files in os.walk(top):
        for name in sorted(dirs + files):
            path = os.path.join(here, name)
            if os.path.islink(path):
                yield path


def leads(path):
    try:
        os.stat(path)  # the kernel's word: realpath walks through files
        return os.path.realpath(path, strict=True)
    except OSError as e:
        return "error %d" % e.errno


def guest(top):
    os.chroot(top)
    os.chdir("/")
    for path in links("/"):
        print(path, leads(path))


def mount(top):
    top = os.path.realpath(top)
    for path in links(top):
        target = os.readlink(path)
        assert not target.startswith("/"), "%s -> %s" % (path, target)
        to = leads(path)
        if to.startswith("/"):
            assert to == top or to.startswith(top + "/"), \
                "%s leads to %s" % (path, to)
            to = to[len(top):] or "/"
        # What leads nowhere, leads nowhere inside.
        lexical = os.path.realpath(path)
        assert lexical == top or lexical.startswith(top + "/"), \
            "%s would lead to %s" % (path, lexical)
        print(path[len(top):], to)


{"make": make, "guest": guest, "mount": mount}[sys.argv[1]](sys.argv[2])
