/* xrayfs: metadata of a filesystem, through the cache
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FS_PAGES_H
#define XRAYFS_FS_PAGES_H

#include "block/block.h"

/* LEN bytes at OFF of B, in pieces that are kept for OWNER (cache_new_owner):
 * for what is small and read again.
 * Errors: EIO if they are not all within B. */
int pages_read (struct block *b, const void *owner, uint64_t off, void *buf,
                size_t len, struct err *e) must_check nonnull (1, 6);

#endif
