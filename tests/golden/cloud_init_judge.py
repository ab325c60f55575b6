#!/usr/bin/env python3
"""Asks cloud-init's own Python which data source it would take.

  cloud_init_judge.py CLOUDINIT   reads lines NAME ROOT; prints NAME yes|no

CLOUDINIT is the directory of its packages.  Each ROOT is a guest after
ds-identify; the provider's disk would be attached.
"""
import logging
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
logging.disable(logging.CRITICAL)
from cloudinit import helpers, importer, settings, util     # noqa: E402
from cloudinit.sources import DataSourceNoCloud             # noqa: E402


def effective_list(root, cmdline):
    """As stages.fetch_base_config merges it."""
    cfg = util.mergemanydict([
        settings.CFG_BUILTIN,
        util.read_conf_with_confd(root + '/etc/cloud/cloud.cfg'),
        util.read_conf(root + '/run/cloud-init/cloud.cfg'),
        util.read_conf_from_cmdline(cmdline) or {}], reverse=True)
    return cfg.get('datasource_list') or []


def nocloud_has_data(root, cmdline):
    util.get_cmdline = lambda: cmdline
    util.find_devs_with = lambda *a, **k: []
    DataSourceNoCloud.dmi.read_dmi_data = lambda *a: None
    paths = helpers.Paths({'cloud_dir': root + '/var/lib/cloud',
                           'run_dir': root + '/run/cloud-init'})
    return DataSourceNoCloud.DataSourceNoCloud({}, None, paths)._get_data()


def as_written(name):
    """Since 23.2 the case does not matter."""
    match = getattr(importer, 'match_case_insensitive_module_name', None)
    return ((match and match(name)) or name).replace('DataSource', '')


for line in sys.stdin:
    name, root = line.split()
    with open(root + '/proc/cmdline', encoding='utf-8') as f:
        cmdline = f.read()
    names = list(effective_list(root, cmdline))
    answer = 'no'
    for ds in map(as_written, names):
        if ds == 'ConfigDrive':
            answer = 'yes'
            break
        if ds == 'NoCloud' and nocloud_has_data(root, cmdline):
            break
    print(name, answer, ' '.join(map(str, names)))
