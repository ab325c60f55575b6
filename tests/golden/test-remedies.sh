#!/bin/bash
# xrayfs: the commands of a remedy: each is good shell, and those that change
# a guest's files alone, run in a chroot of the guest, make the finding go.
# SPDX-License-Identifier: GPL-2.0-or-later
# The changes are for eval.
# shellcheck disable=SC2016
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/packages.sh"
requires mke2fs python3 unshare
failed=0 n=0
p=import/tencent-cvm-2019

# --- every step of the table ------------------------------------------------
python3 - "$srcdir/src/policy/remedy.c" > "$tmp/steps" << 'END'
import re
import sys
text = open(sys.argv[1], encoding='utf-8').read()
text = text[text.index('steps[] = {'):text.index('/* --- which distribution')]
for topic, strings in re.findall(r'\{ "([^"]+)",[^"]*?((?:"(?:[^"\\]|\\.)*"\s*)+)\}', text):
    commands = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', strings))
    commands = commands.replace('\\n', '\n').replace('\\"', '"').replace('\\\\', '\\')
    # "\\n" of C is "\n" of printf, which the first replacement has broken.
    commands = commands.replace('\\\n', '\\n')
    print('# ' + topic)
    print(commands.replace('@', 'x=1').replace('%', '6.1.0'))
END
steps=$(grep -c '^# ' "$tmp/steps")
[ "$steps" -gt 80 ] || fail "only $steps steps were found in remedy.c"
sh -n "$tmp/steps" || fail "not a shell script"
if command -v shellcheck > /dev/null; then
  shellcheck -s sh "$tmp/steps" || failed=1
else
  note "shellcheck is not installed"
fi

# --- run in the guest -------------------------------------------------------
ns=(unshare --mount)
[ "$(id -u)" = 0 ] || ns=(unshare --user --map-root-user --mount)
"${ns[@]}" true 2> /dev/null || skip "no mount namespaces here ($steps steps are good shell)"

good=$tmp/good
tree "$good"
cp "$good/usr/bin/sh" "$good/usr/sbin/sshd"
mkdir -p "$good"/{dev,etc/{ssh,udev/rules.d,network,cloud/cloud.cfg.d,default},var/lib/dpkg,usr/lib/{cloud-init,python3/dist-packages/cloudinit,systemd/system-generators}} \
  "$good"/etc/systemd/system/{multi-user,cloud-init}.target.wants
unit () { printf '[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=%s\n' "$2" > "$good/etc/systemd/system/$1"; }
unit ssh.service multi-user.target
ln -s ../ssh.service "$good/etc/systemd/system/multi-user.target.wants/"
for u in cloud-init-local cloud-init cloud-config cloud-final; do
  unit $u.service cloud-init.target
  ln -s ../$u.service "$good/etc/systemd/system/cloud-init.target.wants/"
done
unit cloud-init.target ''
echo 'etc_file() { :; }' > "$good/usr/lib/systemd/system-generators/cloud-init-generator"
printf '#!/bin/sh\n' > "$good/usr/lib/cloud-init/ds-identify"
chmod 755 "$good/usr/lib/cloud-init/ds-identify"
echo '__VERSION__ = "22.4.2"' > "$good/usr/lib/python3/dist-packages/cloudinit/version.py"
cp "$good/usr/bin/sh" "$good/usr/bin/cloud-init"
echo 'datasource_list: [ ConfigDrive, None ]' > "$good/etc/cloud/cloud.cfg"
echo 'root:*:19000:0:99999:7:::' > "$good/etc/shadow"
echo 'root:x:0:0::/root:/bin/sh' > "$good/etc/passwd"
printf 'root:x:0:\nshadow:x:42:\n' > "$good/etc/group"
chmod 600 "$good/etc/shadow"
printf 'Package: base-files\nStatus: install ok installed\nVersion: 12\nArchitecture: amd64\n\n' > "$good/var/lib/dpkg/status"
# What the guest's own would be: it writes what it was told.
printf '#!/bin/sh\n. /etc/default/grub; sed -i "s|ro .*|ro $GRUB_CMDLINE_LINUX|" /boot/grub/grub.cfg\n' > "$good/etc/update-grub"
chmod 755 "$good/etc/update-grub"

# in_guest ROOT: runs the script on stdin there, with the host's programs.
in_guest ()
{
  one_in_three || return 0
  cat > "$1/etc/remedy"
  # shellcheck disable=SC2317
  "${ns[@]}" bash -ec '
    cd "$1"
    for d in usr bin sbin lib lib64; do
      [ -d "/$d" ] || continue
      [ ! -L "$d" ] || rm "$d"
      mkdir -p "$d"
      mount --rbind "/$d" "$d"
    done
    : > dev/null
    mount --bind /dev/null dev/null # systemctl knows a mask by it
    exec chroot . /usr/bin/env PATH=/etc:/usr/sbin:/usr/bin:/sbin:/bin \
      /bin/sh -e /etc/remedy' - "$1" || return 1
  rm "$1/etc/remedy"
}

image ()
{
  bare "$1" "$tmp/img"
  # Files belong to root, whoever runs this.
  [ "$(id -u)" = 0 ] || printf 'sif /etc/shadow uid 0\n' | debugfs -w -f - "$tmp/img" > /dev/null 2>&1
}

