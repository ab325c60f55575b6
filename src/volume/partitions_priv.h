/* xrayfs: what the files of the partition table share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_VOLUME_PARTITIONS_PRIV_H
#define XRAYFS_VOLUME_PARTITIONS_PRIV_H

#include "block/block.h"

#define SECTOR         512u
#define GPT_ENTRY_SIZE 128u

/* A GPT header, checked as libblkid's gpt.c checks it. */
struct gpt {
  uint64_t lba, alternate, first, last, entries_lba;
  uint32_t n, entries_crc;
  unsigned char guid[16];
  bool signature, valid; /* valid: header and entries */
};

struct gpt_pair {
  uint64_t last_lba;
  struct gpt primary, backup;
};

/* What was met on the way to the tables. */
struct scout {
  int fd;
  struct block *disk;
  unsigned char mbr[SECTOR];
  struct gpt_pair gpt512, gpt4096;
  struct buf ebr_notes; /* of interest for `dos` only */
};

/* Copies whatever tables refer to into the spool s->fd and fills the rest.
 * Errors: those of reading s->disk; EINVAL for a GPT that is too large. */
int table_scout (struct scout *s, struct err *e) must_check nonnull (1, 2);
void table_scout_free (struct scout *s) nonnull (1);

struct partition_table;

/* Fills the notes and the damage of T, whose rest is there. */
int table_notes (struct partition_table *t, const struct scout *s,
                 struct err *e) must_check nonnull (1, 2, 3);

struct mbr_entry {
  uint8_t active, type;
  uint32_t start, size; /* sectors of 512 bytes */
};

/* Entry I (0 to 3) of the table in the 512 bytes at SECTOR. */
struct mbr_entry mbr_entry (const unsigned char *sector, unsigned i)
    nonnull (1);

/* The common name of a type, or NULL.  GUID is in lower case. */
const char *mbr_type_name (uint8_t type);
const char *gpt_type_name (const char *guid) nonnull (1);

#endif
