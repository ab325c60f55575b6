/* xrayfs: Apple UDIF (.dmg)
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk is a list of chunks, runs of sectors that are stored raw or
 * compressed, are zero, or are free space.  Sectors that no chunk has cannot
 * be read, as in qemu.
 */
#include "format/dmg.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "block/table.h"

static bool
is_compressed (const struct dmg_chunk *c)
{
  return c->type >= DMG_ADC && c->type <= DMG_LZMA;
}

/* The chunk that has SECTOR; or, if none has it, the next one; or NULL. */
static const struct dmg_chunk *
chunk_at (const struct dmg *d, uint64_t sector)
{
  const struct dmg_chunk *c = d->chunks.items;
  size_t low = 0, high = d->chunks.len, middle;

  while (low < high) {
    middle = low + (high - low) / 2;
    if (c[middle].sector + c[middle].count <= sector)
      low = middle + 1;
    else
      high = middle;
  }
  return low < d->chunks.len ? &c[low] : NULL;
}

/* Can the bytes of C be had? */
static int
check_chunk (const struct dmg *d, const struct dmg_chunk *c, struct err *e)
{
  uint64_t stored = c->type == DMG_RAW ? c->count * DMG_SECTOR : c->length;

  if (c->type == DMG_UNKNOWN)
    return err_set (e, EIO, "chunk type 0x%08" PRIx32 " is not known",
                    c->length);
  if (c->type == DMG_SHORT)
    return err_set (e, EIO, "raw chunk stores less than its sectors");
  if (c->type == DMG_RAW && c->count > INT64_MAX / DMG_SECTOR)
    return err_set (e, EIO, "chunk of %" PRIu64 " sectors is too large",
                    c->count);
  if (is_compressed (c) &&
      (c->count > DMG_MAX_CHUNK / DMG_SECTOR || c->length > DMG_MAX_CHUNK))
    return err_set (e, EIO,
                    "compressed chunk of %" PRIu64 " sectors, %" PRIu32
                    " bytes, is too large",
                    c->count, c->length);
  if ((c->type == DMG_RAW || is_compressed (c)) &&
      !range_within (c->offset, stored, d->trailer))
    return err_set (e, EIO,
                    "chunk at 0x%" PRIx64 " lies beyond the end of the data",
                    c->offset);
  return 0;
}

static int
check_chunk_at (const struct dmg *d, const struct dmg_chunk *c, struct err *e)
{
  if (check_chunk (d, c, e) == -1)
    return err_in (e, "sector %" PRIu64, c->sector);
  return 0;
}

static enum extent_kind
kind_of (const struct dmg_chunk *c)
{
  switch (c->type) {
  case DMG_RAW:
    return EXTENT_DATA;
  case DMG_ZERO:
    return EXTENT_ZERO;
  case DMG_IGNORE:
    return EXTENT_UNALLOCATED;
  default:
    return EXTENT_COMPRESSED;
  }
}

/* Does NEXT go on where C ends, above and, if raw, below? */
static bool
goes_on (const struct dmg *d, const struct dmg_chunk *c,
         const struct dmg_chunk *next)
{
  struct err ignored;

  if (next == d->chunks.items + d->chunks.len ||
      next->sector != c->sector + c->count || kind_of (next) != kind_of (c))
    return false;
  if (c->type == DMG_RAW && next->offset != c->offset + c->count * DMG_SECTOR)
    return false;
  /* Who reads that far is told. */
  return check_chunk (d, next, &ignored) == 0;
}

static int
dmg_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e)
{
  const struct dmg *d = b->priv;
  const struct dmg_chunk *c = chunk_at (d, off / DMG_SECTOR), *last = c;
  uint64_t want = (off + len - 1) / DMG_SECTOR + 1;

  if (!c || c->sector > off / DMG_SECTOR)
    return err_set (e, EIO, "no chunk has sector %" PRIu64, off / DMG_SECTOR);
  if (check_chunk_at (d, c, e) == -1)
    return -1;
  while (last->sector + last->count < want && goes_on (d, last, last + 1))
    last++;
  if (last->sector + last->count < want)
    len = (last->sector + last->count) * DMG_SECTOR - off;
  *ret = c->type == DMG_RAW
             ? extent_data (len, b->below,
                            c->offset + (off - c->sector * DMG_SECTOR))
             : extent_of (kind_of (c), len);
  return 0;
}

/* --- compressed chunks ----------------------------------------------- */

struct compressed {
  struct block *b;
  const struct dmg_chunk *chunk;
};

/* What the file stores is read and decompressed as a whole: twice
 * DMG_MAX_CHUNK at most. */
static int
load_chunk (void *arg, void *data, size_t size, struct err *e)
{
  const struct compressed *x = arg;
  const struct dmg_chunk *c = x->chunk;
  CLEANUP_FREE void *from = malloc (c->length + 1u);

  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (x->b->below, from, c->length, c->offset, e) == -1)
    return -1;
  if (dmg_decompress (c->type, from, c->length, data, size, e) == -1)
    return err_in (e, "sector %" PRIu64 ": chunk at 0x%" PRIx64, c->sector,
                   c->offset);
  return 0;
}

