/* xrayfs: ISO 9660
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of several sessions the one whose descriptors lie at sector 16 is shown, as
 * Linux does of anything but a CD drive, which alone knows where the last one
 * begins; writers of other media keep sector 16 up to date.
 */
#include "fs/iso9660.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/cache.h"

/* ECMA-119, 6.7.1: the first descriptor; Linux looks at so many. */
#define FIRST_DESCRIPTOR 16
#define LAST_DESCRIPTOR  100
enum { BOOT_RECORD = 0, PRIMARY = 1, SUPPLEMENTARY = 2, TERMINATOR = 255 };
#define ROOT_RECORD 156 /* 8.4.18 */

static int
iso_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct iso *iso = fs->priv;
  struct iso_node *n;

  if (iso_node_get (iso, ino, &n, e) == -1)
    return -1;
  *ret = (struct fs_stat){
    .ino = ino / 32, /* no record is shorter */
    .mode = n->mode,
    .nlink = n->nlink,
    .uid = n->uid,
    .gid = n->gid,
    .size = n->size,
    .blocks = n->blocks,
    .blksize = iso->block_size,
    .rdev = n->rdev,
    .atime = n->atime,
    .mtime = n->mtime,
    .ctime = n->ctime,
  };
  return 0;
}

static int
iso_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  struct iso_node *n;

  if (iso_node_get (fs->priv, ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n->mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (n->link.len == 0)
    return err_set (e, EIO, "symbolic link without a target");
  buf_add (ret, n->link.data, n->link.len);
  return buf_check (ret, e);
}

/* --- file data ------------------------------------------------------- */

static int
get_file (struct iso *iso, uint64_t ino, struct iso_node **ret, struct err *e)
{
  if (iso_node_get (iso, ino, ret, e) == -1)
    return -1;
  if (fs_regular ((*ret)->mode, e) == -1)
    return -1;
  if ((*ret)->unreadable)
    return err_set (e, ENOTSUP, "%s", (*ret)->unreadable);
  return 0;
}

/* The section that has OFF, which lies within N's data; *RET_SKIP: bytes
 * before it. */
static const struct iso_section *
section_at (const struct iso_node *n, uint64_t off, uint64_t *ret_skip)
{
  const struct iso_section *s = n->sections.items;

  for (; off >= s->size; s++)
    off -= s->size;
  *ret_skip = off;
  return s;
}

static int
iso_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
         struct extent *ret, struct err *e)
{
  const struct iso_section *s;
  struct iso_node *n;
  uint64_t skip;

  if (get_file (fs->priv, ino, &n, e) == -1)
    return -1;
  if (n->block_log) {
    *ret = extent_of (EXTENT_COMPRESSED, len);
    return 0;
  }
  s = section_at (n, off, &skip);
  *ret = extent_data (MIN (len, s->size - skip), fs->block, s->start + skip);
  return 0;
}

static int
iso_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
           struct err *e)
{
  struct iso_node *n;

  if (get_file (fs->priv, ino, &n, e) == -1)
    return -1;
  return iso_zisofs_read (fs->priv, n, buf, len, off, e);
}

int
iso_read_data (struct iso *iso, const struct iso_node *n, uint64_t off,
               void *buf, size_t len, struct err *e)
{
  const struct iso_section *s;
  uint64_t skip;
  size_t here;

  for (char *to = buf; len > 0; to += here, off += here, len -= here) {
    s = section_at (n, off, &skip);
    here = MIN (len, s->size - skip);
    if (iso_read (iso, s->start + skip, to, here, e) == -1)
      return -1;
  }
  return 0;
}

/* --- descriptors (ECMA-119, 8) --------------------------------------- */

/* What the descriptors said. */
struct descriptors {
  unsigned char primary[ISO_SECTOR], joliet[ISO_SECTOR];
  bool has_primary, has_joliet;
};

/* Joliet, Identifying Joliet Volumes: levels 1 to 3 of UCS-2. */
static bool
is_joliet (const unsigned char *p)
{
  return p[88] == '%' && p[89] == '/' &&
         (p[90] == '@' || p[90] == 'C' || p[90] == 'E');
}

