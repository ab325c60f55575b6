/* xrayfs: an LVM2 logical volume, segment by segment
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A segment lies on physical volumes or on hidden logical volumes, which are
 * built in the same way.  A kind that is not read makes a part of the volume
 * that says so when it is read; metadata that contradict themselves are an
 * error of the volume group.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/lvm2.h"
#include "volume/lvm2_raid.h"

/* cache over raid over integrity over linear is the deepest that people
 * make. */
#define MAX_DEPTH 16
/* In all volumes of a set: memory for 24 MiB of them. */
#define MAX_LEGS 1000000

struct builder {
  struct vg *vg;
  struct vg_lv *lv;
  struct block *block; /* to be filled; the set's */
  unsigned depth;
  struct err *err;
};

struct segment {
  const struct text_node *node;
  const char *type;       /* with its flags: "cache+CACHE_USES_CACHEVOL" */
  uint64_t start, length; /* bytes */
};
DEFINE_VEC (segment_vec, struct segment)

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

/* --- places ---------------------------------------------------------- */

/* A place of the segment's line: "partitions/2:1048576". */
static void
tell_place (struct builder *b, const char *before, const char *name,
            const char *behind, uint64_t off)
{
  buf_printf (&b->lv->segments, " %s%s%s:%" PRIu64, before, name, behind,
              off);
}

static int
leg_on_pv (struct builder *b, struct vg_pv *pv, uint64_t off, uint64_t length,
           struct leg *ret)
{
  if (!range_within (off, length, pv->size))
    return err_set (b->err, EINVAL, "a segment leaves its physical volume");
  pv->used += length;
  *ret = (struct leg){ .offset = pv->start + off };
  if (!pv->member) {
    b->lv->whole = false;
    ret->why = pv->why;
    tell_place (b, "missing:", pv->uuid, "", ret->offset);
    return 0;
  }
  ret->block = pv->member->block;
  if (!range_within (ret->offset, length, ret->block->size))
    b->lv->whole = false;
  tell_place (b, "", pv->member->name, "", ret->offset);
  return 0;
}

static int
leg_on_lv (struct builder *b, struct vg_lv *lv, uint64_t off, uint64_t length,
           struct leg *ret)
{
  if (lv_build (b->vg, lv, b->depth + 1, b->err) == -1)
    return -1;
  if (!range_within (off, length, lv->block->size))
    return err_set (b->err, EINVAL, "a segment leaves the volume '%s'",
                    lv->name);
  b->lv->whole = b->lv->whole && lv->whole;
  *ret = (struct leg){ .block = lv->block, .offset = off };
  tell_place (b, "[", lv->name, "]", off);
  return 0;
}

/* LENGTH bytes at extent EXTENT of NAME. */
static int
leg_on (struct builder *b, const char *name, uint64_t extent, uint64_t length,
        struct leg *ret)
{
  struct vg_pv *pv = vg_find_pv (b->vg, name);
  struct vg_lv *lv = pv ? NULL : vg_find_lv (b->vg, name);
  uint64_t off;

  if (!pv && !lv)
    return err_set (b->err, EINVAL,
                    "a segment lies on '%.128s', which is"
                    " not there",
                    name);
  if (__builtin_mul_overflow (extent, b->vg->extent, &off))
    return err_set (b->err, EINVAL, "extent %" PRIu64 " is impossible",
                    extent);
  return pv ? leg_on_pv (b, pv, off, length, ret)
            : leg_on_lv (b, lv, off, length, ret);
}

/* --- runs ------------------------------------------------------------ */

/* Takes over RUN's legs, also on failure. */
static int
add_run (struct builder *b, struct run *run)
{
  struct logical_set *set = b->vg->set;

  if (set->n_legs > MAX_LEGS - (run->n_legs + 1)) {
    run_free (run);
    return err_set (b->err, EFBIG, "more than %d pieces", MAX_LEGS);
  }
  set->n_legs += run->n_legs + 1;
  return assembly_add (b->block, run, b->err);
}

/* A part that cannot be read, because of what FMT says. */
__attribute__ ((format (printf, 4, 5))) static int
refuse (struct builder *b, uint64_t length, int code, const char *fmt, ...)
{
  struct run run = { .kind = RUN_REFUSED, .length = length, .code = code };
  va_list args;
  int n;

  va_start (args, fmt);
  n = vasprintf (&run.why, fmt, args);
  va_end (args);
  if (n == -1)
    return no_memory (b->err);
  b->lv->refused = true;
  return add_run (b, &run);
}

