/* xrayfs: qcow, version 1
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is no specification: the format is what qemu's first driver wrote
 * (block/qcow.c, 2004 to 2006).  All numbers are big-endian:
 *
 *    0  4  "QFI\xfb"          24  8  size of the disk, in bytes
 *    4  4  version: 1         32  1  log2 of the cluster size, 9 to 16
 *    8  8  backing file name  33  1  log2 of the entries of an L2 table
 *   16  4  its length         36  4  encryption: 0 none, 1 AES
 *   20  4  mtime, not used    40  8  offset of the L1 table
 *
 * An entry of L1 is the offset of an L2 table.  One of L2 is 0, or the offset
 * of a cluster, or bit 63, the length and the offset of raw deflate data.
 *
 * As qemu 7.2, but for this: what lies beyond the end of the file is an
 * error.  qemu makes the file as long as its last cluster before it writes
 * there, so a cluster that the end of the file cuts has lost data.
 */
#include "format/qcow.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "format/inflate.h"

#define MAGIC        UINT64_C (0x514649fb00000001) /* with the version */
#define MAX_NAME     1023
#define MAX_L1_BYTES INT32_MAX /* as in qemu; it is read in pieces */

/* --- the header ------------------------------------------------------ */

static int
qcow_bid (struct block *below, struct err *e)
{
  unsigned char h[8];

  if (below->size < sizeof h)
    return 0;
  if (block_pread (below, h, sizeof h, 0, e) == -1)
    return -1;
  /* A header that is cut off is ours to refuse: as raw it would mislead. */
  return load_be64 (h) == MAGIC ? 64 : 0;
}

static int
check_header (const struct qcow *q, struct err *e)
{
  if (q->size <= 1)
    return err_set (e, EINVAL, "virtual size of %" PRIu64 " bytes", q->size);
  if (q->cluster_bits < 9 || q->cluster_bits > 16)
    return err_set (e, EINVAL, "cluster size of 2^%u bytes", q->cluster_bits);
  if (q->l2_bits < 6 || q->l2_bits > 13)
    return err_set (e, EINVAL, "L2 tables of 2^%u entries", q->l2_bits);
  if (q->crypt > 1)
    return err_set (e, ENOTSUP,
                    "encryption method %" PRIu32 " is not supported",
                    q->crypt);
  if (q->size > INT64_MAX)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " bytes", q->size);
  return 0;
}

/* The L1 table has no length of its own: the size needs so much. */
static int
check_l1 (struct block *b, struct err *e)
{
  struct qcow *q = b->priv;

  q->l1_size = div_up (q->size, UINT64_C (1) << qcow_l1_shift (q));
  if (q->l1_size > MAX_L1_BYTES / 8)
    return err_set (e, EFBIG, "L1 table of %" PRIu64 " entries is too large",
                    q->l1_size);
  if (!range_within (q->l1_offset, q->l1_size * 8, b->below->size))
    return err_set (e, EIO,
                    "L1 table at 0x%" PRIx64 " lies beyond the end of the"
                    " file",
                    q->l1_offset);
  return 0;
}

static int
read_header (struct block *b, struct err *e)
{
  struct qcow *q = b->priv;
  unsigned char h[QCOW_HEADER_LENGTH];

  if (b->below->size < sizeof h)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  /* Who names the format has not bid. */
  if (load_be64 (h) != MAGIC)
    return err_set (e, EINVAL, "not a qcow image of version 1");
  q->backing_offset = load_be64 (h + 8);
  q->backing_len = load_be32 (h + 16);
  q->size = load_be64 (h + 24);
  q->cluster_bits = h[32];
  q->l2_bits = h[33];
  q->crypt = load_be32 (h + 36);
  q->l1_offset = load_be64 (h + 40);
  if (check_header (q, e) == -1)
    return -1;
  q->cluster_size = UINT64_C (1) << q->cluster_bits;
  q->l2_bytes = UINT64_C (8) << q->l2_bits;
  return check_l1 (b, e);
}

