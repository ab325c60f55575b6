/* xrayfs: Apple UDIF (.dmg), shared by its files: dmg.c maps, reads and
 * checks, dmg_open.c reads the trailer and the block tables, dmg_codec.c
 * decompresses
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_DMG_H
#define XRAYFS_FORMAT_DMG_H

#include "base/vec.h"
#include "block/block.h"

#define DMG_SECTOR 512
/* qemu's bounds of one compressed chunk, on either side.  Programs write
 * chunks of 256 KiB to 1 MiB. */
#define DMG_MAX_CHUNK (UINT32_C (64) << 20)

enum dmg_type {
  DMG_ZERO,
  DMG_RAW,
  DMG_IGNORE, /* free space: nothing is stored, and no checksum covers it */
  DMG_ADC,
  DMG_ZLIB,
  DMG_BZIP2,
  DMG_LZFSE,
  DMG_LZMA,
  DMG_SHORT,  /* what a raw chunk says it has and does not store */
  DMG_UNKNOWN /* `length` is the type as the file has it */
};

/* A run of sectors.  32 bytes: this table is the memory that an image can
 * ask for. */
struct dmg_chunk {
  uint64_t sector, count; /* of the disk; their sum does not overflow */
  uint64_t offset;        /* in the file; UINT64_MAX if that overflowed */
  uint32_t length;        /* stored bytes, if compressed; saturated */
  uint16_t table;         /* whose chunk it is */
  uint8_t type;           /* enum dmg_type */
};
DEFINE_VEC (dmg_chunk_vec, struct dmg_chunk)

struct dmg_checksum {
  bool is_crc32; /* the only kind that is known here */
  uint32_t crc32;
};

/* A block table ("mish"), one for each partition and what lies between. */
struct dmg_table {
  uint64_t sector; /* its first */
  struct dmg_checksum checksum;
  bool ordered; /* its chunks ascend */
};
DEFINE_VEC (dmg_table_vec, struct dmg_table)

/* An open image.  Constant after open. */
struct dmg {
  uint64_t trailer; /* where the trailer starts: the end of all else */
  uint32_t version, flags;
  uint64_t data_offset, data_length; /* the data fork */
  struct dmg_checksum data_checksum;
  struct dmg_checksum master;  /* over the checksums of the tables */
  uint32_t tables_crc32;       /* what that is */
  bool all_tables_crc32;       /* every table has a CRC-32 */
  struct dmg_chunk_vec chunks; /* sorted, not overlapping */
  struct dmg_table_vec tables;
  const void *owner; /* in the cache */
};

/* block_ops.bid, .open */
int dmg_bid (struct block *below, struct err *e) nonnull (1, 2);
int dmg_open (struct block *b, struct err *e) must_check nonnull (1, 2);

/* N bytes of FROM, of a compressed type, become exactly SIZE bytes.
 * Errors: EIO for damage, and for a method that this build does not have;
 * ENOMEM. */
int dmg_decompress (enum dmg_type type, const void *from, size_t n, void *to,
                    size_t size, struct err *e) must_check nonnull (2, 4, 6);

#endif
