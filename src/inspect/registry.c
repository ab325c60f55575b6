/* xrayfs: a hive's pages, and opening it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file is read by pages of 4 KiB, as they are needed; what the logs have
 * is laid over them.
 */
#include "inspect/registry.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/registry_priv.h"

/* --- the base block -------------------------------------------------- */

/* Section "Base block", note 2. */
uint32_t
hive_checksum (const unsigned char *p)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < 508; i += 4)
    sum ^= load_le32 (p + i);
  return sum == UINT32_MAX ? UINT32_MAX - 1 : sum == 0 ? 1 : sum;
}

int
hive_read_header (const struct hive_file *f, struct hive_header *ret,
                  struct err *e)
{
  unsigned char p[HIVE_SECTOR];

  if (f->size < sizeof p)
    return err_set (e, EINVAL, "it is too short for a hive");
  if (f->pread (f->arg, p, sizeof p, 0, e) == -1)
    return -1;
  if (memcmp (p, "regf", 4))
    return err_set (e, EINVAL, "it does not begin as a hive does");
  *ret = (struct hive_header){ .seq1 = load_le32 (p + 4),
                               .seq2 = load_le32 (p + 8),
                               .written = load_le64 (p + 12),
                               .major = load_le32 (p + 20),
                               .minor = load_le32 (p + 24),
                               .type = load_le32 (p + 28),
                               .root = load_le32 (p + 36),
                               .bins_size = load_le32 (p + 40),
                               .clustering = load_le32 (p + 44),
                               .valid =
                                   load_le32 (p + 508) == hive_checksum (p) };
  return 0;
}

/* --- pages ----------------------------------------------------------- */

int
hive_resize (struct hive *h, uint64_t bins_size, struct err *e)
{
  size_t n = (size_t) (bins_size / HIVE_PAGE);
  struct hive_page *pages;

  if (bins_size == 0 || bins_size % HIVE_PAGE)
    return err_set (e, EIO,
                    "its size, %" PRIu64 " bytes, is not one of hives",
                    bins_size);
  if (bins_size > HIVE_MAX_BINS)
    return err_set (e, EFBIG, "it has %" PRIu64 " bytes", bins_size);
  if (n > h->n_pages) {
    pages = reallocarray (h->pages, n, sizeof *pages);
    if (!pages)
      return err_set (e, ENOMEM, "out of memory");
    memset (pages + h->n_pages, 0, (n - h->n_pages) * sizeof *pages);
    h->pages = pages;
    h->n_pages = n;
  }
  h->bins_size = bins_size;
  return 0;
}

/* The sectors of page INDEX that the file has; the file may be cut off. */
static int
load_page (struct hive *h, size_t index, struct err *e)
{
  CLEANUP_FREE unsigned char *data = NULL;
  uint64_t off = HIVE_BASE + (uint64_t) index * HIVE_PAGE;
  size_t len = 0;

  if (h->loaded + HIVE_PAGE > HIVE_MAX_LOADED)
    return err_set (e, EFBIG, "more than %zu MiB of the hive are needed",
                    HIVE_MAX_LOADED >> 20);
  data = calloc (1, HIVE_PAGE);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (off < h->primary.size)
    len =
        (size_t) MIN (HIVE_PAGE, h->primary.size - off) & ~(HIVE_SECTOR - 1);
  if (len && h->primary.pread (h->primary.arg, data, len, off, e) == -1)
    return -1;
  h->pages[index].valid = (uint8_t) ((1u << len / HIVE_SECTOR) - 1);
  h->pages[index].data = steal_ptr (&data);
  h->loaded += HIVE_PAGE;
  return 0;
}

static int
get_page (struct hive *h, size_t index, struct hive_page **ret, struct err *e)
{
  *ret = &h->pages[index];
  return (*ret)->data ? 0 : load_page (h, index, e);
}

/* The bits of the sectors that LEN bytes at AT of a page touch. */
static unsigned
sector_bits (size_t at, size_t len)
{
  unsigned first = (unsigned) (at / HIVE_SECTOR),
           last = (unsigned) ((at + len - 1) / HIVE_SECTOR);

  return ((2u << last) - 1) & ~((1u << first) - 1);
}

