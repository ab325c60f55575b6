/* xrayfs: fuzz target: a sparse extent of a VMDK, as a descriptor names it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fuzz-vmdk has no directory, and so no file but the one: here the extent is
 * opened by itself, which is the only way to COWD and seSparse.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "format/vmdk.h"

#define MAX_RUNS  256
#define READ_SIZE (64 * KiB)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
read_at (const struct vmdk_extent *x, char *buf, uint64_t off,
         const struct extent *found)
{
  uint64_t len = MIN (READ_SIZE, found->length);
  struct err e;

  if (found->kind == EXTENT_COMPRESSED)
    (void) !vmdk_sparse_read (x, buf, len, off, &e);
  else if (found->kind == EXTENT_DATA)
    (void) !block_pread (found->lower, buf, len, found->offset, &e);
}

static void
walk (const struct vmdk_extent *x, char *buf)
{
  struct extent found;
  struct err e;
  uint64_t off = 0;

  for (unsigned i = 0; i < MAX_RUNS && off < x->size; i++) {
    if (vmdk_sparse_map (x, off, x->size - off, &found, &e) == -1)
      found.length = MIN (512, x->size - off);
    else
      read_at (x, buf, off, &found);
    if (found.length == 0 || found.length > x->size - off)
      abort ();
    off += found.length;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct block_env env = { .dir_fd = -1, .cache = cache_new (1 * MiB) };
  CLEANUP_FREE char *buf = malloc (READ_SIZE);
  struct vmdk_extent x = { 0 };
  struct err e;

  if (env.cache && buf &&
      block_mem_open (&env, data, size, &x.file, &e) == 0) {
    if (vmdk_sparse_open (&x, &e) == 0)
      walk (&x, buf);
    block_close (x.file);
  }
  cache_free (env.cache);
  return 0;
}
