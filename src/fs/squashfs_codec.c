/* xrayfs: squashfs: the compressions
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <lz4.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "fs/squashfs.h"

/* mksquashfs has no dictionary larger than a block, of 1 MiB at most. */
#define LZMA_MEMORY (16 * MiB)

/* Each returns the number of bytes at TO, or SIZE_MAX. */

static size_t
decode_gzip (const void *from, size_t len, void *to, size_t size)
{
  z_stream z = { .next_in = (Bytef *) from,
                 .avail_in = (uInt) len,
                 .next_out = to,
                 .avail_out = (uInt) size };
  int r;

  if (inflateInit (&z) != Z_OK)
    return SIZE_MAX;
  r = inflate (&z, Z_FINISH);
  inflateEnd (&z);
  return r == Z_STREAM_END ? size - z.avail_out : SIZE_MAX;
}

static size_t
decode_lzma (const void *from, size_t len, void *to, size_t size)
{
  lzma_stream z = LZMA_STREAM_INIT;
  lzma_ret r;

  if (lzma_alone_decoder (&z, LZMA_MEMORY) != LZMA_OK)
    return SIZE_MAX;
  z.next_in = from;
  z.avail_in = len;
  z.next_out = to;
  z.avail_out = size;
  r = lzma_code (&z, LZMA_FINISH);
  lzma_end (&z);
  return r == LZMA_STREAM_END ? size - z.avail_out : SIZE_MAX;
}

static size_t
decode_xz (const void *from, size_t len, void *to, size_t size)
{
  uint64_t memory = LZMA_MEMORY;
  size_t in = 0, out = 0;

  return lzma_stream_buffer_decode (&memory, 0, NULL, from, &in, len, to,
                                    &out, size) == LZMA_OK
             ? out
             : SIZE_MAX;
}

static size_t
decode_lzo (const void *from, size_t len, void *to, size_t size)
{
  lzo_uint out = size;

  return lzo1x_decompress_safe (from, len, to, &out, NULL) == LZO_E_OK
             ? out
             : SIZE_MAX;
}

static size_t
decode_lz4 (const void *from, size_t len, void *to, size_t size)
{
  int out = LZ4_decompress_safe (from, to, (int) len, (int) size);

  return out < 0 ? SIZE_MAX : (size_t) out;
}

static size_t
decode_zstd (const void *from, size_t len, void *to, size_t size)
{
  size_t out = ZSTD_decompress (to, size, from, len);

  return ZSTD_isError (out) ? SIZE_MAX : out;
}

static const struct {
  const char *name;
  size_t (*decode) (const void *from, size_t len, void *to, size_t size);
} codecs[] = {
  [SQUASHFS_GZIP] = { "gzip", decode_gzip },
  [SQUASHFS_LZMA] = { "lzma", decode_lzma },
  [SQUASHFS_LZO] = { "lzo", decode_lzo },
  [SQUASHFS_XZ] = { "xz", decode_xz },
  [SQUASHFS_LZ4] = { "lz4", decode_lz4 },
  [SQUASHFS_ZSTD] = { "zstd", decode_zstd },
};

const char *
squashfs_compression_name (enum squashfs_compression how)
{
  return how < ARRAY_SIZE (codecs) ? codecs[how].name : NULL;
}

int
squashfs_decompress (enum squashfs_compression how, const void *from,
                     size_t len, void *to, size_t size, size_t *ret_len,
                     struct err *e)
{
  size_t n = codecs[how].decode (from, len, to, size);

  if (n == SIZE_MAX)
    return err_set (e, EIO, "%s data are damaged", codecs[how].name);
  *ret_len = n;
  return 0;
}
