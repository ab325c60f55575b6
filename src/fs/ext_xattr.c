/* xrayfs: ext: extended attributes, and data kept in the inode
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Documentation/filesystems/ext4/attributes.rst.  An attribute lies in the
 * inode, in a block of its own, or (ea_inode) has an inode for its value.
 */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext.h"

#define ENTRY_SIZE   16
#define MAX_VALUE    65536 /* Linux: XATTR_SIZE_MAX */
#define BLOCK_HEADER 32

/* The indices of the names that Linux lists. */
enum { ACL_ACCESS = 2, ACL_DEFAULT = 3, SYSTEM = 7, N_PREFIXES = 11 };
static const char *const prefixes[N_PREFIXES] = {
  [1] = "user.",
  [ACL_ACCESS] = "system.posix_acl_access",
  [ACL_DEFAULT] = "system.posix_acl_default",
  [4] = "trusted.",
  [6] = "security.",
  [10] = "gnu.",
};

/* Attributes at FIRST, values at BASE + offset, all before END. */
struct area {
  const char *first, *base, *end;
};

/* One attribute as stored. */
struct attr {
  unsigned index;
  const char *name;
  size_t name_len;
  const char *value; /* NULL: it is in INODE */
  uint32_t inode;
  size_t len;
};

/* Non-zero stops; -1: with an error. */
typedef int (*attr_fn) (struct ext *x, void *arg, const struct attr *a,
                        struct err *e);

static int
bad_attr (struct err *e, const char *what)
{
  return err_set (e, EIO, "extended attributes: %s", what);
}

static int
parse_attr (const struct area *area, const char *p, struct attr *ret,
            struct err *e)
{
  unsigned offset = load_le16 (p + 2);

  *ret = (struct attr){
    .index = (unsigned char) p[1],
    .name = p + ENTRY_SIZE,
    .name_len = (unsigned char) p[0],
    .inode = load_le32 (p + 4),
    .len = load_le32 (p + 8),
  };
  if (ret->name_len > (size_t) (area->end - ret->name))
    return bad_attr (e, "name beyond the end");
  if (ret->len > MAX_VALUE)
    return bad_attr (e, "value is too long");
  if (ret->inode)
    return 0;
  if (!range_within (offset, ret->len, area->end - area->base))
    return bad_attr (e, "value beyond the end");
  ret->value = area->base + offset;
  return 0;
}

/* 0, 1 if FN stopped, or -1.  It ends: each step is at least ENTRY_SIZE. */
static int
each_in_area (struct ext *x, const struct area *area, attr_fn fn, void *arg,
              struct err *e)
{
  const char *p = area->first;
  struct attr a;
  int r;

  while (area->end - p >= 4 && load_le32 (p) != 0) {
    if (area->end - p < ENTRY_SIZE)
      return bad_attr (e, "entry beyond the end");
    if (parse_attr (area, p, &a, e) == -1)
      return -1;
    r = fn (x, arg, &a, e);
    if (r != 0)
      return r;
    if ((size_t) (area->end - p) < ENTRY_SIZE + round_up (a.name_len, 4))
      return bad_attr (e, "name beyond the end");
    p += ENTRY_SIZE + round_up (a.name_len, 4);
  }
  return 0;
}

/* In the inode, after its extra fields.  Works on a copy: what FN does may
 * make the inode leave memory. */
static int
each_in_inode (struct ext *x, struct ext_node *node, attr_fn fn, void *arg,
               struct err *e)
{
  CLEANUP_FREE char *copy = NULL;
  size_t at = EXT2_GOOD_OLD_INODE_SIZE + node->raw->i_extra_isize;
  const char *raw = (const char *) node->raw;

