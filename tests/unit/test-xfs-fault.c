/* Each read of an XFS image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("xfs", "xfs/v4");
  fs_fault_sweep ("xfs", "xfs/v4-512");
  fs_fault_sweep ("xfs", "xfs/v5-small");
  fs_fault_sweep ("xfs", "xfs/v5");
  return 0;
}
