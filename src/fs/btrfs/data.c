/* xrayfs: Btrfs: file data and their checksums
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, EXTENT_CSUM: a checksum for each sector of data, by
 * logical address.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

/* Sectors that are read and verified at once. */
#define BATCH 64

/* How many sectors from LOGICAL on the item at C has checksums of, and from
 * where on in it. */
static size_t
sectors_in (const struct btrfs_cursor *c, uint64_t logical, size_t *ret_skip)
{
  size_t count = c->size / btrfs_csum_size (c->b->sb.csum);
  uint64_t skip;

  if (c->key.objectid != BTRFS_EXTENT_CSUM ||
      c->key.type != BTRFS_CSUM_ITEM || c->key.offset > logical)
    return 0;
  skip = (logical - c->key.offset) / c->b->sb.sectorsize;
  *ret_skip = skip;
  return skip < count ? count - skip : 0;
}

/* The checksums of N sectors.  That there are none is damage: Linux does not
 * read such data either. */
static int
get_csums (struct btrfs *b, uint64_t logical, unsigned n, char *to,
           struct err *e)
{
  size_t size = btrfs_csum_size (b->sb.csum), skip = 0, here;
  BTRFS_CURSOR (c, b, &b->csum_tree);

  if (!b->csum_tree.root)
    return err_set (e, EIO, "there is no tree of checksums");
  while (n > 0) {
    struct btrfs_key key = { BTRFS_EXTENT_CSUM, BTRFS_CSUM_ITEM, logical };
    int r = btrfs_find_last (&c, &key, e);

    if (r == -1)
      return -1;
    here = r ? sectors_in (&c, logical, &skip) : 0;
    if (here == 0)
      return err_set (e, EIO, "data at 0x%" PRIx64 " have no checksum",
                      logical);
    here = MIN (here, n);
    memcpy (to, c.data + skip * size, here * size);
    to += here * size;
    n -= here;
    logical += here * b->sb.sectorsize;
  }
  return 0;
}

/* CSUMS: NULL: they have none. */
static int
verify (const struct btrfs *b, uint64_t logical, const char *buf, unsigned n,
        const char *csums, struct err *e)
{
  size_t sector = b->sb.sectorsize, size = btrfs_csum_size (b->sb.csum);

  for (unsigned i = 0; csums && i < n; i++)
    if (!btrfs_csum_ok (b->sb.csum, b->hash, buf + i * sector, sector,
                        csums + i * size))
      return err_set (e, EIO,
                      "checksum of the data at 0x%" PRIx64 " is wrong",
                      logical + i * sector);
  return 0;
}

/* Is the copy on a device that was away while others were written? */
static bool
is_stale (const struct btrfs *b, uint64_t logical, unsigned copy)
{
  struct btrfs_place at = { 0 };
  struct err ignored;

  return btrfs_locate (b, logical, copy, &at, &ignored) == 0 &&
         at.device->block && at.device->generation < b->sb.generation;
}

/* From a copy that is whole.  What is stale comes last: without checksums
 * nothing else would tell. */
static int
read_from_any (struct btrfs *b, uint64_t logical, char *buf, unsigned n,
               const char *csums, struct err *e)
{
  const struct btrfs_chunk *c = btrfs_chunk_at (b, logical);
  unsigned copies = c ? btrfs_copies (c->type) : 1, copy;
  struct err why;

  e->code = 0;
  for (unsigned i = 0; i < 2 * copies; i++) {
    copy = i % copies;
    if (is_stale (b, logical, copy) != (i >= copies))
      continue;
    err_clear (&why);
    if (btrfs_read_copy (b, logical, copy, buf, (size_t) n * b->sb.sectorsize,
                         &why) == 0 &&
        verify (b, logical, buf, n, csums, &why) == 0)
      return 0;
    if (!e->code || err_is_transient (&why))
      *e = why;
  }
  return -1;
}

/* Where no copy is whole, each sector may be in one. */
static int
read_batch (struct btrfs *b, uint64_t logical, char *buf, unsigned n,
            const char *csums, struct err *e)
{
  size_t sector = b->sb.sectorsize, size = btrfs_csum_size (b->sb.csum);
  struct err why = { 0 };

  if (read_from_any (b, logical, buf, n, csums, &why) == 0)
    return 0;
  for (unsigned i = 0; n > 1 && i < n; i++)
    if (read_from_any (b, logical + i * sector, buf + i * sector, 1,
                       csums ? csums + i * size : NULL, e) == -1)
      return -1;
  if (n == 1)
    *e = why;
  return n == 1 ? -1 : 0;
}

static int
read_sectors (struct btrfs *b, uint64_t logical, char *buf, size_t n,
              bool verified, struct err *e)
{
  char csums[BATCH * BTRFS_CSUM_SIZE];
  size_t sector = b->sb.sectorsize;
  unsigned here;

  for (; n > 0; n -= here, logical += here * sector, buf += here * sector) {
    here = MIN (n, BATCH);
    if ((verified && get_csums (b, logical, here, csums, e) == -1) ||
        read_batch (b, logical, buf, here, verified ? csums : NULL, e) == -1)
      return -1;
  }
  return 0;
}

/* Parts of a sector are cut out of a whole one. */
int
btrfs_read_data (struct btrfs *b, uint64_t logical, char *buf, size_t len,
                 bool verified, struct err *e)
{
  size_t sector = b->sb.sectorsize, skip, n;

  if (b->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  for (; len > 0; len -= n, logical += n, buf += n) {
    skip = logical % sector;
    if (skip == 0 && len >= sector) {
      n = len - len % sector;
      if (read_sectors (b, logical, buf, n / sector, verified, e) == -1)
        return -1;
      continue;
    }
    n = MIN (len, sector - skip);
    if (read_sectors (b, logical - skip, b->sector, 1, verified, e) == -1)
      return -1;
    memcpy (buf, b->sector + skip, n);
  }
  return 0;
}
