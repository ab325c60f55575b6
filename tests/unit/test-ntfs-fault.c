/* Each read of an NTFS image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("ntfs", "ntfs/compressed");
  fs_fault_sweep ("ntfs", "ntfs/reparse");
  return 0;
}
