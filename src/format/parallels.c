/* xrayfs: Parallels expanding images
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: qemu, docs/interop/parallels.txt; sections are cited by
 * name.  A plain (static) image of Parallels is a raw disk: it has no header,
 * and only the DiskDescriptor.xml beside it says what it is.  Format
 * extensions (dirty bitmaps) do not change what the disk holds: they are
 * named, and not read.
 *
 * As qemu 7.2, but for this: a cluster that lies beyond the end of the file,
 * or in the header, and a part of the disk that the BAT does not cover, are
 * errors (qemu invents zeros, shows the header, invents zeros), and so is a
 * BAT that the end of the file cuts.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/claims.h"

/* "Header". */
#define HEADER_LENGTH 64
#define MAGIC_LENGTH  16
#define MAGIC         "WithoutFreeSpace" /* offsets in sectors */
#define MAGIC_EXT     "WithouFreSpacExt" /* offsets in clusters */
#define VERSION       2
#define IN_USE        0x746f6e59 /* opened and not closed */
#define NOT_IN_USE    0x312e3276
#define FLAG_EMPTY    1
#define SECTOR        UINT64_C (512)

/* As in qemu: a cluster of less than 2 GiB, a BAT too. */
#define MAX_TRACKS  (INT32_MAX / 513)
#define MAX_ENTRIES (INT32_MAX / 4)

/* "Format Extension". */
#define EXTENSION_MAGIC UINT64_C (0xab234cef23dcea87)

#define PIECE_ENTRIES (TABLE_PIECE / 4)

/* Constant after open. */
struct parallels {
  bool extended; /* which magic */
  uint32_t version, tracks, entries, in_use, flags;
  uint64_t sectors;      /* of the disk */
  uint64_t cluster_size; /* no power of 2 in old images */
  uint32_t step;         /* between the entries of neighbours */
  uint64_t unit;         /* bytes that an entry counts in */
  uint64_t bat_end;      /* of header and BAT, in the file */
  uint64_t data_start;
  uint32_t data_off;     /* as the header has it: 0 is "after the BAT" */
  uint64_t extension;    /* sector of the format extension, or 0 */
  const void *bat_owner; /* in the cache */
};

/* --- the header ------------------------------------------------------ */

static int
parallels_bid (struct block *below, struct err *e)
{
  unsigned char h[MAGIC_LENGTH + 4] = { 0 };

  if (below->size < MAGIC_LENGTH)
    return 0;
  if (block_pread (below, h, MIN (below->size, sizeof h), 0, e) == -1)
    return -1;
  if (memcmp (h, MAGIC, MAGIC_LENGTH) && memcmp (h, MAGIC_EXT, MAGIC_LENGTH))
    return 0;
  /* Another version is ours to refuse, as is a header that is cut off. */
  return 8 * MAGIC_LENGTH +
         (load_le32 (h + MAGIC_LENGTH) == VERSION ? 32 : 0);
}

static void
load_header (struct parallels *p, const unsigned char *h)
{
  p->extended = !memcmp (h, MAGIC_EXT, MAGIC_LENGTH);
  p->version = load_le32 (h + 16);
  p->tracks = load_le32 (h + 28);
  p->entries = load_le32 (h + 32);
  p->sectors = load_le64 (h + 36);
  p->in_use = load_le32 (h + 44);
  p->data_off = load_le32 (h + 48);
  p->flags = load_le32 (h + 52);
  p->extension = load_le64 (h + 56);
  if (!p->extended) /* "Only the lowest 4 bytes are used." */
    p->sectors &= UINT32_MAX;
}

static int
check_header (const struct parallels *p, struct err *e)
{
  if (p->version != VERSION)
    return err_set (e, ENOTSUP, "version %" PRIu32 " is not known",
                    p->version);
  if (p->tracks == 0)
    return err_set (e, EINVAL, "clusters of 0 sectors");
  if (p->tracks > MAX_TRACKS)
    return err_set (e, EFBIG, "clusters of %" PRIu32 " sectors are too large",
                    p->tracks);
  if (p->entries > MAX_ENTRIES)
    return err_set (e, EFBIG, "BAT of %" PRIu32 " entries is too large",
                    p->entries);
  if (p->sectors > INT64_MAX / SECTOR)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " sectors",
                    p->sectors);
  return 0;
}

static void
derive (struct parallels *p)
{
  p->cluster_size = p->tracks * SECTOR;
  p->step = p->extended ? 1 : p->tracks;
  p->unit = p->extended ? p->cluster_size : SECTOR;
  p->bat_end = HEADER_LENGTH + UINT64_C (4) * p->entries;
  p->data_start =
      p->data_off ? p->data_off * SECTOR : round_up (p->bat_end, SECTOR);
  p->bat_owner = cache_new_owner ();
}

