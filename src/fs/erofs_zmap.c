/* xrayfs: EROFS: where compressed data lie
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behind the inode, at a multiple of 8: a header of 8 bytes, then the index,
 * an entry for each lcluster.  An entry is a head, where a pcluster's data
 * begin (at an offset within the lcluster: `skip`), or says how far back the
 * head is.  The entry behind the head of a large pcluster tells its blocks
 * instead.  Entries take 8 bytes each, or are packed: two in 8 bytes or 16 in
 * 32, with the number of one block at the end of the pack.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "fs/erofs.h"

enum {
  ADVISE_PACKS_OF_16 = 1, /* with full entries: another format, of 2025 */
  ADVISE_LARGE_1 = 2,     /* pclusters of several blocks, for HEAD1 */
  ADVISE_LARGE_2 = 4,     /* for HEAD2 and PLAIN */
  ADVISE_TAIL = 8,        /* the last pcluster lies behind the index */
  ADVISE_INTERLACED = 0x10,
  ADVISE_FRAGMENT = 0x20, /* the last part lies in the packed inode */
  ADVISE_KNOWN = 0x3f
};

#define IN_FRAGMENT  0x80 /* cluster bits: all of the file */
#define BLOCKS_TOLD  0x800
#define PARTIAL      0x8000
#define MAX_LOG      20 /* of an lcluster; a block has 2^16 at most */
#define MAX_PACK_LOG 14

struct zmap {
  struct erofs *f;
  const struct erofs_inode *n;
  uint64_t index; /* where the header ends */
  unsigned advise, log, codecs[2], tail_size;
  uint64_t fragment;
  bool all_fragment;
};

enum type { PLAIN, HEAD1, NONHEAD, HEAD2 };

/* An entry of the index. */
struct lcluster {
  uint64_t number;
  enum type type;
  bool partial;
  unsigned skip;   /* heads */
  uint64_t block;  /* heads */
  unsigned back;   /* NONHEAD: lclusters to the head, or a step to it */
  unsigned blocks; /* NONHEAD: of the head's pcluster; 0: not told here */
  uint64_t end;    /* where the entry, or its pack, ends */
};

/* --- the header ------------------------------------------------------ */

static int
check_header (const struct zmap *z, unsigned cluster_bits, struct err *e)
{
  bool compact = z->n->layout == EROFS_COMPRESSED_COMPACT;

  if (z->advise & ~(unsigned) ADVISE_KNOWN ||
      (!compact && z->advise & ADVISE_PACKS_OF_16))
    return err_set (e, ENOTSUP, "unknown format 0x%x", z->advise);
  if (cluster_bits & 0x70 || z->log > (compact ? MAX_PACK_LOG : MAX_LOG))
    return err_set (e, ENOTSUP, "clusters of 2^%u bytes", z->log);
  for (unsigned i = 0; i < 2; i++)
    if (z->codecs[i] >= EROFS_CODECS)
      return err_set (e, ENOTSUP, "unknown compression %u", z->codecs[i]);
  if (compact &&
      !(z->advise & ADVISE_LARGE_1) != !(z->advise & ADVISE_LARGE_2))
    return err_set (e, EIO, "contradictory format 0x%x", z->advise);
  return 0;
}

static int
read_header (struct erofs *f, const struct erofs_inode *n, struct zmap *z,
             struct err *e)
{
  uint64_t at = round_up (erofs_inode_end (n), 8);
  unsigned char p[8];

  if (erofs_read (f, at, p, sizeof p, e) == -1)
    return -1;
  *z = (struct zmap){ .f = f, .n = n, .index = at + sizeof p };
  if (p[7] & IN_FRAGMENT) {
    z->all_fragment = true;
    z->fragment = load_le64 (p) & (UINT64_MAX >> 1);
    return 0;
  }
  /* One place for two: a file has only one of them. */
  z->fragment = load_le32 (p);
  z->tail_size = load_le16 (p + 2);
  z->advise = load_le16 (p + 4);
  z->codecs[0] = p[6] & 15;
  z->codecs[1] = p[6] >> 4;
  z->log = f->block_log + (p[7] & 15);
  return check_header (z, p[7], e);
}

/* --- entries --------------------------------------------------------- */

