/* xrayfs: fault injection, for tests
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sweeping NTH from 0 until nothing fails any more makes every read of a
 * fixture fail once: each finding must then give its value, or `unknown`
 * with a reason, and never a false yes or no.
 */
#include <inttypes.h>

#include "block/block.h"

struct fault {
  uint64_t nth;
  _Atomic uint64_t *count;
};

static int
fault_pread (struct block *b, void *buf, size_t len, uint64_t off,
             struct err *e)
{
  struct fault *f = b->priv;

  if ((*f->count)++ == f->nth) {
    b->env->read_failed = true;
    return err_set (e, EIO, "injected fault at 0x%" PRIx64, off);
  }
  return block_pread (b->below, buf, len, off, e);
}

static void
fault_close (struct block *b)
{
  free (b->priv);
}

static const struct block_ops fault_ops = {
  .name = "fault",
  .pread = fault_pread,
  .close = fault_close,
};

int
block_fault_open (struct block *below, uint64_t nth, _Atomic uint64_t *count,
                  struct block **ret, struct err *e)
{
  struct fault *f = malloc (sizeof *f);
  struct block *b = block_new (below->env, &fault_ops, e);

  if (!b || !f) {
    free (f);
    free (b);
    block_close (below);
    return err_set (e, ENOMEM, "out of memory");
  }
  *f = (struct fault){ nth, count };
  b->priv = f;
  b->below = below;
  b->owns_below = true;
  b->size = below->size;
  *ret = b;
  return 0;
}
