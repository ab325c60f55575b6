/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/block_starts.h"

#include <inttypes.h>

int
block_starts_add (struct block_starts *s, uint32_t start, uint32_t index,
                  struct err *e)
{
  if (s->len > BLOCK_MAX_STARTS)
    return 0;
  if (block_starts_push (s, (struct block_start){ start, index }) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
compare_starts (const void *a, const void *b)
{
  const struct block_start *x = a, *y = b;

  if (x->start != y->start)
    return x->start < y->start ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

void
block_starts_overlaps (struct block_starts *s, uint64_t len, uint64_t unit,
                       uint64_t base, struct block_check *c)
{
  const struct block_start *x = s->items;

  if (s->len > BLOCK_MAX_STARTS)
    block_check_note (
        c, "only the first %zu blocks were looked at for overlaps", s->len);
  if (s->len > 0)
    qsort (s->items, s->len, sizeof *s->items, compare_starts);
  for (size_t i = 1; i < s->len; i++)
    if (x[i].start - x[i - 1].start < len)
      block_check_error (c,
                         "block %" PRIu32 " (at 0x%" PRIx64
                         ") overlaps block %" PRIu32 " (at 0x%" PRIx64 ")",
                         x[i].index, base + x[i].start * unit, x[i - 1].index,
                         base + x[i - 1].start * unit);
}