static int
parallels_open (struct block *b, struct err *e)
{
  struct parallels *p = b->priv = calloc (1, sizeof *p);
  unsigned char h[HEADER_LENGTH];

  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (b->below->size < sizeof h)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  /* Who names the format has not bid. */
  if (memcmp (h, MAGIC, MAGIC_LENGTH) && memcmp (h, MAGIC_EXT, MAGIC_LENGTH))
    return err_set (e, EINVAL, "not a Parallels image");
  load_header (p, h);
  if (check_header (p, e) == -1)
    return -1;
  derive (p);
  if (p->bat_end > b->below->size)
    return err_set (e, EIO, "BAT lies beyond the end of the file");
  b->size = p->sectors * SECTOR;
  return 0;
}

/* --- mapping (section "BAT") ----------------------------------------- */

/* A piece of the BAT: COUNT entries from number FIRST on. */
struct slice {
  struct pin pin;
  uint64_t first, count;
};

static void
cleanup_slice (struct slice *s)
{
  pin_release (&s->pin);
}
#define CLEANUP_SLICE __attribute__ ((cleanup (cleanup_slice)))

/* The piece that has entry INDEX.  RET is empty. */
static int
slice_get (struct block *b, uint64_t index, struct slice *ret, struct err *e)
{
  const struct parallels *p = b->priv;

  ret->first = index - index % PIECE_ENTRIES;
  ret->count = MIN (PIECE_ENTRIES, p->entries - ret->first);
  if (table_get (b->below, p->bat_owner, HEADER_LENGTH + ret->first * 4,
                 ret->count * 4, &ret->pin, e) == -1)
    return err_in (e, "BAT");
  return 0;
}

static uint32_t
slice_entry (const struct slice *s, uint64_t index)
{
  const char *data = s->pin.entry->data;

  return load_le32 (data + (index - s->first) * 4);
}

/* How many clusters, from that of entry INDEX on, are like it: none of them
 * is there, or they follow each other in the file.  WANT at most. */
static uint64_t
count_run (const struct parallels *p, const struct slice *s, uint64_t index,
           uint64_t want)
{
  uint64_t entry = slice_entry (s, index);
  uint64_t step = entry ? p->step : 0;
  uint64_t n = 1, max = MIN (want, s->first + s->count - index);

  while (n < max && slice_entry (s, index + n) == entry + n * step)
    n++;
  return n;
}

/* LEN bytes at HOST + WITHIN, in the clusters from HOST on. */
static int
map_data (struct block *b, uint64_t host, uint64_t within, uint64_t len,
          struct extent *ret, struct err *e)
{
  const struct parallels *p = b->priv;
  uint64_t end = b->below->size;

  if (host < p->bat_end)
    return err_set (e, EIO, "cluster at 0x%" PRIx64 " lies in the BAT", host);
  if (host + within >= end)
    return err_set (e, EIO, "cluster at 0x%" PRIx64 " %s the end of the file",
                    host, host < end ? "is cut off by" : "lies beyond");
  host += within;
  *ret = extent_data (MIN (len, end - host), b->below, host);
  return 0;
}

