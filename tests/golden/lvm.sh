# xrayfs: LVM on loop devices without device-mapper, for tests; source it
# behind functions.sh.
#   attach IMAGE       a loop device over each partition of IMAGE, or over all
#                      of it; in the array devices
#   detach             of all
#   lvm2 COMMAND...    runs it on these devices alone
#   report             what lvm says of volumes, in $tmp/report
# shellcheck shell=bash
devices=()

detach ()
{
  local d
  for d in "${devices[@]}"; do
    losetup -d "$d" 2> /dev/null || true
  done
  devices=()
}
at_exit detach

attach ()
{
  local start size
  while read -r start size; do
    devices+=("$(losetup -f --show -o "$((start * 512))" --sizelimit "$((size * 512))" "$1")")
  done < <(sfdisk -J "$1" 2> /dev/null |
    python3 -c 'import json, sys
for p in json.load(sys.stdin)["partitiontable"]["partitions"]: print(p["start"], p["size"])' 2> /dev/null ||
    echo 0 $(($(stat -c %s "$1") / 512)))
}

lvm2 ()
{
  local command=$1 filter d
  shift
  filter=$(for d in "${devices[@]}"; do printf '"a|^%s$|",' "$d"; done)
  LVM_SUPPRESS_FD_WARNINGS=1 lvm "$command" --driverloaded n --config \
    "devices { filter=[$filter\"r|.*|\"] use_devicesfile=0 obtain_device_list_from_udev=0 }
     global { use_lvmlockd=0 use_lvmpolld=0 } backup { backup=0 archive=0 }
     activation { monitoring=0 udev_sync=0 }" "$@" 2>> "$tmp/lvm.log" ||
    fail "lvm $command: $(tail -n 2 "$tmp/lvm.log")"
}

report ()
{
  lvm2 fullreport -a --reportformat json --units b --nosuffix \
    --configreport vg -o vg_name,vg_extent_size \
    --configreport pv -o pv_name,pe_start,pv_size,pv_used,pv_free \
    --configreport lv -o lv_name,lv_size \
    --configreport seg -o lv_name,segtype,stripe_size,seg_start,seg_size,seg_pe_ranges \
    --configreport pvseg -o pvseg_start "$@" > "$tmp/report"
}
