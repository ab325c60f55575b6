"""xrayfs: what the scripts that make seeds share.
SPDX-License-Identifier: GPL-2.0-or-later

The sparse form, which the targets expand: records of an offset, a length and
bytes; between them are zeros."""

import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Zeros, if they are few, cost less than a record.
RUN = re.compile(rb"[^\0](?:[^\0]|\0{1,15}(?=[^\0]))*")


def records(*pairs):
    """The sparse form of (offset, bytes)..."""
    return b"SPRS" + b"".join(struct.pack(">IH", at, len(data)) + data
                              for at, data in pairs)


def sparse(data):
    """The sparse form of DATA; its last byte says how long it is."""
    pairs = [(at, data[at:min(at + 0xffff, m.end())])
             for m in RUN.finditer(data)
             for at in range(m.start(), m.end(), 0xffff)]
    return records(*pairs, (len(data) - 1, data[-1:]))


def write(corpora):
    """Writes {corpus: {name: bytes}} below argv[1], or fuzz/corpus; a single
    corpus goes to argv[1] itself."""
    top = sys.argv[1] if len(sys.argv) > 1 else None
    for corpus, seeds in corpora.items():
        out = os.path.join(HERE, "corpus", corpus)
        if top:
            out = top if len(corpora) == 1 else os.path.join(top, corpus)
        os.makedirs(out, exist_ok=True)
        for name, data in seeds.items():
            with open(os.path.join(out, name), "wb") as f:
                f.write(data)
