/* xrayfs: lzop files, as Linux unpacks an initramfs from one
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * liblzo2 knows the blocks and not the file around them, and libarchive
 * would start a program.  Linux: lib/decompress_unlzo.c.
 */
#ifndef XRAYFS_INSPECT_LZOP_H
#define XRAYFS_INSPECT_LZOP_H

#include "inspect/stream_end.h"

#define LZOP_BLOCK (256 * 1024) /* Linux unpacks no larger ones */

/* As the others in stream_end.h. */
int stream_lzo_end (struct stream *r, uint64_t off, uint64_t *ret) must_check;

struct lzop {
  struct stream *stream;
  uint64_t off;       /* of the next block */
  unsigned char *buf; /* scratch; owned */
};

int lzop_open (struct lzop *l, struct stream *stream,
               uint64_t off) must_check;
/* Unpacks the next block into TO, which has room for LZOP_BLOCK bytes.
 * Returns their number, 0 at the end, -1. */
ssize_t lzop_next (struct lzop *l, void *to) must_check;
void lzop_close (struct lzop *l);

#endif
