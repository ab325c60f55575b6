/* xrayfs: QED
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: qemu, docs/interop/qed_spec.txt; sections are cited by name.
 * As qemu 7.2, but for this: an image with tables of one cluster opens (qemu
 * makes such images and refuses them), and of a cluster that the end of the
 * file cuts, the part that is there can be read (qemu refuses the whole).
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/claims.h"

/* "Specification": the header. */
#define MAGIC         0x00444551 /* "QED\0" */
#define HEADER_LENGTH 64
#define MIN_CLUSTER   (4 * KiB)
#define MAX_CLUSTER   (64 * MiB)
#define MAX_TABLE     16 /* clusters */
#define MAX_NAME      1023

/* "Features": those that a reader must know. */
#define F_BACKING_FILE            (UINT64_C (1) << 0)
#define F_NEED_CHECK              (UINT64_C (1) << 1)
#define F_BACKING_FORMAT_NO_PROBE (UINT64_C (1) << 2)
#define F_KNOWN                   UINT64_C (7)

/* "Tables": an entry that is no offset. */
#define ENTRY_NONE UINT64_C (0)
#define ENTRY_ZERO UINT64_C (1) /* of L2 only */

#define PIECE_ENTRIES (TABLE_PIECE / 8)

/* Constant after open. */
struct qed {
  uint64_t cluster_size, table_bytes; /* an L1 or L2 table */
  uint64_t header_bytes;
  uint64_t l2_range; /* of the disk, that one L2 table covers */
  uint32_t table_size, header_size;
  uint64_t features, l1_offset, size;
  uint32_t name_offset, name_len;
  char *backing_file;              /* or NULL */
  struct block *backing;           /* or NULL */
  const void *l1_owner, *l2_owner; /* in the cache */
};

/* --- the header ------------------------------------------------------ */

static bool
sizes_are_valid (uint32_t cluster_size, uint32_t table_size)
{
  return is_power_of_2 (cluster_size) && cluster_size >= MIN_CLUSTER &&
         cluster_size <= MAX_CLUSTER && is_power_of_2 (table_size) &&
         table_size <= MAX_TABLE;
}

static int
qed_bid (struct block *below, struct err *e)
{
  unsigned char h[12] = { 0 };

  if (below->size < 4)
    return 0;
  if (block_pread (below, h, MIN (below->size, sizeof h), 0, e) == -1)
    return -1;
  if (load_le32 (h) != MAGIC)
    return 0;
  /* A header that is damaged or cut off is ours to refuse. */
  return sizes_are_valid (load_le32 (h + 4), load_le32 (h + 8)) ? 64 : 32;
}

static int
check_geometry (const struct qed *q, uint32_t cluster_size, struct err *e)
{
  if (q->features & ~F_KNOWN)
    return err_set (e, ENOTSUP, "features 0x%" PRIx64 " are not supported",
                    q->features & ~F_KNOWN);
  if (!sizes_are_valid (cluster_size, q->table_size))
    return err_set (e, EINVAL,
                    "clusters of %" PRIu32 " bytes with tables of %" PRIu32
                    " clusters",
                    cluster_size, q->table_size);
  if (q->header_size == 0)
    return err_set (e, EINVAL, "header of 0 clusters");
  return 0;
}

/* L1 covers the disk: entries of L1 times what one L2 table covers. */
static int
check_size (const struct qed *q, struct err *e)
{
  if (q->size % 512)
    return err_set (e, EINVAL,
                    "virtual size of %" PRIu64 " bytes is no multiple of 512",
                    q->size);
  if (q->size > INT64_MAX)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " bytes", q->size);
  if (div_up (q->size, q->l2_range) > q->table_bytes / 8)
    return err_set (e, EINVAL,
                    "virtual size of %" PRIu64 " bytes is more than the"
                    " tables cover",
                    q->size);
  return 0;
}

/* Where a table or a cluster may lie, LEN bytes of it. */
static int
check_offset (struct block *b, const char *what, uint64_t off, uint64_t len,
              struct err *e)
{
  const struct qed *q = b->priv;

  if (off & (q->cluster_size - 1))
    return err_set (e, EIO, "%s offset 0x%" PRIx64 " is not aligned", what,
                    off);
  if (off < q->header_bytes)
    return err_set (e, EIO, "%s at 0x%" PRIx64 " lies in the header", what,
                    off);
  if (!range_within (off, len, b->below->size))
    return err_set (e, EIO, "%s at 0x%" PRIx64 " %s the end of the file",
                    what, off,
                    off < b->below->size ? "is cut off by" : "lies beyond");
  return 0;
}

