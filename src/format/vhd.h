/* xrayfs: VHD, shared by its files: vhd.c maps and reads, vhd_open.c has the
 * footer and the headers, vhd_parent.c finds the parent, vhd_check.c looks
 * for damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: Microsoft, "Virtual Hard Disk Image Format Specification",
 * version 1.0; sections are cited by name.
 */
#ifndef XRAYFS_FORMAT_VHD_H
#define XRAYFS_FORMAT_VHD_H

#include "block/block.h"

#define VHD_SECTOR      512
#define VHD_FOOTER_SIZE 512
#define VHD_HEADER_SIZE 1024 /* the dynamic disk header */
#define VHD_UNUSED      UINT32_C (0xffffffff)
#define VHD_BAT_PIECE   (16 * 1024) /* entries, of 4 bytes */

/* "Hard Disk Footer Format", Disk Type. */
enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC, VHD_DIFFERENCING };

/* "Hard Disk Footer Format". */
#define FOOTER_FEATURES     8
#define FOOTER_VERSION      12
#define FOOTER_DATA_OFFSET  16
#define FOOTER_TIME         24
#define FOOTER_CREATOR      28
#define FOOTER_CURRENT_SIZE 48
#define FOOTER_CYLINDERS    56
#define FOOTER_HEADS        58
#define FOOTER_SECTORS      59
#define FOOTER_TYPE         60
#define FOOTER_CHECKSUM     64
#define FOOTER_UUID         68
#define FOOTER_SAVED_STATE  84
#define FOOTER_USED         85 /* what follows is reserved, and zero */
#define FOOTER_TEMPORARY    1  /* in the features */

/* "Dynamic Disk Header Format". */
#define HEADER_TABLE_OFFSET 16
#define HEADER_VERSION      24
#define HEADER_MAX_ENTRIES  28
#define HEADER_BLOCK_SIZE   32
#define HEADER_CHECKSUM     36
#define HEADER_PARENT_UUID  40
#define HEADER_PARENT_TIME  56
#define HEADER_PARENT_NAME  64
#define HEADER_LOCATORS     576

/* What lies where a footer may be. */
struct vhd_footer {
  unsigned char raw[VHD_FOOTER_SIZE]; /* zeros beyond the end of the file */
  uint64_t offset;
  size_t len;  /* bytes that the file has of it */
  bool cookie; /* it starts as a footer */
  bool intact; /* and the checksum is right */
};

/* An open image.  Constant after open. */
struct vhd {
  enum vhd_type type;
  uint32_t version, features, time;
  char creator[4];
  bool saved_state;
  unsigned char uuid[16];
  uint64_t size;     /* of the disk, in bytes */
  uint64_t data_end; /* blocks lie before it: the footer, or the file's end */
  bool has_footer;   /* at the end of the file */

  /* Not for fixed disks. */
  uint64_t header_offset, bat_offset;
  uint32_t max_entries; /* as the header has it */
  uint32_t entries;     /* that the disk needs */
  uint32_t block_size;
  unsigned block_bits;
  uint32_t bitmap_size;                 /* in front of each block */
  bool header_damaged;                  /* its checksum is wrong */
  const void *bat_owner, *bitmap_owner; /* in the cache */

  /* Differencing disks only. */
  unsigned char parent_uuid[16];
  uint32_t parent_time;
  char *parent_name;    /* as the image has it; NULL: it has none */
  struct block *parent; /* or NULL */
  bool parent_differs;  /* it is another image than the one recorded */
};

/* block_ops.bid, .open */
int vhd_bid (struct block *below, struct err *e) nonnull (1, 2);
int vhd_open (struct block *b, struct err *e) must_check nonnull (1, 2);

/* What lies at the start and at the end of the file. */
int vhd_find_footers (struct block *below, struct vhd_footer *ret_start,
                      struct vhd_footer *ret_end, struct err *e) must_check
    nonnull (1, 2, 3, 4);

/* The complement of the sum of all bytes but the four at AT. */
uint32_t vhd_checksum (const unsigned char *p, size_t len, size_t at)
    nonnull (1);

/* COUNT entries of the BAT, the first of which is FIRST, a multiple of
 * VHD_BAT_PIECE. */
struct pin;
int vhd_get_bat (struct block *b, uint32_t first, uint32_t count,
                 struct pin *ret, struct err *e) must_check nonnull (1, 4, 5);

/* Would a block at START of the file lie over the headers or the BAT? */
bool vhd_over_headers (const struct vhd *v, uint64_t start) nonnull (1);

/* Bytes of a block with its bitmap. */
static inline uint64_t
vhd_stride (const struct vhd *v)
{
  return (uint64_t) v->bitmap_size + v->block_size;
}

/* Opens what HEADER, the dynamic disk header, refers to. */
int vhd_open_parent (struct block *b, const unsigned char *header,
                     struct err *e) must_check nonnull (1, 2, 3);

/* Finds parent locators that cannot be read. */
int vhd_check_locators (struct block *b, struct block_check *c,
                        struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.check, .safety */
int vhd_check (struct block *b, struct block_check *c,
               struct err *e) must_check nonnull (1, 2, 3);
int vhd_safety (struct block *b, struct buf *reasons,
                struct err *e) must_check nonnull (1, 2, 3);

extern const struct block_ops vhd_ops;

#endif
