/* xrayfs: the header of LUKS version 1
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_LUKS_H
#define XRAYFS_FORMAT_LUKS_H

#include "block/block.h"

#define LUKS_HEADER_SIZE 592
#define LUKS_SLOTS       8

/* "The LUKS partition header", and "key slot". */
struct luks_slot {
  uint32_t state, iterations, stripes;
  uint64_t offset, length; /* of the key material, bytes */
};

struct luks_header {
  char cipher[33], mode[33], hash[33], uuid[41];
  uint32_t key_bytes, iterations;
  uint64_t payload; /* bytes */
  struct luks_slot slots[LUKS_SLOTS];
};

/* From the first LUKS_HEADER_SIZE bytes; RET is zero before.
 * Errors: EINVAL; ENOTSUP for another version. */
int luks_header_load (struct luks_header *ret, const unsigned char *header,
                      struct err *e) must_check nonnull (1, 2, 3);

unsigned luks_active_slots (const struct luks_header *l) nonnull (1);

#endif
