/* xrayfs: qcow2, versions 2 and 3
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: qemu, docs/interop/qcow2.txt; sections are cited by name.
 * Where it leaves room we do as qemu 7.2 does, with differences on purpose
 * at the end of the file, where qemu invents zeros: a data cluster that
 * starts beyond it is an error, and so is a table that it cuts.  A data
 * cluster that it cuts reads as zeros beyond it, as in qemu, only where a
 * writer may have left its last cluster short (qcow2_tail.c).
 *
 * Nothing of the tables is kept but in the cache, in pieces of at most
 * 64 KiB: memory does not depend on what the image says.
 */
#include "format/qcow2.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/inflate.h"

/* --- tables ---------------------------------------------------------- */

/* The L2 table for OFF: *RET, or 0 if there is none; then *RET_END is where
 * the guest range without tables ends, as far as it was looked at. */
static int
l1_lookup (struct block *b, uint64_t off, uint64_t *ret, uint64_t *ret_end,
           struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t index = off >> l1_shift (q);
  uint64_t first = index - index % (QCOW2_PIECE / 8);
  uint64_t n = MIN (QCOW2_PIECE / 8, q->l1_size - first), i = index - first;
  CLEANUP_PIN struct pin pin = { 0 };
  const char *table;

  /* open has checked that the L1 table covers the size. */
  if (table_get (b->below, q->l1_owner, q->l1_offset + first * 8, n * 8, &pin,
                 e) == -1)
    return err_in (e, "L1 table");
  table = pin.entry->data;
  *ret = load_be64 (table + i * 8) & QCOW2_OFFSET_MASK;
  if (*ret & (q->cluster_size - 1))
    return err_set (e, EIO,
                    "L2 table offset 0x%" PRIx64 " is not aligned"
                    " (L1 index %" PRIu64 ")",
                    *ret, index);
  if (!*ret)
    while (++i < n && !(load_be64 (table + i * 8) & QCOW2_OFFSET_MASK))
      ;
  *ret_end = (first + i) << l1_shift (q);
  return 0;
}

/* A piece of an L2 table: COUNT entries, for the guest's clusters from GUEST
 * on. */
struct slice {
  struct pin pin;
  uint64_t host; /* of the piece */
  uint64_t guest;
  uint64_t count;
};

static void
cleanup_slice (struct slice *s)
{
  pin_release (&s->pin);
}
#define CLEANUP_SLICE __attribute__ ((cleanup (cleanup_slice)))

/* The piece of the L2 table at host offset L2 that has the entry for OFF. */
static int
slice_get (struct block *b, uint64_t l2, uint64_t off, struct slice *ret,
           struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t cluster = off >> q->cluster_bits;

  ret->count = q->slice / q->entry_size;
  ret->guest = (cluster - cluster % ret->count) << q->cluster_bits;
  cluster &= (UINT64_C (1) << q->l2_bits) - 1;
  ret->host = l2 + cluster / ret->count * q->slice;
  if (table_get (b->below, q->l2_owner, ret->host, q->slice, &ret->pin, e) ==
      -1)
    return err_in (e, "L2 table at 0x%" PRIx64, l2);
  return 0;
}

static uint64_t
slice_entry (const struct qcow2 *q, const struct slice *s, uint64_t index)
{
  return load_be64 ((char *) s->pin.entry->data + index * q->entry_size);
}

/* --- mapping --------------------------------------------------------- */

/* What a cluster, or a subcluster, is. */
struct unit {
  enum extent_kind kind;
  uint64_t host; /* EXTENT_DATA: its own offset */
};

static int
bad_entry (const struct qcow2 *q, const struct slice *s, uint64_t index,
           struct err *e, const char *what)
{
  return err_set (e, EIO,
                  "%s 0x%" PRIx64 " (entry %" PRIu64
                  " of the L2 table piece at 0x%" PRIx64 ")",
                  what, slice_entry (q, s, index), index, s->host);
}

/* "Extended L2 Entries": is bit SUB of the cluster zero, or there? */
static int
classify_subcluster (const struct qcow2 *q, const struct slice *s,
                     uint64_t index, unsigned sub, bool has_host,
                     struct unit *ret, struct err *e)
{
  uint64_t bitmap = load_be64 ((char *) s->pin.entry->data + index * 16 + 8);
  uint32_t there = (uint32_t) bitmap, zero = (uint32_t) (bitmap >> 32);

