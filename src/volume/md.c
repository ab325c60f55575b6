/* xrayfs: arrays of Linux's md
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The members of an array have one UUID; the one with the most events tells
 * what the array is, and those with fewer have missed writes.  A degraded
 * array is read from the members that are there.
 */
#include "volume/md.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/assembly.h"

#define LINEAR (-1)
/* md's own cap of devices in an array of version 1. */
#define MAX_DISKS 1920

struct found {
  struct member *member;
  struct md_super super;
  bool there; /* its superblock was read */
  bool taken; /* by an array */
};

struct array {
  struct logical_set *set;
  const struct md_super *super; /* of the most events */
  struct found **legs;          /* by role; NULL: missing */
  char *name;                   /* "md-NAME" */
  struct err *err;
};

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

/* --- members --------------------------------------------------------- */

static const char *
duty_word (enum md_duty duty)
{
  static const char *const words[] = {
    [MD_ACTIVE] = "active",   [MD_RECOVERING] = "recovering",
    [MD_SPARE] = "spare",     [MD_FAULTY] = "faulty",
    [MD_JOURNAL] = "journal",
  };
  return words[duty];
}

static void
describe_member (struct member *m, const struct md_super *s)
{
  char level[24];

  md_level_name (s->level, level, sizeof level);
  m->size = s->size && s->level > 0 ? s->size : s->data_size;
  buf_printf (&m->features, "%s metadata=%s%u devices=%" PRIu32 " %s", level,
              s->minor == 90 ? "0." : "1.", s->minor, s->raid_disks,
              duty_word (s->duty));
  if (s->duty == MD_ACTIVE || s->duty == MD_RECOVERING)
    buf_printf (&m->features, " role=%" PRIu32, s->role);
  if (s->bitmap)
    buf_puts (&m->features, " bitmap");
  if (s->reshape)
    buf_puts (&m->features, " reshape");
  snprintf (m->state, sizeof m->state, "%s",
            s->duty == MD_FAULTY ? "errors"
            : s->clean           ? "clean"
                                 : "dirty");
}

static int
read_members (struct found *found, size_t n, struct err *e)
{
  struct err why = { 0 };

  for (size_t i = 0; i < n; i++) {
    struct found *f = &found[i];
    if (md_super_read (f->member->block, &f->super, &why) == 0) {
      f->there = true;
      describe_member (f->member, &f->super);
      continue;
    }
    if (err_is_transient (&why)) {
      *e = why;
      return -1;
    }
    err_in (&why, "%s", f->member->label);
    f->member->err = why;
    err_clear (&why);
  }
  return 0;
}

/* --- legs ------------------------------------------------------------ */

/* Does F belong to array A, with all that was written? */
static bool
is_up_to_date (const struct array *a, const struct found *f)
{
  return f->super.duty == MD_ACTIVE && f->super.events == a->super->events &&
         f->super.role < a->super->raid_disks;
}

static const char *
missing_leg (struct array *a, uint32_t role)
{
  return logical_text (a->set, a->err,
                       "device %" PRIu32
                       " of the array is not in the image, or out of sync",
                       role);
}

static int
leg_of (struct array *a, uint32_t role, struct leg *ret)
{
  const struct found *f = a->legs[role];

  *ret = (struct leg){ .offset = f ? f->super.data : a->super->data };
  if (f)
    ret->block = f->member->block;
  else if (!(ret->why = missing_leg (a, role)))
    return -1;
  return 0;
}

static void
tell_leg (struct buf *line, const struct array *a, uint32_t role)
{
  const struct found *f = a->legs[role];

  if (f)
    buf_printf (line, " %s:%" PRIu64, f->member->name, f->super.data);
  else
    buf_printf (line, " missing:%" PRIu32 ":%" PRIu64, role, a->super->data);
}

/* --- kinds ----------------------------------------------------------- */

static uint64_t
cut (uint64_t size, uint64_t chunk)
{
  return chunk ? size / chunk * chunk : size;
}

/* All legs, with STRIPE. */
static int
run_of_legs (struct array *a, struct run *run)
{
  uint32_t n = a->super->raid_disks;

  run->legs = calloc (n, sizeof *run->legs);
  if (!run->legs)
    return no_memory (a->err);
  for (; run->n_legs < n; run->n_legs++)
    if (leg_of (a, run->n_legs, &run->legs[run->n_legs]) == -1)
      return -1;
  run->stripe = n > 1 ? a->super->chunk : 0;
  return 0;
}

/* Any leg that is up to date has all. */
static int
run_raid1 (struct array *a, struct run *run)
{
  uint32_t role = 0;

  while (role + 1 < a->super->raid_disks && !a->legs[role])
    role++;
  run->length = a->super->size;
  run->legs = calloc (1, sizeof *run->legs);
  if (!run->legs)
    return no_memory (a->err);
  run->n_legs = 1;
  return leg_of (a, role, run->legs);
}