static int
take_nonhead (const struct zmap *z, struct lcluster *c, unsigned value,
              struct err *e)
{
  c->back = value;
  if (!(value & BLOCKS_TOLD))
    return 0;
  if (!(z->advise & (ADVISE_LARGE_1 | ADVISE_LARGE_2)))
    return err_set (e, EIO, "blocks of a pcluster that has only one");
  c->back = 1;
  c->blocks = value & ~(unsigned) BLOCKS_TOLD;
  return 0;
}

static int
load_full (const struct zmap *z, uint64_t number, struct lcluster *c,
           struct err *e)
{
  /* 8 bytes are left out.  NUMBER is less than 2^54. */
  uint64_t at = z->index + 8 + number * 8;
  unsigned advise;
  char p[8];

  if (erofs_read (z->f, at, p, sizeof p, e) == -1)
    return -1;
  advise = load_le16 (p);
  *c = (struct lcluster){ .number = number,
                          .type = advise & 3,
                          .partial = advise & PARTIAL,
                          .end = at + sizeof p };
  if (c->type == NONHEAD)
    return take_nonhead (z, c, load_le16 (p + 4), e);
  c->skip = load_le16 (p + 2);
  c->block = load_le32 (p + 4);
  return 0;
}

/* COUNT entries of BITS bits each: VALUE_BITS, and two for the type; then the
 * number of a block in 32 bits. */
struct pack {
  unsigned char bytes[32];
  unsigned count, bits, value_bits;
};

static unsigned
pack_value (const struct pack *k, unsigned i, enum type *ret_type)
{
  unsigned bit = k->bits * i;
  uint32_t v = load_le32 (k->bytes + bit / 8) >> bit % 8;

  *ret_type = v >> k->value_bits & 3;
  return v & ((1u << k->value_bits) - 1);
}

/* The index begins with entries in pairs until packs of 16 are aligned, and
 * ends with pairs where 16 are not left.  *RET_AT: where the pack begins;
 * returns which of its entries it is. */
static unsigned
find_pack (const struct zmap *z, uint64_t number, struct pack *k,
           uint64_t *ret_at)
{
  uint64_t total = div_up (z->n->size, z->f->block_size);
  uint64_t first = (32 - z->index % 32) / 4 % 8, sixteens = 0;
  uint64_t at = z->index;
  unsigned unit = 4, in_pack;

  if (z->advise & ADVISE_PACKS_OF_16 && first < total)
    sixteens = (total - first) / 16 * 16;
  if (number >= first) {
    at += first * 4;
    number -= first;
    if (number < sixteens)
      unit = 2;
    else {
      at += sixteens * 2;
      number -= sixteens;
    }
  }
  at += number * unit;
  k->count = unit == 2 ? 16 : 2;
  k->bits = (k->count * unit - 4) * 8 / k->count;
  k->value_bits = MAX (z->log, 12);
  in_pack = (unsigned) (at % (k->count * unit));
  *ret_at = at - in_pack;
  return in_pack / unit;
}

/* How many blocks behind the pack's number that of head I is: the heads
 * before it in the pack have one each.  A step back may leave the pack. */
static unsigned
count_blocks (const struct pack *k, unsigned i)
{
  unsigned blocks = 1, value;
  enum type type;

  while (i > 0) {
    value = pack_value (k, --i, &type);
    if (type == NONHEAD && value > i)
      break;
    if (type == NONHEAD)
      i -= value;
    blocks++;
  }
  return blocks;
}

/* The same where those before it may have several.  One whose number is not
 * told in the pack began before it, and does not count. */
static int
count_large_blocks (const struct pack *k, unsigned i, unsigned *ret,
                    struct err *e)
{
  unsigned value;
  enum type type;

  *ret = 0;
  while (i > 0) {
    value = pack_value (k, --i, &type);
    if (type != NONHEAD) {
      ++*ret;
      continue;
    }
    if (value & BLOCKS_TOLD) {
      *ret += value & ~(unsigned) BLOCKS_TOLD;
      i -= MIN (i, 1);
      continue;
    }
    if (value <= 1)
      return err_set (e, EIO, "blocks of a pcluster are not told");
    i -= MIN (i, value - 2);
  }
  return 0;
}

/* The value of a pack's last entry tells how far the next head is: the one
 * before it tells where the last is. */
