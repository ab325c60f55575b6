/* xrayfs: UTF-16 text, as Windows writes it into images
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_BASE_UTF16_H
#define XRAYFS_BASE_UTF16_H

#include "base/buf.h"

/* Adds the text in the LEN bytes at FROM to OUT, as UTF-8, up to a NUL.
 * Half of a surrogate pair becomes U+FFFD; an odd last byte is ignored. */
void utf16_add (struct buf *out, const void *from, size_t len,
                bool big_endian) nonnull (1, 2);

#endif
