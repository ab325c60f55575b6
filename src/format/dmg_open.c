/* xrayfs: dmg: the trailer, and the block tables
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is no specification of Apple's; the fields are as hdiutil writes them
 * and as qemu 7.2 reads them.
 *
 * The last 512 bytes (the trailer, "koly") say where an XML property list or
 * a resource fork lies.  In it are the block tables ("mish"), in the property
 * list as base64.  It is read in pieces of 64 KiB and never held: what stays
 * is 32 bytes for each chunk, at most MAX_CHUNKS of them.
 *
 * As qemu does, we take every <data> of the property list that starts with
 * "mish", wherever it stands: that needs no parser of XML.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "block/table.h"
#include "format/dmg.h"

#define TRAILER_SIZE 512
#define MISH_HEAD    204
#define MISH_CHUNK   40

/* 64 MiB of table: a disk of 512 GiB in chunks of 256 KiB. */
#define MAX_CHUNKS (UINT32_C (1) << 21)
/* hdiutil writes one for each partition. */
#define MAX_TABLES 4096
/* What MAX_CHUNKS take in base64, indented, is 150 MiB. */
#define MAX_TABLE_TEXT (256 * MiB)

/* --- the trailer ----------------------------------------------------- */

static int
bid_encrypted (struct block *below, struct err *e)
{
  char magic[8];

  if (below->size < sizeof magic)
    return 0;
  if (block_pread (below, magic, sizeof magic, 0, e) == -1)
    return -1;
  return memcmp (magic, "encrcdsa", 8) ? 0 : 64;
}

/* The trailer at the end; or, at the start, the header of an encrypted one,
 * which has no trailer that could be read.  What stands at the start wins
 * over a trailer, as in qemu, which knows this format by the name of the
 * file: a trailer bids less than any signature has.  A version that nobody
 * knows is ours to refuse. */
#define TRAILER_BID 16

int
dmg_bid (struct block *below, struct err *e)
{
  char magic[4];

  if (below->size < TRAILER_SIZE)
    return bid_encrypted (below, e);
  if (block_pread (below, magic, sizeof magic, below->size - TRAILER_SIZE,
                   e) == -1)
    return -1;
  return memcmp (magic, "koly", 4) ? bid_encrypted (below, e) : TRAILER_BID;
}

/* Type 2 is CRC-32, the size is in bits. */
static struct dmg_checksum
load_checksum (const unsigned char *p)
{
  return (struct dmg_checksum){ load_be32 (p) == 2 && load_be32 (p + 4) == 32,
                                load_be32 (p + 8) };
}

static int
check_trailer (const unsigned char *t, struct err *e)
{
  uint32_t segments = load_be32 (t + 0x3c);

  if (memcmp (t, "koly", 4))
    return err_set (e, EINVAL, "no trailer at the end of the file");
  if (load_be32 (t + 4) != 4)
    return err_set (e, ENOTSUP, "version %" PRIu32 " is not known",
                    load_be32 (t + 4));
  if (load_be32 (t + 8) != TRAILER_SIZE)
    return err_set (e, EINVAL, "trailer of %" PRIu32 " bytes",
                    load_be32 (t + 8));
  /* Where the chunks of the others lie is told nowhere in this file. */
  if (segments > 1)
    return err_set (e, ENOTSUP,
                    "segment %" PRIu32 " of %" PRIu32
                    ": an image of several files is not read",
                    load_be32 (t + 0x38), segments);
  return 0;
}

static int
load_trailer (struct block *b, const unsigned char *t, struct err *e)
{
  struct dmg *d = b->priv;
  uint64_t sectors = load_be64 (t + 0x1ec);

  d->version = load_be32 (t + 4);
  d->flags = load_be32 (t + 0xc);
  d->data_offset = load_be64 (t + 0x18);
  d->data_length = load_be64 (t + 0x20);
  d->data_checksum = load_checksum (t + 0x50);
  d->master = load_checksum (t + 0x160);
  if (d->data_offset > d->trailer)
    return err_set (e, EINVAL, "data fork at 0x%" PRIx64, d->data_offset);
  if (sectors > INT64_MAX / DMG_SECTOR)
    return err_set (e, EFBIG, "disk of %" PRIu64 " sectors", sectors);
  b->size = sectors * DMG_SECTOR;
  return 0;
}

