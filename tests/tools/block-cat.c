/* xrayfs: block-cat, the block layer from the command line, for tests
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   block-cat IMAGE > RAW                   the whole disk, in varied chunks
 *   block-cat --info IMAGE                  key=value
 *   block-cat --map IMAGE                   OFFSET LENGTH KIND [FILE OFFSET]
 *   block-cat --status IMAGE                OFFSET LENGTH data|hole, as seeks
 *   block-cat --check IMAGE                 what is damaged, one a line
 *   block-cat --safety IMAGE                why not to trust it, one a line
 *   block-cat --random SEED N RAW IMAGE     N reads compared with RAW
 *   block-cat --random ... --threads T      in T threads at the same time
 *   block-cat --fault IMAGE                 fails each read of IMAGE in turn
 *
 * --format NAME opens it as that, without looking.
 *
 * Exit status: 0; 1 could not, or not equal; the reason is on stderr.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"

#define CHUNK_MAX (512 * KiB)

static const char *format;
static struct block_env env = { .dir_fd = -1 };
static char dir_path[PATH_MAX];

static uint64_t
next_random (uint64_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* The file IMAGE as a block, with its directory in env. */
static int
open_file (const char *image, struct block **ret, struct err *e)
{
  CLEANUP_FREE char *copy = strdup (image), *copy2 = strdup (image);
  const char *dir = copy ? dirname (copy) : ".";
  int fd;

  if (env.dir_fd == -1) {
    env.dir_fd = open (dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    env.dir_path = realpath (dir, dir_path);
    env.cache = cache_new (16 * MiB);
  }
  fd = open (image, O_RDONLY | O_CLOEXEC);
  if (fd == -1 || !copy2)
    return err_sys (e, errno, "%s", image);
  return block_file_open (&env, fd, basename (copy2), ret, e);
}

static int
open_image (const char *image, struct block **ret, struct err *e)
{
  struct block *file;

  if (open_file (image, &file, e) == -1)
    return -1;
  return block_format_open (file, format, ret, e);
}

/* --- whole contents -------------------------------------------------- */

static int
write_chunk (const char *buf, size_t n, uint64_t off, struct err *e)
{
  ssize_t r;

  if (is_zero (buf, n))
    return 0; /* a hole: cat_image sets the length */
  for (; n > 0; buf += r, off += (uint64_t) r, n -= (size_t) r) {
    r = pwrite (STDOUT_FILENO, buf, n, (off_t) off);
    if (r == -1)
      return err_sys (e, errno, "write");
  }
  return 0;
}

static int
cat_image (struct block *b, struct err *e)
{
  CLEANUP_FREE char *buf = malloc (CHUNK_MAX);
  uint64_t state = 88172645463325252, n;

  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  for (uint64_t off = 0; off < b->size; off += n) {
    /* Mostly large; some odd ones, so that nothing is aligned. */
    n = next_random (&state) % 8 ? CHUNK_MAX
                                 : 1 + next_random (&state) % 70000;
    n = MIN (n, b->size - off);
    if (block_pread (b, buf, n, off, e) == -1 ||
        write_chunk (buf, n, off, e) == -1)
      return -1;
  }
  if (ftruncate (STDOUT_FILENO, (off_t) b->size) == -1)
    return err_sys (e, errno, "length of the output");
  return 0;
}

/* --- info and map --------------------------------------------------- */

static void
show_text (const char *key, const char *value)
{
  if (value)
    printf ("%s=%s\n", key, value);
}

static void
show_lines (const char *key, const struct buf *lines)
{
  const char *s = buf_str (lines), *end;

  for (; *s; s = end + 1) {
    end = strchrnul (s, '\n');
    printf ("%s=%.*s\n", key, (int) (end - s), s);
    if (!*end)
      break;
  }
}

static void
show_strings (const struct block_info *i)
{
  show_text ("subformat", i->subformat);
  show_text ("version", i->version);
  show_text ("compression", i->compression);
  show_text ("encrypted", i->encrypted);
  show_text ("creator", i->creator);
  show_text ("backing_file", i->backing_file);
  show_text ("backing_format", i->backing_format);
  show_text ("data_file", i->data_file);
  show_lines ("backing_chain", &i->backing_chain);
  show_lines ("extent_files", &i->extent_files);
  show_lines ("snapshots", &i->snapshots);
  show_lines ("features", &i->features);
}

static int
show_info (struct block *b, struct err *e)
{
  struct block_info i;
  uint64_t allocated, file_size, disk_size;

  if (block_info (b, &i, e) == -1)
    return -1;
  printf ("format=%s\nsize=%" PRIu64 "\n", b->ops->name, b->size);
  if (i.cluster_size != BLOCK_NONE)
    printf ("cluster_size=%" PRIu64 "\n", i.cluster_size);
  show_strings (&i);
  printf ("dirty=%d\ncorrupt=%d\n", i.dirty, i.corrupt);
  block_info_free (&i);
  if (block_allocated (b, &allocated, e) == -1)
    return -1;
  printf ("allocated=%" PRIu64 "\n", allocated);
  if (block_usage (b, &file_size, &disk_size, e) == -1)
    return -1;
  printf ("file_size=%" PRIu64 "\ndisk_size=%" PRIu64 "\n", file_size,
          disk_size);
  return 0;
}

static int
show_map (struct block *b, struct err *e)
{
  static const char *const kinds[] = { "data", "zero", "unallocated",
                                       "compressed" };
  struct extent x;

  for (uint64_t off = 0; off < b->size; off += x.length) {
    if (block_resolve (b, off, b->size - off, &x, e) == -1)
      return -1;
    printf ("%" PRIu64 " %" PRIu64 " %s", off, x.length, kinds[x.kind]);
    if (x.kind == EXTENT_DATA)
      printf (" %s %" PRIu64, x.lower->path, x.offset);
    printf ("\n");
  }
  return 0;
}

static int
show_status (struct block *b, struct err *e)
{
  uint64_t end = 0;
  bool hole = false;

  for (uint64_t off = 0; off < b->size; off = end, hole = !hole) {
    if (block_seek (b, off, !hole, &end, e) == -1) {
      if (e->code != ENXIO)
        return -1;
      end = b->size;
    }
    if (end > off)
      printf ("%" PRIu64 " %" PRIu64 " %s\n", off, end - off,
              hole ? "hole" : "data");
  }
  return 0;
}

static int
show_check (struct block *b, struct err *e)
{
  struct block_check c = { 0 };
  int r = block_check (b, &c, e);

  if (r == 0)
    printf ("%serrors=%" PRIu64 "\nnotes=%" PRIu64 "\n",
            buf_str (&c.findings), c.errors, c.notes);
  block_check_free (&c);
  return r;
}

static int
show_safety (struct block *b, struct err *e)
{
  CLEANUP_BUF struct buf reasons = { 0 };

  if (block_safety (b, &reasons, e) == -1)
    return -1;
  printf ("%s", buf_str (&reasons));
  return 0;
}

/* --- random reads against a raw file --------------------------------- */

struct reader {
  struct block *image;
  int raw;
  uint64_t seed, reads;
  pthread_t thread;
  struct err err;
};

static int
compare_once (struct reader *r, char *got, char *want, uint64_t *state,
              struct err *e)
{
  uint64_t off = next_random (state) % r->image->size;
  uint64_t max = next_random (state) % 4 ? 8 * KiB : 512 * KiB;
  uint64_t n = 1 + next_random (state) % max;
  ssize_t have;

  n = MIN (n, r->image->size - off);
  if (block_pread (r->image, got, n, off, e) == -1)
    return -1;
  memset (want, 0, n);
  have = pread (r->raw, want, n, (off_t) off);
  if (have == -1)
    return err_sys (e, errno, "raw file");
  if (memcmp (got, want, n))
    return err_set (e, EILSEQ, "%" PRIu64 " bytes at %" PRIu64 " differ", n,
                    off);
  return 0;
}

static void *
reader_main (void *arg)
{
  struct reader *r = arg;
  CLEANUP_FREE char *got = malloc (512 * KiB), *want = malloc (512 * KiB);
  uint64_t state = r->seed * 2654435761u + 1;

  for (uint64_t i = 0; got && want && i < r->reads && !r->err.code; i++)
    (void) !compare_once (r, got, want, &state, &r->err);
  return NULL;
}

static int
compare_random (struct block *b, uint64_t seed, uint64_t reads,
                const char *raw, unsigned threads, struct err *e)
{
  CLEANUP_CLOSE int fd = open (raw, O_RDONLY | O_CLOEXEC);
  CLEANUP_FREE struct reader *r = calloc (threads, sizeof *r);

  if (fd == -1 || !r)
    return err_sys (e, errno, "%s", raw);
  for (unsigned i = 0; i < threads; i++) {
    r[i].image = b;
    r[i].raw = fd;
    r[i].seed = seed + i;
    r[i].reads = b->size ? reads : 0;
    if (pthread_create (&r[i].thread, NULL, reader_main, &r[i]))
      return err_set (e, EAGAIN, "no thread");
  }
  for (unsigned i = 0; i < threads; i++) {
    pthread_join (r[i].thread, NULL);
    if (r[i].err.code)
      *e = r[i].err;
  }
  return e->code ? -1 : 0;
}

/* --- each read fails once -------------------------------------------- */

/* What B says of itself is an error, or what WANT says. */
static int
compare_info (struct block *b, struct block *want, struct err *e)
{
  struct block_info got, right;
  struct err why;
  int differ;

  if (block_info (b, &got, &why) == -1)
    return 0;
  if (block_info (want, &right, e) == -1)
    return -1;
  differ = strcmp (buf_str (&got.snapshots), buf_str (&right.snapshots)) ||
           strcmp (buf_str (&got.features), buf_str (&right.features));
  block_info_free (&got);
  block_info_free (&right);
  return differ ? err_set (e, EILSEQ, "the info is wrong") : 0;
}

/* Opens IMAGE with read NTH failing, and compares each 64 KiB that can be
 * read with WANT.  *RET_READS: how many reads that took. */
static int
fault_once (const char *image, uint64_t nth, struct block *want,
            uint64_t *ret_reads, struct err *e)
{
  static char got[64 * KiB], right[64 * KiB];
  CLEANUP_BLOCK struct block *b = NULL;
  _Atomic uint64_t count = 0;
  struct block *file, *fault;
  uint64_t n;
  struct err why;

  if (open_file (image, &file, e) == -1 ||
      block_fault_open (file, nth, &count, &fault, e) == -1)
    return -1;
  fault->path = strdup (file->path);
  if (block_format_open (fault, want->ops->name, &b, &why) == 0) {
    if (compare_info (b, want, e) == -1)
      return -1;
    for (uint64_t off = 0; off < b->size; off += n) {
      n = MIN (sizeof got, b->size - off);
      if (block_pread (b, got, n, off, &why) == -1)
        continue;
      if (block_pread (want, right, n, off, e) == -1)
        return -1;
      if (memcmp (got, right, n))
        return err_set (e, EILSEQ,
                        "read %" PRIu64 " failed and the data at"
                        " %" PRIu64 " are wrong",
                        nth, off);
    }
  }
  *ret_reads = count;
  return 0;
}

static int
sweep (const char *image, struct block *want, struct err *e)
{
  uint64_t total, reads;

  if (fault_once (image, UINT64_MAX, want, &total, e) == -1)
    return -1;
  for (uint64_t nth = 0; nth < total; nth++)
    if (fault_once (image, nth, want, &reads, e) == -1)
      return -1;
  printf ("reads=%" PRIu64 "\n", total);
  return 0;
}

/* --- main ----------------------------------------------------------- */

enum mode {
  MODE_CAT,
  MODE_INFO,
  MODE_MAP,
  MODE_STATUS,
  MODE_CHECK,
  MODE_SAFETY,
  MODE_RANDOM,
  MODE_FAULT
};

static int
run (enum mode mode, char **args, const char *image, unsigned threads,
     struct err *e)
{
  CLEANUP_BLOCK struct block *b = NULL;

  if (open_image (image, &b, e) == -1)
    return -1;
  switch (mode) {
  case MODE_INFO:
    return show_info (b, e);
  case MODE_MAP:
    return show_map (b, e);
  case MODE_STATUS:
    return show_status (b, e);
  case MODE_CHECK:
    return show_check (b, e);
  case MODE_SAFETY:
    return show_safety (b, e);
  case MODE_RANDOM:
    return compare_random (b, strtoull (args[0], NULL, 0),
                           strtoull (args[1], NULL, 0), args[2], threads, e);
  case MODE_FAULT:
    return sweep (image, b, e);
  case MODE_CAT:
  default:
    return cat_image (b, e);
  }
}

int
main (int argc, char **argv)
{
  static const struct option options[] = {
    { "info", 0, NULL, MODE_INFO },     { "map", 0, NULL, MODE_MAP },
    { "random", 0, NULL, MODE_RANDOM }, { "fault", 0, NULL, MODE_FAULT },
    { "status", 0, NULL, MODE_STATUS }, { "check", 0, NULL, MODE_CHECK },
    { "safety", 0, NULL, MODE_SAFETY }, { "threads", 1, NULL, 'T' },
    { "format", 1, NULL, 'F' },         { 0 },
  };
  enum mode mode = MODE_CAT;
  struct err e = { 0 };
  unsigned threads = 1;
  int c, r;

  while ((c = getopt_long (argc, argv, "", options, NULL)) != -1)
    if (c == 'T')
      threads = (unsigned) atoi (optarg);
    else if (c == 'F')
      format = optarg;
    else if (c == '?')
      return 2;
    else
      mode = (enum mode) c;
  if (argc - optind != (mode == MODE_RANDOM ? 4 : 1) || threads == 0)
    return 2;
  r = run (mode, argv + optind, argv[argc - 1], threads, &e);
  if (r == -1)
    fprintf (stderr, "block-cat: %s: %s\n", argv[argc - 1], e.msg);
  cache_free (env.cache);
  return r == -1;
}