static unsigned
last_step_back (const struct pack *k)
{
  enum type type;
  unsigned value = pack_value (k, k->count - 2, &type);

  if (type != NONHEAD)
    return 1;
  return value & BLOCKS_TOLD ? 2 : value + 1;
}

static int
load_packed (const struct zmap *z, uint64_t number, struct lcluster *c,
             struct err *e)
{
  struct pack k = { 0 };
  uint64_t at = 0;
  unsigned i = find_pack (z, number, &k, &at), value, blocks = 0;
  size_t size = k.count == 16 ? 32 : 8;

  if (k.count == 16 && z->log > 12)
    return err_set (e, ENOTSUP, "packs of 16 for clusters of 2^%u bytes",
                    z->log);
  if (erofs_read (z->f, at, k.bytes, size, e) == -1)
    return -1;
  *c = (struct lcluster){ .number = number, .end = at + size };
  value = pack_value (&k, i, &c->type);
  if (c->type == NONHEAD && i + 1 == k.count && !(value & BLOCKS_TOLD)) {
    c->back = last_step_back (&k);
    return 0;
  }
  if (c->type == NONHEAD)
    return take_nonhead (z, c, value, e);
  if (!(z->advise & ADVISE_LARGE_1))
    blocks = count_blocks (&k, i);
  else if (count_large_blocks (&k, i, &blocks, e) == -1)
    return -1;
  c->skip = value;
  c->block = (uint64_t) load_le32 (k.bytes + size - 4) + blocks;
  return 0;
}

static int
load (const struct zmap *z, uint64_t number, struct lcluster *c,
      struct err *e)
{
  int r = z->n->layout == EROFS_COMPRESSED ? load_full (z, number, c, e)
                                           : load_packed (z, number, c, e);

  if (r == 0 && c->type != NONHEAD && c->skip >> z->log)
    r = err_set (e, EIO, "data begin %u bytes into it", c->skip);
  return r == -1 ? err_in (e, "cluster %" PRIu64, number) : 0;
}

/* --- pclusters ------------------------------------------------------- */

static uint64_t
begin_of (const struct zmap *z, const struct lcluster *head)
{
  return (head->number << z->log) + head->skip;
}

/* The most lclusters that a pcluster may reach over. */
static uint64_t
max_reach (const struct zmap *z)
{
  return (EROFS_MAX_DECODED >> z->log) + 1;
}

/* The head of the pcluster with byte OFF. */
static int
find_head (const struct zmap *z, uint64_t off, struct lcluster *c,
           struct err *e)
{
  uint64_t first = off >> z->log, number = first;

  if (load (z, number, c, e) == -1)
    return -1;
  if (c->type != NONHEAD && begin_of (z, c) <= off)
    return 0;
  if (c->type != NONHEAD)
    c->back = 1;
  do {
    if (c->back == 0 || c->back > number ||
        first - number + c->back > max_reach (z))
      return err_set (e, EIO, "cluster %" PRIu64 ": its head is %u before it",
                      number, c->back);
    number -= c->back;
    if (load (z, number, c, e) == -1)
      return -1;
  } while (c->type == NONHEAD);
  return 0;
}

/* Where the next head's data begin, or the file ends.  The entries tell how
 * far the next head is, but what old mkfs.erofs wrote there is wrong. */
static int
find_end (const struct zmap *z, const struct lcluster *head, uint64_t *ret,
          struct err *e)
{
  uint64_t number = head->number + 1;
  struct lcluster c;

  for (; number << z->log < z->n->size; number++) {
    if (number - head->number > max_reach (z))
      return err_set (e, EIO, "pcluster of more than %u bytes",
                      (unsigned) EROFS_MAX_DECODED);
    if (load (z, number, &c, e) == -1)
      return -1;
    if (c.type != NONHEAD) {
      *ret = begin_of (z, &c);
      return 0;
    }
  }
  *ret = z->n->size;
  return 0;
}

static int
find_blocks (const struct zmap *z, const struct lcluster *head, unsigned *ret,
             struct err *e)
{
  unsigned large = head->type == HEAD1 ? ADVISE_LARGE_1 : ADVISE_LARGE_2;
  uint64_t next = head->number + 1;
  struct lcluster c;

