/* xrayfs: VDI, the disk images of VirtualBox, version 1.1
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Specification: none but the sources of VirtualBox and the thread "All about
 * VDIs" in its forum, which qemu's driver follows too.
 *
 * As qemu 7.2 does, with these differences on purpose: a block that lies
 * beyond the end of the file is an error (qemu gives zeros); all block sizes
 * are read; and differencing images, which qemu refuses, open: what they have
 * can be read.  They name their parent by its UUID alone, so it is not looked
 * for, and what is not in the image cannot be read.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/block_starts.h"

#define SIGNATURE   "\x7f\x10\xda\xbe"
#define VERSION_1_1 0x00010001
#define SECTOR      512

/* Offsets in the header, which is little-endian. */
#define H_SIGNATURE   0x40
#define H_VERSION     0x44
#define H_TYPE        0x4c
#define H_MAP_OFFSET  0x154
#define H_DATA_OFFSET 0x158
#define H_SECTOR_SIZE 0x168
#define H_DISK_SIZE   0x170
#define H_BLOCK_SIZE  0x178
#define H_BLOCK_EXTRA 0x17c
#define H_BLOCKS      0x180
#define H_ALLOCATED   0x184
#define H_LINK_UUID   0x1a8
#define H_PARENT_UUID 0x1b8
#define HEADER_SIZE   0x1c8
#define H_TEXT_SIZE   0x40

/* In the block map, instead of a block's number. */
#define UNALLOCATED UINT32_C (0xffffffff)
#define ZERO        UINT32_C (0xfffffffe)

/* As in qemu. */
#define MAX_BLOCKS UINT32_C (0x3fffffff)
#define MAX_SIZE   (MAX_BLOCKS * MiB)

#define PIECE (16 * 1024) /* entries of the block map, of 4 bytes */

enum vdi_type { DYNAMIC = 1, FIXED, UNDO, DIFFERENCING };

/* An open image.  Constant after open. */
struct vdi {
  enum vdi_type type;
  uint32_t map_offset, data_offset;
  uint32_t block_size;
  unsigned block_bits;
  uint32_t blocks;    /* as the header has it */
  uint32_t entries;   /* that the disk needs */
  uint32_t allocated; /* as the header has it */
  bool has_parent;
  unsigned char parent_uuid[16];
  char creator[H_TEXT_SIZE + 1];
  const void *map_owner; /* in the cache */
};

/* --- the header ------------------------------------------------------ */

static int
vdi_bid (struct block *below, struct err *e)
{
  unsigned char h[H_VERSION + 4] = { 0 };

  if (below->size < H_SIGNATURE + 4)
    return 0;
  if (block_pread (below, h, MIN (below->size, sizeof h), 0, e) == -1)
    return -1;
  if (memcmp (h + H_SIGNATURE, SIGNATURE, 4))
    return 0;
  /* The text in front is free, and the version may be one that nobody knows
   * or cut off: then it is ours to refuse. */
  return load_le32 (h + H_VERSION) == VERSION_1_1 ? 64 : 32;
}

/* "<<< Oracle VM VirtualBox Disk Image >>>\n": what lies between. */
static void
load_creator (struct vdi *v, const char *text)
{
  size_t n = 0, skip = strspn (text, "< ");

  for (text += skip; skip + n < H_TEXT_SIZE && text[n]; n++) {
    if (!isprint ((unsigned char) text[n]) || text[n] == '>')
      break;
    v->creator[n] = text[n];
  }
  while (n > 0 && v->creator[n - 1] == ' ')
    n--;
  v->creator[n] = '\0';
}

static int
check_kind (const unsigned char *h, struct err *e)
{
  uint32_t version = load_le32 (h + H_VERSION);
  uint32_t type = load_le32 (h + H_TYPE);

  if (version != VERSION_1_1)
    return err_set (e, ENOTSUP, "version %u.%u is not known", version >> 16,
                    version & 0xffff);
  if (type < DYNAMIC || type > DIFFERENCING)
    return err_set (e, ENOTSUP, "image type %" PRIu32 " is not known", type);
  if (load_le32 (h + H_SECTOR_SIZE) != SECTOR)
    return err_set (e, ENOTSUP, "sectors of %" PRIu32 " bytes",
                    load_le32 (h + H_SECTOR_SIZE));
  /* No program that we know of writes them. */
  if (load_le32 (h + H_BLOCK_EXTRA))
    return err_set (e, ENOTSUP,
                    "%" PRIu32 " extra bytes in front of each block",
                    load_le32 (h + H_BLOCK_EXTRA));
  return 0;
}

static int
check_size (const struct vdi *v, uint64_t size, struct err *e)
{
  if (size > MAX_SIZE)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " bytes", size);
  if (!is_power_of_2 (v->block_size) || v->block_size < SECTOR)
    return err_set (e, EINVAL, "block size of %" PRIu32 " bytes",
                    v->block_size);
  if (v->blocks > MAX_BLOCKS)
    return err_set (e, EFBIG, "block map of %" PRIu32 " entries", v->blocks);
  if (size > (uint64_t) v->blocks * v->block_size)
    return err_set (e, EINVAL,
                    "block map of %" PRIu32 " entries is too small for"
                    " %" PRIu64 " bytes",
                    v->blocks, size);
  return 0;
}

