/* xrayfs: images that are cut off, and images with wrong bytes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   test-hostile-images IMAGE...
 *
 * Each (small) image is cut at many places, and each piece that can still be
 * read must equal what the whole image has: no false data.  Then bytes are
 * changed at many places: whatever it says then, it ends, in time and within
 * the limit of memory.  LONG=1 in the environment tries more of both.
 *
 * Without the limit of memory where a sanitizer is built in.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"
#include "test.h"

#define PIECE        (64 * KiB)
#define MAX_PIECES   4096  /* read for one case */
#define MAX_EXTENTS  65536 /* looked at for one case */
#define MAX_MEMORY   (256 * MiB)
#define MAX_SECONDS  30
#define CACHE_BUDGET (4 * MiB)

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* An image in memory, and how it opens. */
struct subject {
  const char *name;
  char *data;
  size_t size;
  const char *format; /* NULL: it does not open */
  struct block_env env;
  struct block *whole;
  uint64_t cluster_size; /* or BLOCK_NONE */
};

static char case_name[300]; /* for the alarm */
static unsigned violations;
static uint64_t short_tails; /* see is_short_tail */

static uint64_t
next_random (uint64_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void
violation (const char *what)
{
  fprintf (stderr, "%s: %s\n", case_name, what);
  violations++;
}

static void
on_alarm (int number unused_arg)
{
  static const char what[] = ": hangs\n";

  (void) !write (2, case_name, strlen (case_name));
  (void) !write (2, what, sizeof what - 1);
  _exit (1);
}

/* An error of any kind is an answer, but for memory that an image asked for.
 */
static int
answer (int r, const struct err *e)
{
  if (r == -1 && e->code == ENOMEM)
    violation (e->msg);
  if (r == -1 && !e->msg[0])
    violation ("an error without a message");
  return r;
}

static struct block *
open_bytes (struct block_env *env, const char *data, size_t size,
            const char *format)
{
  struct block *mem, *b = NULL;
  struct err e = { 0 };

  CHECK_OK (block_mem_open (env, data, size, &mem, &e));
  return answer (block_format_open (mem, format, &b, &e), &e) == 0 ? b : NULL;
}

/* --- what is asked of each ------------------------------------------- */

static void
ask (struct block *b)
{
  struct block_check check = { 0 };
  struct buf reasons = { 0 };
  struct block_info info;
  struct err e = { 0 };

  if (answer (block_info (b, &info, &e), &e) == 0)
    block_info_free (&info);
  answer (block_check (b, &check, &e), &e);
  block_check_free (&check);
  answer (block_safety (b, &reasons, &e), &e);
  buf_free (&reasons);
}

static bool
is_hole (struct block *b, uint64_t off, uint64_t *ret_len)
{
  struct extent x;
  struct err e = { 0 };

  *ret_len = PIECE;
  if (answer (block_resolve (b, off, b->size - off, &x, &e), &e) == -1)
    return false;
  *ret_len = x.length;
  return x.kind == EXTENT_ZERO || x.kind == EXTENT_UNALLOCATED;
}

static void
read_all (struct block *b)
{
  static char buf[PIECE];
  struct err e = { 0 };
  uint64_t len;

  for (uint64_t off = 0, i = 0; off < b->size && i < MAX_PIECES; i++) {
    if (!is_hole (b, off, &len)) {
      len = MIN (PIECE, b->size - off);
      answer (block_pread (b, buf, len, off, &e), &e);
    }
    off += len;
  }
}

static void
map_all (struct block *b)
{
  struct err e = { 0 };
  struct extent x;

  for (uint64_t off = 0, i = 0; off < b->size && i < MAX_EXTENTS; i++) {
    x.length = 512;
    answer (block_map (b, off, b->size - off, &x, &e), &e);
    off += MIN (x.length, b->size - off);
  }
}

/* --- cut off --------------------------------------------------------- */

/* A last cluster that a writer has left short cannot be told from one that
 * was cut at a sector: there, zeros are believed (qcow2_tail.c). */
static bool
is_short_tail (const struct subject *s, size_t size, const char *got,
               const char *want, uint64_t n)
{
  if (strcmp (s->format, "qcow2") || size % 512 ||
      size / s->cluster_size != (s->size - 1) / s->cluster_size)
    return false;
  for (uint64_t i = 0; i < n; i++)
    if (got[i] != want[i] && got[i])
      return false;
  short_tails++;
  return true;
}

static void
compare_piece (const struct subject *s, struct block *cut, uint64_t off,
               uint64_t n)
{
  static char got[PIECE], want[PIECE];
  struct err e = { 0 };
  char what[64];

  if (answer (block_pread (cut, got, n, off, &e), &e) == -1)
    return;
  snprintf (what, sizeof what, "false data at %" PRIu64, off);
  if (block_pread (s->whole, want, n, off, &e) == -1)
    violation (what);
  else if (memcmp (got, want, n) &&
           !is_short_tail (s, cut->below->size, got, want, n))
    violation (what);
}

/* Does each piece that can be read equal what the whole image has? */
static void
compare (const struct subject *s, struct block *cut)
{
  uint64_t size = MIN (cut->size, s->whole->size), n, len_a, len_b;

  for (uint64_t off = 0, i = 0; off < size && i < MAX_PIECES; i++) {
    bool hole_a = is_hole (cut, off, &len_a);
    bool hole_b = is_hole (s->whole, off, &len_b);
    n = MIN (MIN (len_a, len_b), size - off);
    if (!hole_a || !hole_b) {
      n = MIN (PIECE, size - off);
      compare_piece (s, cut, off, n);
    }
    off += n;
  }
}

static void
cut_at (const struct subject *s, size_t size)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (CACHE_BUDGET) };
  CLEANUP_FREE char *copy = malloc (size ? size : 1);
  struct block *b;

  CHECK (env.cache && copy);
  memcpy (copy, s->data, size); /* so that a sanitizer sees the end */
  snprintf (case_name, sizeof case_name, "%s: cut at %zu of %zu", s->name,
            size, s->size);
  alarm (MAX_SECONDS);
  b = open_bytes (&env, copy, size, NULL);
  /* What lost its signature is another format, and nothing of this one. */
  if (b && strcmp (b->ops->name, s->format)) {
    block_close (b);
    b = open_bytes (&env, copy, size, s->format);
  }
  if (b) {
    ask (b);
    map_all (b);
    compare (s, b);
    block_close (b);
  }
  cache_free (env.cache);
}

