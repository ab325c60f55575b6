/* xrayfs: libraries that are loaded when they are first needed
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A library that few images need is not linked: with what it pulls in itself,
 * it would cost each start more than all the rest of `xrayfs cat`.  A file
 * that needs one lists the functions that it calls, the name cut behind the
 * prefix, and calls them through a struct of pointers of their own types:
 *
 *   #define WIM_FUNCTIONS(F) F (wimlib, decompress) F (wimlib, ...)
 *   LIBRARY (wim, LIBWIM, WIM_FUNCTIONS);
 *   ...
 *   if (library_load (&wim_library, e) == -1)
 *     return -1;
 *   wim.decompress (...);
 *
 * LIBWIM is the soname of what configure found, so that the headers are
 * right for it.
 */
#ifndef XRAYFS_BASE_LIBRARY_H
#define XRAYFS_BASE_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct library {
  const char *soname;
  const char *const *names; /* of functions */
  void *functions;          /* a struct of pointers to them, in this order */
  size_t n;
  pthread_mutex_t lock; /* over LOADED */
  bool loaded;
};

#define LIBRARY_POINTER(prefix, name) __typeof__ (prefix##_##name) *name;
#define LIBRARY_NAME(prefix, name)    #prefix "_" #name,

#define LIBRARY(lib, so, each)                                               \
  static struct {                                                            \
    each (LIBRARY_POINTER)                                                   \
  } lib;                                                                     \
  static const char *const lib##_names[] = { each (LIBRARY_NAME) };          \
  static struct library lib##_library = { .soname = so,                      \
                                          .names = lib##_names,              \
                                          .functions = &lib,                 \
                                          .n = ARRAY_SIZE (lib##_names),     \
                                          .lock =                            \
                                              PTHREAD_MUTEX_INITIALIZER }

/* Loads L if it is not; it stays.  Errors: ENOTSUP, with the loader's words.
 * Before it has returned 0, no function of L may be called. */
int library_load (struct library *l, struct err *e) must_check nonnull (1, 2);

#endif
