/* xrayfs: the block layer: windows, memory, faults, seeking, the cache
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"
#include "test.h"

static struct block_env env = { .dir_fd = -1 };
static struct err e;

static struct block *
mem (const void *data, size_t len)
{
  struct block *b;

  CHECK_OK (block_mem_open (&env, data, len, &b, &e));
  return b;
}

static void
test_mem (void)
{
  CLEANUP_BLOCK struct block *b = mem ("0123456789", 10);
  char buf[10];

  CHECK_OK (block_pread (b, buf, 4, 6, &e));
  CHECK (!memcmp (buf, "6789", 4));
  CHECK_OK (block_pread (b, buf, 0, 10, &e));
  CHECK (block_pread (b, buf, 5, 6, &e) == -1 && e.code == EIO);
  CHECK (block_pread (b, buf, 2, UINT64_MAX, &e) == -1 && e.code == EIO);
}

static void
test_slice (void)
{
  CLEANUP_BLOCK struct block *b = mem ("0123456789", 10);
  CLEANUP_BLOCK struct block *s = NULL, *beyond = NULL, *none = NULL;
  char buf[10];

  CHECK_OK (block_slice_open (b, 3, 4, &s, &e));
  CHECK_OK (block_pread (s, buf, 4, 0, &e));
  CHECK (!memcmp (buf, "3456", 4));
  CHECK (block_pread (s, buf, 1, 4, &e) == -1 && e.code == EIO);
  /* A partition of a truncated disk: what is there can be read. */
  CHECK_OK (block_slice_open (b, 8, 10, &beyond, &e));
  CHECK_OK (block_pread (beyond, buf, 2, 0, &e));
  CHECK (block_pread (beyond, buf, 3, 0, &e) == -1 && e.code == EIO);
  CHECK (block_slice_open (b, UINT64_MAX, 2, &none, &e) == -1);
  CHECK (e.code == EINVAL);
}

static void
test_fault (void)
{
  CLEANUP_BLOCK struct block *f = NULL;
  _Atomic uint64_t count = 0;
  char buf[4];

  CHECK_OK (block_fault_open (mem ("0123", 4), 1, &count, &f, &e));
  CHECK_OK (block_pread (f, buf, 4, 0, &e));
  CHECK (block_pread (f, buf, 4, 0, &e) == -1 && e.code == EIO);
  CHECK_OK (block_pread (f, buf, 4, 0, &e));
  CHECK (count == 3);
}

/* Data below that lie together, with a hole between them above, and the
 * other way round. */
static int
patchwork_map (struct block *b, uint64_t off, uint64_t len,
               struct extent *ret, struct err *err unused_arg)
{
  static const struct {
    enum extent_kind kind;
    uint64_t offset;
  } map[] = { { EXTENT_DATA, 4 },        { EXTENT_ZERO, 0 },
              { EXTENT_DATA, 8 },        { EXTENT_DATA, 12 },
              { EXTENT_UNALLOCATED, 0 }, { EXTENT_COMPRESSED, 0 } };
  size_t i = off / 4;

  *ret = extent_of (map[i].kind, MIN (len, 4 - off % 4));
  ret->lower = map[i].kind == EXTENT_DATA ? b->below : NULL;
  ret->offset = map[i].offset + off % 4;
  return 0;
}

static int
patchwork_pread (struct block *b unused_arg, void *buf, size_t len,
                 uint64_t off unused_arg, struct err *err unused_arg)
{
  memset (buf, 'c', len);
  return 0;
}

static const struct block_ops patchwork_ops = {
  .name = "patchwork",
  .map = patchwork_map,
  .pread = patchwork_pread,
};

static struct block *
patchwork (struct block *below)
{
  struct block *b = block_new (&env, &patchwork_ops, &e);

  CHECK (b);
  b->below = below;
  b->size = 24;
  return b;
}

static void
test_gather (void)
{
  static const char want[] = "4567\0\0\0\0"
                             "89abcdef\0\0\0\0cccc";
  CLEANUP_BLOCK struct block *m = mem ("0123456789abcdef", 16);
  CLEANUP_BLOCK struct block *b = patchwork (m);
  char buf[24];

  for (uint64_t off = 0; off < 24; off++)
    for (size_t len = 0; len <= 24 - off; len++) {
      memset (buf, 'x', sizeof buf);
      CHECK_OK (block_pread (b, buf, len, off, &e));
      CHECK (!memcmp (buf, want + off, len));
      CHECK (len == 24 || buf[len] == 'x');
    }
}

static uint64_t
seek (struct block *b, uint64_t off, bool hole)
{
  uint64_t ret = 999;

  if (block_seek (b, off, hole, &ret, &e) == -1)
    CHECK (e.code == ENXIO && ret == 999);
  return ret;
}

static void
test_seek (void)
{
  CLEANUP_BLOCK struct block *m = mem ("0123456789abcdef", 16);
  CLEANUP_BLOCK struct block *b = patchwork (m);
  uint64_t allocated;

  CHECK (seek (b, 0, false) == 0);
  CHECK (seek (b, 1, true) == 4);
  CHECK (seek (b, 5, true) == 5);
  CHECK (seek (b, 5, false) == 8);
  CHECK (seek (b, 8, true) == 16);
  CHECK (seek (b, 17, false) == 20);
  CHECK (seek (b, 20, true) == 24); /* the end is a hole */
  CHECK (seek (b, 24, false) == 999);
  CHECK (seek (b, 24, true) == 999);
  CHECK_OK (block_allocated (b, &allocated, &e));
  CHECK (allocated == 16);
}

