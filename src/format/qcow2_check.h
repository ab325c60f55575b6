/* xrayfs: qcow2: a check under way, shared by qcow2_check.c and
 * qcow2_check_bitmaps.c
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_QCOW2_CHECK_H
#define XRAYFS_FORMAT_QCOW2_CHECK_H

#include "format/qcow2.h"

/* A counter: how often the cluster is referenced, and as what. */
#define COUNTER_BITS  14
#define COUNTER_MAX   ((1u << COUNTER_BITS) - 1)
#define COUNTER_TABLE (1u << 14)
#define COUNTER_DATA  (1u << 15)

struct qcow2_check {
  struct block *b;
  const struct qcow2 *q;
  struct block_check *c;
  struct qcow2_walk walk;
  struct qcow2_refcounts refcounts;
  uint64_t file_len;   /* of whole sectors */
  uint64_t n_clusters; /* to be compared */
  uint16_t *counters;  /* one more than there are clusters; NULL: too many */
  uint64_t n_beyond;   /* references to what was cut off */
  uint64_t known_end;  /* of what the file has or should have */
  uint64_t data_end;   /* of the data that start within the file */
  bool active;         /* the tables are not those of a snapshot */
  bool dirty;
  char where[32];         /* "snapshot 1: ", or empty */
  const char *incomplete; /* why the references are not all counted */
};

/* Counts the clusters of a table of LEN bytes at OFF, which is named WHAT. */
int qcow2_check_table (struct qcow2_check *k, uint64_t off, uint64_t len,
                       const char *what, struct err *e) must_check
    nonnull (1, 4, 5);

int qcow2_check_bitmaps (struct qcow2_check *k, struct err *e) must_check
    nonnull (1, 2);

#endif
