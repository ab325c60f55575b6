#!/usr/bin/env python3
"""The seeds of fuzz-guest: small guests, of what each parser reads."""
import os
import sys

# Enough of ds-identify's text for what is asked of it.
IDENTIFY = ('#!/bin/sh\nDI_DEFAULT_POLICY="search,notfound=${DI_DISABLED}"\n'
            'DI_DEFAULT_POLICY_NO_DMI="search,notfound=${DI_ENABLED}"\n')
READER = '#!/bin/sh\n. /mnt/qcloud_action/os.conf\n'
GUESTS = {
    'debian': ('ro ci.di.policy=search net.ifnames=0', 'systemd', {
        '/etc/cloud/cloud.cfg': 'datasource_list: [ None ]\n',
        '/etc/cloud/cloud.cfg.d/90_dpkg.cfg':
            "datasource_list: [ NoCloud, 'ConfigDrive', None ] # x\n",
        '/etc/cloud/ds-identify.cfg': 'policy: search,notfound=enabled\n',
        '/usr/lib/cloud-init/ds-identify':
            IDENTIFY + 'out=$(grep "$key" $file)\n',
        '/lib/systemd/system-generators/cloud-init-generator':
            'dsidentify\n',
        '/lib/systemd/system/cloud-init.service':
            '[Service]\nExecStart=x\n[Unit]\nConditionPathExists=!/x\n'
            '[Install]\n',
        '/lib/systemd/system/ssh.service':
            '[Unit]\nConditionPathExists=!/a\nConditionVirtualization=\n',
        '/etc/systemd/system/ssh.service.d/a.conf': 'Condition=|x\n',
        '/etc/systemd/system/cloud-init.target.wants/cloud-init.service@':
            '/lib/systemd/system/cloud-init.service',
        '/etc/systemd/system/multi-user.target.wants/a.service': 'x',
        '/etc/systemd/system/a.service': '[Service]\nExecStart=/opt/a\n',
        '/opt/a': READER,
        '/etc/network/interfaces':
            'source interfaces.d/*\nauto lo \\\n eth0\n'
            'iface eth0 inet dhcp\niface eth0 inet6 static\n',
        '/etc/network/interfaces.d/b': 'allow-hotplug e*\n',
        '/etc/rc.local': '#!/bin/sh\nsh /opt/a &\n',
        '/etc/crontab': '@reboot root /opt/a\n',
        '/var/lib/cloud/seed/nocloud/meta-data': 'x',
        '/var/lib/cloud/seed/nocloud/user-data': 'x'}),
    'ubuntu': ('cc:{datasource_list: [ Ec2 ]} ds=nocloud;s=x', 'systemd', {
        '/etc/cloud/cloud.cfg.d/90.cfg':
            'network: {config: disabled}\nconf_d: /etc/x\n',
        '/etc/netplan/50-cloud-init.yaml':
            'network:\n  version: 2\n  ethernets:\n    a:\n      match:\n'
            '        macaddress: 52:54:00:12:34:56\n      dhcp4: true\n'
            '      set-name: eth0\n',
        '/lib/netplan/60.yaml':
            'network: {ethernets: {a: {dhcp4: no, activation-mode: off,'
            ' addresses: [10.0.0.2/24, "2001:db8::2/64": {label: x}]}}}\n',
        '/usr/lib/udev/rules.d/80-net-setup-link.rules': 'x',
        '/etc/systemd/network/10.link':
            '[Match]\nDriver=virtio_net\n[Link]\nName=eth0\n',
        '/usr/lib/systemd/network/99-default.link':
            '[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep path\n',
        '/etc/systemd/network/a.network':
            '[Match]\nName=en* eth*\nName=\nName=x\n[Network]\nDHCP=ipv4\n'
            '[Address]\nAddress=10.0.0.2/24\n'}),
    'redhat': ('', 'systemd', {
        '/etc/sysconfig/network-scripts/ifcfg-eth0':
            'DEVICE="eth0"\nBOOTPROTO=none\nONBOOT=yes\nIPADDR=10.0.0.2\n'
            'HWADDR=52:54:00:12:34:56\nIPV6ADDR=2001:db8::2\n',
        '/etc/NetworkManager/system-connections/a.nmconnection':
            '[connection]\ntype=ethernet\ninterface-name=eth0\n'
            'autoconnect=true\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=manual\n',
        '/etc/udev/rules.d/70-persistent-net.rules':
            'ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n'}),
    'old': ('', 'upstart', {
        '/etc/inittab': 'id:3:initdefault:\n',
        '/etc/init.d/ssh': READER,
        '/etc/rc3.d/S20ssh@': '../init.d/ssh',
        '/etc/init/cloud-init.conf':
            'start on mounted\n# cloud-init.disabled\n',
        '/etc/init/cloud-init.override': 'manual\n'}),
    'alpine': ('', 'openrc', {
        '/etc/init.d/local': 'x', '/etc/init.d/cloud-init': 'x',
        '/etc/runlevels/default/local@': '/etc/init.d/local',
        '/etc/runlevels/boot/cloud-init@': '/etc/init.d/cloud-init',
        '/etc/runlevels/boot/cloud-init-ds-identify': 'x',
        '/usr/lib/cloud-init/ds-identify': IDENTIFY,
        '/etc/local.d/a.start': READER}),
}

directory = sys.argv[1]
os.makedirs(directory, exist_ok=True)
for name, (cmdline, init, files) in GUESTS.items():
    texts = [cmdline, init]
    for path, content in files.items():
        texts += [path, content]
    with open(os.path.join(directory, name), 'wb') as out:
        out.write(b''.join(text.encode() + b'\0' for text in texts))
