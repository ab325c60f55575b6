/* xrayfs: qcow2: header extensions, snapshots, and what the image says of
 * itself
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "format/qcow2.h"

/* --- header extensions (qcow2.txt, "Header extensions") -------------- */

#define EXT_END            0
#define EXT_BACKING_FORMAT 0xe2792aca
#define EXT_FEATURE_NAMES  0x6803f857
#define EXT_DATA_FILE      0x44415441
#define EXT_CRYPTO         0x0537be77
#define EXT_BITMAPS        0x23852875

/* qemu writes at most five; each costs a read. */
#define MAX_EXTENSIONS    256
#define MAX_FEATURE_NAMES (3 * 64)
#define MAX_FORMAT_NAME   15 /* as in qemu */

struct extension {
  uint32_t type, len;
  uint64_t offset; /* of its data */
};

int
qcow2_unknown_bit (const struct qcow2 *q)
{
  uint64_t unknown = q->incompatible & ~QCOW2_KNOWN;

  return unknown ? __builtin_ctzll (unknown) : -1;
}

/* A string that is not terminated in the file.  A NUL inside ends it, as in
 * qemu.  The second of a kind replaces the first. */
static int
read_string (struct block *b, const struct extension *x, size_t max,
             char **ret, struct err *e)
{
  CLEANUP_FREE char *s = NULL;

  if (x->len > max)
    return err_set (e, EINVAL, "name of %" PRIu32 " bytes is too long",
                    x->len);
  s = calloc (1, (size_t) x->len + 1);
  if (!s)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, s, x->len, x->offset, e) == -1)
    return -1;
  free (*ret);
  *ret = s[0] ? steal_ptr (&s) : NULL;
  return 0;
}

/* "Feature name table": 48 bytes each: type, bit, name. */
static int
read_feature_names (struct block *b, const struct extension *x, struct err *e)
{
  struct qcow2 *q = b->priv;
  int bit = qcow2_unknown_bit (q);
  unsigned char entry[48];

  for (uint32_t i = 0; bit >= 0 && i < MIN (x->len / 48, MAX_FEATURE_NAMES);
       i++) {
    if (block_pread (b->below, entry, sizeof entry, x->offset + i * 48, e) ==
        -1)
      return -1;
    if (entry[0] == 0 && entry[1] == bit)
      memcpy (q->unknown_feature, entry + 2, 46);
  }
  return 0;
}

static int
read_crypto (struct block *b, const struct extension *x, struct err *e)
{
  struct qcow2 *q = b->priv;
  unsigned char data[16];

  if (x->len != sizeof data || q->crypt != QCOW2_CRYPT_LUKS)
    return err_set (e, EINVAL, "does not fit the encryption method");
  if (block_pread (b->below, data, sizeof data, x->offset, e) == -1)
    return -1;
  q->crypto_offset = load_be64 (data);
  q->crypto_len = load_be64 (data + 8);
  return 0;
}

/* Of no meaning to a reader of the data: looked at by the check. */
static int
read_bitmaps (struct block *b, const struct extension *x, struct err *e)
{
  struct qcow2 *q = b->priv;
  unsigned char data[24];

  if (x->len != sizeof data || !(q->autoclear & QCOW2_BITMAPS))
    return 0;
  if (block_pread (b->below, data, sizeof data, x->offset, e) == -1)
    return -1;
  q->bitmaps =
      (struct qcow2_bitmaps){ load_be32 (data), load_be32 (data + 4),
                              load_be64 (data + 8), load_be64 (data + 16) };
  return 0;
}

static int
read_extension (struct block *b, const struct extension *x, struct err *e)
{
  struct qcow2 *q = b->priv;

  switch (x->type) {
  case EXT_BACKING_FORMAT:
    return read_string (b, x, MAX_FORMAT_NAME, &q->backing_format, e);
  case EXT_DATA_FILE:
    return read_string (b, x, QCOW2_MAX_NAME, &q->data_file, e);
  case EXT_FEATURE_NAMES:
    return read_feature_names (b, x, e);
  case EXT_CRYPTO:
    return read_crypto (b, x, e);
  case EXT_BITMAPS:
    return read_bitmaps (b, x, e);
  default:
    return 0;
  }
}

