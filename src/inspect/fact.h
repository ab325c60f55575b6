/* xrayfs: a fact about the image, with its reasons
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every fact is in one of three states, never mixed up: a value (which may
 * be "", "no" or "missing": looked, and it is absent), or unknown with a
 * reason (could not look).  Evidence says what was looked at, where, and
 * what was there, a line each.
 */
#ifndef XRAYFS_INSPECT_FACT_H
#define XRAYFS_INSPECT_FACT_H

#include "base/buf.h"
#include "base/err.h"

struct fact {
  char *value;  /* NULL: unknown */
  char *reason; /* for an unknown value, or why a value is what it is */
  struct buf evidence;
};

/* Setters return -1 only when memory runs out. */
int fact_set (struct fact *f, struct err *e, const char *fmt, ...)
    printf_like (3, 4);
int fact_unknown (struct fact *f, struct err *e, const char *fmt, ...)
    printf_like (3, 4);
/* Unknown because of WHY, which is cleared; a transient WHY is passed on as
 * the caller's own error (-1), since it must not be kept. */
int fact_could_not_look (struct fact *f, struct err *why);
int fact_reason (struct fact *f, struct err *e, const char *fmt, ...)
    printf_like (3, 4);
void fact_evidence (struct fact *f, const char *fmt, ...) printf_like (2, 3);

bool fact_is (const struct fact *f, const char *value);
bool fact_known (const struct fact *f);
void fact_free (struct fact *f);

#endif
