/* xrayfs: VHDX: the header section, the regions and the metadata
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each number is checked before its use.
 */
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "block/cache.h"
#include "format/vhdx.h"

#define HEADER_SIZE      4096
#define HEADER_OFFSET(i) ((1 + (i)) * 64 * KiB) /* 2.2 */
#define REGION_OFFSET(i) ((3 + (i)) * 64 * KiB)
#define MAX_ENTRIES      2047 /* of regions, and of metadata */
#define TABLE_ENTRY      32

#define MIN_BLOCK_SIZE (1 * MiB) /* 2.6.2.1 */
#define MAX_BLOCK_SIZE (256 * MiB)
#define CHUNK_BITS     23 /* a bitmap of 1 MiB has so many sectors (2.4) */
#define CREATOR_UNITS  256

/* A GUID as it is stored, from the four parts that are written with it. */
#define GUID(a, b, c, ...)                                                   \
  {                                                                          \
    (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24, (b) &0xff,     \
        (b) >> 8, (c) &0xff, (c) >> 8, __VA_ARGS__                           \
  }

/* --- headers (2.2.2) ------------------------------------------------- */

/* Is the checksum at byte 4 of the LEN bytes of TABLE right?  It is counted
 * as zero. */
static bool
checksum_is_right (const unsigned char *table, size_t len)
{
  static const unsigned char zero[4];
  uint32_t crc = crc32c (0, table, 4);

  crc = crc32c (crc, zero, sizeof zero);
  return crc32c (crc, table + 8, len - 8) == load_le32 (table + 4);
}

/* LEN bytes of a table at OFF, which starts with SIGNATURE and a checksum:
 * 1; 0: damaged; -1. */
static int
read_table (struct block *file, uint64_t off, const char *signature,
            unsigned char *table, size_t len, struct err *e)
{
  if (!range_within (off, len, file->size))
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (file, table, len, off, e) == -1)
    return err_in (e, "header section");
  if (memcmp (table, signature, 4)) {
    err_set (e, EINVAL, "has no signature");
    return 0;
  }
  if (!checksum_is_right (table, len)) {
    err_set (e, EINVAL, "checksum is wrong");
    return 0;
  }
  return 1;
}

int
vhdx_read_header (struct block *file, unsigned i, struct vhdx_header *ret,
                  struct err *e)
{
  unsigned char h[HEADER_SIZE];
  int r = read_table (file, HEADER_OFFSET (i), "head", h, sizeof h, e);

  if (r != 1)
    return r;
  ret->sequence = load_le64 (h + 8);
  memcpy (ret->data_write_id, h + 32, VHDX_ID_LENGTH);
  memcpy (ret->log_id, h + 48, VHDX_ID_LENGTH);
  ret->log_version = load_le16 (h + 64);
  ret->version = load_le16 (h + 66);
  ret->log_length = load_le32 (h + 68);
  ret->log_offset = load_le64 (h + 72);
  return 1;
}

/* Do A and B say the same? */
static bool
same_header (const struct vhdx_header *a, const struct vhdx_header *b)
{
  return a->sequence == b->sequence &&
         !memcmp (a->data_write_id, b->data_write_id, VHDX_ID_LENGTH) &&
         !memcmp (a->log_id, b->log_id, VHDX_ID_LENGTH) &&
         a->log_version == b->log_version && a->version == b->version &&
         a->log_length == b->log_length && a->log_offset == b->log_offset;
}

/* The current one is the only good one, or the one that was written last.
 * Disk2vhd writes two that are the same. */
static int
read_headers (struct block *b, struct err *e)
{
  struct vhdx *v = b->priv;
  struct vhdx_header h[2];
  int good[2];

  for (unsigned i = 0; i < 2; i++) {
    good[i] = vhdx_read_header (b->below, i, &h[i], e);
    if (good[i] == -1)
      return -1;
  }
  if (!good[0] && !good[1])
    return err_in (e, "both headers are damaged");
  if (good[0] && good[1] && h[0].sequence == h[1].sequence &&
      !same_header (&h[0], &h[1]))
    return err_set (e, EINVAL,
                    "two headers have sequence number %" PRIu64 " and differ",
                    h[0].sequence);
  v->header = !good[0]                        ? h[1]
              : !good[1]                      ? h[0]
              : h[1].sequence > h[0].sequence ? h[1]
                                              : h[0];
  return 0;
}

