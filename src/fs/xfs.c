/* xrayfs: XFS
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Contents are as they are on the disk: a log that waits to be replayed is
 * not (the state says needs-recovery), and metadata may then be older than
 * what the log has.
 *
 * Sizes are those of the superblock, in bytes: size is "dblocks", free is
 * "fdblocks", and used is the difference.  df shows a size that is smaller by
 * the log.
 */
#include "fs/xfs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/cache.h"

#define MAX_LINK       1024       /* Linux: XFS_SYMLINK_MAXLEN */
#define SYMLINK_MAGIC  0x58534c4d /* "XSLM" */
#define SYMLINK_HEADER 56

static int
xfs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct xfs_node *n;

  if (xfs_node_get (fs->priv, ino, &n, e) == -1)
    return -1;
  xfs_node_stat (fs->priv, n, ret);
  return 0;
}

/* --- symbolic links (XADS, Symbolic Links) --------------------------- */

static int
check_symlink (const char *p, size_t done, size_t here, struct err *e)
{
  if (load_be32 (p) != SYMLINK_MAGIC)
    return err_set (e, EIO, "symbolic link: wrong magic");
  if (load_be32 (p + 4) != done || load_be32 (p + 8) != here)
    return err_set (e, EIO, "symbolic link: block holds another part");
  return 0;
}

/* In version 5 each extent begins with a header, and has a checksum of its
 * own.  LEFT blocks are enough for all that is left. */
static int
read_link_extent (struct xfs *x, struct xfs_node *n, uint64_t lblk,
                  uint64_t left, struct buf *ret, uint64_t *ret_count,
                  struct err *e)
{
  size_t header = xfs_is_v5 (x) ? SYMLINK_HEADER : 0, size, here;
  CLEANUP_FREE char *buf = NULL;
  struct xfs_run run = { 0 };

  if (xfs_map_blocks (x, n, XFS_DATA_FORK, lblk, &run, e) == -1)
    return -1;
  if (run.kind != EXTENT_DATA)
    return err_set (e, EIO, "symbolic link: block %" PRIu64 " is a hole",
                    lblk);
  *ret_count = MIN (run.count, left);
  size = *ret_count << x->sb.block_log;
  here = MIN (n->size - ret->len, size - header);
  buf = malloc (size);
  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  if (xfs_read_kind (x, XFS_SYMLINK, run.fsblock, size, n->ino, buf, e) ==
          -1 ||
      (header && check_symlink (buf, ret->len, here, e) == -1))
    return -1;
  buf_add (ret, buf + header, here);
  return buf_check (ret, e);
}

static int
read_remote_link (struct xfs *x, struct xfs_node *n, struct buf *ret,
                  struct err *e)
{
  size_t room = x->sb.block_size - (xfs_is_v5 (x) ? SYMLINK_HEADER : 0);
  uint64_t blocks = div_up (n->size, room), count = 0;

  for (uint64_t lblk = 0; ret->len < n->size; lblk += count)
    if (lblk >= blocks)
      return err_set (e, EIO, "symbolic link is cut off");
    else if (read_link_extent (x, n, lblk, blocks - lblk, ret, &count, e) ==
             -1)
      return -1;
  return 0;
}

static int
read_link (struct xfs *x, struct xfs_node *n, struct buf *ret, struct err *e)
{
  const struct xfs_fork *f = &n->forks[XFS_DATA_FORK];

  if (f->format != XFS_LOCAL)
    return read_remote_link (x, n, ret, e);
  if (n->size > f->size)
    return err_set (e, EIO, "symbolic link is cut off");
  buf_add (ret, f->data, n->size);
  return buf_check (ret, e);
}

static int
xfs_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct xfs_node *n;

  if (xfs_node_get (fs->priv, ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n->mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (n->size == 0 || n->size > MAX_LINK)
    return err_set (e, EIO, "symbolic link of %" PRIu64 " bytes", n->size);
  if (read_link (fs->priv, n, &target, e) == -1)
    return -1;
  if (memchr (target.data, '\0', target.len))
    return err_set (e, EIO, "symbolic link holds a NUL");
  buf_add (ret, target.data, target.len);
  return buf_check (ret, e);
}

/* --- file data ------------------------------------------------------- */

static int
get_file (struct xfs *x, uint64_t ino, struct xfs_node **ret, struct err *e)
{
  if (xfs_node_get (x, ino, ret, e) == -1)
    return -1;
  return fs_regular ((*ret)->mode, e);
}

static int
xfs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
         struct extent *ret, struct err *e)
{
  struct xfs *x = fs->priv;
  uint64_t skip = off % x->sb.block_size, blocks;
  struct xfs_run run = { 0 };
  struct xfs_node *n;

