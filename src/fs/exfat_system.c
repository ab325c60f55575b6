/* xrayfs: exFAT: the bitmap of clusters, the up-case table
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "fs/exfat.h"

#define BITMAP 0x81
#define UPCASE 0x82

/* EXFAT, 7.1 and 7.2.  With two tables there are two bitmaps. */
static void
take_slot (struct exfat *x, const unsigned char *slot)
{
  struct exfat_system s = { .cluster = load_le32 (slot + 20),
                            .size = load_le64 (slot + 24) };
  unsigned active = x->n_fats == 2 ? x->flags & EXFAT_SECOND_FAT : 0;

  if (slot[0] == BITMAP && (slot[1] & 1U) == active)
    x->bitmap = s;
  if (slot[0] == UPCASE) {
    x->upcase = s;
    x->upcase.checksum = load_le32 (slot + 4);
  }
}

int
exfat_find_system (struct fat *f, struct err *e)
{
  const unsigned char *slot = NULL;
  struct fat_dir d = { .f = f };
  uint64_t at = 0;
  int r;

  if (f->exfat->found)
    return 0;
  if (fat_node_get (f, FAT_ROOT_INO, &d.n, e) == -1)
    return -1;
  while ((r = fat_dir_slot (&d, d.pos, &slot, &at, e)) == 1 && slot[0]) {
    take_slot (f->exfat, slot);
    d.pos += FAT_SLOT;
  }
  if (r == -1)
    return err_in (e, "root directory");
  f->exfat->found = true;
  return 0;
}

int
exfat_read_chain (struct fat *f, struct fat_chain *c, uint64_t pos, void *buf,
                  size_t len, struct err *e)
{
  uint32_t cluster = 0, count = 0;
  uint64_t skip;
  size_t n;

  for (char *to = buf; len > 0; to += n, pos += n, len -= n) {
    if (fat_chain_map (f, c, pos >> f->cluster_log, &cluster, &count, e) ==
        -1)
      return -1;
    skip = pos & (fat_cluster_size (f) - 1);
    n = MIN (len, ((uint64_t) count << f->cluster_log) - skip);
    if (block_pread (f->block, to, n, fat_cluster_at (f, cluster) + skip,
                     e) == -1)
      return -1;
  }
  return 0;
}

/* --- the up-case table ----------------------------------------------- */

/* EXFAT, 7.2.2 */
static uint32_t
table_checksum (const unsigned char *p, size_t len)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < len; i++)
    sum = (sum << 31) + (sum >> 1) + p[i];
  return sum;
}

/* EXFAT, 7.2.5.1: 0xffff and a number: so many stand for themselves. */
static void
expand (const unsigned char *p, size_t units, uint16_t *ret)
{
  size_t c = 0;

  for (uint32_t i = 0; i < 65536; i++)
    ret[i] = (uint16_t) i;
  for (size_t i = 0; i < units && c < 65536; i++) {
    uint16_t unit = load_le16 (p + 2 * i);

    if (unit == 0xffff && i + 1 < units)
      c += load_le16 (p + 2 * ++i);
    else
      ret[c++] = unit;
  }
}

int
exfat_read_upcase (struct fat *f, uint16_t *ret, struct err *e)
{
  const struct exfat_system *s = &f->exfat->upcase;
  CLEANUP_FREE unsigned char *buf = NULL;
  struct fat_chain c;

  if (exfat_find_system (f, e) == -1)
    return -1;
  /* Without any shorthand it has a word for each of UTF-16's. */
  if (s->cluster == 0 || s->size == 0 || s->size > 65536 * 2)
    return 0;
  buf = malloc (s->size);
  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  fat_chain_init (&c, s->cluster, div_up (s->size, fat_cluster_size (f)),
                  false);
  if (exfat_read_chain (f, &c, 0, buf, s->size, e) == -1)
    return c.broken.code ? err_clear (e), 0 : err_in (e, "up-case table");
  if (table_checksum (buf, s->size) != s->checksum)
    return 0;
  expand (buf, s->size / 2, ret);
  return 1;
}

/* One that is damaged is as good as none: like Linux, the usual one is taken
 * then, and the check says so. */
int
exfat_load_upcase (struct fat *f, struct err *e)
{
  int r = exfat_read_upcase (f, f->exfat->table, e);

  if (r == -1)
    return -1;
  f->upcase = r == 1 ? f->exfat->table : fat_default_upcase ();
  return 0;
}

/* --- the bitmap ------------------------------------------------------ */

#define COUNTED 65536

static int
count_used (struct fat *f, struct fat_chain *c, uint64_t *ret, struct err *e)
{
  uint64_t bytes = div_up (f->clusters, 8), used = 0;
  CLEANUP_FREE unsigned char *buf = malloc (COUNTED);
  size_t n;

  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  for (uint64_t pos = 0; pos < bytes; pos += n) {
    n = MIN (COUNTED, bytes - pos);
    if (exfat_read_chain (f, c, pos, buf, n, e) == -1)
      return -1;
    if (pos + n == bytes && f->clusters % 8)
      buf[n - 1] &= (unsigned char) ((1 << f->clusters % 8) - 1);
    for (size_t i = 0; i < n; i++)
      used += (uint64_t) __builtin_popcount (buf[i]);
  }
  *ret = used;
  return 0;
}

int
exfat_count_free (struct fat *f, uint64_t *ret, struct err *e)
{
  const struct exfat_system *s = &f->exfat->bitmap;
  struct fat_chain c;
  uint64_t used = 0;

  if (f->free_clusters == UINT64_MAX) {
    if (exfat_find_system (f, e) == -1)
      return -1;
    if (s->cluster == 0 || s->size < div_up (f->clusters, 8))
      return err_set (e, EIO, "allocation bitmap is not there");
    fat_chain_init (&c, s->cluster, div_up (s->size, fat_cluster_size (f)),
                    false);
    if (count_used (f, &c, &used, e) == -1)
      return err_in (e, "allocation bitmap");
    f->free_clusters = f->clusters - used;
  }
  *ret = f->free_clusters;
  return 0;
}