  if ((there & zero) || (there && !has_host))
    return bad_entry (q, s, index, e, "subcluster bitmap does not fit entry");
  if (zero >> sub & 1)
    ret->kind = EXTENT_ZERO;
  else if (!(there >> sub & 1))
    ret->kind = EXTENT_UNALLOCATED;
  else
    ret->kind = EXTENT_DATA;
  return 0;
}

/* "Standard Cluster Descriptor", for unit SUB of the cluster of ENTRY. */
static int
classify_standard (const struct qcow2 *q, const struct slice *s,
                   uint64_t index, unsigned sub, struct unit *ret,
                   struct err *e)
{
  uint64_t entry = slice_entry (q, s, index),
           host = entry & QCOW2_OFFSET_MASK;
  bool external = q->incompatible & QCOW2_DATA_FILE;
  bool zero = (entry & QCOW2_ZERO) && !q->extended;
  /* Only a data file can have a cluster at 0. */
  bool has_host = host || (external && (entry & QCOW2_COPIED) && !zero);

  if (zero && q->version < 3)
    return bad_entry (q, s, index, e, "version 2 has no zero cluster");
  if (host & (q->cluster_size - 1))
    return bad_entry (q, s, index, e, "cluster offset is not aligned:");
  if (has_host && external && host != s->guest + (index << q->cluster_bits))
    return bad_entry (q, s, index, e,
                      "cluster is not at the guest's offset:");
  ret->host = host + sub * q->unit;
  if (q->extended)
    return classify_subcluster (q, s, index, sub, has_host, ret, e);
  ret->kind = zero       ? EXTENT_ZERO
              : has_host ? EXTENT_DATA
                         : EXTENT_UNALLOCATED;
  return 0;
}

/* What lies at the guest's offset OFF, which is in S. */
static int
classify (const struct qcow2 *q, const struct slice *s, uint64_t off,
          struct unit *ret, struct err *e)
{
  uint64_t index = (off - s->guest) >> q->cluster_bits;
  unsigned sub = (unsigned) ((off & (q->cluster_size - 1)) / q->unit);

  if (!(slice_entry (q, s, index) & QCOW2_COMPRESSED))
    return classify_standard (q, s, index, sub, ret, e);
  if (q->incompatible & QCOW2_DATA_FILE)
    return bad_entry (q, s, index, e, "compressed cluster with a data file:");
  *ret = (struct unit){ EXTENT_COMPRESSED, 0 };
  return 0;
}

/* Where the run of units like FIRST, which holds OFF, ends.  A bad entry
 * ends it too: who reads that far is told. */
static uint64_t
run_end (const struct qcow2 *q, const struct slice *s, uint64_t off,
         uint64_t len, const struct unit *first)
{
  uint64_t start = off & ~(q->unit - 1), end = start + q->unit;
  uint64_t slice_end = s->guest + (s->count << q->cluster_bits);
  struct unit next;
  struct err e;

  while (end < slice_end && end - off < len) {
    if (classify (q, s, end, &next, &e) == -1 || next.kind != first->kind)
      break;
    if (next.kind == EXTENT_DATA && next.host != first->host + (end - start))
      break;
    end += q->unit;
  }
  return end;
}

