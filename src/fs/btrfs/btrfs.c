/* xrayfs: Btrfs
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fs->root is the top-level subvolume, in which the others appear as
 * directories; fs->default_root is what a guest mounts without options.
 *
 * Contents are those of the last commit: what was fsynced since then is in
 * the log trees alone, which are not replayed (the state says
 * needs-recovery).
 */
#include <string.h>

#include "fs/btrfs/btrfs.h"

static int
open_trees (struct btrfs *b, struct err *e)
{
  const struct btrfs_super *sb = &b->sb;

  b->chunk_tree =
      (struct btrfs_tree){ BTRFS_CHUNK_TREE, sb->chunk_root,
                           sb->chunk_root_generation, sb->chunk_root_level };
  b->root_tree = (struct btrfs_tree){ BTRFS_ROOT_TREE, sb->root,
                                      sb->generation, sb->root_level };
  if (btrfs_read_sys_array (b, e) == -1 || btrfs_read_chunk_tree (b, e) == -1)
    return -1;
  return btrfs_read_roots (b, e);
}

static int
btrfs_mount (struct fs *fs, struct err *e)
{
  struct btrfs *b = calloc (1, sizeof *b);

  if (!b)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = b;
  b->block = fs->block;
  b->block_owner = cache_new_owner ();
  for (size_t i = 0; i < BTRFS_N_COMPRESSIONS; i++)
    b->data_owner[i] = cache_new_owner ();
  if (btrfs_super_read (b->block, &b->sb, e) == -1 ||
      btrfs_add_devices (b, fs->members, e) == -1 ||
      btrfs_hash_open (b->sb.csum, &b->hash, e) == -1)
    return -1;
  b->sector = malloc (b->sb.sectorsize);
  if (!b->sector)
    return err_set (e, ENOMEM, "out of memory");
  if (open_trees (b, e) == -1 ||
      btrfs_subvolume (fs, BTRFS_FS_TREE, &fs->root, e) == -1)
    return -1;
  return btrfs_default_root (b, &fs->default_root, e);
}

static void
btrfs_unmount (struct fs *fs)
{
  struct btrfs *b = fs->priv;

  if (!b)
    return;
  btrfs_links_free (b);
  btrfs_map_free (&b->map);
  btrfs_hash_close (b->hash);
  free (b->devices.items);
  free (b->roots.items);
  free (b->sector);
  free (b);
}

static int
btrfs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct btrfs_inode n;

  if (btrfs_inode_get (fs->priv, ino, &n, e) == -1)
    return -1;
  *ret = n.st;
  return 0;
}

static const char *const btrfs_types[] = { "btrfs", NULL };

const struct fs_ops btrfs_ops = {
  .name = "btrfs",
  .types = btrfs_types,
  .stale_without_log = true,
  .mount = btrfs_mount,
  .lookup = btrfs_lookup,
  .stat = btrfs_stat,
  .readdir = btrfs_readdir,
  .readlink = btrfs_readlink,
  .xattrs = btrfs_xattrs,
  .map = btrfs_map,
  .pread = btrfs_pread,
  .info = btrfs_info,
  .check = btrfs_check,
  .subvolume = btrfs_subvolume,
  .unmount = btrfs_unmount,
};
