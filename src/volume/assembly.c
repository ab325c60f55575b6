/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "volume/assembly.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/vec.h"

/* Of one volume; pvmove and lvextend make tens. */
#define MAX_RUNS 65536

struct placed_run {
  struct run run;
  uint64_t start;
};
DEFINE_VEC (run_vec, struct placed_run)

/* Where a byte lies, and how many behind it lie there too. */
struct place {
  uint64_t leg, offset, length;
};

void
run_free (struct run *run)
{
  free (run->legs);
  free (run->why);
  *run = (struct run){ 0 };
}

/* --- layouts --------------------------------------------------------- */

/* The leg of data chunk I of row R, n legs. */
static uint64_t
parity5_leg (enum parity_layout layout, uint64_t r, uint64_t i, uint64_t n)
{
  uint64_t left = n - 1 - r % n, right = r % n;

  switch (layout) {
  case PARITY_LEFT_ASYMMETRIC:
    return i + (i >= left);
  case PARITY_RIGHT_ASYMMETRIC:
    return i + (i >= right);
  case PARITY_LEFT_SYMMETRIC:
    return (left + 1 + i) % n;
  case PARITY_RIGHT_SYMMETRIC:
    return (right + 1 + i) % n;
  case PARITY_FIRST:
    return i + 1;
  default: /* PARITY_LAST: assembly_add knows no other */
    return i;
  }
}

/* P and Q lie side by side from PD on; at the end Q goes round to leg 0. */
static uint64_t
beside_pair (uint64_t pd, uint64_t i, uint64_t n)
{
  return pd == n - 1 ? i + 1 : i + (i >= pd ? 2 : 0);
}

static uint64_t
parity6_leg (enum parity_layout layout, uint64_t r, uint64_t i, uint64_t n)
{
  uint64_t left = n - 1 - r % n, right = r % n;

  switch (layout) {
  case PARITY_LEFT_ASYMMETRIC:
    return beside_pair (left, i, n);
  case PARITY_RIGHT_ASYMMETRIC:
  case PARITY_ROTATING_ZERO_RESTART:
    return beside_pair (right, i, n);
  case PARITY_ROTATING_N_RESTART:
    return beside_pair (n - 1 - (r + 1) % n, i, n);
  case PARITY_LEFT_SYMMETRIC:
    return (left + 2 + i) % n;
  case PARITY_RIGHT_SYMMETRIC:
    return (right + 2 + i) % n;
  case PARITY_ROTATING_N_CONTINUE:
    return (left + 1 + i) % n;
  case PARITY_FIRST:
    return i + 2;
  default:
    return i;
  }
}

static struct place
place_parity (const struct run *run, uint64_t chunk)
{
  uint64_t data = run->n_legs - run->parities;
  uint64_t r = chunk / data, i = chunk % data;

  return (struct place){
    .leg = run->parities == 1 ? parity5_leg (run->layout, r, i, run->n_legs)
                              : parity6_leg (run->layout, r, i, run->n_legs),
    .offset = r * run->stripe,
  };
}

/* The first copy that can be used. */
static struct place
place_copies (const struct run *run, uint64_t chunk)
{
  uint64_t at = chunk * run->copies, n = run->n_legs;

  for (unsigned i = 0; i + 1 < run->copies; i++)
    if (!run->legs[(at + i) % n].block)
      at++;
    else
      break;
  return (struct place){ .leg = at % n, .offset = at / n * run->stripe };
}

static struct place
place_of (const struct run *run, uint64_t off)
{
  uint64_t chunk, within;
  struct place p;

  if (!run->stripe)
    return (struct place){ .offset = off, .length = run->length - off };
  chunk = off / run->stripe;
  within = off % run->stripe;
  if (run->kind == RUN_PARITY)
    p = place_parity (run, chunk);
  else if (run->kind == RUN_COPIES)
    p = place_copies (run, chunk);
  else
    p = (struct place){ .leg = chunk % run->n_legs,
                        .offset = chunk / run->n_legs * run->stripe };
  p.offset += within;
  p.length = MIN (run->stripe - within, run->length - off);
  return p;
}

/* --- reading --------------------------------------------------------- */

static const struct placed_run *
find_run (const struct run_vec *v, uint64_t off)
{
  size_t low = 0, high = v->len;

  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (v->items[middle].start <= off)
      low = middle;
    else
      high = middle;
  }
  return &v->items[low];
}

