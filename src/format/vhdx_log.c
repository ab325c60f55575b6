/* xrayfs: VHDX: the log, replayed in memory (2.3)
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log holds writes that may not have reached their place: what is to be
 * zero, and sectors of 4 KiB.  Those of the active sequence become an overlay
 * over the file, through which all of it is read.  The sectors' bytes stay in
 * the log in the file: an update takes 40 bytes of memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/vec.h"
#include "format/vhdx.h"

#define SECTOR        4096
#define ENTRY_HEADER  64
#define DESCRIPTOR    32
#define IN_SECTOR     (SECTOR / DESCRIPTOR)
#define LEADING       8 /* bytes of a sector that the descriptor has */
#define TRAILING      4
#define HEADER_AS_MIN (ENTRY_HEADER / DESCRIPTOR) /* descriptors it takes */

/* Hyper-V and qemu make logs of 1 MiB; all of one is read when it is in use.
 * More updates than these do not fit into the longest that is taken, but for
 * zeros, of which one describes any length. */
#define MAX_LOG     (64 * MiB)
#define MAX_UPDATES (MAX_LOG / SECTOR)
/* How much is read of entries that turn out to be damaged: a hostile log can
 * have one in each sector that claims all of it. */
#define MAX_PASSES 8

/* 2.3.1.1 "Entry Header" */
struct entry {
  uint32_t at; /* in the log */
  uint32_t length, tail, descriptors;
  uint64_t sequence, flushed, last;
};
DEFINE_VEC (entry_vec, struct entry)

/* LENGTH bytes at OFFSET of the file, as they are to be. */
struct update {
  uint64_t offset, length;
  uint64_t sector; /* where in the file the data sector is; 0: zeros */
  unsigned char lead[LEADING], trail[TRAILING];
};
DEFINE_VEC (update_vec, struct update)

struct log {
  struct block *file;
  const struct vhdx_header *header;
  uint64_t budget; /* bytes of entries that may still be read */
  bool seen;       /* something in it has the header's log_id */
};

/* --- reading entries ------------------------------------------------- */

/* The log is a ring. */
static uint64_t
ring (const struct log *l, uint64_t at)
{
  return l->header->log_offset + at % l->header->log_length;
}

static int
read_sector (const struct log *l, uint64_t at, unsigned char *to,
             struct err *e)
{
  if (l->file->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  return block_pread (l->file, to, SECTOR, ring (l, at), e);
}

/* Sectors with descriptors: the header is as long as two. */
static uint64_t
descriptor_sectors (const struct entry *n)
{
  return div_up ((uint64_t) n->descriptors + HEADER_AS_MIN, IN_SECTOR);
}

/* Is the sector at AT the start of an entry? */
static bool
parse_entry (struct log *l, uint64_t at, const unsigned char *sector,
             struct entry *ret)
{
  uint64_t size = l->header->log_length;

