/* xrayfs: XFS: extended attributes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Extended Attributes.  They lie in the inode, or in the leaves of a
 * tree in the attribute fork; values that are too long for a leaf have blocks
 * of their own in the fork.
 */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define MAX_VALUE     65536      /* Linux: XATTR_SIZE_MAX */
#define REMOTE_MAGIC  0x5841524d /* "XARM" */
#define REMOTE_HEADER 56
#define MAX_ACL       ((MAX_VALUE - 4) / 12)

/* Flags of an entry.  One that is not complete is not there; parents belong
 * to the filesystem itself. */
enum {
  ATTR_LOCAL = 1,
  ATTR_ROOT = 2,
  ATTR_SECURE = 4,
  ATTR_PARENT = 8,
  ATTR_INCOMPLETE = 0x80
};

struct giver {
  fs_xattr_fn fn;
  void *arg;
  uint64_t left; /* bytes that values of their own may still have */
};

/* One attribute as stored. */
struct attr {
  unsigned flags;
  const char *name;
  size_t name_len;
  const char *value; /* NULL: from block value_lblk on */
  uint32_t value_lblk;
  size_t len;
};

static int
bad_attr (struct err *e, const char *what)
{
  return err_set (e, EIO, "extended attributes: %s", what);
}

/* --- values in blocks of their own ----------------------------------- */

static int
check_remote (const char *p, size_t done, size_t here, struct err *e)
{
  if (load_be32 (p) != REMOTE_MAGIC)
    return bad_attr (e, "value's block has a wrong magic");
  if (load_be32 (p + 4) != done || load_be32 (p + 8) != here)
    return bad_attr (e, "value's block holds another part");
  return 0;
}

/* In version 5 each block begins with a header. */
static int
read_remote (struct xfs *x, struct xfs_node *n, const struct attr *a,
             char *to, struct err *e)
{
  size_t header = xfs_is_v5 (x) ? REMOTE_HEADER : 0, here;
  uint64_t lblk = a->value_lblk;

  for (size_t done = 0; done < a->len; done += here, lblk++) {
    here = MIN (a->len - done, x->sb.block_size - header);
    if (xfs_read_fork (x, XFS_REMOTE, n, XFS_ATTR_FORK, lblk,
                       x->sb.block_size, x->table_block, e) == -1 ||
        (header && check_remote (x->table_block, done, here, e) == -1))
      return -1;
    memcpy (to + done, x->table_block + header, here);
  }
  return 0;
}

/* --- access control lists -------------------------------------------- */

static void
put_le16 (struct buf *b, uint16_t v)
{
  v = htole16 (v);
  buf_add (b, &v, sizeof v);
}

static void
put_le32 (struct buf *b, uint32_t v)
{
  v = htole32 (v);
  buf_add (b, &v, sizeof v);
}

/* As stored: a count, and entries of tag, id and permissions.  As getxattr(2)
 * has it: a version, and an id (-1: none) in each entry. */
static int
convert_acl (const char *p, size_t len, struct buf *ret, struct err *e)
{
  uint32_t n = len < 4 ? UINT32_MAX : load_be32 (p), tag;

  if (n > MAX_ACL || len < 4 + (size_t) n * 12)
    return bad_attr (e, "access control list is cut off");
  put_le32 (ret, 2);
  for (const char *q = p + 4; n > 0; n--, q += 12) {
    tag = load_be32 (q);
    put_le16 (ret, tag);
    put_le16 (ret, load_be16 (q + 8));
    put_le32 (ret,
              tag == 0x02 || tag == 0x08 ? load_be32 (q + 4) : UINT32_MAX);
  }
  return buf_check (ret, e);
}

/* Linux gives them under both names. */
static int
give_acl (struct giver *g, const struct attr *a, const char *value,
          struct err *e)
{
  static const char *const names[][2] = {
    { "SGI_ACL_FILE", "system.posix_acl_access" },
    { "SGI_ACL_DEFAULT", "system.posix_acl_default" },
  };
  CLEANUP_BUF struct buf acl = { 0 };

  if (!(a->flags & ATTR_ROOT))
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (a->name_len == strlen (names[i][0]) &&
        !memcmp (a->name, names[i][0], a->name_len)) {
      if (convert_acl (value, a->len, &acl, e) == -1)
        return -1;
      return g->fn (g->arg, names[i][1], acl.data, acl.len) ? 1 : 0;
    }
  return 0;
}

/* --- giving ---------------------------------------------------------- */

static const char *
prefix_of (unsigned flags)
{
  if (flags & ATTR_ROOT)
    return "trusted.";
  return flags & ATTR_SECURE ? "security." : "user.";
}

static int
give_value (struct giver *g, const struct attr *a, const char *value,
            struct err *e)
{
  CLEANUP_BUF struct buf name = { 0 };
  int r = give_acl (g, a, value, e);

  if (r != 0)
    return r;
  if (a->name_len == 0 || memchr (a->name, '\0', a->name_len))
    return bad_attr (e, "impossible name");
  buf_puts (&name, prefix_of (a->flags));
  buf_add (&name, a->name, a->name_len);
  if (buf_check (&name, e) == -1)
    return -1;
  return g->fn (g->arg, name.data, value, a->len) ? 1 : 0;
}