int
qcow2_read_extensions (struct block *b, struct err *e)
{
  struct qcow2 *q = b->priv;
  uint64_t off = q->header_length;
  uint64_t end = q->backing_offset ? q->backing_offset : q->cluster_size;
  unsigned char head[8];
  struct extension x;

  end = MIN (end, b->below->size);
  for (unsigned i = 0; off < end && end - off >= sizeof head; i++) {
    if (i == MAX_EXTENSIONS)
      return err_set (e, EINVAL, "more than %d header extensions",
                      MAX_EXTENSIONS);
    if (block_pread (b->below, head, sizeof head, off, e) == -1)
      return err_in (e, "header extension");
    x = (struct extension){ load_be32 (head), load_be32 (head + 4),
                            off + sizeof head };
    if (x.len > end - x.offset)
      return err_set (
          e, EINVAL, "header extension 0x%08" PRIx32 " is too large", x.type);
    if (x.type == EXT_END)
      break;
    if (read_extension (b, &x, e) == -1)
      return err_in (e, "header extension 0x%08" PRIx32, x.type);
    off = round_up (x.offset + x.len, 8);
  }
  return 0;
}

/* --- snapshots (qcow2.txt, "Snapshots") ------------------------------ */

/* qemu allows 64 MiB; a table of real names is a few KiB. */
#define MAX_SNAPSHOT_TABLE (4 * MiB)
#define MAX_SNAPSHOT_EXTRA 1024 /* as in qemu */
#define SNAPSHOT_HEAD      40

static void
add_date (struct buf *out, uint32_t seconds)
{
  time_t t = (time_t) seconds;
  char text[32];
  struct tm tm;

  if (gmtime_r (&t, &tm) &&
      strftime (text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
    buf_puts (out, text);
}

static int
add_text (struct block *b, uint64_t off, size_t len, struct buf *out,
          struct err *e)
{
  CLEANUP_FREE char *s = malloc (len + 1);

  if (!s)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b->below, s, len, off, e) == -1)
    return -1;
  buf_add_line_text (out, s, strnlen (s, len));
  buf_puts (out, "\t");
  return 0;
}

static int
read_snapshot (struct block *b, uint64_t off, struct qcow2_snapshot *ret,
               struct err *e)
{
  const struct qcow2 *q = b->priv;
  unsigned char head[SNAPSHOT_HEAD], extra[16] = { 0 };
  uint32_t extra_len;

  if (block_pread (b->below, head, sizeof head, off, e) == -1)
    return -1;
  extra_len = load_be32 (head + 36);
  if (extra_len > MAX_SNAPSHOT_EXTRA)
    return err_set (e, EINVAL, "%" PRIu32 " bytes of extra data", extra_len);
  off += sizeof head;
  if (block_pread (b->below, extra, MIN (extra_len, sizeof extra), off, e) ==
      -1)
    return -1;
  *ret = (struct qcow2_snapshot){
    .l1_offset = load_be64 (head),
    .l1_size = load_be32 (head + 8),
    .id_len = load_be16 (head + 12),
    .name_len = load_be16 (head + 14),
    .seconds = load_be32 (head + 16),
    .extra_len = extra_len,
    .vm_state_size = extra_len >= 8 ? load_be64 (extra) : 0,
    .disk_size = extra_len >= 16 ? load_be64 (extra + 8) : q->size,
    .id_offset = off + extra_len,
  };
  return 0;
}

int
qcow2_each_snapshot (struct block *b,
                     int (*fn) (void *arg, uint32_t i,
                                const struct qcow2_snapshot *s,
                                struct err *e),
                     void *arg, uint64_t *ret_end, struct err *e)
{
  const struct qcow2 *q = b->priv;
  uint64_t off = q->snapshots_offset, end = off;
  struct qcow2_snapshot s;

  for (uint32_t i = 0; i < q->nb_snapshots; i++) {
    if (off - q->snapshots_offset > MAX_SNAPSHOT_TABLE)
      return err_set (e, EFBIG, "snapshot table is too large");
    if (read_snapshot (b, off, &s, e) == -1 || fn (arg, i, &s, e) == -1)
      return err_in (e, "snapshot %" PRIu32, i);
    end = s.id_offset + s.id_len + s.name_len;
    off = round_up (end, 8);
  }
  *ret_end = end;
  return 0;
}

struct snapshot_lines {
  struct block *b;
  struct buf *out;
};

