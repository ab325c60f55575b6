/* xrayfs: where a compressed stream ends
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libarchive takes what follows a stream for another of its kind, and fails
 * when it is padding or a cpio, as both may follow in an initramfs.  The
 * formats that need it are walked by the sizes that they hold; nothing is
 * decompressed.
 */
#ifndef XRAYFS_INSPECT_STREAM_END_H
#define XRAYFS_INSPECT_STREAM_END_H

#include "inspect/initramfs.h"

struct stream {
  const struct initramfs_source *source;
  struct err *err;
  unsigned steps; /* walked so far, over all streams of the file */
};

/* Reads LEN bytes at OFF, a step; beyond the end is an error. */
int stream_get (struct stream *r, uint64_t off, void *buf,
                size_t len) must_check;

/* *RET: the offset behind the stream that begins at OFF.  Return -1 and fill
 * err for one that is cut off or damaged. */
int stream_zstd_end (struct stream *r, uint64_t off,
                     uint64_t *ret) must_check;
int stream_lz4_legacy_end (struct stream *r, uint64_t off,
                           uint64_t *ret) must_check;
int stream_lz4_frame_end (struct stream *r, uint64_t off,
                          uint64_t *ret) must_check;
int stream_xz_end (struct stream *r, uint64_t off, uint64_t *ret) must_check;

#endif
