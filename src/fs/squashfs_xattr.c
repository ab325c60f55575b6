/* xrayfs: squashfs: extended attributes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An inode has the number of a set; a table tells where each set lies: pairs
 * of name and value, a value either there or, if many have it, at a place
 * that stands instead of it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/squashfs.h"

#define MAX_VALUE 65536 /* Linux: XATTR_SIZE_MAX */
#define MAX_NAME  255   /* Linux: XATTR_NAME_MAX, with the prefix */
/* Of one inode: Linux lists 64 KiB of names, which have no more values than
 * this in practice. */
#define MAX_SET   (16 * MiB)
#define ELSEWHERE 0x100 /* the value */

struct set {
  struct squashfs_place at;
  uint32_t count, size;
  uint64_t table;
};

/* The list of the table's blocks begins with where the sets lie, and how many
 * there are. */
static int
find_set (struct squashfs *s, uint32_t id, struct set *ret, struct err *e)
{
  char head[SQUASHFS_XATTR_HEAD], entry[16];
  uint64_t ref;

  if (squashfs_read (s, s->sb.xattr_table, head, sizeof head, e) == -1)
    return err_in (e, "table of attributes");
  ret->table = load_le64 (head);
  if (ret->table >= s->sb.xattr_table || id >= load_le32 (head + 8))
    return err_set (e, EIO, "attributes %" PRIu32 " of %" PRIu32, id,
                    load_le32 (head + 8));
  if (squashfs_read_entry (s, s->sb.xattr_table + sizeof head, id, entry,
                           sizeof entry, e) == -1)
    return err_in (e, "attributes %" PRIu32, id);
  ref = load_le64 (entry);
  ret->count = load_le32 (entry + 8);
  ret->size = load_le32 (entry + 12);
  ret->at = (struct squashfs_place){ ret->table + (ref >> 16), ref & 0xffff,
                                     s->sb.xattr_table };
  return ref >> 48
             ? err_set (e, EIO,
                        "attributes %" PRIu32 " lie at an impossible place",
                        id)
             : 0;
}

int
squashfs_xattr_size (struct squashfs *s, uint32_t id, uint32_t *ret,
                     struct err *e)
{
  struct set set;

  if (find_set (s, id, &set, e) == -1)
    return -1;
  *ret = set.size;
  return 0;
}

/* Length and bytes of a value at AT. */
static int
read_value (struct squashfs *s, struct squashfs_place *at, struct buf *ret,
            struct err *e)
{
  char size[4], *to;
  uint32_t len;

  if (squashfs_read_metadata (s, at, size, sizeof size, e) == -1)
    return -1;
  len = load_le32 (size);
  if (len > MAX_VALUE)
    return err_set (e, EIO, "value of %" PRIu32 " bytes", len);
  buf_reset (ret);
  to = buf_reserve (ret, len);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (squashfs_read_metadata (s, at, to, len, e) == -1)
    return -1;
  ret->len += len;
  return 0;
}

static int
read_value_elsewhere (struct squashfs *s, struct set *set, struct buf *ret,
                      struct err *e)
{
  struct squashfs_place at = { .end = s->sb.xattr_table };
  uint64_t ref;

  if (read_value (s, &set->at, ret, e) == -1)
    return -1;
  if (ret->len != 8)
    return err_set (e, EIO, "value's place has %zu bytes", ret->len);
  ref = load_le64 (ret->data);
  if (ref >> 48)
    return err_set (e, EIO, "value lies at an impossible place");
  at.block = set->table + (ref >> 16);
  at.offset = ref & 0xffff;
  return read_value (s, &at, ret, e);
}

/* Adds prefix and name of an attribute. */
static int
read_name (struct squashfs *s, struct set *set, unsigned type, size_t len,
           struct buf *ret, struct err *e)
{
  static const char *const prefixes[] = { "user.", "trusted.", "security." };
  unsigned kind = type & 0xff;
  char *to;

  if (type & ~0x1ffu || kind >= ARRAY_SIZE (prefixes))
    return err_set (e, EIO, "name of unknown kind 0x%x", type);
  if (len == 0 || len > MAX_NAME)
    return err_set (e, EIO, "name of %zu bytes", len);
  buf_reset (ret);
  buf_puts (ret, prefixes[kind]);
  to = buf_reserve (ret, len);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (squashfs_read_metadata (s, &set->at, to, len, e) == -1)
    return -1;
  if (memchr (to, '\0', len))
    return err_set (e, EIO, "name holds a NUL");
  ret->len += len;
  buf_add (ret, "", 0);
  return buf_check (ret, e);
}

/* 0, 1 to stop, or -1. */
static int
give_next (struct squashfs *s, struct set *set, uint64_t *left,
           fs_xattr_fn fn, void *arg, struct err *e)
{
  CLEANUP_BUF struct buf name = { 0 }, value = { 0 };
  char head[4];
  unsigned type;
  int r;

  if (squashfs_read_metadata (s, &set->at, head, sizeof head, e) == -1)
    return -1;
  type = load_le16 (head);
  if (read_name (s, set, type, load_le16 (head + 2), &name, e) == -1)
    return -1;
  r = type & ELSEWHERE ? read_value_elsewhere (s, set, &value, e)
                       : read_value (s, &set->at, &value, e);
  if (r == -1)
    return -1;
  if (name.len + value.len > *left)
    return err_set (e, EIO, "more than %d bytes of one file", (int) MAX_SET);
  *left -= name.len + value.len;
  return fn (arg, name.data, buf_str (&value), value.len) ? 1 : 0;
}

int
squashfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                 struct err *e)
{
  struct squashfs *s = fs->priv;
  uint64_t left = MAX_SET;
  struct squashfs_node *n;
  struct set set;
  int r = 0;

  if (squashfs_node_get (s, ino, &n, e) == -1)
    return -1;
  if (n->xattr == SQUASHFS_NONE || s->sb.xattr_table == SQUASHFS_ABSENT)
    return 0;
  if (find_set (s, n->xattr, &set, e) == -1)
    return -1;
  for (uint32_t i = 0; i < set.count && r == 0; i++)
    r = give_next (s, &set, &left, fn, arg, e);
  return r == -1 ? err_in (e, "extended attributes") : 0;
}