static int
assembly_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
              struct err *e)
{
  const struct placed_run *at = find_run (b->priv, off);
  const struct run *run = &at->run;
  const struct leg *leg;
  struct place p;
  uint64_t where;

  len = MIN (len, run->length - (off - at->start));
  if (run->kind == RUN_REFUSED)
    return err_set (e, run->code, "%s", run->why);
  if (run->kind == RUN_ZERO) {
    *ret = extent_of (EXTENT_ZERO, len);
    return 0;
  }
  p = place_of (run, off - at->start);
  leg = &run->legs[p.leg];
  if (!leg->block)
    return err_set (e, EIO, "%s", leg->why);
  where = leg->offset + p.offset; /* assembly_add: does not overflow */
  if (where >= leg->block->size)
    return err_set (e, EIO,
                    "0x%" PRIx64 " lies beyond the end of what it lies on"
                    " (0x%" PRIx64 ")",
                    where, leg->block->size);
  *ret = extent_data (MIN (MIN (len, p.length), leg->block->size - where),
                      leg->block, where);
  return 0;
}

static void
assembly_close (struct block *b)
{
  struct run_vec *v = b->priv;

  if (!v)
    return;
  for (size_t i = 0; i < v->len; i++)
    run_free (&v->items[i].run);
  free (v->items);
  free (v);
}

static const struct block_ops assembly_ops = {
  .name = "volume",
  .map = assembly_map,
  .close = assembly_close,
};

/* --- putting together ------------------------------------------------ */

struct block *
assembly_new (struct block_env *env, struct err *e)
{
  CLEANUP_BLOCK struct block *b = block_new (env, &assembly_ops, e);

  if (!b)
    return NULL;
  b->priv = calloc (1, sizeof (struct run_vec));
  if (b->priv)
    return steal_ptr (&b);
  err_set (e, ENOMEM, "out of memory");
  return NULL;
}

static bool
is_layout (const struct run *run)
{
  if (run->layout <= PARITY_LAST)
    return true;
  return run->parities == 2 && run->layout >= PARITY_ROTATING_ZERO_RESTART &&
         run->layout <= PARITY_ROTATING_N_CONTINUE;
}

static const char *
what_is_wrong (const struct run *run)
{
  if (run->kind == RUN_ZERO || run->kind == RUN_REFUSED)
    return NULL;
  if (run->n_legs == 0 || (run->n_legs > 1) != (run->stripe > 0))
    return "number of legs";
  if (run->kind == RUN_COPIES &&
      (run->copies == 0 || run->copies > MIN (run->n_legs, 32)))
    return "number of copies";
  if (run->kind == RUN_PARITY &&
      (run->parities < 1 || run->parities > 2 ||
       run->n_legs <= run->parities + (run->parities == 2)))
    return "number of legs";
  if (run->kind == RUN_PARITY && !is_layout (run))
    return "layout of the parity";
  /* Then no sum of offsets in the map overflows. */
  if (run->stripe > INT64_MAX / 64)
    return "length of a stripe";
  for (unsigned i = 0; i < run->n_legs; i++)
    if (run->legs[i].offset > INT64_MAX / 2)
      return "offset of a leg";
  return NULL;
}

int
assembly_add (struct block *b, struct run *run, struct err *e)
{
  struct run_vec *v = b->priv;
  const char *wrong = what_is_wrong (run);
  struct placed_run placed = { .run = *run, .start = b->size };

  if (!wrong && run->length > INT64_MAX / 64 - b->size)
    wrong = "length";
  if (wrong)
    err_set (e, EINVAL, "%s is impossible", wrong);
  else if (v->len >= MAX_RUNS)
    err_set (e, EFBIG, "more than %d segments", MAX_RUNS);
  else if (run->length > 0 && run_vec_push (v, placed) == -1)
    err_set (e, ENOMEM, "out of memory");
  else {
    b->size += run->length;
    if (run->length == 0)
      run_free (run);
    *run = (struct run){ 0 };
    return 0;
  }
  run_free (run);
  return -1;
}

const char *
assembly_refusal (const struct block *b, int *ret_code)
{
  const struct run_vec *v = b->priv;

  if (v->len == 0 || v->items[0].run.kind != RUN_REFUSED)
    return NULL;
  *ret_code = v->items[0].run.code;
  return v->items[0].run.why;
}
