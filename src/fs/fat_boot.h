/* xrayfs: FAT: boot sector, entries and damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FS_FAT_BOOT_H
#define XRAYFS_FS_FAT_BOOT_H

#include "base/bytes.h"
#include "fs/fat.h"

/* The BIOS parameter block (FATGEN, Boot Sector and BPB), as it is. */
struct fat_bpb {
  unsigned sector_size, sectors_per_cluster, reserved, n_fats, media;
  unsigned root_entries;
  uint32_t sectors, fat_sectors;
  /* FAT32 */
  unsigned ext_flags, info_sector, backup_sector;
  uint32_t root_cluster;
};

/* --- fat_boot.c ------------------------------------------------------ */

void fat_parse_bpb (const unsigned char *boot, struct fat_bpb *ret);

/* Reads the boot sector, and what follows from it into F. */
int fat_boot_read (struct fat *f, struct err *e) must_check;

/* The number of the table in use (FATGEN, BPB_ExtFlags). */
unsigned fat_active_table (const struct fat_bpb *b);

enum { FAT_DIRTY = 1, FAT_ERRORS = 2 };
/* What the flags say that are written while it is in use. */
int fat_flags (struct fat *f, unsigned *ret, struct err *e) must_check;

/* --- fat_dir.c ------------------------------------------------------- */

int fat_next_entry (struct fat_dir *d, struct fat_entry *ret, struct err *e);
int fat_entry_at (struct fat *f, uint64_t at, struct fat_file *ret,
                  struct err *e);
int fat_check_dir (struct fat_dir *d, const char **ret, struct err *e);

/* --- fat_check.c ----------------------------------------------------- */

int fat_check (struct fs *fs, struct block_check *c, struct err *e);

#endif
