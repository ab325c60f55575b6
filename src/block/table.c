/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/table.h"

struct piece {
  struct block *from;
  uint64_t offset;
};

static int
load_piece (void *arg, void *data, size_t size, struct err *e)
{
  struct piece *p = arg;

  return block_pread (p->from, data, size, p->offset, e);
}

int
table_get (struct block *from, const void *owner, uint64_t off, size_t size,
           struct pin *ret, struct err *e)
{
  struct piece p = { from, off };

  ret->cache = from->env->cache;
  return cache_get (ret->cache, owner, off, size, load_piece, &p, &ret->entry,
                    e);
}

void
pin_release (struct pin *p)
{
  if (p->entry)
    cache_release (p->cache, p->entry);
  p->entry = NULL;
}
