/* xrayfs: compute-once cells
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <semaphore.h>

#include "base/lazy.h"
#include "test.h"

struct counted {
  struct lazy cell;
  _Atomic int calls;
  int fail_first; /* errno of the first call, or 0 */
  sem_t *wait_for;
  int value;
};

static int
compute (void *arg, struct err *e)
{
  struct counted *c = arg;

  if (c->wait_for)
    sem_wait (c->wait_for);
  if (c->calls++ == 0 && c->fail_first)
    return err_set (e, c->fail_first, "the first time");
  c->value = 42;
  return 0;
}

static int
get (struct counted *c, struct err *e)
{
  return lazy_get (&c->cell, compute, c, e);
}

static void
value_is_computed_once (void)
{
  struct counted c = { 0 };
  struct err e = { 0 };

  lazy_init (&c.cell, NULL, NULL);
  CHECK (!lazy_ready (&c.cell));
  CHECK_OK (get (&c, &e));
  CHECK_OK (get (&c, &e));
  CHECK (c.calls == 1 && lazy_ready (&c.cell));
  lazy_destroy (&c.cell);
}

static void
an_error_is_kept_unless_it_may_pass (void)
{
  struct counted kept = { .fail_first = EIO },
                 passes = { .fail_first = EINTR };
  struct err e = { 0 };

  lazy_init (&kept.cell, NULL, NULL);
  lazy_init (&passes.cell, NULL, NULL);
  CHECK (get (&kept, &e) == -1);
  err_clear (&e);
  CHECK (get (&kept, &e) == -1 && kept.calls == 1);
  CHECK_STR (e.msg, "the first time");
  err_clear (&e);
  CHECK (get (&passes, &e) == -1 && !lazy_ready (&passes.cell));
  err_clear (&e);
  CHECK_OK (get (&passes, &e));
  CHECK (passes.calls == 2);
  lazy_destroy (&kept.cell);
  lazy_destroy (&passes.cell);
}

static int
ask_itself (void *arg, struct err *e)
{
  return lazy_get (arg, ask_itself, arg, e);
}

static void
a_cell_that_asks_for_itself_is_told (void)
{
  struct err e = { 0 };
  struct lazy l;

  lazy_init (&l, NULL, NULL);
  CHECK (lazy_get (&l, ask_itself, &l, &e) == -1 && e.code == EDEADLK);
  lazy_destroy (&l);
}

static void *
thread (void *arg)
{
  struct err e = { 0 };

  CHECK (get (arg, &e) == 0);
  CHECK (((struct counted *) arg)->value == 42);
  return NULL;
}

static void
see_running (void *arg, const char *name, uint64_t done, uint64_t total)
{
  CHECK_STR (name, "slow");
  CHECK (done == 0 && total == 0);
  ++*(int *) arg;
}

static void
threads_wait_for_the_one_that_computes (void)
{
  struct lazy_registry r;
  struct counted c = { 0 };
  pthread_t threads[8];
  int running = 0;
  sem_t go;

  sem_init (&go, 0, 0);
  c.wait_for = &go;
  lazy_registry_init (&r);
  lazy_init (&c.cell, "slow", &r);
  for (int i = 0; i < 8; i++)
    CHECK (pthread_create (&threads[i], NULL, thread, &c) == 0);
  while (!running)
    lazy_each_running (&r, see_running, &running);
  CHECK (running == 1);
  sem_post (&go);
  for (int i = 0; i < 8; i++)
    pthread_join (threads[i], NULL);
  CHECK (c.calls == 1);
  running = 0;
  lazy_each_running (&r, see_running, &running);
  CHECK (running == 0);
  lazy_destroy (&c.cell);
  lazy_registry_destroy (&r);
  sem_destroy (&go);
}

int
main (void)
{
  value_is_computed_once ();
  an_error_is_kept_unless_it_may_pass ();
  a_cell_that_asks_for_itself_is_told ();
  threads_wait_for_the_one_that_computes ();
  return 0;
}
