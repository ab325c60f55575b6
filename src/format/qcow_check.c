/* xrayfs: qcow, version 1: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "format/claims.h"
#include "format/qcow.h"

/* qemu-img has no check of this format.  Clusters that nothing refers to are
 * no damage: a compressed cluster that is written again leaves its old data
 * behind. */
struct qcow_check {
  struct block *b;
  struct block_check *c;
  struct claims whole;   /* sectors of tables and clusters */
  struct claims packed;  /* sectors with compressed data, which they share */
  uint64_t longest_file; /* beyond it an offset is no sign of a cut file */
};

/* The file must reach END for WHAT.  Can WHAT be there? */
static bool
reaches (struct qcow_check *k, const char *what, uint64_t host, uint64_t end)
{
  if (end < host || end > k->longest_file) {
    block_check_error (k->c, "%s offset 0x%" PRIx64 " is out of range", what,
                       host);
    return false;
  }
  block_check_reach (k->c, k->b->below, end);
  return true;
}

/* LEN bytes at HOST belong to WHAT alone. */
static bool
claim (struct qcow_check *k, const char *what, uint64_t host, uint64_t len)
{
  uint64_t first = host / QCOW_SECTOR,
           n = div_up (host + len, QCOW_SECTOR) - first;

  if (claims_take (&k->whole, first, n) &&
      !claims_count (&k->packed, first, n))
    return true;
  block_check_error (k->c, "%s at 0x%" PRIx64 " overlaps another", what,
                     host);
  return false;
}

static void
check_data (struct qcow_check *k, uint64_t guest, uint64_t host)
{
  const struct qcow *q = k->b->priv;
  /* The disk may end within its last cluster. */
  uint64_t need =
      guest < q->size ? MIN (q->cluster_size, q->size - guest) : 0;

  if (host & (QCOW_SECTOR - 1))
    block_check_error (k->c, "cluster offset 0x%" PRIx64 " is not aligned",
                       host);
  else if (reaches (k, "cluster", host, host + need))
    claim (k, "cluster", host, q->cluster_size);
}

static void
check_compressed (struct qcow_check *k, uint64_t entry)
{
  uint64_t off = 0, first, n;
  size_t len = 0;

  qcow_compressed_range (k->b->priv, entry, &off, &len);
  if (!reaches (k, "compressed cluster", off, off + len))
    return;
  first = off / QCOW_SECTOR;
  n = div_up (off + len, QCOW_SECTOR) - first;
  if (claims_count (&k->whole, first, n))
    block_check_error (
        k->c, "compressed cluster at 0x%" PRIx64 " overlaps another", off);
  claims_take (&k->packed, first, n);
}

static int
check_l2 (struct qcow_check *k, uint64_t guest, uint64_t l2, struct err *e)
{
  const struct qcow *q = k->b->priv;
  CLEANUP_PIN struct pin table = { 0 };
  uint64_t entry;
  struct err why;

  if (!reaches (k, "L2 table", l2, l2 + q->l2_bytes))
    return 0;
  if (qcow_check_l2_offset (k->b, l2, &why) == -1) {
    block_check_error (k->c, "%s", why.msg);
    return 0;
  }
  /* Not again what was looked at: a table may be named many times. */
  if (!claim (k, "L2 table", l2, q->l2_bytes))
    return 0;
  if (qcow_l2_get (k->b, l2, &table, e) == -1)
    return -1;
  for (uint64_t i = 0; i >> q->l2_bits == 0; i++) {
    entry = qcow_l2_entry (&table, i);
    if (qcow_kind (entry) == EXTENT_COMPRESSED)
      check_compressed (k, entry);
    else if (entry)
      check_data (k, guest + (i << q->cluster_bits), entry);
  }
  return 0;
}

static int
check_tables (struct qcow_check *k, struct err *e)
{
  const struct qcow *q = k->b->priv;
  uint64_t first = 0, n = 0, l2;

  for (uint64_t i = 0; i < q->l1_size; i = first + n) {
    CLEANUP_PIN struct pin pin = { 0 };

    block_check_progress (k->c, i, q->l1_size);
    if (qcow_l1_piece (k->b, i, &pin, &first, &n, e) == -1)
      return -1;
    for (uint64_t j = 0; j < n; j++) {
      l2 = qcow_l2_entry (&pin, j);
      if (l2 && check_l2 (k, (first + j) << qcow_l1_shift (q), l2, e) == -1)
        return -1;
    }
  }
  return 0;
}

/* All that the disk can need, twice: a cluster that is written anew leaves
 * the old one behind. */
static uint64_t
longest_file (const struct qcow *q)
{
  uint64_t tables = q->l1_size * (8 + q->l2_bytes);

  return 2 * (q->size + tables + MiB);
}

int
qcow_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct qcow *q = b->priv;
  CLEANUP_CLAIMS struct claims whole = { 0 }, packed = { 0 };
  uint64_t sectors = div_up (b->below->size, QCOW_SECTOR), l1;
  struct qcow_check k = { b, c, { 0 }, { 0 }, longest_file (q) };

  if (claims_init (&whole, sectors, e) == -1 ||
      claims_init (&packed, sectors, e) == -1)
    return -1;
  k.whole = whole;
  k.packed = packed;
  /* The header, the name and the L1 table share sectors. */
  claim (&k, "header", 0, QCOW_HEADER_LENGTH);
  l1 = round_up (q->l1_offset, QCOW_SECTOR);
  if (q->l1_offset + q->l1_size * 8 > l1)
    claim (&k, "L1 table", l1, q->l1_offset + q->l1_size * 8 - l1);
  return check_tables (&k, e);
}
