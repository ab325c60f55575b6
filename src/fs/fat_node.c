/* xrayfs: FAT and exFAT: inodes and where their bytes are
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There are no owners and no modes: files are shown as a mount of root's with
 * an umask of 022 has them, executable, and without write bits where the
 * read-only attribute is set (which Linux ignores for directories).  The time
 * of the last change (ctime) is not kept: like Linux, that of the contents
 * stands for it.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "fs/fat.h"

/* --- inodes ---------------------------------------------------------- */

/* The root has no entry, and so no times: 1970, as Linux has it for FAT. */
static struct fat_file
root_file (const struct fat *f)
{
  return (struct fat_file){
    .ino = FAT_ROOT_INO,
    .is_dir = true,
    .cluster = f->root_cluster,
    .size = f->root_size,
    .valid = f->root_size,
  };
}

int
fat_check_slot (const struct fat *f, uint64_t at, struct err *e)
{
  uint64_t data = (uint64_t) f->clusters << f->cluster_log;

  if (range_within (at, FAT_SLOT, f->block->size) &&
      ((at >= f->root_at && at - f->root_at < f->root_size) ||
       (at >= f->data_at && at - f->data_at < data)))
    return 0;
  return err_set (e, EIO, "there is no directory at 0x%" PRIx64, at);
}

static int
file_read (struct fat *f, uint64_t ino, struct fat_file *ret, struct err *e)
{
  if (ino == FAT_ROOT_INO) {
    *ret = root_file (f);
    return 0;
  }
  if (ino > UINT64_MAX / FAT_SLOT)
    return err_set (e, EIO, "there cannot be such an inode");
  if (fat_check_slot (f, ino * FAT_SLOT, e) == -1)
    return -1;
  return f->at (f, ino * FAT_SLOT, ret, e);
}

/* The directories of FAT have no size: their chains tell. */
static uint64_t
wanted_clusters (const struct fat *f, const struct fat_file *file)
{
  if (file->is_dir && (!f->exfat || file->ino == FAT_ROOT_INO))
    return UINT64_MAX;
  return div_up (file->size, fat_cluster_size (f));
}

int
fat_node_get (struct fat *f, uint64_t ino, struct fat_node **ret,
              struct err *e)
{
  struct fat_node *oldest = f->nodes;
  struct fat_file file = { 0 };

  for (struct fat_node *n = f->nodes; n < f->nodes + FAT_NODES; n++) {
    if (n->used && n->file.ino == ino) {
      n->used = ++f->clock;
      *ret = n;
      return 0;
    }
    if (n->used < oldest->used)
      oldest = n;
  }
  if (file_read (f, ino, &file, e) == -1)
    return -1;
  *oldest = (struct fat_node){ .file = file, .used = ++f->clock };
  fat_chain_init (&oldest->chain, file.cluster, wanted_clusters (f, &file),
                  file.contiguous);
  *ret = oldest;
  return 0;
}

/* --- stat ------------------------------------------------------------ */

/* Of a directory whose chain is broken what is there of it counts. */
static int
node_size (struct fat *f, struct fat_node *n, uint64_t *ret, struct err *e)
{
  *ret = n->file.size;
  if (!n->file.is_dir || n->file.size > 0)
    return 0;
  if (fat_chain_walk (f, &n->chain, e) == -1)
    return -1;
  *ret = n->chain.count << f->cluster_log;
  return 0;
}

int
fat_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct fat *f = fs->priv;
  struct fat_node *n;
  uint64_t size = 0;

  if (fat_node_get (f, ino, &n, e) == -1 || node_size (f, n, &size, e) == -1)
    return -1;
  if (n->file.is_dir && !n->nlink && fat_count_links (f, n, e) == -1)
    return -1;
  *ret = (struct fs_stat){
    .ino = ino,
    .mode = n->file.is_dir      ? S_IFDIR | 0755
            : n->file.read_only ? S_IFREG | 0555
                                : S_IFREG | 0755,
    .nlink = n->file.is_dir ? n->nlink : 1,
    .size = size,
    .blocks = div_up (size, fat_cluster_size (f)) << f->cluster_log >> 9,
    .blksize = fat_cluster_size (f),
    .atime = n->file.atime,
    .mtime = n->file.mtime,
    .ctime = n->file.ctime,
  };
  return 0;
}

int
fat_readlink (struct fs *fs unused_arg, uint64_t ino unused_arg,
              struct buf *ret unused_arg, struct err *e)
{
  return err_set (e, EINVAL, "not a symbolic link");
}

/* --- contents -------------------------------------------------------- */

int
fat_node_place (struct fat *f, struct fat_node *n, uint64_t pos,
                uint64_t *ret_at, uint64_t *ret_len, struct err *e)
{
  uint64_t skip = pos & (fat_cluster_size (f) - 1);
  uint32_t cluster = 0, count = 0;

  if (n->file.ino == FAT_ROOT_INO && f->root_size) {
    if (pos >= f->root_size)
      return err_set (e, EIO, "beyond the root directory");
    *ret_at = f->root_at + pos;
    *ret_len = f->root_size - pos;
    return 0;
  }
  if (fat_chain_map (f, &n->chain, pos >> f->cluster_log, &cluster, &count,
                     e) == -1)
    return -1;
  *ret_at = fat_cluster_at (f, cluster) + skip;
  *ret_len = ((uint64_t) count << f->cluster_log) - skip;
  return 0;
}

int
fat_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
         struct extent *ret, struct err *e)
{
  struct fat *f = fs->priv;
  uint64_t at = 0, here = 0;
  struct fat_node *n;

  if (fat_node_get (f, ino, &n, e) == -1)
    return -1;
  if (n->file.is_dir)
    return err_set (e, EISDIR, "is a directory");
  if (off >= n->file.valid) {
    *ret = extent_of (EXTENT_ZERO, len);
    return 0;
  }
  if (fat_node_place (f, n, off, &at, &here, e) == -1)
    return -1;
  here = MIN (here, n->file.valid - off);
  *ret = extent_data (MIN (len, here), fs->block, at);
  return 0;
}

/* --- what both drivers have ------------------------------------------ */

void
fat_mount_common (struct fs *fs)
{
  struct fat *f = fs->priv;

  f->block = fs->block;
  f->cache_owner = cache_new_owner ();
  f->free_clusters = UINT64_MAX;
  fs->root = FAT_ROOT_INO;
}

void
fat_unmount (struct fs *fs)
{
  struct fat *f = fs->priv;

  if (!f)
    return;
  for (size_t i = 0; i < FAT_INDEXES; i++)
    free (f->indexes[i].keys);
  free (f->exfat);
  free (f);
}
