/* xrayfs: VMDK: sparse extents: hosted ("KDMV"), COWD and seSparse
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * VMware, Virtual Disk Format 5.0: "Hosted Sparse Extents", "ESX Server
 * Sparse Extents", "Stream-Optimized Compressed Sparse Extents".  seSparse
 * has no public specification: as qemu 7.2 reads it.
 *
 * All three have a directory of tables of grains.  Where qemu reads zeros
 * beyond the end of a file (a table, a grain), that is an error here.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/vmdk.h"

#define MARKER_BYTES 12 /* of a grain: lba, size */
#define ZEROED       1  /* a grain table entry */

/* --- tables ---------------------------------------------------------- */

static uint64_t
load_entry (const struct vmdk_extent *x, const void *table, uint64_t i)
{
  const char *p = (const char *) table + i * x->entry_size;

  return x->entry_size == 8 ? load_le64 (p) : load_le32 (p);
}

/* The offset of the grain table that ENTRY of the directory names. */
static int
table_offset (const struct vmdk_extent *x, uint64_t entry, uint64_t *ret,
              struct err *e)
{
  if (x->kind != VMDK_SESPARSE || entry == 0) {
    *ret = entry * VMDK_SECTOR;
    return 0;
  }
  /* The top nibble says "there is a table"; the number has 32 bits. */
  if (entry >> 32 != 0x10000000 ||
      __builtin_add_overflow (
          x->tables, (entry & UINT32_MAX) * vmdk_table_bytes (x), ret))
    return err_set (e, EIO, "bad grain directory entry 0x%" PRIx64, entry);
  return 0;
}

/* A piece of the directory: entries FIRST to FIRST + COUNT. */
struct piece {
  struct pin pin;
  uint64_t first, count;
};

static int
get_piece (const struct vmdk_extent *x, uint64_t directory, uint64_t index,
           struct piece *ret, struct err *e)
{
  uint64_t max = TABLE_PIECE / x->entry_size;

  ret->first = index - index % max;
  ret->count = MIN (max, x->directory_entries - ret->first);
  if (table_get (x->file, x->directory_owner,
                 directory + ret->first * x->entry_size,
                 ret->count * x->entry_size, &ret->pin, e) == -1)
    return err_in (e, "grain directory at 0x%" PRIx64, directory);
  return 0;
}

static void
cleanup_piece (struct piece *p)
{
  pin_release (&p->pin);
}
#define CLEANUP_PIECE __attribute__ ((cleanup (cleanup_piece)))

int
vmdk_directory_entry (const struct vmdk_extent *x, uint64_t directory,
                      uint64_t i, uint64_t *ret, struct err *e)
{
  CLEANUP_PIECE struct piece p = { 0 };

  if (get_piece (x, directory, i, &p, e) == -1)
    return -1;
  return table_offset (x, load_entry (x, p.pin.entry->data, i - p.first), ret,
                       e);
}

/* The table for guest offset OFF: *RET, 0: none; then *RET_END is where the
 * range without tables ends, as far as it was looked at. */
static int
find_table (const struct vmdk_extent *x, uint64_t off, uint64_t *ret,
            uint64_t *ret_end, struct err *e)
{
  uint64_t index = off / vmdk_coverage (x), i;
  CLEANUP_PIECE struct piece p = { 0 };

  if (get_piece (x, x->directory, index, &p, e) == -1)
    return -1;
  i = index - p.first;
  if (table_offset (x, load_entry (x, p.pin.entry->data, i), ret, e) == -1)
    return err_in (e, "index %" PRIu64, index);
  if (*ret == 0)
    while (++i < p.count && load_entry (x, p.pin.entry->data, i) == 0)
      ;
  *ret_end = (p.first + i) * vmdk_coverage (x);
  return 0;
}

/* --- entries --------------------------------------------------------- */

static int
bad_entry (uint64_t entry, uint64_t index, struct err *e)
{
  return err_set (e, EIO,
                  "bad grain table entry 0x%" PRIx64 " (grain %" PRIu64 ")",
                  entry, index);
}

static int
classify_sesparse (const struct vmdk_extent *x, uint64_t entry,
                   uint64_t index, struct vmdk_grain *ret, struct err *e)
{
  uint64_t n;

  switch (entry >> 60) {
  case 0:
    if (entry)
      return bad_entry (entry, index, e);
    ret->kind = EXTENT_UNALLOCATED;
    return 0;
  case 1: /* unmapped by the guest */
  case 2:
    ret->kind = EXTENT_ZERO;
    return 0;
  case 3:
    n = (entry >> 48 & 0xfff) | (entry & UINT64_C (0xffffffffffff)) << 12;
    ret->kind = EXTENT_DATA;
    if (__builtin_mul_overflow (n, x->grain, &ret->host) ||
        __builtin_add_overflow (ret->host, x->grains, &ret->host))
      return bad_entry (entry, index, e);
    return 0;
  default:
    return bad_entry (entry, index, e);
  }
}

