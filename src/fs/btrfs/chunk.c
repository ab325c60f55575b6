/* xrayfs: Btrfs: devices, and where on them what lies
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, CHUNK_ITEM and DEV_ITEM.  A chunk is a range of logical
 * addresses; its stripes are where its devices have it.  What is needed to
 * read the chunk tree is in the superblock as well.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define STRIPE_LEN   (64 * KiB) /* Linux: the only one */
#define CHUNK_HEADER 48
#define STRIPE_SIZE  32
#define DEV_SIZE     98
/* Chunks are 1 GiB when the filesystem is large, so this is a PiB; memory is
 * bounded: 40 bytes each, and 16 for a stripe. */
#define MAX_CHUNKS  (1U << 20)
#define MAX_STRIPES (1U << 21)

/* --- devices --------------------------------------------------------- */

static struct btrfs_device *
device_by_id (const struct btrfs *b, uint64_t id)
{
  for (size_t i = 0; i < b->devices.len; i++)
    if (b->devices.items[i].id == id)
      return &b->devices.items[i];
  return NULL;
}

int
btrfs_device_missing (const struct btrfs *b, const struct btrfs_device *d,
                      struct err *e)
{
  const unsigned char *u = d->uuid;
  bool seed = memcmp (d->fsid, b->sb.metadata_uuid, BTRFS_UUID_SIZE) != 0;

  return err_set (e, EIO,
                  "device %" PRIu64 " of %" PRIu64
                  " (%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                  "%02x%02x%02x%02x%02x%02x)%s is missing",
                  d->id, b->sb.n_devices, u[0], u[1], u[2], u[3], u[4], u[5],
                  u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                  u[15], seed ? ", a seed device," : "");
}

