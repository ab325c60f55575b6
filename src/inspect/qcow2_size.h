/* xrayfs: the length of a converted image, in two steps
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `qemu-img convert -O qcow2` writes with its default options (version
 * 3, 64 KiB clusters, 16-bit refcounts).
 */
#ifndef XRAYFS_INSPECT_QCOW2_SIZE_H
#define XRAYFS_INSPECT_QCOW2_SIZE_H

#include "base/bytes.h"
#include "base/lazy.h"
#include "block/block.h"

#define QCOW2_CLUSTER     (64 * KiB)
#define QCOW2_TABLE_ENTRY UINT64_C (8)
/* Guest bytes that one L2 table maps. */
#define QCOW2_TABLE_SPAN          (QCOW2_CLUSTER / QCOW2_TABLE_ENTRY * QCOW2_CLUSTER)
#define QCOW2_REFCOUNTS_PER_BLOCK (QCOW2_CLUSTER / 2)
/* qemu's limit for the L1 table: 32 MiB. */
#define QCOW2_MAX_DISK (32 * MiB / QCOW2_TABLE_ENTRY * QCOW2_TABLE_SPAN)

/* What of a disk is not zero. */
struct qcow2_content {
  uint64_t clusters; /* 64 KiB pieces, counted from the disk's start */
  uint64_t tables;   /* spans of an L2 table with any of them */
};

/* Reads all data of DISK with at most THREADS threads, and tells PROGRESS
 * (may be NULL).  What comes out does not depend on THREADS: of several
 * errors, that of the lowest place. */
int qcow2_content (struct block *disk, unsigned threads,
                   struct lazy *progress, struct qcow2_content *ret,
                   struct err *e) must_check nonnull (1, 4, 5);

/* The file's length, for a disk of SIZE bytes with that content.
 * Errors: EFBIG. */
int qcow2_length (uint64_t size, const struct qcow2_content *c, uint64_t *ret,
                  struct err *e) must_check nonnull (2, 3, 4);

#endif
