/* xrayfs: XFS: the superblock
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Superblocks; checked as the kernel checks it when it mounts.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define MAGIC         0x58465342 /* "XFSB" */
#define MIN_AG_BLOCKS 64
#define CRC_AT        224

static const uint32_t known_incompat =
    XFS_IN_FTYPE | XFS_IN_SPARSE | XFS_IN_META_UUID | XFS_IN_BIGTIME |
    XFS_IN_NEEDSREPAIR | XFS_IN_NREXT64 | XFS_IN_EXCHANGE | XFS_IN_PARENT;

static int
bad_super (struct err *e, const char *what)
{
  return err_set (e, EIO, "superblock: impossible %s", what);
}

static unsigned char
byte_at (const char *p, size_t at)
{
  return (unsigned char) p[at];
}

/* Is SIZE what LOG says, and within the limits? */
static bool
size_ok (uint64_t size, unsigned log, uint64_t min, uint64_t max)
{
  return size >= min && size <= max && log < 32 &&
         size == UINT64_C (1) << log;
}

/* Sectors, blocks, directory blocks and inodes. */
static int
parse_sizes (struct xfs_super *sb, const char *p, struct err *e)
{
  sb->block_size = load_be32 (p + 4);
  sb->block_log = byte_at (p, 120);
  sb->sector_size = load_be16 (p + 102);
  sb->inode_size = load_be16 (p + 104);
  sb->inode_log = byte_at (p, 122);
  sb->inodes_per_block_log = byte_at (p, 123);
  if (!size_ok (sb->sector_size, byte_at (p, 121), 512, 32768))
    return bad_super (e, "sector size");
  if (!size_ok (sb->block_size, sb->block_log, 512, 65536))
    return bad_super (e, "block size");
  if (!size_ok (sb->inode_size, sb->inode_log, 256, 2048) ||
      sb->inode_size > sb->block_size ||
      sb->inodes_per_block_log != sb->block_log - sb->inode_log)
    return bad_super (e, "inode size");
  if (byte_at (p, 192) > 16 || sb->block_log + byte_at (p, 192) > 16)
    return bad_super (e, "directory block size");
  sb->dir_block_size = sb->block_size << byte_at (p, 192);
  return 0;
}

/* Allocation groups; all inode numbers must fit into those of fs.h. */
static int
parse_groups (struct xfs_super *sb, const char *p, struct err *e)
{
  uint64_t bytes, whole;

  sb->blocks = load_be64 (p + 8);
  sb->rt_blocks = load_be64 (p + 16);
  sb->ag_blocks = load_be32 (p + 84);
  sb->ag_count = load_be32 (p + 88);
  sb->ag_block_log = byte_at (p, 124);
  if (__builtin_mul_overflow (sb->blocks, sb->block_size, &bytes) ||
      bytes > INT64_MAX)
    return bad_super (e, "size");
  if (sb->ag_count == 0 || sb->ag_blocks < MIN_AG_BLOCKS ||
      sb->ag_block_log > 31 ||
      sb->ag_blocks > UINT64_C (1) << sb->ag_block_log ||
      sb->ag_blocks <= (UINT64_C (1) << sb->ag_block_log) / 2)
    return bad_super (e, "size of allocation groups");
  whole = (uint64_t) (sb->ag_count - 1) * sb->ag_blocks;
  if (sb->blocks > whole + sb->ag_blocks ||
      sb->blocks < whole + MIN_AG_BLOCKS)
    return bad_super (e, "number of allocation groups");
  if (sb->ag_count > UINT64_C (1) << (FS_INO_BITS - sb->ag_block_log -
                                      sb->inodes_per_block_log))
    return err_set (e, ENOTSUP, "superblock: inode numbers beyond %d bits",
                    FS_INO_BITS);
  return 0;
}

static int
parse_features (struct xfs_super *sb, const char *p, struct err *e)
{
  uint32_t unknown;

  sb->bits = load_be16 (p + 100);
  sb->version = sb->bits & 0xf;
  if (sb->version != 4 && sb->version != 5)
    return err_set (e, ENOTSUP, "superblock: version %u", sb->version);
  if (sb->version == 4 && !(sb->bits & XFS_V_DIRV2))
    return err_set (e, ENOTSUP, "directories of version 1");
  /* Early kernels wrote sb_features2 at the place after it. */
  if (sb->bits & XFS_V_MORE)
    sb->features2 = load_be32 (p + 200) | load_be32 (p + 204);
  if (sb->version == 4)
    return 0;
  sb->ro_compat = load_be32 (p + 212);
  sb->incompat = load_be32 (p + 216);
  unknown = sb->incompat & ~known_incompat;
  if (unknown)
    return err_set (e, ENOTSUP, "unknown incompatible features 0x%" PRIx32,
                    unknown);
  return 0;
}

static int
parse_rest (struct xfs_super *sb, const char *p, struct err *e)
{
  if (byte_at (p, 126))
    return err_set (e, EIO, "superblock: mkfs or a copy did not finish");
  sb->log_start = load_be64 (p + 48);
  sb->root = load_be64 (p + 56);
  sb->log_blocks = load_be32 (p + 96);
  sb->inodes = load_be64 (p + 128);
  sb->free_inodes = load_be64 (p + 136);
  sb->free_blocks = load_be64 (p + 144);
  memcpy (sb->uuid, p + (sb->incompat & XFS_IN_META_UUID ? 248 : 32), 16);
  return 0;
}

static int
check_crc (struct xfs *x, struct err *e)
{
  CLEANUP_FREE char *sector = NULL;

  if (!xfs_is_v5 (x))
    return 0;
  sector = malloc (x->sb.sector_size);
  if (!sector)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (x->block, sector, x->sb.sector_size, 0, e) == -1)
    return err_in (e, "superblock");
  if (!xfs_crc_ok (sector, x->sb.sector_size, CRC_AT))
    return err_set (e, EIO, "superblock: checksum is wrong");
  return 0;
}

/* The checksum comes before what the fields say, but after what a superblock
 * must have for it to be one. */
int
xfs_super_read (struct xfs *x, struct err *e)
{
  char p[512];

  if (block_pread (x->block, p, sizeof p, 0, e) == -1)
    return err_in (e, "superblock");
  if (load_be32 (p) != MAGIC)
    return err_set (e, EINVAL, "superblock: wrong magic 0x%08" PRIx32,
                    load_be32 (p));
  x->sb.version = load_be16 (p + 100) & 0xf;
  if (parse_sizes (&x->sb, p, e) == -1 || check_crc (x, e) == -1 ||
      parse_features (&x->sb, p, e) == -1 ||
      parse_groups (&x->sb, p, e) == -1 || parse_rest (&x->sb, p, e) == -1)
    return -1;
  x->sb.present = MIN (x->sb.blocks, x->block->size >> x->sb.block_log);
  return xfs_check_inode (x, x->sb.root, e) == -1
             ? err_in (e, "superblock: root directory")
             : 0;
}
