/* xrayfs: a block put together from pieces of others
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs one behind the other, each over one or more legs: what a logical
 * volume or an array is to the kernel's device mapper.  The layouts are those
 * of the kernel's drivers/md: raid5.c (raid5_compute_sector) and raid10.c.
 * Parity is not computed: where the leg with the data is missing, a read
 * fails.
 */
#ifndef XRAYFS_VOLUME_ASSEMBLY_H
#define XRAYFS_VOLUME_ASSEMBLY_H

#include "block/block.h"

struct leg {
  struct block *block; /* borrowed; NULL: it cannot be used */
  uint64_t offset;     /* where the leg starts in it, bytes */
  const char *why;     /* without a block: why; borrowed */
};

enum run_kind {
  RUN_STRIPED, /* one leg: linear */
  RUN_ZERO,
  RUN_REFUSED, /* cannot be read: WHY */
  RUN_COPIES,  /* md's raid10, near layout */
  RUN_PARITY   /* raid 4, 5 and 6 */
};

/* md's numbers of layouts (ALGORITHM_* of raid5.h). */
enum parity_layout {
  PARITY_LEFT_ASYMMETRIC = 0,
  PARITY_RIGHT_ASYMMETRIC = 1,
  PARITY_LEFT_SYMMETRIC = 2,
  PARITY_RIGHT_SYMMETRIC = 3,
  PARITY_FIRST = 4,
  PARITY_LAST = 5,
  PARITY_ROTATING_ZERO_RESTART = 8,
  PARITY_ROTATING_N_RESTART = 9,
  PARITY_ROTATING_N_CONTINUE = 10
};

struct run {
  uint64_t length; /* bytes */
  enum run_kind kind;
  uint64_t stripe; /* bytes; of one leg: 0 */
  struct leg *legs;
  unsigned n_legs;
  unsigned copies;   /* RUN_COPIES */
  unsigned parities; /* RUN_PARITY: 1 or 2 */
  enum parity_layout layout;
  char *why; /* RUN_REFUSED */
  int code;  /* RUN_REFUSED: EIO, ENOTSUP */
};

/* An empty block; NULL and ENOMEM. */
struct block *assembly_new (struct block_env *env, struct err *e);

/* Puts RUN behind the others.  Takes over its legs and WHY, also on failure.
 * Errors: EINVAL for numbers that do not fit; EFBIG for too many runs. */
int assembly_add (struct block *b, struct run *run, struct err *e) must_check
    nonnull (1, 2, 3);

/* Why B cannot be read from its start on, or NULL: it can.  RET_CODE: of that
 * error. */
const char *assembly_refusal (const struct block *b, int *ret_code)
    nonnull (1, 2);

void run_free (struct run *run) nonnull (1);

#endif
