/* xrayfs: qcow2: reading reference counts (qcow2.txt, "Host cluster
 * management")
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "format/qcow2.h"

#define OFFSET_MASK UINT64_C (0xfffffffffffffe00) /* bits 9 to 63 */

int
qcow2_refcounts_init (struct qcow2_refcounts *r, struct block *b,
                      struct err *e)
{
  *r = (struct qcow2_refcounts){ .b = b,
                                 .table = malloc (QCOW2_PIECE),
                                 .block = malloc (QCOW2_PIECE) };
  return r->table && r->block ? 0 : err_set (e, ENOMEM, "out of memory");
}

void
qcow2_refcounts_free (struct qcow2_refcounts *r)
{
  free (r->table);
  free (r->block);
  *r = (struct qcow2_refcounts){ 0 };
}

uint64_t
qcow2_refcount_entries (const struct qcow2 *q)
{
  return ((uint64_t) q->refcount_clusters << q->cluster_bits) / 8;
}

uint64_t
qcow2_refcount_covers (const struct qcow2 *q)
{
  return q->cluster_size * 8 >> q->refcount_order;
}

/* Makes PIECE hold the LEN bytes at OFF; *AT remembers which it holds. */
static int
load_piece (struct qcow2_refcounts *r, unsigned char *piece, uint64_t *at,
            uint64_t off, uint64_t len, enum qcow2_known *ret, struct err *e)
{
  *ret = QCOW2_REFCOUNT_KNOWN;
  if (*at == off + 1)
    return 0;
  if (!range_within (off, len, r->b->below->size)) {
    *ret = QCOW2_REFCOUNT_BEYOND;
    return 0;
  }
  *at = 0;
  if (block_pread (r->b->below, piece, len, off, e) == -1)
    return -1;
  *at = off + 1;
  return 0;
}

int
qcow2_refcount_entry (struct qcow2_refcounts *r, uint64_t i, uint64_t *ret,
                      enum qcow2_known *ret_known, struct err *e)
{
  const struct qcow2 *q = r->b->priv;
  uint64_t in_table = i * 8, len = q->slice;
  uint64_t off = q->refcount_offset + in_table / len * len;
  enum qcow2_known known;

  if (load_piece (r, r->table, &r->table_at, off, len, &known, e) == -1)
    return err_in (e, "refcount table");
  if (known == QCOW2_REFCOUNT_KNOWN)
    *ret = load_be64 (r->table + in_table % len);
  *ret_known = known;
  return 0;
}

/* Count I of P.  Those of less than a byte start at its low bits. */
static uint64_t
load_count (const unsigned char *p, unsigned order, uint64_t i)
{
  unsigned bits = 1u << order;

  switch (order) {
  case 6:
    return load_be64 (p + i * 8);
  case 5:
    return load_be32 (p + i * 4);
  case 4:
    return load_be16 (p + i * 2);
  default:
    return p[i * bits / 8] >> i * bits % 8 & ((1u << bits) - 1);
  }
}

int
qcow2_refcount (struct qcow2_refcounts *r, uint64_t cluster, uint64_t *ret,
                enum qcow2_known *ret_known, struct err *e)
{
  const struct qcow2 *q = r->b->priv;
  uint64_t covers = qcow2_refcount_covers (q), entry = 0, piece;
  uint64_t per_piece = q->slice * 8 >> q->refcount_order;

  *ret_known = QCOW2_REFCOUNT_KNOWN;
  *ret = 0;
  if (cluster / covers >= qcow2_refcount_entries (q))
    return 0;
  if (qcow2_refcount_entry (r, cluster / covers, &entry, ret_known, e) == -1)
    return -1;
  entry &= OFFSET_MASK;
  if (*ret_known != QCOW2_REFCOUNT_KNOWN || !entry)
    return 0;
  if (entry & (q->cluster_size - 1)) {
    *ret_known = QCOW2_REFCOUNT_BAD;
    return 0;
  }
  cluster %= covers;
  piece = cluster / per_piece;
  if (entry > INT64_MAX - q->cluster_size) {
    *ret_known = QCOW2_REFCOUNT_BEYOND;
    return 0;
  }
  if (load_piece (r, r->block, &r->block_at, entry + piece * q->slice,
                  q->slice, ret_known, e) == -1)
    return err_in (e, "refcount block at 0x%" PRIx64, entry);
  if (*ret_known == QCOW2_REFCOUNT_KNOWN)
    *ret = load_count (r->block, q->refcount_order, cluster % per_piece);
  return 0;
}
