/* xrayfs: the rules of Tencent Cloud for Windows guests
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_POLICY_TENCENT_H
#define XRAYFS_POLICY_TENCENT_H

#include "policy/policy.h"

#define WINDOWS_JUDGE(function)                                              \
  int function (struct image *img, struct finding_of_rule *f, struct err *e)
WINDOWS_JUDGE (judge_windows_edition);
WINDOWS_JUDGE (judge_windows_table);
WINDOWS_JUDGE (judge_windows_disk);
WINDOWS_JUDGE (judge_windows_filesystem);
WINDOWS_JUDGE (judge_windows_firmware);
WINDOWS_JUDGE (warn_windows_connection);
WINDOWS_JUDGE (warn_windows_hibernated);
WINDOWS_JUDGE (note_windows_activation);
#undef WINDOWS_JUDGE

#endif
