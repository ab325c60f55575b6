/* xrayfs: what the allocation map says
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bound is what `qemu-img measure -O qcow2` computes (qemu 7.2,
 * block/qcow2.c, qcow2_measure and qcow2_calc_prealloc_size) with its default
 * options: 64 KiB clusters, 16-bit refcounts.
 */
#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/qcow2_size.h"

/* Clusters of refcount blocks and table for CLUSTERS clusters,
 * themselves included: grows until it covers itself. */
static uint64_t
refcount_bytes (uint64_t clusters)
{
  uint64_t blocks, table, n = 0, last;

  do {
    last = n;
    blocks = div_up (clusters + n, QCOW2_REFCOUNTS_PER_BLOCK);
    table = div_up (blocks, QCOW2_CLUSTER / QCOW2_TABLE_ENTRY);
    n = blocks + table;
  } while (n != last);
  return n * QCOW2_CLUSTER;
}

/* A qcow2 file that holds every cluster of a disk of SIZE bytes. */
static uint64_t
fully_allocated (uint64_t size)
{
  uint64_t aligned = round_up (size, QCOW2_CLUSTER);
  uint64_t l2_entries =
      round_up (aligned / QCOW2_CLUSTER, QCOW2_CLUSTER / QCOW2_TABLE_ENTRY);
  uint64_t l1_entries =
      round_up (l2_entries * QCOW2_TABLE_ENTRY / QCOW2_CLUSTER,
                QCOW2_CLUSTER / QCOW2_TABLE_ENTRY);
  uint64_t meta = QCOW2_CLUSTER + l2_entries * QCOW2_TABLE_ENTRY +
                  l1_entries * QCOW2_TABLE_ENTRY;

  return meta + refcount_bytes ((meta + aligned) / QCOW2_CLUSTER) + aligned;
}

struct measure {
  uint64_t allocated;
  uint64_t clusters_end; /* first byte that no counted cluster covers */
  uint64_t required;     /* bytes of clusters with data */
};

static void
measure_extent (struct measure *m, uint64_t off, const struct extent *x,
                const struct block_answer *who)
{
  uint64_t start = MAX (off & ~(QCOW2_CLUSTER - 1), m->clusters_end);
  uint64_t end = round_up (off + x->length, QCOW2_CLUSTER);
  bool data = x->kind == EXTENT_DATA || x->kind == EXTENT_COMPRESSED;

  if (data && who->own)
    m->allocated += x->length;
  if (!data && !(who->layer && who->layer->ops->unmapped_in_qemu))
    return;
  if (end > start)
    m->required += end - start;
  m->clusters_end = MAX (m->clusters_end, end);
}

int
allocation_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct measure m = { 0 };
  uint64_t size = img->disk->size;
  struct block_answer who;
  struct extent x;

  if (size > (uint64_t) 1 << 60)
    return err_set (e, EFBIG, "the disk is too large for qcow2");
  for (uint64_t off = 0; off < size; off += x.length) {
    if (img->disk->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    if (block_status (img->disk, off, size - off, &x, &who, e) == -1)
      return -1;
    measure_extent (&m, off, &x, &who);
    lazy_progress (&img->allocation_cell, off, size);
  }
  img->allocation = (struct allocation){
    .allocated = m.allocated,
    .qcow2_size_bound =
        fully_allocated (size) - round_up (size, QCOW2_CLUSTER) + m.required,
  };
  return 0;
}
