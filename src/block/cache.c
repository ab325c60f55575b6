/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define SHARDS  16
#define BUCKETS 1024 /* per shard */

struct entry {
  struct cache_entry pub;
  const void *owner;
  uint64_t key;
  unsigned pins;
  bool loading;
  bool failed;                 /* taken out of its bucket; waiters give up */
  struct err err;              /* of the failed load */
  struct entry *chain;         /* in its bucket */
  struct entry *older, *newer; /* in the LRU list */
};

struct shard {
  pthread_mutex_t lock;
  pthread_cond_t loaded;
  size_t used, budget;
  struct entry *buckets[BUCKETS];
  struct entry *oldest, *newest;
};

struct cache {
  struct shard shards[SHARDS];
};

struct cache *
cache_new (size_t budget)
{
  struct cache *c = calloc (1, sizeof *c);

  for (size_t i = 0; c && i < SHARDS; i++) {
    pthread_mutex_init (&c->shards[i].lock, NULL);
    pthread_cond_init (&c->shards[i].loaded, NULL);
    c->shards[i].budget = budget / SHARDS;
  }
  return c;
}

static void
entry_free (struct entry *n)
{
  free (n->pub.data);
  free (n);
}

void
cache_free (struct cache *c)
{
  struct entry *n, *newer;

  if (!c)
    return;
  for (size_t i = 0; i < SHARDS; i++) {
    for (n = c->shards[i].oldest; n; n = newer) {
      newer = n->newer;
      entry_free (n);
    }
    pthread_mutex_destroy (&c->shards[i].lock);
    pthread_cond_destroy (&c->shards[i].loaded);
  }
  free (c);
}

/* A number, never dereferenced. */
const void *
cache_new_owner (void)
{
  static _Atomic uintptr_t last;

  return (const void *) ++last;
}

static uint64_t
hash (const void *owner, uint64_t key)
{
  uint64_t h = (key ^ (uintptr_t) owner) * UINT64_C (0x9e3779b97f4a7c15);

  return h ^ (h >> 29);
}

static struct entry **
bucket_of (struct shard *s, const void *owner, uint64_t key)
{
  return &s->buckets[(hash (owner, key) / SHARDS) % BUCKETS];
}

static void
lru_remove (struct shard *s, struct entry *n)
{
  *(n->older ? &n->older->newer : &s->oldest) = n->newer;
  *(n->newer ? &n->newer->older : &s->newest) = n->older;
  n->older = n->newer = NULL;
}

static void
lru_append (struct shard *s, struct entry *n)
{
  n->older = s->newest;
  n->newer = NULL;
  *(s->newest ? &s->newest->newer : &s->oldest) = n;
  s->newest = n;
}

/* Out of the index; the memory is freed by who holds the last pin. */
static void
forget (struct shard *s, struct entry *n)
{
  struct entry **p = bucket_of (s, n->owner, n->key);

  while (*p != n)
    p = &(*p)->chain;
  *p = n->chain;
  lru_remove (s, n);
  s->used -= n->pub.size;
}

static void
evict (struct shard *s)
{
  struct entry *n = s->oldest, *newer;

  for (; n && s->used > s->budget; n = newer) {
    newer = n->newer;
    if (n->pins)
      continue;
    forget (s, n);
    entry_free (n);
  }
}

static struct entry *
insert (struct shard *s, const void *owner, uint64_t key, size_t size,
        struct err *e)
{
  struct entry *n = calloc (1, sizeof *n), **bucket;

  if (n)
    n->pub.data = malloc (size ? size : 1);
  if (!n || !n->pub.data) {
    free (n);
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  n->owner = owner;
  n->key = key;
  n->pub.size = size;
  n->loading = true;
  bucket = bucket_of (s, owner, key);
  n->chain = *bucket;
  *bucket = n;
  lru_append (s, n);
  s->used += size;
  return n;
}

static struct entry *
find (struct shard *s, const void *owner, uint64_t key, size_t size)
{
  struct entry *n = *bucket_of (s, owner, key);

  while (n && (n->owner != owner || n->key != key || n->pub.size != size))
    n = n->chain;
  return n;
}

/* Drops one pin of a failed entry, and the entry with the last. */
static void
unpin_failed (struct entry *n)
{
  if (--n->pins == 0)
    entry_free (n);
}

/* Waits until N (pinned by us) is loaded.  Called with the lock held. */
static int
wait_loaded (struct shard *s, struct entry *n, struct err *e)
{
  while (n->loading)
    pthread_cond_wait (&s->loaded, &s->lock);
  if (!n->failed)
    return 0;
  *e = n->err;
  unpin_failed (n);
  return -1;
}

int
cache_get (struct cache *c, const void *owner, uint64_t key, size_t size,
           int (*load) (void *, void *, size_t, struct err *), void *arg,
           struct cache_entry **ret, struct err *e)
{
  struct shard *s = &c->shards[hash (owner, key) % SHARDS];
  struct entry *n;
  int r;

  pthread_mutex_lock (&s->lock);
  n = find (s, owner, key, size);
  if (n) {
    n->pins++;
    lru_remove (s, n);
    lru_append (s, n);
    r = wait_loaded (s, n, e);
    pthread_mutex_unlock (&s->lock);
    if (r == 0)
      *ret = &n->pub;
    return r;
  }
  n = insert (s, owner, key, size, e);
  if (n)
    n->pins++;
  pthread_mutex_unlock (&s->lock);
  if (!n)
    return -1;

  r = load (arg, n->pub.data, size, e);

  pthread_mutex_lock (&s->lock);
  n->loading = false;
  if (r == -1) {
    n->failed = true;
    n->err = *e;
    forget (s, n);
    unpin_failed (n);
  }
  evict (s);
  pthread_cond_broadcast (&s->loaded);
  pthread_mutex_unlock (&s->lock);
  if (r == 0)
    *ret = &n->pub;
  return r;
}

void
cache_release (struct cache *c, struct cache_entry *entry)
{
  struct entry *n = (struct entry *) entry;
  struct shard *s;

  if (!entry)
    return;
  s = &c->shards[hash (n->owner, n->key) % SHARDS];
  LOCK_SCOPE (&s->lock);
  n->pins--;
  evict (s);
}

int
cache_read (struct cache *c, const void *owner, uint64_t key, size_t size,
            int (*load) (void *arg, void *data, size_t size, struct err *e),
            void *arg, void *buf, size_t len, uint64_t within, struct err *e)
{
  struct cache_entry *entry = NULL;

  if (len == size)
    return load (arg, buf, size, e);
  if (cache_get (c, owner, key, size, load, arg, &entry, e) == -1)
    return -1;
  memcpy (buf, (const char *) entry->data + within, len);
  cache_release (c, entry);
  return 0;
}