  if (x->inode_size <= EXT2_GOOD_OLD_INODE_SIZE ||
      node->raw->i_extra_isize == 0 || at + 8 > x->inode_size ||
      load_le32 (raw + at) != EXT2_EXT_ATTR_MAGIC)
    return 0;
  at += 4;
  copy = malloc (x->inode_size - at);
  if (!copy)
    return err_set (e, ENOMEM, "out of memory");
  memcpy (copy, raw + at, x->inode_size - at);
  return each_in_area (
      x, &(struct area){ copy, copy, copy + (x->inode_size - at) }, fn, arg,
      e);
}

static int
read_attr_block (struct ext *x, uint64_t ino, uint64_t nr, char *block,
                 struct err *e)
{
  if (ext_check_block (x, nr, e) == -1 ||
      ext_read_block (x, nr, block, e) == -1)
    return err_in (e, "extended attributes");
  if (load_le32 (block) != EXT2_EXT_ATTR_MAGIC || load_le32 (block + 8) != 1)
    return bad_attr (e, "wrong magic");
  if (!ext2fs_ext_attr_block_csum_verify (
          x->lib, ino, nr, (struct ext2_ext_attr_header *) block))
    return bad_attr (e, "checksum of the block is wrong");
  return 0;
}

static int
each_in_block (struct ext *x, struct ext_node *node, attr_fn fn, void *arg,
               struct err *e)
{
  uint64_t nr =
      ext2fs_file_acl_block (x->lib, (struct ext2_inode *) node->raw);
  CLEANUP_FREE char *block = NULL;

  if (nr == 0)
    return 0;
  block = malloc (x->block_size);
  if (!block)
    return err_set (e, ENOMEM, "out of memory");
  if (read_attr_block (x, node->ino, nr, block, e) == -1)
    return -1;
  return each_in_area (
      x, &(struct area){ block + BLOCK_HEADER, block, block + x->block_size },
      fn, arg, e);
}

/* --- data in the inode ----------------------------------------------- */

/* "system.data": what did not fit into i_block. */
static int
add_inline_rest (struct ext *x unused_arg, void *arg, const struct attr *a,
                 struct err *e)
{
  if (a->index != SYSTEM || a->name_len != 4 || memcmp (a->name, "data", 4))
    return 0;
  if (!a->value)
    return bad_attr (e, "inline data in another inode");
  buf_add (arg, a->value, a->len);
  return 1;
}

int
ext_inline_data (struct ext *x, struct ext_node *node, struct buf *ret,
                 struct err *e)
{
  buf_add (ret, node->raw->i_block, sizeof node->raw->i_block);
  if (each_in_inode (x, node, add_inline_rest, ret, e) == -1)
    return -1;
  return buf_check (ret, e);
}

/* --- attributes for others ------------------------------------------- */

/* Values in inodes have a checksum in the inode's access time; those that
 * old Lustre wrote have their owner's inode number as modification time. */
static int
check_value (struct ext *x, const struct ext_node *node, const char *value,
             size_t len, uint64_t owner, struct err *e)
{
  uint32_t sum = ext2fs_crc32c_le (x->lib->csum_seed,
                                   (const unsigned char *) value, len);

  if (sum != node->raw->i_atime && node->raw->i_mtime != (uint32_t) owner)
    return bad_attr (e, "checksum of a value is wrong");
  return 0;
}

static int
read_value (struct ext *x, const struct attr *a, uint64_t owner, char **ret,
            struct err *e)
{
  CLEANUP_FREE char *value = NULL;
  struct ext_node *node;

  if (!ext2fs_has_feature_ea_inode (x->lib->super))
    return bad_attr (e, "value in an inode without that feature");
  if (ext_node_get (x, a->inode, &node, e) == -1)
    return err_in (e, "value in inode %" PRIu32, a->inode);
  if (!(node->raw->i_flags & EXT4_EA_INODE_FL) || ext_is_inline (node) ||
      ext_size (x, node) != a->len)
    return bad_attr (e, "value in an inode that is none");
  value = malloc (a->len ? a->len : 1);
  if (!value)
    return err_set (e, ENOMEM, "out of memory");
  if (ext_read_small (x, node, value, a->len, e) == -1 ||
      check_value (x, node, value, a->len, owner, e) == -1)
    return err_in (e, "value in inode %" PRIu32, a->inode);
  *ret = steal_ptr (&value);
  return 0;
}

