/* xrayfs: what lies in the container
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * People upload the wrong file: an installer, an archive, a compressed
 * image.  A partition table or a filesystem that libblkid finds comes first,
 * but for an ISO 9660 image that boots, which is an installer whatever
 * tables it carries besides (isohybrid).
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

static const struct {
  unsigned offset;
  const char *magic;
  unsigned len;
  const char *value, *kind;
} magics[] = {
  { 0, "MSWIM\0\0\0", 8, "installer", "Windows imaging file (WIM)" },
  { 0, "PK\3\4", 4, "archive", "zip archive" },
  { 0, "PK\5\6", 4, "archive", "empty zip archive" },
  { 257, "ustar", 5, "archive", "tar archive" },
  { 0, "7z\xbc\xaf\x27\x1c", 6, "archive", "7-Zip archive" },
  { 0, "Rar!\x1a\7", 6, "archive", "RAR archive" },
  { 0, "070701", 6, "archive", "cpio archive" },
  { 0, "070702", 6, "archive", "cpio archive" },
  { 0, "!<arch>\n", 8, "archive", "ar archive (a Debian package?)" },
  { 0, "\xed\xab\xee\xdb", 4, "archive", "RPM package" },
  { 0, "\x1f\x8b\x08", 3, "compressed", "gzip" },
  { 0,
    "\xfd"
    "7zXZ\0",
    6, "compressed", "xz" },
  { 0, "\x28\xb5\x2f\xfd", 4, "compressed", "zstd" },
  { 0, "BZh", 3, "compressed", "bzip2" },
  { 0, "\x04\x22\x4d\x18", 4, "compressed", "lz4" },
  { 0, "\x89LZO\0\r\n\x1a\n", 9, "compressed", "lzop" },
  { 0, "EVF\x09\x0d\x0a\xff", 7, "other", "Expert Witness image" },
  { 0,
    "\x7f"
    "ELF",
    4, "other", "ELF program" },
  { 0, "%PDF-", 5, "other", "PDF document" },
  { 0, "regf", 4, "other", "Windows registry hive" },
};

#define HEAD_SIZE 4096

static bool
looks_like_text (const unsigned char *p, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (p[i] < 0x20 && !memchr ("\t\n\r\f\x1b", p[i], 5))
      return false;
  return len > 0;
}

/* A boot record of El Torito (volume descriptor type 0 at sector 17). */
static int
is_bootable_iso (struct image *img, bool *ret, struct err *e)
{
  char sector[2048];

  *ret = false;
  if (img->disk->size < 18 * 2048)
    return 0;
  if (block_pread (img->disk, sector, sizeof sector, 16 * 2048, e) == -1)
    return -1;
  if (memcmp (sector + 1, "CD001", 5))
    return 0;
  if (block_pread (img->disk, sector, sizeof sector, 17 * 2048, e) == -1)
    return -1;
  *ret = sector[0] == 0 && !memcmp (sector + 1, "CD001", 5) &&
         !memcmp (sector + 7, "EL TORITO SPECIFICATION", 23);
  return 0;
}

/* Stops at the first byte that is not zero, so it is quick for all but a
 * disk that really is full of zeros. */
static int
all_zero (struct image *img, bool *ret, struct err *e)
{
  CLEANUP_FREE char *chunk = malloc (MiB);
  struct extent x;
  size_t n;

  if (!chunk)
    return err_set (e, ENOMEM, "out of memory");
  *ret = false;
  for (uint64_t off = 0; off < img->disk->size;) {
    if (block_resolve (img->disk, off, img->disk->size - off, &x, e) == -1)
      return -1;
    if (x.kind == EXTENT_ZERO || x.kind == EXTENT_UNALLOCATED) {
      off += x.length;
      continue;
    }
    n = MIN (MiB, x.length);
    if (block_pread (img->disk, chunk, n, off, e) == -1)
      return -1;
    if (!is_zero (chunk, n))
      return 0;
    off += n;
    lazy_progress (&img->contents_cell, off, img->disk->size);
  }
  *ret = true;
  return 0;
}

static int
set (struct fact *f, struct err *e, const char *value, const char *kind)
{
  fact_evidence (f, "%s", kind);
  if (fact_reason (f, e, "%s", kind) == -1)
    return -1;
  return fact_set (f, e, "%s", value);
}

static int
contents_by_magic (struct image *img, struct err *e)
{
  unsigned char head[HEAD_SIZE];
  /* Of the file itself: raw fills the last sector up with zeros. */
  size_t len = MIN (sizeof head, MIN (img->disk->size, img->file->size));
  bool zero = false;

  if (block_pread (img->disk, head, len, 0, e) == -1)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (magics); i++)
    if (range_within (magics[i].offset, magics[i].len, len) &&
        !memcmp (head + magics[i].offset, magics[i].magic, magics[i].len))
      return set (&img->contents, e, magics[i].value, magics[i].kind);
  if (looks_like_text (head, len))
    return set (&img->contents, e, "other", "text");
  if (all_zero (img, &zero, e) == -1)
    return -1;
  return zero ? set (&img->contents, e, "empty", "nothing but zeros")
              : set (&img->contents, e, "other", "data of no known kind");
}

static int
look (struct image *img, struct err *e)
{
  const struct partition_table *t;
  const struct superblock *sb;
  char kind[128];
  bool iso;

  if (is_bootable_iso (img, &iso, e) == -1)
    return -1;
  if (iso)
    return set (&img->contents, e, "installer", "bootable ISO 9660 image");
  t = image_table (img, e);
  if (!t)
    return -1;
  if (!strcmp (t->type, "unpartitioned"))
    return contents_by_magic (img, e);
  if (strcmp (t->type, "none")) {
    snprintf (kind, sizeof kind, "a partition table (%s)", t->type);
    return set (&img->contents, e, "disk", kind);
  }
  sb = t->n_partitions ? volume_superblock (img->volumes[0], e) : NULL;
  if (!sb)
    return -1;
  snprintf (kind, sizeof kind, "%s without a partition table", sb->type);
  return set (&img->contents, e, "filesystem", kind);
}

int
contents_compute (void *arg, struct err *e)
{
  struct image *img = arg;

  fact_free (&img->contents);
  return look (img, e);
}
