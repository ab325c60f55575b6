/* xrayfs: requests that have to wait for an inspection
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FUSE's own threads never wait for a finding: what tree_ready says is not
 * ready is handed over as a task, computed by an evaluation thread, and
 * answered from there.
 *
 * - Tasks of one node form one job, which one thread works off: N readers of
 *   the same slow finding take one thread, and after the first they find the
 *   value there.
 * - Each job that can start at once does: threads are made as needed, up to
 *   EVAL_MAX_THREADS, and leave after EVAL_IDLE_SECONDS without work.  So a
 *   slow finding delays a fast one only when that many *different* nodes are
 *   being computed or waited for; findings that are ready never come here.
 * - An interrupted request is answered EINTR at once.  Its computation goes
 *   on (others may want the value) and the value is kept by its cell.
 */
#ifndef XRAYFS_FRONT_EVAL_H
#define XRAYFS_FRONT_EVAL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <stdbool.h>

#include "base/cleanup.h"

#define EVAL_MAX_THREADS  64
#define EVAL_IDLE_SECONDS 5

struct eval;
struct job;

/* One request.  Embed it as the first member of what the operation needs. */
struct task {
  fuse_req_t req;
  fuse_ino_t node;
  void (*compute) (struct task *t); /* may take long, does not reply */
  void (*reply) (struct task *t);   /* sends the one reply */
  void (*destroy) (struct task *t); /* the request is not touched */

  /* eval.c's own */
  struct eval *eval;
  struct job *job;
  struct task *next;
  int state;
};

struct eval *eval_new (void);

/* Computes and replies in another thread.  T is taken over. */
void eval_submit (struct eval *ev, struct task *t) nonnull (1, 2);

/* The same at once, in this thread. */
void eval_here (struct task *t) nonnull (1);

/* Answers what is queued with an error, and waits at most MS milliseconds for
 * what is being computed (cancel it first).  true: all threads have left. */
bool eval_stop (struct eval *ev, unsigned ms) must_check nonnull (1);

/* Only after eval_stop returned true.  NULL is fine. */
void eval_free (struct eval *ev);

#endif