static void
test_file (void)
{
  char name[] = "/tmp/test-block.XXXXXX", buf[8];
  CLEANUP_BLOCK struct block *b = NULL, *d = NULL;
  uint64_t length, allocated;
  int fd = mkstemp (name);

  CHECK (fd != -1 && unlink (name) == 0);
  CHECK (pwrite (fd, "abc", 3, 1 << 20) == 3);
  CHECK_OK (block_file_open (&env, dup (fd), "x", &b, &e));
  CHECK (b->size == (1 << 20) + 3 && block_file_fd (b) != -1);
  CHECK_OK (block_pread (b, buf, 4, (1 << 20) - 1, &e));
  CHECK (!memcmp (buf, "\0abc", 4));
  CHECK_OK (block_file_usage (b, &length, &allocated, &e));
  CHECK (length == b->size && !block_file_changed (b));
  CHECK (ftruncate (fd, 5) == 0 && block_file_changed (b));
  CHECK (block_pread (b, buf, 4, 3, &e) == -1 && e.code == EIO);
  close (fd);
  CHECK (block_file_open (&env, open ("/", O_RDONLY), "/", &d, &e) == -1);
  CHECK (e.code == EISDIR);
}

/* --- the cache ------------------------------------------------------- */

#define THREADS 8
#define KEYS    64

static struct cache *cache;
static _Atomic unsigned loads[KEYS], failures;
static pthread_barrier_t start;

static int
load_key (void *arg, void *data, size_t size, struct err *err)
{
  uint64_t key = *(uint64_t *) arg;

  loads[key]++;
  /* Every fourth key fails the first time. */
  if (key % 4 == 3 && loads[key] == 1)
    return err_set (err, EIO, "key %" PRIu64, key);
  memset (data, (int) key, size);
  return 0;
}

static void *
cache_main (void *arg unused_arg)
{
  struct cache_entry *n;
  struct err err;

  for (uint64_t key = 0; key < KEYS; key++) {
    pthread_barrier_wait (&start);
    while (cache_get (cache, cache_main, key, 1000, load_key, &key, &n,
                      &err) == -1) {
      CHECK (err.code == EIO);
      failures++;
    }
    CHECK (n->size == 1000);
    for (size_t i = 0; i < 1000; i++)
      CHECK (((unsigned char *) n->data)[i] == key);
    cache_release (cache, n);
  }
  return NULL;
}

/* Each entry is loaded once; a failed load goes to all who wait, is not
 * kept, and the next one loads again. */
static void
test_cache_threads (void)
{
  pthread_t threads[THREADS];

  cache = cache_new (16 * MiB);
  CHECK (cache);
  pthread_barrier_init (&start, NULL, THREADS);
  for (size_t i = 0; i < THREADS; i++)
    CHECK (!pthread_create (&threads[i], NULL, cache_main, NULL));
  for (size_t i = 0; i < THREADS; i++)
    pthread_join (threads[i], NULL);
  for (uint64_t key = 0; key < KEYS; key++)
    CHECK (loads[key] == (key % 4 == 3 ? 2 : 1));
  CHECK (failures >= KEYS / 4 && failures <= KEYS / 4 * THREADS);
  pthread_barrier_destroy (&start);
  cache_free (cache);
}

static unsigned reloads;

static int
load_count (void *arg unused_arg, void *data, size_t size,
            struct err *err unused_arg)
{
  reloads++;
  memset (data, 1, size);
  return 0;
}

/* What differs in owner or size is not one entry: to take one for the other
 * would read past its end. */
static void
test_cache_keys (void)
{
  struct cache *c = cache_new (1 * MiB);
  const void *owners[] = { cache_new_owner (), cache_new_owner () };

  CHECK (owners[0] != owners[1]);
  for (size_t i = 0; i < 4; i++) {
    size_t size = i & 1 ? 8 : 4096;
    struct cache_entry *n;
    CHECK_OK (cache_get (c, owners[i / 2], 0x30000, size, load_count, NULL,
                         &n, &e));
    CHECK (n->size == size);
    cache_release (c, n);
  }
  cache_free (c);
}

/* What does not fit goes, what is held stays. */
static void
test_cache_budget (void)
{
  const void *owner = cache_new_owner ();
  struct cache_entry *held, *n;

  reloads = 0;
  cache = cache_new (16 * 4 * KiB); /* 4 KiB a shard */
  CHECK_OK (
      cache_get (cache, owner, 0, 4 * KiB, load_count, NULL, &held, &e));
  for (uint64_t key = 1; key < 1000; key++) {
    CHECK_OK (
        cache_get (cache, owner, key, 4 * KiB, load_count, NULL, &n, &e));
    cache_release (cache, n);
  }
  CHECK (reloads == 1000);
  for (uint64_t key = 0; key < 1000; key++) {
    CHECK_OK (
        cache_get (cache, owner, key, 4 * KiB, load_count, NULL, &n, &e));
    CHECK (key || n == held);
    cache_release (cache, n);
  }
  /* At most 16 entries fit, beside the one that is held. */
  CHECK (reloads >= 2000 - 17);
  cache_release (cache, held);
  cache_free (cache);
}

int
main (void)
{
  test_mem ();
  test_slice ();
  test_fault ();
  test_gather ();
  test_seek ();
  test_file ();
  test_cache_threads ();
  test_cache_keys ();
  test_cache_budget ();
  return 0;
}