static int
read_header (struct block *b, struct err *e)
{
  struct qed *q = b->priv;
  unsigned char h[HEADER_LENGTH];
  uint32_t cluster_size;

  if (b->below->size < sizeof h)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  /* Who names the format has not bid. */
  if (load_le32 (h) != MAGIC)
    return err_set (e, EINVAL, "not a QED image");
  cluster_size = load_le32 (h + 4);
  q->table_size = load_le32 (h + 8);
  q->header_size = load_le32 (h + 12);
  q->features = load_le64 (h + 16);
  q->l1_offset = load_le64 (h + 40);
  q->size = load_le64 (h + 48);
  q->name_offset = load_le32 (h + 56);
  q->name_len = load_le32 (h + 60);
  if (check_geometry (q, cluster_size, e) == -1)
    return -1;
  q->cluster_size = cluster_size;
  q->table_bytes = q->table_size * q->cluster_size; /* at most 1 GiB */
  q->header_bytes = q->header_size * q->cluster_size;
  q->l2_range = q->table_bytes / 8 * q->cluster_size;
  if (check_size (q, e) == -1)
    return -1;
  return check_offset (b, "L1 table", q->l1_offset, q->table_bytes, e);
}

/* "Backing files": the name lies in the header's clusters. */
static int
read_backing_name (struct block *b, struct err *e)
{
  struct qed *q = b->priv;
  CLEANUP_FREE char *name = NULL;

  if (!(q->features & F_BACKING_FILE))
    return 0;
  if (q->name_len > MAX_NAME)
    return err_set (e, EINVAL,
                    "backing file name of %" PRIu32 " bytes is too long",
                    q->name_len);
  if (!range_within (q->name_offset, q->name_len, q->header_bytes) ||
      !range_within (q->name_offset, q->name_len, b->below->size))
    return err_set (e, EINVAL,
                    "backing file name at 0x%" PRIx32
                    " lies beyond the header",
                    q->name_offset);
  name = calloc (1, (size_t) q->name_len + 1);
  if (!name)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, name, q->name_len, q->name_offset, e) == -1)
    return err_in (e, "backing file name");
  if (name[0])
    q->backing_file = steal_ptr (&name);
  return 0;
}

static const char *
backing_format (const struct qed *q)
{
  return q->features & F_BACKING_FORMAT_NO_PROBE ? "raw" : NULL;
}

static int
open_backing (struct block *b, struct err *e)
{
  struct qed *q = b->priv;

  if (read_backing_name (b, e) == -1)
    return -1;
  if (q->backing_file &&
      block_reference_or_missing (b, q->backing_file, backing_format (q),
                                  q->size, &q->backing, e) == -1)
    return err_in (e, "backing file '%s'", q->backing_file);
  return 0;
}

static int
qed_open (struct block *b, struct err *e)
{
  struct qed *q = b->priv = calloc (1, sizeof *q);

  if (!q)
    return err_set (e, ENOMEM, "out of memory");
  if (read_header (b, e) == -1 || open_backing (b, e) == -1)
    return -1;
  q->l1_owner = cache_new_owner ();
  q->l2_owner = cache_new_owner ();
  b->size = q->size;
  return 0;
}

/* --- tables ---------------------------------------------------------- */

/* A piece of a table: COUNT entries from number FIRST on. */
struct slice {
  struct pin pin;
  uint64_t first, count;
};

static void
cleanup_slice (struct slice *s)
{
  pin_release (&s->pin);
}
#define CLEANUP_SLICE __attribute__ ((cleanup (cleanup_slice)))

/* The piece of the table at TABLE, which lies in the file, that has entry
 * INDEX.  RET is empty. */
static int
slice_get (struct block *b, const void *owner, uint64_t table, uint64_t index,
           struct slice *ret, struct err *e)
{
  const struct qed *q = b->priv;

  ret->first = index - index % PIECE_ENTRIES;
  ret->count = MIN (PIECE_ENTRIES, q->table_bytes / 8 - ret->first);
  if (table_get (b->below, owner, table + ret->first * 8, ret->count * 8,
                 &ret->pin, e) == -1)
    return err_in (e, "%s table at 0x%" PRIx64,
                   owner == q->l1_owner ? "L1" : "L2", table);
  return 0;
}

/* Entry INDEX of the table, which is in S. */
static uint64_t
slice_entry (const struct slice *s, uint64_t index)
{
  const char *data = s->pin.entry->data;

  return load_le64 (data + (index - s->first) * 8);
}

/* How many entries from INDEX on follow that of INDEX: the same, where it is
 * no offset, or the offsets of clusters in a row.  WANT at most. */
