/* xrayfs: squashfs: directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Entries in groups of up to 256: a header tells the metadata block that has
 * the inodes of all of them.  The names are sorted, and large directories
 * have an index: it is left alone, since what a wrong one leads to is a name
 * that is not found.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/squashfs.h"

#define HEADER    12
#define ENTRY     8
#define MAX_GROUP 256
#define MAX_NAME  256
/* An empty directory says that it has so many bytes. */
#define EXTRA 3
/* Against a listing that claims gigabytes: what compresses well takes little
 * on the disk.  These are some millions of files. */
#define MAX_LISTING (256 * MiB)

static int
walk_begin (struct squashfs *s, uint64_t dir, struct squashfs_walk *w,
            struct err *e)
{
  struct squashfs_node *n;

  if (squashfs_node_get (s, dir, &n, e) == -1)
    return -1;
  if (!S_ISDIR (n->mode))
    return err_set (e, ENOTDIR, "not a directory");
  if (n->size < EXTRA || n->size > MAX_LISTING)
    return err_set (e, EIO, "directory of %" PRIu64 " bytes", n->size);
  *w = (struct squashfs_walk){ .at = n->listing, .left = n->size - EXTRA };
  return 0;
}

/* LEN bytes of the listing. */
static int
take (struct squashfs *s, struct squashfs_walk *w, void *buf, size_t len,
      struct err *e)
{
  if (len > w->left)
    return err_set (e, EIO, "directory ends within an entry");
  w->left -= len;
  return squashfs_read_metadata (s, &w->at, buf, len, e);
}

static int
next_group (struct squashfs *s, struct squashfs_walk *w, struct err *e)
{
  char head[HEADER];
  uint32_t count;

  if (take (s, w, head, sizeof head, e) == -1)
    return -1;
  count = load_le32 (head);
  if (count >= MAX_GROUP)
    return err_set (e, EIO, "%" PRIu32 " entries in a group", count);
  w->in_group = count + 1;
  w->block = load_le32 (head + 4);
  return 0;
}

struct entry {
  char name[MAX_NAME];
  size_t len;
  uint64_t ino;
  unsigned type;
};

/* 1, 0: there are no more, or -1. */
static int
walk_next (struct squashfs *s, struct squashfs_walk *w, struct entry *ret,
           struct err *e)
{
  static const unsigned char types[] = {
    DT_UNKNOWN, DT_DIR, DT_REG, DT_LNK, DT_BLK, DT_CHR, DT_FIFO, DT_SOCK
  };
  char p[ENTRY];

  if (w->in_group == 0 && w->left == 0)
    return 0;
  if (w->in_group == 0 && next_group (s, w, e) == -1)
    return -1;
  if (take (s, w, p, sizeof p, e) == -1)
    return -1;
  ret->len = load_le16 (p + 6) + 1u;
  if (ret->len > MAX_NAME)
    return err_set (e, EIO, "name of %zu bytes", ret->len);
  if (take (s, w, ret->name, ret->len, e) == -1)
    return -1;
  ret->ino = (uint64_t) w->block << 16 | load_le16 (p);
  ret->type = load_le16 (p + 4) < ARRAY_SIZE (types)
                  ? types[load_le16 (p + 4)]
                  : DT_UNKNOWN;
  w->in_group--;
  return 1;
}

int
squashfs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                  struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_walk w;
  struct entry d;
  int r;

  if (walk_begin (s, dir, &w, e) == -1)
    return -1;
  while ((r = walk_next (s, &w, &d, e)) == 1)
    if (fn (arg, d.name, d.len, d.ino, d.type))
      return 0;
  return r;
}

/* 1: found, and W stands behind it; 0, -1.  STOP: bytes that are left where
 * the search ends. */
static int
search (struct squashfs *s, struct squashfs_walk *w, uint64_t stop,
        const char *name, size_t len, uint64_t *ret, struct err *e)
{
  struct entry d;
  int r = 0;

  while (w->left > stop && (r = walk_next (s, w, &d, e)) == 1)
    if (d.len == len && !memcmp (d.name, name, len)) {
      *ret = d.ino;
      return 1;
    }
  return r == -1 ? -1 : 0;
}

/* Who looks names up does it mostly in the order of the directory: from where
 * the last one was found, then from the start. */
int
squashfs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                 uint64_t *ret, struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_walk w, from;
  uint64_t ino = 0;
  int r;

  if (walk_begin (s, dir, &w, e) == -1)
    return -1;
  from = s->found_dir == dir ? s->found : w;
  r = search (s, &from, 0, name, len, &ino, e);
  if (r == 0 && s->found_dir == dir) {
    r = search (s, &w, s->found.left, name, len, &ino, e);
    from = w;
  }
  if (r == 0)
    return err_set (e, ENOENT, "no such file or directory");
  if (r == -1)
    return -1;
  s->found_dir = dir;
  s->found = from;
  *ret = ino;
  return 0;
}