/* The header, the block map and the blocks lie behind each other, in whole
 * sectors. */
static int
check_offsets (const struct block *b, struct err *e)
{
  const struct vdi *v = b->priv;
  uint64_t map_end = v->map_offset + (uint64_t) v->blocks * 4;

  if (v->map_offset % SECTOR || v->map_offset == 0)
    return err_set (e, EINVAL, "block map at 0x%" PRIx32, v->map_offset);
  if (v->data_offset % SECTOR || v->data_offset < map_end)
    return err_set (e, EINVAL,
                    "blocks at 0x%" PRIx32 ": the block map is 0x%" PRIx32
                    " to 0x%" PRIx64,
                    v->data_offset, v->map_offset, map_end);
  if (v->map_offset + (uint64_t) v->entries * 4 > b->below->size)
    return err_set (e, EIO, "block map lies beyond the end of the file");
  return 0;
}

static int
load_header (struct block *b, const unsigned char *h, struct err *e)
{
  struct vdi *v = b->priv;
  uint64_t size = load_le64 (h + H_DISK_SIZE);

  if (check_kind (h, e) == -1)
    return -1;
  v->type = (enum vdi_type) load_le32 (h + H_TYPE);
  v->map_offset = load_le32 (h + H_MAP_OFFSET);
  v->data_offset = load_le32 (h + H_DATA_OFFSET);
  v->block_size = load_le32 (h + H_BLOCK_SIZE);
  v->blocks = load_le32 (h + H_BLOCKS);
  v->allocated = load_le32 (h + H_ALLOCATED);
  /* VBoxManage makes images of odd sizes; whole sectors, as in qemu. */
  size = MIN (size, UINT64_MAX - SECTOR);
  size = round_up (size, SECTOR);
  if (check_size (v, size, e) == -1)
    return -1;
  v->block_bits = (unsigned) __builtin_ctz (v->block_size);
  v->entries = (uint32_t) div_up (size, v->block_size);
  /* The UUIDs decide for qemu, the type for VirtualBox. */
  v->has_parent = v->type >= UNDO || !is_zero (h + H_LINK_UUID, 16) ||
                  !is_zero (h + H_PARENT_UUID, 16);
  memcpy (v->parent_uuid, h + H_LINK_UUID, 16);
  load_creator (v, (const char *) h);
  b->size = size;
  return check_offsets (b, e);
}

static int
vdi_open (struct block *b, struct err *e)
{
  struct vdi *v = b->priv = calloc (1, sizeof *v);
  unsigned char h[HEADER_SIZE];

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  if (b->below->size < sizeof h)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, h, sizeof h, 0, e) == -1)
    return err_in (e, "header");
  /* Who names the format has not bid. */
  if (memcmp (h + H_SIGNATURE, SIGNATURE, 4))
    return err_set (e, EINVAL, "not a VDI image");
  v->map_owner = cache_new_owner ();
  return load_header (b, h, e);
}

/* --- mapping --------------------------------------------------------- */

/* COUNT entries of the block map from FIRST on, a multiple of PIECE. */
static int
get_map (struct block *b, uint32_t first, uint32_t count, struct pin *ret,
         struct err *e)
{
  const struct vdi *v = b->priv;

  if (table_get (b->below, v->map_owner, v->map_offset + (uint64_t) first * 4,
                 (size_t) count * 4, ret, e) == -1)
    return err_in (e, "block map");
  return 0;
}

/* The entry for the block of OFF.  *RET_END: where the blocks end that go on
 * as it does, as far as was looked. */
static int
lookup (struct block *b, uint64_t off, uint32_t *ret, uint64_t *ret_end,
        struct err *e)
{
  const struct vdi *v = b->priv;
  uint32_t index = (uint32_t) (off >> v->block_bits);
  uint32_t first = index - index % PIECE, i = index - first;
  uint32_t n = MIN (PIECE, v->entries - first), step;
  CLEANUP_PIN struct pin pin = { 0 };
  const char *map;

  if (get_map (b, first, n, &pin, e) == -1)
    return -1;
  map = pin.entry->data;
  *ret = load_le32 (map + i * 4);
  step = *ret < ZERO; /* neighbours in the file */
  for (uint32_t next = *ret + step; ++i < n; next += step)
    if (load_le32 (map + i * 4) != next)
      break;
  *ret_end = (uint64_t) (first + i) << v->block_bits;
  return 0;
}

static void
format_uuid (const unsigned char *u, char ret[37])
{
  snprintf (ret, 37,
            "%08" PRIx32 "-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
            load_le32 (u), load_le16 (u + 4), load_le16 (u + 6), u[8], u[9],
            u[10], u[11], u[12], u[13], u[14], u[15]);
}

static int
map_unallocated (const struct vdi *v, uint64_t len, struct extent *ret,
                 struct err *e)
{
  char uuid[37];

