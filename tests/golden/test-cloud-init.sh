#!/usr/bin/env bash
# Guests with each way of starting cloud-init, and of keeping it from that.
# The functions are for the commands on stdin.
# shellcheck disable=SC2317,SC2154,SC2016,SC2034
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/guests.sh"

c=cloud_init_info
# For the commands: nothing of Debian's systemd is left.
bare ()
{
  rm -rf "$r"/etc/systemd "$r"/usr/lib/systemd "$r"/usr/sbin/init
}
init () { bare; echo '#!/bin/sh' > "$r/usr/sbin/init"; }
upstart () { init; touch "$r/usr/sbin/initctl"; mkdir -p "$r/etc/init"; }
sysv () { init; printf '# id:5:initdefault:\nid:%s:initdefault:\n' "$1" > "$r/etc/inittab"
  mkdir -p "$r"/etc/init.d "$r"/etc/rc.d/rc{3,5}.d; echo '#!/bin/sh' > "$r/etc/init.d/cloud-init"; }
openrc () { init; touch "$r/usr/sbin/openrc"; mkdir -p "$r"/etc/{init.d,runlevels/{boot,default}}
  echo '#!/sbin/openrc-run' > "$r/etc/init.d/cloud-init"; }
units () { echo "$r/etc/systemd/system"; }
# The package of Python, elsewhere.
moved () { mkdir -p "$r/$1"; mv "$r/usr/lib/python3/dist-packages/cloudinit" "$r/$1/"; }
identify () { mkdir -p "$r/usr/lib/cloud-init"; echo '#!/bin/sh' > "$r/usr/lib/cloud-init/ds-identify"; chmod 755 "$r/usr/lib/cloud-init/ds-identify"; }
list () { echo "datasource_list: $1" > "$r/etc/cloud/cloud.cfg.d/99.cfg"; }
# The unit as of before 23.4.
real () { printf '[Service]\nExecStart=/usr/bin/cloud-init init\n' > "$r/usr/lib/systemd/system/cloud-init.service"; }
cmdline () { sed -i "s/quiet/$1/" "$r/boot/grub/grub.cfg"; }

# --- installed ------------------------------------------------------------

guest centos6 $c/installed=yes $c/version=0.7.5 << 'END'
moved usr/lib/python2.6/site-packages
echo 'return vr.StrictVersion("0.7.5")' > "$r/usr/lib/python2.6/site-packages/cloudinit/version.py"
END
guest egg $c/installed=yes $c/version=17.1 $c/installed_as=source << 'END'
moved usr/lib/python2.7/site-packages/cloud_init-17.1-py2.7.egg
touch "$r/usr/lib/python2.7/site-packages/cloud_init-17.1-py2.7.egg/cloudinit/__init__.py"
sed -i 's/^Package: cloud-init/&-utils/' "$r/var/lib/dpkg/status"
END
guest zipped-egg $c/installed=yes $c/version=19.4 << 'END'
rm -r "$r/usr/lib/python3"; mkdir -p "$r/usr/local/lib/python3.6/site-packages"
echo PK > "$r/usr/local/lib/python3.6/site-packages/cloud_init-19.4-py3.6.egg"
END
guest lib64 $c/installed=yes << 'END'
moved usr/lib64/python3.12/site-packages
END
guest opt $c/installed=yes << 'END'
moved opt/venvs/ci/lib/python3.9/site-packages
mkdir -p "$r/opt/venvs/ci/bin"; mv "$r/usr/bin/cloud-init" "$r/opt/venvs/ci/bin"
END
guest ubuntu-12.04 $c/installed=yes $c/version=unknown << 'END'
rm "$r"/usr/lib/python3/dist-packages/cloudinit/version.py
touch "$r"/usr/lib/python3/dist-packages/cloudinit/__init__.py
END
guest ignition $c/installed=no $c/flavour=none "$p/reasons/CloudInitNotInstalled=~Ignition" << 'END'
rm -r "$r/usr/bin/cloud-init" "$r/usr/lib/python3"; mkdir -p "$r/usr/lib/dracut/modules.d/30ignition"
END
guest coreos $c/flavour=none "$p/reasons/CloudInitNotInstalled=~coreos-cloudinit" << 'END'
rm -r "$r/usr/bin/cloud-init" "$r/usr/lib/python3"; touch "$r/usr/bin/coreos-cloudinit"
END

