/* xrayfs: NTFS: opening an inode
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As ntfs_inode_open of the library, from the library's parts, and for two
 * reasons: that one loses the records of an attribute list when it gives up,
 * and a list that is not in order hides attributes from it.
 */
#include <inttypes.h>
#include <string.h>

#include "fs/ntfs.h"

#define MAX_LIST   (256 * KiB) /* as Windows: 0x40000 */
#define LIST_ENTRY 26          /* layout.h, ATTR_LIST_ENTRY, without name */

/* --- attribute lists -------------------------------------------------- */

static bool
is_list_entry (const char *p, size_t left)
{
  size_t len = left < LIST_ENTRY ? 0 : load_le16 (p + 4);

  return len >= LIST_ENTRY && len % 8 == 0 && len <= left &&
         range_within ((uint8_t) p[7], 2 * (size_t) (uint8_t) p[6], len);
}

/* Each entry within the list, and by type. */
static int
check_list (const char *p, size_t len, struct err *e)
{
  uint32_t type = 0;

  for (; len > 0; len -= load_le16 (p + 4), p += load_le16 (p + 4)) {
    if (!is_list_entry (p, len))
      return err_set (e, EIO, "attribute list is damaged");
    if (load_le32 (p) < type)
      return err_set (e, EIO, "attribute list is not in order");
    type = load_le32 (p);
  }
  return 0;
}

static int
load_list (struct nt *nt, ntfs_inode *ni, const ATTR_RECORD *a, struct err *e)
{
  s64 len = ntfs_get_attribute_value_length (a);

  if (len <= 0 || len > (s64) MAX_LIST)
    return err_set (e, EIO, "attribute list of %" PRId64 " bytes",
                    (int64_t) len);
  ni->attr_list = calloc (1, (size_t) len);
  if (!ni->attr_list)
    return err_set (e, ENOMEM, "out of memory");
  ni->attr_list_size = (u32) len;
  NInoSetAttrList (ni);
  if (ntfs_get_attribute_value (nt->vol, a, ni->attr_list) != len)
    return nt_failed (nt, "attribute list", e);
  return check_list ((const char *) ni->attr_list, (size_t) len, e);
}

/* --- attributes of all files ------------------------------------------ */

/* 1: found, and ctx->attr is it; 0: there is none. */
static int
find (struct nt *nt, ntfs_attr_search_ctx *ctx, ATTR_TYPES type,
      const char *what, struct err *e)
{
  ntfs_attr_reinit_search_ctx (ctx);
  errno = 0;
  if (ntfs_attr_lookup (type, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0,
                        ctx) == 0)
    return nt_done (nt, what, e) == -1 ? -1 : 1;
  return errno == ENOENT && !nt->io.code ? 0 : nt_failed (nt, what, e);
}

static int
load_standard (ntfs_inode *ni, const ATTR_RECORD *a, struct err *e)
{
  const STANDARD_INFORMATION *s =
      (const void *) ((const char *) a + le16toh (a->value_offset));

  if (a->non_resident ||
      le32toh (a->value_length) < offsetof (STANDARD_INFORMATION, v1_end))
    return err_set (e, EIO, "standard information is cut off");
  ni->flags = s->file_attributes;
  ni->creation_time = s->creation_time;
  ni->last_data_change_time = s->last_data_change_time;
  ni->last_mft_change_time = s->last_mft_change_time;
  ni->last_access_time = s->last_access_time;
  return 0;
}

static void
load_sizes (ntfs_inode *ni, const ATTR_RECORD *a)
{
  if (!a->non_resident) {
    ni->data_size = le32toh (a->value_length);
    ni->allocated_size = (ni->data_size + 7) & ~7;
    return;
  }
  ni->data_size = (s64) le64toh (a->data_size);
  ni->allocated_size = (s64) le64toh (
      a->flags & (ATTR_IS_COMPRESSED | ATTR_IS_SPARSE) ? a->compressed_size
                                                       : a->allocated_size);
}

static int
load_attributes (struct nt *nt, ntfs_inode *ni, ntfs_attr_search_ctx *ctx,
                 struct err *e)
{
  int r = find (nt, ctx, AT_STANDARD_INFORMATION, "standard information", e);

  if (r == 0)
    return err_set (e, EIO, "standard information is missing");
  if (r == -1 || load_standard (ni, ctx->attr, e) == -1)
    return -1;
  r = find (nt, ctx, AT_ATTRIBUTE_LIST, "attribute list", e);
  if (r == -1 || (r == 1 && load_list (nt, ni, ctx->attr, e) == -1))
    return -1;
  r = find (nt, ctx, AT_DATA, "contents", e);
  if (r == 1)
    load_sizes (ni, ctx->attr);
  return r == -1 ? -1 : 0;
}

static int
load_inode (struct nt *nt, ntfs_inode *ni, uint64_t ino, struct err *e)
{
  ntfs_attr_search_ctx *ctx;
  int r;

  if (ntfs_file_record_read (nt->vol, ino, &ni->mrec, NULL) != 0)
    return nt_failed (nt, "MFT record", e);
  if (nt_done (nt, "MFT record", e) == -1)
    return -1;
  if (!(ni->mrec->flags & MFT_RECORD_IN_USE))
    return err_set (e, EIO, "MFT record is not in use");
  if (ni->mrec->base_mft_record)
    return err_set (e, EIO, "MFT record is a part of another");
  ni->mft_no = ino;
  ctx = ntfs_attr_get_search_ctx (ni, NULL);
  if (!ctx)
    return err_set (e, ENOMEM, "out of memory");
  r = load_attributes (nt, ni, ctx, e);
  ntfs_attr_put_search_ctx (ctx);
  return r;
}

int
nt_inode_open (struct nt *nt, uint64_t ino, ntfs_inode **ret, struct err *e)
{
  ntfs_inode *ni;

  if (ino >= (uint64_t) nt->vol->mft_na->initialized_size >>
      nt->vol->mft_record_size_bits)
    return err_set (e, EIO, "there cannot be an MFT record %" PRIu64, ino);
  nt_begin (nt);
  ni = ntfs_inode_allocate (nt->vol);
  if (!ni)
    return err_set (e, ENOMEM, "out of memory");
  if (load_inode (nt, ni, ino, e) == -1) {
    ntfs_inode_close (ni);
    return -1;
  }
  *ret = ni;
  return 0;
}
