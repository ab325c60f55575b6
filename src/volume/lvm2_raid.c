/* xrayfs: LVM2's raid segments
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each leg is a hidden volume with the data (rimage) and one with dm-raid's
 * superblock and bitmap (rmeta); drivers/md/dm-raid.c, struct
 * dm_raid_superblock, little-endian:
 *   0 "DmRd"  4 features  8 devices  12 place of this one  16 events (64)
 *   24 failed devices, a bit each (64)  32 sector up to which this one was
 *   recovered (64; all ones: all)  60 flags (1: being reshaped)
 * A set that was never started has none: then its legs are as they are.
 */
#include "volume/lvm2_raid.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

#define MAX_LEGS       253 /* of MD */
#define RESHAPE_ACTIVE 1u
#define ALL_RECOVERED  UINT64_MAX

struct raid_type {
  const char *name;
  enum run_kind kind;
  unsigned copies, parities;
  enum parity_layout layout;
};

static const struct raid_type types[] = {
  { "raid0", RUN_STRIPED, 1, 0, 0 },
  { "raid0_meta", RUN_STRIPED, 1, 0, 0 },
  { "raid1", RUN_COPIES, 0, 0, 0 }, /* as many copies as legs */
  { "raid10", RUN_COPIES, 2, 0, 0 },
  { "raid10_near", RUN_COPIES, 2, 0, 0 },
  { "raid4", RUN_PARITY, 1, 1, PARITY_FIRST },
  { "raid5", RUN_PARITY, 1, 1, PARITY_LEFT_SYMMETRIC },
  { "raid5_ls", RUN_PARITY, 1, 1, PARITY_LEFT_SYMMETRIC },
  { "raid5_la", RUN_PARITY, 1, 1, PARITY_LEFT_ASYMMETRIC },
  { "raid5_rs", RUN_PARITY, 1, 1, PARITY_RIGHT_SYMMETRIC },
  { "raid5_ra", RUN_PARITY, 1, 1, PARITY_RIGHT_ASYMMETRIC },
  { "raid5_n", RUN_PARITY, 1, 1, PARITY_LAST },
  { "raid6", RUN_PARITY, 1, 2, PARITY_ROTATING_ZERO_RESTART },
  { "raid6_zr", RUN_PARITY, 1, 2, PARITY_ROTATING_ZERO_RESTART },
  { "raid6_nr", RUN_PARITY, 1, 2, PARITY_ROTATING_N_RESTART },
  { "raid6_nc", RUN_PARITY, 1, 2, PARITY_ROTATING_N_CONTINUE },
};

void
raid_free (struct raid *raid)
{
  free (raid->legs);
}

static bool
is_raid1 (const struct raid *raid)
{
  return raid->type->copies == 0;
}

/* --- the segment ----------------------------------------------------- */

static const struct raid_type *
find_type (const char *name)
{
  for (size_t i = 0; i < ARRAY_SIZE (types); i++)
    if (!strcmp (types[i].name, name))
      return &types[i];
  return NULL;
}

static struct vg_lv *
lv_named (const struct vg *vg, const struct text_node *n, struct err *e)
{
  struct vg_lv *lv =
      n && n->kind == TEXT_STRING ? vg_find_lv (vg, n->string) : NULL;

  if (!lv)
    err_set (e, EINVAL, "a leg of the raid is not there");
  return lv;
}

/* raid0_lvs has the images alone, raids each behind its metadata. */
static int
load_legs (struct vg *vg, const struct text_node *node, struct raid *r,
           struct err *e)
{
  const struct lvm2_text *t = vg->text;
  const struct text_node *images =
      text_find (t, node, "raid0_lvs", TEXT_LIST);
  const struct text_node *list =
      images ? images : text_find (t, node, "raids", TEXT_LIST);
  struct raid_leg *leg;

  r->legs = calloc (MAX_LEGS, sizeof *r->legs);
  if (!r->legs)
    return err_set (e, ENOMEM, "out of memory");
  for (const struct text_node *n = list ? text_first (t, list) : NULL; n;
       n = text_next (t, n)) {
    if (r->n_legs == MAX_LEGS)
      return err_set (e, EINVAL, "a raid of more than %d legs", MAX_LEGS);
    leg = &r->legs[r->n_legs++];
    if (!images && !(leg->meta = lv_named (vg, n, e)))
      return -1;
    if (!images)
      n = text_next (t, n);
    if (!(leg->image = lv_named (vg, n, e)))
      return -1;
  }
  return r->n_legs ? 0 : err_set (e, EINVAL, "a raid without legs");
}

/* Bytes of data in one leg. */
static int
load_sizes (struct vg *vg, const struct text_node *node, uint64_t length,
            struct raid *r, struct err *e)
{
  const struct raid_type *type = r->type;
  uint64_t sectors, of = r->n_legs;

  if (is_raid1 (r)) {
    r->leg_size = length;
    return 0;
  }
  if (text_number (vg->text, node, "stripe_size", &sectors, e) == -1)
    return -1;
  if (sectors == 0 || sectors > INT64_MAX / 64 / LVM2_SECTOR ||
      r->n_legs <= type->parities)
    return err_set (e, EINVAL,
                    "a raid of %zu legs with stripes of %" PRIu64 " sectors",
                    r->n_legs, sectors);
  r->stripe = sectors * LVM2_SECTOR;
  of -= type->parities;
  r->leg_size = length / of * type->copies;
  return 0;
}

