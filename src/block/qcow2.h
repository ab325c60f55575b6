/* xrayfs: qcow2, shared by its files: qcow2.c maps and reads, qcow2_open.c
 * checks the header, qcow2_info.c has the rest of it
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_BLOCK_QCOW2_H
#define XRAYFS_BLOCK_QCOW2_H

#include "block/block.h"

/* qcow2.txt, "Header": incompatible_features. */
#define QCOW2_DIRTY            (UINT64_C (1) << 0)
#define QCOW2_CORRUPT          (UINT64_C (1) << 1)
#define QCOW2_DATA_FILE        (UINT64_C (1) << 2)
#define QCOW2_COMPRESSION_TYPE (UINT64_C (1) << 3)
#define QCOW2_EXTENDED_L2      (UINT64_C (1) << 4)
#define QCOW2_KNOWN            (UINT64_C (0x1f))
/* compatible_features, autoclear_features. */
#define QCOW2_LAZY_REFCOUNTS (UINT64_C (1) << 0)
#define QCOW2_BITMAPS        (UINT64_C (1) << 0)
#define QCOW2_DATA_FILE_RAW  (UINT64_C (1) << 1)

#define QCOW2_PIECE    (UINT64_C (64) << 10) /* of a table, in the cache */
#define QCOW2_MAX_NAME 1023                  /* of a backing or data file */

enum qcow2_crypt { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };
enum qcow2_compression { QCOW2_ZLIB, QCOW2_ZSTD };

/* An open image: the header, checked, and what it refers to.  Constant after
 * open. */
struct qcow2 {
  uint32_t version, header_length;
  unsigned cluster_bits;
  uint64_t cluster_size;
  uint64_t size; /* as the header has it */
  uint64_t backing_offset;
  uint32_t backing_len;
  uint32_t crypt, l1_size, refcount_clusters, refcount_order, nb_snapshots;
  uint64_t l1_offset, refcount_offset, snapshots_offset;
  uint64_t incompatible, compatible, autoclear;
  uint8_t compression;

  /* From the header extensions; NULL: not there. */
  char *backing_file, *backing_format, *data_file;
  char unknown_feature[47]; /* the name of the lowest unknown bit */

  bool preallocated;     /* more clusters given out than have data */
  bool extended;         /* L2 entries of 16 bytes, with subclusters */
  unsigned entry_size;   /* of an L2 table, in bytes */
  unsigned l2_bits;      /* an L2 table has 1 << l2_bits entries */
  uint64_t unit;         /* what is allocated at once: a (sub)cluster */
  uint64_t slice;        /* bytes of an L2 table that are read at once */
  struct block *data;    /* holds the clusters: below, or the data file */
  struct block *backing; /* or NULL */
  const void *l1_owner, *l2_owner, *cluster_owner; /* in the cache */
};

/* How many bits of a guest offset one L2 table covers. */
static inline unsigned
l1_shift (const struct qcow2 *q)
{
  return q->cluster_bits + q->l2_bits;
}

/* block_ops.bid, .open */
int qcow2_bid (struct block *below, struct err *e) nonnull (1, 2);
int qcow2_open (struct block *b, struct err *e) must_check nonnull (1, 2);

/* Bit number of the lowest unknown incompatible feature; -1: none. */
int qcow2_unknown_bit (const struct qcow2 *q) nonnull (1);

/* Walks the header extensions between the header and the backing file's
 * name.  Fills the strings of b->priv. */
int qcow2_read_extensions (struct block *b, struct err *e) must_check
    nonnull (1, 2);

/* block_ops.check */
int qcow2_check (struct block *b, struct block_check *c,
                 struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.safety */
int qcow2_safety (struct block *b, struct buf *reasons,
                  struct err *e) must_check nonnull (1, 2, 3);

/* block_ops.info */
int qcow2_info (struct block *b, struct block_info *ret,
                struct err *e) must_check nonnull (1, 2, 3);

#endif
