/* xrayfs: the label of an LVM2 physical volume, and its metadata areas
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All numbers are little-endian.
 *   label, in one of the first four sectors:
 *     0 "LABELONE"  8 sector (64)  16 checksum of all behind it
 *     20 offset of the header below in the sector  24 "LVM2 001"
 *   header: 0 UUID[32]  32 size of the device (64), then pairs of offset and
 *     size: data areas up to a pair of zeros, metadata areas likewise
 *   metadata area: 0 checksum of the rest of its first sector  4 magic[16]
 *     20 version  24 start (64)  32 size (64)  40 where the text is: offset
 *     (64), size (64), checksum (32), flags (32), up to one of zeros; the
 *     first is the committed one
 * The text goes round in the area behind its first sector.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "volume/lvm2.h"

#define LABEL_SECTORS 4
#define HEADER_UUID   32
#define AREA_MAGIC                                                           \
  "\040\114\126\115\062\040\170\133\065\101\045\162\060\116\052\076"
#define AREA_VERSION 1
#define COPY_IGNORED 1u
/* LVM2 makes areas of 1 MiB, of which one text takes less than half; with
 * 4 MiB a volume group has some ten thousand logical volumes. */
#define MAX_TEXT (4 * MiB)

/* CRC-32 with another start, and without the inversion at the end. */
static uint32_t
checksum (const void *data, size_t len)
{
  return ~(uint32_t) crc32 (~UINT32_C (0xf597a6cf), data, (uInt) len);
}

static bool
is_label (const unsigned char *p, uint64_t sector)
{
  return !memcmp (p, "LABELONE", 8) && !memcmp (p + 24, "LVM2 001", 8) &&
         load_le64 (p + 8) == sector &&
         load_le32 (p + 16) == checksum (p + 20, LVM2_SECTOR - 20);
}

static int
find_label (struct block *b, unsigned char *ret, struct err *e)
{
  for (uint64_t i = 0; i < LABEL_SECTORS; i++) {
    if (!range_within (i * LVM2_SECTOR, LVM2_SECTOR, b->size))
      break;
    if (block_pread (b, ret, LVM2_SECTOR, i * LVM2_SECTOR, e) == -1)
      return -1;
    if (is_label (ret, i))
      return 0;
  }
  return err_set (e, EINVAL, "there is no LVM2 label with a good checksum");
}

/* With the hyphens that metadata have. */
static int
format_uuid (char *to, const unsigned char *from, struct err *e)
{
  for (size_t i = 0; i < HEADER_UUID; i++) {
    if (from[i] <= ' ' || from[i] > '~')
      return err_set (e, EINVAL, "the UUID in the LVM2 label is no text");
    if (i >= 6 && i < 30 && i % 4 == 2)
      *to++ = '-';
    *to++ = (char) from[i];
  }
  *to = '\0';
  return 0;
}

/* --- metadata areas -------------------------------------------------- */

static int
read_area (struct block *b, struct lvm2_pv *pv, uint64_t off, uint64_t size,
           struct err *e)
{
  unsigned char h[LVM2_SECTOR];
  struct lvm2_copy c = { .area = off };

  if (!range_within (off, sizeof h, b->size))
    return err_set (e, EINVAL,
                    "metadata area at 0x%" PRIx64
                    " lies beyond the end (0x%" PRIx64 ")",
                    off, b->size);
  if (block_pread (b, h, sizeof h, off, e) == -1)
    return -1;
  c.area_size = load_le64 (h + 32);
  if (memcmp (h + 4, AREA_MAGIC, 16) ||
      load_le32 (h) != checksum (h + 4, sizeof h - 4) ||
      load_le32 (h + 20) != AREA_VERSION || load_le64 (h + 24) != off)
    return err_set (e, EINVAL,
                    "metadata area at 0x%" PRIx64 ": its header is damaged",
                    off);
  if (c.area_size != size || !range_within (off, size, b->size))
    return err_set (e, EINVAL,
                    "metadata area at 0x%" PRIx64 ": size 0x%" PRIx64
                    " does not fit",
                    off, c.area_size);
  c.offset = load_le64 (h + 40);
  c.size = load_le64 (h + 48);
  c.crc = load_le32 (h + 56);
  if (c.offset && !(load_le32 (h + 60) & COPY_IGNORED))
    pv->copies[pv->n_copies++] = c;
  return 0;
}

/* An area that cannot be used does not hide the others. */
static int
look_at_area (struct block *b, struct lvm2_pv *pv, uint64_t off,
              uint64_t size, struct err *e)
{
  struct err why = { 0 };

  if (pv->n_areas >= LVM2_MAX_AREAS)
    return err_set (e, EINVAL, "more than %d metadata areas", LVM2_MAX_AREAS);
  pv->n_areas++;
  if (read_area (b, pv, off, size, &why) == 0)
    return 0;
  if (err_is_transient (&why)) {
    *e = why;
    return -1;
  }
  if (!pv->damaged.code || why.code == EIO)
    pv->damaged = why;
  return 0;
}

int
lvm2_pv_read (struct block *b, struct lvm2_pv *ret, struct err *e)
{
  unsigned char label[LVM2_SECTOR];
  bool metadata = false;
  uint64_t off, size;
  size_t at;

  *ret = (struct lvm2_pv){ 0 };
  if (find_label (b, label, e) == -1)
    return -1;
  at = load_le32 (label + 20);
  if (at < 32 || at > sizeof label - 40 - 16)
    return err_set (e, EINVAL, "the LVM2 label has no header");
  if (format_uuid (ret->uuid, label + at, e) == -1)
    return -1;
  ret->device_size = load_le64 (label + at + 32);
  for (at += 40; at <= sizeof label - 16; at += 16) {
    off = load_le64 (label + at);
    size = load_le64 (label + at + 8);
    if (!off && metadata)
      return 0;
    if (!off)
      metadata = true;
    else if (metadata && look_at_area (b, ret, off, size, e) == -1)
      return -1;
  }
  return err_set (e, EINVAL,
                  "the list of areas in the LVM2 label has no end");
}

/* --- text ------------------------------------------------------------ */

int
lvm2_copy_read (struct block *b, const struct lvm2_copy *c, struct buf *ret,
                struct err *e)
{
  uint64_t first;
  char *to;

  if (c->size == 0 || c->size > MAX_TEXT)
    return err_set (e, c->size ? EFBIG : EINVAL,
                    "metadata of %" PRIu64 " bytes are not read", c->size);
  if (c->offset < LVM2_SECTOR || c->offset >= c->area_size ||
      c->size > c->area_size - LVM2_SECTOR)
    return err_set (e, EINVAL, "the metadata lie outside of their area");
  first = MIN (c->size, c->area_size - c->offset);
  to = buf_reserve (ret, c->size + 1);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (b, to, first, c->area + c->offset, e) == -1 ||
      block_pread (b, to + first, c->size - first, c->area + LVM2_SECTOR,
                   e) == -1)
    return err_in (e, "metadata");
  if (checksum (to, c->size) != c->crc)
    return err_set (e, EINVAL, "the checksum of the metadata is wrong");
  /* The text is stored with its NUL. */
  ret->len = strnlen (to, c->size);
  to[ret->len] = '\0';
  return 0;
}
