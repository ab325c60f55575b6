/* xrayfs: memory for answers, used again
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory that malloc gives back to the kernel costs a page fault for each
 * 4 KiB of the next answer.
 */
#ifndef XRAYFS_FRONT_BUFFERS_H
#define XRAYFS_FRONT_BUFFERS_H

#include <pthread.h>
#include <stddef.h>

#include "base/cleanup.h"

#define BUFFER_BYTES                                                         \
  ((size_t) 1 << 20) /* what the kernel asks for at most                     \
                      */
#define BUFFERS_KEPT 16

struct buffers {
  pthread_mutex_t lock;
  unsigned n;
  void *kept[BUFFERS_KEPT];
};

void buffers_init (struct buffers *bs) nonnull (1);
void buffers_destroy (struct buffers *bs) nonnull (1);

/* At least LEN bytes.  NULL: out of memory. */
void *buffers_get (struct buffers *bs, size_t len) nonnull (1);
/* LEN as it was asked for. */
void buffers_put (struct buffers *bs, void *buffer, size_t len) nonnull (1);

#endif
