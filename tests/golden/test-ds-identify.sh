#!/bin/bash
# xrayfs: is cloud-init started, and would it take the configuration drive?
# Judged by Debian's own cloud-init: its generator, ds-identify and Python run
# over the trees that the images are made of.
# SPDX-License-Identifier: GPL-2.0-or-later
# The changes are for eval.
# shellcheck disable=SC2016
. "${srcdir:-.}/tests/functions.sh"
takes_long
. "$srcdir/tests/golden/packages.sh"
requires mke2fs apt-get dpkg-deb python3 dash

# XRAYFS_CLOUD_INIT: the package of another version, unpacked.
pkg=$(unpacked cloud-init python3-configobj python3-yaml python3-jinja2 \
  python3-markupsafe python3-requests python3-urllib3 python3-idna \
  python3-chardet python3-certifi python3-six python3-jsonpatch \
  python3-json-pointer) || skip "cloud-init's package cannot be fetched"
ci=${XRAYFS_CLOUD_INIT:-$pkg}
generator=$ci/lib/systemd/system-generators/cloud-init-generator
identify=$ci/usr/lib/cloud-init/ds-identify
version=$(sed -n 's/^__VERSION__ = "\([^"]*\)".*/\1/p' \
  "$ci/usr/lib/python3/dist-packages/cloudinit/version.py")

# The guest: Debian's files as they are installed.
good=$tmp/good
tree "$good"
mkdir -p "$good/etc/cloud" "$good"/usr/lib/{cloud-init,systemd/system-generators,python3/dist-packages/cloudinit} \
  "$good/etc/systemd/system/cloud-init.target.wants"
cp -r "$ci/etc/cloud/." "$good/etc/cloud"
cp "$identify" "$good/usr/lib/cloud-init"
cp "$generator" "$good/usr/lib/systemd/system-generators"
cp "$ci"/lib/systemd/system/cloud-* "$good/usr/lib/systemd/system"
cp "$ci/usr/lib/python3/dist-packages/cloudinit/version.py" "$good/usr/lib/python3/dist-packages/cloudinit"
cp "$ci/usr/bin/cloud-init" "$good/usr/bin"
for unit in "$good"/usr/lib/systemd/system/cloud-*.service; do
  ! grep -q 'WantedBy=cloud-init.target' "$unit" ||
    ln -s "/lib/systemd/system/${unit##*/}" "$good/etc/systemd/system/cloud-init.target.wants/"
done
echo 'datasource_list: [ NoCloud, ConfigDrive, OpenNebula, Azure, Ec2, None ]' \
  > "$good/etc/cloud/cloud.cfg.d/90_dpkg.cfg"

