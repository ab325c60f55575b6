/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/prefetch.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/bytes.h"

/* Large, so that two threads seldom want one compressed cluster (qcow2's have
 * at most 2 MiB), small enough that a few make a window. */
#define PIECE MiB

/* How far from each other the requests of one reader come in: the kernel has
 * several under way, and our threads take them in any order. */
#define SLACK (8 * MiB)

/* Bytes read in sequence before anything is read ahead. */
#define START (256 * KiB)

/* Pieces that are kept behind the reader, for requests that come late. */
#define BEHIND 4

enum piece_state { EMPTY, QUEUED, LOADING, READY };

struct piece {
  struct stream *stream;
  struct piece *next; /* QUEUED */
  char *data;         /* PIECE bytes; stays until the stream ends */
  uint64_t off;       /* a multiple of PIECE */
  size_t len;
  enum piece_state state;
  unsigned users; /* who copies from it */
};

struct stream {
  struct prefetch *pool;
  struct stream_source source;
  uint64_t size;
  uint64_t pos;     /* the end of what was read last */
  uint64_t run;     /* bytes read in sequence up to there */
  uint64_t planned; /* what lies before this was queued, or need not be */
  unsigned loading; /* pieces */
  bool closed;
  struct piece *pieces; /* n_pieces of the pool; NULL until needed */
};

struct prefetch {
  pthread_mutex_t lock;
  pthread_cond_t work;   /* a piece was queued, or stop */
  pthread_cond_t loaded; /* a piece was loaded, or not */
  pthread_cond_t left;   /* a thread left */
  struct piece *queue, **queue_last;
  unsigned max_threads, n_started, n_running, n_idle;
  unsigned window, n_pieces; /* of a stream: read ahead, in all */
  unsigned n_buffers;
  bool stopping;
  pthread_t threads[PREFETCH_MAX_THREADS];
};

/* --- the pool -------------------------------------------------------- */

static unsigned
count_processors (void)
{
  cpu_set_t set;

  return sched_getaffinity (0, sizeof set, &set) == 0
             ? (unsigned) CPU_COUNT (&set)
             : 1;
}

struct prefetch *
prefetch_new (unsigned threads)
{
  struct prefetch *p = calloc (1, sizeof *p);
  pthread_condattr_t attr;

  if (!p)
    return NULL;
  threads = threads ? threads : count_processors ();
  p->max_threads = threads > 1 ? MIN (threads, PREFETCH_MAX_THREADS) : 0;
  p->window = 2 * p->max_threads;
  p->n_pieces = p->window + BEHIND;
  p->queue_last = &p->queue;
  pthread_mutex_init (&p->lock, NULL);
  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (&p->work, NULL);
  pthread_cond_init (&p->loaded, NULL);
  pthread_cond_init (&p->left, &attr);
  pthread_condattr_destroy (&attr);
  return p;
}

void
prefetch_free (struct prefetch *p)
{
  if (!p)
    return;
  for (unsigned i = 0; i < p->n_started; i++)
    pthread_join (p->threads[i], NULL);
  pthread_cond_destroy (&p->left);
  pthread_cond_destroy (&p->loaded);
  pthread_cond_destroy (&p->work);
  pthread_mutex_destroy (&p->lock);
  free (p);
}

/* --- the queue; all with the lock held ------------------------------- */

static void
queue_add (struct prefetch *p, struct piece *piece)
{
  piece->state = QUEUED;
  piece->next = NULL;
  *p->queue_last = piece;
  p->queue_last = &piece->next;
}

static void
queue_remove (struct prefetch *p, struct piece *piece)
{
  struct piece **at = &p->queue;

  while (*at != piece)
    at = &(*at)->next;
  *at = piece->next;
  if (!*at)
    p->queue_last = at;
  piece->state = EMPTY;
}

/* All of S, or of all streams where S is NULL. */
static void
queue_clear (struct prefetch *p, const struct stream *s)
{
  struct piece *piece = p->queue, *next;

  for (; piece; piece = next) {
    next = piece->next;
    if (!s || piece->stream == s)
      queue_remove (p, piece);
  }
}

static void
stream_free (struct stream *s)
{
  for (unsigned i = 0; s->pieces && i < s->pool->n_pieces; i++)
    if (s->pieces[i].data) {
      free (s->pieces[i].data);
      s->pool->n_buffers--;
    }
  free (s->pieces);
  free (s);
}

/* --- threads --------------------------------------------------------- */

