/* xrayfs: EROFS: file data
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/erofs.h"

#define NULL_BLOCK UINT32_MAX

enum { CHUNK_BITS = 0x1f, CHUNK_INDEXES = 0x20 };

/* Where a part of a file lies: an extent, and if that is EXTENT_COMPRESSED,
 * so many bytes into the pcluster. */
struct place {
  struct extent x;
  struct erofs_pcluster p;
  size_t skip;
};

/* --- files that are not compressed ----------------------------------- */

/* The last block, or what there is of it, lies behind the inode and its
 * attributes, and within a block. */
static int
map_inline (const struct erofs *f, const struct erofs_inode *n, uint64_t off,
            struct extent *ret, struct err *e)
{
  uint64_t first = n->size ? (n->size - 1) >> f->block_log : 0;
  uint64_t tail = first << f->block_log, at = n->at + n->len + n->xattr_len;

  if (off < tail) {
    *ret = extent_data (tail - off, f->block,
                        ((uint64_t) n->start << f->block_log) + off);
    return 0;
  }
  if ((at & (f->block_size - 1)) + (n->size - tail) > f->block_size)
    return err_set (e, EIO, "inline data cross the end of a block");
  *ret = extent_data (n->size - off, f->block, at + (off - tail));
  return 0;
}

/* A table of blocks, 4 bytes for each chunk, or 8 with the device. */
static int
map_chunk (struct erofs *f, const struct erofs_inode *n, uint64_t off,
           struct extent *ret, struct err *e)
{
  unsigned log = f->block_log + (n->start & CHUNK_BITS);
  size_t unit = n->start & CHUNK_INDEXES ? 8 : 4;
  uint64_t index = off >> log, skip = off & ((UINT64_C (1) << log) - 1);
  uint64_t table = round_up (n->at + n->len + n->xattr_len, unit);
  uint32_t block;
  char p[8];

  /* INDEX is less than 2^54, and the table begins below 2^54. */
  if (erofs_read (f, table + index * unit, p, unit, e) == -1)
    return err_in (e, "table of chunks");
  block = load_le32 (p + unit - 4);
  *ret = extent_of (EXTENT_UNALLOCATED,
                    MIN ((UINT64_C (1) << log) - skip, n->size - off));
  if (block == NULL_BLOCK)
    return 0;
  if (unit == 8 && load_le16 (p + 2) != 0)
    return err_set (e, ENOTSUP, "data on another device");
  *ret = extent_data (ret->length, f->block,
                      ((uint64_t) block << f->block_log) + skip);
  return 0;
}

/* --- compressed files ------------------------------------------------ */

/* A byte lies where its place in the file is in a block. */
static struct extent
map_interlaced (const struct erofs *f, const struct erofs_pcluster *p,
                uint64_t off)
{
  uint64_t at = off & (f->block_size - 1), left = p->off + p->len - off;

  return extent_data (MIN (left, f->block_size - at), f->block,
                      p->start + at);
}

static int
map_pcluster (const struct erofs *f, uint64_t off, struct place *ret,
              struct err *e)
{
  const struct erofs_pcluster *p = &ret->p;
  uint64_t skip = off - p->off, left = p->len - skip;

  ret->skip = skip;
  if (p->codec < EROFS_CODECS)
    ret->x = extent_of (EXTENT_COMPRESSED, left);
  else if (p->codec == EROFS_PLAIN)
    ret->x = extent_data (left, f->block, p->start + skip);
  else if (p->codec == EROFS_INTERLACED)
    ret->x = map_interlaced (f, p, off);
  else
    return err_set (e, EIO, "fragment within the packed inode");
  return 0;
}

static int
map_compressed (struct erofs *f, const struct erofs_inode *n, uint64_t off,
                struct place *ret, struct err *e)
{
  if (erofs_find_pcluster (f, n, off, &ret->p, e) == -1)
    return -1;
  return map_pcluster (f, off, ret, e);
}

