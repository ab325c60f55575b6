/* xrayfs: deflate data of a known length
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_INFLATE_H
#define XRAYFS_FORMAT_INFLATE_H

#include <stddef.h>

#include "base/err.h"

enum inflate_kind {
  INFLATE_RAW, /* RFC 1951 alone */
  INFLATE_ZLIB /* RFC 1950: a header before it, a checksum after it */
};

/* Decodes the LEN bytes at FROM into exactly SIZE bytes at TO.  What the data
 * hold beyond SIZE, and what follows them, is left alone; a checksum is
 * looked at if it is among LEN.  On failure the bytes at TO are undefined.
 * Errors: EIO: damaged, or they do not give SIZE bytes; ENOMEM. */
int inflate_exact (enum inflate_kind kind, const void *from, size_t len,
                   void *to, size_t size, struct err *e) must_check
    nonnull (2, 4, 6);

#endif
