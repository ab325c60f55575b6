/* xrayfs: qcow2: the header, and opening what it refers to
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checks as qemu 7.2 does them, each number before its use.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "format/qcow2.h"

#define MAGIC 0x514649fb /* "QFI\xfb" */

#define V2_HEADER_LENGTH         72
#define V3_HEADER_LENGTH         104
#define MIN_CLUSTER_BITS         9
#define MAX_CLUSTER_BITS         21
#define MAX_L1_BYTES             (32 * MiB)
#define MAX_REFCOUNT_TABLE_BYTES (8 * MiB)
#define MAX_SNAPSHOTS            65536
#define SNAPSHOT_HEAD            40
#define SUBCLUSTERS              32

/* --- the header (qcow2.txt, "Header") -------------------------------- */

int
qcow2_bid (struct block *below, struct err *e)
{
  unsigned char h[8] = { 0 };
  uint32_t version;

  if (below->size < 4)
    return 0;
  if (block_pread (below, h, MIN (below->size, sizeof h), 0, e) == -1)
    return -1;
  if (load_be32 (h) != MAGIC)
    return 0;
  version = load_be32 (h + 4);
  /* Version 1 is another format.  A version that nobody knows and a header
   * that is cut off are ours to refuse: shown as raw they would mislead. */
  return version == 1 ? 0 : version == 2 || version == 3 ? 64 : 32;
}

static int
read_header_part (struct block *b, void *to, uint64_t from, uint64_t end,
                  struct err *e)
{
  if (end > b->below->size)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, to, end - from, from, e) == -1)
    return err_in (e, "header");
  return 0;
}

static void
load_v2 (struct qcow2 *q, const unsigned char *h)
{
  q->version = load_be32 (h + 4);
  q->backing_offset = load_be64 (h + 8);
  q->backing_len = load_be32 (h + 16);
  q->cluster_bits = load_be32 (h + 20);
  q->size = load_be64 (h + 24);
  q->crypt = load_be32 (h + 32);
  q->l1_size = load_be32 (h + 36);
  q->l1_offset = load_be64 (h + 40);
  q->refcount_offset = load_be64 (h + 48);
  q->refcount_clusters = load_be32 (h + 56);
  q->nb_snapshots = load_be32 (h + 60);
  q->snapshots_offset = load_be64 (h + 64);
  q->refcount_order = 4;
  q->header_length = V2_HEADER_LENGTH;
}

static void
load_v3 (struct qcow2 *q, const unsigned char *h)
{
  q->incompatible = load_be64 (h + 72);
  q->compatible = load_be64 (h + 80);
  q->autoclear = load_be64 (h + 88);
  q->refcount_order = load_be32 (h + 96);
  q->header_length = load_be32 (h + 100);
}

static int
check_version (const struct qcow2 *q, struct err *e)
{
  if (q->version != 2 && q->version != 3)
    return err_set (e, ENOTSUP, "version %" PRIu32 " is not known",
                    q->version);
  if (q->cluster_bits < MIN_CLUSTER_BITS ||
      q->cluster_bits > MAX_CLUSTER_BITS)
    return err_set (e, EINVAL, "cluster size of 2^%u bytes is not supported",
                    q->cluster_bits);
  return 0;
}

static int
read_header (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;
  unsigned char h[V3_HEADER_LENGTH];

  if (read_header_part (b, h, 0, V2_HEADER_LENGTH, e) == -1)
    return -1;
  /* Who names the format has not bid. */
  if (load_be32 (h) != MAGIC)
    return err_set (e, EINVAL, "not a qcow2 image");
  load_v2 (q, h);
  if (check_version (q, e) == -1)
    return -1;
  q->cluster_size = UINT64_C (1) << q->cluster_bits;
  if (q->version == 2)
    return 0;
  if (read_header_part (b, h + V2_HEADER_LENGTH, V2_HEADER_LENGTH,
                        V3_HEADER_LENGTH, e) == -1)
    return -1;
  load_v3 (q, h);
  if (q->header_length < V3_HEADER_LENGTH ||
      q->header_length > q->cluster_size)
    return err_set (e, EINVAL, "header length of %" PRIu32 " bytes",
                    q->header_length);
  if (q->header_length > b->below->size)
    return err_set (e, EINVAL, "header is cut off");
  /* "Additional fields": there if the header is long enough. */
  return q->header_length == V3_HEADER_LENGTH
             ? 0
             : read_header_part (b, &q->compression, V3_HEADER_LENGTH,
                                 V3_HEADER_LENGTH + 1, e);
}

static int
check_incompatible (const struct qcow2 *q, struct err *e)
{
  int bit = qcow2_unknown_bit (q);

  if (bit == -1)
    return 0;
  if (q->unknown_feature[0])
    return err_set (e, ENOTSUP, "feature '%s' (bit %d) is not supported",
                    q->unknown_feature, bit);
  return err_set (e, ENOTSUP, "feature bit %d is not supported", bit);
}

static int
check_features (const struct qcow2 *q, struct err *e)
{
  bool marked = q->incompatible & QCOW2_COMPRESSION_TYPE;

  if (q->compression > QCOW2_ZSTD)
    return err_set (e, ENOTSUP, "compression type %u is not supported",
                    q->compression);
  if (marked != (q->compression != QCOW2_ZLIB))
    return err_set (e, EINVAL,
                    "compression type and its feature bit disagree");
  if (q->refcount_order > 6)
    return err_set (e, EINVAL, "refcount order %" PRIu32, q->refcount_order);
  if (q->crypt > QCOW2_CRYPT_LUKS)
    return err_set (e, ENOTSUP,
                    "encryption method %" PRIu32 " is not supported",
                    q->crypt);
  if (q->extended && q->unit < 512)
    return err_set (e, EINVAL, "subclusters of %" PRIu64 " bytes", q->unit);
  if ((q->autoclear & QCOW2_DATA_FILE_RAW) &&
      !(q->incompatible & QCOW2_DATA_FILE))
    return err_set (e, EINVAL, "data-file-raw without a data file");
  return 0;
}