# --- systemd --------------------------------------------------------------

guest centos7 $c/enabled=yes << 'END'
rm "$r"/usr/lib/systemd/system-generators/*; mkdir -p "$(units)/multi-user.target.wants"
mv "$(units)"/cloud-init.target.wants/* "$(units)/multi-user.target.wants"
END
guest main-unit $c/enabled=yes << 'END'
touch "$r/usr/lib/systemd/system/cloud-init-main.service"; echo '[Unit]' > "$r/usr/lib/systemd/system/cloud-init-main.service"
ln -s x "$(units)/cloud-init.target.wants/cloud-init-main.service"
END
# The unit of all stages is not wanted, others are.
guest main-unit-off cloud_init=unknown << 'END'
echo '[Unit]' > "$r/usr/lib/systemd/system/cloud-init-main.service"
END
guest network-unit $c/enabled=yes << 'END'
mv "$r"/usr/lib/systemd/system/cloud-init{,-network}.service
mv "$(units)"/cloud-init.target.wants/cloud-init{,-network}.service
END
guest vendor-wants $c/enabled=yes << 'END'
mv "$(units)/cloud-init.target.wants" "$r/usr/lib/systemd/system/"
END
guest no-generator-target-wanted $c/enabled=yes << 'END'
rm "$r"/usr/lib/systemd/system-generators/*; echo '[Unit]' > "$r/usr/lib/systemd/system/cloud-init.target"
mkdir -p "$(units)/multi-user.target.wants"; ln -s x "$(units)/multi-user.target.wants/cloud-init.target"
END
guest no-generator cloud_init=unknown $c/enabled=unknown << 'END'
rm "$r"/usr/lib/systemd/system-generators/*
END
guest unit-file-gone cloud_init=no << 'END'
rm "$r"/usr/lib/systemd/system/cloud-init.service
END
guest empty-unit-masks cloud_init=no "$p/remedy=~systemctl unmask cloud-init.service" << 'END'
: > "$(units)/cloud-init.service"
END
guest target-masked cloud_init=no $c/disabled_by="/etc/systemd/system/cloud-init.target (masked)" << 'END'
ln -s /dev/null "$(units)/cloud-init.target"
END
guest local-masked cloud_init=unknown << 'END'
ln -s /dev/null "$(units)/cloud-init-local.service"
END
guest final-masked $c/enabled=yes << 'END'
ln -s /dev/null "$(units)/cloud-final.service"
END
guest marker cloud_init=no "$p/remedy=rm -f /etc/cloud/cloud-init.disabled" << 'END'
touch "$r/etc/cloud/cloud-init.disabled"
END
guest marker-and-enabled cloud_init=yes << 'END'
touch "$r/etc/cloud/cloud-init.disabled"; cmdline cloud-init=enabled; real
END
# No generator, and units that do not look: nothing heeds the marker.
guest centos7-marker cloud_init=yes << 'END'
rm "$r"/usr/lib/systemd/system-generators/*; mkdir -p "$(units)/multi-user.target.wants"
mv "$(units)"/cloud-init.target.wants/* "$(units)/multi-user.target.wants"; touch "$r/etc/cloud/cloud-init.disabled"; real
END
guest condition cloud_init=no $c/disabled_by="cloud-init=disabled on the kernel command line" << 'END'
rm "$r"/usr/lib/systemd/system-generators/*; mkdir -p "$(units)/multi-user.target.wants" "$(units)/cloud-init.service.d"
mv "$(units)"/cloud-init.target.wants/* "$(units)/multi-user.target.wants"; cmdline cloud-init=disabled
printf '[Unit]\nConditionKernelCommandLine=!cloud-init=disabled\n' > "$(units)/cloud-init.service.d/off.conf"
END
# 23.4: the generator leaves the switches to ds-identify.
guest new-generator cloud_init=no $c/disabled_by=/etc/cloud/cloud-init.disabled << 'END'
identify; echo '$dsidentify' > "$r/usr/lib/systemd/system-generators/cloud-init-generator"
touch "$r/etc/cloud/cloud-init.disabled"; cmdline cloud-init=enabled
END
guest first-boot cloud_init=unknown << 'END'
rm -r "$(units)" "$r"/usr/lib/systemd/system-generators; echo '[Install]' >> "$r/usr/lib/systemd/system/cloud-init.service"
END

# --- ds-identify ----------------------------------------------------------

guest policy-without-ds-identify $c/enabled=yes << 'END'
cmdline ci.di.policy=disabled
END
guest policy-on-cmdline cloud_init=no "$p/remedy=~ci.di.policy=disabled" << 'END'
identify; cmdline ci.di.policy=disabled
END
guest cmdline-wins $c/enabled=yes << 'END'
identify; cmdline ci.di.policy=enabled; echo 'policy: disabled' > "$r/etc/cloud/ds-identify.cfg"
END
guest searched $c/enabled=yes << 'END'
identify; list '[ NoCloud, ConfigDrive, Ec2 ]'
END
guest found-nowhere cloud_init=unknown "$p/warnings=~ConfigDrive" << 'END'
identify; list '[ NoCloud, Ec2, Azure ]'
END
guest found-nowhere-and-enabled $c/enabled=yes << 'END'
identify; list '[ NoCloud, Ec2 ]'; echo 'policy: search,notfound=enabled' > "$r/etc/cloud/ds-identify.cfg"
END
guest one-and-none $c/enabled=yes << 'END'
identify; list '[ Ec2, None ]'
END

# The generator runs before drivers of the root filesystem (seen with Debian
# 12 and MODULES=list: tests/boot).
cdrom () { mkdir -p "$m/kernel/drivers/scsi"; touch "$m/kernel/drivers/scsi/sr_mod.ko"
  echo "kernel/drivers/scsi/sr_mod.ko:" >> "$m/modules.dep"; }
guest no-cdrom-yet cloud_init=unknown $p/verdict=pass "$p/warnings=~CD-ROM" "$p/remedy=~ConfigDrive, None" << 'END'
identify; list '[ NoCloud, ConfigDrive, Ec2 ]'; cdrom
END
guest cdrom-in-initramfs cloud_init=yes $p/warnings= << 'END'
identify; list '[ NoCloud, ConfigDrive, Ec2 ]'; cdrom; mkdir -p "$i/lib/modules/$v/kernel/drivers/scsi"; cp "$m/kernel/drivers/scsi/sr_mod.ko" "$i/lib/modules/$v/kernel/drivers/scsi"
END
guest no-search-for-cdrom cloud_init=yes $p/warnings= << 'END'
identify; list '[ ConfigDrive, None ]'; cdrom
END
# OpenRC runs ds-identify when hwdrivers has loaded what the hardware needs.
guest no-cdrom-but-openrc cloud_init=yes $p/warnings= << 'END'
identify; cdrom; openrc; touch "$r/etc/init.d/cloud-init-ds-identify"
list '[ NoCloud, ConfigDrive, Ec2 ]'
for s in cloud-init cloud-init-ds-identify; do ln -s /etc/init.d/$s "$r/etc/runlevels/boot/$s"; done
ln -s /etc/init.d/sshd "$r/etc/runlevels/default/sshd"; touch "$r/etc/init.d/sshd"
END
guest no-cdrom-and-enabled cloud_init=yes $p/warnings= << 'END'
identify; cdrom; echo 'policy: search,notfound=enabled' > "$r/etc/cloud/ds-identify.cfg"
END

# --- data sources ---------------------------------------------------------

guest last-file-wins "$c/datasources=Ec2" << 'END'
list '[ Ec2 ]'; echo 'datasource_list: [ ConfigDrive ]' > "$r/etc/cloud/cloud.cfg.d/10.cfg"
echo 'datasource_list: [ OVF ]' > "$r/etc/cloud/cloud.cfg.d/99.cfg.rpmnew"
END
guest nested-is-not-it "$c/datasources=ConfigDrive
None" << 'END'
echo 'x: {datasource_list: [ Ec2 ]}' > "$r/etc/cloud/cloud.cfg.d/99.cfg"
END
guest block-list "$c/datasources=NoCloud
Ec2" << 'END'
printf 'datasource_list:\n  - NoCloud\n  - "Ec2"\n' > "$r/etc/cloud/cloud.cfg.d/99.cfg"
END
guest empty-list "$c/datasources=" "$p/warnings=~does not have ConfigDrive" << 'END'
list '[ ]'
END
guest empty-list-and-ds-identify "$c/datasources=" $p/warnings= << 'END'
identify; list '[ ]'
END
guest no-list "$c/datasources=" "$p/warnings=~does not have ConfigDrive" << 'END'
list ConfigDrive
END
guest conf-d "$c/datasources=Ec2" << 'END'
mkdir "$r/etc/other"; echo 'conf_d: /etc/other' >> "$r/etc/cloud/cloud.cfg"; echo 'datasource_list: [ Ec2 ]' > "$r/etc/other/a.cfg"
END
guest on-cmdline "$c/datasources=nocloud" << 'END'
list '[ NoCloud, ConfigDrive ]'; cmdline 'ds=nocloud;s=x'
END

# --- other init systems ---------------------------------------------------

guest upstart $c/enabled=yes << 'END'
upstart; printf 'start on mounted\nexec x\n' > "$r/etc/init/cloud-init.conf"
END
guest upstart-manual cloud_init=no << 'END'
upstart; echo 'start on mounted' > "$r/etc/init/cloud-init.conf"; echo manual > "$r/etc/init/cloud-init.override"
END
guest upstart-job-beside-systemd cloud_init=no << 'END'
mkdir "$r/etc/init"; echo 'start on mounted' > "$r/etc/init/cloud-init.conf"; rm -r "$(units)" "$r"/usr/lib/systemd/system{,-generators}
END
guest sysv cloud_init=yes << 'END'
sysv 3; ln -s /etc/init.d/cloud-init "$r/etc/rc.d/rc3.d/S52cloud-init"
END
guest sysv-other-runlevel cloud_init=no "$p/remedy=~update-rc.d" << 'END'
sysv 3; ln -s ../../init.d/cloud-init "$r/etc/rc.d/rc5.d/S52cloud-init"; ln -s x "$r/etc/rc.d/rc3.d/K52cloud-init"
END
guest sysv-dangling cloud_init=no << 'END'
sysv 3; ln -s ../gone "$r/etc/rc.d/rc3.d/S52cloud-init"
END
# The script of CentOS 6 does not look for it.
guest sysv-marker cloud_init=yes << 'END'
sysv 3; ln -s /etc/init.d/cloud-init "$r/etc/rc.d/rc3.d/S52cloud-init"; touch "$r/etc/cloud/cloud-init.disabled"
END
guest openrc cloud_init=yes << 'END'
openrc; ln -s /etc/init.d/cloud-init "$r/etc/runlevels/default/cloud-init"
END
guest openrc-off cloud_init=no << 'END'
openrc
END
guest openrc-marker cloud_init=no << 'END'
openrc; ln -s /etc/init.d/cloud-init "$r/etc/runlevels/default/cloud-init"
echo 'test -e /etc/cloud/cloud-init.disabled' >> "$r/etc/init.d/cloud-init"; touch "$r/etc/cloud/cloud-init.disabled"
END

# Targets that want each other are followed once: in all orders it would take
# years.
guest wants-each-other cloud_init=unknown << 'END'
rm "$(units)"/*.wants/cloud-*
printf '[Unit]\n' > "$(units)/t1.target"
for a in $(seq 20); do
  [ $a = 1 ] || ln "$(units)/t1.target" "$(units)/t$a.target"
  mkdir "$(units)/t$a.target.wants"
  for b in cloud-init.service t{1..20}.target; do ln "$(units)/t1.target" "$(units)/t$a.target.wants/$b"; done
done
END

# --- the script of a forced import ----------------------------------------

reader='#!/bin/sh
mount /dev/sr0 /mnt; . /mnt/qcloud_action/os.conf'
guest rc-local $c/forced_import=yes << 'END'
echo "$reader" > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"
END
guest rc-local-off $c/forced_import=no << 'END'
echo "$reader" > "$r/etc/rc.local"; chmod 644 "$r/etc/rc.local"
END
guest comment $c/forced_import=no << 'END'
printf '#!/bin/sh\n# . /mnt/qcloud_action/os.conf\n' > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"
END
guest rc-local-masked $c/forced_import=no << 'END'
echo "$reader" > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"; ln -s /dev/null "$(units)/rc-local.service"
END
guest called-by-shell $c/forced_import=yes << 'END'
echo "$reader" > "$r/usr/bin/os_config"; printf '#!/bin/sh\n. /usr/bin/os_config\n' > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"
END
guest called-in-a-comment $c/forced_import=no << 'END'
echo "$reader" > "$r/usr/bin/os_config"; printf '#!/bin/sh\n# sh /usr/bin/os_config\n' > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"
END
guest called-not-executable $c/forced_import=no << 'END'
echo "$reader" > "$r/usr/bin/os_config"; printf '#!/bin/sh\n/usr/bin/os_config\n' > "$r/etc/rc.local"; chmod 755 "$r/etc/rc.local"
END
guest unit-of-rescue $c/forced_import=no << 'END'
echo "$reader" > "$r/usr/bin/os_config"; mkdir -p "$(units)/rescue.target.wants"
printf '[Service]\nExecStart=/bin/sh /usr/bin/os_config\n' > "$(units)/os_config.service"
ln -s ../os_config.service "$(units)/rescue.target.wants/"
END
guest local.d $c/forced_import=yes << 'END'
openrc; mkdir "$r/etc/local.d"; echo "$reader" > "$r/etc/local.d/a.start"; chmod 755 "$r/etc/local.d/a.start"
touch "$r/etc/init.d/local"; ln -s /etc/init.d/local "$r/etc/runlevels/default/local"
END
guest local.d-not-started $c/forced_import=no << 'END'
openrc; mkdir "$r/etc/local.d"; echo "$reader" > "$r/etc/local.d/a.start"; chmod 755 "$r/etc/local.d/a.start"
END
guest upstart-job $c/forced_import=yes << 'END'
upstart; printf 'start on startup\nscript\n%s\nend script\n' "$reader" > "$r/etc/init/import.conf"
END
guest upstart-job-manual $c/forced_import=no << 'END'
upstart; printf 'start on startup\nmanual\nscript\n%s\nend script\n' "$reader" > "$r/etc/init/import.conf"
END
# Ubuntu 16.04 has jobs that its systemd does not run.
guest upstart-job-of-systemd $c/forced_import=no << 'END'
mkdir "$r/etc/init"; printf 'start on startup\nscript\n%s\nend script\n' "$reader" > "$r/etc/init/import.conf"
END
guest cron $c/forced_import=yes << 'END'
echo "$reader" > "$r/usr/bin/os_config"; chmod 755 "$r/usr/bin/os_config"; mkdir -p "$r/etc/cron.d" "$(units)/multi-user.target.wants"
echo '@reboot root /usr/bin/os_config' > "$r/etc/cron.d/os"; echo '[Unit]' > "$(units)/cron.service"
ln -s ../cron.service "$(units)/multi-user.target.wants/"
END
guest cron-other-time $c/forced_import=no << 'END'
echo "$reader" > "$r/usr/bin/os_config"; chmod 755 "$r/usr/bin/os_config"; mkdir -p "$r/etc/cron.d" "$(units)/multi-user.target.wants"
echo '0 5 * * * root /usr/bin/os_config' > "$r/etc/cron.d/os"; echo '[Unit]' > "$(units)/cron.service"
ln -s ../cron.service "$(units)/multi-user.target.wants/"
END
guest cron-off $c/forced_import=no << 'END'
echo "$reader" > "$r/usr/bin/os_config"; chmod 755 "$r/usr/bin/os_config"; mkdir -p "$r/etc/cron.d"; echo '@reboot root /usr/bin/os_config' > "$r/etc/cron.d/os"
END
guest called-by-a-unit $c/forced_import=yes << 'END'
echo "$reader" > "$r/usr/bin/os_config"; chmod 755 "$r/usr/bin/os_config"; mkdir -p "$(units)/multi-user.target.wants"
printf '[Service]\nExecStart=/usr/bin/os_config\n' > "$(units)/os_config.service"
ln -s ../os_config.service "$(units)/multi-user.target.wants/"
END
guest script-without-link $c/forced_import=no "$p/reasons/CloudInitNotInstalled=~lacks" << 'END'
mkdir "$r/etc/init.d"; echo "$reader" > "$r/etc/init.d/os_config"; rm -r "$r/usr/bin/cloud-init" "$r/usr/lib/python3"
END
guest script-with-link $c/forced_import=yes << 'END'
sysv 3; echo "$reader" > "$r/etc/init.d/os_config"; chmod 755 "$r/etc/init.d/os_config"; ln -s /etc/init.d/os_config "$r/etc/rc.d/rc3.d/S99os_config"
END

exit "$failed"
