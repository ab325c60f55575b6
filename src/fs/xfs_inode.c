/* xrayfs: XFS: inodes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, On-disk Inode.  The core is 100 bytes, or 176 in version 3; the forks
 * share the rest, the "literal area": attributes begin at di_forkoff * 8 in
 * it.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define MAGIC   0x494e /* "IN" */
#define CORE_V2 100
#define CORE_V3 176
#define CRC_AT  100
#define INO_AT  152
#define UUID_AT 160
#define NS      UINT64_C (1000000000)
/* Times with bigtime count from the first second of 32 bits. */
#define BIG_EPOCH (INT64_C (1) << 31)

static int
check_core (const struct xfs *x, const struct xfs_node *n, struct err *e)
{
  if (load_be16 (n->raw) != MAGIC)
    return err_set (e, EIO, "inode is not there (wrong magic 0x%04x)",
                    load_be16 (n->raw));
  if (xfs_is_v5 (x) ? n->version != 3 : n->version != 1 && n->version != 2)
    return err_set (e, EIO, "inode of version %u", n->version);
  if (!xfs_is_v5 (x))
    return 0;
  if (!xfs_crc_ok (n->raw, x->sb.inode_size, CRC_AT))
    return err_set (e, EIO, "checksum of the inode is wrong");
  if (load_be64 (n->raw + INO_AT) != n->ino)
    return err_set (e, EIO, "inode says that it is inode %" PRIu64,
                    load_be64 (n->raw + INO_AT));
  if (memcmp (n->raw + UUID_AT, x->sb.uuid, sizeof x->sb.uuid) != 0)
    return err_set (e, EIO, "inode of another filesystem");
  return 0;
}

/* --- forks ----------------------------------------------------------- */

static int
bad_fork (struct err *e, unsigned which, const char *what)
{
  return err_set (e, EIO, "%s fork: %s",
                  which == XFS_DATA_FORK ? "data" : "attribute", what);
}

/* What the kernel allows for each type of file. */
static bool
format_fits (const struct xfs_node *n, unsigned which, unsigned format)
{
  if (which == XFS_ATTR_FORK)
    return format >= XFS_LOCAL && format <= XFS_BTREE;
  switch (n->mode & S_IFMT) {
  case S_IFREG:
    return format == XFS_EXTENTS || format == XFS_BTREE;
  case S_IFDIR:
  case S_IFLNK:
    return format >= XFS_LOCAL && format <= XFS_BTREE;
  default:
    return format == XFS_DEV;
  }
}

static int
parse_fork (struct xfs_node *n, unsigned which, unsigned format,
            const char *data, size_t size, struct err *e)
{
  struct xfs_fork *f = &n->forks[which];

  if (!format_fits (n, which, format))
    return bad_fork (e, which, "impossible format");
  if (format == XFS_EXTENTS && f->n_extents > size / 16)
    return bad_fork (e, which, "more extents than the inode holds");
  f->format = format;
  f->data = data;
  f->size = size;
  return 0;
}

/* The counters' places depend on nrext64. */
static void
parse_counters (const struct xfs *x, struct xfs_node *n)
{
  if (xfs_has_incompat (x, XFS_IN_NREXT64) && n->flags2 & XFS_FLAG2_NREXT64) {
    n->forks[XFS_DATA_FORK].n_extents = load_be64 (n->raw + 24);
    n->forks[XFS_ATTR_FORK].n_extents = load_be32 (n->raw + 76);
  } else {
    n->forks[XFS_DATA_FORK].n_extents = load_be32 (n->raw + 76);
    n->forks[XFS_ATTR_FORK].n_extents = load_be16 (n->raw + 80);
  }
}

static int
parse_forks (const struct xfs *x, struct xfs_node *n, struct err *e)
{
  size_t core = n->version == 3 ? CORE_V3 : CORE_V2;
  size_t room = x->sb.inode_size - core;
  size_t at = (unsigned char) n->raw[82] * 8;

  if (at >= room)
    return bad_fork (e, XFS_ATTR_FORK, "begins beyond the inode");
  parse_counters (x, n);
  if (parse_fork (n, XFS_DATA_FORK, (unsigned char) n->raw[5], n->raw + core,
                  at ? at : room, e) == -1)
    return -1;
  if (at == 0)
    return 0;
  return parse_fork (n, XFS_ATTR_FORK, (unsigned char) n->raw[83],
                     n->raw + core + at, room - at, e);
}

