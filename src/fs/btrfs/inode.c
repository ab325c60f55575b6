/* xrayfs: Btrfs: inodes
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define INODE_SIZE 160

static struct timespec
load_time (const char *p)
{
  uint32_t ns = load_le32 (p + 8);

  return (struct timespec){ .tv_sec = (int64_t) load_le64 (p),
                            .tv_nsec = ns < 1000000000 ? ns : 0 };
}

/* Stored as Linux has it in memory: 20 bits are the minor number. */
static dev_t
load_rdev (const char *p)
{
  uint64_t dev = load_le64 (p + 56);

  return makedev ((uint32_t) (dev >> 20), dev & 0xfffff);
}

static int
parse_inode (const struct btrfs *b, const char *p, struct btrfs_inode *ret,
             struct err *e)
{
  mode_t mode = load_le32 (p + 52);
  uint64_t size = load_le64 (p + 16), bytes = load_le64 (p + 24);

  if (size > INT64_MAX || bytes > INT64_MAX)
    return err_set (e, EIO, "file of %" PRIu64 " bytes", size);
  ret->flags = load_le64 (p + 64);
  ret->st = (struct fs_stat){
    .ino = ret->st.ino,
    .mode = mode,
    .nlink = load_le32 (p + 40),
    .uid = load_le32 (p + 44),
    .gid = load_le32 (p + 48),
    .size = size,
    .blocks = round_up (bytes, b->sb.sectorsize) / 512,
    .blksize = b->sb.sectorsize,
    .rdev = S_ISCHR (mode) || S_ISBLK (mode) ? load_rdev (p) : 0,
    .atime = load_time (p + 112),
    .ctime = load_time (p + 124),
    .mtime = load_time (p + 136),
  };
  return 0;
}

static int
read_inode (struct btrfs *b, const struct btrfs_file *f,
            struct btrfs_inode *ret, struct err *e)
{
  struct btrfs_key key = { f->inode, BTRFS_INODE_ITEM, 0 };
  BTRFS_CURSOR (c, b, &f->root->tree);
  int r = btrfs_find (&c, &key, e);

  if (r == -1)
    return -1;
  if (r == 0)
    return err_set (e, EIO, "subvolume %" PRIu64 " has no inode %" PRIu64,
                    f->root->tree.id, f->inode);
  if (c.size != INODE_SIZE)
    return err_set (e, EIO, "inode of %zu bytes", c.size);
  return parse_inode (b, c.data, ret, e);
}

/* Linux gives it the times at which it is looked at. */
static int
read_link (struct btrfs *b, const struct btrfs_file *f,
           struct btrfs_inode *ret, struct err *e)
{
  struct btrfs_file dir = { f->root, btrfs_link_dir (b, f), false };

  if (read_inode (b, &dir, ret, e) == -1)
    return -1;
  ret->st.mode = S_IFDIR | 0755;
  ret->st.nlink = 1;
  ret->st.size = ret->st.blocks = 0;
  return 0;
}

int
btrfs_inode_get (struct btrfs *b, uint64_t ino, struct btrfs_inode *ret,
                 struct err *e)
{
  struct btrfs_inode n = { .st.ino = ino };
  int r;

  if (btrfs_file (b, ino, &n.file, e) == -1)
    return -1;
  r = n.file.link ? read_link (b, &n.file, &n, e)
                  : read_inode (b, &n.file, &n, e);
  if (r == -1)
    return -1;
  *ret = n;
  return 0;
}
