/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/claims.h"

#include <inttypes.h>

#include "base/bytes.h"

/* 128 MiB of bits: 64 TiB of file in units of 64 KiB. */
#define MAX_UNITS (UINT64_C (1) << 30)

int
claims_init (struct claims *c, uint64_t n, struct err *e)
{
  if (n > MAX_UNITS)
    return err_set (
        e, EFBIG, "a file of %" PRIu64 " clusters is too large to check", n);
  c->bits = calloc (n / 64 + 1, sizeof *c->bits);
  if (!c->bits)
    return err_set (e, ENOMEM, "out of memory");
  c->n = n;
  return 0;
}

/* The bits of word I / 64 that are in [I, END). */
static uint64_t
word_mask (uint64_t i, uint64_t end)
{
  uint64_t low = UINT64_MAX << i % 64;
  uint64_t stop = end - (i - i % 64);

  return stop < 64 ? low & ((UINT64_C (1) << stop) - 1) : low;
}

bool
claims_take (struct claims *c, uint64_t first, uint64_t count)
{
  uint64_t end, mask, *word;
  bool was_free = true;

  if (first >= c->n)
    return true;
  end = first + MIN (count, c->n - first);
  for (uint64_t i = first; i < end; i += 64 - i % 64) {
    word = &c->bits[i / 64];
    mask = word_mask (i, end);
    was_free = was_free && !(*word & mask);
    *word |= mask;
  }
  return was_free;
}

uint64_t
claims_count (const struct claims *c, uint64_t first, uint64_t count)
{
  uint64_t end, sum = 0;

  if (first >= c->n)
    return 0;
  end = first + MIN (count, c->n - first);
  for (uint64_t i = first; i < end; i += 64 - i % 64)
    sum += (uint64_t) __builtin_popcountll (c->bits[i / 64] &
                                            word_mask (i, end));
  return sum;
}

void
claims_free (struct claims *c)
{
  free (c->bits);
  c->bits = NULL;
}