/* N entries of LEN bytes at OFF, MAX bytes at most: a table that qemu would
 * open. */
static int
check_table (const struct qcow2 *q, const char *what, uint64_t off,
             uint64_t n, uint64_t len, uint64_t max, struct err *e)
{
  if (n > max / len)
    return err_set (e, EFBIG, "%s of %" PRIu64 " entries is too large", what,
                    n);
  if (off > INT64_MAX - n * len || (off & (q->cluster_size - 1)))
    return err_set (e, EINVAL, "%s: offset 0x%" PRIx64, what, off);
  return 0;
}

static int
check_tables (const struct qcow2 *q, struct err *e)
{
  if (q->refcount_clusters == 0)
    return err_set (e, EINVAL, "no refcount table");
  if (check_table (q, "refcount table", q->refcount_offset,
                   q->refcount_clusters, q->cluster_size,
                   MAX_REFCOUNT_TABLE_BYTES, e) == -1 ||
      check_table (q, "snapshot table", q->snapshots_offset, q->nb_snapshots,
                   SNAPSHOT_HEAD, SNAPSHOT_HEAD * MAX_SNAPSHOTS, e) == -1)
    return -1;
  return check_table (q, "L1 table", q->l1_offset, q->l1_size, 8,
                      MAX_L1_BYTES, e);
}

/* The L1 table covers the disk, and the file holds the L1 table. */
static int
check_size (struct block *b, struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t entries;

  if (q->size > INT64_MAX)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " bytes", q->size);
  entries = div_up (q->size, UINT64_C (1) << l1_shift (q));
  if (entries > q->l1_size)
    return err_set (e, EINVAL,
                    "L1 table of %" PRIu32 " entries is too small: %" PRIu64
                    " are needed",
                    q->l1_size, entries);
  if (!range_within (q->l1_offset, (uint64_t) q->l1_size * 8, b->below->size))
    return err_set (e, EIO, "L1 table lies beyond the end of the file");
  return 0;
}

static void
derive (struct qcow2 *q)
{
  q->extended = q->incompatible & QCOW2_EXTENDED_L2;
  q->entry_size = q->extended ? 16 : 8;
  q->l2_bits = q->cluster_bits - (q->extended ? 4 : 3);
  q->unit = q->extended ? q->cluster_size / SUBCLUSTERS : q->cluster_size;
  q->slice = MIN (q->cluster_size, QCOW2_PIECE);
  q->l1_owner = cache_new_owner ();
  q->l2_owner = cache_new_owner ();
  q->cluster_owner = cache_new_owner ();
}

static int
check_header (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;
  struct err why = { 0 };
  int r;

  if (q->backing_offset > q->cluster_size)
    return err_set (e, EINVAL, "backing file name at 0x%" PRIx64,
                    q->backing_offset);
  /* An unknown feature explains whatever else is strange. */
  r = qcow2_read_extensions (b, &why);
  if (check_incompatible (q, e) == -1)
    return -1;
  if (r == -1) {
    *e = why;
    return -1;
  }
  if (check_features (q, e) == -1 || check_tables (q, e) == -1)
    return -1;
  return check_size (b, e);
}

/* --- what it refers to ----------------------------------------------- */

static int
read_backing_name (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;
  CLEANUP_FREE char *name = NULL;

  if (!q->backing_offset)
    return 0;
  if (q->backing_len >
      MIN (QCOW2_MAX_NAME, q->cluster_size - q->backing_offset))
    return err_set (e, EINVAL,
                    "backing file name of %" PRIu32 " bytes is too long",
                    q->backing_len);
  name = calloc (1, (size_t) q->backing_len + 1);
  if (!name)
    return err_set (e, ENOMEM, "out of memory");
  if (read_header_part (b, name, q->backing_offset,
                        q->backing_offset + q->backing_len, e) == -1)
    return -1;
  if (name[0])
    q->backing_file = steal_ptr (&name);
  return 0;
}

static int
open_backing (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;
  const char *format = q->backing_format;

  if (read_backing_name (b, e) == -1)
    return -1;
  if (!q->backing_file)
    return 0;
  if (format && !strcmp (format, "vpc")) /* qemu's name for it */
    format = "vhd";
  if (block_reference_or_missing (b, q->backing_file, format, q->size,
                                  &q->backing, e) == -1)
    return err_in (e, "backing file '%s'", q->backing_file);
  return 0;
}

static int
open_data_file (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;

  q->data = b->below;
  if (!(q->incompatible & QCOW2_DATA_FILE))
    return 0;
  if (!q->data_file)
    return err_set (e, EINVAL, "the name of the data file is not there");
  if (block_reference_or_missing (b, q->data_file, "file", INT64_MAX,
                                  &q->data, e) == -1)
    return err_in (e, "data file '%s'", q->data_file);
  return 0;
}

int
qcow2_open (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv = calloc (1, sizeof *q);

  if (!q)
    return err_set (e, ENOMEM, "out of memory");
  lazy_init (&q->tail, NULL, NULL);
  if (read_header (b, e) == -1)
    return -1;
  derive (q);
  if (check_header (b, e) == -1 || open_data_file (b, e) == -1 ||
      open_backing (b, e) == -1)
    return -1;
  q->preallocated = qcow2_is_preallocated (b);
  /* Whole sectors, as in qemu. */
  b->size = q->size & ~UINT64_C (511);
  return 0;
}
