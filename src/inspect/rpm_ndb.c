/* xrayfs: rpm's "ndb" store (Packages.db), of SUSE
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * rpm's lib/backend/ndb/rpmpkg.c: a header of 32 bytes, slots of 16 bytes up
 * to the end of SLOT_PAGES pages of 4 KiB, and blobs in units of 16 bytes.
 * All numbers are little-endian.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "inspect/rpm.h"

#define MAGIC_DB    0x506d7052 /* "RpmP" */
#define MAGIC_SLOT  0x746f6c53 /* "Slot" */
#define MAGIC_BLOB  0x53626c42 /* "BlbS" */
#define PAGE        4096
#define SLOT        16
#define UNIT        16
#define BLOB_HEADER 16

/* The slots of a million packages. */
#define MAX_SLOT_PAGES 4096

static int
read_blob (const struct vfs_file *f, const unsigned char *slot,
           rpm_blob_fn fn, void *arg, int *ret_stop, struct err *e)
{
  uint32_t number = load_le32 (slot + 4);
  uint64_t at = (uint64_t) load_le32 (slot + 8) * UNIT;
  unsigned char head[BLOB_HEADER];
  CLEANUP_FREE unsigned char *blob = NULL;
  size_t len;

  if (vfs_file_read (f, head, sizeof head, at, e) == -1)
    return err_in (e, "package %" PRIu32, number);
  len = load_le32 (head + 12);
  if (load_le32 (head) != MAGIC_BLOB || load_le32 (head + 4) != number)
    return err_set (e, EIO, "package %" PRIu32 " is not where its slot says",
                    number);
  if (len > RPM_MAX_HEADER || !range_within (at + sizeof head, len, f->size))
    return err_set (e, EIO, "package %" PRIu32 " of %zu bytes", number, len);
  blob = malloc (len ? len : 1);
  if (!blob)
    return err_set (e, ENOMEM, "out of memory");
  if (vfs_file_read (f, blob, len, at + sizeof head, e) == -1)
    return err_in (e, "package %" PRIu32, number);
  *ret_stop = fn (arg, blob, len);
  return 0;
}

static int
each_slot (const struct vfs_file *f, unsigned char *page, unsigned number,
           rpm_blob_fn fn, void *arg, int *ret_stop, struct err *e)
{
  /* The first two slots of the first page are the header. */
  for (size_t i = number ? 0 : 2 * SLOT; i < PAGE && !*ret_stop; i += SLOT) {
    if (load_le32 (page + i) != MAGIC_SLOT)
      return err_set (e, EIO, "page %u of slots: wrong magic", number);
    if (load_le32 (page + i + 8) &&
        read_blob (f, page + i, fn, arg, ret_stop, e) == -1)
      return -1;
  }
  return 0;
}

int
rpm_ndb_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
              struct err *e)
{
  CLEANUP_FREE unsigned char *page = malloc (PAGE);
  uint32_t pages;
  int stop = 0;

  if (!page)
    return err_set (e, ENOMEM, "out of memory");
  if (vfs_file_read (f, page, PAGE, 0, e) == -1)
    return -1;
  pages = load_le32 (page + 12);
  if (load_le32 (page) != MAGIC_DB)
    return err_set (e, EIO, "wrong magic");
  if (load_le32 (page + 4) != 0)
    return err_set (e, ENOTSUP, "version %" PRIu32, load_le32 (page + 4));
  if (pages > MAX_SLOT_PAGES)
    return err_set (e, EIO, "%" PRIu32 " pages of slots", pages);
  for (uint32_t i = 0; i < pages && !stop; i++)
    if (vfs_file_read (f, page, PAGE, (uint64_t) i * PAGE, e) == -1 ||
        each_slot (f, page, i, fn, arg, &stop, e) == -1)
      return -1;
  return 0;
}
