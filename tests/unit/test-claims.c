/* xrayfs: claims: each unit once, at the edges of words and of the file
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "format/claims.h"
#include "test.h"

#define N 300

/* Against an array of bytes, for every range of up to 200 units. */
static void
test_ranges (void)
{
  struct err e;

  for (uint64_t first = 0; first < N + 5; first += 3)
    for (uint64_t count = 0; count < 200; count += 7) {
      CLEANUP_CLAIMS struct claims c = { 0 };
      uint64_t inside = 0;

      CHECK_OK (claims_init (&c, N, &e));
      CHECK (claims_take (&c, first, count));
      for (uint64_t i = 0; i < N; i++) {
        CHECK (claims_count (&c, i, 1) == (i >= first && i - first < count));
        inside += i >= first && i - first < count;
      }
      CHECK (claims_count (&c, 0, UINT64_MAX) == inside);
      CHECK (claims_take (&c, first, count) == (inside == 0));
    }
}

static void
test_overlap (void)
{
  CLEANUP_CLAIMS struct claims c = { 0 };
  struct err e;

  CHECK_OK (claims_init (&c, N, &e));
  CHECK (claims_take (&c, 60, 10));
  CHECK (claims_take (&c, 70, 1));
  CHECK (claims_take (&c, 59, 1));
  CHECK (!claims_take (&c, 50, 10)); /* 59; and it takes the others */
  CHECK (claims_count (&c, 0, N) == 21);
  CHECK (!claims_take (&c, 0, UINT64_MAX));
  CHECK (claims_count (&c, 0, N) == N);
  CHECK (claims_take (&c, N, 1) && claims_take (&c, UINT64_MAX, UINT64_MAX));
}

static void
test_limits (void)
{
  CLEANUP_CLAIMS struct claims c = { 0 }, none = { 0 };
  struct err e;

  CHECK (claims_init (&c, UINT64_MAX, &e) == -1 && e.code == EFBIG);
  CHECK_OK (claims_init (&none, 0, &e));
  CHECK (claims_take (&none, 0, 1) && claims_count (&none, 0, 1) == 0);
}

int
main (void)
{
  test_ranges ();
  test_overlap ();
  test_limits ();
  return 0;
}
