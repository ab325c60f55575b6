/* xrayfs: XFS: where the blocks of a file lie
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Data Extents: a fork is a list of extents in the inode, or the root
 * of a B+tree of them.  A list that is out of order, or reaches out of the
 * range that the tree has for it, is an error, never a hole.  The list found
 * last is kept, so that reading a file through descends once per leaf.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define RECORD      16
#define ROOT_HEADER 4
#define NODE_V4     24
#define NODE_V5     72
#define MAGIC_V4    0x424d4150 /* "BMAP" */
#define MAGIC_V5    0x424d4133 /* "BMA3" */
#define MAX_LEVELS  16         /* of 2^48 extents in blocks of 512 bytes */

static int
bad_tree (struct err *e, const char *what)
{
  return err_set (e, EIO, "extent tree: %s", what);
}

/* --- records: 1 bit unwritten, 54 offset, 52 block, 21 count --------- */

struct record {
  uint64_t first, fsblock, count;
  bool unwritten;
};

static struct record
record_at (const char *records, unsigned i)
{
  uint64_t high = load_be64 (records + (size_t) i * RECORD);
  uint64_t low = load_be64 (records + (size_t) i * RECORD + 8);

  return (struct record){
    .first = (high & INT64_MAX) >> 9,
    .fsblock = (high & 0x1ff) << 43 | low >> 21,
    .count = low & 0x1fffff,
    .unwritten = high >> 63,
  };
}

/* Each lies after the one before, and within [FIRST, END). */
static int
check_records (const char *records, unsigned n, uint64_t first, uint64_t end,
               struct err *e)
{
  for (unsigned i = 0; i < n; i++) {
    struct record r = record_at (records, i);

    if (r.count == 0)
      return bad_tree (e, "extent of no blocks");
    if (r.first < first || !range_within (r.first, r.count, end))
      return bad_tree (e, "extents are out of order");
    first = r.first + r.count;
  }
  return 0;
}

static void
keep_records (struct xfs_fork *f, const char *records, unsigned n,
              uint64_t first, uint64_t end)
{
  f->records = records;
  f->n_records = n;
  f->first = first;
  f->end = end;
}

/* --- the tree -------------------------------------------------------- */

/* N keys and pointers, and the blocks [first, end) that they are for. */
struct index {
  const char *keys, *pointers;
  unsigned n;
  uint64_t first, end;
};

static uint64_t
key_at (const struct index *t, unsigned i)
{
  return load_be64 (t->keys + (size_t) i * 8);
}

static int
check_keys (const struct index *t, struct err *e)
{
  for (unsigned i = 0; i < t->n; i++)
    if (key_at (t, i) >= t->end ||
        key_at (t, i) < (i ? key_at (t, i - 1) + 1 : t->first))
      return bad_tree (e, "keys are out of order");
  return 0;
}

/* The block below which has LBLK; T's range becomes that block's. */
static uint64_t
choose (struct index *t, uint64_t lblk)
{
  unsigned lo = 0, hi = t->n, mid;

  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (key_at (t, mid) <= lblk)
      lo = mid;
    else
      hi = mid;
  }
  if (lo > 0)
    t->first = key_at (t, lo);
  if (lo + 1 < t->n)
    t->end = key_at (t, lo + 1);
  return load_be64 (t->pointers + (size_t) lo * 8);
}

/* Reads a block of LEVEL into F's buffer. */
static int
read_block (struct xfs *x, struct xfs_node *n, struct xfs_fork *f,
            uint64_t fsblock, unsigned level, struct err *e)
{
  if (!f->leaf && !(f->leaf = malloc (x->sb.block_size)))
    return err_set (e, ENOMEM, "out of memory");
  if (xfs_read_kind (x, XFS_BMAP, fsblock, x->sb.block_size, n->ino, f->leaf,
                     e) == -1)
    return -1;
  if (load_be32 (f->leaf) != (xfs_is_v5 (x) ? MAGIC_V5 : MAGIC_V4))
    return err_set (e, EIO, "extent tree: fsblock %" PRIu64 ": wrong magic",
                    fsblock);
  if (load_be16 (f->leaf + 4) != level)
    return bad_tree (e, "block of another level");
  if (load_be16 (f->leaf + 6) == 0)
    return bad_tree (e, "block without entries");
  if (load_be16 (f->leaf + 6) >
      (x->sb.block_size - (xfs_is_v5 (x) ? NODE_V5 : NODE_V4)) / RECORD)
    return bad_tree (e, "too many entries");
  return 0;
}

