/* xrayfs: squashfs: inodes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each type of file has a short form and a long one, which has what is rare:
 * attributes, sizes of 64 bits, an index of directories.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"
#include "fs/squashfs.h"

#define BASE      16    /* bytes that all have */
#define MAX_INODE 56    /* of the fixed part */
#define MAX_LINK  65535 /* mksquashfs; Linux makes none beyond 4095 */

/* Types: 1 to 7, and 7 more for the long forms. */
enum { DIRECTORY = 1, FILE_, SYMLINK, BLOCK_DEVICE, CHARACTER_DEVICE };
#define LONG 7

static const struct {
  mode_t type;
  unsigned char size;
} forms[] = {
  [DIRECTORY] = { S_IFDIR, 32 },
  [FILE_] = { S_IFREG, 32 },
  [SYMLINK] = { S_IFLNK, 24 },
  [BLOCK_DEVICE] = { S_IFBLK, 24 },
  [CHARACTER_DEVICE] = { S_IFCHR, 24 },
  [6] = { S_IFIFO, 20 },
  [7] = { S_IFSOCK, 20 },
  [LONG + DIRECTORY] = { S_IFDIR, 40 },
  [LONG + FILE_] = { S_IFREG, 56 },
  [LONG + SYMLINK] = { S_IFLNK, 24 },
  [LONG + BLOCK_DEVICE] = { S_IFBLK, 28 },
  [LONG + CHARACTER_DEVICE] = { S_IFCHR, 28 },
  [LONG + 6] = { S_IFIFO, 24 },
  [LONG + 7] = { S_IFSOCK, 24 },
};

/* --- the types ------------------------------------------------------- */

static void
take_directory (struct squashfs *s, struct squashfs_node *n, const char *p,
                bool is_long)
{
  n->listing.end = s->sb.tables;
  n->listing.block =
      s->sb.directory_table + load_le32 (p + (is_long ? 24 : 16));
  n->listing.offset = load_le16 (p + (is_long ? 34 : 26));
  n->nlink = load_le32 (p + (is_long ? 16 : 20));
  n->size = is_long ? load_le32 (p + 20) : load_le16 (p + 24);
  if (is_long)
    n->xattr = load_le32 (p + 36);
}

static int
take_file (struct squashfs *s, struct squashfs_node *n, const char *p,
           bool is_long, struct err *e)
{
  uint64_t sparse = is_long ? load_le64 (p + 32) : 0;

  n->start = is_long ? load_le64 (p + 16) : load_le32 (p + 16);
  n->size = is_long ? load_le64 (p + 24) : load_le32 (p + 28);
  n->nlink = is_long ? load_le32 (p + 40) : 1;
  n->fragment = load_le32 (p + (is_long ? 44 : 20));
  n->fragment_offset = load_le32 (p + (is_long ? 48 : 24));
  if (is_long)
    n->xattr = load_le32 (p + 52);
  if (n->size > INT64_MAX || sparse > n->size)
    return err_set (e, EIO, "file of %" PRIu64 " bytes, %" PRIu64 " of holes",
                    n->size, sparse);
  n->blocks = div_up (n->size - sparse, 512);
  n->n_blocks = n->fragment == SQUASHFS_NONE
                    ? div_up (n->size, s->sb.block_size)
                    : n->size >> s->sb.block_log;
  n->spacing = SQUASHFS_METADATA / 4;
  n->last = (struct squashfs_checkpoint){ 0, n->start, n->rest.block,
                                          n->rest.offset };
  return 0;
}

static int
take_link (struct squashfs *s, struct squashfs_node *n, const char *p,
           bool is_long, struct err *e)
{
  struct squashfs_place at = n->rest;
  char xattr[4];

  n->nlink = load_le32 (p + 16);
  n->size = load_le32 (p + 20);
  if (n->size == 0 || n->size > MAX_LINK)
    return err_set (e, EIO, "symbolic link of %" PRIu64 " bytes", n->size);
  if (!is_long)
    return 0;
  if (squashfs_read_metadata (s, &at, NULL, n->size, e) == -1 ||
      squashfs_read_metadata (s, &at, xattr, sizeof xattr, e) == -1)
    return -1;
  n->xattr = load_le32 (xattr);
  return 0;
}

