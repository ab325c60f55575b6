/* xrayfs: VHDX: fixed, dynamic and differencing
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the specification leaves room we do as qemu 7.2 does (contents that
 * are undefined or unmapped read as zeros), but a block that lies beyond the
 * end of the file is an error of that block and not of the image.  What qemu
 * cannot read is read by the specification: parents, logical sectors of
 * 4 KiB, and a log in an image that may not be written.
 */
#include <inttypes.h>
#include <string.h>

#include "block/table.h"
#include "format/vhdx.h"

#define SIGNATURE        "vhdxfile"
#define ENTRY            8                    /* bytes of a BAT entry */
#define SECTORS_IN_CHUNK (UINT64_C (1) << 23) /* 2.4 */

static int
vhdx_bid (struct block *below, struct err *e)
{
  char found[sizeof SIGNATURE - 1];

  if (below->size < sizeof found)
    return 0;
  if (block_pread (below, found, sizeof found, 0, e) == -1)
    return -1;
  /* A header that is damaged or cut off is ours to refuse: shown as raw it
   * would mislead. */
  return memcmp (found, SIGNATURE, sizeof found) ? 0 : 8 * sizeof found;
}

/* --- BAT (2.5) ------------------------------------------------------- */

/* A piece of the BAT: COUNT entries from FIRST on. */
struct piece {
  struct pin pin;
  uint64_t first, count;
};

static void
cleanup_piece (struct piece *p)
{
  pin_release (&p->pin);
}
#define CLEANUP_PIECE __attribute__ ((cleanup (cleanup_piece)))

/* The piece that has entry INDEX, which is one of the BAT's. */
static int
piece_get (const struct vhdx *v, uint64_t index, struct piece *ret,
           struct err *e)
{
  ret->first = index - index % (TABLE_PIECE / ENTRY);
  ret->count = MIN (TABLE_PIECE / ENTRY, v->entries - ret->first);
  if (table_get (v->file, v->bat_owner, v->bat.offset + ret->first * ENTRY,
                 ret->count * ENTRY, &ret->pin, e) == -1)
    return err_in (e, "BAT");
  return 0;
}

static uint64_t
piece_entry (const struct piece *p, uint64_t index)
{
  return load_le64 ((char *) p->pin.entry->data + (index - p->first) * ENTRY);
}

static bool
overlaps (uint64_t off, uint64_t len, uint64_t other, uint64_t other_len)
{
  return off < other + other_len && other < off + len;
}

/* 2.5.1: "must reside after the header section and must not overlap any
 * other structure". */
int
vhdx_check_place (const struct vhdx *v, uint64_t entry, uint64_t length,
                  struct err *e)
{
  uint64_t host = VHDX_HOST (entry);
  const char *in = NULL;

  if (host >= v->file->size)
    return err_set (e, EIO,
                    "block at 0x%" PRIx64 " lies beyond the end of the file",
                    host);
  if (host < MiB)
    in = "the header";
  else if (overlaps (host, length, v->header.log_offset,
                     v->header.log_length))
    in = "the log";
  else if (overlaps (host, length, v->bat.offset, v->bat.length))
    in = "the BAT";
  else if (overlaps (host, length, v->metadata.offset, v->metadata.length))
    in = "the metadata";
  if (in)
    return err_set (e, EIO, "block at 0x%" PRIx64 " lies in %s", host, in);
  return 0;
}

/* --- mapping --------------------------------------------------------- */

/* What a payload block is. */
struct unit {
  enum { IN_PARENT, ABSENT, ZERO, STORED, MIXED } kind;
  uint64_t host; /* STORED, MIXED */
};

static int
classify_stored (const struct vhdx *v, uint64_t entry, struct unit *ret,
                 struct err *e)
{
  ret->host = VHDX_HOST (entry);
  if (VHDX_STATE (entry) == VHDX_PRESENT)
    ret->kind = STORED;
  else if (v->has_parent)
    ret->kind = MIXED;
  else
    return err_set (e, EIO, "block is partially present without a parent");
  return vhdx_check_place (v, entry, v->block_size, e);
}

