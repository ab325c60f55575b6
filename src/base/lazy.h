/* xrayfs: compute-once cells
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A cell computes a value at most once, however many threads ask, and keeps
 * the value or the error until the owner frees it.  A transient error
 * (err_is_transient) is not kept: the next caller computes again.
 *
 * Locking: the cell's lock is not held while it computes.  A cell may call
 * others; the graph of facts has no cycles (a cell that asks for itself in
 * the same thread is answered EDEADLK rather than hanging).
 */
#ifndef XRAYFS_BASE_LAZY_H
#define XRAYFS_BASE_LAZY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

/* The cells that are being computed now, for `progress`. */
struct lazy_registry {
  pthread_mutex_t lock;
  struct lazy *running;
};

enum lazy_state { LAZY_EMPTY, LAZY_RUNNING, LAZY_DONE, LAZY_FAILED };

struct lazy {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  _Atomic int state;
  pthread_t owner;  /* valid while LAZY_RUNNING */
  struct err err;   /* valid in LAZY_FAILED */
  const char *name; /* finding path, for progress; may be NULL */
  struct lazy_registry *registry; /* may be NULL */
  struct lazy *next, **prev;      /* in registry->running */
  _Atomic uint64_t done, total;   /* bytes; 0 of 0: not known */
};

void lazy_registry_init (struct lazy_registry *r) nonnull (1);
void lazy_registry_destroy (struct lazy_registry *r) nonnull (1);

/* NAME must outlive the cell. */
void lazy_init (struct lazy *l, const char *name, struct lazy_registry *r)
    nonnull (1);
void lazy_destroy (struct lazy *l) nonnull (1);

/* Makes sure that the value is there: calls COMPUTE (ARG, e) unless it was
 * computed before, waits if another thread is at it.  Returns 0, or -1 with
 * the (kept) error. */
int lazy_get (struct lazy *l, int (*compute) (void *arg, struct err *e),
              void *arg, struct err *e) must_check nonnull (1, 2, 4);

/* Would lazy_get return at once? */
bool lazy_ready (struct lazy *l) nonnull (1);

/* Called by the computing thread. */
void lazy_progress (struct lazy *l, uint64_t done, uint64_t total)
    nonnull (1);

/* Calls FN for each cell being computed. */
void lazy_each_running (struct lazy_registry *r,
                        void (*fn) (void *arg, const char *name,
                                    uint64_t done, uint64_t total),
                        void *arg) nonnull (1, 2);

#endif