static int
read_backing_name (struct block *b, struct err *e)
{
  struct qcow *q = b->priv;
  CLEANUP_FREE char *name = NULL;

  if (!q->backing_offset)
    return 0;
  if (q->backing_len > MAX_NAME)
    return err_set (e, EINVAL,
                    "backing file name of %" PRIu32 " bytes is too long",
                    q->backing_len);
  if (!range_within (q->backing_offset, q->backing_len, b->below->size))
    return err_set (e, EINVAL,
                    "backing file name at 0x%" PRIx64
                    " lies beyond the end of the file",
                    q->backing_offset);
  name = calloc (1, (size_t) q->backing_len + 1);
  if (!name)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, name, q->backing_len, q->backing_offset, e) ==
      -1)
    return err_in (e, "backing file name");
  if (name[0])
    q->backing_file = steal_ptr (&name);
  return 0;
}

/* The header does not say which format the backing file has. */
static int
open_backing (struct block *b, struct err *e)
{
  struct qcow *q = b->priv;

  if (read_backing_name (b, e) == -1)
    return -1;
  if (q->backing_file &&
      block_reference_or_missing (b, q->backing_file, NULL, q->size,
                                  &q->backing, e) == -1)
    return err_in (e, "backing file '%s'", q->backing_file);
  return 0;
}

static int
qcow_open (struct block *b, struct err *e)
{
  struct qcow *q = b->priv = calloc (1, sizeof *q);

  if (!q)
    return err_set (e, ENOMEM, "out of memory");
  if (read_header (b, e) == -1 || open_backing (b, e) == -1)
    return -1;
  q->l1_owner = cache_new_owner ();
  q->l2_owner = cache_new_owner ();
  q->cluster_owner = cache_new_owner ();
  /* Whole sectors, as in qemu. */
  b->size = q->size & ~(QCOW_SECTOR - 1);
  return 0;
}

/* --- tables ---------------------------------------------------------- */

/* qemu allocates tables on a cluster's boundary, and the smallest cluster is
 * a sector. */
int
qcow_check_l2_offset (struct block *b, uint64_t l2, struct err *e)
{
  const struct qcow *q = b->priv;

  if (l2 & (QCOW_SECTOR - 1))
    return err_set (e, EIO, "L2 table offset 0x%" PRIx64 " is not aligned",
                    l2);
  if (!range_within (l2, q->l2_bytes, b->below->size))
    return err_set (
        e, EIO, "L2 table at 0x%" PRIx64 " lies beyond the end of the file",
        l2);
  return 0;
}

/* The piece of L1 that has entry INDEX: *RET_FIRST is its first entry, *RET_N
 * how many it has. */
int
qcow_l1_piece (struct block *b, uint64_t index, struct pin *pin,
               uint64_t *ret_first, uint64_t *ret_n, struct err *e)
{
  const struct qcow *q = b->priv;
  uint64_t first = index - index % (TABLE_PIECE / 8);
  uint64_t n = MIN (TABLE_PIECE / 8, q->l1_size - first);

  if (table_get (b->below, q->l1_owner, q->l1_offset + first * 8, n * 8, pin,
                 e) == -1)
    return err_in (e, "L1 table");
  *ret_first = first;
  *ret_n = n;
  return 0;
}

/* The L2 table for OFF: *RET, or 0 if there is none; then *RET_END is where
 * the guest range without tables ends, as far as it was looked at. */
static int
l1_lookup (struct block *b, uint64_t off, uint64_t *ret, uint64_t *ret_end,
           struct err *e)
{
  const struct qcow *q = b->priv;
  uint64_t index = off >> qcow_l1_shift (q), first = 0, n = 0, i;
  CLEANUP_PIN struct pin pin = { 0 };
  const char *table;

