/* xrayfs: qcow, version 1, shared by its files: qcow.c opens and reads,
 * qcow_check.c looks for damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_QCOW_H
#define XRAYFS_FORMAT_QCOW_H

#include "block/block.h"
#include "block/table.h"

#define QCOW_HEADER_LENGTH 48
#define QCOW_COMPRESSED    (UINT64_C (1) << 63) /* in an entry of L2 */
#define QCOW_SECTOR        UINT64_C (512)

/* Constant after open. */
struct qcow {
  unsigned cluster_bits, l2_bits;
  uint64_t cluster_size, l2_bytes;
  uint64_t size; /* as the header has it */
  uint64_t l1_offset, l1_size;
  uint64_t backing_offset;
  uint32_t backing_len, crypt;
  char *backing_file;                              /* or NULL */
  struct block *backing;                           /* or NULL */
  const void *l1_owner, *l2_owner, *cluster_owner; /* in the cache */
};

/* How many bits of a guest offset one L2 table covers. */
static inline unsigned
qcow_l1_shift (const struct qcow *q)
{
  return q->cluster_bits + q->l2_bits;
}

/* The piece of L1 that has entry INDEX: *RET_FIRST is its first entry, *RET_N
 * how many it has. */
int qcow_l1_piece (struct block *b, uint64_t index, struct pin *pin,
                   uint64_t *ret_first, uint64_t *ret_n,
                   struct err *e) must_check nonnull (1, 3, 4, 5, 6);

/* Can there be an L2 table at L2? */
int qcow_check_l2_offset (struct block *b, uint64_t l2,
                          struct err *e) must_check nonnull (1, 3);

/* The L2 table at L2, which was checked: at most 64 KiB, so in one piece. */
int qcow_l2_get (struct block *b, uint64_t l2, struct pin *ret,
                 struct err *e) must_check nonnull (1, 3, 4);

/* Entry INDEX of a table, or of a piece of one. */
static inline uint64_t
qcow_l2_entry (const struct pin *l2, uint64_t index)
{
  return load_be64 ((const char *) l2->entry->data + index * 8);
}

static inline enum extent_kind
qcow_kind (uint64_t entry)
{
  return !entry                    ? EXTENT_UNALLOCATED
         : entry & QCOW_COMPRESSED ? EXTENT_COMPRESSED
                                   : EXTENT_DATA;
}

/* Where the data of a compressed cluster are; less than a cluster. */
void qcow_compressed_range (const struct qcow *q, uint64_t entry,
                            uint64_t *ret_off, size_t *ret_len)
    nonnull (1, 3, 4);

/* block_ops.check */
int qcow_check (struct block *b, struct block_check *c,
                struct err *e) must_check nonnull (1, 2, 3);

#endif