static uint64_t
count_run (const struct qed *q, const struct slice *s, uint64_t index,
           uint64_t want)
{
  uint64_t entry = slice_entry (s, index);
  uint64_t step = entry <= ENTRY_ZERO ? 0 : q->cluster_size;
  uint64_t n = 1, max = MIN (want, s->first + s->count - index);

  while (n < max && slice_entry (s, index + n) == entry + n * step)
    n++;
  return n;
}

/* --- mapping --------------------------------------------------------- */

static int
map_unallocated (const struct qed *q, uint64_t off, uint64_t len,
                 struct extent *ret)
{
  if (q->backing && off < q->backing->size)
    *ret = extent_data (MIN (len, q->backing->size - off), q->backing, off);
  else
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

/* LEN bytes at HOST + WITHIN, in the clusters from HOST on. */
static int
map_data (struct block *b, uint64_t host, uint64_t within, uint64_t len,
          struct extent *ret, struct err *e)
{
  if (check_offset (b, "cluster", host, within + 1, e) == -1)
    return -1;
  host += within;
  *ret = extent_data (MIN (len, b->below->size - host), b->below, host);
  return 0;
}

static int
map_table (struct block *b, uint64_t l2, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  const struct qed *q = b->priv;
  uint64_t within = off % q->cluster_size;
  uint64_t index = off % q->l2_range / q->cluster_size, entry, n;
  CLEANUP_SLICE struct slice s = { 0 };

  if (check_offset (b, "L2 table", l2, q->table_bytes, e) == -1 ||
      slice_get (b, q->l2_owner, l2, index, &s, e) == -1)
    return -1;
  n = count_run (q, &s, index, (within + len - 1) / q->cluster_size + 1);
  len = MIN (len, n * q->cluster_size - within);
  entry = slice_entry (&s, index);
  if (entry == ENTRY_NONE)
    return map_unallocated (q, off, len, ret);
  if (entry != ENTRY_ZERO)
    return map_data (b, entry, within, len, ret, e);
  *ret = extent_of (EXTENT_ZERO, len);
  return 0;
}

static int
qed_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e)
{
  const struct qed *q = b->priv;
  uint64_t index = off / q->l2_range, l2, n;
  CLEANUP_SLICE struct slice s = { 0 };

  if (slice_get (b, q->l1_owner, q->l1_offset, index, &s, e) == -1)
    return -1;
  l2 = slice_entry (&s, index);
  if (l2 != ENTRY_NONE)
    return map_table (b, l2, off, len, ret, e);
  n = count_run (q, &s, index,
                 (off % q->l2_range + len - 1) / q->l2_range + 1);
  return map_unallocated (
      q, off, MIN (len, n * q->l2_range - off % q->l2_range), ret);
}

/* --- damage ---------------------------------------------------------- */

/* As qemu-img check: each cluster has one owner, offsets are valid, and what
 * nobody owns has leaked. */
struct qed_check {
  struct block *b;
  struct block_check *c;
  struct claims claims; /* clusters of the file */
  bool incomplete;      /* not all tables were read: leaks are not known */
};

/* WHAT has LEN bytes at HOST for itself, of which the disk needs NEED. */
static bool
claim (struct qed_check *k, const char *what, uint64_t host, uint64_t len,
       uint64_t need)
{
  const struct qed *q = k->b->priv;
  /* The disk, its tables and as much again: an offset beyond that is no sign
   * of a file that was cut off. */
  uint64_t tables = (div_up (q->size, q->l2_range) + 2) * q->table_bytes;
  uint64_t longest;
  struct err why;

  if (__builtin_add_overflow (q->size, tables + q->header_bytes, &longest) ||
      __builtin_mul_overflow (longest, 2, &longest))
    longest = UINT64_MAX;
  if (host <= longest && need <= longest - host)
    block_check_reach (k->c, k->b->below, host + need);
  else {
    block_check_error (k->c, "%s offset 0x%" PRIx64 " is out of range", what,
                       host);
    return false;
  }
  if (check_offset (k->b, what, host, 0, &why) == -1 &&
      host < k->b->below->size) {
    block_check_error (k->c, "%s", why.msg);
    return false;
  }
  if (claims_take (&k->claims, host / q->cluster_size,
                   div_up (len, q->cluster_size)))
    return true;
  block_check_error (k->c, "%s at 0x%" PRIx64 " overlaps another", what,
                     host);
  return false;
}

