/* xrayfs: the length of the file that `qemu-img convert -O qcow2` writes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * qemu 7.2 (qemu-img.c, convert_co_write) writes what is not zero in pieces
 * of 4 KiB, or of less where the source's extents begin and end elsewhere.
 * No piece crosses a boundary of 4 KiB, and so none crosses a boundary of a
 * target cluster: a cluster is written if and only if any of its bytes is not
 * zero.  What the source's format calls data or a hole, and where its extents
 * lie, decides only what has to be read.
 *
 * A write takes whole clusters (the rest is filled with zeros), in order and
 * without gaps (block/qcow2-refcount.c, alloc_clusters_noref), so that the
 * length is the number of clusters; which of them are L2 tables and refcount
 * blocks follows from the content.
 */
#include "inspect/qcow2_size.h"

#include <inttypes.h>
#include <sched.h>

#include "inspect/image_priv.h"

#define PIECE       (512 * KiB) /* read at once: stays in a CPU's cache */
#define QUEUE       64          /* pieces that wait for a thread */
#define MAX_THREADS 16          /* each has a buffer of a piece */

/* --- the layout ------------------------------------------------------ */

/* The first refcount table has one cluster; when its last block is full, qemu
 * makes a larger one at a place that depends on how writes were cut. */
#define MAX_REFCOUNT_BLOCKS (QCOW2_CLUSTER / QCOW2_TABLE_ENTRY)

/* CLUSTERS, and the refcount blocks that count these and themselves. */
static uint64_t
with_refcount_blocks (uint64_t clusters)
{
  uint64_t blocks = 0, last;

  do {
    last = blocks;
    blocks = div_up (clusters + blocks, QCOW2_REFCOUNTS_PER_BLOCK);
  } while (blocks != last);
  return clusters + blocks;
}

int
qcow2_length (uint64_t size, const struct qcow2_content *c, uint64_t *ret,
              struct err *e)
{
  uint64_t l1, n;

  if (size > QCOW2_MAX_DISK)
    return err_set (e, EFBIG, "the disk is too large for qcow2");
  l1 = div_up (size, QCOW2_TABLE_SPAN) * QCOW2_TABLE_ENTRY;
  /* An empty file ends with the L1 table as it is: behind the header, the
   * refcount table and one refcount block. */
  if (c->clusters == 0) {
    *ret = 3 * QCOW2_CLUSTER + l1;
    return 0;
  }
  n = with_refcount_blocks (2 + div_up (l1, QCOW2_CLUSTER) + c->tables +
                            c->clusters);
  if (n > MAX_REFCOUNT_BLOCKS * QCOW2_REFCOUNTS_PER_BLOCK)
    return err_set (e, EFBIG,
                    "as qcow2 it has more than 16 TiB: how much more depends"
                    " on where qemu puts its larger refcount table");
  *ret = n * QCOW2_CLUSTER;
  return 0;
}

/* --- the content ----------------------------------------------------- */

/* Whole clusters, but for the end of the disk; within one L2 table. */
struct piece {
  uint64_t offset;
  size_t length;
};

/* One thread walks the map and hands out pieces in the disk's order, the
 * others read them. */
struct scan {
  struct block *disk;
  struct lazy *progress;

  /* The walker's own. */
  struct piece next; /* being put together */
  uint64_t covered;  /* what lies before is in a piece, or a hole */
  pthread_t threads[MAX_THREADS];
  unsigned n_threads, max_threads;

  pthread_mutex_t lock; /* over what follows */
  pthread_cond_t changed;
  struct piece queue[QUEUE];
  size_t first, n_queued;
  bool ended;
  _Atomic bool failed; /* set under the lock, also read without */
  struct err err;
  uint64_t err_offset;
  uint64_t clusters;
  unsigned char *tables; /* a bit for each L2 table that is needed */
};

/* A later error does not hide one of a place before it: pieces are taken in
 * order, and what was taken is finished. */
static void
scan_fail (struct scan *s, uint64_t off, const struct err *e)
{
  LOCK_SCOPE (&s->lock);
  if (s->failed && s->err_offset <= off)
    return;
  s->failed = true;
  s->err = *e;
  s->err_offset = off;
  pthread_cond_broadcast (&s->changed);
}

static uint64_t
count_clusters (const char *data, size_t len)
{
  uint64_t n = 0;

  for (size_t i = 0; i < len; i += QCOW2_CLUSTER)
    n += !is_zero (data + i, MIN (QCOW2_CLUSTER, len - i));
  return n;
}

static void
read_piece (struct scan *s, const struct piece *p, char *buf)
{
  uint64_t n, table = p->offset / QCOW2_TABLE_SPAN;
  struct err e = { 0 };

  if ((s->disk->env->cancelled
           ? err_set (&e, ECANCELED, "cancelled")
           : block_pread (s->disk, buf, p->length, p->offset, &e)) == -1) {
    scan_fail (s, p->offset, &e);
    return;
  }
  n = count_clusters (buf, p->length);
  if (n == 0)
    return;
  LOCK_SCOPE (&s->lock);
  s->clusters += n;
  s->tables[table / 8] |= (unsigned char) (1 << table % 8);
}

/* false: there are no more. */
static bool
take_piece (struct scan *s, struct piece *ret)
{
  LOCK_SCOPE (&s->lock);
  while (s->n_queued == 0 && !s->ended && !s->failed)
    pthread_cond_wait (&s->changed, &s->lock);
  if (s->n_queued == 0 || s->failed)
    return false;
  *ret = s->queue[s->first];
  s->first = (s->first + 1) % QUEUE;
  s->n_queued--;
  pthread_cond_broadcast (&s->changed);
  return true;
}

