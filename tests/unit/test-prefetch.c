/* xrayfs: reading ahead: what is read is right, what is read ahead is what it
 * says, and nothing waits for it at the end
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include <time.h>

#include "base/bytes.h"
#include "block/prefetch.h"
#include "test.h"

#define SIZE    (40 * MiB + 12345)
#define REQUEST (128 * KiB)

/* Bytes that tell their place. */
struct source {
  enum extent_kind kind;
  uint64_t bad;           /* reads that touch it fail */
  _Atomic unsigned ahead; /* reads of a piece, which nobody asks for */
  pthread_mutex_t gate;   /* reads of a piece wait for it */
};

static unsigned char
byte_at (uint64_t off)
{
  return (unsigned char) (off * 31 + (off >> 12) * 7 + (off >> 20));
}

static int
source_read (void *self, uint64_t id, void *buf, size_t len, uint64_t off,
             size_t *ret, struct err *e)
{
  struct source *s = self;

  CHECK (id == 7 && range_within (off, len, SIZE));
  if (len == MiB) {
    s->ahead++;
    pthread_mutex_lock (&s->gate);
    pthread_mutex_unlock (&s->gate);
  }
  if (s->bad >= off && s->bad - off < len)
    return err_set (e, EIO, "bad at 0x%llx", (unsigned long long) s->bad);
  for (size_t i = 0; i < len; i++)
    ((unsigned char *) buf)[i] = byte_at (off + i);
  *ret = len;
  return 0;
}

static int
source_map (void *self, uint64_t id unused_arg, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e unused_arg)
{
  struct source *s = self;

  *ret = extent_of (s->kind, off < 3 * MiB ? MIN (len, 64 * KiB) : len);
  return 0;
}

struct fixture {
  struct prefetch *pool;
  struct stream *stream;
  struct source source;
};

static void
set_up (struct fixture *f, unsigned threads, enum extent_kind kind)
{
  struct stream_source source = {
    .read = source_read, .map = source_map, .self = &f->source, .id = 7
  };
  struct err e;

  f->source = (struct source){ .kind = kind,
                               .bad = UINT64_MAX,
                               .gate = PTHREAD_MUTEX_INITIALIZER };
  f->pool = prefetch_new (threads);
  CHECK (f->pool);
  f->stream = stream_open (f->pool, &source, SIZE, &e);
  CHECK (f->stream);
}

static void
take_down (struct fixture *f)
{
  stream_close (f->stream);
  CHECK (prefetch_stop (f->pool, 10000));
  prefetch_free (f->pool);
}

static bool
read_right (struct stream *s, uint64_t off, size_t len)
{
  CLEANUP_FREE unsigned char *buf = malloc (len);
  size_t got = 0, want = (size_t) MIN (len, SIZE - off);
  struct err e;

  if (stream_read (s, buf, len, off, &got, &e) == -1)
    return false;
  CHECK (got == want);
  for (size_t i = 0; i < got; i++)
    CHECK (buf[i] == byte_at (off + i));
  return true;
}

static void
test_sequence (void)
{
  struct fixture f;

  set_up (&f, 4, EXTENT_COMPRESSED);
  for (uint64_t off = 0; off < SIZE; off += REQUEST)
    CHECK (read_right (f.stream, off, REQUEST));
  CHECK (f.source.ahead > 0 && f.source.ahead <= SIZE / MiB);
  /* Backwards, and over the borders of pieces. */
  for (uint64_t off = SIZE - 5 * MiB; off > 5 * MiB; off -= 3 * MiB / 2)
    CHECK (read_right (f.stream, off - 1000, 2 * MiB + 2000));
  take_down (&f);
}

