/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/lazy.h"

void
lazy_registry_init (struct lazy_registry *r)
{
  pthread_mutex_init (&r->lock, NULL);
  r->running = NULL;
}

void
lazy_registry_destroy (struct lazy_registry *r)
{
  pthread_mutex_destroy (&r->lock);
}

void
lazy_init (struct lazy *l, const char *name, struct lazy_registry *r)
{
  *l = (struct lazy){ .name = name, .registry = r };
  pthread_mutex_init (&l->lock, NULL);
  pthread_cond_init (&l->changed, NULL);
}

void
lazy_destroy (struct lazy *l)
{
  pthread_cond_destroy (&l->changed);
  pthread_mutex_destroy (&l->lock);
}

static void
register_running (struct lazy *l)
{
  struct lazy_registry *r = l->registry;

  if (!r || !l->name)
    return;
  LOCK_SCOPE (&r->lock);
  l->next = r->running;
  l->prev = &r->running;
  if (l->next)
    l->next->prev = &l->next;
  r->running = l;
}

static void
unregister_running (struct lazy *l)
{
  struct lazy_registry *r = l->registry;

  if (!r || !l->name)
    return;
  LOCK_SCOPE (&r->lock);
  *l->prev = l->next;
  if (l->next)
    l->next->prev = l->prev;
}

/* Waits while another thread computes.  Returns 1 when this thread is to
 * compute, 0 when a value or an error is there, -1 for a cell that would
 * wait for itself.  Called and returns with l->lock held. */
static int
claim (struct lazy *l, struct err *e)
{
  while (l->state == LAZY_RUNNING) {
    if (pthread_equal (l->owner, pthread_self ()))
      return err_set (e, EDEADLK, "a finding asks for itself");
    pthread_cond_wait (&l->changed, &l->lock);
  }
  if (l->state != LAZY_EMPTY)
    return 0;
  l->state = LAZY_RUNNING;
  l->owner = pthread_self ();
  l->done = l->total = 0;
  return 1;
}

static int
outcome (struct lazy *l, struct err *e)
{
  if (l->state == LAZY_DONE)
    return 0;
  *e = l->err; /* does not change any more */
  return -1;
}

int
lazy_get (struct lazy *l, int (*compute) (void *, struct err *), void *arg,
          struct err *e)
{
  int mine, r;

  if (l->state >= LAZY_DONE) /* acquire: pairs with the store below */
    return outcome (l, e);
  pthread_mutex_lock (&l->lock);
  mine = claim (l, e);
  pthread_mutex_unlock (&l->lock);
  if (mine == 0)
    return outcome (l, e);
  if (mine == -1)
    return -1;

  register_running (l);
  r = compute (arg, e);
  unregister_running (l);

  pthread_mutex_lock (&l->lock);
  if (r == -1)
    l->err = *e;
  l->state = r == 0                 ? LAZY_DONE
             : err_is_transient (e) ? LAZY_EMPTY
                                    : LAZY_FAILED;
  pthread_cond_broadcast (&l->changed);
  pthread_mutex_unlock (&l->lock);
  return r;
}

bool
lazy_ready (struct lazy *l)
{
  return l->state >= LAZY_DONE;
}

void
lazy_progress (struct lazy *l, uint64_t done, uint64_t total)
{
  l->done = done;
  l->total = total;
}

void
lazy_each_running (struct lazy_registry *r,
                   void (*fn) (void *, const char *, uint64_t, uint64_t),
                   void *arg)
{
  LOCK_SCOPE (&r->lock);
  for (struct lazy *l = r->running; l; l = l->next)
    fn (arg, l->name, l->done, l->total);
}
