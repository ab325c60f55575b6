/* xrayfs: dmg: the compression methods
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A chunk is one stream that fills its sectors exactly: one that gives less
 * or more is damaged, as in qemu.
 */
#include "config.h"

#include <bzlib.h>
#include <inttypes.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_LIBLZFSE
/* Its declarations without parameters are no prototypes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <lzfse.h>
#pragma GCC diagnostic pop
#endif

#include "base/bytes.h"
#include "format/dmg.h"

/* What `xz -9` needs, and some room. */
#define LZMA_MEMORY (80 * MiB)

static int
damaged (struct err *e, const char *what)
{
  return err_set (e, EIO, "%s data are damaged", what);
}

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

static int
inflate_chunk (const void *from, size_t n, void *to, size_t size,
               struct err *e)
{
  z_stream z = { .next_in = (Bytef *) from,
                 .avail_in = (uInt) n,
                 .next_out = to,
                 .avail_out = (uInt) size };
  int r;

  if (inflateInit (&z) != Z_OK)
    return no_memory (e);
  r = inflate (&z, Z_FINISH);
  inflateEnd (&z);
  if (r == Z_MEM_ERROR)
    return no_memory (e);
  return r == Z_STREAM_END && z.avail_out == 0 ? 0 : damaged (e, "zlib");
}

static int
bunzip2_chunk (const void *from, size_t n, void *to, size_t size,
               struct err *e)
{
  unsigned len = (unsigned) size;
  int r = BZ2_bzBuffToBuffDecompress (to, &len, (char *) from, (unsigned) n,
                                      0, 0);

  if (r == BZ_MEM_ERROR)
    return no_memory (e);
  return r == BZ_OK && len == size ? 0 : damaged (e, "bzip2");
}

static int
unxz_chunk (const void *from, size_t n, void *to, size_t size, struct err *e)
{
  uint64_t limit = LZMA_MEMORY;
  size_t in = 0, out = 0;
  lzma_ret r = lzma_stream_buffer_decode (&limit, 0, NULL, from, &in, n, to,
                                          &out, size);

  if (r == LZMA_MEM_ERROR)
    return no_memory (e);
  if (r == LZMA_MEMLIMIT_ERROR)
    return err_set (e, EIO, "xz data ask for %" PRIu64 " bytes of memory",
                    limit);
  return r == LZMA_OK && out == size ? 0 : damaged (e, "xz");
}

#ifdef HAVE_LIBLZFSE
static int
unlzfse_chunk (const void *from, size_t n, void *to, size_t size,
               struct err *e)
{
  /* It gives SIZE where there is more: a byte of room tells. */
  CLEANUP_FREE uint8_t *out = malloc (size + 1);

  if (!out)
    return no_memory (e);
  if (lzfse_decode_buffer (out, size + 1, from, n, NULL) != size)
    return damaged (e, "LZFSE");
  memcpy (to, out, size);
  return 0;
}
#else
static int
unlzfse_chunk (const void *from unused_arg, size_t n unused_arg,
               void *to unused_arg, size_t size unused_arg, struct err *e)
{
  return err_set (e, EIO,
                  "LZFSE data cannot be read: built without liblzfse");
}
#endif

/* --- ADC, Apple Data Compression ------------------------------------- */

/* An operation of ADC: a match of LEN bytes, DISTANCE back; or, without a
 * distance, LEN literal bytes that follow.  USED bytes describe it. */
struct adc_op {
  size_t len, distance, used;
};

/* Is there one in the N bytes at P? */
static bool
adc_next (const unsigned char *p, size_t n, struct adc_op *ret)
{
  if (n < 1)
    return false;
  if (p[0] & 0x80)
    *ret = (struct adc_op){ (p[0] & 0x7fu) + 1, 0, 1 };
  else if (p[0] & 0x40 && n >= 3)
    *ret = (struct adc_op){ (p[0] & 0x3fu) + 4, load_be16 (p + 1) + 1u, 3 };
  else if (!(p[0] & 0x40) && n >= 2)
    *ret = (struct adc_op){ (p[0] >> 2) + 3u, ((p[0] & 3u) << 8 | p[1]) + 1u,
                            2 };
  else
    return false;
  return ret->distance || ret->len <= n - 1;
}

static int
unadc_chunk (const void *from, size_t n, void *to, size_t size, struct err *e)
{
  const unsigned char *p = from, *end = p + n;
  unsigned char *out = to;
  struct adc_op op;
  size_t done = 0;

  while (done < size) {
    if (!adc_next (p, (size_t) (end - p), &op) || op.len > size - done ||
        op.distance > done)
      return damaged (e, "ADC");
    p += op.used;
    if (op.distance == 0) {
      memcpy (out + done, p, op.len);
      p += op.len;
    }
    /* A match may reach into what it writes: byte by byte. */
    for (size_t i = 0; op.distance && i < op.len; i++)
      out[done + i] = out[done + i - op.distance];
    done += op.len;
  }
  return 0;
}

int
dmg_decompress (enum dmg_type type, const void *from, size_t n, void *to,
                size_t size, struct err *e)
{
  switch (type) {
  case DMG_ADC:
    return unadc_chunk (from, n, to, size, e);
  case DMG_ZLIB:
    return inflate_chunk (from, n, to, size, e);
  case DMG_BZIP2:
    return bunzip2_chunk (from, n, to, size, e);
  case DMG_LZFSE:
    return unlzfse_chunk (from, n, to, size, e);
  case DMG_LZMA:
    return unxz_chunk (from, n, to, size, e);
  default:
    return err_set (e, EIO, "not a compressed chunk");
  }
}
