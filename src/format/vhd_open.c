/* xrayfs: VHD: the footer, its copy, and the dynamic disk header
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk's size is what qemu 7.2 takes.  Where the footer at the end is
 * damaged or lost, its copy at the start is used; qemu looks at the copy
 * alone, and so refuses images whose copy is damaged.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "format/vhd.h"

#define COOKIE        "conectix"
#define HEADER_COOKIE "cxsparse"

/* As in qemu: 2040 GiB, the most that Windows takes. */
#define MAX_SECTORS UINT64_C (0xff000000)
/* A bitmap of a whole sector.  Smaller blocks nobody makes: their bitmaps
 * have a sector by the specification, and none for qemu. */
#define MIN_BLOCK_SIZE (VHD_SECTOR * 8)
/* The largest geometry that a footer has: the disk is that large or larger.
 */
#define MAX_GEOMETRY (UINT64_C (65535) * 16 * 255)

uint32_t
vhd_checksum (const unsigned char *p, size_t len, size_t at)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < len; i++)
    if (i < at || i >= at + 4)
      sum += p[i];
  return ~sum;
}

/* --- the footer ("Hard Disk Footer Format") -------------------------- */

static int
load_footer (struct block *below, uint64_t off, struct vhd_footer *ret,
             struct err *e)
{
  memset (ret, 0, sizeof *ret);
  ret->offset = off;
  ret->len = (size_t) MIN (below->size - off, VHD_FOOTER_SIZE);
  if (block_pread (below, ret->raw, ret->len, off, e) == -1)
    return err_in (e, "footer at 0x%" PRIx64, off);
  ret->cookie = ret->len >= 8 && !memcmp (ret->raw, COOKIE, 8);
  /* Virtual PC before 2004 left the last byte away: what is reserved counts
   * as zero. */
  ret->intact = ret->cookie && ret->len >= FOOTER_USED &&
                load_be32 (ret->raw + FOOTER_CHECKSUM) ==
                    vhd_checksum (ret->raw, VHD_FOOTER_SIZE, FOOTER_CHECKSUM);
  return 0;
}

int
vhd_find_footers (struct block *below, struct vhd_footer *ret_start,
                  struct vhd_footer *ret_end, struct err *e)
{
  uint64_t size = below->size, odd = size % VHD_SECTOR;

  if (load_footer (below, 0, ret_start, e) == -1 ||
      load_footer (below, size - MIN (size, VHD_FOOTER_SIZE), ret_end, e) ==
          -1)
    return -1;
  if (!ret_end->cookie && odd)
    return load_footer (below, size - odd, ret_end, e);
  return 0;
}

/* Is F, whose checksum is wrong, more than a cookie by chance? */
static bool
is_plausible (const struct vhd_footer *f)
{
  uint32_t type = load_be32 (f->raw + FOOTER_TYPE);

  return load_be32 (f->raw + FOOTER_VERSION) >> 16 == 1 ||
         (type >= VHD_FIXED && type <= VHD_DIFFERENCING);
}

int
vhd_bid (struct block *below, struct err *e)
{
  struct vhd_footer start, end;

  if (vhd_find_footers (below, &start, &end, e) == -1)
    return -1;
  if (start.cookie)
    return start.intact ? 96 : 64;
  /* A footer at the end alone is a fixed disk, but may as well be the last
   * bytes of the disk in another container: whoever has a signature at the
   * start goes first.  A file that has only the start of one is too weak. */
  return end.cookie && (end.intact || is_plausible (&end)) ? 24 : 0;
}

static uint32_t
type_of (const struct vhd_footer *f)
{
  return load_be32 (f->raw + FOOTER_TYPE);
}

static int
bad_footer (const struct vhd_footer *f, struct err *e)
{
  if (f->len < FOOTER_USED)
    return err_set (e, EINVAL, "footer at 0x%" PRIx64 " is cut off",
                    f->offset);
  return err_set (e, EINVAL,
                  "checksum of the footer at 0x%" PRIx64 " is wrong",
                  f->offset);
}

/* The footer to go by; NULL: none can be trusted. */
static const struct vhd_footer *
choose_footer (const struct vhd_footer *start, const struct vhd_footer *end,
               struct err *e)
{
  if (end->intact)
    return end;
  /* Only the other types have a copy at the start. */
  if (start->intact && type_of (start) != VHD_FIXED)
    return start;
  if (end->cookie)
    bad_footer (end, e);
  else if (start->intact)
    err_set (e, EINVAL, "fixed disk without a footer at its end");
  else if (start->cookie)
    bad_footer (start, e);
  else
    err_set (e, EINVAL, "not a VHD image");
  return NULL;
}

/* --- size ------------------------------------------------------------ */

/* Virtual PC has disks of the size that the geometry gives; others write a
 * geometry that is too small, and mean the current size.  As qemu 7.2, which
 * does not know Azure's "wa". */
static bool
means_current_size (const char creator[4])
{
  static const char known[][4] = {
    { 'q', 'e', 'm', '2' },   /* qemu, force_size=on */
    { 'w', 'i', 'n', ' ' },   /* Hyper-V */
    { 'd', '2', 'v', ' ' },   /* disk2vhd */
    { 't', 'a', 'p', '\0' },  /* XenServer */
    { 'C', 'T', 'X', 'S' },   /* XenConverter */
    { 'w', 'a', '\0', '\0' }, /* Azure */
  };

  for (size_t i = 0; i < ARRAY_SIZE (known); i++)
    if (!memcmp (creator, known[i], 4))
      return true;
  return false;
}

