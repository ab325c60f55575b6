/* xrayfs: exFAT: what the driver's files share beyond fat.h
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FS_EXFAT_H
#define XRAYFS_FS_EXFAT_H

#include "base/bytes.h"
#include "fs/fat.h"

/* EXFAT, 3.1.13 VolumeFlags */
enum {
  EXFAT_SECOND_FAT = 1,
  EXFAT_VOLUME_DIRTY = 2,
  EXFAT_MEDIA_FAILURE = 4
};

/* A system file: an entry of the root directory without a name. */
struct exfat_system {
  uint32_t cluster; /* 0: there is none */
  uint64_t size;
  uint32_t checksum; /* of the up-case table */
};

struct exfat {
  unsigned flags, n_fats;
  struct exfat_system bitmap, upcase;
  bool found; /* those two, or that they are not there */
  uint16_t table[65536];
};

/* --- exfat_dir.c ----------------------------------------------------- */

int exfat_next_entry (struct fat_dir *d, struct fat_entry *ret,
                      struct err *e);
int exfat_entry_at (struct fat *f, uint64_t at, struct fat_file *ret,
                    struct err *e);

/* --- exfat_system.c -------------------------------------------------- */

/* Looks for the system files, once. */
int exfat_find_system (struct fat *f, struct err *e) must_check;

/* LEN bytes at POS of a system file, whose chain C is. */
int exfat_read_chain (struct fat *f, struct fat_chain *c, uint64_t pos,
                      void *buf, size_t len, struct err *e) must_check;

int exfat_load_upcase (struct fat *f, struct err *e);

/* 1: the table is as its checksum has it; 0: it is not, or is not there. */
int exfat_read_upcase (struct fat *f, uint16_t *ret,
                       struct err *e) must_check;

/* Clusters that the bitmap has as free: counted once. */
int exfat_count_free (struct fat *f, uint64_t *ret, struct err *e) must_check;

/* --- exfat_check.c --------------------------------------------------- */

/* Of the boot region at sector START: 1: right; 0: wrong. */
int exfat_boot_checksum (struct fat *f, unsigned start,
                         struct err *e) must_check;

int exfat_check (struct fs *fs, struct block_check *c, struct err *e);

#endif