/* Called and returns with the lock held. */
static void
load (struct prefetch *p, struct piece *piece)
{
  struct stream *s = piece->stream;
  struct err e = { 0 };
  size_t got = 0;
  int r;

  queue_remove (p, piece);
  piece->state = LOADING;
  s->loading++;
  pthread_mutex_unlock (&p->lock);
  r = s->source.read (s->source.self, s->source.id, piece->data, piece->len,
                      piece->off, &got, &e);
  pthread_mutex_lock (&p->lock);
  /* An error is not kept: the reader will meet it. */
  piece->state = r == 0 && got == piece->len ? READY : EMPTY;
  pthread_cond_broadcast (&p->loaded);
  if (--s->loading == 0 && s->closed)
    stream_free (s);
}

static void *
prefetch_thread (void *arg)
{
  struct prefetch *p = arg;

  pthread_mutex_lock (&p->lock);
  while (!p->stopping)
    if (p->queue) {
      load (p, p->queue);
    } else {
      p->n_idle++;
      pthread_cond_wait (&p->work, &p->lock);
      p->n_idle--;
    }
  p->n_running--;
  pthread_cond_signal (&p->left);
  pthread_mutex_unlock (&p->lock);
  return NULL;
}

/* Called with the lock held.  Without a thread the reader will do it. */
static void
provide_thread (struct prefetch *p)
{
  if (p->n_idle > 0)
    pthread_cond_signal (&p->work);
  else if (p->n_started < p->max_threads &&
           pthread_create (&p->threads[p->n_started], NULL, prefetch_thread,
                           p) == 0) {
    p->n_started++;
    p->n_running++;
  }
}

bool
prefetch_stop (struct prefetch *p, unsigned ms)
{
  struct timespec until;
  int r = 0;
  LOCK_SCOPE (&p->lock);

  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long) (ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  p->stopping = true;
  queue_clear (p, NULL);
  pthread_cond_broadcast (&p->work);
  while (p->n_running > 0 && r != ETIMEDOUT)
    r = pthread_cond_timedwait (&p->left, &p->lock, &until);
  return p->n_running == 0;
}

/* --- what to read ahead ---------------------------------------------- */

struct stream *
stream_open (struct prefetch *p, const struct stream_source *source,
             uint64_t size, struct err *e)
{
  struct stream *s = calloc (1, sizeof *s);

  if (!s) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  s->pool = p;
  s->source = *source;
  s->size = size;
  return s;
}

uint64_t
stream_size (const struct stream *s)
{
  return s->size;
}

void
stream_close (struct stream *s)
{
  if (!s)
    return;
  /* The pool outlives its streams. */
  LOCK_SCOPE (&s->pool->lock);
  queue_clear (s->pool, s);
  s->closed = true;
  if (s->loading == 0)
    stream_free (s);
}

/* The piece of S that holds OFF, if there is one. */
static struct piece *
find (struct stream *s, uint64_t off)
{
  off -= off % PIECE;
  for (unsigned i = 0; s->pieces && i < s->pool->n_pieces; i++)
    if (s->pieces[i].state != EMPTY && s->pieces[i].off == off)
      return &s->pieces[i];
  return NULL;
}

/* Has the reader left it behind, or gone elsewhere? */
static bool
is_useless (const struct stream *s, const struct piece *piece)
{
  return piece->state == READY && piece->users == 0 &&
         (piece->off + piece->len <= s->pos ||
          piece->off > s->pos + (s->pool->window + 1) * PIECE);
}

/* A piece that can be used anew, of those behind the one farthest behind. */
static struct piece *
find_free (struct stream *s)
{
  struct piece *best = NULL, *piece;

  for (unsigned i = 0; i < s->pool->n_pieces; i++) {
    piece = &s->pieces[i];
    if (piece->state == EMPTY)
      return piece;
    if (is_useless (s, piece) && (!best || piece->off < best->off))
      best = piece;
  }
  return best;
}

static bool
provide_buffer (struct prefetch *p, struct piece *piece)
{
  if (piece->data)
    return true;
  if (p->n_buffers >= PREFETCH_MAX_PIECES)
    return false;
  piece->data = malloc (PIECE);
  p->n_buffers += piece->data != NULL;
  return piece->data;
}

/* Called with the lock held. */
static void
enqueue (struct stream *s, uint64_t off)
{
  struct prefetch *p = s->pool;
  struct piece *piece;

  if (!s->pieces)
    s->pieces = calloc (p->n_pieces, sizeof *s->pieces);
  if (!s->pieces || p->stopping || off < s->pos || find (s, off))
    return;
  piece = find_free (s);
  if (!piece || !provide_buffer (p, piece))
    return;
  piece->stream = s;
  piece->off = off;
  piece->len = (size_t) MIN (PIECE, s->size - off);
  queue_add (p, piece);
  provide_thread (p);
}