# guest NAME PATH SAYS CHANGE: after CHANGE the finding holds SAYS, and once
# the remedy has run (less what fetches packages, and
# what is due since the image has no disk around it) it does not.
guest ()
{
  local name=$1 path=$2 says=$3 r=$tmp/$1 remedy
  cp -a "$good" "$r"
  eval "$4"
  image "$r"
  [[ $("$XRAYFS" cat "$tmp/img" "$path") == *"$says"* ]] || {
    note "$name: $path does not say '$says' before: $("$XRAYFS" cat "$tmp/img" "$path")" >&2
    failed=1
    return
  }
  remedy=$("$XRAYFS" cat "$tmp/img" $p/remedy)
  # In a copy, where the host lies over /usr; what it changes elsewhere counts.
  cp -a "$r" "$r.run"
  grep -Ev '^(apt-get|grub-install|make the image) ' <<< "$remedy" | in_guest "$r.run" > "$tmp/log" 2>&1 ||
    { note "$name: the remedy failed: $remedy" >&2; cat "$tmp/log" >&2; failed=1; }
  for d in etc boot var; do rm -rf "${r:?}/$d"; cp -a "$r.run/$d" "$r/$d"; done
  image "$r"
  [[ $("$XRAYFS" cat "$tmp/img" "$path") != *"$says"* ]] || {
    note "$name: $path says '$says' still, after: $remedy" >&2
    failed=1
  }
  rm -rf "$r" "$r.run"
  n=$((n + 1))
}
w=$p/warnings
c=cloud_init_info
uuid=0b1c7f52-3d0e-4c5f-9a61-00000000a11a
guest fstab $w '/dev/vda' 'echo "/dev/sda1 / ext4 defaults 0 1" > "$r/etc/fstab"; sed -i "s|root=UUID=[^ ]*|root=UUID='$uuid'|" "$r/boot/grub/grub.cfg"'
guest fstab-tab $w '/dev/vda' 'printf "# x\n/dev/disk/by-path/x\t/mnt ext4 defaults 0 0\n/dev/sda1\t/\text4 defaults 0 1\n" > "$r/etc/fstab"'
guest other-disk $w 'not in the image' 'echo "UUID=1234-1234 /data ext4 defaults 0 2" >> "$r/etc/fstab"'
guest other-disk-device $w 'not in the image' 'echo "/dev/sdb1 /data ext4 defaults 0 2" >> "$r/etc/fstab"'
guest shadow $w '/etc/shadow' 'chmod 666 "$r/etc/shadow"'
guest ssh-off $w 'reached by SSH' 'rm "$r"/etc/systemd/system/multi-user.target.wants/*'
guest has-run $w 'has run before' 'mkdir -p "$r/var/lib/cloud/instance"'
guest seed $w 'NoCloud' 'echo "datasource_list: [ NoCloud, ConfigDrive ]" > "$r/etc/cloud/cloud.cfg"; mkdir -p "$r/var/lib/cloud/seed/nocloud"; touch "$r"/var/lib/cloud/seed/nocloud/{meta,user}-data'
guest marker $c/enabled no 'touch "$r/etc/cloud/cloud-init.disabled"'
guest policy $c/enabled no 'echo "policy: disabled" > "$r/etc/cloud/ds-identify.cfg"'
# The guest's own /usr is out of sight then, so that no link to the unit stays.
guest masked $c/disabled_by '(masked)' 'rm "$r/etc/systemd/system/cloud-init.service"; cp "$good/etc/systemd/system/cloud-init.service" "$r/usr/lib/systemd/system/"; ln -s /dev/null "$r/etc/systemd/system/cloud-init.service"'
guest off-on-cmdline $c/enabled no 'kernel_cmdline "$r" "quiet cloud-init=disabled"; echo "GRUB_CMDLINE_LINUX=\"quiet cloud-init=disabled\"" > "$r/etc/default/grub"'
guest policy-on-cmdline $c/enabled no 'kernel_cmdline "$r" "ci.di.policy=disabled"; echo "GRUB_CMDLINE_LINUX=\"ci.di.policy=disabled\"" > "$r/etc/default/grub"'
guest datasource $w 'ConfigDrive' 'echo "datasource_list: [ Ec2, None ]" > "$r/etc/cloud/cloud.cfg.d/90.cfg"'
guest datasource-block $w 'ConfigDrive' 'printf "datasource_list: [ Ec2,\n None ]\n" > "$r/etc/cloud/cloud.cfg.d/90.cfg"'
guest console $w 'console shows nothing' 'kernel_cmdline "$r" "console=ttyS1"; echo "GRUB_CMDLINE_LINUX=\"\"" > "$r/etc/default/grub"'
guest net-rules $w 'not be called eth0' 'echo "SUBSYSTEM==\"net\", ATTR{address}==\"00:0c:29:01:02:03\", NAME=\"eth0\"" > "$r/etc/udev/rules.d/70-persistent-net.rules"'
guest dhcp $w 'by DHCP' 'echo "network: {config: disabled}" > "$r/etc/cloud/cloud.cfg.d/99.cfg"; printf "auto eth0\niface eth0 inet static\n address 10.0.0.2/24\n" > "$r/etc/network/interfaces"'
guest dhcp-netplan $w 'by DHCP' 'printf "ID=ubuntu\nVERSION_ID=22.04\n" > "$r/etc/os-release"; mkdir "$r/etc/netplan"; echo "network: {config: disabled}" > "$r/etc/cloud/cloud.cfg.d/99.cfg"; printf "network:\n  ethernets:\n    eth0: {addresses: [10.0.0.2/24]}\n" > "$r/etc/netplan/00.yaml"'
note "$steps steps are good shell; $n guests were cured"
[ "$failed" = 0 ]
