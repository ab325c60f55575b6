/* xrayfs: exFAT: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "fs/exfat.h"

/* EXFAT, 3: a boot region has 11 sectors and one of checksums; its copy
 * follows. */
#define REGION 12

/* EXFAT, 3.4: without the fields that change while it is in use. */
static bool
is_volatile (size_t i)
{
  return i == 106 || i == 107 || i == 112;
}

static uint32_t
add_sector (uint32_t sum, const unsigned char *p, size_t len, bool first)
{
  for (size_t i = 0; i < len; i++)
    if (!first || !is_volatile (i))
      sum = (sum << 31) + (sum >> 1) + p[i];
  return sum;
}

int
exfat_boot_checksum (struct fat *f, unsigned start, struct err *e)
{
  unsigned char p[4096];
  uint32_t sum = 0;

  for (unsigned i = 0; i < REGION; i++) {
    if (fat_read (f, (uint64_t) (start + i) * f->sector_size, p,
                  f->sector_size, e) == -1)
      return err_in (e, "boot region");
    if (i < REGION - 1)
      sum = add_sector (sum, p, f->sector_size, i == 0);
  }
  for (size_t i = 0; i < f->sector_size; i += 4)
    if (load_le32 (p + i) != sum)
      return 0;
  return 1;
}

static int
check_copy (struct fat *f, struct block_check *c, struct err *e)
{
  unsigned char p[512];
  int r = exfat_boot_checksum (f, REGION, e);

  if (r == -1)
    return -1;
  if (r == 0) {
    block_check_note (c, "copy of the boot region: checksum is wrong");
    return 0;
  }
  if (fat_read (f, (uint64_t) REGION * f->sector_size, p, sizeof p, e) == -1)
    return err_in (e, "copy of the boot region");
  for (size_t i = 0; i < sizeof p; i++)
    if (!is_volatile (i) && p[i] != f->boot[i]) {
      block_check_note (c, "boot sector differs from its copy");
      break;
    }
  return 0;
}

/* Are the clusters of a chain that must be there marked as used? */
static int
check_used (struct fat *f, struct fat_chain *c, const char *what,
            struct block_check *check, struct err *e)
{
  const struct exfat_system *s = &f->exfat->bitmap;
  uint32_t cluster = 0, count = 0;
  struct fat_chain bitmap;
  unsigned char byte;

  fat_chain_init (&bitmap, s->cluster, div_up (s->size, fat_cluster_size (f)),
                  false);
  if (fat_chain_walk (f, c, e) == -1)
    return err_in (e, "%s", what);
  if (c->broken.code && (c->wanted == UINT64_MAX || c->count < c->wanted))
    block_check_error (check, "%s: %s", what, c->broken.msg);
  for (uint64_t i = 0; i < c->count; i++) {
    if (fat_chain_map (f, c, i, &cluster, &count, e) == -1 ||
        exfat_read_chain (f, &bitmap, (cluster - FAT_FIRST) / 8, &byte, 1,
                          e) == -1)
      return err_in (e, "%s", what);
    if (!(byte >> (cluster - FAT_FIRST) % 8 & 1)) {
      block_check_error (check, "%s: cluster %" PRIu32 " is marked as free",
                         what, cluster);
      break;
    }
  }
  return 0;
}

static int
check_system (struct fat *f, const char *what, uint32_t cluster,
              uint64_t wanted, struct block_check *c, struct err *e)
{
  struct fat_chain chain;

  fat_chain_init (&chain, cluster, wanted, false);
  return check_used (f, &chain, what, c, e);
}

/* All that can be looked at only where there is a bitmap. */
static int
check_bitmap (struct fat *f, struct block_check *c, struct err *e)
{
  const struct exfat *x = f->exfat;
  uint32_t size = fat_cluster_size (f);
  struct fat_chain chain;
  uint64_t free = 0;

  if (x->bitmap.cluster == 0 || x->bitmap.size < div_up (f->clusters, 8)) {
    block_check_error (c, "allocation bitmap is not there");
    return 0;
  }
  fat_chain_init (&chain, x->bitmap.cluster, div_up (x->bitmap.size, size),
                  false);
  if (fat_chain_walk (f, &chain, e) == -1)
    return err_in (e, "allocation bitmap");
  if (chain.count < chain.wanted) {
    block_check_error (c, "allocation bitmap: %s", chain.broken.msg);
    return 0;
  }
  if (exfat_count_free (f, &free, e) == -1 ||
      check_system (f, "root directory", f->root_cluster, UINT64_MAX, c, e) ==
          -1 ||
      check_system (f, "allocation bitmap", x->bitmap.cluster,
                    div_up (x->bitmap.size, size), c, e) == -1)
    return -1;
  if (x->upcase.cluster == 0)
    return 0;
  return check_system (f, "up-case table", x->upcase.cluster,
                       div_up (x->upcase.size, size), c, e);
}

static int
check_upcase (struct fat *f, struct block_check *c, struct err *e)
{
  CLEANUP_FREE uint16_t *table = malloc (65536 * sizeof *table);
  int r;

  if (!table)
    return err_set (e, ENOMEM, "out of memory");
  r = exfat_read_upcase (f, table, e);
  if (r == 0)
    block_check_error (c, "up-case table is damaged or not there");
  return r == -1 ? -1 : 0;
}

int
exfat_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct fat *f = fs->priv;

  if (f->size > f->block->size)
    block_check_error (
        c, "filesystem has %" PRIu64 " bytes, its partition %" PRIu64,
        f->size, f->block->size);
  if (f->exfat->flags & EXFAT_MEDIA_FAILURE)
    block_check_error (c, "the medium had errors when it was used last");
  if (f->exfat->flags & EXFAT_VOLUME_DIRTY)
    block_check_note (c, "it was not unmounted");
  if (check_copy (f, c, e) == -1 || exfat_find_system (f, e) == -1 ||
      check_upcase (f, c, e) == -1)
    return -1;
  return check_bitmap (f, c, e);
}