  if (v->has_parent) {
    format_uuid (v->parent_uuid, uuid);
    return err_set (
        e, EIO,
        "the data are in the parent, which is known by its UUID alone (%s)",
        uuid);
  }
  *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

static int
vdi_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e)
{
  const struct vdi *v = b->priv;
  uint64_t end, host;
  uint32_t entry;

  if (lookup (b, off, &entry, &end, e) == -1)
    return -1;
  len = MIN (len, end - off);
  if (entry == UNALLOCATED)
    return map_unallocated (v, len, ret, e);
  if (entry == ZERO) {
    *ret = extent_of (EXTENT_ZERO, len);
    return 0;
  }
  host = v->data_offset + ((uint64_t) entry << v->block_bits) +
         (off & (v->block_size - 1));
  if (host >= b->below->size)
    return err_set (e, EIO,
                    "block %" PRIu64 ": 0x%" PRIx64
                    " lies beyond the end of the file",
                    off >> v->block_bits, host);
  *ret = extent_data (MIN (len, b->below->size - host), b->below, host);
  /* As in qemu: a fixed disk has all blocks, and the file the holes. */
  ret->transparent = v->type == FIXED;
  return 0;
}

/* --- damage ---------------------------------------------------------- */

static void
check_entry (struct block *b, uint32_t index, uint32_t entry,
             struct block_check *c)
{
  const struct vdi *v = b->priv;

  if (entry >= v->blocks)
    block_check_error (c,
                       "block %" PRIu32 ": its place, %" PRIu32
                       ", is none of the %" PRIu32 " that the image has",
                       index, entry, v->blocks);
  else
    block_check_reach (
        c, b->below, v->data_offset + ((uint64_t) entry + 1) * v->block_size);
}

static int
check_piece (struct block *b, uint32_t first, uint32_t count,
             struct block_starts *starts, uint32_t *used,
             struct block_check *c, struct err *e)
{
  CLEANUP_PIN struct pin pin = { 0 };
  uint32_t entry;

  if (get_map (b, first, count, &pin, e) == -1)
    return -1;
  for (uint32_t i = 0; i < count; i++) {
    entry = load_le32 ((char *) pin.entry->data + (size_t) i * 4);
    if (entry >= ZERO)
      continue;
    ++*used;
    check_entry (b, first + i, entry, c);
    if (block_starts_add (starts, entry, first + i, e) == -1)
      return -1;
  }
  return 0;
}

static int
check_map (struct block *b, struct block_check *c, struct err *e)
{
  const struct vdi *v = b->priv;
  CLEANUP_BLOCK_STARTS struct block_starts starts = { 0 };
  uint64_t there = (b->below->size - v->map_offset) / 4;
  uint32_t n, used = 0, count = (uint32_t) MIN (v->blocks, there);

  if (count < v->blocks)
    block_check_reach (c, b->below, v->map_offset + (uint64_t) v->blocks * 4);
  for (uint32_t first = 0; first < count; first += n) {
    if (b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    n = MIN (PIECE, count - first);
    if (check_piece (b, first, n, &starts, &used, c, e) == -1)
      return -1;
    block_check_progress (c, (uint64_t) (first + n) * 4,
                          (uint64_t) count * 4);
  }
  if (used != v->allocated)
    block_check_error (c,
                       "the header counts %" PRIu32
                       " blocks in use, and the block map has %" PRIu32,
                       v->allocated, used);
  block_starts_overlaps (&starts, 1, v->block_size, v->data_offset, c);
  return 0;
}

static int
vdi_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct vdi *v = b->priv;
  char uuid[37];

  format_uuid (v->parent_uuid, uuid);
  if (v->has_parent)
    block_check_error (
        c, "the parent is not there: it is known by its UUID alone (%s)",
        uuid);
  return check_map (b, c, e);
}

static int
vdi_safety (struct block *b, struct buf *reasons, struct err *e unused_arg)
{
  if (((struct vdi *) b->priv)->has_parent)
    buf_puts (reasons, "it needs a parent image, which it does not name\n");
  return 0;
}

/* --- info ------------------------------------------------------------ */

static int
vdi_info (struct block *b, struct block_info *ret, struct err *e)
{
  static const char *const types[] = { [DYNAMIC] = "dynamic",
                                       [FIXED] = "fixed",
                                       [UNDO] = "undo",
                                       [DIFFERENCING] = "differencing" };
  const struct vdi *v = b->priv;

  ret->cluster_size = v->block_size;
  ret->subformat = strdup (types[v->type]);
  ret->version = strdup ("1.1");
  ret->creator = strdup (v->creator);
  if (!ret->subformat || !ret->version || !ret->creator)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static void
vdi_close (struct block *b)
{
  free (b->priv);
}

const struct block_ops vdi_ops = {
  .name = "vdi",
  .bid = vdi_bid,
  .open = vdi_open,
  .map = vdi_map,
  .info = vdi_info,
  .check = vdi_check,
  .safety = vdi_safety,
  .close = vdi_close,
};