static int
check_header (const struct vhdx *v, struct err *e)
{
  const struct vhdx_header *h = &v->header;

  if (h->version != 1)
    return err_set (e, ENOTSUP, "version %u is not known", h->version);
  if (h->log_version != 0 && !is_zero (h->log_id, VHDX_ID_LENGTH))
    return err_set (e, ENOTSUP, "log version %u is not known",
                    h->log_version);
  if (h->log_offset % MiB || h->log_offset < MiB ||
      h->log_offset > INT64_MAX - UINT32_MAX)
    return err_set (e, EINVAL, "log: offset 0x%" PRIx64, h->log_offset);
  if (h->log_length % MiB)
    return err_set (e, EINVAL, "log: length of %" PRIu32 " bytes",
                    h->log_length);
  return 0;
}

/* --- regions (2.2.3) ------------------------------------------------- */

int
vhdx_read_region_table (struct block *file, unsigned i, unsigned char *table,
                        struct err *e)
{
  return read_table (file, REGION_OFFSET (i), "regi", table, VHDX_TABLE_SIZE,
                     e);
}

static int
check_region (const struct vhdx_range *r, struct err *e)
{
  if (r->offset % MiB || r->offset < MiB ||
      r->offset > INT64_MAX - UINT32_MAX)
    return err_set (e, EINVAL, "offset 0x%" PRIx64, r->offset);
  if (r->length % MiB || r->length == 0)
    return err_set (e, EINVAL, "length of %" PRIu64 " bytes", r->length);
  return 0;
}

static int
parse_region (struct vhdx *v, const unsigned char *entry, struct err *e)
{
  static const unsigned char bat[] =
      GUID (0x2dc27766u, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd,
            0x4a, 0x08);
  static const unsigned char metadata[] =
      GUID (0x8b7ca206u, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f,
            0x88, 0x6e);
  struct vhdx_range r = { load_le64 (entry + 16), load_le32 (entry + 24) };
  bool required = load_le32 (entry + 28) & 1;
  struct vhdx_range *to = NULL;

  if (!memcmp (entry, bat, sizeof bat))
    to = &v->bat;
  else if (!memcmp (entry, metadata, sizeof metadata))
    to = &v->metadata;
  else if (required)
    return err_set (e, ENOTSUP, "a required region is not known");
  if (check_region (&r, e) == -1)
    return -1;
  if (to && to->length)
    return err_set (e, EINVAL, "there is a second one of its kind");
  if (to)
    *to = r;
  return 0;
}

static bool
ranges_overlap (const struct vhdx_range *a, const struct vhdx_range *b)
{
  return a->offset < b->offset + b->length &&
         b->offset < a->offset + a->length;
}

static int
check_regions (const struct vhdx *v, struct err *e)
{
  struct vhdx_range log = { v->header.log_offset, v->header.log_length };

  if (!v->bat.length)
    return err_set (e, EINVAL, "there is no BAT");
  if (!v->metadata.length)
    return err_set (e, EINVAL, "there are no metadata");
  if (ranges_overlap (&v->bat, &v->metadata) ||
      ranges_overlap (&v->bat, &log) || ranges_overlap (&v->metadata, &log))
    return err_set (e, EINVAL, "the BAT, the metadata and the log overlap");
  return 0;
}

static int
parse_regions (struct vhdx *v, const unsigned char *table, struct err *e)
{
  uint32_t n = load_le32 (table + 8);

  if (n > MAX_ENTRIES)
    return err_set (e, EINVAL, "%" PRIu32 " entries", n);
  for (uint32_t i = 0; i < n; i++)
    if (parse_region (v, table + 16 + i * TABLE_ENTRY, e) == -1)
      return err_in (e, "entry %" PRIu32, i);
  return check_regions (v, e);
}

/* The second copy where the first is damaged. */
static int
read_regions (struct vhdx *v, struct err *e)
{
  CLEANUP_FREE unsigned char *table = malloc (VHDX_TABLE_SIZE);
  int r = 0;

  if (!table)
    return err_set (e, ENOMEM, "out of memory");
  for (unsigned i = 0; r == 0 && i < 2; i++)
    r = vhdx_read_region_table (v->file, i, table, e);
  if (r == 0)
    return err_in (e, "both region tables are damaged");
  if (r == -1)
    return -1;
  return parse_regions (v, table, e) == -1 ? err_in (e, "region table") : 0;
}

/* --- metadata (2.6) -------------------------------------------------- */

