#!/usr/bin/env python3
"""Writes contents onto the extents of a logical volume, as the tools of LVM
report them: no code of ours tells where they lie.

  lvm.py write REPORT NAME CONTENTS

REPORT is what tests/golden/lvm.sh's report made; NAME is the volume's name,
CONTENTS a file.  The devices are written in place.
"""
import json
import sys


def pieces(segment, extent, stripe):
    """Of a segment: (device, offset in its extents, length), in order."""
    legs = []
    for part in segment["seg_pe_ranges"].split():
        device, _, extents = part.rpartition(":")
        first, last = map(int, extents.split("-"))
        legs.append((device, first * extent, (last - first + 1) * extent))
    if len(legs) == 1:
        yield legs[0]
        return
    for row in range(legs[0][2] // stripe):
        for device, first, _ in legs:
            yield device, first + row * stripe, stripe


def write(report, name, contents):
    starts = {pv["pv_name"]: int(pv["pe_start"]) for pv in report["pv"]}
    extent = int(report["vg"][0]["vg_extent_size"])
    with open(contents, "rb") as source:
        for segment in report["seg"]:
            if segment["lv_name"].strip("[]") != name:
                continue
            source.seek(int(segment["seg_start"]))
            for device, off, length in pieces(
                segment, extent, int(segment["stripe_size"])
            ):
                with open(device, "r+b") as to:
                    to.seek(starts[device] + off)
                    to.write(source.read(length))


with open(sys.argv[2]) as f:
    parts = json.load(f)["report"][0]
write(parts, sys.argv[3], sys.argv[4])
