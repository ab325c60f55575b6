/* xrayfs: open files and directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A handle does not change after open, but that the first use of a file's
 * bytes makes their stream, so it needs no lock; the kernel releases it after
 * the last operation on it was answered.  Who answers from
 * the handle's own memory holds it (handle_hold): the release can come while
 * the call that sent the answer has not returned.  All handles are on a list,
 * since a mount can end without the kernel releasing them.
 */
#ifndef XRAYFS_FRONT_HANDLE_H
#define XRAYFS_FRONT_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/vec.h"
#include "block/prefetch.h"
#include "tree/tree.h"

struct entry {
  size_t name; /* offset in names */
  node_id id;
  unsigned type; /* DT_* */
};
DEFINE_VEC (entry_vec, struct entry)

struct handle {
  struct handle *next, **prev;
  _Atomic unsigned holders; /* who opened it, and answers under way */
  node_id id;
  bool text_only;                /* a finding: all of it is in text */
  struct buf text;               /* the snapshot of a finding */
  struct stream *_Atomic stream; /* raw bytes; NULL until they are used */
  struct buf names;              /* a directory: NUL-terminated names */
  struct entry_vec entries;
};

struct handles {
  pthread_mutex_t lock;
  struct handle *all;
};

void handles_init (struct handles *hs) nonnull (1);
void handles_destroy (struct handles *hs) nonnull (1); /* frees all */

/* NULL and ENOMEM. */
struct handle *handle_new (struct handles *hs, node_id id, struct err *e)
    nonnull (1, 3);
void handle_hold (struct handle *h) nonnull (1);
/* Frees H when nobody else holds it.  NULL is fine. */
void handle_free (struct handles *hs, struct handle *h);

/* Fills H from the tree: a finding's text, a directory's entries. */
int handle_read_finding (struct handle *h, struct tree *t,
                         struct err *e) must_check;
int handle_read_directory (struct handle *h, struct tree *t,
                           struct err *e) must_check;

/* The raw bytes that H is open on, read through P.  Looked at when they are
 * first used: most of the files that a second walk over a tree opens are in
 * the kernel's cache, and opening one is answered without a look at the
 * image.  NULL and an error. */
struct stream *handle_bytes (struct handle *h, struct tree *t,
                             struct prefetch *p, struct err *e) must_check;

static inline const char *
handle_name (const struct handle *h, size_t i)
{
  return buf_str (&h->names) + h->entries.items[i].name;
}

#endif
