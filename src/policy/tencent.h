/* xrayfs: the rules of Tencent Cloud for guests
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_POLICY_TENCENT_H
#define XRAYFS_POLICY_TENCENT_H

#include "policy/policy.h"

#define JUDGE(function)                                                      \
  int function (struct image *img, struct finding_of_rule *f, struct err *e)
JUDGE (judge_windows_edition);
JUDGE (judge_windows_table);
JUDGE (judge_windows_disk);
JUDGE (judge_windows_filesystem);
JUDGE (judge_windows_firmware);
JUDGE (warn_windows_connection);
JUDGE (warn_windows_hibernated);
JUDGE (note_windows_activation);

JUDGE (warn_distribution);
JUDGE (warn_native_kernel);
JUDGE (warn_cloud_init_off);
JUDGE (warn_datasource);
JUDGE (warn_device_names);
JUDGE (warn_disk_ids);
JUDGE (warn_other_disks);
JUDGE (warn_shadow);
JUDGE (warn_has_run);
JUDGE (warn_ssh);
JUDGE (warn_room);
JUDGE (warn_relabel);
JUDGE (warn_grub_core);
JUDGE (warn_active);
JUDGE (warn_console);
JUDGE (warn_dhcp);
JUDGE (warn_eth0);
JUDGE (warn_ipv6);
JUDGE (warn_conflicts);
#undef JUDGE

#endif