/* LEN bytes at WITHIN of chunk C. */
static int
read_chunk (struct block *b, const struct dmg_chunk *c, void *buf, size_t len,
            uint64_t within, struct err *e)
{
  const struct dmg *d = b->priv;
  struct compressed x = { b, c };

  if (!is_compressed (c))
    return err_set (e, EIO, "sector %" PRIu64 " is not compressed",
                    c->sector);
  if (check_chunk_at (d, c, e) == -1)
    return -1;
  return cache_read (b->env->cache, d->owner, c->sector,
                     (size_t) c->count * DMG_SECTOR, load_chunk, &x, buf, len,
                     within, e);
}

static int
dmg_pread (struct block *b, void *buf, size_t len, uint64_t off,
           struct err *e)
{
  const struct dmg *d = b->priv;
  const struct dmg_chunk *c = chunk_at (d, off / DMG_SECTOR);
  char *to = buf;
  uint64_t within;
  size_t n;

  /* map has found them all to be there. */
  for (; len > 0; c++, to += n, off += n, len -= n) {
    within = off - c->sector * DMG_SECTOR;
    n = (size_t) MIN (len, c->count * DMG_SECTOR - within);
    if (read_chunk (b, c, to, n, within, e) == -1)
      return -1;
  }
  return 0;
}

/* --- info ------------------------------------------------------------ */

/* hdiutil's names for what it wrote. */
static const struct {
  const char *subformat, *compression;
} methods[] = {
  [DMG_ADC] = { "UDCO", "adc" },     [DMG_ZLIB] = { "UDZO", "zlib" },
  [DMG_BZIP2] = { "UDBZ", "bzip2" }, [DMG_LZFSE] = { "ULFO", "lzfse" },
  [DMG_LZMA] = { "ULMO", "lzma" },
};