  if (memcmp (sector, "loge", 4) ||
      memcmp (sector + 32, l->header->log_id, VHDX_ID_LENGTH))
    return false;
  l->seen = true;
  *ret = (struct entry){ .at = (uint32_t) (at % size),
                         .length = load_le32 (sector + 8),
                         .tail = load_le32 (sector + 12),
                         .descriptors = load_le32 (sector + 24),
                         .sequence = load_le64 (sector + 16),
                         .flushed = load_le64 (sector + 48),
                         .last = load_le64 (sector + 56) };
  return ret->length && ret->length % SECTOR == 0 && ret->length <= size &&
         ret->tail % SECTOR == 0 && ret->tail < size && ret->sequence &&
         ret->last <= INT64_MAX &&
         descriptor_sectors (ret) * SECTOR <= ret->length;
}

static bool
is_data (const unsigned char *descriptor)
{
  return !memcmp (descriptor, "desc", 4);
}

/* 2.3.1.2 "Zero Descriptor", 2.3.1.3 "Data Descriptor" */
static bool
check_descriptor (const struct entry *n, const unsigned char *d)
{
  uint64_t off = load_le64 (d + 16), len = SECTOR;

  if (memcmp (d, "zero", 4) == 0)
    len = load_le64 (d + 8);
  else if (!is_data (d))
    return false;
  return load_le64 (d + 24) == n->sequence && off % SECTOR == 0 &&
         len % SECTOR == 0 && range_within (off, len, INT64_MAX);
}

/* The descriptors in sector K of the entry: which, and how many. */
static const unsigned char *
descriptors_in (const struct entry *n, uint64_t k,
                const unsigned char *sector, size_t *ret_n)
{
  size_t before = k ? k * IN_SECTOR - HEADER_AS_MIN : 0;
  size_t room = k ? IN_SECTOR : IN_SECTOR - HEADER_AS_MIN;

  *ret_n = MIN (room, n->descriptors - before);
  return sector + (k ? 0 : ENTRY_HEADER);
}

/* Checks the descriptors in sector K, and counts those of data sectors. */
static bool
check_descriptors (const struct entry *n, uint64_t k,
                   const unsigned char *sector, uint64_t *data)
{
  size_t count;
  const unsigned char *d = descriptors_in (n, k, sector, &count);

  for (size_t i = 0; i < count; i++, d += DESCRIPTOR) {
    if (!check_descriptor (n, d))
      return false;
    *data += is_data (d);
  }
  return true;
}

/* 2.3.1.4 "Data Sector" */
static bool
check_data (const struct entry *n, const unsigned char *sector)
{
  return !memcmp (sector, "data", 4) &&
         load_le32 (sector + 4) == n->sequence >> 32 &&
         load_le32 (sector + SECTOR - 4) == (uint32_t) n->sequence;
}

/* Sector K of the entry, with the checksum so far. */
static bool
check_sector (const struct entry *n, uint64_t k, const unsigned char *sector,
              uint64_t *data, uint32_t *crc)
{
  static const unsigned char zero[4];
  uint64_t head = descriptor_sectors (n);

  if (k == 0) {
    *crc = crc32c (crc32c (0, sector, 4), zero, sizeof zero);
    *crc = crc32c (*crc, sector + 8, SECTOR - 8);
  } else
    *crc = crc32c (*crc, sector, SECTOR);
  if (k < head)
    return check_descriptors (n, k, sector, data);
  /* An entry may be longer than it needs: for disks of large sectors. */
  return k - head >= *data || check_data (n, sector);
}

static int
spend (struct log *l, uint64_t n, struct err *e)
{
  if (n > l->budget)
    return err_set (e, EIO, "its entries overlap");
  l->budget -= n;
  return 0;
}

/* The entry at AT: 1; 0: there is none, or it is damaged; -1. */
static int
read_entry (struct log *l, uint64_t at, struct entry *ret, struct err *e)
{
  unsigned char sector[SECTOR];
  uint64_t data = 0;
  uint32_t crc = 0, want;
  struct entry n;

  if (read_sector (l, at, sector, e) == -1)
    return -1;
  if (!parse_entry (l, at, sector, &n))
    return 0;
  if (spend (l, n.length, e) == -1)
    return -1;
  want = load_le32 (sector + 4);
  for (uint64_t k = 0; k < n.length / SECTOR; k++) {
    if (k > 0 && read_sector (l, at + k * SECTOR, sector, e) == -1)
      return -1;
    if (!check_sector (&n, k, sector, &data, &crc))
      return 0;
  }
  if (crc != want || descriptor_sectors (&n) + data > n.length / SECTOR)
    return 0;
  *ret = n;
  return 1;
}

/* --- the active sequence (2.3.3) ------------------------------------- */

/* The sequence of entries that starts at TAIL: *RET, without those before the
 * tail of its head entry; empty if that is not among them.  *RET_HEAD is
 * where it ends. */
static int
read_sequence (struct log *l, uint64_t tail, struct entry_vec *ret,
               uint64_t *ret_head, struct err *e)
{
  uint64_t head = tail;
  struct entry n;
  size_t first;
  int r;

  ret->len = 0;
  while (head - tail < l->header->log_length) {
    r = read_entry (l, head, &n, e);
    if (r == -1)
      return -1;
    if (r == 0 ||
        (ret->len && n.sequence != ret->items[ret->len - 1].sequence + 1))
      break;
    if (entry_vec_push (ret, n) == -1)
      return err_set (e, ENOMEM, "out of memory");
    head += n.length;
  }
  *ret_head = head;
  if (!ret->len)
    return 0;
  n = ret->items[ret->len - 1];
  for (first = 0; first < ret->len; first++)
    if (ret->items[first].at == n.tail)
      break;
  ret->len -= first;
  memmove (ret->items, ret->items + first, ret->len * sizeof n);
  return 0;
}

static bool
is_newer (const struct entry_vec *a, const struct entry_vec *b)
{
  return a->len && (!b->len || a->items[a->len - 1].sequence >
                                   b->items[b->len - 1].sequence);
}

/* The sequence with the highest number.  One that turns out to have its tail
 * elsewhere is stepped over as a whole: so has each part of it. */
static int
find_sequence (struct log *l, struct entry_vec *ret, struct err *e)
{
  struct entry_vec current = { 0 }, swap;
  uint64_t head = 0;
  int r = 0;

  for (uint64_t tail = 0; r == 0 && tail < l->header->log_length;) {
    r = read_sequence (l, tail, &current, &head, e);
    if (r == 0 && is_newer (&current, ret)) {
      swap = *ret;
      *ret = current;
      current = swap;
    }
    tail = r == 0 && head > tail ? head : tail + SECTOR;
  }
  free (current.items);
  return r;
}

/* --- the overlay ----------------------------------------------------- */

/* The first of the updates, which are in order, that ends behind OFF. */
static size_t
find_update (const struct update_vec *u, uint64_t off)
{
  size_t low = 0, high = u->len, mid;

  while (low < high) {
    mid = low + (high - low) / 2;
    if (u->items[mid].offset + u->items[mid].length > off)
      high = mid;
    else
      low = mid + 1;
  }
  return low;
}

/* N covers what was there before.  All are whole sectors, so only zeros can
 * be left over before and behind it. */
static int
add_update (struct update_vec *u, const struct update *n, struct err *e)
{
  uint64_t end = n->offset + n->length;
  size_t low = find_update (u, n->offset), high = low, count = 0;
  struct update with[3];

  if (low < u->len && u->items[low].offset < n->offset) {
    with[count] = u->items[low];
    with[count++].length = n->offset - u->items[low].offset;
  }
  with[count++] = *n;
  while (high < u->len && u->items[high].offset < end)
    high++;
  if (high > low) {
    with[count] = u->items[high - 1];
    if (with[count].offset + with[count].length > end) {
      with[count].length -= end - with[count].offset;
      with[count++].offset = end;
    }
  }
  for (int i = 0; i < 2; i++) /* room for two more */
    if (update_vec_push (u, *n) == -1)
      return err_set (e, ENOMEM, "out of memory");
  u->len -= 2;
  memmove (u->items + low + count, u->items + high,
           (u->len - high) * sizeof *n);
  memcpy (u->items + low, with, count * sizeof *n);
  u->len += count - (high - low);
  return 0;
}

/* What descriptor D of the entry asks for; DATA: the data sectors so far. */
static struct update
parse_update (const struct log *l, const struct entry *n,
              const unsigned char *d, uint64_t *data)
{
  struct update u = { .offset = load_le64 (d + 16), .length = SECTOR };

  if (!is_data (d)) {
    u.length = load_le64 (d + 8);
    return u;
  }
  u.sector = ring (l, n->at + (descriptor_sectors (n) + *data) * SECTOR);
  memcpy (u.lead, d + 8, LEADING);
  memcpy (u.trail, d + 4, TRAILING);
  ++*data;
  return u;
}

static int
replay_sector (const struct log *l, const struct entry *n, uint64_t k,
               uint64_t *data, struct update_vec *to, struct err *e)
{
  unsigned char sector[SECTOR];
  const unsigned char *d;
  struct update u;
  size_t count;

  if (read_sector (l, n->at + k * SECTOR, sector, e) == -1)
    return -1;
  d = descriptors_in (n, k, sector, &count);
  for (size_t i = 0; i < count; i++, d += DESCRIPTOR) {
    /* The file may have changed underneath since it was checked. */
    if (!check_descriptor (n, d))
      return err_set (e, EIO, "it changed while it was read");
    u = parse_update (l, n, d, data);
    if (u.length && add_update (to, &u, e) == -1)
      return -1;
  }
  return 0;
}

static int
replay_entry (const struct log *l, const struct entry *n,
              struct update_vec *to, struct err *e)
{
  uint64_t data = 0;

