/* Each read of a filesystem fails once: what is asked then gives an error or
 * the right answer, and the right answer when it is asked again.  A name
 * that is there is never "not there".
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fs-fault.h"

#include <sys/stat.h>

#include "../sparse.h"
#include "base/bytes.h"
#include "block/cache.h"
#include "fs/fs.h"
#include "test.h"

#define MAX_FILES 1024
#define MAX_IMAGE (32 * MiB)

/* What is known of a file: everything as text, and where its name is. */
struct known {
  uint64_t ino, dir;
  char name[256];
  struct buf text;
};

static struct known files[MAX_FILES];
static unsigned n_files;

static int
add_name (void *arg, const char *name, size_t len, uint64_t ino,
          unsigned type)
{
  buf_printf (arg, "%.*s %" PRIu64 " %u\n", (int) len, name, ino, type);
  return 0;
}

static int
add_xattr (void *arg, const char *name, const void *value, size_t len)
{
  buf_printf (arg, "%s=", name);
  buf_add (arg, value, len);
  return 0;
}

static int
add_contents (struct fs *fs, uint64_t ino, uint64_t size, struct buf *b,
              struct err *e)
{
  size_t got;
  char *to = buf_reserve (b, MIN (size, MiB));

  CHECK (to);
  if (fs_pread (fs, ino, size, to, MIN (size, MiB), 0, &got, e) == -1)
    return -1;
  b->len += got;
  return 0;
}

/* All that can be said of INO. */
static int
describe (struct fs *fs, uint64_t ino, struct buf *b, struct err *e)
{
  struct fs_stat st;

  if (fs_stat (fs, ino, &st, e) == -1)
    return -1;
  buf_printf (b, "%o %u %" PRIu64 "\n", st.mode, st.nlink, st.size);
  if (fs_xattrs (fs, ino, add_xattr, b, e) == -1)
    return -1;
  if (S_ISDIR (st.mode))
    return fs_readdir (fs, ino, add_name, b, e);
  if (S_ISLNK (st.mode))
    return fs_readlink (fs, ino, b, e);
  return S_ISREG (st.mode) ? add_contents (fs, ino, st.size, b, e) : 0;
}

static int
learn_name (void *arg, const char *name, size_t len, uint64_t ino,
            unsigned type unused_arg)
{
  struct known *k = &files[n_files++];

  CHECK (n_files < MAX_FILES && len < sizeof k->name);
  *k = (struct known){ .ino = ino, .dir = *(uint64_t *) arg };
  memcpy (k->name, name, len);
  return 0;
}

/* The truth, without faults. */
static void
learn (struct fs *fs)
{
  struct err e = { 0 };
  struct fs_stat st;

  files[0] = (struct known){ .ino = fs->root };
  n_files = 1;
  for (unsigned i = 0; i < n_files; i++) {
    CHECK_OK (describe (fs, files[i].ino, &files[i].text, &e));
    CHECK_OK (fs_stat (fs, files[i].ino, &st, &e));
    if (S_ISDIR (st.mode))
      CHECK_OK (fs_readdir (fs, files[i].ino, learn_name, &files[i].ino, &e));
  }
}

/* Returns the number of errors, all of which the fault explains. */
static unsigned
compare (struct fs *fs)
{
  unsigned errors = 0;
  uint64_t ino = 0;

  for (unsigned i = 0; i < n_files; i++) {
    CLEANUP_BUF struct buf b = { 0 };
    const struct known *k = &files[i];
    struct err e = { 0 };

    if (i > 0 &&
        fs_lookup (fs, k->dir, k->name, strlen (k->name), &ino, &e) == -1) {
      CHECK (e.code == EIO && strstr (e.msg, "injected"));
      errors++;
    } else
      CHECK (i == 0 || ino == k->ino);
    if (describe (fs, k->ino, &b, &e) == -1) {
      CHECK (e.code == EIO && strstr (e.msg, "injected"));
      errors++;
    } else
      CHECK (b.len == k->text.len && !memcmp (b.data, k->text.data, b.len));
  }
  return errors;
}

/* False: the image is read with fewer reads than NTH. */
static bool
run (const char *type, const uint8_t *data, size_t size, uint64_t nth)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (MiB) };
  struct block *b;
  struct err e = { 0 };
  _Atomic uint64_t count = 0;
  struct fs *fs = NULL;

  CHECK_OK (block_mem_open (&env, data, size, &b, &e));
  CHECK_OK (block_fault_open (b, nth, &count, &b, &e));
  if (fs_mount (b, type, &fs, &e) == -1) {
    CHECK (nth != UINT64_MAX && e.code == EIO);
  } else if (nth == UINT64_MAX)
    learn (fs);
  else {
    compare (fs);
    /* Nothing of a fault that is over is kept. */
    if (count > nth)
      CHECK (compare (fs) == 0);
  }
  fs_unmount (fs);
  block_close (b);
  cache_free (env.cache);
  return count > nth;
}

/* The seed NAME, to be freed. */
static uint8_t *
read_seed (const char *name, size_t *ret)
{
  const char *srcdir = getenv ("srcdir");
  CLEANUP_FREE uint8_t *data = malloc (MiB);
  CLEANUP_FCLOSE FILE *fp = NULL;
  char path[4096];

  snprintf (path, sizeof path, "%s/fuzz/corpus/%s", srcdir ? srcdir : ".",
            name);
  fp = fopen (path, "re");
  if (!fp) {
    fprintf (stderr, "skipped: %s is not there\n", path);
    exit (77);
  }
  CHECK (data);
  *ret = fread (data, 1, MiB, fp);
  return is_sparse (data, *ret) ? sparse_expand (data, *ret, MAX_IMAGE, ret)
                                : steal_ptr (&data);
}

void
fs_fault_sweep (const char *type, const char *name)
{
  size_t size;
  CLEANUP_FREE uint8_t *data = read_seed (name, &size);
  uint64_t nth = 0;

  CHECK (data);
  run (type, data, size, UINT64_MAX);
  while (run (type, data, size, nth))
    nth++;
  printf ("%s: %u files, %" PRIu64 " reads\n", name, n_files, nth);
  CHECK (nth > 10);
  for (unsigned i = 0; i < n_files; i++)
    buf_free (&files[i].text);
}
