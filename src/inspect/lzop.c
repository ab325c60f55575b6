/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/lzop.h"

#include <lzo/lzo1x.h>
#include <string.h>

#include "base/bytes.h"

#define MAGIC     "\x89LZO\0\r\n\x1a\n"
#define HAS_LEVEL 0x940 /* versions from here on */

enum {
  ADLER_DATA = 0x1,
  ADLER_PACKED = 0x2,
  CRC_DATA = 0x100,
  CRC_PACKED = 0x200,
  HAS_FILTER = 0x800,
};

/* *RET: where the first block is. */
static int
read_header (struct stream *r, uint64_t off, uint64_t *ret)
{
  unsigned char b[11];
  uint32_t flags, sums;
  bool level;

  if (stream_get (r, off, b, sizeof b) == -1)
    return -1;
  if (memcmp (b, MAGIC, sizeof MAGIC - 1) != 0)
    return err_set (r->err, EIO, "no lzop header");
  level = load_be16 (b + 9) >= HAS_LEVEL;
  /* Versions of the format, the library and the reader; method, level. */
  off += 9 + 6 + 1 + level;
  if (stream_get (r, off, b, 4) == -1)
    return -1;
  flags = load_be32 (b);
  /* Linux skips one checksum a block, whatever the header says. */
  sums = flags & (ADLER_DATA | ADLER_PACKED | CRC_DATA | CRC_PACKED);
  if (sums != ADLER_DATA && sums != CRC_DATA)
    return err_set (r->err, ENOTSUP,
                    "checksums that Linux does not expect (flags 0x%x)",
                    flags);
  /* Flags, filter; mode and time; the name and the header's checksum. */
  off += 4 + (flags & HAS_FILTER ? 4 : 0) + 4 + 4 + (level ? 4 : 0);
  if (stream_get (r, off, b, 1) == -1)
    return -1;
  *ret = off + 1 + b[0] + 4;
  return 0;
}

struct block_header {
  uint32_t data, packed; /* bytes */
};

/* The block at *OFF, which then stands at what it holds.  Returns 0 behind
 * the last one. */
static int
read_block_header (struct stream *r, uint64_t *off, struct block_header *ret)
{
  unsigned char b[4];

  if (stream_get (r, *off, b, 4) == -1)
    return -1;
  *off += 4;
  ret->data = load_be32 (b);
  if (ret->data == 0)
    return 0;
  if (stream_get (r, *off, b, 4) == -1)
    return -1;
  ret->packed = load_be32 (b);
  if (ret->data > LZOP_BLOCK || ret->packed == 0 || ret->packed > ret->data)
    return err_set (r->err, EIO, "impossible length of a block");
  *off += 4 + 4;
  return 1;
}

int
stream_lzo_end (struct stream *r, uint64_t off, uint64_t *ret)
{
  struct block_header h;
  int more;

  if (read_header (r, off, &off) == -1)
    return -1;
  while ((more = read_block_header (r, &off, &h)) == 1)
    off += h.packed;
  if (more == 0)
    *ret = off;
  return more;
}

int
lzop_open (struct lzop *l, struct stream *stream, uint64_t off)
{
  *l = (struct lzop){ .stream = stream };
  if (read_header (stream, off, &l->off) == -1)
    return -1;
  l->buf = malloc (LZOP_BLOCK);
  return l->buf ? 0 : err_set (stream->err, ENOMEM, "out of memory");
}

ssize_t
lzop_next (struct lzop *l, void *to)
{
  struct stream *r = l->stream;
  struct block_header h;
  lzo_uint n = LZOP_BLOCK;
  int more = read_block_header (r, &l->off, &h);
  bool stored = more == 1 && h.packed == h.data;

  if (more != 1)
    return more;
  if (stream_get (r, l->off, stored ? to : l->buf, h.packed) == -1)
    return -1;
  l->off += h.packed;
  if (!stored &&
      (lzo1x_decompress_safe (l->buf, h.packed, to, &n, NULL) != LZO_E_OK ||
       n != h.data))
    return err_set (r->err, EIO, "a block is damaged");
  return (ssize_t) h.data;
}

void
lzop_close (struct lzop *l)
{
  free (l->buf);
  l->buf = NULL;
}
