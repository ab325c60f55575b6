/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/stream_end.h"

#include "base/bytes.h"

/* Against an image that wants to keep us busy. */
#define MAX_STEPS 500000

int
stream_get (struct stream *r, uint64_t off, void *buf, size_t len)
{
  const struct initramfs_source *s = r->source;
  size_t got;

  if (++r->steps > MAX_STEPS)
    return err_set (r->err, EFBIG, "more than %d compressed blocks",
                    MAX_STEPS);
  if (!range_within (off, len, s->size))
    return err_set (r->err, EIO, "the compressed data are cut off");
  if (s->pread (s->arg, buf, len, off, &got, r->err) == -1)
    return -1;
  return got == len ? 0
                    : err_set (r->err, EIO, "the file ends before its size");
}

static int
end_at (struct stream *r, uint64_t off, uint64_t *ret)
{
  if (off > r->source->size)
    return err_set (r->err, EIO, "the compressed data are cut off");
  *ret = off;
  return 0;
}

/* RFC 8878, 3.1.1. */
int
stream_zstd_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  static const unsigned dict[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
  unsigned char b[5];
  bool single, checksum;
  uint32_t head;

  if (stream_get (r, off, b, 5) == -1)
    return -1;
  single = b[4] >> 5 & 1;
  checksum = b[4] >> 2 & 1;
  off += 5 + !single + dict[b[4] & 3] + content[b[4] >> 6] +
         (single && !(b[4] >> 6));
  do {
    if (stream_get (r, off, b, 3) == -1)
      return -1;
    head = b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16;
    off += 3 + ((head >> 1 & 3) == 1 ? 1 : head >> 3);
  } while (!(head & 1));
  return end_at (r, off + (checksum ? 4 : 0), ret);
}

/* Linux, lib/decompress_unlz4.c: blocks, each with its size before it, up to
 * something that is not a size. */
int
stream_lz4_legacy_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  const uint32_t max = 8 * MiB + 8 * MiB / 255 + 16;
  unsigned char b[4];
  uint32_t size;

  for (off += 4; off + 4 <= r->source->size; off += 4 + (uint64_t) size) {
    if (stream_get (r, off, b, 4) == -1)
      return -1;
    size = load_le32 (b);
    if (size == 0 || size > max)
      break;
  }
  return end_at (r, off, ret);
}

/* LZ4 Frame Format 1.6. */
int
stream_lz4_frame_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  unsigned char b[5], flags;
  uint32_t size;

  if (stream_get (r, off, b, 5) == -1)
    return -1;
  flags = b[4];
  off += 7 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0);
  for (;;) {
    if (stream_get (r, off, b, 4) == -1)
      return -1;
    off += 4;
    size = load_le32 (b) & 0x7fffffff;
    if (size == 0)
      break;
    off += size + (flags & 0x10 ? 4 : 0);
  }
  return end_at (r, off + (flags & 4 ? 4 : 0), ret);
}

/* The .xz format 1.2.0, sections 2.1.2 (*RET is behind the footer) and 4.
 * OFF is at the index. */
static int
xz_index_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  uint64_t start = off++, left = 0;
  unsigned shift = 0;
  unsigned char c;

  do { /* the number of records */
    if (stream_get (r, off++, &c, 1) == -1)
      return -1;
    left |= (uint64_t) (c & 0x7f) << shift;
    shift += 7;
  } while (c & 0x80 && shift < 63);
  /* Of each record two numbers, each of which ends with a small byte. */
  if (left > r->source->size / 2)
    return err_set (r->err, EIO, "index of the stream is damaged");
  for (left *= 2; left; left -= !(c & 0x80))
    if (stream_get (r, off++, &c, 1) == -1)
      return -1;
  return end_at (r, start + round_up (off - start, 4) + 4 + 12, ret);
}

/* The LZMA2 chunks of a block. */
static int
lzma2_end (struct stream *r, uint64_t *off)
{
  unsigned char b[6];

  for (;;) {
    if (stream_get (r, *off, b, 1) == -1)
      return -1;
    if (b[0] == 0) {
      ++*off;
      return 0;
    }
    if (stream_get (r, *off, b, b[0] < 0x80 ? 3 : 5) == -1)
      return -1;
    *off += b[0] < 0x80
                ? 3 + (uint64_t) load_be16 (b + 1) + 1
                : 5 + (b[0] >= 0xc0) + (uint64_t) load_be16 (b + 3) + 1;
  }
}

int
stream_xz_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  static const unsigned char checks[] = { 0,  4,  4,  4,  8,  8,  8,  16,
                                          16, 16, 32, 32, 32, 64, 64, 64 };
  unsigned char b[8];
  unsigned check;
  uint64_t start;

  if (stream_get (r, off, b, 8) == -1)
    return -1;
  check = checks[b[7] & 15];
  for (off += 12;; off = start + round_up (off - start, 4) + check) {
    start = off;
    if (stream_get (r, off, b, 1) == -1)
      return -1;
    if (b[0] == 0)
      return xz_index_end (r, off, ret);
    off += ((uint64_t) b[0] + 1) * 4;
    if (lzma2_end (r, &off) == -1)
      return -1;
  }
}