/* False: that was the last one. */
static bool
keep_descriptor (struct iso *iso, struct descriptors *d,
                 const unsigned char *p)
{
  if (memcmp (p + 1, "CD001", 5) != 0)
    return true;
  switch (p[0]) {
  case BOOT_RECORD: /* El Torito 1.0, figure 7 */
    iso->boots |= !memcmp (p + 7, "EL TORITO SPECIFICATION", 23);
    break;
  case PRIMARY:
    if (!d->has_primary)
      memcpy (d->primary, p, ISO_SECTOR);
    d->has_primary = true;
    break;
  case SUPPLEMENTARY:
    if (!d->has_joliet && is_joliet (p)) {
      memcpy (d->joliet, p, ISO_SECTOR);
      d->has_joliet = true;
    }
    break;
  }
  return p[0] != TERMINATOR;
}

static int
read_descriptors (struct iso *iso, struct descriptors *d, struct err *e)
{
  unsigned char p[ISO_SECTOR];

  *d = (struct descriptors){ 0 };
  for (uint64_t i = FIRST_DESCRIPTOR; i < LAST_DESCRIPTOR; i++) {
    if (!range_within (i * ISO_SECTOR, ISO_SECTOR, iso->block->size))
      break;
    if (iso_read (iso, i * ISO_SECTOR, p, sizeof p, e) == -1)
      return err_in (e, "volume descriptors");
    if (i == FIRST_DESCRIPTOR && !memcmp (p + 9, "CDROM", 5))
      return err_set (e, ENOTSUP, "High Sierra, the format before ISO 9660");
    if (!keep_descriptor (iso, d, p))
      break;
  }
  if (!d->has_primary && !d->has_joliet)
    return err_set (e, EIO, "no volume descriptor");
  return 0;
}

static int
check_sizes (struct iso *iso, const unsigned char *p, struct err *e)
{
  iso->block_size = load_le16 (p + 128);
  if (iso->block_size != 512 && iso->block_size != 1024 &&
      iso->block_size != 2048)
    return err_set (e, EIO, "impossible block size %" PRIu32,
                    iso->block_size);
  iso->size = iso_block_offset (iso, load_le32 (p + 80));
  return 0;
}

/* Some writers left the root of a volume with Rock Ridge empty, and that of
 * Joliet not: Linux then takes Joliet.  1, 0, or -1. */
static int
is_root_empty (struct iso *iso, uint64_t root, struct err *e)
{
  unsigned char record[ISO_RECORD_MAX];
  unsigned len = 1, n;

  for (n = 0; n < 3 && len; n++, root += len)
    if (iso_read_record (iso, root, record, &len, e) == -1)
      return -1;
  return len == 0;
}

/* Which tree is shown, and how. */
static int
choose_names (struct iso *iso, const struct descriptors *d, uint64_t *ret,
              struct err *e)
{
  unsigned char record[ISO_RECORD_MAX];
  uint64_t plain = iso_record_start (iso, d->primary + ROOT_RECORD);
  uint64_t joliet = iso_record_start (iso, d->joliet + ROOT_RECORD);
  unsigned len = 0;
  int empty = 0;

  iso->joliet = d->has_joliet;
  if (d->has_primary) {
    if (iso_read_record (iso, plain, record, &len, e) == -1)
      return -1;
    if (len == 0)
      return err_set (e, EIO, "it is not there");
    iso->root = plain;
    if (iso_rock_detect (iso, record, e) == -1)
      return -1;
  }
  if (iso->rock_ridge && iso->joliet)
    empty = is_root_empty (iso, plain, e);
  if (empty == -1)
    return -1;
  if (iso->joliet && (!iso->rock_ridge || empty))
    iso->names = ISO_JOLIET;
  else
    iso->names = iso->rock_ridge ? ISO_ROCK_RIDGE : ISO_PLAIN;
  *ret = iso->names == ISO_JOLIET ? joliet : plain;
  return 0;
}