static const struct {
  unsigned char id[VHDX_ID_LENGTH];
  const char *name;
  uint32_t length; /* at least */
} items[VHDX_ITEMS] = {
  [VHDX_FILE_PARAMETERS] = { GUID (0xcaa16737u, 0xfa36, 0x4d43, 0xb3, 0xb6,
                                   0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b),
                             "file parameters", 8 },
  [VHDX_DISK_SIZE] = { GUID (0x2fa54224u, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d,
                             0xbe, 0xd8, 0x3b, 0xf4, 0xb8),
                       "virtual disk size", 8 },
  [VHDX_DISK_ID] = { GUID (0xbeca12abu, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3,
                           0x09, 0xe0, 0x00, 0xc7, 0x46),
                     "virtual disk ID", 16 },
  [VHDX_LOGICAL_SECTOR] = { GUID (0x8141bf1du, 0xa96f, 0x4709, 0xba, 0x47,
                                  0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f),
                            "logical sector size", 4 },
  [VHDX_PHYSICAL_SECTOR] = { GUID (0xcda348c7u, 0x445d, 0x4471, 0x9c, 0xc9,
                                   0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56),
                             "physical sector size", 4 },
  [VHDX_PARENT_LOCATOR] = { GUID (0xa8d35f2du, 0xb30b, 0x454d, 0xab, 0xf7,
                                  0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c),
                            "parent locator", 20 },
};

const char *
vhdx_item_name (enum vhdx_item item)
{
  return items[item].name;
}

#define IS_USER     1 /* 2.6.1.2 "Metadata Table Entry" */
#define IS_REQUIRED 4

static int
check_item (const struct vhdx *v, enum vhdx_item i, uint32_t off,
            uint32_t len, struct err *e)
{
  if (v->items[i].length)
    return err_set (e, EINVAL, "is there twice");
  if (len < items[i].length || len > MiB)
    return err_set (e, EINVAL, "length of %" PRIu32 " bytes", len);
  if (off < VHDX_TABLE_SIZE || !range_within (off, len, v->metadata.length))
    return err_set (e, EINVAL, "offset 0x%" PRIx32 " of the metadata", off);
  return 0;
}

static int
parse_item (struct vhdx *v, const unsigned char *entry, struct err *e)
{
  uint32_t off = load_le32 (entry + 16), len = load_le32 (entry + 20);
  uint32_t flags = load_le32 (entry + 24);
  unsigned i;

  for (i = 0; i < VHDX_ITEMS; i++)
    if (!(flags & IS_USER) && !memcmp (entry, items[i].id, VHDX_ID_LENGTH))
      break;
  if (i == VHDX_ITEMS && (flags & IS_REQUIRED))
    return err_set (e, ENOTSUP, "a required item is not known");
  if (i == VHDX_ITEMS)
    return 0;
  if (check_item (v, i, off, len, e) == -1)
    return err_in (e, "%s", items[i].name);
  v->items[i] = (struct vhdx_range){ v->metadata.offset + off, len };
  return 0;
}

static int
parse_metadata (struct vhdx *v, const unsigned char *table, struct err *e)
{
  uint16_t n = load_le16 (table + 10);

  if (memcmp (table, "metadata", 8))
    return err_set (e, EINVAL, "there is no signature");
  if (n > MAX_ENTRIES)
    return err_set (e, EINVAL, "%u entries", n);
  for (unsigned i = 0; i < n; i++)
    if (parse_item (v, table + (1 + i) * TABLE_ENTRY, e) == -1)
      return err_in (e, "entry %u", i);
  return 0;
}

static int
read_metadata_table (struct vhdx *v, struct err *e)
{
  CLEANUP_FREE unsigned char *table = malloc (VHDX_TABLE_SIZE);

  if (!table)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (v->file, table, VHDX_TABLE_SIZE, v->metadata.offset, e) ==
      -1)
    return -1;
  return parse_metadata (v, table, e);
}

/* The first LEN bytes of an item that has to be there. */
static int
read_item (const struct vhdx *v, enum vhdx_item i, void *to, size_t len,
           struct err *e)
{
  if (!v->items[i].length)
    return err_set (e, EINVAL, "%s is not there", items[i].name);
  if (block_pread (v->file, to, len, v->items[i].offset, e) == -1)
    return err_in (e, "%s", items[i].name);
  return 0;
}

static int
read_parameters (struct vhdx *v, struct err *e)
{
  unsigned char p[8];

  if (read_item (v, VHDX_FILE_PARAMETERS, p, sizeof p, e) == -1)
    return -1;
  v->block_size = load_le32 (p);
  v->fixed = load_le32 (p + 4) & 1;
  v->has_parent = load_le32 (p + 4) & 2;
  if (v->block_size < MIN_BLOCK_SIZE || v->block_size > MAX_BLOCK_SIZE ||
      !is_power_of_2 (v->block_size))
    return err_set (e, EINVAL, "block size of %" PRIu32 " bytes",
                    v->block_size);
  if (v->has_parent) /* 2.6.2.1: LeaveBlockAllocated is ignored */
    v->fixed = false;
  v->block_bits = (unsigned) __builtin_ctz (v->block_size);
  return 0;
}