  *ret = 1;
  if (!(z->advise & large) || next << z->log >= z->n->size)
    return 0;
  if (load (z, next, &c, e) == -1)
    return -1;
  if (c.type != NONHEAD)
    return 0;
  if (c.back != 1 || c.blocks == 0 ||
      c.blocks > EROFS_MAX_STORED >> z->f->block_log)
    return err_set (e, EIO, "cluster %" PRIu64 ": pcluster of %u blocks",
                    next, c.blocks);
  *ret = c.blocks;
  return 0;
}

/* HEAD is that of the last part, which lies elsewhere. */
static int
find_last (const struct zmap *z, const struct lcluster *head,
           struct erofs_pcluster *p, struct err *e)
{
  uint64_t in_block;
  struct lcluster last;

  if (z->advise & ADVISE_FRAGMENT) {
    p->codec = EROFS_FRAGMENT;
    p->start = z->fragment;
    if (z->n->layout == EROFS_COMPRESSED)
      p->start |= head->block << 32;
    return 0;
  }
  if (load (z, (z->n->size - 1) >> z->log, &last, e) == -1)
    return -1;
  in_block = last.end & (z->f->block_size - 1);
  if (z->tail_size == 0 || z->tail_size > z->f->block_size - in_block)
    return err_set (e, EIO, "last pcluster of %u bytes", z->tail_size);
  p->start = last.end;
  p->stored = z->tail_size;
  return 0;
}

static int
find_stored (const struct zmap *z, const struct lcluster *head,
             struct erofs_pcluster *p, struct err *e)
{
  struct lcluster last = { 0 };
  unsigned blocks = 0;

  if (z->advise & (ADVISE_TAIL | ADVISE_FRAGMENT)) {
    if (find_head (z, z->n->size - 1, &last, e) == -1)
      return -1;
    if (last.number == head->number)
      return find_last (z, head, p, e);
  }
  if (find_blocks (z, head, &blocks, e) == -1)
    return -1;
  p->start = head->block << z->f->block_log;
  p->stored = blocks << z->f->block_log;
  return 0;
}

static int
check_pcluster (const struct zmap *z, uint64_t off,
                const struct erofs_pcluster *p, struct err *e)
{
  if (!range_within (off - p->off, 1, p->len))
    return err_set (e, EIO, "pcluster from 0x%" PRIx64 " ends before it",
                    p->off);
  if (p->codec == EROFS_FRAGMENT)
    return 0;
  if (p->len > EROFS_MAX_DECODED)
    return err_set (e, EIO, "pcluster of %" PRIu64 " bytes", p->len);
  if (p->codec > EROFS_CODECS && p->len > p->stored)
    return err_set (e, EIO, "%" PRIu64 " bytes in a pcluster of %" PRIu32,
                    p->len, p->stored);
  if (p->codec == EROFS_INTERLACED && p->stored != z->f->block_size)
    return err_set (e, ENOTSUP, "interlaced pcluster of %" PRIu32 " bytes",
                    p->stored);
  return 0;
}

static int
find_pcluster (const struct zmap *z, uint64_t off, struct erofs_pcluster *p,
               struct err *e)
{
  struct lcluster head = { 0 };
  uint64_t end = 0;

  if (z->all_fragment) {
    *p = (struct erofs_pcluster){ .len = z->n->size,
                                  .codec = EROFS_FRAGMENT,
                                  .start = z->fragment };
    return 0;
  }
  if (find_head (z, off, &head, e) == -1 ||
      find_end (z, &head, &end, e) == -1)
    return -1;
  *p = (struct erofs_pcluster){ .off = begin_of (z, &head) };
  p->len = end - p->off;
  /* Before zero padding, more could be compressed than the index has. */
  p->partial = head.partial || !(z->f->incompat & EROFS_ZERO_PADDING);
  if (head.type == PLAIN)
    p->codec = z->advise & ADVISE_INTERLACED ? EROFS_INTERLACED : EROFS_PLAIN;
  else
    p->codec = z->codecs[head.type == HEAD2];
  if (find_stored (z, &head, p, e) == -1)
    return -1;
  return check_pcluster (z, off, p, e);
}

int
erofs_find_pcluster (struct erofs *f, const struct erofs_inode *n,
                     uint64_t off, struct erofs_pcluster *ret, struct err *e)
{
  struct zmap z = { 0 };

  if (read_header (f, n, &z, e) == -1 ||
      find_pcluster (&z, off, ret, e) == -1)
    return err_in (e, "map of compressed data");
  return 0;
}