static int
iso_mount (struct fs *fs, struct err *e)
{
  struct iso *iso = calloc (1, sizeof *iso);
  CLEANUP_FREE struct descriptors *d = malloc (sizeof *d);
  struct iso_node *root;

  fs->priv = iso;
  if (!iso || !d)
    return err_set (e, ENOMEM, "out of memory");
  iso->block = fs->block;
  iso->cache_owner = cache_new_owner ();
  iso->zisofs_owner = cache_new_owner ();
  if (read_descriptors (iso, d, e) == -1 ||
      check_sizes (iso, d->has_primary ? d->primary : d->joliet, e) == -1)
    return -1;
  if (choose_names (iso, d, &fs->root, e) == -1 ||
      iso_node_get (iso, fs->root, &root, e) == -1)
    return err_in (e, "root directory");
  if (!S_ISDIR (root->mode))
    return err_set (e, EIO, "root is not a directory");
  return 0;
}

static void
iso_unmount (struct fs *fs)
{
  struct iso *iso = fs->priv;

  if (!iso)
    return;
  for (size_t i = 0; i < ISO_NODES; i++)
    iso_node_forget (&iso->nodes[i]);
  free (iso);
}

/* --- the filesystem as a whole --------------------------------------- */

static int
iso_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  const struct iso *iso = fs->priv;
  const struct {
    bool is;
    const char *word;
  } words[] = {
    { iso->rock_ridge, "rock-ridge" },
    { iso->joliet, "joliet" },
    { iso->boots, "el-torito" },
  };

  ret->size = iso->size;
  ret->used = iso->size;
  ret->free = 0;
  ret->block_size = iso->block_size;
  snprintf (ret->state, sizeof ret->state, "clean");
  for (size_t i = 0; i < ARRAY_SIZE (words); i++)
    if (words[i].is)
      buf_add_word (&ret->features, words[i].word);
  return buf_check (&ret->features, e);
}

/* Numbers that the primary descriptor has in both byte orders (8.4): they
 * differ where somebody changed one of them. */
static void
check_both_orders (struct block_check *c, const unsigned char *p)
{
  static const struct {
    unsigned at, size;
    const char *what;
  } fields[] = {
    { 80, 4, "volume size" },
    { 120, 2, "volume set size" },
    { 124, 2, "volume number" },
    { 128, 2, "block size" },
    { 132, 4, "path table size" },
    { ROOT_RECORD + 2, 4, "root's place" },
    { ROOT_RECORD + 10, 4, "root's size" },
  };

  for (size_t i = 0; i < ARRAY_SIZE (fields); i++) {
    const unsigned char *f = p + fields[i].at;
    uint32_t le = fields[i].size == 4 ? load_le32 (f) : load_le16 (f);
    uint32_t be = fields[i].size == 4 ? load_be32 (f + 4) : load_be16 (f + 2);

    if (le != be)
      block_check_note (c,
                        "%s is %" PRIu32 " in little-endian, and %" PRIu32
                        " in big-endian order",
                        fields[i].what, le, be);
  }
}

static int
iso_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct iso *iso = fs->priv;
  CLEANUP_FREE struct descriptors *d = malloc (sizeof *d);

  if (!d)
    return err_set (e, ENOMEM, "out of memory");
  if (read_descriptors (iso, d, e) == -1)
    return -1;
  if (iso->size > fs->block->size)
    block_check_error (
        c, "volume has %" PRIu64 " bytes, of which %" PRIu64 " are there",
        iso->size, fs->block->size);
  if (d->has_primary)
    check_both_orders (c, d->primary);
  return 0;
}

static const char *const iso_types[] = { "iso9660", NULL };

const struct fs_ops iso9660_ops = {
  .name = "iso9660",
  .types = iso_types,
  .mount = iso_mount,
  .lookup = iso_lookup,
  .stat = iso_stat,
  .readdir = iso_readdir,
  .readlink = iso_readlink,
  .map = iso_map,
  .pread = iso_pread,
  .info = iso_info,
  .check = iso_check,
  .unmount = iso_unmount,
};
