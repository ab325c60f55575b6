/* xrayfs: the length of a converted image: its layout, and the scan
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/golden/test-qcow2-size.sh compares with qemu-img; here is what that
 * cannot reach: sizes that nobody has the disk for, threads, errors,
 * progress.
 */
#include <semaphore.h>

#include "block/cache.h"
#include "inspect/image.h"
#include "inspect/qcow2_size.h"
#include "test.h"

#define TiB                  (GiB * 1024)
#define MAX_CLUSTERS_IN_FILE (QCOW2_REFCOUNTS_PER_BLOCK * 8192)

/* --- the layout ------------------------------------------------------ */

static const struct layout {
  uint64_t size, clusters, tables;
  uint64_t length; /* 0: EFBIG */
} layouts[] = {
  /* As qemu-img 7.2 made them. */
  { 0, 0, 0, 196608 },
  { 1, 0, 0, 196616 },
  { 512 * MiB, 0, 0, 196616 },
  { 512 * MiB + 1, 0, 0, 196624 },
  { 10 * GiB, 0, 0, 196768 },
  { 5 * TiB, 0, 0, 278528 },
  { 1, 1, 1, 6 * QCOW2_CLUSTER },
  { 1 * GiB, 3, 2, 9 * QCOW2_CLUSTER },
  { 5 * GiB, 32756, 4, 32764 * QCOW2_CLUSTER },
  { 5 * GiB, 32760, 4, 32768 * QCOW2_CLUSTER },
  { 5 * GiB, 32761, 4, 32770 * QCOW2_CLUSTER },
  /* Computed by hand. */
  { 5 * TiB, 1, 1, 7 * QCOW2_CLUSTER },
  { QCOW2_MAX_DISK, 0, 0, 3 * QCOW2_CLUSTER + 32 * MiB },
  { QCOW2_MAX_DISK + 1, 0, 0, 0 },
  /* 512 clusters of the L1 table, 2 more, 8192 refcount blocks, 1 table. */
  { QCOW2_MAX_DISK, MAX_CLUSTERS_IN_FILE - 8192 - 512 - 2 - 1, 1, 16 * TiB },
  { QCOW2_MAX_DISK, MAX_CLUSTERS_IN_FILE - 8192 - 512 - 2, 1, 0 },
};

static void
test_layouts (void)
{
  for (size_t i = 0; i < ARRAY_SIZE (layouts); i++) {
    const struct layout *l = &layouts[i];
    struct qcow2_content c = { l->clusters, l->tables };
    struct err e = { 0 };
    uint64_t length = 0;
    if (qcow2_length (l->size, &c, &length, &e) == -1)
      CHECK (e.code == EFBIG);
    if (length != l->length)
      fprintf (stderr, "row %zu: %" PRIu64 "\n", i, length);
    CHECK (length == l->length);
  }
}

/* --- a disk ---------------------------------------------------------- */

#define DISK_SIZE (9 * MiB + 512)

/* Its first reads wait for GO after READING was said, if WAITS. */
struct disk {
  unsigned char *data;
  uint64_t bad[2], bad_map; /* bytes that cannot be read, or mapped */
  _Atomic bool waits;
  sem_t reading, go;
};

static int
disk_pread (struct block *b, void *buf, size_t len, uint64_t off,
            struct err *e)
{
  struct disk *d = b->priv;

  if (d->waits) {
    sem_post (&d->reading);
    sem_wait (&d->go);
  }
  for (size_t i = 0; i < ARRAY_SIZE (d->bad); i++)
    if (d->bad[i] >= off && d->bad[i] < off + len)
      return err_set (e, EIO, "bad at %" PRIu64, d->bad[i]);
  memcpy (buf, d->data + off, len);
  return 0;
}

/* Extents of odd lengths; every third is a hole if it is zero. */
static int
disk_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
          struct err *e)
{
  const uint64_t unit = 77 * 512;
  struct disk *d = b->priv;
  uint64_t n = MIN (len, unit - off % unit);
  bool hole = off / unit % 3 == 0 && is_zero (d->data + off, n);

  if (d->bad_map >= off && d->bad_map < off + n)
    return err_set (e, EIO, "no map at %" PRIu64, d->bad_map);
  *ret = hole ? extent_of (EXTENT_ZERO, n) : extent_data (n, b, off);
  return 0;
}

static const struct block_ops disk_ops = { .name = "disk",
                                           .pread = disk_pread,
                                           .map = disk_map };

static struct disk
disk_new (void)
{
  struct disk d = { .data = calloc (1, DISK_SIZE),
                    .bad = { UINT64_MAX, UINT64_MAX },
                    .bad_map = UINT64_MAX };

  CHECK (d.data);
  srandom (1);
  for (int i = 0; i < 40; i++)
    d.data[(uint64_t) random () % DISK_SIZE] = 1;
  d.data[0] = d.data[QCOW2_CLUSTER - 1] = d.data[DISK_SIZE - 1] = 1;
  CHECK (sem_init (&d.reading, 0, 0) == 0 && sem_init (&d.go, 0, 0) == 0);
  return d;
}

