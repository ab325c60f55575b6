/* xrayfs: ownership by scope
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   CLEANUP_FREE char *name = strdup (...);     freed when name leaves scope
 *   CLEANUP_CLOSE int fd = open (...);          closed, unless it is -1
 *   CLEANUP_UNLOCK pthread_mutex_t *l = lock_acquire (&mutex);
 *
 * To hand a resource on, steal it: `return steal_ptr (&name);`.
 */
#ifndef XRAYFS_BASE_CLEANUP_H
#define XRAYFS_BASE_CLEANUP_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check        __attribute__ ((warn_unused_result))
#define nonnull(...)      __attribute__ ((nonnull (__VA_ARGS__)))
#define printf_like(f, a) __attribute__ ((format (printf, f, a)))
#define unused_arg        __attribute__ ((unused))

#define ARRAY_SIZE(a) (sizeof (a) / sizeof ((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

static inline void
cleanup_free (void *p)
{
  free (*(void **) p);
}

static inline void
cleanup_close (int *fd)
{
  if (*fd >= 0)
    close (*fd);
}

static inline void
cleanup_fclose (FILE **fp)
{
  if (*fp)
    fclose (*fp);
}

static inline void
cleanup_unlock (pthread_mutex_t **lock)
{
  if (*lock)
    pthread_mutex_unlock (*lock);
}

static inline pthread_mutex_t *
lock_acquire (pthread_mutex_t *lock)
{
  pthread_mutex_lock (lock);
  return lock;
}

#define CLEANUP_FREE   __attribute__ ((cleanup (cleanup_free)))
#define CLEANUP_CLOSE  __attribute__ ((cleanup (cleanup_close)))
#define CLEANUP_FCLOSE __attribute__ ((cleanup (cleanup_fclose)))
#define CLEANUP_UNLOCK __attribute__ ((cleanup (cleanup_unlock)))

/* Holds LOCK until the end of the enclosing scope. */
#define LOCK_SCOPE(lock)                                                     \
  CLEANUP_UNLOCK unused_arg pthread_mutex_t *scope_lock_ = lock_acquire (lock)

/* The value of *P, which is forgotten: ownership goes to the caller. */
#define steal_ptr(p)                                                         \
  ({                                                                         \
    __typeof__ (*(p)) stolen_ = *(p);                                        \
    *(p) = NULL;                                                             \
    stolen_;                                                                 \
  })

static inline int
steal_fd (int *fd)
{
  int stolen = *fd;
  *fd = -1;
  return stolen;
}

#endif
