/* Hives with a read that fails, and with wrong bytes.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Over the seeds of fuzz-hive (a hive and its logs): when one read fails, all
 * that is said is what was said without it, or an error; what a log has is
 * never left out in silence.  When a byte is wrong, it ends.
 */
#include "base/bytes.h"
#include "inspect/registry.h"
#include "test.h"

#define MAX_SEED (64 * KiB)
#define MAX_KEYS 5000 /* a wrong byte may make a circle */

static uint8_t seed[MAX_SEED];
static size_t seed_size;
static uint64_t reads, fail_at;

struct part {
  const uint8_t *data;
  size_t size;
};

static int
part_pread (void *arg, void *buf, size_t len, uint64_t off, struct err *e)
{
  const struct part *p = arg;

  CHECK (range_within (off, len, p->size));
  if (reads++ == fail_at)
    return err_set (e, EIO, "injected");
  memcpy (buf, p->data + off, len);
  return 0;
}

struct walk {
  struct hive *h;
  struct buf text;
  unsigned depth, keys, errors;
};

static int
add_value (void *arg, const char *name, size_t len unused_arg,
           const struct hive_value *v, struct err *e)
{
  struct walk *w = arg;
  CLEANUP_BUF struct buf text = { 0 };

  if (hive_value_text (v, &text, e) == -1)
    err_clear (e); /* of another type */
  buf_printf (&w->text, "%s=%s\n", name, buf_str (&text));
  return 0;
}

static int
add_key (void *arg, const char *name, size_t len unused_arg, hive_key key,
         struct err *e unused_arg)
{
  struct walk *w = arg;
  struct err mine = { 0 };

  buf_printf (&w->text, "[%u %s]\n", w->depth, name);
  if (w->keys++ >= MAX_KEYS || w->depth >= 20)
    return 1;
  w->depth++;
  if (hive_each_value (w->h, key, add_value, w, &mine) == -1 ||
      hive_each_key (w->h, key, add_key, w, &mine) == -1) {
    CHECK (!err_is_absent (&mine));
    w->errors++;
  }
  w->depth--;
  return 0;
}

/* Everything that is said; the number of errors. */
static unsigned
describe (struct buf *ret)
{
  CLEANUP_HIVE struct hive *h = NULL;
  size_t n1 = load_le32 (seed + 4), n2 = load_le32 (seed + 8);
  struct part parts[3] = { { seed + 12, n1 },
                           { seed + 12 + n1, n2 },
                           { seed + 12 + n1 + n2,
                             seed_size - 12 - n1 - n2 } };
  struct hive_file files[3];
  struct walk w = { 0 };
  struct err e = { 0 };

  for (size_t i = 0; i < 3; i++)
    files[i] = (struct hive_file){ parts[i].size, part_pread, &parts[i] };
  reads = 0;
  if (hive_open (&files[0], files + 1, 2, &h, &e) == -1) {
    CHECK (!err_is_absent (&e));
    return 1;
  }
  if (hive_stale (h))
    w.errors++;
  w.h = h;
  add_key (&w, "", 0, hive_root (h), &e);
  buf_free (ret);
  *ret = w.text;
  return w.errors;
}

static void
sweep_faults (const char *name)
{
  CLEANUP_BUF struct buf good = { 0 };
  uint64_t n;

  fail_at = UINT64_MAX;
  CHECK (describe (&good) == 0);
  n = reads;
  for (fail_at = 0; fail_at < n; fail_at++) {
    CLEANUP_BUF struct buf got = { 0 };
    unsigned errors = describe (&got);
    if (errors == 0)
      CHECK_STR (buf_str (&got), buf_str (&good));
  }
  fail_at = UINT64_MAX;
  printf ("%s: %" PRIu64 " reads, %zu bytes of text\n", name, n, good.len);
  CHECK (n >= 3);
}

static void
flip_bytes (void)
{
  static const uint8_t masks[] = { 0x01, 0x80, 0xff };

  for (size_t i = 12; i < seed_size; i++)
    for (size_t k = 0; k < sizeof masks; k++) {
      CLEANUP_BUF struct buf got = { 0 };
      seed[i] ^= masks[k];
      describe (&got);
      seed[i] ^= masks[k];
    }
}

static void
read_seed (const char *name)
{
  const char *srcdir = getenv ("srcdir");
  CLEANUP_FCLOSE FILE *fp = NULL;
  char path[4096];

  snprintf (path, sizeof path, "%s/fuzz/corpus/hive/%s",
            srcdir ? srcdir : ".", name);
  fp = fopen (path, "re");
  if (!fp) {
    fprintf (stderr, "skipped: %s is not there\n", path);
    exit (77);
  }
  seed_size = fread (seed, 1, sizeof seed, fp);
  CHECK (seed_size > 12);
}

int
main (void)
{
  static const char *const names[] = { "small", "many", "old",
                                       "new-two-logs" };

  for (size_t i = 0; i < ARRAY_SIZE (names); i++) {
    read_seed (names[i]);
    sweep_faults (names[i]);
    flip_bytes ();
  }
  return 0;
}
