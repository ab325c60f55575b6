/* xrayfs: decoding ahead of a sequential reader
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One reader of compressed data keeps one processor busy.  A stream notices
 * that it is read in sequence, and has the threads of its pool read what
 * comes next into memory of its own, in pieces of 1 MiB; the reader takes
 * from there what is ready, waits for what is being read, and reads all else
 * itself.
 *
 * - Only pieces with compressed extents are read ahead: everything else is a
 *   copy from the host's page cache, which nothing makes faster.
 * - The reader never waits for a piece that no thread has begun.
 * - What goes wrong ahead is forgotten: the reader meets it, and says so.
 * - Memory: PREFETCH_MAX_PIECES for the pool; a stream that gets none is read
 *   without.
 *
 * Locking: one lock for the pool, never held while data move.  All functions
 * may be called from any thread; reads of one stream may come out of order,
 * as the kernel's readahead sends them.
 */
#ifndef XRAYFS_BLOCK_PREFETCH_H
#define XRAYFS_BLOCK_PREFETCH_H

#include "block/block.h"

#define PREFETCH_MAX_THREADS 16
#define PREFETCH_MAX_PIECES  64

struct prefetch;
struct stream;

/* What a stream reads: SELF and ID are handed back. */
struct stream_source {
  /* *RET is less than LEN only at the end. */
  int (*read) (void *self, uint64_t id, void *buf, size_t len, uint64_t off,
               size_t *ret, struct err *e);
  int (*map) (void *self, uint64_t id, uint64_t off, uint64_t len,
              struct extent *ret, struct err *e); /* as block_resolve */
  void *self;
  uint64_t id;
};

/* THREADS at most; 0: as many as there are processors for us.  With one there
 * is nothing to gain, and nothing is read ahead.  NULL: out of memory. */
struct prefetch *prefetch_new (unsigned threads);

/* From now on nothing is read ahead.  Waits at most MS milliseconds for what
 * is being read (cancel it first).  true: all threads have left. */
bool prefetch_stop (struct prefetch *p, unsigned ms) must_check nonnull (1);

/* Only after prefetch_stop returned true, and with all streams closed.  NULL
 * is fine. */
void prefetch_free (struct prefetch *p);

/* A stream of SIZE bytes.  NULL and ENOMEM. */
struct stream *stream_open (struct prefetch *p,
                            const struct stream_source *source, uint64_t size,
                            struct err *e) nonnull (1, 2, 4);

uint64_t stream_size (const struct stream *s) nonnull (1);

/* As the source's read. */
int stream_read (struct stream *s, void *buf, size_t len, uint64_t off,
                 size_t *ret, struct err *e) must_check nonnull (1, 5, 6);

/* With no read of it under way; what is being read ahead is not waited for,
 * so the source outlives the pool.  NULL is fine. */
void stream_close (struct stream *s);

#endif
