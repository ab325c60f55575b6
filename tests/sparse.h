/* xrayfs: small files for images that are large and mostly empty
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file that begins with "SPRS" has records of a 32 bit offset, a 16 bit
 * length (both big-endian) and so many bytes.
 */
#ifndef XRAYFS_TESTS_SPARSE_H
#define XRAYFS_TESTS_SPARSE_H

#include <stddef.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/cleanup.h"

static inline bool
is_sparse (const uint8_t *data, size_t size)
{
  return size >= 4 && !memcmp (data, "SPRS", 4);
}

/* The image that the records describe, of at most MOST bytes, to be freed;
 * NULL: out of memory. */
static inline uint8_t *
sparse_expand (const uint8_t *data, size_t size, size_t most,
               size_t *ret_size)
{
  uint8_t *image = calloc (1, most);
  size_t end = 0, off, len;

  for (size_t i = 4; image && size - i >= 6; i += 6 + len) {
    off = load_be32 (data + i) % most;
    len = MIN (load_be16 (data + i + 4), size - i - 6);
    len = MIN (len, most - off);
    memcpy (image + off, data + i + 6, len);
    end = MAX (end, off + len);
  }
  *ret_size = end;
  return image;
}

#endif
