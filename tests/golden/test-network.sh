#!/usr/bin/env bash
# Guests with each way of configuring network cards, and what is said of it.
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/guests.sh"

# No cloud-init, which would write the configuration itself.
plain ()
{
  rm -rf "$r/usr/bin/cloud-init" "$r/etc/cloud" "$r"/usr/lib/python3 \
    "$r"/etc/systemd/system/cloud-init* "$r/etc/network" "$r"/etc/systemd/system/*/cloud-*
}
predictable () { mkdir -p "$r/lib/udev/rules.d"; echo rule > "$r/lib/udev/rules.d/80-net-setup-link.rules"
  mkdir -p "$r/lib/systemd/network"; echo '[Link]' > "$r/lib/systemd/network/99-default.link"; }

n=os/network
guest cloud-init $n/dhcp=yes << 'END'
END

# What Ubuntu's installers leave: the guest's own configuration counts.
guest cloud-init-leaves-it $n/dhcp=no << 'END'
mkdir -p "$r/etc/network"; echo 'network: {config: disabled}' > "$r/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg"
printf 'auto eth0\niface eth0 inet static\n address 10.0.0.2/24\n' > "$r/etc/network/interfaces"
END
guest cloud-init-is-told $n/dhcp=no $n/interfaces="eth0	static	/etc/cloud/cloud.cfg.d/90-installer-network.cfg" << 'END'
printf 'network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [10.0.0.2/24]\n' > "$r/etc/cloud/cloud.cfg.d/90-installer-network.cfg"
END
guest cloud-init-is-told-in-version-1 $n/dhcp=unknown << 'END'
printf 'network:\n  version: 1\n  config:\n    - type: physical\n      name: eth0\n' > "$r/etc/cloud/cloud.cfg.d/90.cfg"
END

guest ifupdown $n/dhcp=yes $n/eth0=yes $n/ipv6=no $n/interfaces="eth0	dhcp	/etc/network/interfaces.d/eth0" << 'END'
plain; mkdir -p "$r/etc/network/interfaces.d"
printf 'source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n' > "$r/etc/network/interfaces"
printf 'allow-hotplug eth0\niface eth0 inet dhcp\n' > "$r/etc/network/interfaces.d/eth0"
END

guest ifupdown-static $n/dhcp=no $n/ipv6=yes << 'END'
plain; mkdir -p "$r/etc/network"
printf 'auto eth0\niface eth0 inet static\n address 10.0.0.2/24\niface eth0 inet6 static\n address 2001:db8::2/64\n' \
  > "$r/etc/network/interfaces"
END

# More names on a line than a few; names that a shell's * leaves out.
guest ifupdown-many $n/dhcp=yes << 'END'
plain; mkdir -p "$r/etc/network"
printf 'auto lo eth9 eth8 eth7 eth6 eth5 eth4 eth3 eth2 eth1 eth0\niface eth0 inet dhcp\n' > "$r/etc/network/interfaces"
END
guest ifupdown-hidden-file $n/interfaces="eth0	dhcp	/etc/network/interfaces.d/eth0" << 'END'
plain; mkdir -p "$r/etc/network/interfaces.d"
echo 'source /etc/network/interfaces.d/*' > "$r/etc/network/interfaces"
printf 'auto eth0\niface eth0 inet dhcp\n' > "$r/etc/network/interfaces.d/eth0"
printf 'iface eth1 inet dhcp\n' > "$r/etc/network/interfaces.d/.eth1.swp"
END
# Each of a few files has all of the next directory read again.
guest ifupdown-fan $n/interfaces=unknown << 'END'
plain; mkdir -p "$r/etc/network"; echo 'source /etc/network/1/*' > "$r/etc/network/interfaces"
for a in 1 2 3 4 5 6; do mkdir "$r/etc/network/$a"
  for b in $(seq 40); do echo "source /etc/network/$((a + 1))/*" > "$r/etc/network/$a/$b"; done; done
END

# Half a million names do not take long.
guest networkd-many-names $n/interfaces=unknown << 'END'
plain; mkdir -p "$r/etc/systemd/network"; { echo '[Match]'; yes Name=a | head -n 500000; } > "$r/etc/systemd/network/a.network"
END

guest predictable-name $n/eth0=no $n/dhcp=no << 'END'
plain; predictable; mkdir -p "$r/etc/network"
printf 'auto ens33\niface ens33 inet dhcp\n' > "$r/etc/network/interfaces"
END

guest ifnames-off $n/eth0=yes $n/dhcp=yes << 'END'
plain; predictable; mkdir -p "$r/etc/network"
printf 'auto eth0\niface eth0 inet dhcp\n' > "$r/etc/network/interfaces"
sed -i 's/ro quiet/ro net.ifnames=0/' "$r/boot/grub/grub.cfg"
END

guest masked-policy $n/eth0=yes << 'END'
plain; predictable; mkdir -p "$r/etc/udev/rules.d"; ln -s /dev/null "$r/etc/udev/rules.d/80-net-setup-link.rules"
END

# SUSE before the merge of /usr: nothing of systemd's is in /lib.
guest predictable-in-usr $n/eth0=no << 'END'
plain; [ ! -L "$r/lib" ] || { rm "$r/lib"; mkdir "$r/lib"; ln -s ../usr/lib/modules "$r/lib/modules"; }
mkdir -p "$r"/usr/lib/{udev/rules.d,systemd/network}; echo rule > "$r/usr/lib/udev/rules.d/80-net-setup-link.rules"
printf '[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel database onboard slot path\n' > "$r/usr/lib/systemd/network/99-default.link"
END
# SLE's systemd does so only where it is asked to.
sle () { predictable; printf 'ID="%s"\nVERSION_ID="%s"\nNAME=x\n' "$1" "$2" > "$r/etc/os-release"; }
guest sles $n/eth0=yes << 'END'
plain; sle sles 15.5
END
guest sles-asked $n/eth0=no << 'END'
plain; sle sles 15.5; sed -i 's/ro quiet/ro net.ifnames=1/' "$r/boot/grub/grub.cfg"
END
guest leap $n/eth0=yes << 'END'
plain; sle opensuse-leap 15.6
END
guest tumbleweed $n/eth0=no << 'END'
plain; sle opensuse-tumbleweed 20240101
END
# A name that a file gives is given without net.ifnames, too.
guest link-name-and-no-ifnames $n/eth0=no << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"; printf '[Match]\nDriver=virtio_net\n[Link]\nName=lan0\n' > "$r/etc/systemd/network/10-lan.link"
sed -i 's/ro quiet/ro net.ifnames=0/' "$r/boot/grub/grub.cfg"
END
guest link-of-another-kind $n/eth0=no << 'END'
plain; predictable; printf '[Match]\nKind=bridge bond team\n[Link]\nNamePolicy=kernel\n' > "$r/lib/systemd/network/98-default-mac-none.link"
END
guest link-kernel-names $n/eth0=yes << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"; printf '[Match]\nOriginalName=*\n[Link]\nNamePolicy=kernel\n' > "$r/etc/systemd/network/99-default.link"
END

guest link-of-virtio $n/eth0=yes << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"; printf '[Match]\nDriver=virtio_net\n[Link]\nName=eth0\n' > "$r/etc/systemd/network/10-eth0.link"
END

guest link-of-the-old-card $n/eth0=no << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"; printf '[Match]\nMACAddress=00:0c:29:01:02:03\n[Link]\nName=eth0\n' > "$r/etc/systemd/network/10-eth0.link"
END

guest link-masked $n/eth0=yes << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"; ln -s /dev/null "$r/etc/systemd/network/99-default.link"
END

guest old-address $n/eth0=no << 'END'
plain; mkdir -p "$r/etc/udev/rules.d"
echo 'SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="00:0c:29:01:02:03", NAME="eth0"' \
  > "$r/etc/udev/rules.d/70-persistent-net.rules"
END

guest ifcfg $n/dhcp=yes $n/interfaces="eth0	dhcp	/etc/sysconfig/network-scripts/ifcfg-eth0" << 'END'
plain; mkdir -p "$r/etc/sysconfig/network-scripts"
printf 'DEVICE="eth0"\nBOOTPROTO="dhcp"\nONBOOT="yes"\nTYPE="Ethernet"\n' > "$r/etc/sysconfig/network-scripts/ifcfg-eth0"
printf 'DEVICE=lo\nONBOOT=yes\n' > "$r/etc/sysconfig/network-scripts/ifcfg-lo"
END

guest ifcfg-of-another-card $n/dhcp=no << 'END'
plain; mkdir -p "$r/etc/sysconfig/network-scripts"
printf 'DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\nHWADDR=00:0C:29:01:02:03\n' > "$r/etc/sysconfig/network-scripts/ifcfg-eth0"
END

guest ifcfg-off $n/dhcp=no $n/interfaces="eth0	off	/etc/sysconfig/network-scripts/ifcfg-eth0" << 'END'
plain; mkdir -p "$r/etc/sysconfig/network-scripts"
printf 'DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=no\n' > "$r/etc/sysconfig/network-scripts/ifcfg-eth0"
END

guest wicked $n/dhcp=yes << 'END'
plain; mkdir -p "$r/etc/sysconfig/network"
printf "BOOTPROTO='dhcp4'\nSTARTMODE='auto'\n" > "$r/etc/sysconfig/network/ifcfg-eth0"
END

guest netplan $n/dhcp=yes $n/eth0=no << 'END'
plain; predictable; mkdir -p "$r/etc/netplan"
printf 'network:\n  version: 2\n  ethernets:\n    any:\n      match: {name: "en*"}\n      dhcp4: true\n' > "$r/etc/netplan/a.yaml"
END

guest netplan-static $n/dhcp=no $n/interfaces="ens33	static	/etc/netplan/a.yaml" << 'END'
plain; predictable; mkdir -p "$r/etc/netplan"
printf 'network:\n  ethernets:\n    ens33:\n      addresses: [10.0.0.2/24]\n' > "$r/etc/netplan/a.yaml"
END

guest netplan-other-driver $n/dhcp=no << 'END'
plain; mkdir -p "$r/etc/netplan"
printf 'network:\n  ethernets:\n    a:\n      match: {driver: vmxnet3}\n      dhcp4: true\n' > "$r/etc/netplan/a.yaml"
END
guest netplan-drivers $n/dhcp=yes << 'END'
plain; mkdir -p "$r/etc/netplan"
printf 'network:\n  ethernets:\n    a:\n      match: {driver: [e1000, "virtio*"]}\n      dhcp4: true\n' > "$r/etc/netplan/a.yaml"
END
guest netplan-deep $n/interfaces=unknown $n/dhcp=unknown << 'END'
plain; mkdir -p "$r/etc/netplan"; yes '{a: [' | head -n 300000 | tr -d '\n' > "$r/etc/netplan/a.yaml"
END
guest netplan-broken $n/interfaces=unknown $n/dhcp=unknown << 'END'
plain; mkdir -p "$r/etc/netplan"; printf 'network: [\n' > "$r/etc/netplan/a.yaml"
END

guest networkd $n/dhcp=yes << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/network"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n' > "$r/etc/systemd/network/20-wired.network"
END

guest keyfile $n/dhcp=no $n/ipv6=no << 'END'
plain; predictable; mkdir -p "$r/etc/NetworkManager/system-connections"
printf '[connection]\nid=a\ntype=ethernet\ninterface-name=ens192\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\n' \
  > "$r/etc/NetworkManager/system-connections/a.nmconnection"
END

guest manager $n/dhcp=yes << 'END'
plain; predictable; mkdir -p "$r/etc/systemd/system/multi-user.target.wants"
ln -s /usr/lib/systemd/system/NetworkManager.service "$r/etc/systemd/system/multi-user.target.wants/"
END

guest only-six $n/dhcp=no $n/ipv6=yes << 'END'
plain; mkdir -p "$r/etc/systemd/network"
printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv6\n' > "$r/etc/systemd/network/a.network"
END

guest nothing $n/dhcp=unknown $n/interfaces= << 'END'
plain
END

exit "$failed"