/* More than one method: all are named. */
static int
add_methods (const struct dmg *d, struct block_info *ret, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  bool used[DMG_UNKNOWN + 1] = { false };
  const char *subformat = "UDRO";

  for (size_t i = 0; i < d->chunks.len; i++)
    used[d->chunks.items[i].type] = true;
  for (size_t i = DMG_ADC; i <= DMG_LZMA; i++)
    if (used[i]) {
      buf_printf (&text, "%s%s", text.len ? ", " : "",
                  methods[i].compression);
      subformat = methods[i].subformat;
    }
  if (buf_check (&text, e) == -1)
    return -1;
  ret->subformat = strdup (subformat);
  ret->compression = text.len ? strdup (text.data) : NULL;
  if (!ret->subformat || (text.len && !ret->compression))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
dmg_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct dmg *d = b->priv;

  ret->has_features = true;
  if (d->flags & 1)
    buf_puts (&ret->features, "flattened\n");
  if (d->flags & 4)
    buf_puts (&ret->features, "internet-enabled\n");
  if (asprintf (&ret->version, "%" PRIu32, d->version) == -1) {
    ret->version = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return add_methods (d, ret, e);
}

/* --- check ----------------------------------------------------------- */

#define CHECK_PIECE (256 * KiB)

/* Chunks that cannot be read, and sectors that no chunk has. */
static void
check_chunks (struct block *b, struct block_check *c)
{
  const struct dmg *d = b->priv;
  uint64_t next = 0, sectors = b->size / DMG_SECTOR;
  const struct dmg_chunk *k = d->chunks.items;
  struct err why;

  for (size_t i = 0; i < d->chunks.len; i++, k++) {
    if (k->sector > next && next < sectors)
      block_check_error (c,
                         "no chunk has the sectors %" PRIu64 " to %" PRIu64,
                         next, MIN (k->sector, sectors) - 1);
    if (check_chunk_at (d, k, &why) == -1)
      block_check_error (c, "%s", why.msg);
    next = k->sector + k->count;
  }
  if (next < sectors)
    block_check_error (c, "no chunk has the sectors %" PRIu64 " to %" PRIu64,
                       next, sectors - 1);
  if (next > sectors)
    block_check_note (
        c, "the chunks reach to sector %" PRIu64 ", the disk to %" PRIu64,
        next, sectors);
}

static int
crc32_of (struct block *from, uint64_t off, uint64_t len, uint32_t *crc,
          struct err *e)
{
  CLEANUP_FREE unsigned char *piece = malloc (CHECK_PIECE);
  size_t n;

  if (!piece)
    return err_set (e, ENOMEM, "out of memory");
  for (; len > 0; off += n, len -= n) {
    n = (size_t) MIN (len, CHECK_PIECE);
    if (block_pread (from, piece, n, off, e) == -1)
      return -1;
    *crc = (uint32_t) crc32 (*crc, piece, (uInt) n);
  }
  return 0;
}

/* CRC goes on over LEN zeros, in log LEN steps: there may be exabytes. */
static uint32_t
crc32_zeros (uint32_t crc, uint64_t len)
{
  uLong zeros = crc32 (0, (const Bytef *) "", 1), sum = crc; /* of N zeros */

  for (uint64_t n = 1; n <= len && n <= INT64_MAX / 2; n *= 2) {
    if (len & n)
      sum = crc32_combine (sum, zeros, (z_off_t) n);
    zeros = crc32_combine (zeros, zeros, (z_off_t) n);
  }
  return (uint32_t) sum;
}

/* CRC goes on over the bytes of C, which check_chunk has passed. */
static int
crc32_of_chunk (struct block *b, const struct dmg_chunk *c, uint32_t *crc,
                struct err *e)
{
  CLEANUP_FREE unsigned char *bytes = NULL;
  size_t size = (size_t) c->count * DMG_SECTOR;

  if (c->type == DMG_ZERO) {
    *crc = crc32_zeros (*crc, size);
    return 0;
  }
  if (c->type == DMG_RAW)
    return crc32_of (b->below, c->offset, size, crc, e);
  bytes = malloc (size);
  if (!bytes)
    return err_set (e, ENOMEM, "out of memory");
  if (read_chunk (b, c, bytes, size, 0, e) == -1)
    return -1;
  *crc = (uint32_t) crc32 (*crc, bytes, (uInt) size);
  return 0;
}

/* -1: the host could not read, which is no finding. */
static int
found_unreadable (struct block *b, struct block_check *c, struct err *why)
{
  if (err_is_transient (why) || b->env->cancelled || b->env->read_failed)
    return -1;
  block_check_error (c, "%s", why->msg);
  return 0;
}

static int
check_data_fork (struct block *b, struct block_check *c, struct err *e)
{
  const struct dmg *d = b->priv;
  uint32_t crc = 0;

  if (!range_within (d->data_offset, d->data_length, d->trailer))
    block_check_error (c,
                       "the data fork (%" PRIu64 " bytes at 0x%" PRIx64
                       ") reaches beyond the trailer",
                       d->data_length, d->data_offset);
  else if (d->data_checksum.is_crc32) {
    if (crc32_of (b->below, d->data_offset, d->data_length, &crc, e) == -1)
      return -1;
    if (crc != d->data_checksum.crc32)
      block_check_error (c, "the checksum of the data fork differs");
  }
  return 0;
}

/* What the chunks of each table hold, free space left out. */
struct sum {
  uint32_t crc;
  bool unusable; /* a chunk cannot be read */
};

static int
sum_chunks (struct block *b, struct block_check *c, struct sum *sums,
            struct err *e)
{
  const struct dmg *d = b->priv;

  for (size_t i = 0; i < d->chunks.len; i++) {
    const struct dmg_chunk *k = &d->chunks.items[i];
    struct sum *s = &sums[k->table];
    struct err why;

    block_check_progress (c, k->sector * DMG_SECTOR, b->size);
    if (k->type == DMG_IGNORE || s->unusable)
      continue;
    /* Beyond the disk nobody reads, and the rest is told already. */
    s->unusable = k->sector + k->count > b->size / DMG_SECTOR ||
                  check_chunk (d, k, &why) == -1;
    if (s->unusable || crc32_of_chunk (b, k, &s->crc, &why) == 0)
      continue;
    s->unusable = true;
    if (found_unreadable (b, c, &why) == -1) {
      *e = why;
      return -1;
    }
  }
  return 0;
}

static int
check_table_checksums (struct block *b, struct block_check *c, struct err *e)
{
  const struct dmg *d = b->priv;
  CLEANUP_FREE struct sum *sums = calloc (d->tables.len, sizeof *sums);
  const struct dmg_table *t = d->tables.items;

  if (!sums)
    return err_set (e, ENOMEM, "out of memory");
  if (sum_chunks (b, c, sums, e) == -1)
    return -1;
  for (size_t i = 0; i < d->tables.len; i++)
    if (t[i].checksum.is_crc32 && t[i].ordered && !sums[i].unusable &&
        sums[i].crc != t[i].checksum.crc32)
      block_check_error (c,
                         "the checksum of block table %zu (from sector"
                         " %" PRIu64 ") differs",
                         i + 1, t[i].sector);
  return 0;
}

/* Reads everything, if the image has checksums. */
static int
dmg_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct dmg *d = b->priv;

  check_chunks (b, c);
  if (d->master.is_crc32 && d->all_tables_crc32 &&
      d->master.crc32 != d->tables_crc32)
    block_check_error (c, "the master checksum differs");
  if (check_data_fork (b, c, e) == -1)
    return -1;
  return check_table_checksums (b, c, e);
}

static void
dmg_close (struct block *b)
{
  struct dmg *d = b->priv;

  if (!d)
    return;
  free (d->chunks.items);
  free (d->tables.items);
  free (d);
}

const struct block_ops dmg_ops = {
  .name = "dmg",
  .unmapped_in_qemu = true,
  .bid = dmg_bid,
  .open = dmg_open,
  .pread = dmg_pread,
  .map = dmg_map,
  .info = dmg_info,
  .check = dmg_check,
  .close = dmg_close,
};
