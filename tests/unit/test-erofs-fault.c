/* Each read of an EROFS image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("erofs", "erofs/plain");
  fs_fault_sweep ("erofs", "erofs/chunks");
  fs_fault_sweep ("erofs", "erofs/lz4");
  fs_fault_sweep ("erofs", "erofs/lz4-legacy");
  fs_fault_sweep ("erofs", "erofs/lz4-tails");
  return 0;
}
