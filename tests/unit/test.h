/* xrayfs: what every unit test shares
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test is a program: exit 0 passed, 77 skipped, anything else failed.
 */
#ifndef XRAYFS_TESTS_UNIT_TEST_H
#define XRAYFS_TESTS_UNIT_TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define CHECK(cond)                                                          \
  do {                                                                       \
    if (!(cond)) {                                                           \
      fprintf (stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);            \
      exit (1);                                                              \
    }                                                                        \
  } while (0)

/* For a call that returns -1 and fills the error `e`. */
#define CHECK_OK(call)                                                       \
  do {                                                                       \
    if ((call) == -1) {                                                      \
      fprintf (stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, e.msg); \
      exit (1);                                                              \
    }                                                                        \
  } while (0)

#define CHECK_STR(got, want)                                                 \
  do {                                                                       \
    const char *got_ = (got), *want_ = (want);                               \
    if (!got_ || strcmp (got_, want_)) {                                     \
      fprintf (stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__,        \
               __LINE__, #got, got_ ? got_ : "(null)", want_);               \
      exit (1);                                                              \
    }                                                                        \
  } while (0)

#endif