static void *
reader (void *arg)
{
  struct scan *s = arg;
  CLEANUP_FREE char *buf = malloc (PIECE);
  struct piece p;
  struct err e = { 0 };

  if (!buf) {
    err_set (&e, ENOMEM, "out of memory");
    scan_fail (s, 0, &e);
  }
  while (take_piece (s, &p))
    read_piece (s, &p, buf);
  return NULL;
}

/* One more thread for one more piece. */
static void
provide_reader (struct scan *s)
{
  if (s->n_threads < s->max_threads &&
      pthread_create (&s->threads[s->n_threads], NULL, reader, s) == 0)
    s->n_threads++;
}

static void
queue_piece (struct scan *s, const struct piece *p)
{
  LOCK_SCOPE (&s->lock);
  while (s->n_queued == QUEUE && !s->failed)
    pthread_cond_wait (&s->changed, &s->lock);
  if (s->failed)
    return;
  s->queue[(s->first + s->n_queued) % QUEUE] = *p;
  s->n_queued++;
  pthread_cond_broadcast (&s->changed);
}

static void
end_queue (struct scan *s)
{
  LOCK_SCOPE (&s->lock);
  s->ended = true;
  pthread_cond_broadcast (&s->changed);
}

/* --- the walk -------------------------------------------------------- */

static void
read_here (struct scan *s, const struct piece *p)
{
  CLEANUP_FREE char *buf = malloc (PIECE);
  struct err e = { 0 };

  if (buf) {
    read_piece (s, p, buf);
    return;
  }
  err_set (&e, ENOMEM, "out of memory");
  scan_fail (s, p->offset, &e);
}

static void
hand_out (struct scan *s)
{
  struct piece p = s->next;

  if (p.length == 0)
    return;
  s->next.length = 0;
  provide_reader (s);
  if (s->n_threads > 0)
    queue_piece (s, &p);
  else
    read_here (s, &p); /* there can be none: slower, but it goes on */
  if (s->progress)
    lazy_progress (s->progress, p.offset, s->disk->size);
}

/* Data in [start, end): the clusters that they touch are to be read. */
static void
add_data (struct scan *s, uint64_t start, uint64_t end)
{
  uint64_t stop;

  start = MAX (start & ~(QCOW2_CLUSTER - 1), s->covered);
  end = MIN (round_up (end, QCOW2_CLUSTER), s->disk->size);
  for (; start < end && !s->failed; start = stop) {
    stop = MIN (end, (start & ~(PIECE - 1)) + PIECE);
    if (start % PIECE == 0 || start != s->next.offset + s->next.length)
      hand_out (s);
    if (s->next.length == 0)
      s->next.offset = start;
    s->next.length += (size_t) (stop - start);
  }
  s->covered = MAX (s->covered, end);
}

/* *OFF: how far it came. */
static int
walk (struct scan *s, uint64_t *off, struct err *e)
{
  uint64_t size = s->disk->size;
  struct extent x;

  for (; *off < size && !s->failed; *off += x.length) {
    if (s->disk->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    if (block_resolve (s->disk, *off, size - *off, &x, e) == -1)
      return -1;
    if (x.kind == EXTENT_DATA || x.kind == EXTENT_COMPRESSED)
      add_data (s, *off, *off + x.length);
    else if (s->progress)
      lazy_progress (s->progress, *off, size);
  }
  return 0;
}

static void
run (struct scan *s)
{
  uint64_t off = 0;
  struct err e = { 0 };
  int r = walk (s, &off, &e);

  hand_out (s);
  end_queue (s);
  for (unsigned i = 0; i < s->n_threads; i++)
    pthread_join (s->threads[i], NULL);
  /* Only now: what lies before may have failed too, and counts then. */
  if (r == -1)
    scan_fail (s, off, &e);
}

static uint64_t
count_tables (const struct scan *s, size_t n_bytes)
{
  uint64_t n = 0;

  for (size_t i = 0; i < n_bytes; i++)
    n += (unsigned) __builtin_popcount (s->tables[i]);
  return n;
}

int
qcow2_content (struct block *disk, unsigned threads, struct lazy *progress,
               struct qcow2_content *ret, struct err *e)
{
  CLEANUP_FREE unsigned char *tables = NULL;
  struct scan s = { .disk = disk,
                    .progress = progress,
                    .max_threads = MIN (threads, MAX_THREADS) };
  size_t n_bytes;

  /* Also keeps the table of tables below 512 KiB. */
  if (disk->size > QCOW2_MAX_DISK)
    return err_set (e, EFBIG, "the disk is too large for qcow2");
  n_bytes = (size_t) (disk->size / QCOW2_TABLE_SPAN / 8 + 1);
  s.tables = tables = calloc (1, n_bytes);
  if (!tables)
    return err_set (e, ENOMEM, "out of memory");
  pthread_mutex_init (&s.lock, NULL);
  pthread_cond_init (&s.changed, NULL);
  run (&s);
  pthread_cond_destroy (&s.changed);
  pthread_mutex_destroy (&s.lock);
  if (s.failed) {
    *e = s.err;
    return -1;
  }
  *ret = (struct qcow2_content){ s.clusters, count_tables (&s, n_bytes) };
  return 0;
}

/* --- the fact -------------------------------------------------------- */

static unsigned
count_cpus (void)
{
  cpu_set_t set;

  /* A machine with more CPUs than the set can hold has enough of them. */
  return sched_getaffinity (0, sizeof set, &set) == -1
             ? MAX_THREADS
             : (unsigned) CPU_COUNT (&set);
}

int
qcow2_size_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct qcow2_content c = { 0 };

  if (qcow2_content (img->disk, count_cpus (), &img->qcow2_size_cell, &c,
                     e) == -1)
    return -1;
  return qcow2_length (img->disk->size, &c, &img->qcow2_size, e);
}
