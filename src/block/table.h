/* xrayfs: pieces of an image's tables, in the cache
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A driver reads its tables in pieces of at most TABLE_PIECE bytes, each
 * pinned for a scope:
 *
 *   CLEANUP_PIN struct pin pin = { 0 };
 *   if (table_get (b->below, v->bat_owner, off, n, &pin, e) == -1)
 *     return err_in (e, "BAT");
 *   entry = load_be32 ((char *) pin.entry->data + i * 4);
 */
#ifndef XRAYFS_BLOCK_TABLE_H
#define XRAYFS_BLOCK_TABLE_H

#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"

#define TABLE_PIECE (64 * KiB)

/* An entry of the cache, held for a scope. */
struct pin {
  struct cache *cache;
  struct cache_entry *entry;
};

/* SIZE bytes at OFF of FROM, from the cache or read.  OWNER comes from
 * cache_new_owner, one for each table (or file) of an image; the pieces of an
 * owner do not overlap.  RET is empty. */
int table_get (struct block *from, const void *owner, uint64_t off,
               size_t size, struct pin *ret, struct err *e) must_check
    nonnull (1, 2, 5, 6);

/* An empty one is fine. */
void pin_release (struct pin *p) nonnull (1);
#define CLEANUP_PIN __attribute__ ((cleanup (pin_release)))

#endif
