/* xrayfs: EROFS: pclusters and their compressions
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "format/inflate.h"
#include "fs/erofs.h"

/* Of zstd: 16 MiB, more than a pcluster gives. */
#define ZSTD_WINDOW_LOG 24

/* Each puts exactly SIZE bytes at TO.  PARTIAL: LEN bytes may hold more. */

static bool
decode_lz4 (const void *from, size_t len, void *to, size_t size, bool partial)
{
  int n = partial ? LZ4_decompress_safe_partial (from, to, (int) len,
                                                 (int) size, (int) size)
                  : LZ4_decompress_safe (from, to, (int) len, (int) size);

  return n >= 0 && (size_t) n == size;
}

static bool
decode_lzma (const void *from, size_t len, void *to, size_t size,
             bool partial)
{
  lzma_stream z = LZMA_STREAM_INIT;
  lzma_ret r;

  /* No distance is larger than what it gives. */
  if (lzma_microlzma_decoder (&z, len, size, !partial,
                              (uint32_t) MAX (size, 4096)) != LZMA_OK)
    return false;
  z.next_in = from;
  z.avail_in = len;
  z.next_out = to;
  z.avail_out = size;
  r = lzma_code (&z, LZMA_FINISH);
  lzma_end (&z);
  return z.avail_out == 0 &&
         (r == LZMA_STREAM_END || (partial && r == LZMA_OK));
}

static bool
decode_deflate (const void *from, size_t len, void *to, size_t size,
                bool partial unused_arg)
{
  struct err e = { 0 };

  return inflate_exact (INFLATE_RAW, from, len, to, size, &e) == 0;
}

static bool
decode_zstd (const void *from, size_t len, void *to, size_t size,
             bool partial unused_arg)
{
  ZSTD_inBuffer in = { from, len, 0 };
  ZSTD_outBuffer out = { to, size, 0 };
  ZSTD_DCtx *z = ZSTD_createDCtx ();
  size_t r = 1, before;

  if (z && !ZSTD_isError (ZSTD_DCtx_setParameter (z, ZSTD_d_windowLogMax,
                                                  ZSTD_WINDOW_LOG)))
    do {
      before = in.pos + out.pos;
      r = ZSTD_decompressStream (z, &out, &in);
    } while (!ZSTD_isError (r) && r != 0 && out.pos < size &&
             in.pos + out.pos > before);
  ZSTD_freeDCtx (z);
  return out.pos == size && !ZSTD_isError (r);
}

static const struct {
  const char *name;
  bool (*decode) (const void *from, size_t len, void *to, size_t size,
                  bool partial);
} codecs[EROFS_CODECS] = {
  [EROFS_LZ4] = { "lz4", decode_lz4 },
  [EROFS_LZMA] = { "lzma", decode_lzma },
  [EROFS_DEFLATE] = { "deflate", decode_deflate },
  [EROFS_ZSTD] = { "zstd", decode_zstd },
};

/* --- through the cache ----------------------------------------------- */

/* What is kept: the same place may be told to be another kind of pcluster. */
struct decoded {
  struct erofs_pcluster from;
  char bytes[];
};

struct load_arg {
  struct erofs *f;
  const struct erofs_pcluster *p;
};

/* Zeros before the compressed bytes fill the blocks; none of the formats
 * begins with one. */
static int
load_pcluster (void *arg, void *data, size_t size, struct err *e)
{
  const struct load_arg *l = arg;
  const struct erofs_pcluster *p = l->p;
  CLEANUP_FREE char *stored = malloc (p->stored);
  struct decoded *d = data;
  size_t skip = 0;

  if (!stored)
    return err_set (e, ENOMEM, "out of memory");
  if (!range_within (p->start, p->stored, l->f->block->size))
    return err_set (e, EIO, "lies beyond the end of the filesystem");
  if (block_pread (l->f->block, stored, p->stored, p->start, e) == -1)
    return -1;
  while (skip < p->stored && stored[skip] == 0)
    skip++;
  if (!codecs[p->codec].decode (stored + skip, p->stored - skip, d->bytes,
                                size - sizeof *d, p->partial))
    return err_set (e, EIO, "%s data are damaged", codecs[p->codec].name);
  d->from = *p;
  return 0;
}

static bool
is_from (const struct decoded *d, const struct erofs_pcluster *p)
{
  return d->from.codec == p->codec && d->from.stored == p->stored &&
         d->from.partial == p->partial;
}

static int
read_uncached (struct load_arg *l, size_t size, size_t skip, void *buf,
               size_t len, struct err *e)
{
  CLEANUP_FREE struct decoded *d = malloc (size);

  if (!d)
    return err_set (e, ENOMEM, "out of memory");
  if (load_pcluster (l, d, size, e) == -1)
    return -1;
  memcpy (buf, d->bytes + skip, len);
  return 0;
}

static int
read_cached (struct load_arg *l, size_t size, size_t skip, void *buf,
             size_t len, struct err *e)
{
  struct cache *cache = l->f->block->env->cache;
  const struct decoded *d;
  struct cache_entry *entry;
  bool usable;

  if (cache_get (cache, l->f->data_owner, l->p->start, size, load_pcluster, l,
                 &entry, e) == -1)
    return -1;
  d = entry->data;
  usable = is_from (d, l->p);
  if (usable)
    memcpy (buf, d->bytes + skip, len);
  cache_release (cache, entry);
  return usable ? 0 : read_uncached (l, size, skip, buf, len, e);
}

int
erofs_read_pcluster (struct erofs *f, const struct erofs_pcluster *p,
                     size_t skip, void *buf, size_t len, struct err *e)
{
  size_t size = sizeof (struct decoded) + p->len; /* EROFS_MAX_DECODED */
  struct load_arg l = { f, p };
  int r;

  if (f->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  r = f->block->env->cache ? read_cached (&l, size, skip, buf, len, e)
                           : read_uncached (&l, size, skip, buf, len, e);
  return r == -1 ? err_in (e, "pcluster at 0x%" PRIx64, p->start) : 0;
}
