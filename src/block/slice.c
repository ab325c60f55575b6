/* xrayfs: a window of another block, such as a partition
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "block/block.h"

static int
slice_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
           struct err *e)
{
  uint64_t start = *(uint64_t *) b->priv;

  /* start + size does not overflow: checked when opened. */
  if (start + off >= b->below->size)
    return err_set (e, EIO,
                    "0x%" PRIx64 " lies beyond the end of the disk"
                    " (0x%" PRIx64 ")",
                    start + off, b->below->size);
  *ret = extent_data (MIN (len, b->below->size - (start + off)), b->below,
                      start + off);
  return 0;
}

static void
slice_close (struct block *b)
{
  free (b->priv);
}

static const struct block_ops slice_ops = {
  .name = "slice",
  .map = slice_map,
  .close = slice_close,
};

int
block_slice_open (struct block *below, uint64_t off, uint64_t len,
                  struct block **ret, struct err *e)
{
  CLEANUP_BLOCK struct block *b = block_new (below->env, &slice_ops, e);
  uint64_t end;

  if (!b)
    return -1;
  if (__builtin_add_overflow (off, len, &end))
    return err_set (
        e, EINVAL, "window at 0x%" PRIx64 " of 0x%" PRIx64 " bytes overflows",
        off, len);
  b->priv = malloc (sizeof (uint64_t));
  if (!b->priv)
    return err_set (e, ENOMEM, "out of memory");
  *(uint64_t *) b->priv = off;
  b->below = below;
  b->size = len;
  *ret = steal_ptr (&b);
  return 0;
}