static int
parallels_map (struct block *b, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e)
{
  const struct parallels *p = b->priv;
  uint64_t index = off / p->cluster_size, within = off % p->cluster_size, n;
  CLEANUP_SLICE struct slice s = { 0 };

  if (index >= p->entries)
    return err_set (
        e, EIO, "the BAT of %" PRIu32 " entries does not cover 0x%" PRIx64,
        p->entries, off);
  if (slice_get (b, index, &s, e) == -1)
    return -1;
  n = count_run (p, &s, index, (within + len - 1) / p->cluster_size + 1);
  len = MIN (len, n * p->cluster_size - within);
  if (slice_entry (&s, index))
    return map_data (b, slice_entry (&s, index) * p->unit, within, len, ret,
                     e);
  *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

/* --- damage ---------------------------------------------------------- */

struct parallels_check {
  struct block *b;
  struct block_check *c;
  struct claims claims; /* clusters of the file, from PHASE on */
  uint64_t phase;       /* where in a cluster size all clusters begin */
  bool has_phase;
  uint64_t end; /* of what is in use */
};

/* The cluster at HOST, of which the disk needs NEED. */
static void
check_cluster (struct parallels_check *k, const char *what, uint64_t host,
               uint64_t need)
{
  const struct parallels *p = k->b->priv;
  /* Header, disk and as much again: an offset beyond it is no sign of a file
   * that was cut off. */
  uint64_t longest = 2 * (p->data_start + p->cluster_size) +
                     p->entries * p->cluster_size * 2;

  if (host < MAX (p->data_start, p->bat_end)) {
    block_check_error (k->c, "%s at 0x%" PRIx64 " lies before the data area",
                       what, host);
    return;
  }
  if (host + need > longest) {
    block_check_error (k->c, "%s offset 0x%" PRIx64 " is out of range", what,
                       host);
    return;
  }
  block_check_reach (k->c, k->b->below, host + need);
  k->end = MAX (k->end, host + p->cluster_size);
  if (!k->has_phase)
    k->phase = host % p->cluster_size;
  k->has_phase = true;
  if (host % p->cluster_size != k->phase)
    block_check_error (k->c, "%s at 0x%" PRIx64 " is not aligned", what,
                       host);
  else if (!claims_take (&k->claims, host / p->cluster_size, 1))
    block_check_error (k->c, "%s at 0x%" PRIx64 " overlaps another", what,
                       host);
}

static int
check_bat (struct parallels_check *k, struct err *e)
{
  const struct parallels *p = k->b->priv;
  uint64_t guest, need;

  for (uint64_t i = 0; i < p->entries;) {
    CLEANUP_SLICE struct slice s = { 0 };

    block_check_progress (k->c, i, p->entries);
    if (slice_get (k->b, i, &s, e) == -1)
      return -1;
    for (; i < s.first + s.count; i++) {
      guest = i * p->cluster_size;
      /* The disk may end within its last cluster. */
      need =
          guest < k->b->size ? MIN (p->cluster_size, k->b->size - guest) : 0;
      if (slice_entry (&s, i))
        check_cluster (k, "cluster", slice_entry (&s, i) * p->unit, need);
    }
  }
  return 0;
}

/* "Format Extension": is it there?  Its checksum is not looked at. */
static int
check_extension (struct parallels_check *k, struct err *e)
{
  const struct parallels *p = k->b->priv;
  uint64_t host = p->extension * SECTOR;
  unsigned char magic[8];

  if (!p->extension)
    return 0;
  if (p->extension > INT64_MAX / SECTOR ||
      !range_within (host, sizeof magic, k->b->below->size)) {
    block_check_note (k->c,
                      "format extension at sector %" PRIu64
                      " lies beyond the end of the file",
                      p->extension);
    return 0;
  }
  if (block_pread (k->b->below, magic, sizeof magic, host, e) == -1)
    return err_in (e, "format extension");
  if (load_le64 (magic) != EXTENSION_MAGIC)
    block_check_note (
        k->c, "format extension at 0x%" PRIx64 " has a wrong magic", host);
  else
    check_cluster (k, "format extension", host, 0);
  return 0;
}

static void
check_flags (const struct parallels *p, struct block_check *c)
{
  if (p->in_use == IN_USE) /* as in qemu-img check */
    block_check_error (c, "the image was not closed cleanly (in use)");
  else if (p->in_use && p->in_use != NOT_IN_USE)
    block_check_note (c, "the in-use mark has the unknown value 0x%" PRIx32,
                      p->in_use);
  if (p->data_off && p->data_start < p->bat_end)
    block_check_error (c, "the data area at 0x%" PRIx64 " overlaps the BAT",
                       p->data_start);
  if (p->sectors > (uint64_t) p->entries * p->tracks)
    block_check_error (c,
                       "the BAT of %" PRIu32 " entries does not cover a disk"
                       " of %" PRIu64 " sectors",
                       p->entries, p->sectors);
}

static int
parallels_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct parallels *p = b->priv;
  CLEANUP_CLAIMS struct claims claims = { 0 };
  struct parallels_check k = { .b = b, .c = c, .end = p->data_start };

  if (claims_init (&claims, b->below->size / p->cluster_size + 1, e) == -1)
    return -1;
  k.claims = claims;
  check_flags (p, c);
  if (check_bat (&k, e) == -1 || check_extension (&k, e) == -1)
    return -1;
  if (p->data_off && k.has_phase &&
      k.phase != p->data_start % p->cluster_size)
    block_check_note (c, "clusters are not aligned with the data area");
  if (p->flags & FLAG_EMPTY && k.has_phase)
    block_check_note (c, "the image is marked empty and has clusters");
  /* What an extension owns is not known here. */
  if (!p->extension && b->below->size > k.end)
    block_check_note (c, "%" PRIu64 " bytes at the end are not used (leaked)",
                      b->below->size - k.end);
  return 0;
}

/* --- the rest -------------------------------------------------------- */

static int
parallels_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct parallels *p = b->priv;

  ret->has_features = true;
  ret->cluster_size = p->cluster_size;
  ret->dirty = p->in_use == IN_USE;
  if (p->extended)
    buf_puts (&ret->features, "offsets-in-clusters\n");
  if (p->flags & FLAG_EMPTY)
    buf_puts (&ret->features, "empty\n");
  if (p->extension)
    buf_puts (&ret->features, "format-extension\n");
  ret->subformat = strdup ("expanding");
  ret->version = strdup ("2");
  if (!ret->subformat || !ret->version)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static void
parallels_close (struct block *b)
{
  free (b->priv);
}

const struct block_ops parallels_ops = {
  .name = "parallels",
  .bid = parallels_bid,
  .open = parallels_open,
  .map = parallels_map,
  .info = parallels_info,
  .check = parallels_check,
  .close = parallels_close,
};