static int
read_trailer (struct block *b, unsigned char *t, struct err *e)
{
  struct dmg *d = b->priv;

  if (b->below->size >= 8 && block_pread (b->below, t, 8, 0, e) == -1)
    return -1;
  if (b->below->size >= 8 && !memcmp (t, "encrcdsa", 8))
    return err_set (e, ENOTSUP, "the image is encrypted");
  if (b->below->size < TRAILER_SIZE)
    return err_set (e, EINVAL, "no trailer at the end of the file");
  d->trailer = b->below->size - TRAILER_SIZE;
  if (block_pread (b->below, t, TRAILER_SIZE, d->trailer, e) == -1)
    return err_in (e, "trailer");
  if (check_trailer (t, e) == -1)
    return -1;
  return load_trailer (b, t, e);
}

/* --- a block table --------------------------------------------------- */

/* A block table that arrives in bits and pieces. */
struct mish {
  struct dmg *d;
  unsigned char part[MISH_HEAD]; /* the header, or a chunk */
  size_t have;                   /* bytes of it */
  bool in_chunks;                /* the header is complete */
  bool foreign;                  /* it is something else */
  uint32_t announced, n_chunks;  /* chunks */
  uint64_t data_offset;          /* which theirs count from; saturated */
  uint64_t last;                 /* sector */
};

static uint64_t
add_saturated (uint64_t a, uint64_t b)
{
  uint64_t sum;

  return __builtin_add_overflow (a, b, &sum) ? UINT64_MAX : sum;
}

static int
mish_head (struct mish *m, struct err *e)
{
  struct dmg *d = m->d;
  struct dmg_table t = { .sector = load_be64 (m->part + 8),
                         .checksum = load_checksum (m->part + 0x40),
                         .ordered = true };

  if (d->tables.len == MAX_TABLES)
    return err_set (e, EFBIG, "more than %d block tables", MAX_TABLES);
  if (dmg_table_vec_push (&d->tables, t) == -1)
    return err_set (e, ENOMEM, "out of memory");
  if (t.checksum.is_crc32)
    d->tables_crc32 = (uint32_t) crc32 (d->tables_crc32, m->part + 0x48, 4);
  else
    d->all_tables_crc32 = false;
  m->announced = load_be32 (m->part + 200);
  m->data_offset = add_saturated (d->data_offset, load_be64 (m->part + 0x18));
  m->in_chunks = true;
  return 0;
}

/* -1: no chunk, but a comment or the end. */
static int
type_of (uint32_t type)
{
  switch (type) {
  case 0x7ffffffe:
  case 0xffffffff:
    return -1;
  case 0:
    return DMG_ZERO;
  case 1:
    return DMG_RAW;
  case 2:
    return DMG_IGNORE;
  case 0x80000004:
    return DMG_ADC;
  case 0x80000005:
    return DMG_ZLIB;
  case 0x80000006:
    return DMG_BZIP2;
  case 0x80000007:
    return DMG_LZFSE;
  case 0x80000008:
    return DMG_LZMA;
  default:
    return DMG_UNKNOWN;
  }
}

