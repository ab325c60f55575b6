/* xrayfs: VHD: fixed, dynamic and differencing disks
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As qemu 7.2 does, with these differences on purpose: a block that lies
 * beyond the end of the file is an error when it is read (qemu refuses the
 * whole image), and so is one that lies over the headers (qemu gives their
 * bytes); and there are differencing disks, which qemu shows as if they had
 * no parent.
 *
 * The sector bitmaps of a dynamic disk are ignored, as in qemu: what is not
 * marked was never written, and lies there as zeros.  In a differencing disk
 * they tell what is its own.
 */
#include "format/vhd.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/table.h"

/* --- tables ---------------------------------------------------------- */

int
vhd_get_bat (struct block *b, uint32_t first, uint32_t count, struct pin *ret,
             struct err *e)
{
  const struct vhd *v = b->priv;

  if (table_get (b->below, v->bat_owner, v->bat_offset + (uint64_t) first * 4,
                 (size_t) count * 4, ret, e) == -1)
    return err_in (e, "BAT");
  return 0;
}

/* The BAT entry for the block of OFF.  *RET_END: if it has none, the end of
 * the blocks that have none, as far as was looked. */
static int
bat_lookup (struct block *b, uint64_t off, uint32_t *ret, uint64_t *ret_end,
            struct err *e)
{
  const struct vhd *v = b->priv;
  uint32_t index = (uint32_t) (off >> v->block_bits);
  uint32_t first = index - index % VHD_BAT_PIECE, i = index - first;
  uint32_t n = MIN (VHD_BAT_PIECE, v->entries - first);
  CLEANUP_PIN struct pin pin = { 0 };
  const char *table;

  if (vhd_get_bat (b, first, n, &pin, e) == -1)
    return -1;
  table = pin.entry->data;
  *ret = load_be32 (table + i * 4);
  if (*ret == VHD_UNUSED)
    while (++i < n && load_be32 (table + i * 4) == VHD_UNUSED)
      ;
  else
    i++;
  *ret_end = (uint64_t) (first + i) << v->block_bits;
  return 0;
}

static bool
overlaps (uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
  return a < b + b_len && b < a + a_len;
}

bool
vhd_over_headers (const struct vhd *v, uint64_t start)
{
  uint64_t len = vhd_stride (v);

  return overlaps (start, len, 0, VHD_FOOTER_SIZE) ||
         overlaps (start, len, v->header_offset, VHD_HEADER_SIZE) ||
         overlaps (start, len, v->bat_offset, (uint64_t) v->entries * 4);
}

/* --- mapping --------------------------------------------------------- */

/* LEN bytes that the file should have at HOST. */
static int
map_data (struct block *b, uint64_t host, uint64_t len, struct extent *ret,
          struct err *e)
{
  const struct vhd *v = b->priv;

  if (host >= v->data_end)
    return err_set (e, EIO,
                    "0x%" PRIx64
                    " lies beyond the end of the data (0x%" PRIx64 ")",
                    host, v->data_end);
  *ret = extent_data (MIN (len, v->data_end - host), b->below, host);
  ret->transparent = v->type == VHD_FIXED;
  return 0;
}

static int
map_parent (const struct vhd *v, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e)
{
  if (v->type != VHD_DIFFERENCING)
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  else if (!v->parent)
    return err_set (
        e, EIO, "the data are in the parent, which the image does not name");
  else if (v->parent_differs)
    return err_set (e, EIO, "parent '%s' is another image: its UUID differs",
                    v->parent_name);
  else if (off < v->parent->size)
    *ret = extent_data (MIN (len, v->parent->size - off), v->parent, off);
  else
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  return 0;
}

/* The most significant bit is the first sector. */
static bool
bitmap_bit (const unsigned char *bitmap, uint64_t i)
{
  return bitmap[i / 8] >> (7 - i % 8) & 1;
}

/* Is the sector at OFF of the disk in the block that starts at START of the
 * file?  *RET_LEN: for how many bytes that holds, at most LEN. */
