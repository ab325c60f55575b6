/* xrayfs: a file descriptor for libblkid
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libblkid reads a file descriptor and nothing else.  A spool is a sparse
 * memfd of the block's size that holds only the windows that its probers
 * read; no root, no FUSE, no temporary file.
 *
 * Everything that was not copied reads as zeros, which libblkid would take
 * for "nothing there".  So a window that cannot be read is an error of the
 * spool, never a hole in it.
 */
#ifndef XRAYFS_VOLUME_SPOOL_H
#define XRAYFS_VOLUME_SPOOL_H

#include "block/block.h"

/* Returns a memfd, owned by the caller, or -1.  It holds what the superblock
 * probers read; tables that lie elsewhere (logical partitions, the entries of
 * a GPT) are added by table_scout.c.
 * Errors: those of reading BLOCK; EINVAL for a superblock whose numbers would
 * make libblkid read more than a few MiB at once. */
int spool_open (struct block *block, struct err *e) must_check nonnull (1, 2);

/* Copies one more window, cut at the block's end. */
int spool_add (int fd, struct block *block, uint64_t off, uint64_t len,
               struct err *e) must_check nonnull (2, 5);

/* Reads LEN bytes into BUF and copies them as well: what we looked at to
 * follow a structure, libblkid will look at too.  Returns 1, 0 if they do not
 * lie within the block (libblkid takes that for "not there"), or -1. */
int spool_look (int fd, struct block *block, uint64_t off, void *buf,
                size_t len, struct err *e) must_check nonnull (2, 4, 6);

#endif