static void
test_not_ahead (void)
{
  struct fixture f;

  set_up (&f, 4, EXTENT_DATA); /* not compressed */
  for (uint64_t off = 0; off < SIZE; off += REQUEST)
    CHECK (read_right (f.stream, off, REQUEST));
  CHECK (f.source.ahead == 0);
  take_down (&f);
  set_up (&f, 1, EXTENT_COMPRESSED); /* one processor */
  for (uint64_t off = 0; off < SIZE; off += REQUEST)
    CHECK (read_right (f.stream, off, REQUEST));
  CHECK (f.source.ahead == 0);
  take_down (&f);
  set_up (&f, 4, EXTENT_COMPRESSED); /* here and there */
  for (uint64_t i = 0; i < 500; i++)
    CHECK (read_right (f.stream, i * 17 * MiB % (SIZE - 5000), 5000));
  CHECK (f.source.ahead == 0);
  take_down (&f);
}

/* What fails ahead fails when it is read, there and nowhere else. */
static void
test_error (void)
{
  struct fixture f;
  unsigned failed = 0;

  set_up (&f, 4, EXTENT_COMPRESSED);
  f.source.bad = 20 * MiB + 5;
  for (uint64_t off = 0; off < SIZE; off += REQUEST)
    if (!read_right (f.stream, off, REQUEST)) {
      CHECK (off == 20 * MiB);
      failed++;
    }
  CHECK (failed == 1);
  take_down (&f);
}

struct many {
  struct stream *stream;
  _Atomic uint64_t next;
};

static void *
read_many (void *arg)
{
  struct many *m = arg;
  uint64_t off;

  while ((off = atomic_fetch_add (&m->next, REQUEST)) < SIZE)
    CHECK (read_right (m->stream, off, REQUEST));
  return NULL;
}

/* As the kernel's readahead: many requests at once. */
static void
test_threads (void)
{
  pthread_t threads[5];
  struct fixture f;
  struct many m = { 0 };

  set_up (&f, 3, EXTENT_COMPRESSED);
  m.stream = f.stream;
  for (size_t i = 0; i < ARRAY_SIZE (threads); i++)
    CHECK (pthread_create (&threads[i], NULL, read_many, &m) == 0);
  for (size_t i = 0; i < ARRAY_SIZE (threads); i++)
    pthread_join (threads[i], NULL);
  take_down (&f);
}

/* A stream ends while a thread reads for it; the pool does not stop before
 * that thread does. */
static void
test_close (void)
{
  struct fixture f;
  struct timespec nap = { 0, 1000000 };

  set_up (&f, 2, EXTENT_COMPRESSED);
  pthread_mutex_lock (&f.source.gate);
  CHECK (read_right (f.stream, 0, 512 * KiB));
  while (f.source.ahead == 0)
    nanosleep (&nap, NULL);
  CHECK (read_right (f.stream, 30 * MiB, 4096)); /* not begun: no waiting */
  stream_close (steal_ptr (&f.stream));
  CHECK (!prefetch_stop (f.pool, 1));
  pthread_mutex_unlock (&f.source.gate);
  take_down (&f);
}

/* More streams than there is memory for. */
static void
test_memory (void)
{
  struct stream *streams[40];
  struct fixture f;
  struct stream_source source = {
    .read = source_read, .map = source_map, .self = &f.source, .id = 7
  };
  struct err e;

  set_up (&f, 8, EXTENT_COMPRESSED);
  for (size_t i = 0; i < ARRAY_SIZE (streams); i++) {
    streams[i] = stream_open (f.pool, &source, SIZE, &e);
    CHECK (streams[i]);
    CHECK (read_right (streams[i], 0, MiB - 1));
    CHECK (read_right (streams[i], MiB - 1, MiB - 1));
  }
  CHECK (f.source.ahead <= PREFETCH_MAX_PIECES);
  for (size_t i = 0; i < ARRAY_SIZE (streams); i++)
    stream_close (streams[i]);
  take_down (&f);
}

int
main (void)
{
  test_sequence ();
  test_not_ahead ();
  test_error ();
  test_threads ();
  test_close ();
  test_memory ();
  return 0;
}
