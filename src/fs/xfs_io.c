/* xrayfs: XFS: how metadata is read and recognised
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "block/cache.h"
#include "fs/xfs.h"

/* --- addresses ------------------------------------------------------- */

static uint64_t
low_bits (uint64_t v, unsigned n)
{
  return v & ((UINT64_C (1) << n) - 1);
}

/* The last group may be shorter. */
static uint64_t
group_blocks (const struct xfs *x, uint64_t group)
{
  if (group + 1 < x->sb.ag_count)
    return x->sb.ag_blocks;
  return x->sb.blocks - group * x->sb.ag_blocks;
}

/* A group begins with four sectors of headers: superblock, AGF, AGI and AGFL
 * (XADS 13). */
static bool
within_group (const struct xfs *x, uint64_t group, uint64_t block,
              uint64_t count)
{
  return group < x->sb.ag_count &&
         block > (3 * x->sb.sector_size) >> x->sb.block_log &&
         range_within (block, count, group_blocks (x, group));
}

int
xfs_check_blocks (const struct xfs *x, uint64_t fsblock, uint64_t count,
                  struct err *e)
{
  if (!within_group (x, fsblock >> x->sb.ag_block_log,
                     low_bits (fsblock, x->sb.ag_block_log), count))
    return err_set (e, EIO,
                    "fsblock %" PRIu64 " (%" PRIu64
                    " of them) lies outside of its allocation group",
                    fsblock, count);
  return 0;
}

int
xfs_check_inode (const struct xfs *x, uint64_t ino, struct err *e)
{
  uint64_t fsblock = ino >> x->sb.inodes_per_block_log;

  if (!within_group (x, fsblock >> x->sb.ag_block_log,
                     low_bits (fsblock, x->sb.ag_block_log), 1))
    return err_set (e, EIO, "there cannot be an inode %" PRIu64, ino);
  return 0;
}

uint64_t
xfs_block_offset (const struct xfs *x, uint64_t fsblock)
{
  uint64_t group = fsblock >> x->sb.ag_block_log;

  return (group * x->sb.ag_blocks + low_bits (fsblock, x->sb.ag_block_log))
         << x->sb.block_log;
}

uint64_t
xfs_inode_offset (const struct xfs *x, uint64_t ino)
{
  return xfs_block_offset (x, ino >> x->sb.inodes_per_block_log) +
         (low_bits (ino, x->sb.inodes_per_block_log) << x->sb.inode_log);
}

/* --- reading --------------------------------------------------------- */

struct load_arg {
  struct block *block;
  uint64_t off;
};

static int
load (void *arg, void *data, size_t size, struct err *e)
{
  struct load_arg *l = arg;

  return block_pread (l->block, data, size, l->off, e);
}

int
xfs_read_at (struct xfs *x, uint64_t off, void *buf, size_t len,
             struct err *e)
{
  struct cache *cache = x->block->env->cache;
  size_t size = x->sb.block_size;
  struct load_arg arg = { x->block, off - off % size };
  struct cache_entry *entry;

  if (x->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (!range_within (arg.off, size, x->block->size))
    return err_set (e, EIO,
                    "metadata at 0x%" PRIx64
                    " lies beyond the end of the partition",
                    off);
  if (!cache)
    return block_pread (x->block, buf, len, off, e);
  if (cache_get (cache, x->cache_owner, arg.off, size, load, &arg, &entry,
                 e) == -1)
    return -1;
  memcpy (buf, (const char *) entry->data + off % size, len);
  cache_release (cache, entry);
  return 0;
}

int
xfs_read_blocks (struct xfs *x, uint64_t fsblock, uint64_t count, char *buf,
                 struct err *e)
{
  uint64_t off;

  if (xfs_check_blocks (x, fsblock, count, e) == -1)
    return -1;
  off = xfs_block_offset (x, fsblock);
  for (uint64_t i = 0; i < count; i++)
    if (xfs_read_at (x, off + i * x->sb.block_size,
                     buf + i * x->sb.block_size, x->sb.block_size, e) == -1)
      return err_in (e, "fsblock %" PRIu64, fsblock + i);
  return 0;
}

/* --- what version 5 says of itself ----------------------------------- */

const struct xfs_self xfs_self_bmap = { "extent tree", 64, 24, 40, 56 };
const struct xfs_self xfs_self_dir = { "directory", 4, 8, 24, 40 };
const struct xfs_self xfs_self_da = { "directory or attribute tree", 12, 16,
                                      32, 48 };
const struct xfs_self xfs_self_remote = { "attribute value", 12, 40, 16, 32 };
const struct xfs_self xfs_self_symlink = { "symbolic link", 12, 40, 16, 32 };

bool
xfs_crc_ok (const char *buf, size_t size, size_t at)
{
  static const char zeros[4];
  uint32_t crc = crc32c (0, buf, at);

  crc = crc32c (crc, zeros, sizeof zeros);
  crc = crc32c (crc, buf + at + 4, size - at - 4);
  return crc == load_le32 (buf + at);
}

int
xfs_check_self (const struct xfs *x, const struct xfs_self *self,
                const char *buf, size_t size, uint64_t fsblock,
                uint64_t owner, struct err *e)
{
  const char *wrong = NULL;

  if (!xfs_is_v5 (x))
    return 0;
  if (!xfs_crc_ok (buf, size, self->crc))
    wrong = "checksum is wrong";
  else if (memcmp (buf + self->uuid, x->sb.uuid, sizeof x->sb.uuid) != 0)
    wrong = "block of another filesystem";
  else if (load_be64 (buf + self->blkno) !=
           xfs_block_offset (x, fsblock) / 512)
    wrong = "block belongs somewhere else";
  else if (load_be64 (buf + self->owner) != owner)
    wrong = "block of another inode";
  if (wrong)
    return err_set (e, EIO, "%s: fsblock %" PRIu64 ": %s", self->what,
                    fsblock, wrong);
  return 0;
}
