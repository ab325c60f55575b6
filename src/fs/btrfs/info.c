/* xrayfs: Btrfs: what it says of itself
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Size and used are those of the superblock (dump-super: total_bytes,
 * bytes_used): used are logical bytes, a copy not counted.  Free is what
 * `btrfs filesystem usage` estimates: room for data in their block groups,
 * and what they could still get with their profile.
 */
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

/* btrfs-progs: MIN_UNALOCATED_THRESH; less is not given to data. */
#define MIN_UNALLOCATED (16 * MiB)

/* The words of `btrfs inspect-internal dump-super`. */
static const char *const incompat_words[] = {
  "MIXED_BACKREF",   "DEFAULT_SUBVOL", "MIXED_GROUPS",     "COMPRESS_LZO",
  "COMPRESS_ZSTD",   "BIG_METADATA",   "EXTENDED_IREF",    "RAID56",
  "SKINNY_METADATA", "NO_HOLES",       "METADATA_UUID",    "RAID1C34",
  "ZONED",           "EXTENT_TREE_V2", "RAID_STRIPE_TREE", NULL,
  "SIMPLE_QUOTA"
};
static const char *const compat_ro_words[] = { "FREE_SPACE_TREE",
                                               "FREE_SPACE_TREE_VALID",
                                               "VERITY", "BLOCK_GROUP_TREE" };

static void
add_words (struct buf *b, uint64_t bits, const char *const *words, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (words[i] && bits >> i & 1)
      buf_add_word (b, words[i]);
}

static void
add_features (const struct btrfs_super *sb, struct buf *b)
{
  add_words (b, sb->incompat, incompat_words, ARRAY_SIZE (incompat_words));
  add_words (b, sb->compat_ro, compat_ro_words, ARRAY_SIZE (compat_ro_words));
  buf_add_word (b, btrfs_csum_name (sb->csum));
  if (sb->flags & BTRFS_SUPER_SEEDING)
    buf_add_word (b, "SEEDING");
  if (sb->flags & BTRFS_SUPER_METADUMP)
    buf_add_word (b, "METADUMP");
}

/* --- room ------------------------------------------------------------ */

/* Bytes that the block group of a chunk uses. */
static int
group_used (struct btrfs *b, const struct btrfs_chunk *chunk, uint64_t *ret,
            struct err *e)
{
  struct btrfs_key key = { chunk->start, BTRFS_BLOCK_GROUP_ITEM,
                           chunk->length };
  BTRFS_CURSOR (c, b, &b->group_tree);
  int r = btrfs_find (&c, &key, e);

  if (r == 0 || (r == 1 && c.size < 8))
    return err_set (e, EIO, "a chunk has no block group");
  if (r == -1)
    return -1;
  *ret = MIN (load_le64 (c.data), chunk->length);
  return 0;
}

int
btrfs_group_sums (struct btrfs *b, uint64_t wanted, uint64_t *ret_total,
                  uint64_t *ret_used, struct err *e)
{
  uint64_t total = 0, used = 0, one = 0;

  if (!b->group_tree.root)
    return err_set (e, EIO, "there is no tree of block groups");
  for (size_t i = 0; i < b->map.chunks.len; i++) {
    const struct btrfs_chunk *c = &b->map.chunks.items[i];

    if (!(c->type & wanted))
      continue;
    if (group_used (b, c, &one, e) == -1)
      return -1;
    total += c->length;
    used += one;
  }
  *ret_total = total;
  *ret_used = used;
  return 0;
}

/* Bytes on the devices for each byte of data. */
static double
data_ratio (const struct btrfs *b)
{
  double raw = 0, logical = 0;

  for (size_t i = 0; i < b->map.chunks.len; i++) {
    const struct btrfs_chunk *c = &b->map.chunks.items[i];
    unsigned parity = btrfs_parity_stripes (c->type);

    if (!(c->type & BTRFS_DATA))
      continue;
    logical += (double) c->length;
    raw += (double) c->length * btrfs_copies (c->type) * c->n_stripes /
           (c->n_stripes - parity);
  }
  return logical > 0 ? raw / logical : 1;
}

static int
estimate_free (struct btrfs *b, uint64_t *ret, struct err *e)
{
  double unallocated = 0, more;
  uint64_t total, used;

  if (btrfs_group_sums (b, BTRFS_DATA, &total, &used, e) == -1)
    return -1;
  for (size_t i = 0; i < b->devices.len; i++) {
    const struct btrfs_device *d = &b->devices.items[i];

    unallocated += (double) (d->total - MIN (d->used, d->total));
  }
  more = unallocated / data_ratio (b);
  *ret = total - used;
  if (unallocated >= MIN_UNALLOCATED)
    *ret += more < (double) b->sb.total ? (uint64_t) more : b->sb.total;
  return 0;
}

int
btrfs_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct btrfs *b = fs->priv;
  const struct btrfs_super *sb = &b->sb;

  ret->size = sb->total;
  ret->used = sb->used;
  ret->block_size = sb->sectorsize;
  /* The rest is known without it. */
  if (estimate_free (b, &ret->free, e) == -1) {
    if (err_is_transient (e) || e->code == ECANCELED)
      return -1;
    err_clear (e);
    ret->free = UINT64_MAX;
  }
  snprintf (ret->state, sizeof ret->state, "%s",
            sb->flags & BTRFS_SUPER_ERROR ? "errors"
            : sb->log_root                ? "needs-recovery"
                                          : "clean");
  add_features (sb, &ret->features);
  return buf_check (&ret->features, e);
}