/* What lies at OFF of N's data, which is within them; but for a fragment. */
static int
map_own (struct erofs *f, const struct erofs_inode *n, uint64_t off,
         struct place *ret, struct err *e)
{
  switch (n->layout) {
  case EROFS_FLAT:
    ret->x = extent_data (n->size - off, f->block,
                          ((uint64_t) n->start << f->block_log) + off);
    return 0;
  case EROFS_INLINE:
    return map_inline (f, n, off, &ret->x, e);
  case EROFS_CHUNKED:
    return map_chunk (f, n, off, &ret->x, e);
  default:
    return map_compressed (f, n, off, ret, e);
  }
}

/* LEN bytes at OFF of the packed inode. */
static int
map_fragment (struct erofs *f, uint64_t off, uint64_t len, struct place *ret,
              struct err *e)
{
  struct erofs_inode packed;

  if (!(f->incompat & EROFS_FRAGMENTS))
    return err_set (e, EIO, "there is no packed inode");
  if (erofs_read_inode (f, f->packed, &packed, e) == -1)
    return -1;
  if (!S_ISREG (packed.mode) || !range_within (off, len, packed.size))
    return err_set (e, EIO, "packed inode has nothing at 0x%" PRIx64, off);
  if (map_own (f, &packed, off, ret, e) == -1)
    return -1;
  ret->x.length = MIN (ret->x.length, len);
  return 0;
}

static int
map_data (struct erofs *f, const struct erofs_inode *n, uint64_t off,
          struct place *ret, struct err *e)
{
  const struct erofs_pcluster *p = &ret->p;

  if (!erofs_is_compressed (n))
    return map_own (f, n, off, ret, e);
  if (erofs_find_pcluster (f, n, off, &ret->p, e) == -1)
    return -1;
  if (p->codec != EROFS_FRAGMENT)
    return map_pcluster (f, off, ret, e);
  if (p->start > INT64_MAX)
    return err_set (e, EIO, "fragment at 0x%" PRIx64, p->start);
  return map_fragment (f, p->start + (off - p->off), p->off + p->len - off,
                       ret, e) == -1
             ? err_in (e, "fragment")
             : 0;
}

/* --- the driver's ---------------------------------------------------- */

static int
read_file_inode (struct erofs *f, uint64_t ino, struct erofs_inode *n,
                 struct err *e)
{
  if (erofs_read_inode (f, ino, n, e) == -1)
    return -1;
  return fs_regular (n->mode, e);
}

int
erofs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  struct erofs_inode n;
  struct place p = { 0 };

  if (read_file_inode (fs->priv, ino, &n, e) == -1 ||
      map_data (fs->priv, &n, off, &p, e) == -1)
    return -1;
  *ret = p.x;
  ret->length = MIN (ret->length, len);
  return 0;
}

static int
read_place (struct erofs *f, const struct place *p, void *to, size_t len,
            struct err *e)
{
  switch (p->x.kind) {
  case EXTENT_DATA:
    return erofs_read (f, p->x.offset, to, len, e);
  case EXTENT_COMPRESSED:
    return erofs_read_pcluster (f, &p->p, p->skip, to, len, e);
  default:
    memset (to, 0, len);
    return 0;
  }
}

int
erofs_read_data (struct erofs *f, const struct erofs_inode *n, uint64_t off,
                 void *buf, size_t len, struct err *e)
{
  struct place p = { 0 };
  size_t here;

  for (char *to = buf; len > 0; to += here, off += here, len -= here) {
    if (map_data (f, n, off, &p, e) == -1)
      return -1;
    here = MIN (len, p.x.length);
    if (read_place (f, &p, to, here, e) == -1)
      return -1;
  }
  return 0;
}

/* Without the lock: nothing that it uses changes. */
int
erofs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
             struct err *e)
{
  struct erofs_inode n;

  if (read_file_inode (fs->priv, ino, &n, e) == -1)
    return -1;
  return erofs_read_data (fs->priv, &n, off, buf, len, e);
}
