/* xrayfs: text that grows
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_BASE_BUF_H
#define XRAYFS_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* A growing byte string; zero-initialised is empty.  data is always followed
 * by a NUL once anything was added (buf_str gives "" before).  When memory
 * runs out the buffer remembers it (failed) and later calls do nothing, so
 * that a writer checks once, at the end, with buf_check. */
struct buf {
  char *data;
  size_t len;
  size_t cap;
  bool failed;
};

void buf_add (struct buf *b, const void *data, size_t len) nonnull (1);
void buf_puts (struct buf *b, const char *s) nonnull (1, 2);
void buf_printf (struct buf *b, const char *fmt, ...) printf_like (2, 3)
    nonnull (1, 2);

/* Adds WORD, behind a blank unless it is the first. */
void buf_add_word (struct buf *b, const char *word) nonnull (1, 2);

/* Adds guest text as part of one line: control characters become '?',
 * everything else stays as it is. */
void buf_add_line_text (struct buf *b, const char *s, size_t len) nonnull (1);

/* Makes room for LEN more bytes and returns where they go, or NULL (then
 * failed is set).  The caller adds what it wrote to len. */
char *buf_reserve (struct buf *b, size_t len) nonnull (1);

void buf_reset (struct buf *b) nonnull (1); /* empty again, memory kept */
void buf_free (struct buf *b);
const char *buf_str (const struct buf *b) nonnull (1);

/* -1 and ENOMEM if anything was lost. */
int buf_check (const struct buf *b, struct err *e) must_check nonnull (1, 2);

/* *RET becomes a copy of S, which the caller frees; it is left where S is
 * NULL. */
int text_copy (const char *s, char **ret, struct err *e) must_check
    nonnull (2, 3);

static inline void
cleanup_buf (struct buf *b)
{
  buf_free (b);
}
#define CLEANUP_BUF __attribute__ ((cleanup (cleanup_buf)))

#endif
