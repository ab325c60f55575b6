/* xrayfs: qcow2: damage of persistent dirty bitmaps (qcow2.txt, "Bitmaps")
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "format/qcow2_check.h"

/* The limits are qemu's. */
#define MAX_BITMAPS     65535
#define MAX_DIRECTORY   (MAX_BITMAPS * KiB)
#define MAX_TABLE       0x8000000 /* entries */
#define MAX_NAME        1023
#define MAX_EXTRA       1024
#define MIN_GRANULARITY 9
#define MAX_GRANULARITY 31
#define DIRTY_TRACKING  1
#define FLAGS_RESERVED  UINT32_C (0xfffffffc)
#define FLAG_IN_USE     UINT32_C (1)
#define DIR_ENTRY       24
#define TABLE_RESERVED  UINT64_C (0xff000000000001fe)
#define TABLE_ALL_ONES  UINT64_C (1)

struct bitmap {
  uint64_t table;
  uint32_t table_size, flags, extra_len;
  uint8_t type, granularity;
  uint16_t name_len;
};

/* Has the table just the clusters for a bit for each granule of the disk, as
 * qemu writes them in words of 64?  A bitmap in use is not up to date and may
 * have been left when the disk was resized. */
static bool
fits_disk (const struct qcow2 *q, const struct bitmap *m)
{
  uint64_t bits = div_up (q->size, UINT64_C (1) << m->granularity);

  return (m->flags & FLAG_IN_USE) ||
         m->table_size == div_up (div_up (bits, 64) * 8, q->cluster_size);
}

static bool
is_good_bitmap (const struct qcow2 *q, const struct bitmap *m)
{
  return m->table && !(m->table & (q->cluster_size - 1)) && m->table_size &&
         m->table_size <= MAX_TABLE && m->name_len &&
         m->name_len <= MAX_NAME && m->extra_len <= MAX_EXTRA &&
         !(m->flags & FLAGS_RESERVED) && m->type == DIRTY_TRACKING &&
         m->granularity >= MIN_GRANULARITY &&
         m->granularity <= MAX_GRANULARITY;
}

static int
check_table_entry (struct qcow2_check *k, uint32_t number, uint64_t entry,
                   struct err *e)
{
  uint64_t off = entry & QCOW2_OFFSET_MASK;

  if ((entry & TABLE_RESERVED) ||
      (off &&
       ((entry & TABLE_ALL_ONES) || (off & (k->q->cluster_size - 1))))) {
    block_check_error (k->c, "bitmap %" PRIu32 ": table entry 0x%" PRIx64,
                       number, entry);
    return 0;
  }
  return off ? qcow2_check_table (k, off, k->q->cluster_size,
                                  "cluster of a bitmap", e)
             : 0;
}

static int
check_table (struct qcow2_check *k, uint32_t number, const struct bitmap *m,
             struct err *e)
{
  struct qcow2_walk *w = &k->walk;
  uint64_t len = (uint64_t) m->table_size * 8, n;

  if (qcow2_check_table (k, m->table, len, "bitmap table", e) == -1)
    return -1;
  if (!range_within (m->table, len, k->b->below->size))
    return 0;
  for (uint64_t done = 0; done < len; done += n) {
    n = MIN (len - done, QCOW2_PIECE);
    if (!qcow2_walk_spend (w, n))
      return 0;
    if (block_pread (k->b->below, w->l1, n, m->table + done, e) == -1)
      return err_in (e, "bitmap table");
    for (uint64_t i = 0; i < n; i += 8)
      if (check_table_entry (k, number, load_be64 (w->l1 + i), e) == -1)
        return -1;
  }
  return 0;
}

/* The entry at *OFF, which moves behind it; END: of the directory. */
static int
check_bitmap (struct qcow2_check *k, uint32_t number, uint64_t *off,
              uint64_t end, bool *ret_good, struct err *e)
{
  unsigned char h[DIR_ENTRY];
  struct bitmap m;

  *ret_good = false;
  if (end - *off < sizeof h)
    return 0;
  if (block_pread (k->b->below, h, sizeof h, *off, e) == -1)
    return err_in (e, "bitmap directory");
  m = (struct bitmap){ .table = load_be64 (h),
                       .table_size = load_be32 (h + 8),
                       .flags = load_be32 (h + 12),
                       .type = h[16],
                       .granularity = h[17],
                       .name_len = load_be16 (h + 18),
                       .extra_len = load_be32 (h + 20) };
  if (!is_good_bitmap (k->q, &m))
    return 0;
  if (m.extra_len)
    block_check_error (k->c, "bitmap %" PRIu32 ": extra data", number);
  if (!fits_disk (k->q, &m))
    block_check_error (k->c,
                       "bitmap %" PRIu32 ": a table of %" PRIu32
                       " clusters does not fit the disk",
                       number, m.table_size);
  *off += round_up (sizeof h + m.extra_len + m.name_len, 8);
  *ret_good = *off <= end;
  return *ret_good ? check_table (k, number, &m, e) : 0;
}

static bool
is_good_directory (const struct qcow2 *q)
{
  const struct qcow2_bitmaps *x = &q->bitmaps;

  return x->n && x->n <= MAX_BITMAPS && !x->reserved &&
         x->dir_size <= MAX_DIRECTORY && x->dir_offset <= INT64_MAX / 2 &&
         !(x->dir_offset & (q->cluster_size - 1));
}

int
qcow2_check_bitmaps (struct qcow2_check *k, struct err *e)
{
  const struct qcow2_bitmaps *x = &k->q->bitmaps;
  uint64_t off = x->dir_offset, end = off + x->dir_size;
  bool good = true;

  if (!x->n && !x->dir_size && !x->dir_offset)
    return 0;
  if (!is_good_directory (k->q)) {
    block_check_error (k->c, "bitmap directory at 0x%" PRIx64, x->dir_offset);
    k->incomplete = "the bitmap directory is damaged";
    return 0;
  }
  if (qcow2_check_table (k, off, x->dir_size, "bitmap directory", e) == -1)
    return -1;
  if (!range_within (off, x->dir_size, k->b->below->size))
    good = false;
  for (uint32_t i = 0; good && i < x->n; i++)
    if (check_bitmap (k, i, &off, end, &good, e) == -1)
      return -1;
  if (good && off == end)
    return 0;
  block_check_error (k->c, "bitmap directory is damaged");
  k->incomplete = "the bitmap directory is damaged";
  return 0;
}