static int
read_stripe (struct builder *b, const struct segment *s, uint64_t *ret)
{
  uint64_t sectors;

  if (text_number (b->vg->text, s->node, "stripe_size", &sectors, b->err) ==
      -1)
    return -1;
  if (sectors == 0 || sectors > INT64_MAX / 64 / LVM2_SECTOR)
    return err_set (b->err, EINVAL, "stripes of %" PRIu64 " sectors",
                    sectors);
  *ret = sectors * LVM2_SECTOR;
  return 0;
}

static void
tell_segment (struct builder *b, const struct segment *s, const char *type,
              uint64_t stripe)
{
  struct buf *line = &b->lv->segments;

  buf_printf (line, "%" PRIu64 " %" PRIu64 " ", s->start, s->length);
  buf_add_line_text (line, type, strcspn (type, "+ "));
  buf_printf (line, " %" PRIu64, stripe);
}

static void
tell_end (struct builder *b)
{
  buf_puts (&b->lv->segments, "\n");
}

/* --- striped (linear), mirror ---------------------------------------- */

static size_t
count (const struct lvm2_text *t, const struct text_node *list)
{
  size_t n = 0;

  for (list = text_first (t, list); list; list = text_next (t, list))
    n++;
  return n;
}

/* The pairs of LIST: a name and an extent. */
static int
legs_of_pairs (struct builder *b, const struct text_node *list,
               uint64_t length, struct run *run)
{
  const struct lvm2_text *t = b->vg->text;
  const struct text_node *name = text_first (t, list), *extent;

  run->legs = calloc (count (t, list) / 2 + 1, sizeof *run->legs);
  if (!run->legs)
    return no_memory (b->err);
  for (; name; name = text_next (t, extent)) {
    extent = text_next (t, name);
    if (!extent || name->kind != TEXT_STRING || extent->kind != TEXT_NUMBER)
      return err_set (b->err, EINVAL, "a list of places is not of pairs");
    if (leg_on (b, name->string, extent->number, length,
                &run->legs[run->n_legs++]) == -1)
      return -1;
  }
  return 0;
}

static int
build_striped (struct builder *b, const struct segment *s)
{
  const struct lvm2_text *t = b->vg->text;
  const struct text_node *list = text_find (t, s->node, "stripes", TEXT_LIST);
  struct run run = { .kind = RUN_STRIPED, .length = s->length };
  uint64_t n = list ? count (t, list) / 2 : 0;

  if (n == 0 || s->length % n)
    return err_set (b->err, EINVAL, "a segment of %" PRIu64 " stripes", n);
  if (n > 1 && read_stripe (b, s, &run.stripe) == -1)
    return -1;
  tell_segment (b, s, n > 1 ? s->type : "linear", run.stripe);
  if (legs_of_pairs (b, list, s->length / n, &run) == -1) {
    run_free (&run);
    return -1;
  }
  tell_end (b);
  return add_run (b, &run);
}

/* While a mirror is not in sync (its log tells, where there is one), its
 * first leg is what is right; the kernel reads that one too. */
static int
build_mirror (struct builder *b, const struct segment *s)
{
  const struct text_node *list =
      text_find (b->vg->text, s->node, "mirrors", TEXT_LIST);
  struct run run = { .kind = RUN_STRIPED, .length = s->length };
  bool whole = b->lv->whole; /* up to here */
  struct vg_lv *first;

  tell_segment (b, s, s->type, 0);
  if (!list || !text_first (b->vg->text, list))
    return err_set (b->err, EINVAL, "a mirror without legs");
  if (legs_of_pairs (b, list, s->length, &run) == -1) {
    run_free (&run);
    return -1;
  }
  tell_end (b);
  run.n_legs = MIN (run.n_legs, 1);
  first = vg_find_lv (b->vg, text_first (b->vg->text, list)->string);
  b->lv->whole = whole && (first ? first->whole : run.legs[0].block != NULL);
  return add_run (b, &run);
}

/* --- raid ------------------------------------------------------------ */

static int
build_raid (struct builder *b, const struct segment *s)
{
  CLEANUP_RAID struct raid raid = { 0 };
  bool whole = b->lv->whole; /* up to here */
  struct err why_not = { 0 };
  struct run run;
  const char *why;

  if (raid_load (b->vg, s->node, s->type, s->length, &raid, b->err) == -1)
    return -1;
  if (raid.unknown)
    return refuse (b, s->length, ENOTSUP, "%s", raid.unknown);
  tell_segment (b, s, s->type, raid.stripe);
  for (size_t i = 0; i < raid.n_legs; i++)
    if (leg_on (b, raid.legs[i].image->name, 0, raid.leg_size,
                &raid.legs[i].leg) == -1 ||
        (raid.legs[i].meta &&
         lv_build (b->vg, raid.legs[i].meta, b->depth + 1, b->err) == -1))
      return -1;
  tell_end (b);
  if (raid_judge (&raid, &why, &why_not) == -1) {
    if (!err_is_transient (&why_not))
      return refuse (b, s->length, EIO, "%s", why_not.msg);
    *b->err = why_not;
    return -1;
  }
  if (why)
    return refuse (b, s->length, EIO, "%s", why);
  if (raid_run (&raid, s->length, &run, b->err) == -1)
    return -1;
  b->lv->whole = whole && raid.complete;
  return add_run (b, &run);
}

