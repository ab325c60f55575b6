/* xrayfs: FAT: the boot sector
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What makes a FAT is what Linux takes for one: no more is asked of the boot
 * sector than what reading needs, since Atari's, DOS's and many a formatter's
 * differ in the rest.
 */
#include "fs/fat_boot.h"

#include <inttypes.h>
#include <string.h>

/* FATGEN, FAT Type Determination has 4085 and 65525; those of Linux, which
 * leave a few clusters more. */
#define MAX_FAT12 0xff4
#define MAX_FAT16 0xfff4
#define MAX_FAT32 0x0ffffff6

void
fat_parse_bpb (const unsigned char *p, struct fat_bpb *ret)
{
  *ret = (struct fat_bpb){
    .sector_size = load_le16 (p + 11),
    .sectors_per_cluster = p[13],
    .reserved = load_le16 (p + 14),
    .n_fats = p[16],
    .root_entries = load_le16 (p + 17),
    .sectors = load_le16 (p + 19),
    .media = p[21],
    .fat_sectors = load_le16 (p + 22),
  };
  if (ret->sectors == 0)
    ret->sectors = load_le32 (p + 32);
  if (ret->fat_sectors)
    return;
  ret->fat_sectors = load_le32 (p + 36);
  ret->ext_flags = load_le16 (p + 40);
  ret->root_cluster = load_le32 (p + 44) & 0x0fffffff;
  ret->info_sector = load_le16 (p + 48);
  ret->backup_sector = load_le16 (p + 50);
}

static bool
is_fat32 (const unsigned char *boot)
{
  return load_le16 (boot + 22) == 0;
}

static int
check_bpb (const struct fat_bpb *b, struct err *e)
{
  if (!is_power_of_2 (b->sector_size) || b->sector_size < 512 ||
      b->sector_size > 4096)
    return err_set (e, EINVAL, "boot sector: sectors of %u bytes",
                    b->sector_size);
  if (!is_power_of_2 (b->sectors_per_cluster))
    return err_set (e, EINVAL, "boot sector: clusters of %u sectors",
                    b->sectors_per_cluster);
  if (b->reserved == 0)
    return err_set (e, EINVAL, "boot sector: no reserved sectors");
  if (b->n_fats == 0 || b->fat_sectors == 0)
    return err_set (e, EINVAL, "boot sector: no FAT");
  if (b->media != 0xf0 && b->media < 0xf8)
    return err_set (e, EINVAL, "boot sector: impossible medium 0x%02x",
                    b->media);
  if (b->root_entries * FAT_SLOT % b->sector_size)
    return err_set (e, EINVAL, "boot sector: root directory of %u entries",
                    b->root_entries);
  return 0;
}

unsigned
fat_active_table (const struct fat_bpb *b)
{
  unsigned active = b->ext_flags & 0x80 ? b->ext_flags & 15 : 0;

  return active < b->n_fats ? active : 0;
}

/* The data begin in sector DATA. */
static int
count_clusters (struct fat *f, const struct fat_bpb *b, uint64_t data,
                struct err *e)
{
  uint64_t clusters, words, most;

  if (data >= b->sectors)
    return err_set (e, EINVAL,
                    "boot sector: %" PRIu32 " sectors, and data from %" PRIu64
                    " on",
                    b->sectors, data);
  clusters = (b->sectors - data) / b->sectors_per_cluster;
  f->bits = is_fat32 (f->boot) ? 32 : clusters > MAX_FAT12 ? 16 : 12;
  words = (uint64_t) b->fat_sectors * b->sector_size * 8 / f->bits;
  clusters = words > FAT_FIRST ? MIN (clusters, words - FAT_FIRST) : 0;
  most = f->bits == 32 ? MAX_FAT32 : f->bits == 16 ? MAX_FAT16 : MAX_FAT12;
  if (clusters > most)
    return err_set (e, EINVAL,
                    "boot sector: %" PRIu64 " clusters with a FAT of %u bits",
                    clusters, f->bits);
  f->clusters = (uint32_t) clusters;
  return 0;
}

static int
take_bpb (struct fat *f, const struct fat_bpb *b, struct err *e)
{
  uint64_t root = b->reserved + (uint64_t) b->n_fats * b->fat_sectors;
  uint64_t data = root + b->root_entries * FAT_SLOT / b->sector_size;

  if (count_clusters (f, b, data, e) == -1)
    return -1;
  f->sector_size = b->sector_size;
  f->cluster_log = (unsigned) __builtin_ctz (b->sector_size) +
                   (unsigned) __builtin_ctz (b->sectors_per_cluster);
  f->size = (uint64_t) b->sectors * b->sector_size;
  f->fat_at =
      (b->reserved + (uint64_t) fat_active_table (b) * b->fat_sectors) *
      b->sector_size;
  f->data_at = data * b->sector_size;
  if (f->bits == 32)
    f->root_cluster = b->root_cluster;
  else {
    f->root_at = root * b->sector_size;
    f->root_size = b->root_entries * FAT_SLOT;
  }
  return 0;
}

int
fat_boot_read (struct fat *f, struct err *e)
{
  struct fat_bpb b;

  if (block_pread (f->block, f->boot, sizeof f->boot, 0, e) == -1)
    return err_in (e, "boot sector");
  fat_parse_bpb (f->boot, &b);
  if (check_bpb (&b, e) == -1)
    return -1;
  return take_bpb (f, &b, e);
}

/* Windows has bits in the second word of the table, where "clean" is 1
 * (FATGEN, FAT Data Structure), Linux one in a byte of the boot sector that
 * is reserved. */
int
fat_flags (struct fat *f, unsigned *ret, struct err *e)
{
  uint32_t clean = f->bits == 32 ? 0x08000000 : 0x8000;
  unsigned char p[4];
  uint32_t word;

  *ret = f->boot[is_fat32 (f->boot) ? 65 : 37] & 1 ? FAT_DIRTY : 0;
  if (f->bits == 12)
    return 0;
  if (fat_read (f, f->fat_at + f->bits / 8, p, f->bits / 8, e) == -1)
    return err_in (e, "FAT");
  word = f->bits == 32 ? load_le32 (p) : load_le16 (p);
  if (!(word & clean))
    *ret |= FAT_DIRTY;
  if (!(word & clean >> 1))
    *ret |= FAT_ERRORS;
  return 0;
}
