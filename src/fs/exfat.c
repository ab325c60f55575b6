/* xrayfs: exFAT
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Revision 1 of the format, and of TexFAT's the table and the bitmap that are
 * in use.  Like Linux, nothing is read from a boot region whose checksum is
 * wrong.
 */
#include "fs/exfat.h"

#include <inttypes.h>
#include <string.h>

/* EXFAT, 3.1: offsets in the boot sector */
enum {
  NAME_AT = 3,
  VOLUME_LENGTH_AT = 72,
  FAT_OFFSET_AT = 80,
  FAT_LENGTH_AT = 84,
  HEAP_OFFSET_AT = 88,
  CLUSTERS_AT = 92,
  ROOT_AT = 96,
  REVISION_AT = 104,
  FLAGS_AT = 106,
  SECTOR_SHIFT_AT = 108,
  CLUSTER_SHIFT_AT = 109,
  FATS_AT = 110
};

/* EXFAT, 3.1.9: numbers up to 0xfffffff6 */
#define MAX_CLUSTERS 0xfffffff5

static int
check_boot (const unsigned char *p, struct err *e)
{
  unsigned sector = p[SECTOR_SHIFT_AT], cluster = p[CLUSTER_SHIFT_AT];

  if (memcmp (p + NAME_AT, "EXFAT   ", 8) != 0 ||
      load_le16 (p + 510) != 0xaa55)
    return err_set (e, EINVAL, "boot sector: wrong signature");
  if (p[REVISION_AT + 1] != 1)
    return err_set (e, ENOTSUP, "revision %u.%02u", p[REVISION_AT + 1],
                    p[REVISION_AT]);
  if (sector < 9 || sector > 12 || cluster > 25 - sector)
    return err_set (e, EINVAL,
                    "boot sector: sectors of 2^%u bytes, clusters of 2^%u",
                    sector, cluster);
  if (p[FATS_AT] != 1 && p[FATS_AT] != 2)
    return err_set (e, EINVAL, "boot sector: %u FATs", p[FATS_AT]);
  return 0;
}

/* The parts must follow each other: first the tables, then the clusters. */
static int
check_layout (const struct fat *f, const unsigned char *p, struct err *e)
{
  uint64_t fat = load_le32 (p + FAT_OFFSET_AT);
  uint64_t length = load_le32 (p + FAT_LENGTH_AT);
  uint64_t heap = load_le32 (p + HEAP_OFFSET_AT);
  uint64_t sectors = load_le64 (p + VOLUME_LENGTH_AT);

  if (fat < 24 || fat + length * p[FATS_AT] > heap ||
      ((uint64_t) f->clusters + FAT_FIRST) * 4 > length * f->sector_size)
    return err_set (e, EINVAL, "boot sector: impossible place of the FAT");
  if (f->clusters > MAX_CLUSTERS || heap > sectors ||
      (uint64_t) f->clusters << p[CLUSTER_SHIFT_AT] > sectors - heap)
    return err_set (
        e, EINVAL, "boot sector: %" PRIu32 " clusters in %" PRIu64 " sectors",
        f->clusters, sectors);
  /* Inode numbers are places, in slots. */
  if (sectors > (UINT64_C (1) << FS_INO_BITS) * FAT_SLOT / f->sector_size)
    return err_set (e, ENOTSUP, "a volume of %" PRIu64 " sectors", sectors);
  return 0;
}

static int
read_boot (struct fat *f, struct err *e)
{
  const unsigned char *p = f->boot;
  uint64_t fat;
  int r;

  if (block_pread (f->block, f->boot, sizeof f->boot, 0, e) == -1)
    return err_in (e, "boot sector");
  if (check_boot (p, e) == -1)
    return -1;
  f->sector_size = UINT32_C (1) << p[SECTOR_SHIFT_AT];
  f->cluster_log = p[SECTOR_SHIFT_AT] + p[CLUSTER_SHIFT_AT];
  f->clusters = load_le32 (p + CLUSTERS_AT);
  if (check_layout (f, p, e) == -1)
    return -1;
  r = exfat_boot_checksum (f, 0, e);
  if (r != 1)
    return r == -1 ? -1
                   : err_set (e, EINVAL, "boot region: checksum is wrong");
  f->exfat->flags = load_le16 (p + FLAGS_AT);
  f->exfat->n_fats = p[FATS_AT];
  fat = load_le32 (p + FAT_OFFSET_AT);
  if (f->exfat->flags & EXFAT_SECOND_FAT && f->exfat->n_fats == 2)
    fat += load_le32 (p + FAT_LENGTH_AT);
  f->bits = 32;
  f->size = load_le64 (p + VOLUME_LENGTH_AT) * f->sector_size;
  f->fat_at = fat * f->sector_size;
  f->data_at = (uint64_t) load_le32 (p + HEAP_OFFSET_AT) * f->sector_size;
  f->root_cluster = load_le32 (p + ROOT_AT);
  return 0;
}

static int
exfat_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct fat *f = fs->priv;
  unsigned flags = f->exfat->flags;
  uint64_t free = 0;

  if (exfat_count_free (f, &free, e) == -1)
    return -1;
  ret->size = (uint64_t) f->clusters << f->cluster_log;
  ret->free = free << f->cluster_log;
  ret->used = ret->size - ret->free;
  ret->block_size = fat_cluster_size (f);
  snprintf (ret->state, sizeof ret->state, "%s",
            flags & EXFAT_MEDIA_FAILURE  ? "errors"
            : flags & EXFAT_VOLUME_DIRTY ? "dirty"
                                         : "clean");
  buf_puts (&ret->features, f->exfat->n_fats == 2 ? "exfat texfat" : "exfat");
  return buf_check (&ret->features, e);
}

static int
exfat_mount (struct fs *fs, struct err *e)
{
  struct fat *f = calloc (1, sizeof *f);

  if (!f)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = f;
  f->exfat = calloc (1, sizeof *f->exfat);
  if (!f->exfat)
    return err_set (e, ENOMEM, "out of memory");
  fat_mount_common (fs);
  f->next = exfat_next_entry;
  f->at = exfat_entry_at;
  f->load_upcase = exfat_load_upcase;
  f->max_dir = 256 * MiB; /* EXFAT, 7.6.7 */
  return read_boot (f, e);
}

static const char *const exfat_types[] = { "exfat", NULL };

const struct fs_ops exfat_ops = {
  .name = "exfat",
  .types = exfat_types,
  .mount = exfat_mount,
  .lookup = fat_lookup,
  .stat = fat_stat,
  .readdir = fat_readdir,
  .readlink = fat_readlink,
  .map = fat_map,
  .info = exfat_info,
  .check = exfat_check,
  .unmount = fat_unmount,
};