/* --- others ---------------------------------------------------------- */

static int
build_zero (struct builder *b, const struct segment *s)
{
  struct run run = { .kind = RUN_ZERO, .length = s->length };

  tell_segment (b, s, s->type, 0);
  tell_end (b);
  return add_run (b, &run);
}

static int
build_error (struct builder *b, const struct segment *s)
{
  tell_segment (b, s, s->type, 0);
  tell_end (b);
  return refuse (b, s->length, EIO, "a segment that gives errors");
}

/* The mode stands in the segment, or in the first one of the pool. */
static const char *
cache_mode (const struct vg *vg, const struct segment *s)
{
  const struct text_node *mode =
      text_find (vg->text, s->node, "cache_mode", TEXT_STRING);
  const struct text_node *pool =
      text_find (vg->text, s->node, "cache_pool", TEXT_STRING);
  const struct vg_lv *lv = pool ? vg_find_lv (vg, pool->string) : NULL;
  const struct text_node *first =
      lv ? text_find (vg->text, lv->section, "segment1", TEXT_SECTION) : NULL;

  if (!mode && first)
    mode = text_find (vg->text, first, "cache_mode", TEXT_STRING);
  return mode ? mode->string : "an unknown mode";
}

/* What is written goes to the origin as well, unless it is written back
 * later: then the newest may be in the cache alone. */
static int
build_cache (struct builder *b, const struct segment *s)
{
  const struct text_node *origin =
      text_find (b->vg->text, s->node, "origin", TEXT_STRING);
  struct run run = { .kind = RUN_STRIPED, .length = s->length, .n_legs = 1 };
  const char *mode = cache_mode (b->vg, s);

  tell_segment (b, s, s->type, 0);
  if (!origin)
    return err_set (b->err, EINVAL, "a cache without origin");
  run.legs = calloc (1, sizeof *run.legs);
  if (!run.legs)
    return no_memory (b->err);
  if (leg_on (b, origin->string, 0, s->length, run.legs) == -1) {
    run_free (&run);
    return -1;
  }
  tell_end (b);
  if (!strcmp (mode, "writethrough") || !strcmp (mode, "passthrough"))
    return add_run (b, &run);
  run_free (&run);
  return refuse (b, s->length, ENOTSUP,
                 "a cache (%.40s): what was written last may be in it"
                 " alone, and it is not read",
                 mode);
}

/* Named: type, and the noun. */
static const char *const unread[][2] = {
  { "thin", "a thin volume: thin pools are not read" },
  { "thin-pool", "a thin pool, which is not read" },
  { "cache-pool", "a pool of caches, which is not read" },
  { "writecache", "a write cache: what was written last may be in it alone,"
                  " and it is not read" },
  { "vdo", "a VDO volume, which is not read" },
  { "vdo-pool", "a VDO pool, which is not read" },
  { "integrity", "a volume with dm-integrity, which is not read" },
  { "snapshot", "a snapshot, which is not read" },
};

static int
build_unread (struct builder *b, const struct segment *s)
{
  size_t len = strcspn (s->type, "+");

  tell_segment (b, s, s->type, 0);
  tell_end (b);
  for (size_t i = 0; i < ARRAY_SIZE (unread); i++)
    if (strlen (unread[i][0]) == len && !memcmp (s->type, unread[i][0], len))
      return refuse (b, s->length, ENOTSUP, "%s", unread[i][1]);
  return refuse (b, s->length, ENOTSUP,
                 "a segment of type '%.64s', which is not read", s->type);
}

static const struct {
  const char *type;
  int (*build) (struct builder *b, const struct segment *s);
} builders[] = {
  { "striped", build_striped },
  { "linear", build_striped },
  { "mirror", build_mirror },
  { "zero", build_zero },
  { "error", build_error },
  { "cache", build_cache },
  { "cache+CACHE_USES_CACHEVOL", build_cache },
};

static int
build_segment (struct builder *b, const struct segment *s)
{
  for (size_t i = 0; i < ARRAY_SIZE (builders); i++)
    if (!strcmp (s->type, builders[i].type))
      return builders[i].build (b, s);
  return strncmp (s->type, "raid", 4) ? build_unread (b, s)
                                      : build_raid (b, s);
}

