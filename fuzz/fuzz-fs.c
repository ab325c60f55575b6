/* xrayfs: fuzz target: a filesystem in memory, mounted and walked
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One program for each type: FS_TYPE.  An input may be a sparse image
 * (tests/sparse.h).
 */
#include <string.h>
#include <sys/stat.h>

#include "../tests/sparse.h"
#include "base/bytes.h"
#include "block/cache.h"
#include "fs/fs.h"

#define MAX_FILES   256
#define MAX_EXTENTS 64
#ifndef SPARSE_MAX
#define SPARSE_MAX (1 * MiB)
#endif

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Filesystems with checksums: what the fuzzer cannot guess is made right in a
 * sparse image, whose records are DATA. */
#ifdef FUZZ_PREPARE
void FUZZ_PREPARE (uint8_t *image, size_t image_size, const uint8_t *data,
                   size_t size);
#else
#define FUZZ_PREPARE(image, image_size, data, size)
#endif

/* What is to be looked at: the inodes met so far. */
struct walk {
  struct fs *fs;
  uint64_t todo[MAX_FILES];
  size_t n;
  char name[256]; /* the last one read, to be looked up */
  size_t name_len;
};

static int
keep (void *arg, const char *name, size_t len, uint64_t ino,
      unsigned type unused_arg)
{
  struct walk *w = arg;

  for (size_t i = 0; i < w->n; i++)
    if (w->todo[i] == ino)
      return 0;
  w->name_len = MIN (len, sizeof w->name);
  memcpy (w->name, name, w->name_len);
  w->todo[w->n++] = ino;
  return w->n == MAX_FILES;
}

static int
touch (void *arg unused_arg, const char *name, const void *value, size_t len)
{
  /* Reads all of both, so that a wrong length shows. */
  return strlen (name) + is_zero (value, len) == SIZE_MAX;
}

static void
read_file (struct fs *fs, uint64_t ino, uint64_t size)
{
  static char buf[20000];
  struct extent x;
  struct err e;
  size_t got, n = 0;
  uint64_t off = 0;

  for (; n < MAX_EXTENTS && off < size; n++, off += x.length)
    if (fs_map (fs, ino, size, off, size - off, &x, &e) == -1)
      break;
  if (fs_pread (fs, ino, size, buf, sizeof buf, 0, &got, &e) == 0 &&
      got != MIN (size, sizeof buf))
    __builtin_trap ();
  if (size > sizeof buf &&
      fs_pread (fs, ino, size, buf, 5000, size - 4000, &got, &e) == 0 &&
      got != 4000)
    __builtin_trap ();
}

static void
look_at (struct walk *w, uint64_t ino)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct fs_stat st;
  struct err e;
  uint64_t found;

  if (fs_stat (w->fs, ino, &st, &e) == -1)
    return;
  (void) !fs_xattrs (w->fs, ino, touch, NULL, &e);
  if (S_ISLNK (st.mode))
    (void) !fs_readlink (w->fs, ino, &target, &e);
  if (S_ISREG (st.mode))
    read_file (w->fs, ino, st.size);
  if (S_ISDIR (st.mode) && w->n < MAX_FILES) {
    (void) !fs_readdir (w->fs, ino, keep, w, &e);
    (void) !fs_lookup (w->fs, ino, w->name, w->name_len, &found, &e);
    (void) !fs_lookup (w->fs, ino, "absent", 6, &found, &e);
  }
}

static void
walk (struct fs *fs)
{
  struct walk w = { .fs = fs, .todo = { fs->root }, .n = 1 };
  struct block_check check = { 0 };
  struct fs_info info;
  struct err e;

  if (fs_info (fs, &info, &e) == 0)
    fs_info_free (&info);
  (void) !fs_check (fs, &check, &e);
  block_check_free (&check);
  for (size_t i = 0; i < w.n; i++)
    look_at (&w, w.todo[i]);
}

static void
try_image (const uint8_t *data, size_t size)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (256 * KiB) };
  CLEANUP_BLOCK struct block *b = NULL;
  struct fs *fs = NULL;
  struct err e;

  if (env.cache && block_mem_open (&env, data, size, &b, &e) == 0 &&
      fs_mount (b, FS_TYPE, &fs, &e) == 0)
    walk (fs);
  fs_unmount (fs);
  block_close (b);
  b = NULL;
  cache_free (env.cache);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_FREE uint8_t *image = NULL;
  size_t image_size = 0;

  if (!is_sparse (data, size))
    try_image (data, size);
  else if ((image = sparse_expand (data, size, SPARSE_MAX, &image_size))) {
    FUZZ_PREPARE (image, image_size, data, size);
    try_image (image, image_size);
  }
  return 0;
}
