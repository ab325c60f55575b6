/* xrayfs: what the fuzz targets of logical volumes share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FUZZ_VOLUMES_H
#define XRAYFS_FUZZ_VOLUMES_H

#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "block/block.h"
#include "volume/logical.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static inline void
check_error (const struct err *e)
{
  if (!e->code || !e->msg[0] || strchr (e->msg, '\n'))
    abort ();
}

/* The first places of B, and its end. */
static inline void
drain_block (struct block *b)
{
  struct err e = { 0 };
  struct extent x;
  char buf[4096];
  size_t len = MIN (sizeof buf, b->size);
  uint64_t off = 0;

  for (unsigned i = 0; i < 200 && off < b->size; i++, off += x.length)
    if (block_resolve (b, off, b->size - off, &x, &e) == -1) {
      check_error (&e);
      break;
    }
  if (block_pread (b, buf, len, 0, &e) == -1)
    check_error (&e);
  err_clear (&e);
  if (block_pread (b, buf, len, b->size - len, &e) == -1)
    check_error (&e);
}

static inline void
drain (struct logical_set *set, struct member *members, size_t n)
{
  for (size_t i = 0; i < MIN (set->volumes.len, 50); i++) {
    struct logical *l = set->volumes.items[i];
    if (!l->name || !l->block || l->size != l->block->size)
      abort ();
    drain_block (l->block);
  }
  for (size_t i = 0; i < n; i++) {
    if (members[i].err.code)
      check_error (&members[i].err);
    member_free (&members[i]);
  }
  logical_set_free (set);
}

#endif
