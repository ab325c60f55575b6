/* xrayfs: FAT12, FAT16 and FAT32
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The free space is counted in the table: what FSInfo has is a hint (FATGEN,
 * FAT32 FSInfo), and old ones have none.  Sizes are those of the clusters, as
 * statfs(2) has them.
 */
#include <string.h>

#include "fs/fat_boot.h"

static int
fat_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct fat *f = fs->priv;
  unsigned flags = 0;
  struct fat_bpb b;
  uint64_t free = 0;

  if (fat_flags (f, &flags, e) == -1 || fat_count_free (f, &free, e) == -1)
    return -1;
  fat_parse_bpb (f->boot, &b);
  ret->size = (uint64_t) f->clusters << f->cluster_log;
  ret->free = free << f->cluster_log;
  ret->used = ret->size - ret->free;
  ret->block_size = fat_cluster_size (f);
  snprintf (ret->state, sizeof ret->state, "%s",
            flags & FAT_ERRORS  ? "errors"
            : flags & FAT_DIRTY ? "dirty"
                                : "clean");
  buf_printf (&ret->features, "fat%u", f->bits);
  if (b.ext_flags & 0x80)
    buf_puts (&ret->features, " no-mirror");
  return buf_check (&ret->features, e);
}

static int
fat_mount (struct fs *fs, struct err *e)
{
  struct fat *f = calloc (1, sizeof *f);

  if (!f)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = f;
  fat_mount_common (fs);
  f->upcase = fat_default_upcase ();
  f->next = fat_next_entry;
  f->at = fat_entry_at;
  f->check_dir = fat_check_dir;
  /* 65536 entries (FATGEN), which not everyone keeps to. */
  f->max_dir = 64 * MiB;
  return fat_boot_read (f, e);
}

static const char *const fat_types[] = { "vfat", NULL };

const struct fs_ops fat_ops = {
  .name = "fat",
  .types = fat_types,
  .mount = fat_mount,
  .lookup = fat_lookup,
  .stat = fat_stat,
  .readdir = fat_readdir,
  .readlink = fat_readlink,
  .map = fat_map,
  .info = fat_info,
  .check = fat_check,
  .unmount = fat_unmount,
};
