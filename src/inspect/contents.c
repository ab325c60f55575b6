/* xrayfs: what lies in the container
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * People upload the wrong file: an installer, an archive, a compressed
 * image, an image packed twice.  A partition table or a filesystem that
 * libblkid finds comes first, but for an ISO 9660 image that boots, which is
 * an installer whatever tables it carries besides (isohybrid).  An ISO 9660
 * image that does not boot is a filesystem like any other.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/file_kind.h"
#include "inspect/image_priv.h"

/* --- ISO 9660 -------------------------------------------------------- */

#define ISO_SECTOR 2048
/* ECMA-119, 6.7.1: the volume descriptors start at sector 16, one a sector,
 * and a terminator ends them; those of UDF follow (ECMA-167, 2/8.3). */
#define ISO_FIRST UINT64_C (16)
#define ISO_LAST  UINT64_C (48)

struct iso {
  bool there, boots, udf;
  char label[33];
};

static void
iso_descriptor (const unsigned char *p, struct iso *iso)
{
  size_t n = 32;

  if (!memcmp (p + 1, "NSR02", 5) || !memcmp (p + 1, "NSR03", 5))
    iso->udf = true;
  if (memcmp (p + 1, "CD001", 5))
    return;
  /* El Torito 1.0, figure 7: the boot record volume descriptor. */
  if (p[0] == 0 && !memcmp (p + 7, "EL TORITO SPECIFICATION", 23))
    iso->boots = true;
  if (p[0] != 1)
    return;
  iso->there = true;
  while (n > 0 && (p[40 + n - 1] == ' ' || p[40 + n - 1] == 0))
    n--;
  for (size_t i = 0; i < n; i++)
    iso->label[i] =
        p[40 + i] < 0x20 || p[40 + i] > 0x7e ? '?' : (char) p[40 + i];
  iso->label[n] = '\0';
}

static bool
is_descriptor (const unsigned char *p)
{
  static const char *const ids[] = { "CD001", "BEA01", "NSR02",
                                     "NSR03", "TEA01", "BOOT2" };

  for (size_t i = 0; i < ARRAY_SIZE (ids); i++)
    if (!memcmp (p + 1, ids[i], 5))
      return true;
  return false;
}

static int
read_iso (struct block *disk, struct iso *ret, struct err *e)
{
  unsigned char sector[ISO_SECTOR];

  *ret = (struct iso){ 0 };
  for (uint64_t i = ISO_FIRST; i < ISO_LAST; i++) {
    if (!range_within (i * ISO_SECTOR, ISO_SECTOR, disk->size))
      return 0;
    if (block_pread (disk, sector, ISO_SECTOR, i * ISO_SECTOR, e) == -1)
      return -1;
    if (!is_descriptor (sector))
      return 0;
    iso_descriptor (sector, ret);
  }
  return 0;
}

/* Filesystems that a bootable ISO image may have in partitions of its own:
 * itself, what firmware starts, and Apple's view of it. */
static bool
belongs_to_iso (const struct superblock *sb)
{
  static const char *const types[] = { "none",     "iso9660",   "udf",
                                       "vfat",     "hfs",       "hfsplus",
                                       "squashfs", "ambivalent" };

  for (size_t i = 0; i < ARRAY_SIZE (types); i++)
    if (!strcmp (sb->type, types[i]))
      return true;
  return false;
}

/* A disk that an ISO image was once written to keeps its descriptors, which
 * lie before the first partition: what is in the partitions tells.  1, 0, or
 * -1: could not look. */
static int
is_installed_over (struct image *img, struct err *e)
{
  const struct superblock *sb;
  struct volume *const *v;
  size_t n;

  if (image_partitions (img, &v, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++) {
    if (volume_partition (v[i])->number == 0)
      continue;
    sb = volume_superblock (v[i], e);
    if (!sb)
      return -1;
    if (!belongs_to_iso (sb))
      return 1;
  }
  return 0;
}

/* --- nothing that libblkid knows ------------------------------------- */

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

/* An image in an image: who converted one and called it raw.  NULL: none, or
 * e is set. */
static const char *
inner_format (struct image *img, struct err *e)
{
  int bits;

  /* Of a raw one this has been decided. */
  if (!strcmp (img->disk->ops->name, "raw"))
    return NULL;
  for (size_t i = 0; block_formats[i]; i++) {
    if (!strcmp (block_formats[i]->name, "raw"))
      continue;
    bits = block_formats[i]->bid (img->disk, e);
    if (bits == -1)
      return NULL;
    if (bits > 0)
      return block_formats[i]->name;
  }
  return NULL;
}

/* A short text ends where the zeros begin that fill up its sector. */
static size_t
without_padding (const struct image *img, const unsigned char *head,
                 size_t len)
{
  size_t least = len - MIN (len, 511);

  if (img->disk->size > FILE_KIND_HEAD)
    return len;
  while (len > least && head[len - 1] == 0)
    len--;
  return len;
}

static int
contents_by_magic (struct image *img, struct err *e)
{
  unsigned char head[FILE_KIND_HEAD];
  size_t len = MIN (sizeof head, img->disk->size);
  struct file_kind kind;
  bool zero = false;

  if (block_pread (img->disk, head, len, 0, e) == -1)
    return -1;
  if (file_kind (head, len, &kind) ||
      file_kind (head, without_padding (img, head, len), &kind))
    return set (&img->contents, e, kind.value, kind.text);
  if (all_zero (img, &zero, e) == -1)
    return -1;
  return zero ? set (&img->contents, e, "empty", "nothing but zeros")
              : set (&img->contents, e, "other", "data of no known kind");
}

static int
contents_of_disk (struct image *img, struct err *e)
{
  const struct partition_table *t = image_table (img, e);
  const struct superblock *sb;
  const char *inner;
  char kind[128];

  if (!t)
    return -1;
  if (!strcmp (t->type, "unpartitioned")) {
    err_clear (e);
    inner = inner_format (img, e);
    if (!inner)
      return e->code ? -1 : contents_by_magic (img, e);
    snprintf (kind, sizeof kind, "another image (%s) inside this one", inner);
    return set (&img->contents, e, "other", kind);
  }
  if (strcmp (t->type, "none")) {
    snprintf (kind, sizeof kind, "a partition table (%s)", t->type);
    return set (&img->contents, e, "disk", kind);
  }
  sb = t->n_partitions ? volume_superblock (img->partitions[0], e) : NULL;
  if (!sb)
    return -1;
  snprintf (kind, sizeof kind, "%s without a partition table", sb->type);
  return set (&img->contents, e, "filesystem", kind);
}

static int
look (struct image *img, struct err *e)
{
  struct iso iso;
  char kind[128];
  int over = 0;

  if (read_iso (img->disk, &iso, e) == -1)
    return -1;
  if (iso.there && iso.boots)
    over = is_installed_over (img, e);
  if (over == -1)
    return -1;
  if (!iso.there || !iso.boots || over)
    return contents_of_disk (img, e);
  snprintf (kind, sizeof kind, "bootable ISO 9660 image '%s'%s", iso.label,
            iso.udf ? ", with UDF" : "");
  return set (&img->contents, e, "installer", kind);
}

int
contents_compute (void *arg, struct err *e)
{
  struct image *img = arg;

  fact_free (&img->contents);
  return look (img, e);
}
