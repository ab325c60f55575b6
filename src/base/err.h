/* xrayfs: the error that travels
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A function that can fail takes a `struct err *` last and returns -1 (or
 * NULL) after the deepest reader has said what is wrong; each layer above
 * prepends one noun that says where.  One phrase, no newline, values quoted.
 *
 *   Right:  return err_set (e, EIO, "cluster at 0x%" PRIx64
 *                           " lies beyond the end of the file", off);
 *   Right:  if (block_pread (b, buf, len, off, e) == -1)
 *             return err_in (e, "L1 table");
 *   Wrong:  return err_set (e, EIO, "failed to read: %s\n", e->msg);
 *             (no "failed to", no newline, no second err_set over a first)
 *   Wrong:  ignoring a -1: call err_clear and say in a comment why.
 *
 * Outputs named ret_x are never touched on failure.
 */
#ifndef XRAYFS_BASE_ERR_H
#define XRAYFS_BASE_ERR_H

#include <errno.h>
#include <stdbool.h>

#include "base/cleanup.h"

struct err {
  int code;      /* an errno value; 0: no error */
  char msg[512]; /* "where: what", truncated at the end if it must be */
};

/* Says what is wrong.  CODE is an errno value.  Always returns -1. */
int err_set (struct err *e, int code, const char *fmt, ...) printf_like (3, 4)
    nonnull (1);

/* Prepends a noun: "FMT: " + what was said before.  Always returns -1. */
int err_in (struct err *e, const char *fmt, ...) printf_like (2, 3)
    nonnull (1);

/* err_set for an errno of the system: "what: strerror". */
int err_sys (struct err *e, int code, const char *fmt, ...) printf_like (3, 4)
    nonnull (1);

void err_clear (struct err *e) nonnull (1);

/* The thing looked for is not there.  This alone makes a "no"; every other
 * error is a "could not look". */
bool err_is_absent (const struct err *e) nonnull (1);

/* The failure may pass (memory, interrupt, time-out): it is not kept. */
bool err_is_transient (const struct err *e) nonnull (1);

#endif