static int
root_index (const struct xfs_fork *f, struct index *ret, unsigned *ret_level,
            struct err *e)
{
  unsigned max = (f->size - MIN (f->size, ROOT_HEADER)) / RECORD;
  unsigned n = f->size < ROOT_HEADER ? 0 : load_be16 (f->data + 2);
  unsigned level = n ? load_be16 (f->data) : 0;

  if (n == 0 || n > max || level == 0 || level > MAX_LEVELS)
    return bad_tree (e, "impossible root");
  *ret = (struct index){ f->data + ROOT_HEADER,
                         f->data + ROOT_HEADER + (size_t) max * 8, n, 0,
                         XFS_MAX_LBLK };
  *ret_level = level;
  return check_keys (ret, e);
}

static int
block_index (const struct xfs *x, const struct xfs_fork *f, struct index *t,
             struct err *e)
{
  size_t header = xfs_is_v5 (x) ? NODE_V5 : NODE_V4;

  t->keys = f->leaf + header;
  t->pointers = t->keys + (x->sb.block_size - header) / RECORD * 8;
  t->n = load_be16 (f->leaf + 6);
  return check_keys (t, e);
}

/* Ends after at most MAX_LEVELS blocks, since each must be one level below
 * the one before. */
static int
descend (struct xfs *x, struct xfs_node *n, struct xfs_fork *f, uint64_t lblk,
         struct err *e)
{
  size_t header = xfs_is_v5 (x) ? NODE_V5 : NODE_V4;
  unsigned level = 0, count;
  struct index t = { 0 };

  f->records = NULL;
  if (root_index (f, &t, &level, e) == -1)
    return -1;
  while (level-- > 0) {
    if (read_block (x, n, f, choose (&t, lblk), level, e) == -1 ||
        (level > 0 && block_index (x, f, &t, e) == -1))
      return -1;
  }
  count = load_be16 (f->leaf + 6);
  if (check_records (f->leaf + header, count, t.first, t.end, e) == -1)
    return -1;
  keep_records (f, f->leaf + header, count, t.first, t.end);
  return 0;
}

/* --- both ------------------------------------------------------------ */

static int
find_records (struct xfs *x, struct xfs_node *n, struct xfs_fork *f,
              uint64_t lblk, struct err *e)
{
  if (f->records && lblk >= f->first && lblk < f->end)
    return 0;
  if (f->format == XFS_BTREE)
    return descend (x, n, f, lblk, e);
  if (f->format != XFS_EXTENTS)
    return err_set (e, EIO, "fork has no blocks");
  if (check_records (f->data, f->n_extents, 0, XFS_MAX_LBLK, e) == -1)
    return -1;
  keep_records (f, f->data, f->n_extents, 0, XFS_MAX_LBLK);
  return 0;
}

/* The first record that ends after LBLK. */
static unsigned
search (const struct xfs_fork *f, uint64_t lblk)
{
  unsigned lo = 0, hi = f->n_records, mid;

  while (lo < hi) {
    struct record r;

    mid = lo + (hi - lo) / 2;
    r = record_at (f->records, mid);
    if (r.first + r.count <= lblk)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* Attributes are never on the realtime device. */
static int
answer (const struct xfs *x, const struct xfs_node *n, unsigned fork,
        struct record r, uint64_t skip, struct xfs_run *ret, struct err *e)
{
  if (r.unwritten) {
    *ret = (struct xfs_run){ EXTENT_ZERO, 0, r.count - skip };
    return 0;
  }
  if (fork == XFS_DATA_FORK && n->flags & XFS_FLAG_REALTIME)
    return err_set (e, ENOTSUP, "data lie on the realtime device");
  if (xfs_check_blocks (x, r.fsblock, r.count, e) == -1)
    return err_in (e, "extent");
  *ret = (struct xfs_run){ EXTENT_DATA, r.fsblock + skip, r.count - skip };
  return 0;
}

int
xfs_map_blocks (struct xfs *x, struct xfs_node *n, unsigned fork,
                uint64_t lblk, struct xfs_run *ret, struct err *e)
{
  struct xfs_fork *f = &n->forks[fork];
  struct record r;
  unsigned i;

  if (lblk >= XFS_MAX_LBLK)
    return err_set (e, EIO, "block %" PRIu64 " of a file is too far", lblk);
  if (find_records (x, n, f, lblk, e) == -1)
    return -1;
  i = search (f, lblk);
  if (i < f->n_records) {
    r = record_at (f->records, i);
    if (r.first <= lblk)
      return answer (x, n, fork, r, lblk - r.first, ret, e);
  }
  *ret = (struct xfs_run){ EXTENT_UNALLOCATED, 0,
                           (i < f->n_records ? r.first : f->end) - lblk };
  return 0;
}
