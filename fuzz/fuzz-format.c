/* xrayfs: fuzz target: an image of one format, FORMAT
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opens, describes, checks, maps and reads.  Alone, without a directory:
 * references are refused, and the cache starts empty, so that a crash
 * replays.
 *
 * An input may be a sparse image (tests/sparse.h), so that images with large
 * clusters can have small seeds.
 */
#include <stddef.h>
#include <stdint.h>

#include "../tests/sparse.h"
#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"

#define MAX_EXTENTS 256
#define READ_SIZE   (64 * KiB)
#ifndef SPARSE_MAX
#define SPARSE_MAX (1 * MiB)
#endif

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Formats with checksums: what the fuzzer cannot guess is made right in a
 * sparse image. */
#ifdef FUZZ_PREPARE
void FUZZ_PREPARE (uint8_t *image, size_t size);
#else
#define FUZZ_PREPARE(image, size)
#endif

static void
read_some (struct block *b, char *buf, uint64_t off)
{
  struct err e;

  if (off < b->size)
    (void) !block_pread (b, buf, MIN (READ_SIZE, b->size - off), off, &e);
}

static void
walk (struct block *b, char *buf)
{
  struct extent x;
  struct err e;
  uint64_t off = 0;

  for (unsigned i = 0; i < MAX_EXTENTS && off < b->size; i++) {
    if (block_resolve (b, off, b->size - off, &x, &e) == -1)
      x.length = 512;
    else if (x.kind != EXTENT_UNALLOCATED)
      read_some (b, buf, off);
    off += MIN (x.length, b->size - off);
  }
  read_some (b, buf, 1);
  read_some (b, buf, b->size / 2);
  read_some (b, buf, b->size - MIN (b->size, 513));
}

static void
try_image (struct block_env *env, const uint8_t *data, size_t size)
{
  CLEANUP_FREE char *buf = malloc (READ_SIZE);
  CLEANUP_BLOCK struct block *b = NULL;
  struct block *mem;
  struct block_check check = { 0 };
  struct buf reasons = { 0 };
  struct block_info info;
  struct err e;

  if (!buf || block_mem_open (env, data, size, &mem, &e) == -1)
    return;
  if (block_format_open (mem, FORMAT, &b, &e) == -1)
    return;
  if (block_info (b, &info, &e) == 0)
    block_info_free (&info);
  (void) !block_check (b, &check, &e);
  block_check_free (&check);
  (void) !block_safety (b, &reasons, &e);
  buf_free (&reasons);
  walk (b, buf);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (1 * MiB) };
  CLEANUP_FREE uint8_t *image = NULL;

  if (is_sparse (data, size) &&
      (image = sparse_expand (data, size, SPARSE_MAX, &size))) {
    FUZZ_PREPARE (image, size);
    data = image;
  }
  if (env.cache)
    try_image (&env, data, size);
  cache_free (env.cache);
  return 0;
}
