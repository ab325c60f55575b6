/* Each read of a FAT or exFAT image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("vfat", "fat/fat12-512");
  fs_fault_sweep ("vfat", "fat/fat16-512");
  fs_fault_sweep ("vfat", "fat/fat32-512");
  fs_fault_sweep ("exfat", "exfat/512");
  fs_fault_sweep ("exfat", "exfat/4k");
  return 0;
}
