/* xrayfs: bytes in memory
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "block/block.h"

static int
mem_pread (struct block *b, void *buf, size_t len, uint64_t off,
           struct err *e unused_arg)
{
  memcpy (buf, (const char *) b->priv + off, len);
  return 0;
}

static const struct block_ops mem_ops = {
  .name = "mem",
  .pread = mem_pread,
};

int
block_mem_open (struct block_env *env, const void *data, size_t len,
                struct block **ret, struct err *e)
{
  struct block *b = block_new (env, &mem_ops, e);

  if (!b)
    return -1;
  b->priv = (void *) data;
  b->size = len;
  *ret = b;
  return 0;
}
