/* xrayfs: squashfs
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs/squashfs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/cache.h"

#define SUPERBLOCK 96
#define MAGIC      0x73717368 /* "hsqs" */

static int
squashfs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret,
               struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_node *n;

  if (squashfs_node_get (s, ino, &n, e) == -1)
    return -1;
  *ret = (struct fs_stat){
    .ino = n->number,
    .mode = n->mode,
    .nlink = n->nlink,
    .uid = n->uid,
    .gid = n->gid,
    .size = n->size,
    .blocks = n->blocks,
    .blksize = s->sb.block_size,
    .rdev = n->rdev,
    .atime.tv_sec = n->mtime,
    .mtime.tv_sec = n->mtime,
    .ctime.tv_sec = n->mtime,
  };
  return 0;
}

static int
squashfs_readlink (struct fs *fs, uint64_t ino, struct buf *ret,
                   struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_place at;
  struct squashfs_node *n;
  char *to;

  if (squashfs_node_get (s, ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n->mode))
    return err_set (e, EINVAL, "not a symbolic link");
  at = n->rest;
  to = buf_reserve (ret, n->size);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (squashfs_read_metadata (s, &at, to, n->size, e) == -1)
    return -1;
  if (memchr (to, '\0', n->size))
    return err_set (e, EIO, "symbolic link holds a NUL");
  ret->len += n->size;
  return 0;
}

/* --- the superblock -------------------------------------------------- */

static int
impossible (struct err *e, const char *what, uint64_t value)
{
  return err_set (e, EIO, "superblock: impossible %s %" PRIu64, what, value);
}

static int
check_numbers (const struct squashfs_super *sb, const char *p, struct err *e)
{
  if (load_le16 (p + 28) != 4 || load_le16 (p + 30) != 0)
    return err_set (e, ENOTSUP, "version %u.%u", load_le16 (p + 28),
                    load_le16 (p + 30));
  if (sb->block_size < 4096 || sb->block_size > MiB || sb->block_log > 20 ||
      sb->block_size != 1u << sb->block_log)
    return impossible (e, "block size", sb->block_size);
  if (sb->compression == 0 || !squashfs_compression_name (sb->compression))
    return err_set (e, ENOTSUP, "unknown compression %u", sb->compression);
  if (sb->ids == 0)
    return impossible (e, "number of owners", 0);
  return 0;
}

/* The bytes of the list by which a table is found: 8 for each of its blocks.
 */
static uint64_t
list_size (uint64_t entries, size_t size)
{
  return div_up (entries * size, SQUASHFS_METADATA) * 8;
}

static int
check_list (struct squashfs_super *sb, uint64_t at, uint64_t len,
            const char *what, struct err *e)
{
  if (at < sb->directory_table || !range_within (at, len, sb->bytes))
    return impossible (e, what, at);
  sb->tables = MIN (sb->tables, at);
  return 0;
}

/* TABLES bounds the directories from above: the blocks of the tables that
 * follow lie before their lists, but no directory's block does. */
static int
check_tables (struct squashfs_super *sb, uint64_t present, struct err *e)
{
  if (sb->bytes < SUPERBLOCK || sb->bytes > INT64_MAX)
    return impossible (e, "size", sb->bytes);
  if (sb->bytes > present)
    return err_set (e, EIO, "of its %" PRIu64 " bytes %" PRIu64 " are there",
                    sb->bytes, present);
  if (sb->inode_table < SUPERBLOCK || sb->inode_table >= sb->bytes)
    return impossible (e, "inode table", sb->inode_table);
  if (sb->directory_table <= sb->inode_table ||
      sb->directory_table > sb->bytes)
    return impossible (e, "directory table", sb->directory_table);
  sb->tables = sb->bytes;
  if (check_list (sb, sb->id_table, list_size (sb->ids, 4), "owners' table",
                  e) == -1)
    return -1;
  if (sb->fragments &&
      check_list (sb, sb->fragment_table, list_size (sb->fragments, 16),
                  "fragment table", e) == -1)
    return -1;
  if (sb->export_table != SQUASHFS_ABSENT &&
      check_list (sb, sb->export_table, list_size (sb->inodes, 8),
                  "export table", e) == -1)
    return -1;
  if (sb->xattr_table != SQUASHFS_ABSENT &&
      check_list (sb, sb->xattr_table, SQUASHFS_XATTR_HEAD, "attribute table",
                  e) == -1)
    return -1;
  return 0;
}

