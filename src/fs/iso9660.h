/* xrayfs: ISO 9660: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An own reader, after ECMA-119 (ISO 9660), the Joliet specification, the
 * System Use Sharing Protocol (SUSP) and the Rock Ridge Interchange Protocol
 * (RRIP); the sections are named in the comments.  Where they leave a choice,
 * it is Linux's: Rock Ridge before Joliet before plain names, which are in
 * lower case and without ";1"; of a number that is there in both byte orders
 * the little-endian one counts.
 *
 * Words: a directory holds records; a file with more than one extent has a
 * record for each, called a section.  An inode number is the byte offset of
 * the (first) record, of a directory that of its record ".".
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_ISO9660_H
#define XRAYFS_FS_ISO9660_H

#include "base/buf.h"
#include "base/vec.h"
#include "fs/fs.h"

/* ECMA-119, 6.1.2: logical sectors; descriptors and records keep to them. */
#define ISO_SECTOR 2048

/* Records, 9.1: of 34 to 255 bytes. */
#define ISO_RECORD_MAX 255
enum {
  ISO_HIDDEN = 0x01,
  ISO_DIRECTORY = 0x02,
  ISO_ASSOCIATED = 0x04,
  ISO_MORE_SECTIONS = 0x80
};

/* Inodes kept.  Bounded memory: each has a link target of 4 KiB and 16 KiB of
 * sections at most. */
#define ISO_NODES 32
/* Of up to 4 GiB each: more than 8 TiB, the largest volume, never needs. */
#define ISO_MAX_SECTIONS 2048
#define ISO_MAX_LINK     4095 /* Linux: PATH_MAX - 1 */

enum iso_names { ISO_PLAIN, ISO_JOLIET, ISO_ROCK_RIDGE };

struct iso_section {
  uint64_t start, size; /* bytes */
};
DEFINE_VEC (iso_section_vec, struct iso_section)

struct iso_node {
  uint64_t ino;  /* 0: unused */
  uint64_t used; /* when, for LRU */
  mode_t mode;
  uint32_t nlink, uid, gid;
  dev_t rdev;
  uint64_t size, blocks;
  uint64_t stored; /* bytes of all sections: size, but of zisofs */
  struct timespec atime, mtime, ctime;
  struct iso_section_vec sections;
  struct buf link;        /* target */
  const char *unreadable; /* why its data are not read, or NULL */
  /* zisofs: compressed; BLOCK_LOG is 0 if it is not. */
  unsigned block_log, header; /* header: bytes */
};

struct iso {
  struct block *block;
  const void *cache_owner, *zisofs_owner;
  uint32_t block_size;
  uint64_t size; /* bytes, as the volume says */
  enum iso_names names;
  bool rock_ridge, joliet, boots; /* what there is */
  bool susp;          /* there is an SP: what follows is SUSP for certain */
  unsigned susp_skip; /* bytes before the SUSP part of each record ... */
  uint64_t root;      /* ... but this one, the root's "." */
  unsigned root_skip;
  uint64_t clock;
  uint64_t found_dir, found_at; /* where the last lookup ended */
  struct iso_node nodes[ISO_NODES];
};

static inline uint64_t
iso_block_offset (const struct iso *iso, uint32_t block)
{
  return (uint64_t) block * iso->block_size;
}

/* Fields of a record (9.1).  RECORD was read by iso_read_record. */
uint64_t iso_record_start (const struct iso *iso,
                           const unsigned char *record); /* bytes */
uint32_t iso_record_size (const unsigned char *record);

/* LEN bytes at OFF of the volume, through the cache. */
int iso_read (struct iso *iso, uint64_t off, void *buf, size_t len,
              struct err *e) must_check;

/* The record at OFF, into TO of ISO_RECORD_MAX bytes.  *RET_LEN: its length;
 * 0: there is none, and none follows in the block. */
int iso_read_record (struct iso *iso, uint64_t off, unsigned char *to,
                     unsigned *ret_len, struct err *e) must_check;

/* Do they tell of the same file?  Sections have one name (6.5.1, 7.5). */
bool iso_same_file (const unsigned char *record, const unsigned char *other);

/* Inode INO, valid until the next call but ISO_NODES. */
int iso_node_get (struct iso *iso, uint64_t ino, struct iso_node **ret,
                  struct err *e) must_check;
void iso_node_forget (struct iso_node *n);

/* LEN bytes at OFF of N's data as they are stored; OFF + LEN lies within
 * them. */
int iso_read_data (struct iso *iso, const struct iso_node *n, uint64_t off,
                   void *buf, size_t len, struct err *e) must_check;

/* Seconds since 1970 of a date: seven bytes (9.1.5), or as text (8.4.26.1).
 */
struct timespec iso_date (const unsigned char *p);
struct timespec iso_date_text (const unsigned char *p);

/* --- iso9660_dir.c --------------------------------------------------- */

int iso_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                 struct err *e);
int iso_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                uint64_t *ret, struct err *e);

/* --- iso9660_rock.c -------------------------------------------------- */

/* What the root's record "." says: sets rock_ridge, susp, susp_skip. */
int iso_rock_detect (struct iso *iso, const unsigned char *record,
                     struct err *e) must_check;

/* Adds RECORD's name to RET; nothing if it has none.  *RET_HIDDEN: it is a
 * directory that was moved here, and belongs somewhere else. */
int iso_rock_name (struct iso *iso, const unsigned char *record,
                   struct buf *ret, bool *ret_hidden,
                   struct err *e) must_check;

/* Changes N to what RECORD says of owner, mode, times, target, ... */
int iso_rock_node (struct iso *iso, const unsigned char *record,
                   struct iso_node *n, struct err *e) must_check;

/* --- iso9660_zisofs.c ------------------------------------------------ */

int iso_zisofs_read (struct iso *iso, const struct iso_node *n, void *buf,
                     size_t len, uint64_t off, struct err *e) must_check;

#endif