/* --- reading --------------------------------------------------------- */

static int
parse_node (const struct xfs *x, struct xfs_node *n, struct err *e)
{
  n->version = (unsigned char) n->raw[4];
  if (check_core (x, n, e) == -1)
    return -1;
  n->mode = load_be16 (n->raw + 2);
  n->size = load_be64 (n->raw + 56);
  n->blocks = load_be64 (n->raw + 64);
  n->flags = load_be16 (n->raw + 90);
  n->flags2 = n->version == 3 ? load_be64 (n->raw + 120) : 0;
  if (n->mode == 0)
    return err_set (e, EIO, "inode is not in use");
  if (n->size > INT64_MAX)
    return err_set (e, EIO, "file of %" PRIu64 " bytes", n->size);
  return parse_forks (x, n, e);
}

void
xfs_node_forget (struct xfs_node *n)
{
  free (n->forks[XFS_DATA_FORK].leaf);
  free (n->forks[XFS_ATTR_FORK].leaf);
  free (n->raw);
  *n = (struct xfs_node){ 0 };
}

static int
node_read (struct xfs *x, uint64_t ino, struct xfs_node *n, struct err *e)
{
  if (xfs_check_inode (x, ino, e) == -1)
    return -1;
  n->raw = malloc (x->sb.inode_size);
  if (!n->raw)
    return err_set (e, ENOMEM, "out of memory");
  n->ino = ino;
  if (xfs_read_at (x, xfs_inode_offset (x, ino), n->raw, x->sb.inode_size,
                   e) == -1)
    return -1;
  return parse_node (x, n, e);
}

int
xfs_node_get (struct xfs *x, uint64_t ino, struct xfs_node **ret,
              struct err *e)
{
  struct xfs_node *oldest = x->nodes;

  for (struct xfs_node *n = x->nodes; n < x->nodes + XFS_NODES; n++) {
    if (n->ino == ino && n->raw) {
      n->used = ++x->clock;
      *ret = n;
      return 0;
    }
    if (n->used < oldest->used)
      oldest = n;
  }
  xfs_node_forget (oldest);
  if (node_read (x, ino, oldest, e) == -1) {
    xfs_node_forget (oldest);
    return -1;
  }
  oldest->used = ++x->clock;
  *ret = oldest;
  return 0;
}

/* --- stat ------------------------------------------------------------ */

/* Seconds and nanoseconds, both signed; with bigtime one number of
 * nanoseconds, until 2486. */
static struct timespec
load_time (const struct xfs *x, const struct xfs_node *n, size_t at)
{
  uint64_t v = load_be64 (n->raw + at);
  uint32_t ns = load_be32 (n->raw + at + 4);

  if (xfs_has_incompat (x, XFS_IN_BIGTIME) && n->flags2 & XFS_FLAG2_BIGTIME)
    return (struct timespec){ .tv_sec = (int64_t) (v / NS) - BIG_EPOCH,
                              .tv_nsec = v % NS };
  return (struct timespec){
    .tv_sec = (int32_t) load_be32 (n->raw + at),
    .tv_nsec = ns < NS ? ns : 0,
  };
}

/* As System V had it: 14 bits and 18. */
static dev_t
load_rdev (const struct xfs_node *n)
{
  uint32_t dev;

  if (!S_ISCHR (n->mode) && !S_ISBLK (n->mode))
    return 0;
  dev = load_be32 (n->forks[XFS_DATA_FORK].data);
  return makedev (dev >> 18, dev & 0x3ffff);
}

void
xfs_node_stat (const struct xfs *x, const struct xfs_node *n,
               struct fs_stat *ret)
{
  *ret = (struct fs_stat){
    .ino = n->ino,
    .mode = n->mode,
    .nlink =
        n->version == 1 ? load_be16 (n->raw + 6) : load_be32 (n->raw + 16),
    .uid = load_be32 (n->raw + 8),
    .gid = load_be32 (n->raw + 12),
    .size = n->size,
    .blocks = n->blocks * (x->sb.block_size / 512),
    .blksize = x->sb.block_size,
    .rdev = load_rdev (n),
    .atime = load_time (x, n, 32),
    .mtime = load_time (x, n, 40),
    .ctime = load_time (x, n, 48),
  };
}