static void
cut_everywhere (const struct subject *s, unsigned n)
{
  uint64_t state = 88172645463325252;

  for (unsigned i = 0; i < n; i += 2) {
    cut_at (s, s->size * i / n);
    cut_at (s, next_random (&state) % s->size);
  }
  for (size_t i = 1; i < s->size && i <= 512; i *= 8)
    cut_at (s, s->size - i);
}

/* --- wrong bytes ----------------------------------------------------- */

static void
flip_at (const struct subject *s, size_t at, unsigned char by)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (CACHE_BUDGET) };
  struct block *b;

  CHECK (env.cache);
  snprintf (case_name, sizeof case_name, "%s: byte at %zu ^ 0x%02x", s->name,
            at, by);
  alarm (MAX_SECONDS);
  s->data[at] = (char) (s->data[at] ^ by);
  b = open_bytes (&env, s->data, s->size, NULL);
  if (b) {
    ask (b);
    map_all (b);
    read_all (b);
    block_close (b);
  }
  s->data[at] = (char) (s->data[at] ^ by);
  cache_free (env.cache);
}

/* A third in the header, a third near the ends, the rest anywhere; most of
 * them not in zeros. */
static size_t
place (const struct subject *s, uint64_t *state)
{
  static const size_t areas[] = { 512, 64 * KiB, SIZE_MAX };
  size_t at = 0, area = areas[next_random (state) % ARRAY_SIZE (areas)];
  bool from_end = area == 64 * KiB && next_random (state) % 2;

  area = MIN (area, s->size);
  for (int i = 0; i < 8; i++) {
    at = next_random (state) % area;
    at = from_end ? s->size - 1 - at : at;
    if (s->data[at])
      break;
  }
  return at;
}

static void
flip_everywhere (const struct subject *s, unsigned n)
{
  uint64_t state = 362436069362436069;

  for (unsigned i = 0; i < n; i++) {
    size_t at = place (s, &state);
    /* Single bits are mistakes, whole bytes are malice. */
    unsigned bit = 1u << next_random (&state) % 8;
    flip_at (s, at, (unsigned char) (next_random (&state) % 2 ? bit : 255));
  }
}

/* --- images ---------------------------------------------------------- */

static void
load (struct subject *s)
{
  CLEANUP_FCLOSE FILE *fp = fopen (s->name, "re");
  struct stat st;

  CHECK (fp && fstat (fileno (fp), &st) == 0);
  s->size = (size_t) st.st_size;
  s->data = malloc (s->size ? s->size : 1);
  CHECK (s->data && fread (s->data, 1, s->size, fp) == s->size);
}

/* Finds out how it opens; false: with a driver that is not there. */
static bool
open_whole (struct subject *s)
{
  struct block_info info;
  struct block *mem;
  struct err e = { 0 };

  s->env =
      (struct block_env){ .dir_fd = -1, .cache = cache_new (CACHE_BUDGET) };
  CHECK (s->env.cache);
  CHECK_OK (block_mem_open (&s->env, s->data, s->size, &mem, &e));
  if (block_format_open (mem, NULL, &s->whole, &e) == -1) {
    printf ("%s: %s\n", s->name, e.msg);
    return e.code != ENOTSUP;
  }
  s->format = s->whole->ops->name;
  CHECK_OK (block_info (s->whole, &info, &e));
  s->cluster_size = info.cluster_size;
  block_info_free (&info);
  return true;
}

static void
try_image (const char *path, bool is_long)
{
  struct subject s = { .name = path, .cluster_size = BLOCK_NONE };
  unsigned cuts = is_long ? 200 : 20, flips = is_long ? 2000 : 100;
  unsigned before = violations;

  load (&s);
  if (s.size == 0 || !open_whole (&s))
    printf ("%s: left out\n", path);
  else {
    short_tails = 0;
    /* A part of a raw image is a raw image. */
    if (s.format && strcmp (s.format, "raw"))
      cut_everywhere (&s, cuts);
    flip_everywhere (&s, flips);
    alarm (0);
    printf ("%s: %s, %u cuts (%" PRIu64
            " pieces of short tails), %u flips: %u violations\n",
            path, s.format ? s.format : "does not open", s.format ? cuts : 0,
            short_tails, flips, violations - before);
  }
  fflush (stdout);
  block_close (s.whole);
  cache_free (s.env.cache);
  free (s.data);
}

int
main (int argc, char **argv)
{
  const struct rlimit limit = { MAX_MEMORY, MAX_MEMORY };
  const char *is_long = getenv ("LONG");

  signal (SIGALRM, on_alarm);
  if (!SANITIZED)
    CHECK (setrlimit (RLIMIT_AS, &limit) == 0);
  for (int i = 1; i < argc; i++)
    try_image (argv[i], is_long && *is_long);
  return violations != 0;
}