int
raid_load (struct vg *vg, const struct text_node *node, const char *type,
           uint64_t length, struct raid *ret, struct err *e)
{
  uint64_t copies;

  ret->type = find_type (type);
  if (!ret->type)
    ret->unknown = "a raid of a kind that is not read";
  else if (text_find (vg->text, node, "reshape_count", TEXT_NUMBER) ||
           text_find (vg->text, node, "reshape_len", TEXT_NUMBER) ||
           text_find (vg->text, node, "data_offset", TEXT_NUMBER))
    ret->unknown = "a raid that is, or was, being reshaped, is not read";
  else if (!is_raid1 (ret) &&
           text_number (vg->text, node, "data_copies", &copies, e) == 0 &&
           copies != MAX (ret->type->copies, ret->type->parities + 1))
    ret->unknown = "a raid with more than two copies is not read";
  err_clear (e);
  if (ret->unknown)
    return 0;
  if (load_legs (vg, node, ret, e) == -1)
    return -1;
  return load_sizes (vg, node, length, ret, e);
}

/* --- which legs to believe ------------------------------------------- */

static int
read_superblock (struct raid_leg *l, bool *reshape, struct err *e)
{
  unsigned char sb[LVM2_SECTOR];

  if (!l->meta || !l->meta->whole || l->meta->refused)
    return 0;
  if (l->meta->block->size < sizeof sb)
    return err_set (e, EINVAL, "the metadata of a raid have no room");
  if (block_pread (l->meta->block, sb, sizeof sb, 0, e) == -1)
    return err_in (e, "'%s'", l->meta->name);
  if (memcmp (sb, "DmRd", 4))
    return 0;
  l->has_superblock = true;
  l->events = load_le64 (sb + 16);
  l->failed = load_le64 (sb + 24);
  l->recovered = load_le64 (sb + 32);
  *reshape = *reshape || (load_le32 (sb + 60) & RESHAPE_ACTIVE);
  return 0;
}

/* Bits of the devices that failed, as those with the most events say. */
static uint64_t
failed_of (const struct raid *r, uint64_t events)
{
  uint64_t failed = 0;

  for (size_t i = 0; i < r->n_legs; i++)
    if (r->legs[i].has_superblock && r->legs[i].events == events)
      failed |= r->legs[i].failed;
  return failed;
}

static const char *
what_is_wrong (const struct raid_leg *l, size_t i, uint64_t events,
               uint64_t failed)
{
  if (!l->image->whole)
    return "a leg of the raid is missing";
  if (l->image->refused)
    return "a leg of the raid is of a kind that is not read";
  if (events == UINT64_MAX)
    return NULL;
  if (!l->has_superblock || l->events != events ||
      l->recovered != ALL_RECOVERED || (i < 64 && (failed >> i & 1)))
    return "a leg of the raid is out of sync";
  return NULL;
}

/* Legs without metadata, and a set that was never started, tell nothing: all
 * must be there then. */
static const char *
judge_untold (struct raid *r)
{
  if (!is_raid1 (r) || r->type->kind == RUN_STRIPED)
    return NULL;
  for (size_t i = 0; i < r->n_legs; i++)
    if (!r->legs[i].leg.block)
      return "a leg of the raid is missing, and whether the others are in"
             " sync is not known";
  return NULL;
}

int
raid_judge (struct raid *r, const char **ret_why, struct err *e)
{
  bool reshape = false, told = false;
  uint64_t events = 0;

  *ret_why = NULL;
  for (size_t i = 0; i < r->n_legs; i++) {
    if (read_superblock (&r->legs[i], &reshape, e) == -1)
      return -1;
    told = told || r->legs[i].has_superblock;
    events = MAX (events, r->legs[i].events);
  }
  for (size_t i = 0; i < r->n_legs; i++) {
    struct leg *leg = &r->legs[i].leg;
    leg->why = what_is_wrong (&r->legs[i], i, told ? events : UINT64_MAX,
                              failed_of (r, events));
    if (leg->why)
      leg->block = NULL;
  }
  if (reshape)
    *ret_why = "the raid is being reshaped";
  else if (!told)
    *ret_why = judge_untold (r);
  return 0;
}

/* Does every byte have a leg?  With copies, no two neighbours may be
 * missing. */
static bool
is_complete (const struct raid *r, unsigned copies)
{
  unsigned missing = 0;

  /* Twice round, since neighbours may meet at the end. */
  for (size_t i = 0; i < 2 * r->n_legs; i++) {
    missing = r->legs[i % r->n_legs].leg.block ? 0 : missing + 1;
    if (missing >= copies)
      return false;
  }
  return true;
}

int
raid_run (struct raid *r, uint64_t length, struct run *ret, struct err *e)
{
  size_t only = 0;

  *ret = (struct run){ .kind = r->type->kind,
                       .length = length,
                       .stripe = r->stripe,
                       .copies = r->type->copies,
                       .parities = r->type->parities,
                       .layout = r->type->layout };
  ret->legs = calloc (r->n_legs, sizeof *ret->legs);
  if (!ret->legs)
    return err_set (e, ENOMEM, "out of memory");
  r->complete =
      is_complete (r, is_raid1 (r) ? (unsigned) r->n_legs : r->type->copies);
  if (is_raid1 (r)) {
    while (only + 1 < r->n_legs && !r->legs[only].leg.block)
      only++;
    ret->kind = RUN_STRIPED;
    ret->legs[ret->n_legs++] = r->legs[only].leg;
    return 0;
  }
  for (size_t i = 0; i < r->n_legs; i++)
    ret->legs[ret->n_legs++] = r->legs[i].leg;
  if (ret->n_legs == 1)
    ret->stripe = 0;
  return 0;
}
