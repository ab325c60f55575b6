/* xrayfs: VHD: damage, and reasons not to trust an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * qemu-img has no check for VHD.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/table.h"
#include "format/block_starts.h"
#include "format/vhd.h"

/* A BAT with so many bad entries is none: the rest is not looked at, or a
 * sparse file of a few bytes would keep us for minutes. */
#define ENOUGH 100000

/* --- the footer and its copy ----------------------------------------- */

static void
check_end (const struct vhd_footer *end, struct block_check *c)
{
  /* The copy is as good, and programs use it: nothing is lost. */
  if (!end->cookie)
    block_check_note (c, "there is no footer at the end of the file;"
                         " its copy at the start was used");
  else if (!end->intact)
    block_check_error (c,
                       "footer at 0x%" PRIx64
                       " is damaged; its copy at the start was used",
                       end->offset);
}

/* A footer that is intact without its last bytes: old Virtual PC left one
 * byte away, and nobody more. */
static void
check_footer_length (struct block *b, const struct vhd_footer *end,
                     struct block_check *c)
{
  if (end->intact && end->len < VHD_FOOTER_SIZE - 1)
    block_check_reach (c, b->below, end->offset + VHD_FOOTER_SIZE);
}

/* What decides how the image is read; without the checksum, which follows
 * from the rest. */
static bool
same_disk (const unsigned char *a, const unsigned char *b)
{
  return !memcmp (a + FOOTER_DATA_OFFSET, b + FOOTER_DATA_OFFSET, 8) &&
         !memcmp (a + FOOTER_CREATOR, b + FOOTER_CREATOR, 4) &&
         !memcmp (a + FOOTER_CURRENT_SIZE, b + FOOTER_CURRENT_SIZE,
                  FOOTER_CHECKSUM - FOOTER_CURRENT_SIZE) &&
         !memcmp (a + FOOTER_UUID, b + FOOTER_UUID, 16);
}

static void
check_start (const struct vhd_footer *start, const struct vhd_footer *end,
             struct block_check *c)
{
  if (!start->cookie)
    block_check_error (c, "there is no copy of the footer at the start");
  else if (!start->intact)
    block_check_error (c, "copy of the footer at the start is damaged");
  else if (end->intact && !same_disk (start->raw, end->raw))
    block_check_error (c, "the footer and its copy at the start describe"
                          " different disks");
  else if (end->intact && memcmp (start->raw, end->raw, VHD_FOOTER_SIZE))
    block_check_note (c, "the footer and its copy at the start differ");
}

/* What is there of the file must reach END; and if it does not, the footer,
 * where there is none, is missing as well. */
static void
check_reach (struct block *b, uint64_t end, struct block_check *c)
{
  const struct vhd *v = b->priv;

  if (end > b->below->size && !v->has_footer)
    end += VHD_FOOTER_SIZE;
  block_check_reach (c, b->below, end);
}

/* --- blocks ---------------------------------------------------------- */

/* Where block INDEX starts is hostile, and 32 bits of sectors. */
static void
check_block (struct block *b, uint32_t index, uint32_t entry,
             struct block_check *c)
{
  const struct vhd *v = b->priv;
  uint64_t start = (uint64_t) entry * VHD_SECTOR,
           end = start + vhd_stride (v);

  if (vhd_over_headers (v, start))
    block_check_error (
        c, "block %" PRIu32 " at 0x%" PRIx64 " lies over the headers", index,
        start);
  else if (end > v->data_end && v->has_footer)
    block_check_error (c,
                       "block %" PRIu32 " at 0x%" PRIx64
                       " reaches over the footer at 0x%" PRIx64,
                       index, start, v->data_end);
  else
    check_reach (b, end, c);
}

/* The COUNT entries from FIRST on. */
static int
check_piece (struct block *b, uint32_t first, uint32_t count,
             struct block_starts *starts, struct block_check *c,
             struct err *e)
{
  CLEANUP_PIN struct pin pin = { 0 };
  uint32_t entry;

