/* Each read of a Btrfs image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("btrfs", "btrfs/single");
  fs_fault_sweep ("btrfs", "btrfs/dup");
  fs_fault_sweep ("btrfs", "btrfs/raid0");
  return 0;
}
