/* What the fault tests of the filesystems share.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_TESTS_FS_FAULT_H
#define XRAYFS_TESTS_FS_FAULT_H

/* Sweeps over the seed NAME ("ext/ext4") of fuzz/corpus, as TYPE. */
void fs_fault_sweep (const char *type, const char *name);

#endif