static int
push_chunk (struct mish *m, struct dmg_chunk c, struct err *e)
{
  struct dmg *d = m->d;
  struct dmg_table *t = &d->tables.items[d->tables.len - 1];

  if (c.count == 0)
    return 0;
  if (c.sector < m->last)
    t->ordered = false;
  m->last = c.sector;
  if (d->chunks.len == MAX_CHUNKS)
    return err_set (e, EFBIG, "more than %" PRIu32 " chunks", MAX_CHUNKS);
  if (dmg_chunk_vec_push (&d->chunks, c) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* A raw chunk may store less than its sectors. */
static int
push_raw (struct mish *m, struct dmg_chunk c, uint64_t length, struct err *e)
{
  struct dmg_chunk rest = c;

  c.count = MIN (c.count, length / DMG_SECTOR);
  rest.type = DMG_SHORT;
  rest.sector += c.count;
  rest.count -= c.count;
  return push_chunk (m, c, e) == -1 ? -1 : push_chunk (m, rest, e);
}

static int
mish_chunk (struct mish *m, struct err *e)
{
  const unsigned char *p = m->part;
  size_t table = m->d->tables.len - 1;
  uint64_t length = load_be64 (p + 0x20), end;
  int type = type_of (load_be32 (p));
  struct dmg_chunk c = {
    .count = load_be64 (p + 0x10),
    .offset = add_saturated (m->data_offset, load_be64 (p + 0x18)),
    .table = (uint16_t) table,
    .type = (uint8_t) type,
  };

  if (++m->n_chunks > m->announced)
    return err_set (e, EINVAL, "more chunks than the %" PRIu32 " announced",
                    m->announced);
  if (type == -1)
    return 0;
  if (__builtin_add_overflow (m->d->tables.items[table].sector,
                              load_be64 (p + 8), &c.sector) ||
      __builtin_add_overflow (c.sector, c.count, &end))
    return err_set (e, EINVAL, "chunk of %" PRIu64 " sectors at %" PRIu64,
                    c.count, load_be64 (p + 8));
  if (type == DMG_RAW)
    return push_raw (m, c, length, e);
  c.length = type == DMG_UNKNOWN ? load_be32 (p)
                                 : (uint32_t) MIN (length, UINT32_MAX);
  return push_chunk (m, c, e);
}

static int
mish_byte (struct mish *m, unsigned char c, struct err *e)
{
  if (m->foreign)
    return 0;
  m->part[m->have++] = c;
  if (!m->in_chunks && m->have == 4 && memcmp (m->part, "mish", 4))
    m->foreign = true;
  if (m->have < (m->in_chunks ? MISH_CHUNK : MISH_HEAD))
    return 0;
  m->have = 0;
  return m->in_chunks ? mish_chunk (m, e) : mish_head (m, e);
}

static int
mish_end (struct mish *m, struct err *e)
{
  bool cut = m->in_chunks ? m->n_chunks < m->announced : m->have >= 4;

  if (cut && !m->foreign)
    return err_set (e, EINVAL, "it is cut off");
  return 0;
}

/* Messages say which table. */
static int
in_table (const struct mish *m, struct err *e)
{
  return err_in (e, "block table %zu",
                 m->d->tables.len + (m->in_chunks ? 0 : 1));
}

/* --- where the tables lie -------------------------------------------- */

/* The LEN bytes at OFF, a piece at a time. */
static int
for_each_piece (struct block *from, uint64_t off, uint64_t len,
                int (*fn) (void *arg, const unsigned char *p, size_t n,
                           struct err *e),
                void *arg, struct err *e)
{
  CLEANUP_FREE unsigned char *piece = malloc (TABLE_PIECE);
  size_t n;

  if (!piece)
    return err_set (e, ENOMEM, "out of memory");
  for (; len > 0; off += n, len -= n) {
    n = (size_t) MIN (len, TABLE_PIECE);
    if (block_pread (from, piece, n, off, e) == -1 ||
        fn (arg, piece, n, e) == -1)
      return -1;
  }
  return 0;
}

struct plist {
  struct dmg *d;
  struct mish mish;
  bool in_data;     /* between <data> and its end */
  unsigned matched; /* characters of the tag that is waited for */
  uint32_t bits;    /* of base64, not yet given on */
  unsigned n_bits;
  bool padded;
};

/* 0 to 63; -1: none of them. */
static int
base64_value (unsigned char c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
plist_base64 (struct plist *x, unsigned char c, struct err *e)
{
  int value = base64_value (c);

  if (c && strchr (" \t\r\n", c))
    return 0;
  if (c == '=')
    x->padded = true;
  else if (value == -1 || x->padded)
    return err_set (e, EINVAL, "<data> is not base64");
  else {
    x->bits = x->bits << 6 | (unsigned) value;
    x->n_bits += 6;
  }
  if (x->n_bits < 8)
    return 0;
  x->n_bits -= 8;
  if (mish_byte (&x->mish, (unsigned char) (x->bits >> x->n_bits), e) == -1)
    return in_table (&x->mish, e);
  return 0;
}

static int
plist_tag (struct plist *x, struct err *e)
{
  x->matched = 0;
  x->in_data = !x->in_data;
  if (x->in_data) {
    x->mish = (struct mish){ .d = x->d };
    x->n_bits = 0;
    x->padded = false;
    return 0;
  }
  return mish_end (&x->mish, e) == -1 ? in_table (&x->mish, e) : 0;
}

static int
plist_byte (struct plist *x, unsigned char c, struct err *e)
{
  const char *tag = x->in_data ? "</data>" : "<data>";

  if (c == (unsigned char) tag[x->matched])
    return tag[++x->matched] ? 0 : plist_tag (x, e);
  if (x->in_data && x->matched)
    return err_set (e, EINVAL, "<data> does not end");
  /* '<' stands at the start of the tag only. */
  x->matched = c == '<' && !x->in_data;
  return x->in_data ? plist_base64 (x, c, e) : 0;
}

static int
plist_piece (void *arg, const unsigned char *p, size_t n, struct err *e)
{
  for (size_t i = 0; i < n; i++)
    if (plist_byte (arg, p[i], e) == -1)
      return -1;
  return 0;
}

static int
read_plist (struct block *b, uint64_t off, uint64_t len, struct err *e)
{
  struct plist x = { .d = b->priv };

  if (for_each_piece (b->below, off, len, plist_piece, &x, e) == -1)
    return -1;
  return x.in_data ? err_set (e, EINVAL, "<data> does not end") : 0;
}

static int
resource_piece (void *arg, const unsigned char *p, size_t n, struct err *e)
{
  for (size_t i = 0; i < n; i++)
    if (mish_byte (arg, p[i], e) == -1)
      return in_table (arg, e);
  return 0;
}

/* "Resource Manager", Inside Macintosh: the header has the offsets and
 * lengths of data and map; each resource is a length and its bytes.  As qemu
 * does, we take the data one after another and leave the map alone. */
static int
read_resources (struct block *b, uint64_t off, uint64_t len, struct err *e)
{
  unsigned char h[12], size[4];
  uint64_t data, n;

  if (len < sizeof h)
    return err_set (e, EINVAL, "%" PRIu64 " bytes are too few", len);
  if (block_pread (b->below, h, sizeof h, off, e) == -1)
    return -1;
  data = load_be32 (h);
  n = load_be32 (h + 8);
  if (n == 0 || !range_within (data, n, len))
    return err_set (e, EINVAL, "%" PRIu64 " bytes of data at 0x%" PRIx64, n,
                    data);
  for (off += data; n > 0; off += load_be32 (size), n -= load_be32 (size)) {
    struct mish m = { .d = b->priv };

    if (n < 4)
      return err_set (e, EINVAL, "resource at 0x%" PRIx64 " is cut off", off);
    if (block_pread (b->below, size, 4, off, e) == -1)
      return -1;
    off += 4;
    n -= 4;
    if (load_be32 (size) == 0 || load_be32 (size) > n)
      return err_set (e, EINVAL,
                      "resource of %" PRIu32 " bytes at 0x%" PRIx64,
                      load_be32 (size), off);
    if (for_each_piece (b->below, off, load_be32 (size), resource_piece, &m,
                        e) == -1)
      return -1;
    if (mish_end (&m, e) == -1)
      return in_table (&m, e);
  }
  return 0;
}

static int
check_place (const struct dmg *d, uint64_t off, uint64_t len, struct err *e)
{
  if (!range_within (off, len, d->trailer))
    return err_set (e, EINVAL,
                    "%" PRIu64 " bytes at 0x%" PRIx64
                    " lie beyond the trailer",
                    len, off);
  if (len > MAX_TABLE_TEXT)
    return err_set (e, EFBIG, "%" PRIu64 " bytes are too many", len);
  return 0;
}

/* The resource fork first, as in qemu. */
static int
read_tables (struct block *b, const unsigned char *t, struct err *e)
{
  uint64_t fork = load_be64 (t + 0x28), fork_len = load_be64 (t + 0x30);
  uint64_t xml = load_be64 (t + 0xd8), xml_len = load_be64 (t + 0xe0);

  if (fork_len && (check_place (b->priv, fork, fork_len, e) == -1 ||
                   read_resources (b, fork, fork_len, e) == -1))
    return err_in (e, "resource fork");
  if (fork_len)
    return 0;
  if (xml_len && (check_place (b->priv, xml, xml_len, e) == -1 ||
                  read_plist (b, xml, xml_len, e) == -1))
    return err_in (e, "property list");
  return 0;
}

/* --- the chunks ------------------------------------------------------ */

static int
by_sector (const void *a, const void *b)
{
  const struct dmg_chunk *x = a, *y = b;

  return (x->sector > y->sector) - (x->sector < y->sector);
}

/* qemu takes them as they stand and gives an error where they do not
 * ascend.  Which of two that overlap is right nobody knows. */
static int
sort_chunks (struct dmg *d, struct err *e)
{
  const struct dmg_chunk *c = d->chunks.items;

  if (d->chunks.len == 0)
    return err_set (e, EINVAL, "there is no block table");
  qsort (d->chunks.items, d->chunks.len, sizeof *d->chunks.items, by_sector);
  for (size_t i = 1; i < d->chunks.len; i++)
    if (c[i].sector < c[i - 1].sector + c[i - 1].count)
      return err_set (e, EINVAL, "two chunks have the sector %" PRIu64,
                      c[i].sector);
  return 0;
}

int
dmg_open (struct block *b, struct err *e)
{
  struct dmg *d = b->priv = calloc (1, sizeof *d);
  unsigned char t[TRAILER_SIZE];

  if (!d)
    return err_set (e, ENOMEM, "out of memory");
  d->owner = cache_new_owner ();
  d->all_tables_crc32 = true;
  if (read_trailer (b, t, e) == -1 || read_tables (b, t, e) == -1)
    return -1;
  return sort_chunks (d, e);
}
