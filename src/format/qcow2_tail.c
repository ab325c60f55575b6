/* xrayfs: qcow2: a short last cluster, or a file that is cut off
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The specification does not say that a file has whole clusters, and qemu
 * reads zeros beyond its end.  Such zeros are false where the end was lost on
 * the way.  So they are believed only if nothing says that there was more:
 * the file has whole sectors, and neither the reference counts nor any table
 * knows of something behind the cluster that is cut.
 */
#include "base/bytes.h"
#include "format/qcow2.h"

struct tail {
  uint64_t end; /* of the cluster that is cut */
  bool is_cut_off;
};

/* Does the file, which holds the tables as well, have LEN bytes at OFF, or
 * at least no need of them behind the last cluster? */
static void
see (struct tail *t, uint64_t off, uint64_t len)
{
  if (len && !range_within (off, len, t->end))
    t->is_cut_off = true;
}

static void
see_tables (const struct qcow2 *q, struct tail *t)
{
  see (t, q->l1_offset, (uint64_t) q->l1_size * 8);
  see (t, q->refcount_offset,
       (uint64_t) q->refcount_clusters << q->cluster_bits);
  see (t, q->snapshots_offset, q->nb_snapshots ? 1 : 0);
  see (t, q->crypto_offset, q->crypto_len);
  see (t, q->bitmaps.dir_offset, q->bitmaps.dir_size);
}

/* The counts behind the last cluster, as far as its block of counts goes:
 * one read, which tells most files that are cut off. */
static int
see_refcounts (struct block *b, struct tail *t, struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t covers = qcow2_refcount_covers (q), next, last, count;
  struct qcow2_refcounts r;
  enum qcow2_known known;
  int result = qcow2_refcounts_init (&r, b, e);

  next = t->end >> q->cluster_bits;
  last = next + covers - next % covers;
  for (; result == 0 && !t->is_cut_off && next < last; next++) {
    result = qcow2_refcount (&r, next, &count, &known, e);
    if (result == 0)
      t->is_cut_off = known == QCOW2_REFCOUNT_BEYOND || count > 0;
  }
  qcow2_refcounts_free (&r);
  return result;
}

/* A table that the file does not hold is none that could be looked at. */
static int
see_l1_entry (struct qcow2_walk *w, uint64_t index unused_arg, uint64_t entry,
              struct err *e unused_arg)
{
  const struct qcow2 *q = w->b->priv;
  struct tail *t = w->arg;

  if (!range_within (entry & QCOW2_OFFSET_MASK, q->cluster_size,
                     w->b->below->size))
    t->is_cut_off = true;
  w->stop = t->is_cut_off;
  return t->is_cut_off;
}

static int
see_l2_entry (struct qcow2_walk *w, const struct qcow2_entry *x,
              struct err *e unused_arg)
{
  const struct qcow2 *q = w->b->priv;
  struct tail *t = w->arg;
  uint64_t off = x->value & QCOW2_OFFSET_MASK, len;

  if (x->value & QCOW2_COMPRESSED)
    qcow2_compressed_range (q, x->value, &off, &len);
  if (off >= t->end)
    t->is_cut_off = w->stop = true;
  return 0;
}

static int
see_snapshot (void *arg, uint32_t i unused_arg,
              const struct qcow2_snapshot *s, struct err *e)
{
  struct qcow2_walk *w = arg;
  struct tail *t = w->arg;

  if (t->is_cut_off)
    return 0;
  if (!range_within (s->l1_offset, (uint64_t) s->l1_size * 8,
                     w->b->below->size)) {
    t->is_cut_off = true;
    return 0;
  }
  return qcow2_walk_l1 (w, s->l1_offset, s->l1_size, e);
}

static int
see_clusters (struct block *b, struct tail *t, struct err *e)
{
  const struct qcow2 *q = b->priv;
  struct qcow2_walk w = { .arg = t,
                          .l1_entry = see_l1_entry,
                          .l2_entry = see_l2_entry };
  struct err why = { 0 };
  uint64_t end;
  int r = qcow2_walk_init (&w, b, e);

  if (r == 0)
    r = qcow2_walk_l1 (&w, q->l1_offset, q->l1_size, e);
  if (r == 0 && !t->is_cut_off &&
      qcow2_each_snapshot (b, see_snapshot, &w, &end, &why) == -1) {
    /* A damaged snapshot table: who knows what it had. */
    t->is_cut_off = true;
    if (err_is_transient (&why) || b->env->read_failed) {
      *e = why;
      r = -1;
    }
  }
  if (w.out_of_budget)
    t->is_cut_off = true;
  qcow2_walk_free (&w);
  return r;
}

static int
compute_tail (void *arg, struct err *e)
{
  struct block *b = arg;
  struct qcow2 *q = b->priv;
  uint64_t size = q->data->size, mask = q->cluster_size - 1;
  struct tail t = { .end = (size & ~mask) + q->cluster_size,
                    .is_cut_off = size % 512 != 0 };

  /* An external data file has no tables and no counts. */
  if (!t.is_cut_off && q->data == b->below) {
    see_tables (q, &t);
    if (!t.is_cut_off && see_refcounts (b, &t, e) == -1)
      return err_in (e, "end of the file");
  }
  if (!t.is_cut_off && see_clusters (b, &t, e) == -1)
    return err_in (e, "end of the file");
  q->short_tail = !t.is_cut_off;
  return 0;
}

int
qcow2_has_short_tail (struct block *b, bool *ret, struct err *e)
{
  struct qcow2 *q = b->priv;

  if (lazy_get (&q->tail, compute_tail, b, e) == -1)
    return -1;
  *ret = q->short_tail;
  return 0;
}