static int
read_super (struct squashfs *s, struct err *e)
{
  struct squashfs_super *sb = &s->sb;
  char p[SUPERBLOCK];

  if (squashfs_read (s, 0, p, sizeof p, e) == -1)
    return err_in (e, "superblock");
  if (load_le32 (p) != MAGIC)
    return err_set (e, EIO, "superblock: wrong magic");
  *sb = (struct squashfs_super){
    .inodes = load_le32 (p + 4),
    .block_size = load_le32 (p + 12),
    .fragments = load_le32 (p + 16),
    .compression = load_le16 (p + 20),
    .block_log = load_le16 (p + 22),
    .ids = load_le16 (p + 26),
    .root = load_le64 (p + 32),
    .bytes = load_le64 (p + 40),
    .id_table = load_le64 (p + 48),
    .xattr_table = load_le64 (p + 56),
    .inode_table = load_le64 (p + 64),
    .directory_table = load_le64 (p + 72),
    .fragment_table = load_le64 (p + 80),
    .export_table = load_le64 (p + 88),
  };
  if (check_numbers (sb, p, e) == -1)
    return -1;
  return check_tables (sb, s->block->size, e);
}

static int
squashfs_mount (struct fs *fs, struct err *e)
{
  struct squashfs *s = calloc (1, sizeof *s);
  struct squashfs_node *root;

  if (!s)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = s;
  s->block = fs->block;
  s->page_owner = cache_new_owner ();
  s->metadata_owner = cache_new_owner ();
  s->data_owner = cache_new_owner ();
  if (read_super (s, e) == -1)
    return -1;
  if (s->sb.root >> FS_INO_BITS)
    return impossible (e, "root", s->sb.root);
  fs->root = s->sb.root;
  if (squashfs_node_get (s, fs->root, &root, e) == -1)
    return err_in (e, "root directory");
  if (!S_ISDIR (root->mode))
    return err_set (e, EIO, "root is not a directory");
  return 0;
}

static void
squashfs_unmount (struct fs *fs)
{
  struct squashfs *s = fs->priv;

  if (!s)
    return;
  for (size_t i = 0; i < SQUASHFS_NODES; i++)
    squashfs_node_forget (&s->nodes[i]);
  free (s);
}

/* --- the filesystem as a whole --------------------------------------- */

static int
squashfs_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  const struct squashfs_super *sb = &((const struct squashfs *) fs->priv)->sb;

  ret->size = sb->bytes;
  ret->used = sb->bytes;
  ret->free = 0;
  ret->inodes = sb->inodes;
  ret->inodes_free = 0;
  ret->block_size = sb->block_size;
  snprintf (ret->state, sizeof ret->state, "clean");
  buf_puts (&ret->features, squashfs_compression_name (sb->compression));
  if (sb->fragments)
    buf_puts (&ret->features, " fragments");
  if (sb->export_table != SQUASHFS_ABSENT)
    buf_puts (&ret->features, " export");
  if (sb->xattr_table != SQUASHFS_ABSENT)
    buf_puts (&ret->features, " xattrs");
  return buf_check (&ret->features, e);
}

/* Each block of metadata from START to END.  One that is damaged hides where
 * the next begins. */
static void
check_blocks (struct squashfs *s, struct block_check *c, const char *what,
              uint64_t start, uint64_t end)
{
  struct err e = { 0 };

  while (start < end) {
    if (squashfs_check_metadata (s, start, &start, &e) == -1) {
      block_check_error (c, "%s: %s", what, e.msg);
      return;
    }
    block_check_progress (c, start, s->sb.bytes);
  }
}

/* Every entry of the table of owners, which each inode needs. */
static void
check_owners (struct squashfs *s, struct block_check *c)
{
  struct err e = { 0 };
  char id[4];

  for (unsigned i = 0; i < s->sb.ids; i += SQUASHFS_METADATA / 4)
    if (squashfs_read_entry (s, s->sb.id_table, i, id, sizeof id, &e) == -1) {
      block_check_error (c, "table of owners: %s", e.msg);
      return;
    }
}

/* Data have no checksums, but for those of xz. */
static int
squashfs_check (struct fs *fs, struct block_check *c,
                struct err *e unused_arg)
{
  struct squashfs *s = fs->priv;

  check_blocks (s, c, "inode table", s->sb.inode_table,
                s->sb.directory_table);
  check_owners (s, c);
  return 0;
}

static const char *const squashfs_types[] = { "squashfs", NULL };

const struct fs_ops squashfs_ops = {
  .name = "squashfs",
  .types = squashfs_types,
  .mount = squashfs_mount,
  .lookup = squashfs_lookup,
  .stat = squashfs_stat,
  .readdir = squashfs_readdir,
  .readlink = squashfs_readlink,
  .xattrs = squashfs_xattrs,
  .map = squashfs_map,
  .pread = squashfs_pread,
  .info = squashfs_info,
  .check = squashfs_check,
  .unmount = squashfs_unmount,
};