static int
scan (struct disk *d, unsigned threads, struct qcow2_content *ret,
      struct err *e)
{
  struct block_env env = { .dir_fd = -1 };
  struct block b = {
    .ops = &disk_ops, .env = &env, .size = DISK_SIZE, .priv = d
  };

  return qcow2_content (&b, threads, NULL, ret, e);
}

/* --- the scan -------------------------------------------------------- */

static const unsigned thread_counts[] = { 0, 1, 2, 3, 16, 1000 };

static void
test_threads (void)
{
  struct disk d = disk_new ();
  uint64_t want = 0;

  for (uint64_t off = 0; off < DISK_SIZE; off += QCOW2_CLUSTER)
    want += !is_zero (d.data + off, MIN (QCOW2_CLUSTER, DISK_SIZE - off));
  for (size_t i = 0; i < ARRAY_SIZE (thread_counts); i++) {
    struct qcow2_content c = { 0 };
    struct err e = { 0 };
    CHECK_OK (scan (&d, thread_counts[i], &c, &e));
    CHECK (c.clusters == want && c.tables == 1);
  }
  free (d.data);
}

/* Whichever thread meets which: the error of the lowest place. */
static void
test_errors (void)
{
  static const struct {
    uint64_t bad[2], bad_map;
    const char *words;
  } rows[] = {
    { { 5 * MiB, UINT64_MAX }, UINT64_MAX, "bad at 5242880" },
    { { 6 * MiB, 3 * MiB }, UINT64_MAX, "bad at 3145728" },
    { { DISK_SIZE - 1, UINT64_MAX }, UINT64_MAX, "bad at 9437695" },
    { { UINT64_MAX, UINT64_MAX }, 7 * MiB, "no map at 7340032" },
    { { 2 * MiB, UINT64_MAX }, 7 * MiB, "bad at 2097152" },
  };
  struct disk d = disk_new ();

  memset (d.data, 1, DISK_SIZE); /* no holes */
  for (size_t i = 0; i < ARRAY_SIZE (rows); i++)
    for (size_t k = 0; k < ARRAY_SIZE (thread_counts); k++) {
      struct qcow2_content c = { 0 };
      struct err e = { 0 };
      memcpy (d.bad, rows[i].bad, sizeof d.bad);
      d.bad_map = rows[i].bad_map;
      CHECK (scan (&d, thread_counts[k], &c, &e) == -1);
      CHECK (e.code == EIO && c.clusters == 0);
      if (!strstr (e.msg, rows[i].words))
        fprintf (stderr, "row %zu, %u threads: %s\n", i, thread_counts[k],
                 e.msg);
      CHECK (strstr (e.msg, rows[i].words));
    }
  free (d.data);
}

/* --- the fact -------------------------------------------------------- */

static void *
ask (void *arg)
{
  struct err e = { 0 };
  uint64_t size;

  CHECK (image_qcow2_size (arg, &size, &e) == -1);
  CHECK (e.code == ECANCELED);
  return NULL;
}

struct seen {
  unsigned n;
  uint64_t done, total;
};

static void
take_progress (void *arg, const char *name, uint64_t done, uint64_t total)
{
  CHECK_STR (name, "qcow2_size");
  *(struct seen *) arg = (struct seen){ 1, done, total };
}

/* While it reads, `progress` has a line; a cancelled one is not kept. */
static void
test_progress (void)
{
  struct disk d = disk_new ();
  struct block_env env = { .dir_fd = -1, .cache = cache_new (MiB) };
  struct err e = { 0 };
  struct block *b = block_new (&env, &disk_ops, &e);
  struct seen seen = { 0 };
  struct image *img;
  pthread_t thread;
  uint64_t size = 0;

  CHECK (b && env.cache);
  b->size = DISK_SIZE;
  b->priv = &d;
  CHECK_OK (image_open_block (b, &env, "disk.img", &img, &e));
  CHECK (!image_qcow2_size_ready (img));
  d.waits = true;
  CHECK (pthread_create (&thread, NULL, ask, img) == 0);
  sem_wait (&d.reading);
  while (seen.total == 0)
    lazy_each_running (image_running (img), take_progress, &seen);
  CHECK (seen.n == 1 && seen.total == DISK_SIZE && seen.done < seen.total);
  image_cancel (img);
  d.waits = false;
  for (unsigned i = 0; i < 1000; i++)
    sem_post (&d.go);
  CHECK (pthread_join (thread, NULL) == 0);
  CHECK (!image_qcow2_size_ready (img));

  env.cancelled = false;
  CHECK_OK (image_qcow2_size (img, &size, &e));
  CHECK (image_qcow2_size_ready (img) && size % QCOW2_CLUSTER == 0);
  image_close (img);
  cache_free (env.cache);
  free (d.data);
}

int
main (void)
{
  test_layouts ();
  test_threads ();
  test_errors ();
  test_progress ();
  return 0;
}