static const char *
run_raid0 (struct array *a, struct run *run)
{
  const struct md_super *s = a->super;
  uint64_t each = 0, size;

  for (uint32_t i = 0; i < s->raid_disks; i++) {
    if (!a->legs[i])
      return "a device of the array is not in the image";
    size = cut (a->legs[i]->super.data_size, s->chunk);
    if (i && size != each)
      return "a raid0 of devices of different sizes is not read";
    each = size;
  }
  run->length = each * s->raid_disks;
  return NULL;
}

static const char *
run_raid10 (struct array *a, struct run *run)
{
  const struct md_super *s = a->super;
  uint32_t near = s->layout & 0xff, far = s->layout >> 8 & 0xff;

  if (far != 1 || s->layout >> 16 || near == 0)
    return "a raid10 with far copies is not read";
  run->kind = RUN_COPIES;
  run->copies = near;
  run->length = s->size / s->chunk * s->raid_disks / near * s->chunk;
  return NULL;
}

/* raid_disks + parities was checked by assembly_add. */
static const char *
run_parity (struct array *a, struct run *run)
{
  const struct md_super *s = a->super;

  run->kind = RUN_PARITY;
  run->parities = s->level == 6 ? 2 : 1;
  run->layout = s->level == 4 ? PARITY_LAST : s->layout;
  if (s->raid_disks <= run->parities)
    return "the array has too few devices";
  run->length = cut (s->size, s->chunk) * (s->raid_disks - run->parities);
  return NULL;
}

/* Fills RUN; RET_WHY: why it is not read. */
static int
make_run (struct array *a, struct run *run, const char **ret_why)
{
  const struct md_super *s = a->super;

  *run = (struct run){ .kind = RUN_STRIPED };
  *ret_why = NULL;
  if (s->reshape)
    *ret_why = "the array is being reshaped";
  else if (s->level == 1)
    return run_raid1 (a, run);
  else if (s->chunk == 0)
    *ret_why = "the array has no size of its chunks";
  else if (s->level == 0)
    *ret_why = run_raid0 (a, run);
  else if (s->level == 10)
    *ret_why = run_raid10 (a, run);
  else if (s->level >= 4 && s->level <= 6)
    *ret_why = run_parity (a, run);
  else
    *ret_why = "an array of a level that is not read";
  return *ret_why ? 0 : run_of_legs (a, run);
}

/* --- the block ------------------------------------------------------- */

static int
refuse (struct array *a, struct block *b, const char *why)
{
  struct run run = { .kind = RUN_REFUSED,
                     .length = MAX (a->super->size, 512),
                     .code = ENOTSUP,
                     .why = strdup (why) };

  if (!run.why)
    return no_memory (a->err);
  return assembly_add (b, &run, a->err);
}

static void
tell_segment (struct buf *out, const struct array *a, uint64_t start,
              uint64_t length, uint32_t first, uint32_t behind)
{
  char level[24];

  md_level_name (a->super->level, level, sizeof level);
  buf_printf (
      out, "%" PRIu64 " %" PRIu64 " md-%s %" PRIu64, start, length, level,
      a->super->level < 0 || a->super->level == 1 ? 0 : a->super->chunk);
  for (uint32_t i = first; i < behind; i++)
    tell_leg (out, a, i);
  buf_puts (out, "\n");
}

/* One device behind the other, each a segment. */
static int
fill_linear (struct array *a, struct block *b, struct buf *segments)
{
  for (uint32_t i = 0; i < a->super->raid_disks; i++) {
    struct run run = { .kind = RUN_STRIPED, .n_legs = 1 };
    if (!a->legs[i])
      return refuse (a, b, "a device of the array is not in the image");
    run.length = cut (a->legs[i]->super.data_size, a->super->chunk);
    tell_segment (segments, a, b->size, run.length, i, i + 1);
    run.legs = calloc (1, sizeof *run.legs);
    if (!run.legs)
      return no_memory (a->err);
    if (leg_of (a, i, run.legs) == -1) {
      run_free (&run);
      return -1;
    }
    if (assembly_add (b, &run, a->err) == -1)
      return -1;
  }
  return 0;
}

static int
fill_block (struct array *a, struct block *b, struct buf *segments)
{
  const char *why;
  struct run run;

  if (a->super->level == LINEAR)
    return fill_linear (a, b, segments);
  if (make_run (a, &run, &why) == -1) {
    run_free (&run);
    return -1;
  }
  if (why) {
    run_free (&run);
    return refuse (a, b, why);
  }
  tell_segment (segments, a, 0, run.length, 0, a->super->raid_disks);
  return assembly_add (b, &run, a->err);
}

/* --- the array ------------------------------------------------------- */

/* The name without the host that made it. */
static const char *
short_name (const struct md_super *s)
{
  const char *colon = strchr (s->name, ':');

  return colon ? colon + 1 : s->name;
}