static int
map_unallocated (const struct qcow2 *q, uint64_t off, uint64_t len,
                 struct extent *ret)
{
  if (q->backing && off < q->backing->size)
    *ret = extent_data (MIN (len, q->backing->size - off), q->backing, off);
  else
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

/* The part of a data cluster that lies beyond the end of the file: LEN bytes
 * at HOST. */
static int
map_tail (struct block *b, uint64_t host, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t cluster = host & ~(q->cluster_size - 1);
  bool is_short;

  if (cluster >= q->data->size)
    return err_set (
        e, EIO, "cluster at 0x%" PRIx64 " lies beyond the end of the file",
        cluster);
  if (qcow2_has_short_tail (b, &is_short, e) == -1)
    return -1;
  if (!is_short)
    return err_set (e, EIO,
                    "cluster at 0x%" PRIx64 " is cut off by the end of the"
                    " file",
                    cluster);
  *ret = extent_of (EXTENT_UNALLOCATED,
                    MIN (len, cluster + q->cluster_size - host));
  return 0;
}

/* LEN bytes of data at HOST, somewhere in a cluster. */
static int
map_data (struct block *b, uint64_t host, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct qcow2 *q = b->priv;

  if (host >= q->data->size)
    return map_tail (b, host, len, ret, e);
  *ret = extent_data (MIN (len, q->data->size - host), q->data, host);
  ret->transparent = q->preallocated;
  return 0;
}

static int
check_plain (const struct qcow2 *q, struct err *e)
{
  if (q->crypt != QCOW2_CRYPT_NONE)
    return err_set (e, EIO, "data are encrypted (%s)",
                    q->crypt == QCOW2_CRYPT_AES ? "AES" : "LUKS");
  return 0;
}

static int
map_slice (struct block *b, const struct slice *s, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  const struct qcow2 *q = b->priv;
  struct unit first;

  if (classify (q, s, off, &first, e) == -1)
    return -1;
  len = MIN (len, run_end (q, s, off, len, &first) - off);
  switch (first.kind) {
  case EXTENT_UNALLOCATED:
    return map_unallocated (q, off, len, ret);
  case EXTENT_DATA:
    if (check_plain (q, e) == -1)
      return -1;
    return map_data (b, first.host + (off & (q->unit - 1)), len, ret, e);
  case EXTENT_COMPRESSED:
    if (check_plain (q, e) == -1)
      return -1;
    /* fall through */
  case EXTENT_ZERO:
  default:
    *ret = extent_of (first.kind, len);
    return 0;
  }
}

static int
qcow2_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
           struct err *e)
{
  const struct qcow2 *q = b->priv;
  CLEANUP_SLICE struct slice s = { 0 };
  uint64_t l2, end;

  if (l1_lookup (b, off, &l2, &end, e) == -1)
    return -1;
  if (!l2)
    return map_unallocated (q, off, MIN (len, end - off), ret);
  if (slice_get (b, l2, off, &s, e) == -1)
    return -1;
  return map_slice (b, &s, off, len, ret, e);
}

/* --- compressed clusters -------------------------------------------- */

/* Making a context takes as long as a sixth of a cluster.  One that grew for
 * a large window is not kept. */
#define ZSTD_KEPT MiB

static ZSTD_DCtx *
context_get (struct qcow2 *q)
{
  ZSTD_DCtx *dctx = NULL;

  for (size_t i = 0; !dctx && i < QCOW2_CONTEXTS; i++)
    dctx = atomic_exchange (&q->contexts[i], NULL);
  return dctx ? dctx : ZSTD_createDCtx ();
}

static void
context_put (struct qcow2 *q, ZSTD_DCtx *dctx)
{
  bool keep = ZSTD_sizeof_DCtx (dctx) <= ZSTD_KEPT;
  void *none;

  ZSTD_DCtx_reset (dctx, ZSTD_reset_session_only);
  for (size_t i = 0; keep && i < QCOW2_CONTEXTS; i++) {
    none = NULL;
    if (atomic_compare_exchange_strong (&q->contexts[i], &none, dctx))
      return;
  }
  ZSTD_freeDCtx (dctx);
}

/* As many frames as it takes.  They may ask for a window: the most that the
 * zstd format recommends to support is also the most we give. */
#define ZSTD_WINDOW_LOG 23

