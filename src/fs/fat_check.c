/* xrayfs: FAT: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "fs/fat_boot.h"

#define COMPARED (1 * MiB)

static int
check_flags (struct fat *f, struct block_check *c, struct err *e)
{
  unsigned flags = 0;

  if (fat_flags (f, &flags, e) == -1)
    return -1;
  if (flags & FAT_ERRORS)
    block_check_error (c, "the medium had errors when it was used last");
  if (flags & FAT_DIRTY)
    block_check_note (c, "it was not unmounted");
  return 0;
}

/* How many of the LEN bytes at A and B, in sectors, differ. */
static uint64_t
differing (const char *a, const char *b, size_t len, uint32_t sector)
{
  uint64_t n = 0;

  for (size_t i = 0; i < len; i += sector)
    n += memcmp (a + i, b + i, MIN (sector, len - i)) != 0;
  return n;
}

static int
compare_table (struct fat *f, const struct fat_bpb *b, unsigned which,
               struct block_check *c, struct err *e)
{
  uint64_t size = (uint64_t) b->fat_sectors * b->sector_size, n = 0, here;
  uint64_t first = (uint64_t) b->reserved * b->sector_size;
  CLEANUP_FREE char *one = malloc (COMPARED), *other = malloc (COMPARED);

  if (!one || !other)
    return err_set (e, ENOMEM, "out of memory");
  /* What lies behind the last word has no meaning. */
  size =
      MIN (size, div_up (((uint64_t) f->clusters + FAT_FIRST) * f->bits, 8));
  for (uint64_t off = 0; off < size; off += here) {
    here = MIN (COMPARED, size - off);
    if (block_pread (f->block, one, here, first + off, e) == -1 ||
        block_pread (
            f->block, other, here,
            first + which * (uint64_t) b->fat_sectors * b->sector_size + off,
            e) == -1)
      return err_in (e, "FAT");
    n += differing (one, other, here, b->sector_size);
  }
  if (n)
    block_check_note (
        c, "FAT number %u differs from the first in %" PRIu64 " sectors",
        which + 1, n);
  return 0;
}

static int
check_tables (struct fat *f, const struct fat_bpb *b, struct block_check *c,
              struct err *e)
{
  if (b->ext_flags & 0x80) {
    if ((b->ext_flags & 15) >= b->n_fats)
      block_check_error (c, "FAT number %u is said to be in use, of %u",
                         (b->ext_flags & 15) + 1, b->n_fats);
    return 0;
  }
  for (unsigned i = 1; i < b->n_fats; i++)
    if (compare_table (f, b, i, c, e) == -1)
      return -1;
  return 0;
}

/* The byte with the dirty flag is of the first one alone. */
static int
check_backup (struct fat *f, const struct fat_bpb *b, struct block_check *c,
              struct err *e)
{
  unsigned char copy[512];

  if (f->bits != 32 || b->backup_sector == 0 || b->backup_sector == 0xffff)
    return 0;
  if (b->backup_sector >= b->reserved) {
    block_check_note (c, "boot sector's copy is said to be at sector %u",
                      b->backup_sector);
    return 0;
  }
  if (fat_read (f, (uint64_t) b->backup_sector * b->sector_size, copy,
                sizeof copy, e) == -1)
    return err_in (e, "copy of the boot sector");
  copy[65] = f->boot[65];
  if (memcmp (copy, f->boot, sizeof copy) != 0)
    block_check_note (c, "boot sector differs from its copy at sector %u",
                      b->backup_sector);
  return 0;
}

/* FATGEN, FAT32 FSInfo Sector Structure. */
static int
check_free (struct fat *f, const struct fat_bpb *b, struct block_check *c,
            struct err *e)
{
  unsigned char info[512];
  uint64_t counted = 0;
  uint32_t told;

  if (f->bits != 32 || b->info_sector == 0 || b->info_sector >= b->reserved)
    return 0;
  if (fat_read (f, (uint64_t) b->info_sector * b->sector_size, info,
                sizeof info, e) == -1)
    return err_in (e, "FSInfo");
  if (load_le32 (info) != 0x41615252 ||
      load_le32 (info + 484) != 0x61417272) {
    block_check_note (c, "FSInfo: wrong signature");
    return 0;
  }
  told = load_le32 (info + 488);
  if (fat_count_free (f, &counted, e) == -1)
    return -1;
  if (told != UINT32_MAX && told != counted)
    block_check_note (c,
                      "FSInfo has %" PRIu32 " free clusters, and there are "
                      "%" PRIu64,
                      told, counted);
  return 0;
}

int
fat_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct fat *f = fs->priv;
  struct fat_bpb b;

  fat_parse_bpb (f->boot, &b);
  if (f->size > f->block->size)
    block_check_error (
        c, "filesystem has %" PRIu64 " bytes, its partition %" PRIu64,
        f->size, f->block->size);
  if (check_flags (f, c, e) == -1 || check_backup (f, &b, c, e) == -1 ||
      check_tables (f, &b, c, e) == -1 || check_free (f, &b, c, e) == -1)
    return -1;
  return 0;
}
