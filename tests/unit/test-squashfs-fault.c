/* Each read of a squashfs image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("squashfs", "squashfs/gzip");
  fs_fault_sweep ("squashfs", "squashfs/plain");
  fs_fault_sweep ("squashfs", "squashfs/xz");
  fs_fault_sweep ("squashfs", "squashfs/zstd");
  return 0;
}