/* As Linux packs them: 12 bits of the major number between 8 and 12 of the
 * minor one. */
static void
take_device (struct squashfs_node *n, const char *p, bool is_long)
{
  uint32_t dev = load_le32 (p + 20);

  n->nlink = load_le32 (p + 16);
  n->rdev = makedev (dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00));
  if (is_long)
    n->xattr = load_le32 (p + 24);
}

static int
take (struct squashfs *s, struct squashfs_node *n, const char *p,
      unsigned type, struct err *e)
{
  bool is_long = type > LONG;

  switch (is_long ? type - LONG : type) {
  case DIRECTORY:
    take_directory (s, n, p, is_long);
    return 0;
  case FILE_:
    return take_file (s, n, p, is_long, e);
  case SYMLINK:
    return take_link (s, n, p, is_long, e);
  case BLOCK_DEVICE:
  case CHARACTER_DEVICE:
    take_device (n, p, is_long);
    return 0;
  default:
    n->nlink = load_le32 (p + 16);
    if (is_long)
      n->xattr = load_le32 (p + 20);
    return 0;
  }
}

/* --- reading --------------------------------------------------------- */

static int
read_id (struct squashfs *s, unsigned index, uint32_t *ret, struct err *e)
{
  char id[4];

  if (index >= s->sb.ids)
    return err_set (e, EIO, "owner %u of %u", index, s->sb.ids);
  if (squashfs_read_entry (s, s->sb.id_table, index, id, sizeof id, e) == -1)
    return err_in (e, "owner %u", index);
  *ret = load_le32 (id);
  return 0;
}

/* Linux counts the attributes. */
static int
add_xattr_blocks (struct squashfs *s, struct squashfs_node *n, struct err *e)
{
  uint32_t size = 0;

  if (n->xattr == SQUASHFS_NONE || s->sb.xattr_table == SQUASHFS_ABSENT)
    return 0;
  if (squashfs_xattr_size (s, n->xattr, &size, e) == -1)
    return -1;
  n->blocks += div_up (size, 512);
  return 0;
}

static int
node_read (struct squashfs *s, uint64_t ino, struct squashfs_node *n,
           struct err *e)
{
  struct squashfs_place at = { .block = s->sb.inode_table + (ino >> 16),
                               .offset = ino & 0xffff,
                               .end = s->sb.directory_table };
  char p[MAX_INODE];
  unsigned type;

  if (squashfs_read_metadata (s, &at, p, BASE, e) == -1)
    return -1;
  type = load_le16 (p);
  if (type == 0 || type >= ARRAY_SIZE (forms))
    return err_set (e, EIO, "inode of unknown type %u", type);
  if (squashfs_read_metadata (s, &at, p + BASE, forms[type].size - BASE, e) ==
          -1 ||
      read_id (s, load_le16 (p + 4), &n->uid, e) == -1 ||
      read_id (s, load_le16 (p + 6), &n->gid, e) == -1)
    return -1;
  n->ino = ino;
  n->mode = forms[type].type | (load_le16 (p + 2) & 07777);
  n->mtime = load_le32 (p + 8);
  n->number = load_le32 (p + 12);
  n->xattr = SQUASHFS_NONE;
  n->rest = at;
  if (take (s, n, p, type, e) == -1)
    return -1;
  return add_xattr_blocks (s, n, e);
}

void
squashfs_node_forget (struct squashfs_node *n)
{
  free (n->checkpoints);
  *n = (struct squashfs_node){ 0 };
}

int
squashfs_node_get (struct squashfs *s, uint64_t ino,
                   struct squashfs_node **ret, struct err *e)
{
  struct squashfs_node *oldest = s->nodes;

  for (struct squashfs_node *n = s->nodes; n < s->nodes + SQUASHFS_NODES;
       n++) {
    if (n->ino == ino && n->used) {
      n->used = ++s->clock;
      *ret = n;
      return 0;
    }
    if (n->used < oldest->used)
      oldest = n;
  }
  squashfs_node_forget (oldest);
  if (node_read (s, ino, oldest, e) == -1) {
    squashfs_node_forget (oldest);
    return -1;
  }
  oldest->used = ++s->clock;
  *ret = oldest;
  return 0;
}