static int
add_device (struct btrfs *b, const struct btrfs_device *d, struct err *e)
{
  if (b->devices.len >= BTRFS_MAX_DEVICES)
    return err_set (e, ENOTSUP, "more than %d devices", BTRFS_MAX_DEVICES);
  if (btrfs_device_vec_push (&b->devices, *d) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
add_block (struct btrfs *b, const struct btrfs_super *sb, struct block *block,
           struct err *e)
{
  struct btrfs_device d = { .id = sb->devid,
                            .total = sb->dev_total,
                            .generation = sb->generation,
                            .block = block };

  memcpy (d.uuid, sb->dev_uuid, sizeof d.uuid);
  memcpy (d.fsid, sb->metadata_uuid, sizeof d.fsid);
  return add_device (b, &d, e);
}

/* A member whose superblock cannot be read is missing: what lies there names
 * it.  The newest superblock counts, as in the kernel: a device that was
 * away for a while has old trees. */
static int
add_member (void *to, struct block *block, struct err *e)
{
  struct err why = { 0 };
  struct btrfs *b = to;
  struct btrfs_super sb;

  if (btrfs_super_read (block, &sb, &why) == -1) {
    if (!err_is_transient (&why))
      return 0;
    *e = why;
    return -1;
  }
  if (memcmp (sb.fsid, b->sb.fsid, sizeof sb.fsid) != 0 ||
      device_by_id (b, sb.devid))
    return 0;
  if (add_block (b, &sb, block, e) == -1)
    return -1;
  if (sb.generation > b->sb.generation)
    b->sb = sb;
  return 0;
}

int
btrfs_add_devices (struct btrfs *b, const struct fs_members *members,
                   struct err *e)
{
  if (add_block (b, &b->sb, b->block, e) == -1)
    return -1;
  if (b->sb.n_devices == 1 || !members)
    return 0;
  return members->each (members->arg, add_member, b, e);
}

/* A DEV_ITEM.  A device of another UUID is not the one that is meant. */
static int
learn_device (struct btrfs *b, const struct btrfs_cursor *c, struct err *e)
{
  const char *p = c->data;
  struct btrfs_device *d;
  struct btrfs_device new = { 0 };

  if (c->size < DEV_SIZE)
    return err_set (e, EIO, "chunk tree: item of a device is cut off");
  new.id = load_le64 (p);
  d = device_by_id (b, new.id);
  if (!d) {
    if (add_device (b, &new, e) == -1)
      return -1;
    d = &b->devices.items[b->devices.len - 1];
  }
  if (memcmp (d->uuid, p + 66, BTRFS_UUID_SIZE) != 0)
    d->block = NULL;
  memcpy (d->uuid, p + 66, BTRFS_UUID_SIZE);
  memcpy (d->fsid, p + 82, BTRFS_UUID_SIZE);
  d->total = load_le64 (p + 8);
  d->used = load_le64 (p + 16);
  return 0;
}

/* --- chunks ---------------------------------------------------------- */

static int
bad_chunk (struct err *e, uint64_t start, const char *what)
{
  return err_set (e, EIO, "chunk at 0x%" PRIx64 ": impossible %s", start,
                  what);
}

#define PARITY (BTRFS_RAID5 | BTRFS_RAID6)
#define PROFILES                                                             \
  (BTRFS_RAID0 | BTRFS_RAID1 | BTRFS_DUP | BTRFS_RAID10 | BTRFS_RAID5 |      \
   BTRFS_RAID6 | BTRFS_RAID1C3 | BTRFS_RAID1C4)

unsigned
btrfs_copies (uint64_t type)
{
  if (type & BTRFS_RAID1C4)
    return 4;
  if (type & BTRFS_RAID1C3)
    return 3;
  return type & (BTRFS_RAID1 | BTRFS_DUP | BTRFS_RAID10) ? 2 : 1;
}

unsigned
btrfs_parity_stripes (uint64_t type)
{
  return type & BTRFS_RAID6 ? 2 : type & BTRFS_RAID5 ? 1 : 0;
}

/* Linux: btrfs_check_chunk_valid. */
static bool
stripes_fit (const struct btrfs_chunk *c)
{
  if (c->type & BTRFS_RAID0)
    return true;
  if (c->type & BTRFS_RAID10)
    return c->sub_stripes == 2 && c->n_stripes % 2 == 0;
  if (c->type & PARITY)
    return c->n_stripes > btrfs_parity_stripes (c->type);
  return c->n_stripes == btrfs_copies (c->type);
}

static int
check_chunk (const struct btrfs *b, const struct btrfs_chunk *c,
             const char *p, struct err *e)
{
  uint64_t profile = c->type & PROFILES;

  if (c->length == 0 || c->length > INT64_MAX || c->start > INT64_MAX ||
      c->start % b->sb.sectorsize || c->length % b->sb.sectorsize)
    return bad_chunk (e, c->start, "range");
  if (load_le64 (p + 16) != STRIPE_LEN)
    return bad_chunk (e, c->start, "length of stripes");
  if ((profile & (profile - 1)) || !(c->type & 7) ||
      c->type & ~(uint64_t) (PROFILES | 7))
    return bad_chunk (e, c->start, "type");
  if (c->n_stripes == 0 || !stripes_fit (c))
    return bad_chunk (e, c->start, "number of stripes");
  return 0;
}

static int
add_stripes (struct btrfs_map *m, const char *p, unsigned n, struct err *e)
{
  for (; n > 0; n--, p += STRIPE_SIZE) {
    struct btrfs_stripe s = { load_le64 (p), load_le64 (p + 8) };

    if (s.offset > INT64_MAX)
      return err_set (e, EIO, "stripe at 0x%" PRIx64, s.offset);
    if (btrfs_stripe_vec_push (&m->stripes, s) == -1)
      return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

/* A CHUNK_ITEM of at most SIZE bytes; *RET_USED: what it takes. */
static int
add_chunk (const struct btrfs *b, struct btrfs_map *m, uint64_t start,
           const char *p, size_t size, size_t *ret_used, struct err *e)
{
  struct btrfs_chunk c = { .start = start, .first = m->stripes.len };
  const struct btrfs_chunk *last =
      m->chunks.len ? &m->chunks.items[m->chunks.len - 1] : NULL;

  if (size < CHUNK_HEADER)
    return bad_chunk (e, start, "size of its item");
  c.length = load_le64 (p);
  c.type = load_le64 (p + 24);
  c.n_stripes = load_le16 (p + 44);
  c.sub_stripes = load_le16 (p + 46);
  *ret_used = CHUNK_HEADER + (size_t) c.n_stripes * STRIPE_SIZE;
  if (*ret_used > size)
    return bad_chunk (e, start, "size of its item");
  if (check_chunk (b, &c, p, e) == -1)
    return -1;
  if (last && start - last->start < last->length)
    return bad_chunk (e, start, "place: it is within another");
  if (m->chunks.len >= MAX_CHUNKS || m->stripes.len >= MAX_STRIPES)
    return err_set (e, ENOTSUP, "more than %u chunks", MAX_CHUNKS);
  if (add_stripes (m, p + CHUNK_HEADER, c.n_stripes, e) == -1)
    return -1;
  if (btrfs_chunk_vec_push (&m->chunks, c) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

void
btrfs_map_free (struct btrfs_map *m)
{
  free (m->chunks.items);
  free (m->stripes.items);
  *m = (struct btrfs_map){ 0 };
}

static int
compare_chunks (const void *a, const void *b)
{
  uint64_t x = ((const struct btrfs_chunk *) a)->start;
  uint64_t y = ((const struct btrfs_chunk *) b)->start;

  return x < y ? -1 : x > y;
}

/* The array need not be sorted, and so overlaps are looked for in the tree
 * alone, which has the same chunks. */
int
btrfs_read_sys_array (struct btrfs *b, struct err *e)
{
  const char *p = b->sb.sys_array, *end = p + b->sb.sys_array_size;
  struct btrfs_map one = { 0 };
  size_t used = 0;
  int r = 0;

  for (; r == 0 && end - p > BTRFS_KEY_SIZE; p += BTRFS_KEY_SIZE + used) {
    struct btrfs_key key = btrfs_load_key (p);

    if (key.type != BTRFS_CHUNK_ITEM) {
      r = err_set (e, EIO, "system chunk array holds something else");
      break;
    }
    one.chunks.len = 0;
    one.stripes = b->map.stripes;
    r = add_chunk (b, &one, key.offset, p + BTRFS_KEY_SIZE,
                   end - p - BTRFS_KEY_SIZE, &used, e);
    b->map.stripes = one.stripes;
    if (r == 0 &&
        btrfs_chunk_vec_push (&b->map.chunks, one.chunks.items[0]) == -1)
      r = err_set (e, ENOMEM, "out of memory");
  }
  free (one.chunks.items);
  if (r == 0 && b->map.chunks.len)
    qsort (b->map.chunks.items, b->map.chunks.len,
           sizeof *b->map.chunks.items, compare_chunks);
  return r == -1 ? err_in (e, "superblock") : 0;
}

static int
learn_item (struct btrfs *b, const struct btrfs_cursor *c,
            struct btrfs_map *m, struct err *e)
{
  size_t used;

  if (c->key.type == BTRFS_DEV_ITEM)
    return learn_device (b, c, e);
  if (c->key.type == BTRFS_CHUNK_ITEM)
    return add_chunk (b, m, c->key.offset, c->data, c->size, &used, e);
  return 0;
}

static int
read_all (struct btrfs *b, struct btrfs_map *m, struct err *e)
{
  BTRFS_CURSOR (c, b, &b->chunk_tree);
  int r = btrfs_find_first (&c, &(struct btrfs_key){ 0 }, e);

  for (; r == 1; r = btrfs_next (&c, e))
    if (learn_item (b, &c, m, e) == -1)
      return -1;
  return r;
}

int
btrfs_read_chunk_tree (struct btrfs *b, struct err *e)
{
  struct btrfs_map m = { 0 };

  if (read_all (b, &m, e) == -1) {
    btrfs_map_free (&m);
    return -1;
  }
  btrfs_map_free (&b->map);
  b->map = m;
  return 0;
}

/* --- addresses ------------------------------------------------------- */

const struct btrfs_chunk *
btrfs_chunk_at (const struct btrfs *b, uint64_t logical)
{
  const struct btrfs_chunk *c = b->map.chunks.items;
  size_t lo = 0, hi = b->map.chunks.len, mid;

  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (logical < c[mid].start)
      hi = mid;
    else if (logical - c[mid].start >= c[mid].length)
      lo = mid + 1;
    else
      return &c[mid];
  }
  return NULL;
}

/* Which stripe has COPY of stripe number NR of the chunk, and in which row of
 * it (Linux: map_blocks_raid*). */
static unsigned
stripe_of (const struct btrfs_chunk *c, uint64_t nr, unsigned copy,
           uint64_t *ret_row)
{
  unsigned n = c->n_stripes, groups, data;

  if (c->type & BTRFS_RAID0) {
    *ret_row = nr / n;
    return nr % n;
  }
  if (c->type & BTRFS_RAID10) {
    groups = n / c->sub_stripes;
    *ret_row = nr / groups;
    return nr % groups * c->sub_stripes + copy;
  }
  if (c->type & PARITY) {
    data = n - btrfs_parity_stripes (c->type);
    *ret_row = nr / data;
    return (*ret_row + nr % data) % n;
  }
  *ret_row = nr;
  return copy;
}

static bool
is_striped (const struct btrfs_chunk *c)
{
  return c->type & (BTRFS_RAID0 | BTRFS_RAID10 | PARITY);
}

int
btrfs_locate (const struct btrfs *b, uint64_t logical, unsigned copy,
              struct btrfs_place *ret, struct err *e)
{
  const struct btrfs_chunk *c = btrfs_chunk_at (b, logical);
  const struct btrfs_stripe *s;
  uint64_t off, row;

  if (!c)
    return err_set (e, EIO, "no chunk has the address 0x%" PRIx64, logical);
  if (copy >= btrfs_copies (c->type))
    return err_set (e, EIO, "there is no copy %u of 0x%" PRIx64, copy,
                    logical);
  off = logical - c->start;
  s = &b->map.stripes
           .items[c->first + stripe_of (c, off / STRIPE_LEN, copy, &row)];
  ret->device = device_by_id (b, s->devid);
  if (!ret->device)
    return err_set (e, EIO, "device %" PRIu64 " is missing", s->devid);
  ret->offset = s->offset + row * STRIPE_LEN + off % STRIPE_LEN;
  ret->length = is_striped (c) ? STRIPE_LEN - off % STRIPE_LEN : UINT64_MAX;
  ret->length = MIN (ret->length, c->length - off);
  return 0;
}

int
btrfs_read_copy (struct btrfs *b, uint64_t logical, unsigned copy, void *buf,
                 size_t len, struct err *e)
{
  struct btrfs_place at = { 0 };
  char *to = buf;
  size_t n;

  for (; len > 0; len -= n, to += n, logical += n) {
    if (btrfs_locate (b, logical, copy, &at, e) == -1)
      return -1;
    if (!at.device->block)
      return btrfs_device_missing (b, at.device, e);
    n = MIN (len, at.length);
    if (block_pread (at.device->block, to, n, at.offset, e) == -1)
      return err_in (e, "device %" PRIu64, at.device->id);
  }
  return 0;
}