/* 0, 1 to stop, or -1. */
static int
give (struct xfs *x, struct xfs_node *n, struct giver *g,
      const struct attr *a, struct err *e)
{
  CLEANUP_FREE char *remote = NULL;

  if (a->flags & (ATTR_INCOMPLETE | ATTR_PARENT))
    return 0;
  if (a->value)
    return give_value (g, a, a->value, e);
  if (a->len > MAX_VALUE)
    return bad_attr (e, "value is too long");
  if (a->len > g->left)
    return bad_attr (e, "larger than the filesystem");
  g->left -= a->len;
  remote = malloc (a->len ? a->len : 1);
  if (!remote)
    return err_set (e, ENOMEM, "out of memory");
  if (read_remote (x, n, a, remote, e) == -1)
    return -1;
  return give_value (g, a, remote, e);
}

/* --- in the inode ---------------------------------------------------- */

static int
each_short (struct xfs *x, struct xfs_node *n, struct giver *g, struct err *e)
{
  const struct xfs_fork *f = &n->forks[XFS_ATTR_FORK];
  size_t end = load_be16 (f->data), at = 4;
  const char *p;
  struct attr a;
  int r = 0;

  if (end < 4 || end > f->size)
    return bad_attr (e, "impossible size");
  for (unsigned left = (unsigned char) f->data[2]; left > 0 && r == 0;
       left--) {
    if (end - at < 3)
      return bad_attr (e, "entry beyond the end");
    p = f->data + at;
    a = (struct attr){ .flags = (unsigned char) p[2],
                       .name = p + 3,
                       .name_len = (unsigned char) p[0],
                       .value = p + 3 + (unsigned char) p[0],
                       .len = (unsigned char) p[1] };
    if (3 + a.name_len + a.len > end - at)
      return bad_attr (e, "entry beyond the end");
    at += 3 + a.name_len + a.len;
    r = give (x, n, g, &a, e);
  }
  return r;
}

/* --- leaves ---------------------------------------------------------- */

static size_t
leaf_header (const struct xfs *x)
{
  return xfs_is_v5 (x) ? 80 : 32;
}

/* Length of the value, of the name, name, value. */
static int
parse_local (const char *p, size_t left, struct attr *ret, struct err *e)
{
  if (left < 3)
    return bad_attr (e, "entry beyond the end");
  ret->len = load_be16 (p);
  ret->name_len = (unsigned char) p[2];
  ret->name = p + 3;
  ret->value = p + 3 + ret->name_len;
  if (3 + ret->name_len + ret->len > left)
    return bad_attr (e, "entry beyond the end");
  return 0;
}

/* Block and length of the value, length of the name, name. */
static int
parse_remote (const char *p, size_t left, struct attr *ret, struct err *e)
{
  if (left < 9 || 9u + (unsigned char) p[8] > left)
    return bad_attr (e, "entry beyond the end");
  ret->value_lblk = load_be32 (p);
  ret->len = load_be32 (p + 4);
  ret->name_len = (unsigned char) p[8];
  ret->name = p + 9;
  return 0;
}

static int
give_entry (struct xfs *x, struct xfs_node *n, struct giver *g, unsigned i,
            struct err *e)
{
  const char *entry = x->leaf_block + leaf_header (x) + (size_t) i * 8;
  size_t at = load_be16 (entry + 4), size = x->sb.block_size;
  struct attr a = { .flags = (unsigned char) entry[6] };
  int r;

  if (at < leaf_header (x) || at >= size)
    return bad_attr (e, "entry beyond the end");
  if (a.flags & ATTR_LOCAL)
    r = parse_local (x->leaf_block + at, size - at, &a, e);
  else
    r = parse_remote (x->leaf_block + at, size - at, &a, e);
  return r == -1 ? -1 : give (x, n, g, &a, e);
}

static int
each_in_leaf (struct xfs *x, struct xfs_node *n, struct giver *g,
              struct err *e)
{
  unsigned count = load_be16 (x->leaf_block + xfs_da_info_size (x));
  int r = 0;

  if (count > (x->sb.block_size - leaf_header (x)) / 8)
    return bad_attr (e, "too many entries");
  for (unsigned i = 0; i < count && r == 0; i++)
    r = give_entry (x, n, g, i, e);
  return r;
}

/* From the first leaf on, as they follow each other.  A circle comes back to
 * the leaf that is remembered, which is always one of the later half. */
static int
each_leaf (struct xfs *x, struct xfs_node *n, struct giver *g, struct err *e)
{
  uint64_t lblk = 0, remembered = 0, seen = 0;
  size_t size = x->sb.block_size;
  int r = xfs_da_leaf (x, n, XFS_ATTR_FORK, &lblk, 0, x->leaf_block, size, e);

  while (r == 0) {
    if (xfs_da_magic (x, x->leaf_block) != XFS_ATTR_LEAF)
      return bad_attr (e, "wrong magic");
    if (is_power_of_2 (++seen))
      remembered = lblk;
    r = each_in_leaf (x, n, g, e);
    lblk = xfs_da_next (x->leaf_block);
    if (r != 0 || lblk == 0)
      return r;
    if (lblk == remembered)
      return bad_attr (e, "leaves in a circle");
    r = xfs_read_fork (x, XFS_DA, n, XFS_ATTR_FORK, lblk, size, x->leaf_block,
                       e);
  }
  return err_in (e, "extended attributes");
}

int
xfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
            struct err *e)
{
  struct xfs *x = fs->priv;
  struct giver g = { fn, arg, x->sb.present << x->sb.block_log };
  const struct xfs_fork *f;
  struct xfs_node *n;
  int r;

  if (xfs_node_get (x, ino, &n, e) == -1)
    return -1;
  f = &n->forks[XFS_ATTR_FORK];
  if (!f->data || (f->format == XFS_EXTENTS && f->n_extents == 0))
    return 0;
  r = f->format == XFS_LOCAL ? each_short (x, n, &g, e)
                             : each_leaf (x, n, &g, e);
  return r == -1 ? -1 : 0;
}