/* 2.5.1.1 "Payload BAT Entry States" */
static int
classify (const struct vhdx *v, const struct piece *p, uint64_t index,
          struct unit *ret, struct err *e)
{
  uint64_t entry = piece_entry (p, index);
  int r = 0;

  *ret = (struct unit){ ABSENT, 0 };
  switch (VHDX_STATE (entry)) {
  case VHDX_NOT_PRESENT:
    if (v->has_parent)
      ret->kind = IN_PARENT;
    break;
  case VHDX_ZERO:
    ret->kind = ZERO;
    break;
  case VHDX_UNDEFINED:
  case VHDX_UNMAPPED:
  case VHDX_UNMAPPED_095:
    break;
  case VHDX_PRESENT:
  case VHDX_PARTIAL:
    r = classify_stored (v, entry, ret, e);
    break;
  default:
    r = err_set (e, EIO, "state %u is not known", VHDX_STATE (entry));
  }
  return r == -1 ? err_in (e, "BAT entry %" PRIu64, index) : 0;
}

/* Where the run of blocks like FIRST, which is BLOCK, ends, looking at what
 * lies before LIMIT.  A bad entry ends it too: who reads that far is told. */
static uint64_t
run_end (const struct vhdx *v, const struct piece *p, uint64_t block,
         uint64_t limit, const struct unit *first)
{
  uint64_t n = 1, index;
  struct unit next;
  struct err e;

  if (first->kind == MIXED)
    limit = 0;
  for (; block + n < v->blocks && (block + n) << v->block_bits < limit; n++) {
    index = vhdx_block_index (v, block + n);
    if (index - p->first >= p->count ||
        classify (v, p, index, &next, &e) == -1 || next.kind != first->kind ||
        (next.kind == STORED &&
         next.host != first->host + (n << v->block_bits)))
      break;
  }
  return (block + n) << v->block_bits;
}

static void
map_parent (const struct vhdx *v, uint64_t off, uint64_t len,
            struct extent *ret)
{
  if (off < v->parent->size)
    *ret = extent_data (MIN (len, v->parent->size - off), v->parent, off);
  else /* the disk was made larger */
    *ret = extent_of (EXTENT_UNALLOCATED, len);
}

/* qemu has left the last block short: what the disk's size asks of it is
 * there.  So the end of the file matters where it is reached. */
static int
map_stored (const struct vhdx *v, uint64_t host, uint64_t len,
            struct extent *ret, struct err *e)
{
  if (host >= v->file->size)
    return err_set (e, EIO,
                    "data at 0x%" PRIx64 " lie beyond the end of the file"
                    " (0x%" PRIx64 ")",
                    host, v->file->size);
  *ret = extent_data (MIN (len, v->file->size - host), v->file, host);
  ret->transparent = v->fixed;
  return 0;
}

/* --- sector bitmaps (2.4) -------------------------------------------- */

/* The bits of BLOCK, one for each sector. */
static int
bitmap_get (const struct vhdx *v, uint64_t block, struct pin *ret,
            struct err *e)
{
  uint64_t chunk = block >> v->chunk_bits;
  uint64_t index = vhdx_bitmap_index (v, chunk);
  uint64_t len = MiB >> v->chunk_bits; /* 32 bytes to 64 KiB */
  CLEANUP_PIECE struct piece p = { 0 };
  uint64_t entry;

  if (piece_get (v, index, &p, e) == -1)
    return -1;
  entry = piece_entry (&p, index);
  if (VHDX_STATE (entry) != VHDX_PRESENT)
    return err_set (e, EIO,
                    "sector bitmap of chunk %" PRIu64
                    " is not there (BAT entry %" PRIu64 ")",
                    chunk, index);
  if (vhdx_check_place (v, entry, MiB, e) == -1 ||
      table_get (v->file, v->bitmap_owner,
                 VHDX_HOST (entry) + (block - (chunk << v->chunk_bits)) * len,
                 len, ret, e) == -1)
    return err_in (e, "sector bitmap of chunk %" PRIu64, chunk);
  return 0;
}

static bool
bit (const unsigned char *bits, uint64_t i)
{
  return bits[i / 8] >> i % 8 & 1;
}

