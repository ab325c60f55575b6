/* Each read of an ext image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("ext4", "ext/ext2");
  fs_fault_sweep ("ext4", "ext/ext4");
  fs_fault_sweep ("ext4", "ext/ext4-csum");
  fs_fault_sweep ("ext4", "ext/ext4-inline");
  return 0;
}