  for (uint64_t k = 0; k < descriptor_sectors (n); k++)
    if (replay_sector (l, n, k, &data, to, e) == -1)
      return -1;
  return 0;
}

static int
replay (const struct log *l, const struct entry_vec *entries,
        struct update_vec *to, struct err *e)
{
  uint64_t updates = 0;

  for (size_t i = 0; i < entries->len; i++) {
    updates += entries->items[i].descriptors;
    if (updates > MAX_UPDATES)
      return err_set (e, ENOTSUP, "more than %" PRIu64 " updates",
                      (uint64_t) MAX_UPDATES);
    if (replay_entry (l, &entries->items[i], to, e) == -1)
      return -1;
  }
  return 0;
}

/* --- the block that reads through it --------------------------------- */

struct overlay {
  struct update_vec updates; /* in order, without overlaps */
  bool cut;                  /* bytes of the file are missing at its end */
};

/* Between the updates.  Replaying makes the file longer, with zeros, if it is
 * as long as the log says that it was. */
static int
map_below (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
           struct err *e)
{
  const struct overlay *o = b->priv;

  if (off < b->below->size) {
    *ret = extent_data (MIN (len, b->below->size - off), b->below, off);
    return 0;
  }
  if (o->cut)
    return err_set (e, EIO,
                    "0x%" PRIx64 " lies beyond the end of the file"
                    " (0x%" PRIx64 ")",
                    off, b->below->size);
  *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

static int
log_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e)
{
  const struct overlay *o = b->priv;
  size_t i = find_update (&o->updates, off);
  const struct update *u;

  if (i == o->updates.len)
    return map_below (b, off, len, ret, e);
  u = &o->updates.items[i];
  if (u->offset > off)
    return map_below (b, off, MIN (len, u->offset - off), ret, e);
  len = MIN (len, u->offset + u->length - off);
  *ret = extent_of (u->sector ? EXTENT_COMPRESSED : EXTENT_ZERO, len);
  return 0;
}

/* The sector that U asks for. */
static int
read_update (struct block *b, const struct update *u, unsigned char *sector,
             struct err *e)
{
  if (block_pread (b->below, sector, SECTOR, u->sector, e) == -1)
    return -1;
  memcpy (sector, u->lead, LEADING);
  memcpy (sector + SECTOR - TRAILING, u->trail, TRAILING);
  return 0;
}

static int
log_pread (struct block *b, void *buf, size_t len, uint64_t off,
           struct err *e)
{
  const struct overlay *o = b->priv;
  size_t i = find_update (&o->updates, off);
  unsigned char sector[SECTOR];
  const struct update *u;
  char *to = buf;
  size_t n;