int
vmdk_classify (const struct vmdk_extent *x, const void *table, uint64_t i,
               uint64_t index, struct vmdk_grain *ret, struct err *e)
{
  uint64_t entry = load_entry (x, table, i);

  ret->host = 0;
  if (x->kind == VMDK_SESPARSE)
    return classify_sesparse (x, entry, index, ret, e);
  if (entry == ZEROED && x->kind == VMDK_HOSTED) {
    /* Sector 1 holds no grain: without the flag it means nothing. */
    if (!(x->flags & VMDK_ZERO_GRAINS))
      return bad_entry (entry, index, e);
    ret->kind = EXTENT_ZERO;
  } else if (entry == 0)
    ret->kind = EXTENT_UNALLOCATED;
  else if (x->kind == VMDK_COWD &&
           entry < VMDK_COWD_HEADER_BYTES / VMDK_SECTOR)
    return bad_entry (entry, index, e);
  else {
    ret->kind = x->compressed ? EXTENT_COMPRESSED : EXTENT_DATA;
    ret->host = entry * VMDK_SECTOR;
  }
  return 0;
}

/* A grain table, for the guest's bytes from GUEST on. */
struct table {
  struct pin pin;
  uint64_t guest;
};

static void
cleanup_table (struct table *t)
{
  pin_release (&t->pin);
}
#define CLEANUP_TABLE __attribute__ ((cleanup (cleanup_table)))

static int
get_table (const struct vmdk_extent *x, uint64_t at, uint64_t off,
           struct table *ret, struct err *e)
{
  ret->guest = off - off % vmdk_coverage (x);
  if (table_get (x->file, x->table_owner, at, vmdk_table_bytes (x), &ret->pin,
                 e) == -1)
    return err_in (e, "grain table at 0x%" PRIx64, at);
  return 0;
}

static int
classify_at (const struct vmdk_extent *x, const struct table *t, uint64_t off,
             struct vmdk_grain *ret, struct err *e)
{
  return vmdk_classify (x, t->pin.entry->data, (off - t->guest) / x->grain,
                        off / x->grain, ret, e);
}

/* --- mapping --------------------------------------------------------- */

/* Where the run of grains like FIRST, which holds OFF, ends.  A bad entry
 * ends it too: who reads that far is told. */
static uint64_t
run_end (const struct vmdk_extent *x, const struct table *t, uint64_t off,
         uint64_t len, const struct vmdk_grain *first)
{
  uint64_t start = off - off % x->grain, end = start + x->grain;
  uint64_t table_end = t->guest + vmdk_coverage (x);
  struct vmdk_grain next;
  struct err e;

  for (; end < table_end && end - off < len; end += x->grain) {
    if (classify_at (x, t, end, &next, &e) == -1 || next.kind != first->kind)
      break;
    if (next.kind == EXTENT_DATA && next.host != first->host + (end - start))
      break;
  }
  return end;
}

/* LEN bytes at WITHIN of the run of grains that starts at HOST.  Writers
 * fill the last grain of a file up, also where the disk ends within it, so
 * that nothing beyond the end of the file can be right. */
static int
map_data (const struct vmdk_extent *x, uint64_t host, uint64_t within,
          uint64_t len, struct extent *ret, struct err *e)
{
  if (host >= x->file->size || within >= x->file->size - host)
    return err_set (e, EIO,
                    "grain at 0x%" PRIx64
                    " lies beyond the end of the file (0x%" PRIx64 ")",
                    host, x->file->size);
  host += within;
  *ret = extent_data (MIN (len, x->file->size - host), x->file, host);
  return 0;
}

int
vmdk_sparse_map (const struct vmdk_extent *x, uint64_t off, uint64_t len,
                 struct extent *ret, struct err *e)
{
  CLEANUP_TABLE struct table t = { 0 };
  struct vmdk_grain g;
  uint64_t at, end;

  if (find_table (x, off, &at, &end, e) == -1)
    return -1;
  if (at == 0) {
    *ret = extent_of (EXTENT_UNALLOCATED, MIN (len, end - off));
    return 0;
  }
  if (get_table (x, at, off, &t, e) == -1 ||
      classify_at (x, &t, off, &g, e) == -1)
    return -1;
  len = MIN (len, run_end (x, &t, off, len, &g) - off);
  if (g.kind == EXTENT_DATA)
    return map_data (x, g.host, off % x->grain, len, ret, e);
  *ret = extent_of (g.kind, len);
  return 0;
}

/* --- compressed grains ----------------------------------------------- */

/* How many bytes of grain number INDEX the disk has. */
static uint64_t
grain_length (const struct vmdk_extent *x, uint64_t index)
{
  return MIN (x->grain, x->size - index * x->grain);
}