static int
name_array (struct array *a, struct logical *l)
{
  CLEANUP_BUF struct buf b = { 0 };
  const char *name = short_name (a->super);
  char *end;
  long n;

  n = strtol (name, &end, 10);
  l->minor =
      *name && !*end && n >= 0 && n < 1 << 20 ? (int) n : a->super->md_minor;
  snprintf (l->uuid, sizeof l->uuid, "%s", a->super->uuid);
  buf_puts (&b, "md-");
  buf_add_line_text (&b, name, strlen (name));
  for (char *c = b.data; c && *c; c++)
    if (*c == '/')
      *c = '_';
  if (!*name || logical_has (a->set, buf_str (&b))) {
    buf_reset (&b);
    buf_printf (&b, "md-%s", a->super->uuid);
  }
  if (buf_check (&b, a->err) == -1)
    return -1;
  l->name = steal_ptr (&b.data);
  l->array = *name ? strdup (name) : NULL;
  return *name && !l->array ? no_memory (a->err) : 0;
}

static void
note_missing (struct array *a, struct logical *l)
{
  for (uint32_t i = 0; i < a->super->raid_disks; i++)
    if (!a->legs[i]) {
      l->incomplete = true;
      buf_printf (&a->set->notes,
                  "%s: device %" PRIu32
                  " is not in the image, or out of sync\n",
                  l->name, i);
    }
}

static int
add_array (struct array *a)
{
  size_t before = a->set->volumes.len;
  CLEANUP_BLOCK struct block *b = NULL;
  struct logical *l = logical_add (a->set, a->err);
  struct block_env *env = NULL;

  for (uint32_t i = 0; i < a->super->raid_disks && !env; i++)
    env = a->legs[i] ? a->legs[i]->member->block->env : NULL;
  if (l && name_array (a, l) == 0 && (b = assembly_new (env, a->err)) &&
      fill_block (a, b, &l->segments) == 0 &&
      buf_check (&l->segments, a->err) == 0) {
    l->size = b->size;
    l->refusal = assembly_refusal (b, &l->refusal_code);
    l->block = steal_ptr (&b);
    note_missing (a, l);
    return 0;
  }
  logical_cut (a->set, before);
  return -1;
}

/* The members with the UUID of FIRST: which tells what the array is, and
 * which can be read. */
static int
find_legs (struct array *a, struct found *found, size_t n,
           const struct found *first)
{
  bool any = false;

  a->super = &first->super;
  for (size_t i = 0; i < n; i++)
    if (found[i].there && !strcmp (found[i].super.uuid, first->super.uuid)) {
      found[i].taken = true;
      if (found[i].super.events > a->super->events)
        a->super = &found[i].super;
    }
  if (a->super->raid_disks == 0 || a->super->raid_disks > MAX_DISKS)
    return err_set (a->err, EINVAL, "an array of %" PRIu32 " devices",
                    a->super->raid_disks);
  a->legs = calloc (a->super->raid_disks, sizeof (*a->legs));
  if (!a->legs)
    return no_memory (a->err);
  for (size_t i = 0; i < n; i++) {
    struct found *f = &found[i];
    if (!f->there || strcmp (f->super.uuid, a->super->uuid) ||
        !is_up_to_date (a, f))
      continue;
    if (a->legs[f->super.role])
      buf_printf (&a->set->notes,
                  "array %s: %s is device %" PRIu32
                  " once more; the first is read\n",
                  a->super->uuid, f->member->label, f->super.role);
    else
      a->legs[f->super.role] = f;
    any = true;
  }
  return any ? 0
             : err_set (a->err, ENOTSUP,
                        "an array of which no device in the image is in sync"
                        " (md, UUID %s)",
                        a->super->uuid);
}

/* What goes wrong with one array is told by its members. */
static int
assemble_one (struct logical_set *set, struct found *found, size_t n,
              size_t first, struct err *e)
{
  struct array a = { .set = set, .err = e };
  int r = find_legs (&a, found, n, &found[first]);

  if (r == 0)
    r = add_array (&a);
  free (a.legs);
  if (r == 0 || err_is_transient (e))
    return r;
  for (size_t i = first; i < n; i++)
    if (found[i].there &&
        !strcmp (found[i].super.uuid, found[first].super.uuid)) {
      found[i].member->err = *e;
      err_in (&found[i].member->err, "%s", found[i].member->label);
    }
  err_clear (e);
  return 0;
}

int
md_assemble (struct logical_set *set, struct member *members, size_t n,
             struct err *e)
{
  CLEANUP_FREE struct found *found = calloc (n, sizeof *found);

  if (!found)
    return no_memory (e);
  for (size_t i = 0; i < n; i++)
    found[i].member = &members[i];
  if (read_members (found, n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++)
    if (found[i].there && !found[i].taken &&
        assemble_one (set, found, n, i, e) == -1)
      return -1;
  return buf_check (&set->notes, e);
}
