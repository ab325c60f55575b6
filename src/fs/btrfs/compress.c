/* xrayfs: Btrfs: compressed extents
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * zlib and zstd are a stream each, with what follows it ignored.  LZO is of
 * Btrfs's own form (Linux: fs/btrfs/lzo.c): the length of all, then segments
 * of at most a sector with their lengths, of which no length crosses the end
 * of a sector.
 */
#include <inttypes.h>
#include <lzo/lzo1x.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define LZO_LEN 4
/* Linux: lzo1x_worst_compress. */
#define LZO_WORST(n) ((n) + (n) / 16 + 64 + 3)

static int
bad (struct err *e, const char *name, const char *what)
{
  return err_set (e, EIO, "%s: %s", name, what);
}

static int
inflate_all (const char *from, size_t len, char *to, size_t size,
             size_t *ret_done, struct err *e)
{
  z_stream z = { .next_in = (unsigned char *) from,
                 .avail_in = len,
                 .next_out = (unsigned char *) to,
                 .avail_out = size };
  int r;

  if (inflateInit (&z) != Z_OK)
    return err_set (e, ENOMEM, "out of memory");
  r = inflate (&z, Z_FINISH);
  *ret_done = size - z.avail_out;
  inflateEnd (&z);
  /* Longer than what is wanted of it: Linux does not look either. */
  if (r == Z_STREAM_END || (r == Z_BUF_ERROR && *ret_done == size))
    return 0;
  return bad (e, "zlib", r == Z_BUF_ERROR ? "is cut off" : "is damaged");
}

static int
unzstd (const char *from, size_t len, char *to, size_t size, size_t *ret_done,
        struct err *e)
{
  ZSTD_inBuffer in = { from, len, 0 };
  ZSTD_outBuffer out = { to, size, 0 };
  ZSTD_DStream *z = ZSTD_createDStream ();
  size_t r = 1, before;

  if (!z)
    return err_set (e, ENOMEM, "out of memory");
  do {
    before = in.pos + out.pos;
    r = ZSTD_decompressStream (z, &out, &in);
  } while (!ZSTD_isError (r) && r > 0 && out.pos < size &&
           in.pos + out.pos > before);
  ZSTD_freeDStream (z);
  *ret_done = out.pos;
  if (ZSTD_isError (r))
    return bad (e, "zstd", ZSTD_getErrorName (r));
  return r == 0 || out.pos == size ? 0 : bad (e, "zstd", "is cut off");
}

/* One segment of LEN bytes; the last one may be shorter than a sector. */
static int
unlzo_segment (const char *from, size_t len, char *to, size_t size,
               size_t sector, size_t *ret_done, struct err *e)
{
  CLEANUP_FREE char *whole = NULL;
  lzo_uint n = sector;

  if (size >= sector) {
    if (lzo1x_decompress_safe ((const unsigned char *) from, len,
                               (unsigned char *) to, &n, NULL) != LZO_E_OK)
      return bad (e, "lzo", "is damaged");
    *ret_done = n;
    return 0;
  }
  whole = malloc (sector);
  if (!whole)
    return err_set (e, ENOMEM, "out of memory");
  if (lzo1x_decompress_safe ((const unsigned char *) from, len,
                             (unsigned char *) whole, &n, NULL) != LZO_E_OK)
    return bad (e, "lzo", "is damaged");
  *ret_done = MIN (n, size);
  memcpy (to, whole, *ret_done);
  return 0;
}

static int
unlzo (const char *from, size_t len, char *to, size_t size, size_t sector,
       size_t *ret_done, struct err *e)
{
  size_t total = len < LZO_LEN ? 0 : load_le32 (from), in = LZO_LEN, done = 0;
  size_t n, here = 0;

  if (total < LZO_LEN || total > len)
    return bad (e, "lzo", "impossible length");
  while (in < total && done < size) {
    if (sector - in % sector < LZO_LEN)
      in = round_up (in, sector);
    if (!range_within (in, LZO_LEN, total))
      return bad (e, "lzo", "is cut off");
    n = load_le32 (from + in);
    in += LZO_LEN;
    if (n > LZO_WORST (sector) || !range_within (in, n, total))
      return bad (e, "lzo", "impossible length of a segment");
    if (unlzo_segment (from + in, n, to + done, size - done, sector, &here,
                       e) == -1)
      return -1;
    in += n;
    done += here;
    /* Only the last one may be shorter. */
    if (here < sector && done < size && in < total)
      return bad (e, "lzo", "a segment is too short");
  }
  *ret_done = done;
  return 0;
}

int
btrfs_decompress (const struct btrfs *b, enum btrfs_compression type,
                  const char *from, size_t len, char *to, size_t size,
                  struct err *e)
{
  size_t done = 0;
  int r = type == BTRFS_ZLIB ? inflate_all (from, len, to, size, &done, e)
          : type == BTRFS_LZO
              ? unlzo (from, len, to, size, b->sb.sectorsize, &done, e)
              : unzstd (from, len, to, size, &done, e);

  if (r == -1)
    return -1;
  /* What is inline has no such end. */
  if (size - done >= (size % b->sb.sectorsize ? 1 : b->sb.sectorsize))
    return err_set (e, EIO, "decompresses to %zu of %zu bytes", done, size);
  memset (to + done, 0, size - done);
  return 0;
}