  if (qcow_l1_piece (b, index, &pin, &first, &n, e) == -1)
    return -1;
  table = pin.entry->data;
  i = index - first;
  *ret = load_be64 (table + i * 8);
  if (*ret)
    return qcow_check_l2_offset (b, *ret, e);
  while (++i < n && !load_be64 (table + i * 8))
    ;
  *ret_end = (first + i) << qcow_l1_shift (q);
  return 0;
}

/* The L2 table at L2: at most 64 KiB, so in one piece. */
int
qcow_l2_get (struct block *b, uint64_t l2, struct pin *ret, struct err *e)
{
  const struct qcow *q = b->priv;

  if (table_get (b->below, q->l2_owner, l2, q->l2_bytes, ret, e) == -1)
    return err_in (e, "L2 table at 0x%" PRIx64, l2);
  return 0;
}

static uint64_t
l2_index (const struct qcow *q, uint64_t off)
{
  return off >> q->cluster_bits & ((UINT64_C (1) << q->l2_bits) - 1);
}

/* --- mapping --------------------------------------------------------- */

/* How many clusters like that of entry INDEX follow each other, WANT at
 * most. */
static uint64_t
count_run (const struct qcow *q, const struct pin *l2, uint64_t index,
           uint64_t want)
{
  uint64_t first = qcow_l2_entry (l2, index), next, n = 1;
  uint64_t max = MIN (want, (UINT64_C (1) << q->l2_bits) - index);

  for (; n < max; n++) {
    next = qcow_l2_entry (l2, index + n);
    if (qcow_kind (next) != qcow_kind (first) ||
        (qcow_kind (next) == EXTENT_DATA &&
         next != first + (n << q->cluster_bits)))
      break;
  }
  return n;
}

static int
map_unallocated (const struct qcow *q, uint64_t off, uint64_t len,
                 struct extent *ret)
{
  if (q->backing && off < q->backing->size)
    *ret = extent_data (MIN (len, q->backing->size - off), q->backing, off);
  else
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

static int
check_plain (const struct qcow *q, struct err *e)
{
  return q->crypt ? err_set (e, EIO, "data are encrypted (AES)") : 0;
}

/* LEN bytes of data at HOST + WITHIN, in the clusters from HOST on. */
static int
map_data (struct block *b, uint64_t host, uint64_t within, uint64_t len,
          struct extent *ret, struct err *e)
{
  if (host & (QCOW_SECTOR - 1))
    return err_set (e, EIO, "cluster offset 0x%" PRIx64 " is not aligned",
                    host);
  if (host + within >= b->below->size)
    return err_set (e, EIO, "cluster at 0x%" PRIx64 " %s the end of the file",
                    host,
                    host < b->below->size ? "is cut off by" : "lies beyond");
  *ret = extent_data (MIN (len, b->below->size - host - within), b->below,
                      host + within);
  return 0;
}

static int
map_entry (struct block *b, const struct pin *l2, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  const struct qcow *q = b->priv;
  uint64_t index = l2_index (q, off), entry = qcow_l2_entry (l2, index);
  uint64_t within = off & (q->cluster_size - 1);
  uint64_t n =
      count_run (q, l2, index, (within + len - 1) / q->cluster_size + 1);

  len = MIN (len, n * q->cluster_size - within);
  if (qcow_kind (entry) == EXTENT_UNALLOCATED)
    return map_unallocated (q, off, len, ret);
  if (check_plain (q, e) == -1)
    return -1;
  if (qcow_kind (entry) == EXTENT_DATA)
    return map_data (b, entry, within, len, ret, e);
  *ret = extent_of (EXTENT_COMPRESSED, len);
  return 0;
}

static int
qcow_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct qcow *q = b->priv;
  CLEANUP_PIN struct pin table = { 0 };
  uint64_t l2 = 0, end = 0;

  if (l1_lookup (b, off, &l2, &end, e) == -1)
    return -1;
  if (!l2)
    return map_unallocated (q, off, MIN (len, end - off), ret);
  if (qcow_l2_get (b, l2, &table, e) == -1)
    return -1;
  return map_entry (b, &table, off, len, ret, e);
}

