/* xrayfs: a raw image, which is what nothing else claims
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A disk has whole sectors: as qemu does, a file whose length is not a
 * multiple of 512 is filled up with zeros.
 *
 * An empty file is no image; but one that is said to be raw (a backing file
 * of format "raw") is a disk of no bytes, as in qemu.
 */
#include "base/bytes.h"
#include "block/block.h"

static int
raw_bid (struct block *below, struct err *e unused_arg)
{
  return below->size > 0 ? 1 : 0;
}

static int
raw_open (struct block *b, struct err *e)
{
  if (b->below->size > INT64_MAX - 511)
    return err_set (e, EFBIG, "the file is too large");
  b->size = round_up (b->below->size, 512);
  return 0;
}

static int
raw_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
         struct err *e unused_arg)
{
  uint64_t stored = b->below->size;

  if (off >= stored) {
    *ret = extent_of (EXTENT_UNALLOCATED, len);
    return 0;
  }
  *ret = extent_data (MIN (len, stored - off), b->below, off);
  ret->transparent = true;
  return 0;
}

const struct block_ops raw_ops = {
  .name = "raw",
  .bid = raw_bid,
  .open = raw_open,
  .map = raw_map,
};
