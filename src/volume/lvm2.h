/* xrayfs: what the files of LVM2 share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_VOLUME_LVM2_H
#define XRAYFS_VOLUME_LVM2_H

#include "volume/assembly.h"
#include "volume/logical.h"
#include "volume/lvm2_text.h"

#define LVM2_SECTOR UINT64_C (512)

/* --- on a physical volume (lvm2_label.c) ------------------------------ */

#define LVM2_UUID_SIZE 39 /* "AlYCil-JAV3-JKfe-cF52-pPai-lmpe-HUVjQm" */

/* A physical volume holds at most one copy at its start and one at its end;
 * its header has room for more. */
#define LVM2_MAX_AREAS 8

struct lvm2_copy { /* of the metadata: text in a ring buffer */
  uint64_t area, area_size;
  uint64_t offset, size; /* in the area */
  uint32_t crc;
};

struct lvm2_pv {
  char uuid[LVM2_UUID_SIZE];
  uint64_t device_size;
  size_t n_areas; /* for metadata, used or not */
  struct lvm2_copy copies[LVM2_MAX_AREAS];
  size_t n_copies;
  struct err damaged; /* code != 0: an area that could not be used, and why */
};

/* Errors: EINVAL without a good label; EIO. */
int lvm2_pv_read (struct block *b, struct lvm2_pv *ret,
                  struct err *e) must_check nonnull (1, 2, 3);

/* The text of COPY, whose checksum is right.
 * Errors: EINVAL, EFBIG; EIO. */
int lvm2_copy_read (struct block *b, const struct lvm2_copy *copy,
                    struct buf *ret, struct err *e) must_check
    nonnull (1, 2, 3, 4);

/* --- a volume group (lvm2_vg.c, lvm2_lv.c) ---------------------------- */

struct vg_pv {
  const char *key, *uuid; /* "pv0" */
  struct member *member;  /* NULL: missing */
  uint64_t start, size;   /* of its extents in the member, bytes */
  uint64_t used;          /* bytes of them that segments name */
  const char *why;        /* without a member; the set's */
};

enum lv_state { LV_UNBUILT, LV_BUILDING, LV_BUILT };

struct vg_lv {
  const char *name;
  const struct text_node *section;
  bool visible;
  const struct text_node *snapshot; /* of which it is the store, or NULL */
  bool merging;                     /* a snapshot is being merged into it */
  enum lv_state state;
  bool whole;          /* all its places are there */
  bool refused;        /* it is of a kind that is not read */
  struct block *block; /* NULL before LV_BUILT; the set's */
  struct buf segments; /* a line each */
};

struct vg {
  struct lvm2_text *text;
  const struct text_node *section;
  const char *name, *id;
  uint64_t seqno, extent; /* bytes of an extent */
  struct vg_pv *pvs;      /* sorted by key */
  size_t n_pvs;
  struct vg_lv *lvs; /* sorted by name */
  size_t n_lvs;
  struct logical_set *set; /* takes what is built */
  struct block_env *env;
};

/* Parses TEXT (taken over): name, id and number alone; then all of it. */
int vg_parse (struct buf *text, struct vg *ret, struct err *e) must_check
    nonnull (1, 2, 3);
int vg_load (struct vg *vg, struct err *e) must_check nonnull (1, 2);
void vg_free (struct vg *vg) nonnull (1);

struct vg_pv *vg_find_pv (const struct vg *vg, const char *key);
struct vg_lv *vg_find_lv (const struct vg *vg, const char *name);

/* Makes LV's block, and those below it.  What cannot be read becomes a block
 * that says so.
 * Errors: EINVAL for metadata that contradict themselves; ENOMEM. */
int lv_build (struct vg *vg, struct vg_lv *lv, unsigned depth,
              struct err *e) must_check;

#endif