# The machine: the provider's.
mkdir "$tmp/bin"
machine=x86_64
printf '#!/bin/sh\nprintf "DEVNAME=/dev/sr0\\nLABEL=config-2\\nTYPE=iso9660\\n"\n' > "$tmp/bin/blkid"
printf '#!/bin/sh\n[ $# = 0 ] || exit 1\necho kvm\n' > "$tmp/bin/systemd-detect-virt"
printf '#!/bin/sh\nexit 1\n' > "$tmp/bin/dmidecode"
printf '#!/bin/sh\n[ $1 = -svm ] && echo Linux 1 "$machine" || echo Linux host 6.1.0 1 "$machine" GNU/Linux\n' > "$tmp/bin/uname"
chmod 755 "$tmp"/bin/*

# started ROOT: what the generator decides, yes or no.
started ()
{
  local r=$1
  mkdir -p "$r/run/early" "$r/run/cloud-init"
  sed "s|/etc/cloud|$r&|g; s|/run/cloud-init|$r&|g; s|/proc/cmdline|$r&|g
    s|/usr/lib/cloud-init/ds-identify|$r&|" \
    "$r/usr/lib/systemd/system-generators/cloud-init-generator" > "$tmp/generator"
  # The new one looks at the marker with its whole path.
  [ ! -x "$r/usr/lib/cloud-init/ds-identify" ] ||
    sed -i "s|\[ -f /etc/cloud/|[ -f $r/etc/cloud/|" "$r/usr/lib/cloud-init/ds-identify"
  env -i PATH="$tmp/bin:$PATH" PATH_ROOT="$r" machine="$machine" dash "$tmp/generator" \
    "$r/run/normal" "$r/run/early" "$r/run/late" > "$tmp/log" 2>&1 || true
  if [ -L "$r/run/early/multi-user.target.wants/cloud-init.target" ]; then echo yes; else echo no; fi
}

failed=0 n=0 c=cloud_init_info
# guest NAME COMMANDLINE CHANGE: CHANGE is evaluated with $r, the root. A name
# that ends with "?" may be unknown: no drive in the list, and no policy.
guest ()
{
  one_in_three || return 0
  local name=${1%\?} r=$tmp/guest/${1%\?} may='' on drive why started
  [ "$name" = "$1" ] || may=yes
  mkdir -p "$tmp/guest"
  cp -a "$good" "$r"
  kernel_cmdline "$r" "$2"
  eval "$3"
  bare "$r" "$tmp/img"
  "$XRAYFS" cat "$tmp/img" $c/enabled format $c/datasources format \
    evidence/$c/datasources > "$tmp/said"
  on=$(sed '/^raw$/Q' "$tmp/said")
  drive=$(sed '0,/^raw$/d; /^raw$/Q' "$tmp/said")
  why=$(sed '0,/^raw$/d' "$tmp/said" | sed '0,/^raw$/d')
  started=$(started "$r")
  [ "$on" = "$started" ] || { [ "$on" = unknown ] && [ -n "$may" ]; } || {
    note "$name: enabled is $on, and the generator says $started" >&2
    "$XRAYFS" cat "$tmp/img" evidence/cloud_init_info/enabled >&2
    failed=1
  }
  n=$((n + 1))
  [ "$started" = yes ] || return 0
  case $why in
  because:*) echo "$name no" ;;
  *) case $drive in
    '' | [Cc]onfig[Dd]rive* | *$'\n'ConfigDrive*) echo "$name yes" ;;
    *) echo "$name no" ;;
    esac ;;
  esac >> "$tmp/answers"
  echo "$name $r" >> "$tmp/asked"
}
list () { printf '%b' "$1" > "$r/etc/cloud/cloud.cfg.d/99.cfg"; }
own () { printf '%b' "$1" > "$r/etc/cloud/ds-identify.cfg"; }
file () { mkdir -p "$(dirname "$r/$1")"; printf '%b' "${2-}" > "$r/$1"; }

# --- how a list is written --------------------------------------------------
guest as-installed '' ''
guest unset '' 'rm "$r"/etc/cloud/cloud.cfg.d/90*'
guest one '' 'list "datasource_list: [ ConfigDrive ]\n"'
guest one-other '' 'list "datasource_list: [ Ec2 ]\n"'
guest one-and-none '' 'list "datasource_list: [ Ec2, None ]\n"'
guest none-alone '' 'list "datasource_list: [ None ]\n"'
guest 'two-others?' '' 'list "datasource_list: [ Ec2, Azure ]\n"'
guest two '' 'list "datasource_list: [ Ec2, ConfigDrive ]\n"'
guest tight '' 'list "datasource_list: [Ec2,ConfigDrive,None]\n"'
guest quoted '' 'list "datasource_list: [ '\''ConfigDrive'\'', \"None\" ]\n"'
guest 'comment?' '' 'list "datasource_list: [ Ec2, None ] # [ ConfigDrive ]\n"'
guest commented '' 'list "# datasource_list: [ Ec2 ]\n"'
guest no-newline '' 'list "datasource_list: [ Ec2, None ]"'
guest wide '' 'list "datasource_list:  [ ConfigDrive, Ec2 ]\n"'
guest 'wide-other?' '' 'list "datasource_list:  [ Ec2 ]\n"'
guest tab '' 'list "datasource_list:\t[ Ec2, None ]\n"'
guest block '' 'list "datasource_list:\n - Ec2\n - None\n"'
guest block-drive '' 'list "datasource_list:\n  - ConfigDrive\n"'
guest flow-lines '' 'list "datasource_list: [ Ec2,\n  ConfigDrive ]\n"'
guest 'flow-lines-two?' '' 'list "datasource_list: [ Ec2, Azure,\n  ConfigDrive ]\n"'
guest flow-below '' 'list "datasource_list:\n  [ Ec2, None ]\n"'
guest flow-open '' 'list "datasource_list: [\n  Ec2, None ]\n"'
guest empty '' 'list "datasource_list: [ ]\n"'
guest empty-tight '' 'list "datasource_list: []\n"'
guest null '' 'list "datasource_list:\n"'
guest text '' 'list "datasource_list: ConfigDrive\n"'
guest words '' 'list "datasource_list: Ec2, ConfigDrive\n"'
guest nested '' 'list "x:\n  datasource_list: [ Ec2, None ]\n"'
guest 'nested-flow?' '' 'list "x: { datasource_list: [ Ec2 ] }\n"'
guest key-quoted '' 'list "\"datasource_list\": [ Ec2, None ]\n"'
guest key-blank '' 'list "datasource_list : [ Ec2, None ]\n"'
guest indented-all '' 'list "  datasource_list: [ Ec2, None ]\n"'
guest twice '' 'list "datasource_list: [ Ec2 ]\ndatasource_list: [ ConfigDrive ]\n"'
guest 'in-text?' '' 'list "write_files:\n - content: |\n     datasource_list: [ Ec2, Azure ]\n"'
guest broken '' 'list "a: [ b\n"'
guest broken-list '' 'list "datasource_list: [ Ec2, None ]\na: [ b\n"'
guest crlf '' 'list "datasource_list: [ ConfigDrive, None ]\r\n"'
guest 'case?' '' 'list "datasource_list: [ configdrive, ec2 ]\n"'
guest case-one '' 'list "datasource_list: [ configdrive ]\n"'

# --- which file counts ------------------------------------------------------
guest in-cloud-cfg '' 'rm "$r"/etc/cloud/cloud.cfg.d/90*; echo "datasource_list: [ Ec2, None ]" >> "$r/etc/cloud/cloud.cfg"'
guest later-wins '' 'list "datasource_list: [ Ec2 ]\n"; file etc/cloud/cloud.cfg.d/99-z.cfg "datasource_list: [ ConfigDrive, None ]\n"'
guest earlier-loses '' 'file etc/cloud/cloud.cfg.d/10.cfg "datasource_list: [ Ec2, None ]\n"'
guest other-suffix '' 'file etc/cloud/cloud.cfg.d/99.cfg.dpkg-old "datasource_list: [ Ec2, None ]\n"'
guest dot-file '' 'file etc/cloud/cloud.cfg.d/.z.cfg "datasource_list: [ Ec2, None ]\n"'
guest installer '' 'file etc/cloud/cloud.cfg.d/99-installer.cfg "datasource:\n  None:\n    userdata_raw: x\ndatasource_list: [None]\n"'
guest dir-as-file '' 'mkdir "$r/etc/cloud/cloud.cfg.d/99.cfg"'

# --- the policy -------------------------------------------------------------
guest disabled '' 'own "policy: disabled\n"'
guest disabled-no-newline '' 'own "policy: disabled"'
guest disabled-quoted '' 'own " policy : \"disabled\" # why\n"'
guest disabled-commented '' 'own "#policy: disabled\n"'
guest enabled '' 'own "policy: enabled\n"; list "datasource_list: [ Ec2, Azure ]\n"'
guest enabled-block '' 'own "policy: enabled\n"; list "datasource_list:\n - Ec2\n - None\n"'
guest enabled-empty '' 'own "policy: enabled\n"; list "datasource_list: []\n"'
guest enabled-null '' 'own "policy: enabled\n"; list "datasource_list:\n"'
guest enabled-text '' 'own "policy: enabled\n"; list "datasource_list: ConfigDrive\n"'
guest enabled-broken '' 'own "policy: enabled\n"; list "datasource_list: [ Ec2, None ]\na: [ b\n"'
guest enabled-dot-file '' 'own "policy: enabled\n"; file etc/cloud/cloud.cfg.d/.a.cfg "datasource_list: [ Ec2 ]\n"'
guest search '' 'own "policy: search,found=all,maybe=none,notfound=disabled\n"'
guest 'search-others?' '' 'own "policy: search,found=all,maybe=none,notfound=disabled\n"; list "datasource_list: [ Ec2, Azure ]\n"'
guest notfound-enabled '' 'own "policy: search,notfound=enabled\n"; list "datasource_list: [ Ec2, Azure ]\n"'
guest notfound-python '' 'own "policy: search,notfound=enabled\n"; list "datasource_list: [ Ec2, Azure,\n  ConfigDrive ]\n"'
guest report '' 'own "policy: report\n"; list "datasource_list: [ Ec2, Azure ]\n"'
guest report-python '' 'own "policy: report\n"; list "datasource_list:\n - Ec2\n"'
guest last-mode '' 'own "policy: disabled,search\n"'
guest 'unknown-word?' '' 'own "policy: disable\n"; list "datasource_list: [ Ec2, Azure ]\n"'
guest policy-cmdline ci.di.policy=disabled ''
guest policy-cmdline-wins ci.di.policy=enabled 'own "policy: disabled\n"'
guest policy-cmdline-last 'ci.di.policy=disabled ci.di.policy=search' ''
guest own-datasource '' 'own "datasource: Ec2\n"'
guest own-datasource-drive '' 'own "datasource: ConfigDrive\n"; list "datasource_list: [ Ec2 ]\n"'

# --- the kernel's command line ----------------------------------------------
guest ci.ds ci.ds=Ec2 ''
guest ci.datasource ci.datasource=ConfigDrive 'list "datasource_list: [ Ec2 ]\n"'
guest ci.ds-disabled ci.ds=Ec2 'own "policy: disabled\n"'
guest ci.ds-report ci.ds=Ec2 'own "policy: report\n"'
guest ds-other ds=ec2 ''
guest ds-nocloud 'ds=nocloud;h=x' ''
guest ds-nocloud-late 'ds=nocloud;h=x' 'list "datasource_list: [ ConfigDrive, NoCloud ]\n"'
guest ds-nocloud-unlisted 'ds=nocloud' 'list "datasource_list: [ ConfigDrive, None ]\n"'
guest cc 'cc:{datasource_list: [ Ec2 ]}' ''
guest off cloud-init=disabled ''
guest off-not xcloud-init=disabledx ''
guest off-and-on 'cloud-init=disabled cloud-init=enabled' ''
guest on-and-off 'cloud-init=enabled cloud-init=disabled' ''
guest marker '' 'file etc/cloud/cloud-init.disabled'
guest marker-and-on cloud-init=enabled 'file etc/cloud/cloud-init.disabled'
guest marker-and-file '' 'file etc/cloud/cloud-init.disabled; file etc/cloud/cloud-init.enabled'

# --- what lies there --------------------------------------------------------
guest manual-clean '' 'file var/lib/cloud/instance/manual-clean; list "datasource_list:\n - Ec2\n"'
guest seed '' 'for f in meta user; do file "var/lib/cloud/seed/nocloud/$f-data"; done'
guest seed-net '' 'for f in meta user; do file "var/lib/cloud/seed/nocloud-net/$f-data" "instance-id: x\n"; done'
guest seed-half '' 'file var/lib/cloud/seed/nocloud/meta-data'
guest seed-late '' 'list "datasource_list: [ ConfigDrive, NoCloud ]\n"; for f in meta user; do file "var/lib/cloud/seed/nocloud/$f-data" "instance-id: x\n"; done'
guest seed-default '' 'rm "$r"/etc/cloud/cloud.cfg.d/90*; for f in meta user; do file "var/lib/cloud/seed/nocloud/$f-data" "instance-id: x\n"; done'
guest seed-starts '' 'list "datasource_list: [ Ec2, NoCloud ]\n"; for f in meta user; do file "var/lib/cloud/seed/nocloud/$f-data" "instance-id: x\n"; done'
guest no-ds-identify '' 'rm "$r/usr/lib/cloud-init/ds-identify"; list "datasource_list:\n - Ec2\n"'
guest not-executable '' 'chmod 644 "$r/usr/lib/cloud-init/ds-identify"; own "policy: disabled\n"'
machine=aarch64
guest arm '' 'printf "\267" | dd of="$r/usr/lib/systemd/systemd" bs=1 seek=18 conv=notrunc status=none; cp "$r/usr/lib/systemd/systemd" "$r/usr/bin/sh"; list "datasource_list: [ Ec2, Azure ]\n"'

# --- Python's turn ----------------------------------------------------------
python=$pkg/usr/lib/python3/dist-packages
[ "$ci" = "$pkg" ] || python=$ci/usr/lib/python3/dist-packages:$python
if PYTHONPATH=$python python3 "$srcdir/tests/golden/cloud_init_judge.py" \
  "${python%%:*}" < "$tmp/asked" > "$tmp/judged" 2> "$tmp/log"; then
  join -j 1 <(sort "$tmp/answers") <(sort "$tmp/judged") |
    awk '$2 != $3 { print $1 ": the drive is taken: " $2 "; cloud-init says " $3 ": " $0; bad = 1 }
      END { exit bad }' >&2 || failed=1
else
  sed -n '$p' "$tmp/log"
  note "cloud-init's Python does not run here: its part is left out"
fi
note "$n guests, cloud-init $version"
[ "$failed" = 0 ]