static int
bitmap_lookup (struct block *b, uint64_t start, uint64_t off, uint64_t len,
               bool *ret, uint64_t *ret_len, struct err *e)
{
  const struct vhd *v = b->priv;
  uint64_t sector = (off & (v->block_size - 1)) / VHD_SECTOR, end;
  uint64_t piece = sector / 8 / TABLE_PIECE * TABLE_PIECE;
  uint64_t size = MIN (TABLE_PIECE, v->bitmap_size - piece);
  uint64_t limit = MIN (size * 8, v->block_size / VHD_SECTOR - piece * 8);
  CLEANUP_PIN struct pin pin = { 0 };
  const unsigned char *bits;

  if (!range_within (start + piece, size, v->data_end))
    return err_set (e, EIO,
                    "block at 0x%" PRIx64 " lies beyond the end of the file",
                    start);
  if (table_get (b->below, v->bitmap_owner, start + piece, size, &pin, e) ==
      -1)
    return err_in (e, "bitmap at 0x%" PRIx64, start);
  bits = pin.entry->data;
  sector -= piece * 8;
  *ret = bitmap_bit (bits, sector);
  for (end = sector + 1;
       end < limit && (end - sector) * VHD_SECTOR < len + 512; end++)
    if (bitmap_bit (bits, end) != *ret)
      break;
  *ret_len = MIN (len, (end - sector) * VHD_SECTOR - off % VHD_SECTOR);
  return 0;
}

/* LEN bytes at OFF, within the block whose BAT entry is ENTRY. */
static int
map_block (struct block *b, uint32_t entry, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  const struct vhd *v = b->priv;
  uint64_t start = (uint64_t) entry * VHD_SECTOR;
  bool own = true;

  if (vhd_over_headers (v, start))
    return err_set (e, EIO, "block at 0x%" PRIx64 " lies over the headers",
                    start);
  if (v->type == VHD_DIFFERENCING &&
      bitmap_lookup (b, start, off, len, &own, &len, e) == -1)
    return -1;
  if (!own)
    return map_parent (v, off, len, ret, e);
  if (map_data (b, start + v->bitmap_size + (off & (v->block_size - 1)), len,
                ret, e) == -1)
    return err_in (e, "block at 0x%" PRIx64, start);
  return 0;
}

static int
vhd_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e)
{
  const struct vhd *v = b->priv;
  uint32_t entry;
  uint64_t end;

  if (v->type == VHD_FIXED)
    return map_data (b, off, len, ret, e);
  if (bat_lookup (b, off, &entry, &end, e) == -1)
    return -1;
  len = MIN (len, end - off);
  if (entry == VHD_UNUSED)
    return map_parent (v, off, len, ret, e);
  return map_block (b, entry, off, len, ret, e);
}

/* --- info ------------------------------------------------------------ */

static int
set_text (char **ret, const char *text, struct err *e)
{
  if (text && !(*ret = strdup (text)))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* "Hard Disk Footer Format", Creator Application: what of it is text. */
static int
add_creator (const struct vhd *v, struct block_info *ret, struct err *e)
{
  char text[5];
  size_t n = 0;

  while (n < 4 && isprint ((unsigned char) v->creator[n])) {
    text[n] = v->creator[n];
    n++;
  }
  while (n > 0 && text[n - 1] == ' ')
    n--;
  text[n] = '\0';
  return set_text (&ret->creator, text, e);
}

static int
vhd_info (struct block *b, struct block_info *ret, struct err *e)
{
  static const char *const types[] = { [VHD_FIXED] = "fixed",
                                       [VHD_DYNAMIC] = "dynamic",
                                       [VHD_DIFFERENCING] = "differencing" };
  const struct vhd *v = b->priv;

  ret->has_backing = ret->has_features = true;
  if (v->type != VHD_FIXED)
    ret->cluster_size = v->block_size;
  if (v->features & FOOTER_TEMPORARY)
    buf_puts (&ret->features, "temporary\n");
  if (v->saved_state)
    buf_puts (&ret->features, "saved-state\n");
  if (asprintf (&ret->version, "%u.%u", v->version >> 16,
                v->version & 0xffff) == -1) {
    ret->version = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  if (set_text (&ret->subformat, types[v->type], e) == -1 ||
      set_text (&ret->backing_file, v->parent_name, e) == -1)
    return -1;
  return add_creator (v, ret, e);
}

static struct block *
vhd_backing (struct block *b)
{
  return ((struct vhd *) b->priv)->parent;
}

static void
vhd_close (struct block *b)
{
  struct vhd *v = b->priv;

  if (!v)
    return;
  block_close (v->parent);
  free (v->parent_name);
  free (v);
}

const struct block_ops vhd_ops = {
  .name = "vhd",
  .bid = vhd_bid,
  .open = vhd_open,
  .map = vhd_map,
  .info = vhd_info,
  .backing = vhd_backing,
  .check = vhd_check,
  .safety = vhd_safety,
  .close = vhd_close,
};
