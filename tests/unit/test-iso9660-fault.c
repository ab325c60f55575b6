/* Each read of an ISO 9660 image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("iso9660", "iso9660/plain");
  fs_fault_sweep ("iso9660", "iso9660/odd");
  fs_fault_sweep ("iso9660", "iso9660/rock");
  fs_fault_sweep ("iso9660", "iso9660/both");
  fs_fault_sweep ("iso9660", "iso9660/zisofs");
  return 0;
}