static int
check_l2 (struct qed_check *k, uint64_t guest, uint64_t l2, struct err *e)
{
  const struct qed *q = k->b->priv;
  uint64_t entry, at, need;

  for (uint64_t i = 0; i < q->table_bytes / 8;) {
    CLEANUP_SLICE struct slice s = { 0 };

    if (slice_get (k->b, q->l2_owner, l2, i, &s, e) == -1)
      return -1;
    for (; i < s.first + s.count; i++) {
      entry = slice_entry (&s, i);
      at = guest + i * q->cluster_size;
      /* The disk may end within its last cluster. */
      need = at < q->size ? MIN (q->cluster_size, q->size - at) : 0;
      if (entry > ENTRY_ZERO)
        claim (k, "cluster", entry, q->cluster_size, need);
    }
  }
  return 0;
}

static int
check_l1_entry (struct qed_check *k, uint64_t index, uint64_t l2,
                struct err *e)
{
  const struct qed *q = k->b->priv;

  if (l2 == ENTRY_NONE)
    return 0;
  /* A table that is named twice is looked at once. */
  if (!claim (k, "L2 table", l2, q->table_bytes, q->table_bytes) ||
      !range_within (l2, q->table_bytes, k->b->below->size)) {
    k->incomplete = true;
    return 0;
  }
  /* L1 may cover more than the disk, and more than 64 bits. */
  return check_l2 (
      k, index <= q->size / q->l2_range ? index * q->l2_range : q->size, l2,
      e);
}

static int
check_tables (struct qed_check *k, struct err *e)
{
  const struct qed *q = k->b->priv;
  uint64_t n = q->table_bytes / 8;

  for (uint64_t i = 0; i < n;) {
    CLEANUP_SLICE struct slice s = { 0 };

    block_check_progress (k->c, i, n);
    if (slice_get (k->b, q->l1_owner, q->l1_offset, i, &s, e) == -1)
      return -1;
    for (; i < s.first + s.count; i++)
      if (check_l1_entry (k, i, slice_entry (&s, i), e) == -1)
        return -1;
  }
  return 0;
}

static void
check_leaks (struct qed_check *k)
{
  const struct qed *q = k->b->priv;
  /* A last cluster that is cut off is none, as in qemu. */
  uint64_t n = k->b->below->size / q->cluster_size, used;

  if (k->incomplete || n <= q->header_size)
    return;
  n -= q->header_size;
  used = claims_count (&k->claims, q->header_size, n);
  if (used < n)
    block_check_note (k->c, "%" PRIu64 " clusters are not used (leaked)",
                      n - used);
}

static int
qed_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct qed *q = b->priv;
  CLEANUP_CLAIMS struct claims claims = { 0 };
  struct qed_check k = { b, c, { 0 }, false };

  if (claims_init (&claims, div_up (b->below->size, q->cluster_size), e) ==
      -1)
    return -1;
  k.claims = claims;
  if (q->features & F_NEED_CHECK)
    block_check_note (c, "the image was not closed cleanly (need-check)");
  claim (&k, "L1 table", q->l1_offset, q->table_bytes, q->table_bytes);
  if (check_tables (&k, e) == -1)
    return -1;
  check_leaks (&k);
  return 0;
}

/* --- the rest -------------------------------------------------------- */

static void
add_features (const struct qed *q, struct buf *out)
{
  if (q->features & F_BACKING_FILE)
    buf_puts (out, "backing-file\n");
  if (q->features & F_NEED_CHECK)
    buf_puts (out, "need-check\n");
  if (q->features & F_BACKING_FORMAT_NO_PROBE)
    buf_puts (out, "backing-format-no-probe\n");
}

static int
qed_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct qed *q = b->priv;
  const char *format = q->backing_file ? backing_format (q) : NULL;

  ret->has_backing = ret->has_features = true;
  ret->cluster_size = q->cluster_size;
  ret->dirty = q->features & F_NEED_CHECK;
  add_features (q, &ret->features);
  if (text_copy (q->backing_file, &ret->backing_file, e) == -1)
    return -1;
  return text_copy (format, &ret->backing_format, e);
}

static int
qed_safety (struct block *b unused_arg, struct buf *reasons,
            struct err *e unused_arg)
{
  buf_puts (reasons, "it is a QED image, a format that OpenStack refuses\n");
  return 0;
}

static struct block *
qed_backing (struct block *b)
{
  const struct qed *q = b->priv;

  return q->backing;
}

static void
qed_close (struct block *b)
{
  struct qed *q = b->priv;

  if (!q)
    return;
  block_close (q->backing);
  free (q->backing_file);
  free (q);
}

const struct block_ops qed_ops = {
  .name = "qed",
  .bid = qed_bid,
  .open = qed_open,
  .map = qed_map,
  .info = qed_info,
  .backing = qed_backing,
  .check = qed_check,
  .safety = qed_safety,
  .close = qed_close,
};