int
hive_read (struct hive *h, uint64_t off, void *buf, size_t len, struct err *e)
{
  struct hive_page *page;
  unsigned bits;
  size_t at, n;

  if (!range_within (off, len, h->bins_size))
    return err_set (e, EIO, "0x%" PRIx64 " lies beyond its end", off);
  for (char *to = buf; len > 0; to += n, off += n, len -= n) {
    at = (size_t) (off % HIVE_PAGE);
    n = MIN (len, HIVE_PAGE - at);
    if (get_page (h, (size_t) (off / HIVE_PAGE), &page, e) == -1)
      return -1;
    bits = sector_bits (at, n);
    if ((page->valid & bits) != bits)
      return err_set (e, EIO, "0x%" PRIx64 " lies beyond the end of the file",
                      off + HIVE_BASE);
    memcpy (to, page->data + at, n);
  }
  return 0;
}

int
hive_patch (struct hive *h, uint64_t off, const void *data, size_t len,
            struct err *e)
{
  struct hive_page *page;
  size_t at, n;

  for (const char *from = data; len > 0; from += n, off += n, len -= n) {
    at = (size_t) (off % HIVE_PAGE);
    n = MIN (len, HIVE_PAGE - at);
    if (get_page (h, (size_t) (off / HIVE_PAGE), &page, e) == -1)
      return -1;
    memcpy (page->data + at, from, n);
    page->valid |= (uint8_t) sector_bits (at, n);
  }
  return 0;
}

/* --- opening --------------------------------------------------------- */

void
hive_close (struct hive *h)
{
  if (!h)
    return;
  for (size_t i = 0; i < h->n_pages; i++)
    free (h->pages[i].data);
  free (h->pages);
  free (h->stale);
  free (h);
}

const char *
hive_stale (const struct hive *h)
{
  return h->stale;
}

size_t
hive_recovered (const struct hive *h)
{
  return h->recovered;
}

hive_key
hive_root (const struct hive *h)
{
  return h->root;
}

/* Version 1.1 has other cells; what is newer than 1.6 is not known. */
bool
hive_is_known (const struct hive_header *header)
{
  return header->major == 1 && header->minor >= 2 && header->minor <= 6;
}

static int
check_header (const struct hive_header *header, struct err *e)
{
  if (header->type != HIVE_TYPE_PRIMARY)
    return err_set (e, EINVAL, "it is a transaction log, not a hive");
  if (!hive_is_known (header))
    return err_set (e, ENOTSUP, "its version is %" PRIu32 ".%" PRIu32,
                    header->major, header->minor);
  return 0;
}

/* The first hive bin is where Windows itself gives a hive up. */
static int
check_first_bin (struct hive *h, struct err *e)
{
  char magic[4];

  if (hive_read (h, 0, magic, sizeof magic, e) == -1)
    return err_in (e, "first hive bin");
  if (memcmp (magic, "hbin", 4))
    return err_set (e, EIO, "the first hive bin has no signature");
  return 0;
}

static int
open_into (struct hive *h, const struct hive_file *logs, size_t n_logs,
           struct err *e)
{
  struct hive_header header;

  if (hive_read_header (&h->primary, &header, e) == -1)
    return -1;
  /* With a wrong checksum no field can be believed; a log may have a copy
   * ("Dirty state of a hive"). */
  if (header.valid) {
    if (check_header (&header, e) == -1 ||
        hive_resize (h, header.bins_size, e) == -1)
      return -1;
    h->root = header.root;
    h->minor = header.minor;
  }
  if ((!header.valid || header.seq1 != header.seq2) &&
      hive_recover (h, &header, logs, n_logs, e) == -1)
    return -1;
  return check_first_bin (h, e);
}

int
hive_open (const struct hive_file *primary, const struct hive_file *logs,
           size_t n_logs, struct hive **ret, struct err *e)
{
  CLEANUP_HIVE struct hive *h = calloc (1, sizeof *h);

  if (!h)
    return err_set (e, ENOMEM, "out of memory");
  h->primary = *primary;
  if (open_into (h, logs, n_logs, e) == -1)
    return -1;
  *ret = steal_ptr (&h);
  return 0;
}