static void
put_le16 (char *p, uint16_t v)
{
  v = htole16 (v);
  memcpy (p, &v, sizeof v);
}

static void
put_le32 (char *p, uint32_t v)
{
  v = htole32 (v);
  memcpy (p, &v, sizeof v);
}

/* As stored: version 1, entries of tag and permissions, and of an id for
 * named users and groups only.  As getxattr(2) has it: version 2, and an id
 * (-1: none) in each. */
static int
convert_acl (const char *p, size_t len, struct buf *ret, struct err *e)
{
  char head[4], entry[8];
  unsigned tag;
  size_t size;

  if (len < 4 || load_le32 (p) != 1)
    return bad_attr (e, "access control list of another version");
  put_le32 (head, 2);
  buf_add (ret, head, sizeof head);
  for (size_t at = 4; at < len; at += size) {
    if (len - at < 4)
      return bad_attr (e, "access control list is cut off");
    tag = load_le16 (p + at);
    size = tag == 0x02 || tag == 0x08 ? 8 : 4; /* ACL_USER, ACL_GROUP */
    if (len - at < size)
      return bad_attr (e, "access control list is cut off");
    put_le16 (entry, tag);
    put_le16 (entry + 2, load_le16 (p + at + 2));
    put_le32 (entry + 4, size == 8 ? load_le32 (p + at + 4) : UINT32_MAX);
    buf_add (ret, entry, sizeof entry);
  }
  return buf_check (ret, e);
}

struct giver {
  fs_xattr_fn fn;
  void *arg;
  uint64_t owner;
};

static int
give_acl (struct giver *g, const struct attr *a, const char *value,
          struct err *e)
{
  CLEANUP_BUF struct buf acl = { 0 };

  /* Neither has a name of its own; an empty list is none. */
  if (a->name_len > 0 || a->len <= 4)
    return 0;
  if (convert_acl (value, a->len, &acl, e) == -1)
    return -1;
  return g->fn (g->arg, prefixes[a->index], acl.data, acl.len) ? 1 : 0;
}

static int
give_attr (struct ext *x, void *arg, const struct attr *a, struct err *e)
{
  struct giver *g = arg;
  CLEANUP_FREE char *read = NULL;
  CLEANUP_BUF struct buf name = { 0 };
  const char *value = a->value;

  if (a->index >= N_PREFIXES || !prefixes[a->index])
    return 0;
  if (!value) {
    if (read_value (x, a, g->owner, &read, e) == -1)
      return -1;
    value = read;
  }
  if (a->index == ACL_ACCESS || a->index == ACL_DEFAULT)
    return give_acl (g, a, value, e);
  if (a->name_len == 0 || memchr (a->name, '\0', a->name_len))
    return bad_attr (e, "impossible name");
  buf_puts (&name, prefixes[a->index]);
  buf_add (&name, a->name, a->name_len);
  if (buf_check (&name, e) == -1)
    return -1;
  return g->fn (g->arg, name.data, value, a->len) ? 1 : 0;
}

int
ext_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
            struct err *e)
{
  struct ext *x = fs->priv;
  struct giver g = { fn, arg, ino };
  struct ext_node *node;
  int r;

  if (ext_node_get (x, ino, &node, e) == -1)
    return -1;
  r = each_in_inode (x, node, give_attr, &g, e);
  /* What was given may have pushed the inode out of memory. */
  if (r == 0)
    r = ext_node_get (x, ino, &node, e);
  if (r == 0)
    r = each_in_block (x, node, give_attr, &g, e);
  return r == -1 ? -1 : 0;
}