static int
load_size (struct vhd *v, const unsigned char *f, struct err *e)
{
  uint64_t sectors = (uint64_t) load_be16 (f + FOOTER_CYLINDERS) *
                     f[FOOTER_HEADS] * f[FOOTER_SECTORS];

  if (means_current_size (v->creator) || sectors == MAX_GEOMETRY)
    sectors = load_be64 (f + FOOTER_CURRENT_SIZE) / VHD_SECTOR;
  if (sectors > MAX_SECTORS)
    return err_set (e, EFBIG, "virtual size of %" PRIu64 " sectors", sectors);
  v->size = sectors * VHD_SECTOR;
  return 0;
}

static int
load_fields (struct vhd *v, const struct vhd_footer *footer, struct err *e)
{
  const unsigned char *f = footer->raw;

  v->version = load_be32 (f + FOOTER_VERSION);
  v->features = load_be32 (f + FOOTER_FEATURES);
  v->time = load_be32 (f + FOOTER_TIME);
  v->saved_state = f[FOOTER_SAVED_STATE];
  memcpy (v->creator, f + FOOTER_CREATOR, 4);
  memcpy (v->uuid, f + FOOTER_UUID, 16);
  if (v->version >> 16 != 1)
    return err_set (e, ENOTSUP, "version %u.%u is not known",
                    v->version >> 16, v->version & 0xffff);
  if (type_of (footer) < VHD_FIXED || type_of (footer) > VHD_DIFFERENCING)
    return err_set (e, ENOTSUP, "disk type %" PRIu32 " is not known",
                    type_of (footer));
  v->type = (enum vhd_type) type_of (footer);
  v->header_offset = load_be64 (f + FOOTER_DATA_OFFSET);
  return load_size (v, f, e);
}

static int
read_footer (struct block *b, struct err *e)
{
  struct vhd *v = b->priv;
  struct vhd_footer start, end;
  const struct vhd_footer *footer;

  if (vhd_find_footers (b->below, &start, &end, e) == -1)
    return -1;
  footer = choose_footer (&start, &end, e);
  if (!footer)
    return -1;
  v->has_footer = footer == &end;
  v->data_end = end.cookie ? end.offset : b->below->size;
  return load_fields (v, footer, e);
}

/* --- the dynamic disk header ----------------------------------------- */

static int
check_block_size (const struct vhd *v, struct err *e)
{
  if (!is_power_of_2 (v->block_size) || v->block_size < MIN_BLOCK_SIZE)
    return err_set (e, EINVAL, "block size of %" PRIu32 " bytes",
                    v->block_size);
  if ((uint64_t) v->max_entries * v->block_size < v->size)
    return err_set (e, EINVAL,
                    "BAT of %" PRIu32 " entries is too small for %" PRIu64
                    " bytes",
                    v->max_entries, v->size);
  return 0;
}

static int
load_header (struct block *b, const unsigned char *h, struct err *e)
{
  struct vhd *v = b->priv;

  if (memcmp (h, HEADER_COOKIE, 8))
    return err_set (e, EINVAL, "its signature is not there");
  v->header_damaged = load_be32 (h + HEADER_CHECKSUM) !=
                      vhd_checksum (h, VHD_HEADER_SIZE, HEADER_CHECKSUM);
  if (load_be32 (h + HEADER_VERSION) >> 16 != 1)
    return err_set (e, ENOTSUP, "version %u is not known",
                    load_be32 (h + HEADER_VERSION) >> 16);
  v->bat_offset = load_be64 (h + HEADER_TABLE_OFFSET);
  v->max_entries = load_be32 (h + HEADER_MAX_ENTRIES);
  v->block_size = load_be32 (h + HEADER_BLOCK_SIZE);
  if (check_block_size (v, e) == -1)
    return -1;
  v->block_bits = (unsigned) __builtin_ctz (v->block_size);
  /* "Block Allocation Table and Data Blocks": a bit for each sector, in
   * whole sectors. */
  v->bitmap_size = (uint32_t) round_up (
      div_up (v->block_size, VHD_SECTOR * 8), VHD_SECTOR);
  v->entries = (uint32_t) div_up (v->size, v->block_size);
  memcpy (v->parent_uuid, h + HEADER_PARENT_UUID, 16);
  v->parent_time = load_be32 (h + HEADER_PARENT_TIME);
  if (!range_within (v->bat_offset, (uint64_t) v->entries * 4, v->data_end))
    return err_set (e, EIO,
                    "BAT at 0x%" PRIx64 " lies beyond the end of the file",
                    v->bat_offset);
  return 0;
}

static int
open_dynamic (struct block *b, struct err *e)
{
  struct vhd *v = b->priv;
  unsigned char h[VHD_HEADER_SIZE];

  if (!range_within (v->header_offset, sizeof h, b->below->size))
    return err_set (e, EINVAL,
                    "dynamic disk header at 0x%" PRIx64
                    " lies beyond the end of the file",
                    v->header_offset);
  if (block_pread (b->below, h, sizeof h, v->header_offset, e) == -1 ||
      load_header (b, h, e) == -1)
    return err_in (e, "dynamic disk header at 0x%" PRIx64, v->header_offset);
  v->bat_owner = cache_new_owner ();
  v->bitmap_owner = cache_new_owner ();
  return v->type == VHD_DIFFERENCING ? vhd_open_parent (b, h, e) : 0;
}

int
vhd_open (struct block *b, struct err *e)
{
  struct vhd *v = b->priv = calloc (1, sizeof *v);

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  if (read_footer (b, e) == -1)
    return -1;
  b->size = v->size;
  return v->type == VHD_FIXED ? 0 : open_dynamic (b, e);
}
