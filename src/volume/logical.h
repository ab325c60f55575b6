/* xrayfs: logical volumes and arrays
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * LVM2 and Linux's md, from the bytes alone: what lies on the partitions is
 * put together as the kernel would, and each volume is a block over theirs.
 */
#ifndef XRAYFS_VOLUME_LOGICAL_H
#define XRAYFS_VOLUME_LOGICAL_H

#include "base/vec.h"
#include "block/block.h"

/* A partition (or the disk, or an array) that holds a part of a volume. */
struct member {
  struct block *block; /* borrowed */
  const char *name;    /* "partitions/2": in `segments`; borrowed */
  const char *label;   /* "partition 2": in messages; borrowed */

  /* What it says of itself, filled by lvm2_assemble and md_assemble.
   * UINT64_MAX: not known. */
  uint64_t size, used, free;
  char state[24];      /* clean, dirty, errors */
  struct buf features; /* words */
  struct err unread;   /* code != 0: why its state is not known */
  struct err err;      /* code != 0: why what it holds is not (all) known */
};

/* A logical volume, or an array. */
struct logical {
  char *name;       /* as in /dev/mapper: "vg-lv"; "md-NAME" */
  char *vg, *lv;    /* LVM: as in the metadata; an array: NULL */
  char *array;      /* an array: its name without the host, or NULL */
  char uuid[40];    /* of an array: as mdadm prints it; of a logical volume */
  char vg_uuid[40]; /* LVM: of the volume group; else "" */
  int minor;        /* of an array: the N of /dev/mdN, or -1 */
  uint64_t size;    /* bytes */
  struct buf segments; /* a line each: start length type stripe place... */
  struct block *block; /* reads fail where the volume cannot be read */
  bool incomplete;     /* a place of it is missing: reads fail there */
  const char *refusal; /* why it cannot be read from its start on, or NULL */
  int refusal_code;
};
DEFINE_VEC (logical_vec, struct logical *)
DEFINE_VEC (logical_text_vec, char *)

/* More are not shown; LVM2's own tools become slow long before. */
#define LOGICAL_MAX 4096

/* What assembling gives.  Owns the logical volumes, and the hidden blocks
 * below them. */
struct logical_set {
  struct logical_vec volumes;
  struct block **hidden;
  size_t n_hidden, hidden_cap;
  size_t n_legs;                 /* pieces of all volumes, for a cap */
  struct logical_text_vec texts; /* reasons that blocks point to */
  struct buf notes; /* what is odd, one a line: PV missing, clones, ... */
};

/* Adds the arrays of the MEMBERS, which are superblocks of md. */
int md_assemble (struct logical_set *set, struct member *members, size_t n,
                 struct err *e) must_check nonnull (1, 2, 4);

/* Adds the visible logical volumes of the MEMBERS, which are physical
 * volumes. */
int lvm2_assemble (struct logical_set *set, struct member *members, size_t n,
                   struct err *e) must_check nonnull (1, 2, 4);

/* --- for the files that assemble -------------------------------------- */

/* A new volume at the end of the set, all zero; NULL and ENOMEM, or EFBIG. */
struct logical *logical_add (struct logical_set *set, struct err *e);

/* Takes away the volumes behind the first N. */
void logical_cut (struct logical_set *set, size_t n);

/* Is a volume of NAME there? */
bool logical_has (const struct logical_set *set, const char *name);

/* The set owns B from now on, also on failure. */
int logical_hide (struct logical_set *set, struct block *b,
                  struct err *e) must_check nonnull (1, 2, 3);

/* A text that lives as long as the set; NULL and ENOMEM. */
const char *logical_text (struct logical_set *set, struct err *e,
                          const char *fmt, ...) printf_like (3, 4);

void logical_set_free (struct logical_set *set) nonnull (1);
void member_free (struct member *m) nonnull (1);

#endif
