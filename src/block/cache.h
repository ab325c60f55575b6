/* xrayfs: a cache of tables and decompressed clusters
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An LRU with a byte budget, in shards, so that readers do not meet on one
 * lock.  An entry is loaded once: others who want it meanwhile wait for the
 * loader, and a failed load is not kept.  Entries in use are pinned; they
 * count against the budget and are never evicted.
 */
#ifndef XRAYFS_BLOCK_CACHE_H
#define XRAYFS_BLOCK_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct cache;

struct cache_entry {
  void *data;
  size_t size;
  /* the rest belongs to cache.c */
};

/* BUDGET in bytes. */
struct cache *cache_new (size_t budget);
void cache_free (struct cache *c);

/* An owner that was never used before: all owners come from here, or two
 * kinds of them would meet on one key.  The address of a block will not do:
 * its entries outlive it, and the next block may lie at the same address. */
const void *cache_new_owner (void);

/* The SIZE bytes that belong to (OWNER, KEY, SIZE): from the cache, or loaded
 * by LOAD into DATA without any lock held.  Cost O(1).  Release with
 * cache_release. */
int cache_get (struct cache *c, const void *owner, uint64_t key, size_t size,
               int (*load) (void *arg, void *data, size_t size,
                            struct err *e),
               void *arg, struct cache_entry **ret, struct err *e) must_check
    nonnull (1, 5, 7, 8);
void cache_release (struct cache *c, struct cache_entry *entry) nonnull (1);

/* LEN bytes at WITHIN of them, into BUF.  All SIZE of them go straight to BUF
 * and are not kept; a part is likely to be followed by the next. */
int cache_read (struct cache *c, const void *owner, uint64_t key, size_t size,
                int (*load) (void *arg, void *data, size_t size,
                             struct err *e),
                void *arg, void *buf, size_t len, uint64_t within,
                struct err *e) must_check nonnull (1, 5, 7, 10);

#endif
