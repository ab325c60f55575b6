/* xrayfs: LVM2's raid segments
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_VOLUME_LVM2_RAID_H
#define XRAYFS_VOLUME_LVM2_RAID_H

#include "volume/lvm2.h"

struct raid_leg {
  struct vg_lv *image, *meta; /* meta: NULL for raid0 */
  struct leg leg;             /* of image; filled by the caller */
  /* From the superblock that dm-raid keeps in meta. */
  bool has_superblock;
  uint64_t events, failed, recovered;
};

struct raid {
  const struct raid_type *type;
  struct raid_leg *legs;
  size_t n_legs;
  uint64_t stripe, leg_size; /* bytes */
  const char *unknown;       /* why it is not read, or NULL */
  bool complete; /* raid_run: every byte has a leg that is there */
};

/* The legs of segment NODE of LENGTH bytes. */
int raid_load (struct vg *vg, const struct text_node *node, const char *type,
               uint64_t length, struct raid *ret, struct err *e) must_check;

/* Reads the legs' superblocks, once all their blocks were built, and takes
 * away from the legs those that are missing or out of sync.  RET_WHY: why
 * none can be trusted, or NULL. */
int raid_judge (struct raid *raid, const char **ret_why,
                struct err *e) must_check;

/* What can be read of it, as a run. */
int raid_run (struct raid *raid, uint64_t length, struct run *ret,
              struct err *e) must_check;

void raid_free (struct raid *raid);
#define CLEANUP_RAID __attribute__ ((cleanup (raid_free)))

#endif