/* id, name, size of the disk then, date. */
static int
add_snapshot (void *arg, uint32_t i unused_arg,
              const struct qcow2_snapshot *s, struct err *e)
{
  struct snapshot_lines *l = arg;

  if (add_text (l->b, s->id_offset, s->id_len, l->out, e) == -1 ||
      add_text (l->b, s->id_offset + s->id_len, s->name_len, l->out, e) == -1)
    return -1;
  buf_printf (l->out, "%" PRIu64 "\t", s->disk_size);
  add_date (l->out, s->seconds);
  buf_puts (l->out, "\n");
  return 0;
}

/* A bad table is an error of the snapshots alone. */
static int
add_snapshots (struct block *b, struct block_info *ret, struct err *e)
{
  struct snapshot_lines l = { b, &ret->snapshots };
  struct err why = { 0 };
  uint64_t end;

  if (qcow2_each_snapshot (b, add_snapshot, &l, &end, &why) == 0)
    return 0;
  /* What may pass, and what lies in this host, is no fact about the image. */
  if (err_is_transient (&why) || b->env->read_failed) {
    *e = why;
    return -1;
  }
  buf_reset (&ret->snapshots);
  ret->snapshots_err = why;
  return 0;
}

/* --- info ------------------------------------------------------------ */

static void
add_features (const struct qcow2 *q, struct buf *out)
{
  const struct {
    bool set;
    const char *word;
  } features[] = {
    { q->incompatible & QCOW2_DIRTY, "dirty" },
    { q->incompatible & QCOW2_CORRUPT, "corrupt" },
    { q->incompatible & QCOW2_DATA_FILE, "data-file" },
    { q->incompatible & QCOW2_COMPRESSION_TYPE, "compression-type" },
    { q->incompatible & QCOW2_EXTENDED_L2, "extended-l2" },
    { q->compatible & QCOW2_LAZY_REFCOUNTS, "lazy-refcounts" },
    { q->autoclear & QCOW2_BITMAPS, "bitmaps" },
    { q->autoclear & QCOW2_DATA_FILE_RAW, "data-file-raw" },
  };

  for (size_t i = 0; i < ARRAY_SIZE (features); i++)
    if (features[i].set)
      buf_printf (out, "%s\n", features[i].word);
}

static int
add_strings (const struct qcow2 *q, struct block_info *ret, struct err *e)
{
  static const char *const crypt[] = { NULL, "aes", "luks" };

  if (text_copy (q->version == 2 ? "2" : "3", &ret->version, e) == -1 ||
      text_copy (q->compression == QCOW2_ZSTD ? "zstd" : "zlib",
                 &ret->compression, e) == -1 ||
      text_copy (crypt[q->crypt], &ret->encrypted, e) == -1 ||
      text_copy (q->backing_file, &ret->backing_file, e) == -1 ||
      text_copy (q->backing_format, &ret->backing_format, e) == -1)
    return -1;
  return text_copy (q->incompatible & QCOW2_DATA_FILE ? q->data_file : NULL,
                    &ret->data_file, e);
}

int
qcow2_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct qcow2 *q = b->priv;

  ret->has_backing = ret->has_snapshots = true;
  ret->has_features = ret->has_data_file = ret->has_encryption = true;
  ret->cluster_size = q->cluster_size;
  ret->dirty = q->incompatible & QCOW2_DIRTY;
  ret->corrupt = q->incompatible & QCOW2_CORRUPT;
  add_features (q, &ret->features);
  if (add_strings (q, ret, e) == -1)
    return -1;
  return add_snapshots (b, ret, e);
}

/* --- safety ---------------------------------------------------------- */

/* As OpenStack's inspector has it, to which extended L2 entries are an
 * unknown feature too.  Features that nobody knows are refused by open. */
int
qcow2_safety (struct block *b, struct buf *reasons, struct err *e unused_arg)
{
  const struct qcow2 *q = b->priv;

  /* A backing file that opened is told by block_safety. */
  if (q->backing_offset && !q->backing)
    buf_puts (reasons, "the header has a place for a backing file\n");
  if (q->incompatible & QCOW2_DATA_FILE) {
    buf_puts (reasons, "it refers to a data file, '");
    buf_add_line_text (reasons, q->data_file, strlen (q->data_file));
    buf_puts (reasons, "'\n");
  }
  if (q->incompatible & QCOW2_EXTENDED_L2)
    buf_puts (reasons, "it uses the feature extended-l2\n");
  return 0;
}
