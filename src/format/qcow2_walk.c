/* xrayfs: qcow2: a walk over the L1 and L2 tables
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "format/qcow2.h"

/* An honest image with many snapshots names its L2 tables once for each:
 * eight times the file is some hundred of them even with clusters of 512
 * bytes. */
#define BUDGET_FACTOR 8
#define BUDGET_MIN    (16 * MiB)

int
qcow2_walk_init (struct qcow2_walk *w, struct block *b, struct err *e)
{
  uint64_t size = b->below->size;

  w->b = b;
  w->budget = BUDGET_MIN + BUDGET_FACTOR * MIN (size, UINT64_MAX / 16);
  w->l1 = malloc (QCOW2_PIECE);
  w->l2 = malloc (QCOW2_PIECE);
  return w->l1 && w->l2 ? 0 : err_set (e, ENOMEM, "out of memory");
}

void
qcow2_walk_free (struct qcow2_walk *w)
{
  free (w->l1);
  free (w->l2);
  w->l1 = w->l2 = NULL;
}

bool
qcow2_walk_spend (struct qcow2_walk *w, uint64_t len)
{
  if (w->budget < len)
    w->out_of_budget = true;
  else
    w->budget -= len;
  return !w->out_of_budget;
}

static int
walk_l2_piece (struct qcow2_walk *w, struct qcow2_entry *x, uint64_t n,
               struct err *e)
{
  const struct qcow2 *q = w->b->priv;
  const unsigned char *p = w->l2;

  for (uint64_t i = 0; i < n; i++, p += q->entry_size) {
    x->value = load_be64 (p);
    x->bitmap = q->extended ? load_be64 (p + 8) : 0;
    if ((x->value || x->bitmap) && w->l2_entry (w, x, e) == -1)
      return -1;
    x->guest += q->cluster_size;
    x->index++;
  }
  return 0;
}

static int
walk_l2 (struct qcow2_walk *w, uint64_t l2, uint64_t guest, struct err *e)
{
  const struct qcow2 *q = w->b->priv;
  struct qcow2_entry x = { .guest = guest, .l2 = l2 };

  for (uint64_t off = 0; off < q->cluster_size && !w->stop; off += q->slice) {
    if (!range_within (l2 + off, q->slice, w->b->below->size) ||
        !qcow2_walk_spend (w, q->slice))
      return 0;
    if (block_pread (w->b->below, w->l2, q->slice, l2 + off, e) == -1)
      return err_in (e, "L2 table at 0x%" PRIx64, l2);
    if (walk_l2_piece (w, &x, q->slice / q->entry_size, e) == -1)
      return -1;
  }
  return 0;
}

static int
walk_l1_entry (struct qcow2_walk *w, uint64_t index, uint64_t entry,
               struct err *e)
{
  const struct qcow2 *q = w->b->priv;
  int r;

  if (w->b->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  r = w->l1_entry (w, index, entry, e);
  if (r != 0)
    return r == -1 ? -1 : 0;
  return walk_l2 (w, entry & QCOW2_OFFSET_MASK, index << l1_shift (q), e);
}

int
qcow2_walk_l1 (struct qcow2_walk *w, uint64_t off, uint32_t n, struct err *e)
{
  uint64_t entry, count;

  for (uint64_t i = 0; i < n && !w->stop; i += count) {
    count = MIN (QCOW2_PIECE / 8, n - i);
    if (!qcow2_walk_spend (w, count * 8))
      return 0;
    if (block_pread (w->b->below, w->l1, count * 8, off + i * 8, e) == -1)
      return err_in (e, "L1 table at 0x%" PRIx64, off);
    for (uint64_t k = 0; k < count && !w->stop; k++) {
      entry = load_be64 (w->l1 + k * 8);
      if (entry && walk_l1_entry (w, i + k, entry, e) == -1)
        return -1;
    }
  }
  return 0;
}
