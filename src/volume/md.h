/* xrayfs: superblocks of Linux's md
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_VOLUME_MD_H
#define XRAYFS_VOLUME_MD_H

#include "volume/logical.h"

enum md_duty { MD_ACTIVE, MD_RECOVERING, MD_SPARE, MD_FAULTY, MD_JOURNAL };

struct md_super {
  unsigned minor; /* of the format: 90, or 0 to 2 of version 1 */
  char uuid[40];  /* as mdadm prints it */
  char name[33];  /* version 1: "host:name" */
  int md_minor;   /* 0.90: N of /dev/mdN, else -1 */
  int level;      /* 1, 5, ...; -1: linear */
  uint32_t layout, raid_disks;
  uint64_t chunk;     /* bytes; 0: none */
  uint64_t size;      /* bytes used of each member; 0: each as it is */
  uint64_t data;      /* where a member's data start, bytes */
  uint64_t data_size; /* bytes of data in this member */
  uint64_t events;
  uint32_t device; /* number of this member */
  enum md_duty duty;
  uint32_t role; /* MD_ACTIVE, MD_RECOVERING: its place in the array */
  bool clean, bitmap;
  bool reshape; /* its layout is being changed */
};

/* The superblock of B, wherever it lies.
 * Errors: EINVAL if there is none that is whole; ENOTSUP; EIO. */
int md_super_read (struct block *b, struct md_super *ret,
                   struct err *e) must_check nonnull (1, 2, 3);

/* "raid1", "linear" */
void md_level_name (int level, char *to, size_t size);

#endif