static int
unzstd_cluster (struct qcow2 *q, const void *from, size_t n, void *to,
                size_t size, struct err *e)
{
  ZSTD_DCtx *dctx = context_get (q);
  ZSTD_inBuffer in = { from, n, 0 };
  ZSTD_outBuffer out = { to, size, 0 };
  size_t r = 1, was_in, was_out;

  if (!dctx)
    return err_set (e, ENOMEM, "out of memory");
  ZSTD_DCtx_setParameter (dctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
  do {
    was_in = in.pos;
    was_out = out.pos;
    r = ZSTD_decompressStream (dctx, &out, &in);
  } while (!ZSTD_isError (r) && out.pos < size &&
           (in.pos > was_in || out.pos > was_out));
  context_put (q, dctx);
  /* r > 0: the frame holds more than a cluster. */
  if (r != 0 || out.pos < size)
    return err_set (e, EIO, "zstd data are damaged");
  return 0;
}

/* "Compressed Clusters Descriptor": where, and at most how much. */
static int
compressed_range (const struct qcow2 *q, uint64_t entry, uint64_t size,
                  uint64_t *ret_off, size_t *ret_len, struct err *e)
{
  uint64_t off, len;

  qcow2_compressed_range (q, entry, &off, &len);
  if (off >= size)
    return err_set (e, EIO,
                    "compressed cluster at 0x%" PRIx64
                    " lies beyond the end of the file",
                    off);
  /* The last sector is counted in full and may reach beyond the file. */
  *ret_off = off;
  *ret_len = (size_t) MIN (len, size - off);
  return 0;
}

static int
decompress (struct block *b, uint64_t entry, void *to, struct err *e)
{
  struct qcow2 *q = b->priv;
  CLEANUP_FREE void *from = NULL;
  uint64_t off = 0;
  size_t len = 0; /* at most two clusters: 4 MiB */
  int r;

  if (compressed_range (q, entry, b->below->size, &off, &len, e) == -1)
    return -1;
  from = malloc (len);
  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, from, len, off, e) == -1)
    return -1;
  if (q->compression == QCOW2_ZSTD)
    r = unzstd_cluster (q, from, len, to, q->cluster_size, e);
  else
    r = inflate_exact (INFLATE_RAW, from, len, to, q->cluster_size, e);
  return r == -1 ? err_in (e, "compressed cluster at 0x%" PRIx64, off) : 0;
}

struct compressed {
  struct block *b;
  uint64_t entry;
};

static int
load_compressed (void *arg, void *data, size_t size unused_arg, struct err *e)
{
  struct compressed *c = arg;

  return decompress (c->b, c->entry, data, e);
}

/* LEN bytes at WITHIN of the cluster of ENTRY. */
static int
read_compressed (struct block *b, uint64_t entry, void *buf, size_t len,
                 uint64_t within, struct err *e)
{
  const struct qcow2 *q = b->priv;
  struct compressed c = { b, entry };

  return cache_read (b->env->cache, q->cluster_owner, entry, q->cluster_size,
                     load_compressed, &c, buf, len, within, e);
}

/* The L2 entry of a cluster that map has found to be compressed. */
static int
compressed_entry (struct block *b, uint64_t off, uint64_t *ret, struct err *e)
{
  const struct qcow2 *q = b->priv;
  CLEANUP_SLICE struct slice s = { 0 };
  uint64_t l2, end;

  if (l1_lookup (b, off, &l2, &end, e) == -1)
    return -1;
  if (!l2)
    return err_set (e, EIO, "no compressed cluster at 0x%" PRIx64, off);
  if (slice_get (b, l2, off, &s, e) == -1)
    return -1;
  *ret = slice_entry (q, &s, (off - s.guest) >> q->cluster_bits);
  /* The file may have changed underneath since map looked. */
  if (!(*ret & QCOW2_COMPRESSED))
    return err_set (e, EIO, "no compressed cluster at 0x%" PRIx64, off);
  return 0;
}

static int
qcow2_pread (struct block *b, void *buf, size_t len, uint64_t off,
             struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t entry = 0, within;
  char *to = buf;
  size_t n;

  if (check_plain (q, e) == -1)
    return -1;
  for (; len > 0; to += n, off += n, len -= n) {
    within = off & (q->cluster_size - 1);
    n = (size_t) MIN (len, q->cluster_size - within);
    if (compressed_entry (b, off, &entry, e) == -1 ||
        read_compressed (b, entry, to, n, within, e) == -1)
      return -1;
  }
  return 0;
}

static struct block *
qcow2_backing (struct block *b)
{
  return ((struct qcow2 *) b->priv)->backing;
}

static void
qcow2_close (struct block *b)
{
  struct qcow2 *q = b->priv;

  if (!q)
    return;
  lazy_destroy (&q->tail);
  block_close (q->backing);
  if (q->data != b->below)
    block_close (q->data);
  for (size_t i = 0; i < QCOW2_CONTEXTS; i++)
    ZSTD_freeDCtx (q->contexts[i]); /* NULL is fine */
  free (q->backing_file);
  free (q->backing_format);
  free (q->data_file);
  free (q);
}

const struct block_ops qcow2_ops = {
  .name = "qcow2",
  .bid = qcow2_bid,
  .open = qcow2_open,
  .pread = qcow2_pread,
  .map = qcow2_map,
  .info = qcow2_info,
  .backing = qcow2_backing,
  .check = qcow2_check,
  .safety = qcow2_safety,
  .close = qcow2_close,
};
