/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locking.  One lock, never held while computing, replying, or calling
 * libfuse.  libfuse calls an interrupt function with the request's own lock
 * held, and we take ours inside; so the order is request, then ours.
 *
 * Exactly one reply.  A request is answered by whoever moves its task out of
 * a waiting state, under the lock:
 *   NEW        being submitted; an interrupt only marks it, and the submitter
 *              answers (libfuse may call the interrupt function from inside
 *              fuse_req_interrupt_func, where replying would free the
 *              request under libfuse's feet)
 *   QUEUED     the interrupt function unlinks it, answers and frees it
 *   RUNNING    the interrupt function answers; the thread frees it later
 *   DONE       the thread answers; a late interrupt does nothing
 * Before a thread answers it calls fuse_req_interrupt_func (req, NULL, NULL),
 * which waits for an interrupt function that has read its argument already
 * and is about to look at the task.
 */
#include "front/eval.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum task_state { NEW, INTERRUPTED, QUEUED, RUNNING, ABANDONED, DONE };

struct job {
  fuse_ino_t node;
  struct task *first, **last;
  struct job *next;      /* in all jobs */
  struct job *next_wait; /* in the queue of jobs without a thread */
};

struct eval {
  pthread_mutex_t lock;
  pthread_cond_t work; /* a job was queued, or stop */
  pthread_cond_t left; /* a thread left */
  struct job *jobs;
  struct job *waiting, **waiting_last;
  unsigned n_waiting, n_threads, n_idle;
  bool stopping;
  bool has_gone; /* gone: the last thread that left, not joined yet */
  pthread_t gone;
};

struct eval *
eval_new (void)
{
  struct eval *ev = calloc (1, sizeof *ev);
  pthread_condattr_t attr;

  if (!ev)
    return NULL;
  ev->waiting_last = &ev->waiting;
  pthread_mutex_init (&ev->lock, NULL);
  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (&ev->work, &attr);
  pthread_cond_init (&ev->left, &attr);
  pthread_condattr_destroy (&attr);
  return ev;
}

void
eval_free (struct eval *ev)
{
  if (!ev)
    return;
  if (ev->has_gone)
    pthread_join (ev->gone, NULL);
  pthread_cond_destroy (&ev->left);
  pthread_cond_destroy (&ev->work);
  pthread_mutex_destroy (&ev->lock);
  free (ev);
}

static struct timespec
in_ms (unsigned ms)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  t.tv_sec += ms / 1000;
  t.tv_nsec += (long) (ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

/* --- jobs and their tasks; all with the lock held -------------------- */

static struct job *
find_job (struct eval *ev, fuse_ino_t node)
{
  struct job *j = ev->jobs;

  while (j && j->node != node)
    j = j->next;
  return j;
}

static struct job *
add_job (struct eval *ev, fuse_ino_t node)
{
  struct job *j = calloc (1, sizeof *j);

  if (!j)
    return NULL;
  j->node = node;
  j->last = &j->first;
  j->next = ev->jobs;
  ev->jobs = j;
  *ev->waiting_last = j;
  ev->waiting_last = &j->next_wait;
  ev->n_waiting++;
  return j;
}

static void
remove_job (struct eval *ev, struct job *j)
{
  struct job **p = &ev->jobs;

  while (*p != j)
    p = &(*p)->next;
  *p = j->next;
  free (j);
}

static struct job *
next_waiting (struct eval *ev)
{
  struct job *j = ev->waiting;

  if (!j)
    return NULL;
  ev->waiting = j->next_wait;
  if (!ev->waiting)
    ev->waiting_last = &ev->waiting;
  ev->n_waiting--;
  return j;
}

static void
add_task (struct job *j, struct task *t)
{
  t->job = j;
  t->next = NULL;
  t->state = QUEUED;
  *j->last = t;
  j->last = &t->next;
}

static struct task *
next_task (struct job *j)
{
  struct task *t = j->first;

  if (!t)
    return NULL;
  j->first = t->next;
  if (!j->first)
    j->last = &j->first;
  return t;
}

static void
unlink_task (struct task *t)
{
  struct job *j = t->job;
  struct task **p = &j->first;

  while (*p != t)
    p = &(*p)->next;
  *p = t->next;
  if (!t->next)
    j->last = p;
}

/* --- interrupts ------------------------------------------------------ */

static void
on_interrupt (fuse_req_t req, void *arg)
{
  struct task *t = arg;
  struct eval *ev = t->eval;
  int was;

  pthread_mutex_lock (&ev->lock);
  was = t->state;
  if (was == NEW)
    t->state = INTERRUPTED;
  else if (was == QUEUED)
    unlink_task (t);
  else if (was == RUNNING)
    t->state = ABANDONED; /* from here on the thread may free it */
  pthread_mutex_unlock (&ev->lock);

  if (was == QUEUED)
    t->destroy (t);
  if (was == QUEUED || was == RUNNING)
    fuse_reply_err (req, EINTR);
}

static void
answer_error (struct task *t, int code)
{
  fuse_req_interrupt_func (t->req, NULL, NULL);
  fuse_reply_err (t->req, code);
  t->destroy (t);
}

/* --- threads --------------------------------------------------------- */

/* Called and returns with the lock held. */
static void
run_task (struct eval *ev, struct task *t)
{
  bool wanted;

  t->state = RUNNING;
  pthread_mutex_unlock (&ev->lock);
  t->compute (t);
  pthread_mutex_lock (&ev->lock);
  wanted = t->state == RUNNING;
  t->state = DONE;
  pthread_mutex_unlock (&ev->lock);

  if (wanted) {
    fuse_req_interrupt_func (t->req, NULL, NULL);
    t->reply (t);
  }
  t->destroy (t);
  pthread_mutex_lock (&ev->lock);
}

static void
run_job (struct eval *ev, struct job *j)
{
  struct task *t;

  while ((t = next_task (j)))
    run_task (ev, t);
  remove_job (ev, j);
}

/* Waits for a job.  NULL: time to leave. */
static struct job *
await_job (struct eval *ev)
{
  struct timespec until = in_ms (EVAL_IDLE_SECONDS * 1000);
  struct job *j;
  int r = 0;

  ev->n_idle++;
  while (!(j = next_waiting (ev)) && !ev->stopping && r != ETIMEDOUT)
    r = pthread_cond_timedwait (&ev->work, &ev->lock, &until);
  ev->n_idle--;
  return j;
}

/* A thread that leaves joins the one that left before it; eval_free joins
 * the last.  So none is detached, and none is left behind at the end. */
static void *
eval_thread (void *arg)
{
  struct eval *ev = arg;
  struct job *j;
  pthread_t before;
  bool join;

  pthread_mutex_lock (&ev->lock);
  while ((j = await_job (ev)))
    run_job (ev, j);
  join = ev->has_gone;
  before = ev->gone;
  ev->has_gone = true;
  ev->gone = pthread_self ();
  ev->n_threads--;
  pthread_cond_signal (&ev->left);
  pthread_mutex_unlock (&ev->lock);
  if (join)
    pthread_join (before, NULL);
  return NULL;
}

/* Sees to it that each waiting job has an idle thread, if there may be one
 * more.  Called with the lock held. */
static void
provide_thread (struct eval *ev)
{
  pthread_t thread;

  if (ev->n_idle >= ev->n_waiting) {
    pthread_cond_signal (&ev->work);
    return;
  }
  if (ev->n_threads >= EVAL_MAX_THREADS)
    return; /* the next thread that becomes free takes it */
  ev->n_threads++;
  if (pthread_create (&thread, NULL, eval_thread, ev) == 0)
    return;
  ev->n_threads--;
  if (ev->n_threads == 0)
    run_job (ev, next_waiting (ev)); /* slower, but it goes on */
}

/* Called with the lock held.  Returns an errno when T was not taken. */
static int
enqueue (struct eval *ev, struct task *t)
{
  struct job *j;

  if (t->state == INTERRUPTED)
    return EINTR;
  if (ev->stopping)
    return ENODEV;
  j = find_job (ev, t->node);
  if (j) {
    add_task (j, t);
    return 0;
  }
  j = add_job (ev, t->node);
  if (!j)
    return ENOMEM;
  add_task (j, t);
  provide_thread (ev);
  return 0;
}

void
eval_submit (struct eval *ev, struct task *t)
{
  int r;

  t->eval = ev;
  t->state = NEW;
  fuse_req_interrupt_func (t->req, on_interrupt, t);
  pthread_mutex_lock (&ev->lock);
  r = enqueue (ev, t);
  if (r)
    t->state = DONE;
  pthread_mutex_unlock (&ev->lock);
  if (r)
    answer_error (t, r);
}

void
eval_here (struct task *t)
{
  t->compute (t);
  t->reply (t);
  t->destroy (t);
}

/* Takes all tasks that no thread has begun; the list is linked by next. */
static struct task *
take_queued (struct eval *ev)
{
  struct task *all = NULL, *t;

  for (struct job *j = ev->jobs; j; j = j->next)
    while ((t = next_task (j))) {
      t->state = DONE;
      t->next = all;
      all = t;
    }
  return all;
}

bool
eval_stop (struct eval *ev, unsigned ms)
{
  struct timespec until = in_ms (ms);
  struct task *queued, *t;
  bool all_left;
  int r = 0;

  pthread_mutex_lock (&ev->lock);
  ev->stopping = true;
  queued = take_queued (ev);
  pthread_cond_broadcast (&ev->work);
  pthread_mutex_unlock (&ev->lock);
  while ((t = queued)) {
    queued = t->next;
    answer_error (t, ENODEV);
  }

  pthread_mutex_lock (&ev->lock);
  while (ev->n_threads > 0 && r != ETIMEDOUT)
    r = pthread_cond_timedwait (&ev->left, &ev->lock, &until);
  all_left = ev->n_threads == 0;
  pthread_mutex_unlock (&ev->lock);
  return all_left;
}