static int
read_sizes (struct vhdx *v, struct err *e)
{
  unsigned char size[8], sector[4];

  if (read_item (v, VHDX_DISK_SIZE, size, sizeof size, e) == -1 ||
      read_item (v, VHDX_LOGICAL_SECTOR, sector, sizeof sector, e) == -1)
    return -1;
  v->size = load_le64 (size);
  v->logical_sector = load_le32 (sector);
  if (v->logical_sector != 512 && v->logical_sector != 4096)
    return err_set (e, EINVAL, "logical sector size of %" PRIu32 " bytes",
                    v->logical_sector);
  if (v->size > VHDX_MAX_SIZE)
    return err_set (e, EFBIG, "virtual disk size of %" PRIu64 " bytes",
                    v->size);
  v->chunk_bits = CHUNK_BITS + (unsigned) __builtin_ctz (v->logical_sector) -
                  v->block_bits;
  /* Of no meaning for the data: vhdx_check says where it is not there. */
  if (v->items[VHDX_PHYSICAL_SECTOR].length &&
      read_item (v, VHDX_PHYSICAL_SECTOR, sector, sizeof sector, e) == -1)
    return -1;
  if (v->items[VHDX_PHYSICAL_SECTOR].length)
    v->physical_sector = load_le32 (sector);
  return 0;
}

/* 2.5: the BAT has an entry for each block, and one for each bitmap that a
 * block follows, or in a differencing disk for each bitmap. */
static int
check_bat (struct vhdx *v, struct err *e)
{
  uint64_t chunks;

  v->blocks = div_up (v->size, v->block_size);
  chunks = div_up (v->blocks, UINT64_C (1) << v->chunk_bits);
  if (v->has_parent)
    v->entries = (chunks << v->chunk_bits) + chunks;
  else if (v->blocks)
    v->entries = v->blocks + ((v->blocks - 1) >> v->chunk_bits);
  if (v->entries > v->bat.length / 8)
    return err_set (e, EINVAL,
                    "BAT of %" PRIu64 " bytes is too small: %" PRIu64
                    " entries are needed",
                    v->bat.length, v->entries);
  v->bat_owner = cache_new_owner ();
  v->bitmap_owner = cache_new_owner ();
  return 0;
}

static int
read_metadata (struct vhdx *v, struct err *e)
{
  if (read_metadata_table (v, e) == -1 || read_parameters (v, e) == -1 ||
      read_sizes (v, e) == -1)
    return err_in (e, "metadata");
  return check_bat (v, e);
}

/* --- file type identifier (2.2.1) ------------------------------------ */

int
vhdx_creator (struct block *b, char **ret, struct err *e)
{
  unsigned char text[CREATOR_UNITS * 2];
  CLEANUP_BUF struct buf line = { 0 };
  CLEANUP_FREE char *s = NULL;

  if (block_pread (b->below, text, sizeof text, 8, e) == -1)
    return err_in (e, "creator");
  s = vhdx_utf8 (text, CREATOR_UNITS);
  if (!s)
    return err_set (e, ENOMEM, "out of memory");
  buf_add_line_text (&line, s, strlen (s));
  if (buf_check (&line, e) == -1)
    return -1;
  *ret = line.len ? steal_ptr (&line.data) : NULL;
  return 0;
}

/* --- open ------------------------------------------------------------ */

static int
check_signature (struct block *b, struct err *e)
{
  char found[8];

  if (b->below->size < sizeof found)
    return err_set (e, EINVAL, "header is cut off");
  if (block_pread (b->below, found, sizeof found, 0, e) == -1)
    return err_in (e, "header section");
  /* Who names the format has not bid. */
  if (memcmp (found, "vhdxfile", sizeof found))
    return err_set (e, EINVAL, "not a VHDX image");
  return 0;
}

int
vhdx_open (struct block *b, struct err *e)
{
  struct vhdx *v = b->priv = calloc (1, sizeof *v);

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  v->file = b->below;
  if (check_signature (b, e) == -1 || read_headers (b, e) == -1 ||
      check_header (v, e) == -1 || vhdx_replay_log (b, e) == -1 ||
      read_regions (v, e) == -1 || read_metadata (v, e) == -1)
    return -1;
  if (v->has_parent && vhdx_open_parent (b, e) == -1)
    return -1;
  /* Whole sectors, as in qemu. */
  b->size = v->size & ~UINT64_C (511);
  return 0;
}