  if (vhd_get_bat (b, first, count, &pin, e) == -1)
    return -1;
  for (uint32_t i = 0; i < count; i++) {
    entry = load_be32 ((char *) pin.entry->data + (size_t) i * 4);
    if (entry == VHD_UNUSED)
      continue;
    check_block (b, first + i, entry, c);
    if (block_starts_add (starts, entry, first + i, e) == -1)
      return -1;
  }
  return 0;
}

static int
check_bat (struct block *b, struct block_check *c, struct err *e)
{
  const struct vhd *v = b->priv;
  CLEANUP_BLOCK_STARTS struct block_starts starts = { 0 };
  uint32_t n;

  for (uint32_t first = 0; first < v->entries && c->errors < ENOUGH;
       first += n) {
    if (b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    n = MIN (VHD_BAT_PIECE, v->entries - first);
    if (check_piece (b, first, n, &starts, c, e) == -1)
      return -1;
    block_check_progress (c, (uint64_t) (first + n) * 4,
                          (uint64_t) v->entries * 4);
  }
  block_starts_overlaps (&starts, vhd_stride (v) / VHD_SECTOR, VHD_SECTOR, 0,
                         c);
  return 0;
}

/* --- the parent ------------------------------------------------------ */

static void
check_parent (const struct vhd *v, struct block_check *c)
{
  const struct vhd *p;

  if (!v->parent) {
    block_check_error (c, "the parent is not named");
    return;
  }
  if (block_missing_reason (v->parent)) /* block_check says so */
    return;
  p = v->parent->priv;
  if (v->parent_differs)
    block_check_error (c, "parent '%s' is another image: its UUID differs",
                       v->parent_name);
  /* What is recorded is when the parent's file was last written, which no
   * copy keeps; but it was not made after that. */
  else if (v->parent_time && p->time > v->parent_time)
    block_check_note (c,
                      "parent '%s' is younger than recorded: it may have"
                      " been changed",
                      v->parent_name);
}

/* --- all ------------------------------------------------------------- */

static int
check_dynamic (struct block *b, const struct vhd_footer *start,
               const struct vhd_footer *end, struct block_check *c,
               struct err *e)
{
  const struct vhd *v = b->priv;

  check_end (end, c);
  check_start (start, end, c);
  if (v->header_damaged)
    block_check_error (
        c, "checksum of the dynamic disk header at 0x%" PRIx64 " is wrong",
        v->header_offset);
  if (!v->has_footer && !end->cookie)
    check_reach (b, v->bat_offset + (uint64_t) v->entries * 4, c);
  if (v->type == VHD_DIFFERENCING) {
    check_parent (v, c);
    if (vhd_check_locators (b, c, e) == -1)
      return -1;
  }
  return check_bat (b, c, e);
}

int
vhd_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct vhd *v = b->priv;
  struct vhd_footer start, end;

  if (vhd_find_footers (b->below, &start, &end, e) == -1)
    return -1;
  check_footer_length (b, &end, c);
  if (v->type != VHD_FIXED)
    return check_dynamic (b, &start, &end, c, e);
  if (v->size > v->data_end)
    block_check_error (c,
                       "%" PRIu64 " bytes are missing before the footer: the"
                       " disk has %" PRIu64,
                       v->size - v->data_end, v->size);
  return 0;
}

int
vhd_safety (struct block *b, struct buf *reasons, struct err *e)
{
  const struct vhd *v = b->priv;
  struct vhd_footer start, end;

  if (vhd_find_footers (b->below, &start, &end, e) == -1)
    return -1;
  if (start.cookie && v->type == VHD_FIXED)
    buf_puts (reasons, "a fixed disk starts with the footer of another VHD,"
                       " which some programs read instead\n");
  else if (start.cookie && end.intact && !same_disk (start.raw, end.raw))
    buf_puts (reasons,
              "the footer and its copy at the start describe different"
              " disks: which one is read depends on the program\n");
  if (v->type == VHD_DIFFERENCING && !v->parent)
    buf_puts (reasons, "it needs a parent image, which it does not name\n");
  return 0;
}
