/* xrayfs: where an image's blocks start, to find those that overlap
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the checks of formats whose blocks all have one length.  Memory grows
 * with the blocks that are in use, up to a limit.
 */
#ifndef XRAYFS_FORMAT_BLOCK_STARTS_H
#define XRAYFS_FORMAT_BLOCK_STARTS_H

#include "base/vec.h"
#include "block/block.h"

/* Where in the file the block with table index INDEX starts, in units that
 * the driver chooses. */
struct block_start {
  uint32_t start;
  uint32_t index;
};
DEFINE_VEC (block_starts, struct block_start)

/* 8 TiB of 2 MiB blocks, in 32 MiB of memory. */
#define BLOCK_MAX_STARTS (UINT32_C (1) << 22)

/* Error: out of memory.  What is over the limit is not kept: overlaps says
 * so. */
int block_starts_add (struct block_starts *s, uint32_t start, uint32_t index,
                      struct err *e) must_check nonnull (1, 4);

/* A finding for each block that starts less than LEN units behind another's
 * start.  UNIT: bytes of a unit; BASE: where unit 0 lies in the file. */
void block_starts_overlaps (struct block_starts *s, uint64_t len,
                            uint64_t unit, uint64_t base,
                            struct block_check *c) nonnull (1, 5);

static inline void
cleanup_block_starts (struct block_starts *s)
{
  free (s->items);
}
#define CLEANUP_BLOCK_STARTS __attribute__ ((cleanup (cleanup_block_starts)))

#endif
