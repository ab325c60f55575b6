/* xrayfs: XFS: damage of what describes the filesystem as a whole
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Allocation Groups: each begins with four sectors: a copy of the
 * superblock, AGF (free space), AGI (inodes) and AGFL (blocks kept for the
 * trees).  What `xfs_repair -n` complains about too; not each inode.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/xfs.h"

/* Groups with so many bad headers are none: the rest is not looked at. */
#define ENOUGH     1000
#define NULL_INODE UINT32_MAX

struct sums {
  uint64_t free_blocks, inodes, free_inodes, unlinked;
};

/* The four headers: where each says what it is; 0: it does not. */
static const struct header {
  const char *what;
  uint32_t magic;
  unsigned short crc, uuid, seqno;
} headers[] = {
  { "superblock", 0x58465342, 224, 0, 0 },
  { "AGF", 0x58414746, 216, 64, 8 },
  { "AGI", 0x58414749, 312, 296, 8 },
  { "AGFL", 0x5841464c, 32, 8, 4 },
};
enum { SB, AGF, AGI, AGFL };

static uint32_t
length_of (const struct xfs *x, uint32_t ag)
{
  uint64_t start = (uint64_t) ag * x->sb.ag_blocks;

  return (uint32_t) MIN (x->sb.blocks - start, x->sb.ag_blocks);
}

/* A copy of the superblock that differs is no loss; the others are. */
static void
bad (struct block_check *c, uint32_t ag, unsigned which, const char *how)
{
  if (which == SB)
    block_check_note (c, "group %" PRIu32 ": copy of the superblock: %s", ag,
                      how);
  else
    block_check_error (c, "group %" PRIu32 ": %s: %s", ag,
                       headers[which].what, how);
}

/* Is the sector at P the header that it should be? */
static bool
is_header (const struct xfs *x, uint32_t ag, unsigned which, const char *p,
           struct block_check *c)
{
  const struct header *h = &headers[which];

  /* Version 4 has no header in the AGFL. */
  if (which == AGFL && !xfs_is_v5 (x))
    return true;
  if (load_be32 (p) != h->magic)
    return bad (c, ag, which, "wrong magic"), false;
  if (xfs_is_v5 (x) && !xfs_crc_ok (p, x->sb.sector_size, h->crc))
    return bad (c, ag, which, "checksum is wrong"), false;
  if (xfs_is_v5 (x) && h->uuid &&
      memcmp (p + h->uuid, x->sb.uuid, sizeof x->sb.uuid) != 0)
    return bad (c, ag, which, "of another filesystem"), false;
  if (h->seqno && load_be32 (p + h->seqno) != ag)
    return bad (c, ag, which, "of another group"), false;
  return true;
}

/* What growing and all else that writes copies keeps alike in all of them. */
static void
check_copy (const struct xfs *x, uint32_t ag, const char *p,
            struct block_check *c)
{
  const struct xfs_super *sb = &x->sb;

  if (load_be32 (p + 4) != sb->block_size ||
      load_be64 (p + 8) != sb->blocks ||
      load_be32 (p + 84) != sb->ag_blocks ||
      load_be32 (p + 88) != sb->ag_count ||
      load_be16 (p + 102) != sb->sector_size ||
      load_be16 (p + 104) != sb->inode_size ||
      load_be64 (p + 48) != sb->log_start)
    bad (c, ag, SB, "describes another filesystem");
}

static void
check_agf (const struct xfs *x, uint32_t ag, const char *p, struct sums *sums,
           struct block_check *c)
{
  uint32_t length = length_of (x, ag), free = load_be32 (p + 52),
           longest = load_be32 (p + 56), kept = load_be32 (p + 48);
  uint32_t btree = x->sb.version == 5 || x->sb.features2 & XFS_V2_LAZY_COUNT
                       ? load_be32 (p + 60)
                       : 0;

  if (load_be32 (p + 12) != length)
    bad (c, ag, AGF, "has another length than the group");
  else if (free > length || longest > free || kept > length || btree > length)
    bad (c, ag, AGF, "counts more blocks than there are");
  else if (load_be32 (p + 16) >= length || load_be32 (p + 20) >= length)
    bad (c, ag, AGF, "its trees lie outside of the group");
  sums->free_blocks += (uint64_t) free + kept + btree;
}

static void
check_agi (const struct xfs *x, uint32_t ag, const char *p, struct sums *sums,
           struct block_check *c)
{
  uint32_t length = length_of (x, ag), count = load_be32 (p + 16),
           free = load_be32 (p + 28);

