/* xrayfs: rpm's Berkeley DB store (Packages), of RHEL up to 8
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A hash of Berkeley DB, as db-5.3's src/dbinc/db_page.h lays it out.  All
 * hash pages are looked at in their order in the file, so that neither
 * buckets nor the hash function matter.  The writer's byte order is that of
 * the magic number.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "inspect/rpm.h"

#define HASH_MAGIC     0x061561
#define PAGE_HEADER    26
#define PAGE_HASH_OLD  2 /* unsorted: before db-4.6 */
#define PAGE_OVERFLOW  7
#define PAGE_HASH_META 8
#define PAGE_HASH      13
#define ITEM_DATA      1 /* H_KEYDATA */
#define ITEM_OFF_PAGE  3 /* H_OFFPAGE */

struct bdb {
  const struct vfs_file *file;
  uint32_t page_size, last_page;
  bool swapped; /* big-endian */
  unsigned char *page, *overflow;
  rpm_blob_fn fn;
  void *arg;
};

static uint32_t
get32 (const struct bdb *b, const unsigned char *p)
{
  return b->swapped ? load_be32 (p) : load_le32 (p);
}

static uint16_t
get16 (const struct bdb *b, const unsigned char *p)
{
  return b->swapped ? load_be16 (p) : load_le16 (p);
}

static int
read_page (const struct bdb *b, uint32_t number, unsigned char *to,
           struct err *e)
{
  if (number > b->last_page)
    return err_set (e, EIO, "page %" PRIu32 " lies beyond the last one",
                    number);
  if (vfs_file_read (b->file, to, b->page_size,
                     (uint64_t) number * b->page_size, e) == -1)
    return err_in (e, "page %" PRIu32, number);
  if (get32 (b, to + 8) != number)
    return err_set (e, EIO, "page %" PRIu32 " has another's number", number);
  return 0;
}

static int
read_meta (struct bdb *b, struct err *e)
{
  unsigned char meta[72];

  if (vfs_file_read (b->file, meta, sizeof meta, 0, e) == -1)
    return -1;
  b->swapped = load_be32 (meta + 12) == HASH_MAGIC;
  if (get32 (b, meta + 12) != HASH_MAGIC || meta[25] != PAGE_HASH_META)
    return err_set (e, ENOTSUP, "not a hash of Berkeley DB");
  if (meta[24])
    return err_set (e, ENOTSUP, "encrypted");
  b->page_size = get32 (b, meta + 20);
  b->last_page = get32 (b, meta + 32);
  if (!is_power_of_2 (b->page_size) || b->page_size < 512 ||
      b->page_size > 64 * KiB)
    return err_set (e, EIO, "pages of %" PRIu32 " bytes", b->page_size);
  if (b->last_page >= b->file->size / b->page_size)
    return err_set (e, EIO,
                    "%" PRIu32 " pages are named, the file is shorter",
                    b->last_page);
  b->page = malloc (b->page_size);
  b->overflow = malloc (b->page_size);
  return b->page && b->overflow ? 0 : err_set (e, ENOMEM, "out of memory");
}

/* The value of LEN bytes in the chain of pages from NUMBER on; each gives at
 * least a byte, so that a loop ends. */
static int
read_chain (const struct bdb *b, uint32_t number, size_t len,
            unsigned char *to, struct err *e)
{
  size_t done, n;

  for (done = 0; done < len; done += n) {
    if (number == 0)
      return err_set (e, EIO, "a value is cut off");
    if (read_page (b, number, b->overflow, e) == -1)
      return -1;
    n = get16 (b, b->overflow + 22);
    if (b->overflow[25] != PAGE_OVERFLOW || n == 0 || n > len - done ||
        n > b->page_size - PAGE_HEADER)
      return err_set (e, EIO, "page %" PRIu32 " is no part of a value",
                      number);
    memcpy (to + done, b->overflow + PAGE_HEADER, n);
    number = get32 (b, b->overflow + 16);
  }
  return 0;
}

static int
give_chain (const struct bdb *b, const unsigned char *item, int *ret_stop,
            struct err *e)
{
  size_t len = get32 (b, item + 8);
  CLEANUP_FREE unsigned char *blob = NULL;

  if (len > RPM_MAX_HEADER || len > b->file->size)
    return err_set (e, EIO, "a value of %zu bytes", len);
  blob = malloc (len ? len : 1);
  if (!blob)
    return err_set (e, ENOMEM, "out of memory");
  if (read_chain (b, get32 (b, item + 4), len, blob, e) == -1)
    return -1;
  *ret_stop = b->fn (b->arg, blob, len);
  return 0;
}

/* Item I of the page: [*RET, *RET + *RET_LEN).  Items lie from the end of
 * the page downwards in the order of their numbers. */
static int
get_item (const struct bdb *b, unsigned i, const unsigned char **ret,
          size_t *ret_len, struct err *e)
{
  const unsigned char *index = b->page + PAGE_HEADER;
  size_t at = get16 (b, index + 2 * (size_t) i);
  size_t end = i ? get16 (b, index + 2 * (size_t) (i - 1)) : b->page_size;

  if (at < PAGE_HEADER || at >= end || end > b->page_size)
    return err_set (e, EIO, "item %u lies outside its page", i);
  *ret = b->page + at;
  *ret_len = end - at;
  return 0;
}

/* Key 0 holds the number that the next package gets. */
static bool
is_package (const unsigned char *key, size_t len)
{
  return len == 5 && key[0] == ITEM_DATA && !is_zero (key + 1, 4);
}

static int
each_pair (const struct bdb *b, int *ret_stop, struct err *e)
{
  unsigned n = get16 (b, b->page + 20);
  const unsigned char *key, *value;
  size_t key_len, len;

  if (n > (b->page_size - PAGE_HEADER) / 2)
    return err_set (e, EIO, "%u items", n);
  for (unsigned i = 0; i + 1 < n && !*ret_stop; i += 2) {
    if (get_item (b, i, &key, &key_len, e) == -1 ||
        get_item (b, i + 1, &value, &len, e) == -1)
      return -1;
    if (!is_package (key, key_len))
      continue;
    if (value[0] == ITEM_DATA)
      *ret_stop = b->fn (b->arg, value + 1, len - 1);
    else if (value[0] != ITEM_OFF_PAGE || len < 12)
      return err_set (e, EIO, "item %u is of an unknown kind", i + 1);
    else if (give_chain (b, value, ret_stop, e) == -1)
      return -1;
  }
  return 0;
}

static int
each_page (const struct bdb *b, struct err *e)
{
  int stop = 0;

  for (uint32_t i = 1; i <= b->last_page && !stop; i++) {
    if (vfs_file_read (b->file, b->page, b->page_size,
                       (uint64_t) i * b->page_size, e) == -1)
      return err_in (e, "page %" PRIu32, i);
    if (b->page[25] != PAGE_HASH && b->page[25] != PAGE_HASH_OLD)
      continue;
    if (each_pair (b, &stop, e) == -1)
      return err_in (e, "page %" PRIu32, i);
  }
  return 0;
}

int
rpm_bdb_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
              struct err *e)
{
  struct bdb b = { .file = f, .fn = fn, .arg = arg };
  int r = read_meta (&b, e);

  if (r == 0)
    r = each_page (&b, e);
  free (b.page);
  free (b.overflow);
  return r;
}
