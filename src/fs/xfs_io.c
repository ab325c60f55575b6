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
 * (XADS, Allocation Groups). */
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
  struct xfs *x;
  uint64_t off;
  unsigned crc_at; /* 0: none */
};

static int
load (void *arg, void *data, size_t size, struct err *e)
{
  struct load_arg *l = arg;

  if (!range_within (l->off, size, l->x->block->size))
    return err_set (e, EIO,
                    "metadata at 0x%" PRIx64
                    " lies beyond the end of the partition",
                    l->off);
  if (block_pread (l->x->block, data, size, l->off, e) == -1)
    return -1;
  if (l->crc_at && !xfs_crc_ok (data, size, l->crc_at))
    return err_set (e, EIO, "checksum of metadata at 0x%" PRIx64 " is wrong",
                    l->off);
  return 0;
}

/* LEN bytes, SKIP bytes into the SIZE bytes that ARG loads for OWNER. */
static int
read_cached (const void *owner, struct load_arg *arg, size_t size,
             size_t skip, void *buf, size_t len, struct err *e)
{
  struct cache *cache = arg->x->block->env->cache;
  CLEANUP_FREE char *data = NULL;
  struct cache_entry *entry;

  if (arg->x->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (cache) {
    if (cache_get (cache, owner, arg->off, size, load, arg, &entry, e) == -1)
      return -1;
    memcpy (buf, (const char *) entry->data + skip, len);
    cache_release (cache, entry);
    return 0;
  }
  data = malloc (size);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (load (arg, data, size, e) == -1)
    return -1;
  memcpy (buf, data + skip, len);
  return 0;
}

int
xfs_read_at (struct xfs *x, uint64_t off, void *buf, size_t len,
             struct err *e)
{
  size_t skip = off % x->sb.block_size;
  struct load_arg arg = { x, off - skip, 0 };

  return read_cached (x->cache_owner, &arg, x->sb.block_size, skip, buf, len,
                      e);
}

/* --- what version 5 says of itself ----------------------------------- */

/* Where each kind has what. */
static const struct {
  const char *what;
  unsigned char crc, blkno, uuid, owner;
} kinds[XFS_N_KINDS] = {
  [XFS_BMAP] = { "extent tree", 64, 24, 40, 56 },
  [XFS_DIR] = { "directory entries", 4, 8, 24, 40 },
  [XFS_DA] = { "tree of hashes", 12, 16, 32, 48 },
  [XFS_REMOTE] = { "attribute value", 12, 40, 16, 32 },
  [XFS_SYMLINK] = { "symbolic link", 12, 40, 16, 32 },
};

bool
xfs_crc_ok (const char *buf, size_t size, size_t at)
{
  static const char zeros[4];
  uint32_t crc = crc32c (0, buf, at);

  crc = crc32c (crc, zeros, sizeof zeros);
  crc = crc32c (crc, buf + at + 4, size - at - 4);
  return crc == load_le32 (buf + at);
}

static int
check_self (const struct xfs *x, enum xfs_kind kind, const char *buf,
            uint64_t fsblock, uint64_t owner, struct err *e)
{
  if (!xfs_is_v5 (x))
    return 0;
  if (memcmp (buf + kinds[kind].uuid, x->sb.uuid, sizeof x->sb.uuid) != 0)
    return err_set (e, EIO, "block of another filesystem");
  if (load_be64 (buf + kinds[kind].blkno) !=
      xfs_block_offset (x, fsblock) / 512)
    return err_set (e, EIO, "block belongs somewhere else");
  if (load_be64 (buf + kinds[kind].owner) != owner)
    return err_set (e, EIO, "block of another inode");
  return 0;
}

static int
at_block (enum xfs_kind kind, uint64_t fsblock, struct err *e)
{
  return err_in (e, "%s: fsblock %" PRIu64, kinds[kind].what, fsblock);
}

/* Checksums are verified once, when a block comes into the cache; what else
 * it says, each time, since another inode may claim it. */
int
xfs_read_kind (struct xfs *x, enum xfs_kind kind, uint64_t fsblock,
               size_t size, uint64_t owner, char *buf, struct err *e)
{
  struct load_arg arg = { .x = x,
                          .crc_at = xfs_is_v5 (x) ? kinds[kind].crc : 0 };

  if (xfs_check_blocks (x, fsblock, size >> x->sb.block_log, e) == -1)
    return err_in (e, "%s", kinds[kind].what);
  arg.off = xfs_block_offset (x, fsblock);
  if (read_cached (x->kind_owner[kind], &arg, size, 0, buf, size, e) == -1 ||
      check_self (x, kind, buf, fsblock, owner, e) == -1)
    return at_block (kind, fsblock, e);
  return 0;
}

/* One checksum is that of all pieces. */
static int
read_piece (struct xfs *x, uint64_t fsblock, size_t size, char *buf,
            struct err *e)
{
  struct load_arg arg = { .x = x };

  if (xfs_check_blocks (x, fsblock, size >> x->sb.block_log, e) == -1)
    return -1;
  arg.off = xfs_block_offset (x, fsblock);
  return read_cached (x->cache_owner, &arg, size, 0, buf, size, e);
}

static int
read_pieces (struct xfs *x, enum xfs_kind kind, struct xfs_node *n,
             unsigned fork, uint64_t lblk, size_t size, uint64_t fsblock,
             char *buf, struct err *e)
{
  struct xfs_run run = { 0 };
  size_t here;

  for (size_t done = 0; done < size; done += here) {
    if (xfs_map_blocks (x, n, fork, lblk + (done >> x->sb.block_log), &run,
                        e) == -1)
      return -1;
    if (run.kind != EXTENT_DATA)
      return err_set (e, EIO, "a part is a hole");
    here = MIN (run.count, (size - done) >> x->sb.block_log)
           << x->sb.block_log;
    if (read_piece (x, run.fsblock, here, buf + done, e) == -1)
      return -1;
  }
  if (xfs_is_v5 (x) && !xfs_crc_ok (buf, size, kinds[kind].crc))
    return err_set (e, EIO, "checksum is wrong");
  return check_self (x, kind, buf, fsblock, n->ino, e);
}

int
xfs_read_fork (struct xfs *x, enum xfs_kind kind, struct xfs_node *n,
               unsigned fork, uint64_t lblk, size_t size, char *buf,
               struct err *e)
{
  struct xfs_run run = { 0 };

  if (xfs_map_blocks (x, n, fork, lblk, &run, e) == -1)
    return -1;
  if (run.kind != EXTENT_DATA)
    return err_set (e, EIO, "%s: block %" PRIu64 " is a hole",
                    kinds[kind].what, lblk);
  if (run.count >= size >> x->sb.block_log)
    return xfs_read_kind (x, kind, run.fsblock, size, n->ino, buf, e);
  if (read_pieces (x, kind, n, fork, lblk, size, run.fsblock, buf, e) == -1)
    return at_block (kind, run.fsblock, e);
  return 0;
}
