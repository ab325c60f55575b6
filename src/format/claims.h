/* xrayfs: which units of a file are given out, and whether one is twice
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For `check` of the drivers.  A unit is a cluster or a sector; a bit for
 * each, and only those that are set take memory.
 */
#ifndef XRAYFS_FORMAT_CLAIMS_H
#define XRAYFS_FORMAT_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct claims {
  uint64_t n; /* units */
  uint64_t *bits;
};

/* Zero-initialise before it.  EFBIG: more units than can be looked at. */
int claims_init (struct claims *c, uint64_t n, struct err *e) must_check
    nonnull (1, 3);

/* Gives out COUNT units from FIRST on; those beyond the end are left alone.
 * Was none of them given out before? */
bool claims_take (struct claims *c, uint64_t first, uint64_t count)
    nonnull (1);

/* How many of COUNT units from FIRST on are given out. */
uint64_t claims_count (const struct claims *c, uint64_t first, uint64_t count)
    nonnull (1);

void claims_free (struct claims *c) nonnull (1);
#define CLEANUP_CLAIMS __attribute__ ((cleanup (claims_free)))

#endif
