/* Each read of an EROFS image fails once (fs-fault.c).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

int
main (void)
{
  fs_fault_sweep ("erofs", "erofs/plain");
  fs_fault_sweep ("erofs", "erofs/chunks");
  return 0;
}
