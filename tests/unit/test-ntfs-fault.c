/* Each read of an NTFS image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

/* The library forgets what it has of a volume that it gives up to mount. */
const char *__lsan_default_suppressions (void);

const char *
__lsan_default_suppressions (void)
{
  return "leak:libntfs-3g.so\n";
}

int
main (void)
{
  fs_fault_sweep ("ntfs", "ntfs/compressed");
  fs_fault_sweep ("ntfs", "ntfs/reparse");
  return 0;
}