/* Called with the lock held. */
static void
note_read (struct stream *s, uint64_t off, size_t len)
{
  uint64_t end = off + len;

  if (off + SLACK < s->pos || off > s->pos + SLACK) { /* a jump */
    queue_clear (s->pool, s);
    s->run = 0;
    s->planned = 0;
    s->pos = off;
  }
  if (end <= s->pos)
    return;
  s->run += MIN (len, end - s->pos);
  s->pos = end;
}

/* Takes on what is to be looked at now.  false: nothing.  Called with the
 * lock held. */
static bool
plan (struct stream *s, uint64_t *ret_from, uint64_t *ret_to)
{
  uint64_t first = round_up (s->pos, PIECE);
  uint64_t to = MIN (first + s->pool->window * PIECE, s->size);

  if (s->run < START || s->pool->window == 0 || s->pool->stopping)
    return false;
  *ret_from = MAX (s->planned, first);
  *ret_to = to;
  if (*ret_from >= to)
    return false;
  s->planned = to;
  return true;
}

/* Is some of it compressed?  Whoever reads meets the errors. */
static bool
is_compressed (const struct stream *s, uint64_t off, uint64_t len)
{
  const struct stream_source *source = &s->source;
  struct extent x;
  struct err e;

  for (; len > 0; off += x.length, len -= x.length) {
    if (source->map (source->self, source->id, off, len, &x, &e) == -1)
      return false;
    if (x.kind == EXTENT_COMPRESSED)
      return true;
  }
  return false;
}

static void
read_ahead (struct stream *s, uint64_t from, uint64_t to)
{
  for (; from < to; from = round_up (from + 1, PIECE))
    if (is_compressed (s, from, MIN (PIECE, to - from))) {
      LOCK_SCOPE (&s->pool->lock);
      enqueue (s, from);
    }
}

/* --- reading --------------------------------------------------------- */

/* The piece for OFF, once it is ready; NULL: read it yourself.  Called with
 * the lock held. */
static struct piece *
await_piece (struct stream *s, uint64_t off)
{
  struct piece *piece;

  while ((piece = find (s, off)) && piece->state == LOADING)
    pthread_cond_wait (&s->pool->loaded, &s->pool->lock);
  if (!piece || piece->state == READY)
    return piece;
  queue_remove (s->pool, piece); /* nobody has begun it */
  return NULL;
}

/* How much of LEN bytes at OFF no piece has.  Called with the lock held. */
static size_t
count_without (struct stream *s, size_t len, uint64_t off)
{
  uint64_t end = off + len, at = off - off % PIECE + PIECE;

  while (at < end && !find (s, at))
    at += PIECE;
  return (size_t) (MIN (at, end) - off);
}

/* As much of it as lies together.  Called and returns with the lock held. */
static int
read_some (struct stream *s, char *to, size_t len, uint64_t off, size_t *ret,
           struct err *e)
{
  const struct stream_source *source = &s->source;
  struct piece *piece = await_piece (s, off);
  pthread_mutex_t *lock = &s->pool->lock;
  int r = 0;

  if (piece) {
    *ret = (size_t) MIN (len, piece->off + piece->len - off);
    piece->users++;
    pthread_mutex_unlock (lock);
    memcpy (to, piece->data + (off - piece->off), *ret);
    pthread_mutex_lock (lock);
    piece->users--;
    return 0;
  }
  len = count_without (s, len, off);
  pthread_mutex_unlock (lock);
  r = source->read (source->self, source->id, to, len, off, ret, e);
  pthread_mutex_lock (lock);
  return r;
}

int
stream_read (struct stream *s, void *buf, size_t len, uint64_t off,
             size_t *ret, struct err *e)
{
  uint64_t from = 0, to = 0;
  size_t done = 0, n = 0;
  bool ahead;

  len = off < s->size ? (size_t) MIN (len, s->size - off) : 0;
  pthread_mutex_lock (&s->pool->lock);
  note_read (s, off, len);
  ahead = plan (s, &from, &to);
  pthread_mutex_unlock (&s->pool->lock);
  if (ahead)
    read_ahead (s, from, to);

  LOCK_SCOPE (&s->pool->lock);
  for (; done < len; done += n) {
    if (read_some (s, (char *) buf + done, len - done, off + done, &n, e) ==
        -1)
      return -1;
    if (n == 0)
      break;
  }
  *ret = done;
  return 0;
}