  if (get_file (x, ino, &n, e) == -1 ||
      xfs_map_blocks (x, n, XFS_DATA_FORK, off >> x->sb.block_log, &run, e) ==
          -1)
    return -1;
  /* A hole may have more blocks than there are bytes in 64 bits. */
  blocks = MIN (run.count, div_up (skip + len, x->sb.block_size));
  len = MIN (len, (blocks << x->sb.block_log) - skip);
  if (run.kind == EXTENT_DATA)
    *ret = extent_data (len, fs->block,
                        xfs_block_offset (x, run.fsblock) + skip);
  else
    *ret = extent_of (run.kind, len);
  return 0;
}

/* --- the filesystem as a whole --------------------------------------- */

/* The words of xfs_info and mkfs.xfs. */
static void
add_features (const struct xfs_super *sb, struct buf *b)
{
  bool v5 = sb->version == 5;
  const struct {
    bool is;
    const char *word;
  } words[] = {
    { v5, "crc" },
    { v5 || sb->features2 & XFS_V2_ATTR2, "attr2" },
    { v5 || sb->features2 & XFS_V2_PROJID32, "projid32bit" },
    { v5 || sb->features2 & XFS_V2_LAZY_COUNT, "lazy-count" },
    { v5 ? sb->incompat & XFS_IN_FTYPE : sb->features2 & XFS_V2_FTYPE,
      "ftype" },
    { sb->bits & XFS_V_ASCII_CI, "ascii-ci" },
    { sb->ro_compat & XFS_RO_FINOBT, "finobt" },
    { sb->incompat & XFS_IN_SPARSE, "sparse" },
    { sb->ro_compat & XFS_RO_RMAPBT, "rmapbt" },
    { sb->ro_compat & XFS_RO_REFLINK, "reflink" },
    { sb->incompat & XFS_IN_BIGTIME, "bigtime" },
    { sb->ro_compat & XFS_RO_INOBTCOUNT, "inobtcount" },
    { sb->incompat & XFS_IN_NREXT64, "nrext64" },
    { sb->incompat & XFS_IN_EXCHANGE, "exchange" },
    { sb->incompat & XFS_IN_PARENT, "parent" },
    { sb->incompat & XFS_IN_META_UUID, "meta-uuid" },
    { sb->incompat & XFS_IN_NEEDSREPAIR, "needsrepair" },
    { sb->rt_blocks > 0, "realtime" },
    { sb->log_start == 0, "external-log" },
  };

  for (size_t i = 0; i < ARRAY_SIZE (words); i++)
    if (words[i].is)
      buf_add_word (b, words[i].word);
}

/* What an external log holds cannot be known here. */
static int
get_state (struct xfs *x, const char **ret, struct err *e)
{
  static const char *const states[] = { "needs-recovery", "clean",
                                        "unknown" };
  int r;

  if (xfs_has_incompat (x, XFS_IN_NEEDSREPAIR)) {
    *ret = "errors";
    return 0;
  }
  r = xfs_log_is_clean (x, e);
  if (r == -1)
    return -1;
  *ret = states[r];
  return 0;
}

static int
xfs_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct xfs *x = fs->priv;
  const struct xfs_super *sb = &x->sb;
  const char *state = NULL;

  if (get_state (x, &state, e) == -1)
    return -1;
  ret->size = sb->blocks << sb->block_log;
  ret->free = MIN (sb->free_blocks, sb->blocks) << sb->block_log;
  ret->used = ret->size - ret->free;
  ret->inodes = sb->inodes;
  ret->inodes_free = sb->free_inodes;
  ret->block_size = sb->block_size;
  snprintf (ret->state, sizeof ret->state, "%s", state);
  add_features (sb, &ret->features);
  return buf_check (&ret->features, e);
}

static int
xfs_mount (struct fs *fs, struct err *e)
{
  struct xfs *x = calloc (1, sizeof *x);

  if (!x)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = x;
  x->block = fs->block;
  x->cache_owner = cache_new_owner ();
  for (size_t i = 0; i < XFS_N_KINDS; i++)
    x->kind_owner[i] = cache_new_owner ();
  if (xfs_super_read (x, e) == -1)
    return -1;
  fs->root = x->sb.root;
  x->dir_block = malloc (x->sb.dir_block_size);
  x->leaf_block = malloc (x->sb.dir_block_size);
  x->table_block = malloc (x->sb.block_size);
  if (!x->dir_block || !x->leaf_block || !x->table_block)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static void
xfs_unmount (struct fs *fs)
{
  struct xfs *x = fs->priv;

  if (!x)
    return;
  for (size_t i = 0; i < XFS_NODES; i++)
    xfs_node_forget (&x->nodes[i]);
  free (x->dir_block);
  free (x->leaf_block);
  free (x->table_block);
  free (x);
}

static const char *const xfs_types[] = { "xfs", NULL };

const struct fs_ops xfs_ops = {
  .name = "xfs",
  .types = xfs_types,
  .stale_without_log = true,
  .mount = xfs_mount,
  .lookup = xfs_lookup,
  .stat = xfs_stat,
  .readdir = xfs_readdir,
  .readlink = xfs_readlink,
  .xattrs = xfs_xattrs,
  .map = xfs_map,
  .info = xfs_info,
  .check = xfs_check,
  .unmount = xfs_unmount,
};