/* Where the run of bits like bit I ends, END at most. */
static uint64_t
bit_run (const unsigned char *bits, uint64_t i, uint64_t end)
{
  bool set = bit (bits, i);

  while (i < end && bit (bits, i) == set)
    if (i % 8 == 0 && end - i >= 8 && bits[i / 8] == (set ? 0xff : 0))
      i += 8;
    else
      i++;
  return i;
}

/* LEN bytes at OFF, within one block that is at HOST and in the parent. */
static int
map_mixed (const struct vhdx *v, uint64_t host, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  uint64_t block = off >> v->block_bits;
  uint64_t within = off - (block << v->block_bits);
  uint64_t first = within / v->logical_sector, end;
  CLEANUP_PIN struct pin pin = { 0 };
  const unsigned char *bits;

  if (bitmap_get (v, block, &pin, e) == -1)
    return -1;
  bits = pin.entry->data;
  end = bit_run (bits, first, div_up (within + len, v->logical_sector));
  len = MIN (len, end * v->logical_sector - within);
  if (bit (bits, first))
    return map_stored (v, host + within, len, ret, e);
  map_parent (v, off, len, ret);
  return 0;
}

static int
vhdx_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct vhdx *v = b->priv;
  uint64_t block = off >> v->block_bits;
  uint64_t within = off - (block << v->block_bits);
  uint64_t index = vhdx_block_index (v, block);
  CLEANUP_PIECE struct piece p = { 0 };
  struct unit first;

  if (piece_get (v, index, &p, e) == -1 ||
      classify (v, &p, index, &first, e) == -1)
    return -1;
  len = MIN (len, run_end (v, &p, block, off + len, &first) - off);
  switch (first.kind) {
  case STORED:
    return map_stored (v, first.host + within, len, ret, e);
  case MIXED:
    return map_mixed (v, first.host, off, len, ret, e);
  case IN_PARENT:
    map_parent (v, off, len, ret);
    return 0;
  case ZERO:
  case ABSENT:
  default:
    *ret = extent_of (first.kind == ZERO ? EXTENT_ZERO : EXTENT_UNALLOCATED,
                      len);
    return 0;
  }
}

/* --- info ------------------------------------------------------------ */

static void
add_features (const struct vhdx *v, struct buf *out)
{
  if (v->logical_sector != 512)
    buf_printf (out, "logical-sector-size-%" PRIu32 "\n", v->logical_sector);
  if (v->physical_sector && v->physical_sector != 512)
    buf_printf (out, "physical-sector-size-%" PRIu32 "\n",
                v->physical_sector);
}

static int
vhdx_info (struct block *b, struct block_info *ret, struct err *e)
{
  const struct vhdx *v = b->priv;
  const char *subformat = v->has_parent ? "differencing"
                          : v->fixed    ? "fixed"
                                        : "dynamic";

  ret->has_backing = ret->has_features = true;
  ret->cluster_size = v->block_size;
  ret->dirty = !is_zero (v->header.log_id, VHDX_ID_LENGTH);
  add_features (v, &ret->features);
  if (text_copy (subformat, &ret->subformat, e) == -1 ||
      text_copy ("1", &ret->version, e) == -1 ||
      text_copy (v->parent_name, &ret->backing_file, e) == -1 ||
      text_copy (v->has_parent ? "vhdx" : NULL, &ret->backing_format, e) ==
          -1)
    return -1;
  return vhdx_creator (b, &ret->creator, e);
}

static struct block *
vhdx_backing (struct block *b)
{
  return ((struct vhdx *) b->priv)->parent;
}

static void
vhdx_close (struct block *b)
{
  struct vhdx *v = b->priv;

  if (!v)
    return;
  block_close (v->parent);
  if (v->file != b->below)
    block_close (v->file);
  free (v->locator.linkage);
  free (v->locator.linkage2);
  free (v->locator.relative_path);
  free (v->locator.volume_path);
  free (v->locator.absolute_path);
  free (v->parent_name);
  free (v);
}

const struct block_ops vhdx_ops = {
  .name = "vhdx",
  .unmapped_in_qemu = true,
  .bid = vhdx_bid,
  .open = vhdx_open,
  .map = vhdx_map,
  .info = vhdx_info,
  .backing = vhdx_backing,
  .check = vhdx_check,
  .close = vhdx_close,
};
