/* xrayfs: VHDX, shared by its files: vhdx.c maps, vhdx_open.c checks the
 * header section and the metadata, vhdx_parent.c finds the parent, vhdx_log.c
 * replays the log, vhdx_check.c looks for damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: [MS-VHDX] v20180912; sections are cited by number.
 */
#ifndef XRAYFS_FORMAT_VHDX_H
#define XRAYFS_FORMAT_VHDX_H

#include "base/bytes.h"
#include "block/block.h"

#define VHDX_TABLE_SIZE (64 * KiB)            /* of regions, of metadata */
#define VHDX_MAX_SIZE   (UINT64_C (64) << 40) /* 2.6.2.2 */
#define VHDX_ID_LENGTH  16

/* 2.2.2 "Headers" */
struct vhdx_header {
  uint64_t sequence;
  unsigned char data_write_id[VHDX_ID_LENGTH];
  unsigned char log_id[VHDX_ID_LENGTH]; /* zeros: nothing to replay */
  uint16_t log_version, version;
  uint32_t log_length;
  uint64_t log_offset;
};

struct vhdx_range {
  uint64_t offset, length;
};

/* 2.6.2 "Known Metadata Items" */
enum vhdx_item {
  VHDX_FILE_PARAMETERS,
  VHDX_DISK_SIZE,
  VHDX_DISK_ID,
  VHDX_LOGICAL_SECTOR,
  VHDX_PHYSICAL_SECTOR,
  VHDX_PARENT_LOCATOR,
  VHDX_ITEMS
};

/* 2.6.2.6.3 "VHDX Parent Locator": NULL: not there. */
struct vhdx_locator {
  char *linkage, *linkage2;
  char *relative_path, *volume_path, *absolute_path;
};

/* An open image.  Constant after open. */
struct vhdx {
  struct vhdx_header header; /* the current one */
  struct block *file;        /* below, as it is once the log is replayed */
  bool log_is_empty;         /* in use, and nothing in it to replay */
  uint64_t log_end;          /* how long the file has to be for the log */

  struct vhdx_range bat, metadata;
  struct vhdx_range items[VHDX_ITEMS]; /* length 0: not there */
  uint64_t size;                       /* as the metadata have it */
  uint32_t block_size, logical_sector, physical_sector;
  unsigned block_bits, chunk_bits; /* a chunk: 1 << chunk_bits blocks */
  uint64_t blocks, entries;        /* entries: of the BAT */
  bool fixed, has_parent;

  struct vhdx_locator locator;
  char *parent_name; /* as the image has it */
  struct block *parent;
  const void *bat_owner, *bitmap_owner; /* in the cache */
};

/* 2.5.1 "BAT Entry" */
#define VHDX_STATE(entry) ((unsigned) ((entry) &7))
#define VHDX_HOST(entry)  ((entry) & ~(MiB - 1))
enum vhdx_state {
  VHDX_NOT_PRESENT = 0,
  VHDX_UNDEFINED = 1,
  VHDX_ZERO = 2,
  VHDX_UNMAPPED = 3,
  VHDX_UNMAPPED_095 = 5, /* as the draft 0.95 has it; qemu takes it too */
  VHDX_PRESENT = 6,
  VHDX_PARTIAL = 7
};

/* Where in the BAT a payload block is, and the bitmap of a chunk. */
static inline uint64_t
vhdx_block_index (const struct vhdx *v, uint64_t block)
{
  return block + (block >> v->chunk_bits);
}

static inline uint64_t
vhdx_bitmap_index (const struct vhdx *v, uint64_t chunk)
{
  return ((chunk + 1) << v->chunk_bits) + chunk;
}

/* --- vhdx_open.c ----------------------------------------------------- */

int vhdx_open (struct block *b, struct err *e) must_check nonnull (1, 2);

/* Copy I, 0 or 1, of the header: 1; 0: it is damaged, and *E says how; -1. */
int vhdx_read_header (struct block *file, unsigned i, struct vhdx_header *ret,
                      struct err *e) must_check nonnull (1, 3, 4);

/* Copy I of the region table into TABLE: as vhdx_read_header. */
int vhdx_read_region_table (struct block *file, unsigned i,
                            unsigned char *table, struct err *e) must_check
    nonnull (1, 3, 4);

/* Who wrote it, as one line; to be freed. */
int vhdx_creator (struct block *b, char **ret, struct err *e) must_check
    nonnull (1, 2, 3);

const char *vhdx_item_name (enum vhdx_item item);

/* --- vhdx_log.c ------------------------------------------------------ */

/* Sets v->file, log_is_empty and log_end. */
int vhdx_replay_log (struct block *b, struct err *e) must_check
    nonnull (1, 2);

/* --- vhdx_parent.c --------------------------------------------------- */

/* Sets v->locator, parent_name and parent. */
int vhdx_open_parent (struct block *b, struct err *e) must_check
    nonnull (1, 2);

/* Is V the parent that LOCATOR was made for? */
bool vhdx_is_linked (const struct vhdx_locator *locator, const struct vhdx *v)
    nonnull (1, 2);

/* N units of UTF-16LE, up to a NUL, as UTF-8; to be freed. */
char *vhdx_utf8 (const unsigned char *text, size_t n) nonnull (1);

/* --- vhdx.c, vhdx_check.c -------------------------------------------- */

extern const struct block_ops vhdx_ops;

/* Why the block of ENTRY, LENGTH bytes, cannot be at its place. */
int vhdx_check_place (const struct vhdx *v, uint64_t entry, uint64_t length,
                      struct err *e) must_check nonnull (1, 4);

/* block_ops.check */
int vhdx_check (struct block *b, struct block_check *c,
                struct err *e) must_check nonnull (1, 2, 3);

#endif