  for (; len > 0; i++, to += n, off += n, len -= n) {
    u = &o->updates.items[i]; /* log_map has found it */
    n = (size_t) MIN (len, u->offset + u->length - off);
    if (read_update (b, u, sector, e) == -1)
      return -1;
    memcpy (to, sector + (off - u->offset), n);
  }
  return 0;
}

static void
log_close (struct block *b)
{
  struct overlay *o = b->priv;

  if (o)
    free (o->updates.items);
  free (o);
}

static const struct block_ops log_ops = {
  .name = "log",
  .map = log_map,
  .pread = log_pread,
  .close = log_close,
};

/* How long the file is once the log, whose newest entry is HEAD, is
 * replayed. */
static uint64_t
replayed_size (const struct overlay *o, uint64_t size,
               const struct entry *head)
{
  const struct update_vec *u = &o->updates;

  if (u->len)
    size =
        MAX (size, u->items[u->len - 1].offset + u->items[u->len - 1].length);
  return o->cut ? size : MAX (size, head->last);
}

static int
open_overlay (struct block *b, const struct log *l,
              const struct entry_vec *entries, struct err *e)
{
  const struct entry *head = &entries->items[entries->len - 1];
  struct vhdx *v = b->priv;
  CLEANUP_BLOCK struct block *log = block_new (b->env, &log_ops, e);
  struct overlay *o;

  if (!log)
    return -1;
  o = log->priv = calloc (1, sizeof *o);
  if (!o)
    return err_set (e, ENOMEM, "out of memory");
  log->below = b->below; /* borrowed */
  /* Where qemu refuses the image, we show what is there: what the end that
   * is missing held cannot be read. */
  o->cut = b->below->size < head->flushed;
  v->log_end = head->flushed;
  if (replay (l, entries, &o->updates, e) == -1)
    return -1;
  log->size = replayed_size (o, b->below->size, head);
  v->file = steal_ptr (&log);
  return 0;
}

/* An entry that was being written when the power failed leaves a log of
 * which nothing was applied, and so does qemu before its first entry; but one
 * that was damaged later leaves tables that were written in part. */
static int
check_empty (struct block *b, const struct log *l, struct err *e)
{
  struct vhdx *v = b->priv;

  if (l->seen)
    return err_set (e, EIO, "it is in use, and its entries are damaged");
  v->log_is_empty = true;
  return 0;
}

static int
open_log (struct block *b, struct log *l, struct err *e)
{
  struct entry_vec entries = { 0 };
  int r;

  if (l->header->log_length > MAX_LOG)
    return err_set (e, ENOTSUP, "%" PRIu32 " bytes to replay are too many",
                    l->header->log_length);
  r = find_sequence (l, &entries, e);
  if (r == 0)
    r = entries.len ? open_overlay (b, l, &entries, e)
                    : check_empty (b, l, e);
  free (entries.items);
  return r;
}

int
vhdx_replay_log (struct block *b, struct err *e)
{
  struct vhdx *v = b->priv;
  struct log l = { b->below, &v->header,
                   MAX_PASSES * (uint64_t) v->header.log_length, false };

  if (is_zero (v->header.log_id, VHDX_ID_LENGTH))
    return 0;
  return open_log (b, &l, e) == -1 ? err_in (e, "log") : 0;
}
