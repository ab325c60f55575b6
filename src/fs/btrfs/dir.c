/* xrayfs: Btrfs: directories and extended attributes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, DIR_ITEM, DIR_INDEX and XATTR_ITEM, which have one form:
 * entries.  A directory has each entry twice: by the hash of its name, to be
 * looked up, and by the order in which they were made, to be listed.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "fs/btrfs/btrfs.h"

#define ENTRY_SIZE 30
#define MAX_NAME   255

/* CRC-32C that begins with ~1 and is not inverted at the end. */
uint32_t
btrfs_name_hash (const char *name, size_t len)
{
  return ~crc32c (1, name, len);
}

static unsigned
type_of (unsigned type)
{
  static const unsigned char types[] = {
    DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK
  };
  return type < ARRAY_SIZE (types) ? types[type] : DT_UNKNOWN;
}

static int
bad_entry (const struct btrfs_cursor *c, struct err *e)
{
  return err_set (e, EIO,
                  "entries at (%" PRIu64 " %u %" PRIu64 ") are cut off",
                  c->key.objectid, c->key.type, c->key.offset);
}

int
btrfs_entry_next (const struct btrfs_cursor *c, size_t *at,
                  struct btrfs_entry *ret, struct err *e)
{
  const char *p = c->data + *at;
  size_t left = c->size - *at, name_len, data_len;

  if (left == 0)
    return 0;
  if (left < ENTRY_SIZE)
    return bad_entry (c, e);
  data_len = load_le16 (p + 25);
  name_len = load_le16 (p + 27);
  if (name_len == 0 || name_len > MAX_NAME ||
      name_len + data_len > left - ENTRY_SIZE)
    return bad_entry (c, e);
  *ret = (struct btrfs_entry){ .location = btrfs_load_key (p),
                               .type = type_of ((unsigned char) p[29]),
                               .name = p + ENTRY_SIZE,
                               .data = p + ENTRY_SIZE + name_len,
                               .name_len = name_len,
                               .data_len = data_len };
  *at += ENTRY_SIZE + name_len + data_len;
  return 1;
}

/* --- directories ----------------------------------------------------- */

static int
get_dir (struct btrfs *b, uint64_t ino, struct btrfs_file *ret, struct err *e)
{
  struct btrfs_inode n;

  if (btrfs_inode_get (b, ino, &n, e) == -1)
    return -1;
  if (!S_ISDIR (n.st.mode))
    return err_set (e, ENOTDIR, "not a directory");
  *ret = n.file;
  return 0;
}

static int
follow (struct btrfs *b, const struct btrfs_file *dir,
        const struct btrfs_entry *entry, uint64_t *ret, struct err *e)
{
  struct btrfs_file f = { dir->root, entry->location.objectid, false };

  if (entry->location.type == BTRFS_ROOT_ITEM) {
    if (btrfs_cross (b, dir, entry->location.objectid, entry->name,
                     entry->name_len, &f, e) == -1)
      return -1;
  } else if (entry->location.type != BTRFS_INODE_ITEM)
    return err_set (e, EIO, "entry leads to an item of type %u",
                    entry->location.type);
  return btrfs_number (b, &f, ret, e);
}

/* 1: the caller wants no more. */
static int
give_entries (const struct btrfs_cursor *c, const struct btrfs_file *dir,
              fs_dirent_fn fn, void *arg, struct err *e)
{
  struct btrfs_entry entry;
  uint64_t ino;
  size_t at = 0;
  int r;

  while ((r = btrfs_entry_next (c, &at, &entry, e)) == 1) {
    if (follow (c->b, dir, &entry, &ino, e) == -1)
      return -1;
    if (fn (arg, entry.name, entry.name_len, ino, entry.type))
      return 1;
  }
  return r;
}

static bool
is_item_of (const struct btrfs_cursor *c, uint64_t inode, unsigned type)
{
  return c->key.objectid == inode && c->key.type == type;
}

int
btrfs_readdir (struct fs *fs, uint64_t ino, fs_dirent_fn fn, void *arg,
               struct err *e)
{
  struct btrfs *b = fs->priv;
  struct btrfs_file dir;
  int r, stop;

  if (get_dir (b, ino, &dir, e) == -1)
    return -1;
  if (dir.link)
    return 0;
  BTRFS_CURSOR (c, b, &dir.root->tree);
  r = btrfs_find_first (
      &c, &(struct btrfs_key){ dir.inode, BTRFS_DIR_INDEX, 0 }, e);
  for (; r == 1 && is_item_of (&c, dir.inode, BTRFS_DIR_INDEX);
       r = btrfs_next (&c, e)) {
    stop = give_entries (&c, &dir, fn, arg, e);
    if (stop)
      return stop == -1 ? -1 : 0;
  }
  return r == -1 ? -1 : 0;
}

int
btrfs_lookup (struct fs *fs, uint64_t ino, const char *name, size_t len,
              uint64_t *ret, struct err *e)
{
  struct btrfs *b = fs->priv;
  struct btrfs_entry entry;
  struct btrfs_file dir;
  size_t at = 0;
  int r = 0;

  if (get_dir (b, ino, &dir, e) == -1)
    return -1;
  BTRFS_CURSOR (c, b, &dir.root->tree);
  if (!dir.link && len <= MAX_NAME)
    r = btrfs_find (&c,
                    &(struct btrfs_key){ dir.inode, BTRFS_DIR_ITEM,
                                         btrfs_name_hash (name, len) },
                    e);
  while (r == 1 && (r = btrfs_entry_next (&c, &at, &entry, e)) == 1)
    if (entry.name_len == len && !memcmp (entry.name, name, len))
      return follow (b, &dir, &entry, ret, e);
  return r == -1 ? -1 : err_set (e, ENOENT, "no such file or directory");
}

/* --- extended attributes: with their namespaces, as getxattr(2) gives
 * them, access control lists too --------------------------------------- */

static int
give_xattrs (const struct btrfs_cursor *c, fs_xattr_fn fn, void *arg,
             struct err *e)
{
  char name[MAX_NAME + 1];
  struct btrfs_entry entry;
  size_t at = 0;
  int r;

  while ((r = btrfs_entry_next (c, &at, &entry, e)) == 1) {
    memcpy (name, entry.name, entry.name_len);
    name[entry.name_len] = '\0';
    if (memchr (name, '\0', entry.name_len))
      return err_set (e, EIO, "extended attribute: NUL in its name");
    if (fn (arg, name, entry.data, entry.data_len))
      return 1;
  }
  return r;
}

int
btrfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
              struct err *e)
{
  struct btrfs *b = fs->priv;
  struct btrfs_file f;
  int r, stop;

  if (btrfs_file (b, ino, &f, e) == -1)
    return -1;
  if (f.link)
    return 0;
  BTRFS_CURSOR (c, b, &f.root->tree);
  r = btrfs_find_first (
      &c, &(struct btrfs_key){ f.inode, BTRFS_XATTR_ITEM, 0 }, e);
  for (; r == 1 && is_item_of (&c, f.inode, BTRFS_XATTR_ITEM);
       r = btrfs_next (&c, e)) {
    stop = give_xattrs (&c, fn, arg, e);
    if (stop)
      return stop == -1 ? -1 : 0;
  }
  return r == -1 ? -1 : 0;
}