/* --- the volume ------------------------------------------------------ */

static int
by_start (const void *a, const void *b)
{
  const struct segment *s = a, *t = b;

  return s->start < t->start ? -1 : s->start > t->start;
}

static int
load_segment (struct builder *b, const struct text_node *node,
              struct segment_vec *v)
{
  const struct lvm2_text *t = b->vg->text;
  struct segment s = { .node = node };
  uint64_t start, length;

  if (text_number (t, node, "start_extent", &start, b->err) == -1 ||
      text_number (t, node, "extent_count", &length, b->err) == -1 ||
      text_string (t, node, "type", &s.type, b->err) == -1)
    return -1;
  if (__builtin_mul_overflow (start, b->vg->extent, &s.start) ||
      __builtin_mul_overflow (length, b->vg->extent, &s.length) ||
      s.start > INT64_MAX / 64 || s.length > INT64_MAX / 64)
    return err_set (b->err, EINVAL, "a segment of impossible size");
  return segment_vec_push (v, s) == -1 ? no_memory (b->err) : 0;
}

/* All of them, in order, without gaps. */
static int
load_segments (struct builder *b, struct segment_vec *v)
{
  const struct lvm2_text *t = b->vg->text;
  uint64_t wanted, end = 0;

  if (text_number (t, b->lv->section, "segment_count", &wanted, b->err) == -1)
    return -1;
  for (const struct text_node *n = text_first (t, b->lv->section); n;
       n = text_next (t, n))
    if (n->kind == TEXT_SECTION && !strncmp (n->key, "segment", 7) &&
        load_segment (b, n, v) == -1)
      return -1;
  if (v->len != wanted)
    return err_set (b->err, EINVAL, "%zu segments of %" PRIu64, v->len,
                    wanted);
  if (v->len)
    qsort (v->items, v->len, sizeof *v->items, by_start);
  for (size_t i = 0; i < v->len; end += v->items[i++].length)
    if (v->items[i].start != end)
      return err_set (b->err, EINVAL, "segments overlap or have a gap");
  return 0;
}

/* All of B's block, of SIZE bytes now, says WHY. */
static int
refuse_all (struct builder *b, uint64_t size, const char *why,
            const char *name)
{
  b->block = assembly_new (b->vg->env, b->err);
  if (!b->block || logical_hide (b->vg->set, b->block, b->err) == -1)
    return -1;
  return refuse (b, size, ENOTSUP, why, name);
}

/* It is as large as its origin was, not as its store. */
static int
refuse_snapshot (struct builder *b)
{
  const struct text_node *s = b->lv->snapshot;
  const struct text_node *origin =
      text_find (b->vg->text, s, "origin", TEXT_STRING);
  uint64_t n, size;

  if (text_number (b->vg->text, s, "extent_count", &n, b->err) == -1)
    return -1;
  if (__builtin_mul_overflow (n, b->vg->extent, &size))
    return err_set (b->err, EINVAL, "a snapshot of impossible size");
  return refuse_all (b, size,
                     "a snapshot of '%.128s', which is not put together",
                     origin ? origin->string : "");
}

/* What another volume makes of this one. */
static int
apply_snapshot (struct builder *b)
{
  if (b->lv->snapshot)
    return refuse_snapshot (b);
  if (b->lv->merging)
    return refuse_all (b, b->block->size,
                       "a snapshot is being merged into '%.128s'",
                       b->lv->name);
  return 0;
}

static int
build (struct builder *b)
{
  struct segment_vec v = { 0 };
  int r = load_segments (b, &v);

  for (size_t i = 0; r == 0 && i < v.len; i++)
    r = build_segment (b, &v.items[i]);
  free (v.items);
  return r == 0 ? apply_snapshot (b) : -1;
}

int
lv_build (struct vg *vg, struct vg_lv *lv, unsigned depth, struct err *e)
{
  struct builder b = { .vg = vg, .lv = lv, .depth = depth, .err = e };

  if (lv->state == LV_BUILT)
    return 0;
  if (lv->state == LV_BUILDING || depth > MAX_DEPTH)
    return err_set (e, EINVAL, "logical volume '%s' lies on itself",
                    lv->name);
  lv->state = LV_BUILDING;
  lv->whole = true;
  b.block = assembly_new (vg->env, e);
  if (!b.block || logical_hide (vg->set, b.block, e) == -1)
    return -1;
  if (build (&b) == -1)
    return err_in (e, "logical volume '%s'", lv->name);
  lv->block = b.block;
  lv->state = LV_BUILT;
  return 0;
}