int
vmdk_read_marker (const struct vmdk_extent *x, uint64_t host, uint64_t index,
                  uint64_t *ret_at, uint32_t *ret_len, struct err *e)
{
  unsigned char m[MARKER_BYTES];
  uint64_t max = 2 * x->grain, lba = index * (x->grain / VMDK_SECTOR), size;

  if (!range_within (host, sizeof m, x->file->size))
    return err_set (e, EIO,
                    "compressed grain at 0x%" PRIx64
                    " lies beyond the end of the file (0x%" PRIx64 ")",
                    host, x->file->size);
  if (!(x->flags & VMDK_MARKERS)) {
    /* Its length is not said: the stream has its own end. */
    *ret_at = host;
    *ret_len = (uint32_t) MIN (max, x->file->size - host);
    return 0;
  }
  if (block_pread (x->file, m, sizeof m, host, e) == -1)
    return err_in (e, "marker of a grain");
  /* Programs that read the file as a stream go by the sector, and not by the
   * tables: two places are one too many. */
  if (load_le64 (m) != lba)
    return err_set (e, EIO,
                    "the marker at 0x%" PRIx64 " is for sector %" PRIu64
                    " and the grain table for sector %" PRIu64,
                    host, load_le64 (m), lba);
  size = load_le32 (m + 8);
  if (size == 0 || size > max)
    return err_set (e, EIO,
                    "compressed grain at 0x%" PRIx64 " of %" PRIu64 " bytes",
                    host, size);
  *ret_at = host + sizeof m;
  *ret_len = (uint32_t) size;
  return 0;
}

/* RFC 1950, with its checksum.  At least NEED bytes must come. */
static int
inflate_grain (const void *from, size_t n, void *to, size_t size, size_t need,
               struct err *e)
{
  z_stream z = { .next_in = (Bytef *) from,
                 .avail_in = (uInt) n,
                 .next_out = to,
                 .avail_out = (uInt) size };
  int r;

  if (inflateInit (&z) != Z_OK)
    return err_set (e, ENOMEM, "out of memory");
  r = inflate (&z, Z_FINISH);
  inflateEnd (&z);
  if (r == Z_MEM_ERROR)
    return err_set (e, ENOMEM, "out of memory");
  if (r != Z_STREAM_END)
    return err_set (e, EIO, "deflate data are damaged");
  if (size - z.avail_out < need)
    return err_set (e, EIO, "deflate data end after %zu of %zu bytes",
                    size - (size_t) z.avail_out, need);
  return 0;
}

/* Grain number INDEX, which lies at HOST; TO has room for a whole one. */
static int
decompress (const struct vmdk_extent *x, uint64_t host, uint64_t index,
            void *to, struct err *e)
{
  CLEANUP_FREE void *from = NULL;
  uint64_t at = 0;
  uint32_t len = 0; /* at most two grains: 4 MiB */

  if (vmdk_read_marker (x, host, index, &at, &len, e) == -1)
    return -1;
  if (!range_within (at, len, x->file->size))
    return err_set (e, EIO,
                    "compressed grain at 0x%" PRIx64
                    " lies beyond the end of the file (0x%" PRIx64 ")",
                    host, x->file->size);
  from = malloc (len);
  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (x->file, from, len, at, e) == -1 ||
      inflate_grain (from, len, to, x->grain, grain_length (x, index), e) ==
          -1)
    return err_in (e, "compressed grain at 0x%" PRIx64, host);
  return 0;
}

struct compressed {
  const struct vmdk_extent *x;
  uint64_t host, index;
};

static int
load_compressed (void *arg, void *data, size_t size unused_arg, struct err *e)
{
  struct compressed *c = arg;

  return decompress (c->x, c->host, c->index, data, e);
}

/* LEN bytes at WITHIN of a grain.  The key is the grain's number: what a
 * damaged table says twice is read twice. */
static int
read_compressed (const struct vmdk_extent *x, uint64_t host, uint64_t index,
                 void *buf, size_t len, uint64_t within, struct err *e)
{
  struct compressed c = { x, host, index };

  return cache_read (x->file->env->cache, x->grain_owner, index, x->grain,
                     load_compressed, &c, buf, len, within, e);
}

/* Where the grain lies that map has found to be compressed. */
static int
compressed_host (const struct vmdk_extent *x, uint64_t off, uint64_t *ret,
                 struct err *e)
{
  CLEANUP_TABLE struct table t = { 0 };
  struct vmdk_grain g = { .kind = EXTENT_UNALLOCATED };
  uint64_t at, end;

  if (find_table (x, off, &at, &end, e) == -1)
    return -1;
  if (at && (get_table (x, at, off, &t, e) == -1 ||
             classify_at (x, &t, off, &g, e) == -1))
    return -1;
  /* The file may have changed underneath since map looked. */
  if (g.kind != EXTENT_COMPRESSED)
    return err_set (e, EIO, "no compressed grain at 0x%" PRIx64, off);
  *ret = g.host;
  return 0;
}

int
vmdk_sparse_read (const struct vmdk_extent *x, void *buf, size_t len,
                  uint64_t off, struct err *e)
{
  uint64_t host = 0, within;
  char *to = buf;
  size_t n;

  for (; len > 0; to += n, off += n, len -= n) {
    within = off % x->grain;
    n = (size_t) MIN (len, x->grain - within);
    if (compressed_host (x, off, &host, e) == -1 ||
        read_compressed (x, host, off / x->grain, to, n, within, e) == -1)
      return -1;
  }
  return 0;
}