/* --- compressed clusters --------------------------------------------- */

void
qcow_compressed_range (const struct qcow *q, uint64_t entry,
                       uint64_t *ret_off, size_t *ret_len)
{
  unsigned shift = 63 - q->cluster_bits;

  *ret_off = entry & ((UINT64_C (1) << shift) - 1);
  *ret_len = (size_t) (entry >> shift & (q->cluster_size - 1));
}

static int
decompress (struct block *b, uint64_t entry, void *to, struct err *e)
{
  const struct qcow *q = b->priv;
  CLEANUP_FREE void *from = NULL;
  uint64_t off = 0;
  size_t len = 0; /* less than a cluster */

  qcow_compressed_range (q, entry, &off, &len);
  if (!range_within (off, len, b->below->size))
    return err_set (e, EIO,
                    "compressed cluster at 0x%" PRIx64
                    " lies beyond the end of the file",
                    off);
  from = malloc (len + 1);
  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, from, len, off, e) == -1 ||
      inflate_exact (INFLATE_RAW, from, len, to, q->cluster_size, e) == -1)
    return err_in (e, "compressed cluster at 0x%" PRIx64, off);
  return 0;
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
  const struct qcow *q = b->priv;
  struct compressed c = { b, entry };

  return cache_read (b->env->cache, q->cluster_owner, entry, q->cluster_size,
                     load_compressed, &c, buf, len, within, e);
}

/* The entry of a cluster that map has found to be compressed. */
static int
compressed_entry (struct block *b, uint64_t off, uint64_t *ret, struct err *e)
{
  const struct qcow *q = b->priv;
  CLEANUP_PIN struct pin table = { 0 };
  uint64_t l2 = 0, end = 0;

  if (l1_lookup (b, off, &l2, &end, e) == -1)
    return -1;
  if (l2 && qcow_l2_get (b, l2, &table, e) == -1)
    return -1;
  *ret = l2 ? qcow_l2_entry (&table, l2_index (q, off)) : 0;
  /* The file may have changed underneath since map looked. */
  if (qcow_kind (*ret) != EXTENT_COMPRESSED)
    return err_set (e, EIO, "no compressed cluster at 0x%" PRIx64, off);
  return 0;
}

static int
qcow_pread (struct block *b, void *buf, size_t len, uint64_t off,
            struct err *e)
{
  const struct qcow *q = b->priv;
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

/* --- the rest -------------------------------------------------------- */

static int
qcow_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct qcow *q = b->priv;

  ret->has_backing = ret->has_encryption = true;
  ret->cluster_size = q->cluster_size;
  if (text_copy ("1", &ret->version, e) == -1 ||
      text_copy ("zlib", &ret->compression, e) == -1 ||
      text_copy (q->crypt ? "aes" : NULL, &ret->encrypted, e) == -1)
    return -1;
  return text_copy (q->backing_file, &ret->backing_file, e);
}

/* OpenStack's format inspector takes it for a qcow2 of a version that is not
 * supported. */
static int
qcow_safety (struct block *b unused_arg, struct buf *reasons,
             struct err *e unused_arg)
{
  buf_puts (reasons, "it is a qcow of version 1, which OpenStack refuses\n");
  return 0;
}

static struct block *
qcow_backing (struct block *b)
{
  const struct qcow *q = b->priv;

  return q->backing;
}

static void
qcow_close (struct block *b)
{
  struct qcow *q = b->priv;

  if (!q)
    return;
  block_close (q->backing);
  free (q->backing_file);
  free (q);
}

const struct block_ops qcow_ops = {
  .name = "qcow",
  .bid = qcow_bid,
  .open = qcow_open,
  .pread = qcow_pread,
  .map = qcow_map,
  .info = qcow_info,
  .backing = qcow_backing,
  .check = qcow_check,
  .safety = qcow_safety,
  .close = qcow_close,
};