  if (load_be32 (p + 12) != length)
    bad (c, ag, AGI, "has another length than the group");
  else if (free > count || count >> x->sb.inodes_per_block_log > length)
    bad (c, ag, AGI, "counts more inodes than there can be");
  else if (load_be32 (p + 20) >= length)
    bad (c, ag, AGI, "its tree lies outside of the group");
  sums->inodes += count;
  sums->free_inodes += free;
  for (unsigned i = 0; i < 64; i++)
    sums->unlinked += load_be32 (p + 40 + i * 4) != NULL_INODE;
}

static int
check_group (struct xfs *x, uint32_t ag, char *sector, struct sums *sums,
             struct block_check *c, struct err *e)
{
  uint64_t at = (uint64_t) ag * x->sb.ag_blocks * x->sb.block_size;

  for (unsigned i = SB; i <= AGFL; i++) {
    if (block_pread (x->block, sector, x->sb.sector_size,
                     at + i * x->sb.sector_size, e) == -1)
      return err_in (e, "group %" PRIu32 ": %s", ag, headers[i].what);
    if (!is_header (x, ag, i, sector, c))
      continue;
    if (i == SB && ag > 0)
      check_copy (x, ag, sector, c);
    else if (i == AGF)
      check_agf (x, ag, sector, sums, c);
    else if (i == AGI)
      check_agi (x, ag, sector, sums, c);
  }
  return 0;
}

/* Groups whose headers the partition has. */
static uint32_t
groups_present (const struct xfs *x)
{
  uint64_t bytes = (uint64_t) x->sb.ag_blocks * x->sb.block_size,
           headers_end = 4 * (uint64_t) x->sb.sector_size;

  if (x->block->size < headers_end)
    return 0;
  return (uint32_t) MIN ((x->block->size - headers_end) / bytes + 1,
                         x->sb.ag_count);
}

static int
check_groups (struct xfs *x, struct sums *sums, struct block_check *c,
              struct err *e)
{
  CLEANUP_FREE char *sector = malloc (x->sb.sector_size);
  uint32_t n = groups_present (x);

  if (!sector)
    return err_set (e, ENOMEM, "out of memory");
  for (uint32_t ag = 0; ag < n && c->errors + c->notes < ENOUGH; ag++) {
    if (x->block->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    block_check_progress (c, ag, n);
    if (check_group (x, ag, sector, sums, c, e) == -1)
      return -1;
  }
  return 0;
}

/* The counts of the superblock are brought up to date when it is
 * unmounted. */
static void
check_sums (const struct xfs *x, const struct sums *sums,
            struct block_check *c)
{
  const struct xfs_super *sb = &x->sb;

  if (sums->unlinked)
    block_check_note (c, "inodes that were being deleted wait for it");
  if (sums->free_blocks != sb->free_blocks)
    block_check_note (c,
                      "the superblock counts %" PRIu64
                      " free blocks, the groups %" PRIu64,
                      sb->free_blocks, sums->free_blocks);
  if (sums->inodes != sb->inodes || sums->free_inodes != sb->free_inodes)
    block_check_note (c,
                      "the superblock counts %" PRIu64 " inodes (%" PRIu64
                      " free), the groups %" PRIu64 " (%" PRIu64 " free)",
                      sb->inodes, sb->free_inodes, sums->inodes,
                      sums->free_inodes);
}

/* 1: clean; 0: not, or not known. */
static int
check_log (struct xfs *x, struct block_check *c, struct err *e)
{
  int r = xfs_log_is_clean (x, e);

  if (r == -1 && e->code == EIO && x->sb.present == x->sb.blocks) {
    block_check_error (c, "%s", e->msg);
    err_clear (e);
    return 0;
  }
  if (r == -1 && !err_is_transient (e)) {
    err_clear (e); /* it is cut off: said */
    return 0;
  }
  if (r == 0)
    block_check_note (c, "the log was not replayed");
  return r == 2 ? 0 : r;
}

int
xfs_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct xfs *x = fs->priv;
  uint64_t size = x->sb.blocks << x->sb.block_log;
  struct sums sums = { 0 };
  int clean;

  if (size > x->block->size)
    block_check_error (c,
                       "it has %" PRIu64 " bytes, and the last %" PRIu64
                       " of them are missing",
                       size, size - x->block->size);
  if (xfs_has_incompat (x, XFS_IN_NEEDSREPAIR))
    block_check_error (c, "it is marked as in need of repair");
  if (check_groups (x, &sums, c, e) == -1)
    return -1;
  clean = check_log (x, c, e);
  if (clean == 1 && !c->errors)
    check_sums (x, &sums, c);
  return clean == -1 ? -1 : 0;
}
