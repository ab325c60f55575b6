/* xrayfs: qcow2: was space given out ahead of the data?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With preallocation=metadata clusters are given out that lie in holes of the
 * file.  Who asks for data and holes is then told of the file's holes as
 * well, as in qemu 7.2 (qcow2_detect_metadata_preallocation): when the
 * clusters with references are clearly more than the host has allocated.
 */
#include "base/bytes.h"
#include "block/table.h"
#include "format/qcow2.h"

/* qcow2.txt, "Refcount table entry". */
#define BLOCK_OFFSET_MASK UINT64_C (0xfffffffffffffe00)

struct count {
  struct block *b;
  const void *table_owner, *block_owner; /* in the cache */
  uint64_t per_block; /* references that a refcount block has */
  uint64_t end;       /* clusters of the file */
  uint64_t enough;    /* no need to count further */
  uint64_t n;         /* clusters with references so far */
};

/* "Host cluster management": entry I, of 1 << ORDER bits. */
static bool
is_referenced (const unsigned char *block, uint64_t i, unsigned order)
{
  unsigned bits = 1u << order;

  if (bits < 8)
    return block[i >> (3 - order)] >> ((i << order) & 7) & ((1u << bits) - 1);
  return !is_zero (block + i * (bits / 8), bits / 8);
}

static int
count_piece (struct count *c, uint64_t off, size_t size, uint64_t n,
             struct err *e)
{
  const struct qcow2 *q = c->b->priv;
  CLEANUP_PIN struct pin pin = { 0 };

  if (table_get (c->b->below, c->block_owner, off, size, &pin, e) == -1)
    return err_in (e, "refcount block");
  for (uint64_t i = 0; i < n && c->n < c->enough; i++)
    c->n += is_referenced (pin.entry->data, i, q->refcount_order);
  return 0;
}

/* The refcount block at OFF, of which N references count. */
static int
count_block (struct count *c, uint64_t off, uint64_t n, struct err *e)
{
  const struct qcow2 *q = c->b->priv;
  uint64_t size = MIN (q->cluster_size, QCOW2_PIECE);
  uint64_t per_piece = size * 8 >> q->refcount_order;

  if (off & (q->cluster_size - 1))
    return err_set (e, EIO, "refcount block is not aligned");
  if (off >= c->b->below->size) /* qemu reads zeros there */
    return 0;
  for (; n > 0 && c->n < c->enough; off += size, n -= MIN (n, per_piece))
    if (count_piece (c, off, size, MIN (n, per_piece), e) == -1)
      return -1;
  return 0;
}

/* Where refcount block INDEX lies; 0: there is none. */
static int
block_offset (const struct count *c, uint64_t index, uint64_t *ret,
              struct err *e)
{
  const struct qcow2 *q = c->b->priv;
  uint64_t size = MIN (q->cluster_size, QCOW2_PIECE), at = index * 8;
  CLEANUP_PIN struct pin pin = { 0 };

  if (table_get (c->b->below, c->table_owner,
                 q->refcount_offset + at / size * size, size, &pin, e) == -1)
    return err_in (e, "refcount table");
  *ret = load_be64 ((char *) pin.entry->data + at % size) & BLOCK_OFFSET_MASK;
  return 0;
}

/* MAX_BLOCKS blocks may be read.  Each that says something takes a cluster of
 * the host's: a table that has more names one twice. */
static int
count_references (struct count *c, uint64_t max_blocks, struct err *e)
{
  const struct qcow2 *q = c->b->priv;
  uint64_t blocks = q->refcount_clusters * (q->cluster_size / 8), off = 0;
  uint64_t first = 0;

  for (uint64_t i = 0; i < blocks && first < c->end && c->n < c->enough;
       i++, first += c->per_block) {
    if (block_offset (c, i, &off, e) == -1)
      return -1;
    if (!off)
      continue;
    if (max_blocks-- == 0)
      return err_set (e, EIO, "refcount blocks overlap");
    if (count_block (c, off, MIN (c->per_block, c->end - first), e) == -1)
      return -1;
  }
  return 0;
}

bool
qcow2_is_preallocated (struct block *b)
{
  const struct qcow2 *q = b->priv;
  uint64_t length, allocated, real;
  struct count c = { .b = b,
                     .per_block = q->cluster_size * 8 >> q->refcount_order };
  struct err e = { 0 };

  if (block_usage (b->below, &length, &allocated, &e) == -1)
    return false; /* not a file: nothing to ask */
  real = allocated / q->cluster_size;
  c.end = div_up (length, q->cluster_size);
  c.enough = MAX (real * 10 / 9, real + 2);
  /* The references, a 32768th of the file, are read only where there can be
   * enough of them. */
  if (c.end < c.enough)
    return false;
  c.table_owner = cache_new_owner ();
  c.block_owner = cache_new_owner ();
  /* As in qemu: where they cannot be read, the tables are believed. */
  return count_references (&c, real + 1, &e) == 0 && c.n >= c.enough;
}
