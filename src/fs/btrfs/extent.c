/* xrayfs: Btrfs: where a file's bytes lie
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, EXTENT_DATA.  Data that have checksums are read by
 * btrfs_pread, which verifies them; so are those that have several copies.
 * For the map they are EXTENT_COMPRESSED, as is what is compressed.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define INLINE_HEADER 21
#define EXTENT_SIZE   53
#define MAX_LINK      4095 /* Linux: PATH_MAX with its NUL */

enum form { FORM_INLINE, FORM_REGULAR, FORM_PREALLOC, FORM_HOLE };

/* The part of a file from START to END. */
struct part {
  uint64_t start, end;
  enum form form;
  enum btrfs_compression compression;
  uint64_t ram; /* bytes of the whole extent, decompressed */
  /* FORM_REGULAR: the whole extent, and where in it the part begins. */
  uint64_t disk, disk_len, offset;
  /* FORM_INLINE: in the leaf, which the cursor holds. */
  const char *data;
  size_t len;
};

static int
bad_extent (const struct btrfs_cursor *c, const char *what, struct err *e)
{
  return err_set (e, EIO, "extent at 0x%" PRIx64 ": impossible %s",
                  c->key.offset, what);
}

/* The bytes after what is inline, up to a sector, are zero. */
static int
parse_inline (const struct btrfs_cursor *c, struct part *ret, struct err *e)
{
  if (c->key.offset != 0 || ret->ram > BTRFS_MAX_COMPRESSED)
    return bad_extent (c, "place or size of inline data", e);
  ret->data = c->data + INLINE_HEADER;
  ret->len = c->size - INLINE_HEADER;
  if (ret->compression == BTRFS_PLAIN && ret->len != ret->ram)
    return bad_extent (c, "size of inline data", e);
  ret->end = round_up (ret->ram, c->b->sb.sectorsize);
  return 0;
}

static int
check_regular (const struct btrfs_cursor *c, const struct part *p,
               uint64_t length, struct err *e)
{
  uint64_t sector = c->b->sb.sectorsize;

  if (p->start % sector || length % sector || length == 0 ||
      !range_within (p->start, length, INT64_MAX))
    return bad_extent (c, "range", e);
  if (p->form == FORM_HOLE)
    return 0;
  if (p->disk % sector || p->disk_len % sector || p->disk > INT64_MAX ||
      p->disk_len > INT64_MAX || p->offset % sector)
    return bad_extent (c, "place", e);
  if (!range_within (p->offset, length, p->ram) ||
      (p->compression == BTRFS_PLAIN &&
       !range_within (p->offset, length, p->disk_len)))
    return bad_extent (c, "offset", e);
  if (p->compression != BTRFS_PLAIN &&
      (p->ram > BTRFS_MAX_COMPRESSED || p->disk_len > BTRFS_MAX_COMPRESSED))
    return bad_extent (c, "size of what is compressed", e);
  return 0;
}

static int
parse_regular (const struct btrfs_cursor *c, struct part *ret, struct err *e)
{
  const char *p = c->data;

  if (c->size != EXTENT_SIZE)
    return bad_extent (c, "size of its item", e);
  ret->disk = load_le64 (p + 21);
  ret->disk_len = load_le64 (p + 29);
  ret->offset = load_le64 (p + 37);
  if (ret->disk == 0)
    ret->form = FORM_HOLE;
  if (check_regular (c, ret, load_le64 (p + 45), e) == -1)
    return -1;
  ret->end = ret->start + load_le64 (p + 45);
  return 0;
}

static int
parse_extent (const struct btrfs_cursor *c, struct part *ret, struct err *e)
{
  const unsigned char *p = (const unsigned char *) c->data;

  if (c->size < INLINE_HEADER)
    return bad_extent (c, "size of its item", e);
  if (p[16] >= BTRFS_N_COMPRESSIONS)
    return err_set (e, ENOTSUP, "compression of kind %u", p[16]);
  if (p[17] || load_le16 (p + 18))
    return err_set (e, ENOTSUP, "encryption of kind %u, encoding %u", p[17],
                    load_le16 (p + 18));
  if (p[20] > FORM_PREALLOC)
    return bad_extent (c, "type", e);
  *ret = (struct part){ .start = c->key.offset,
                        .form = p[20],
                        .compression = p[16],
                        .ram = load_le64 (p + 8) };
  return ret->form == FORM_INLINE ? parse_inline (c, ret, e)
                                  : parse_regular (c, ret, e);
}

static bool
is_extent_of (const struct btrfs_cursor *c, uint64_t inode)
{
  return c->key.objectid == inode && c->key.type == BTRFS_EXTENT_DATA;
}

/* A hole without an item, up to the next extent. */
static int
find_hole (struct btrfs_cursor *c, uint64_t inode, uint64_t off,
           struct part *ret, struct err *e)
{
  struct btrfs_key key = { inode, BTRFS_EXTENT_DATA, off + 1 };
  int r = btrfs_find_first (c, &key, e);

  *ret = (struct part){ .start = off, .end = UINT64_MAX, .form = FORM_HOLE };
  if (r == 1 && is_extent_of (c, inode))
    ret->end = c->key.offset;
  return r == -1 ? -1 : 0;
}

static int
find_part (struct btrfs_cursor *c, uint64_t inode, uint64_t off,
           struct part *ret, struct err *e)
{
  struct btrfs_key key = { inode, BTRFS_EXTENT_DATA, off };
  int r = btrfs_find_last (c, &key, e);

  if (r == -1)
    return -1;
  if (r == 1 && is_extent_of (c, inode)) {
    if (parse_extent (c, ret, e) == -1)
      return -1;
    if (off < ret->end)
      return 0;
  }
  return find_hole (c, inode, off, ret, e);
}

/* --- reading --------------------------------------------------------- */

struct load_arg {
  struct btrfs *b;
  const struct part *part;
  bool verified;
};

static int
load_compressed (void *arg, void *data, size_t size, struct err *e)
{
  const struct load_arg *l = arg;
  const struct part *p = l->part;
  CLEANUP_FREE char *from = malloc (p->disk_len);

  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (btrfs_read_data (l->b, p->disk, from, p->disk_len, l->verified, e) ==
          -1 ||
      btrfs_decompress (l->b, p->compression, from, p->disk_len, data, size,
                        e) == -1)
    return err_in (e, "compressed extent at 0x%" PRIx64, p->disk);
  return 0;
}

/* A reader comes back for the rest of it. */
static int
read_compressed (struct btrfs *b, const struct part *p, bool verified,
                 char *to, size_t len, uint64_t skip, struct err *e)
{
  struct cache *cache = b->block->env->cache;
  struct load_arg arg = { b, p, verified };
  CLEANUP_FREE char *data = NULL;
  struct cache_entry *entry;

  if (cache) {
    if (cache_get (cache, b->data_owner[p->compression], p->disk, p->ram,
                   load_compressed, &arg, &entry, e) == -1)
      return -1;
    memcpy (to, (const char *) entry->data + skip, len);
    cache_release (cache, entry);
    return 0;
  }
  data = malloc (p->ram);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (load_compressed (&arg, data, p->ram, e) == -1)
    return -1;
  memcpy (to, data + skip, len);
  return 0;
}

static int
read_inline (struct btrfs *b, const struct part *p, char *to, size_t len,
             uint64_t skip, struct err *e)
{
  CLEANUP_FREE char *data = calloc (1, p->end);

  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (p->compression == BTRFS_PLAIN)
    memcpy (data, p->data, p->len);
  else if (btrfs_decompress (b, p->compression, p->data, p->len, data, p->ram,
                             e) == -1)
    return err_in (e, "inline data");
  memcpy (to, data + skip, len);
  return 0;
}

static int
read_part (struct btrfs *b, const struct part *p, bool verified, char *to,
           size_t len, uint64_t skip, struct err *e)
{
  switch (p->form) {
  case FORM_INLINE:
    return read_inline (b, p, to, len, skip, e);
  case FORM_REGULAR:
    skip += p->offset;
    return p->compression
               ? read_compressed (b, p, verified, to, len, skip, e)
               : btrfs_read_data (b, p->disk + skip, to, len, verified, e);
  default:
    memset (to, 0, len);
    return 0;
  }
}

static int
read_file (struct btrfs *b, const struct btrfs_inode *n, char *to, size_t len,
           uint64_t off, struct err *e)
{
  bool verified = !(n->flags & BTRFS_NODATASUM);
  BTRFS_CURSOR (c, b, &n->file.root->tree);
  struct part p = { 0 };
  size_t here;

  for (; len > 0; len -= here, to += here, off += here) {
    if (find_part (&c, n->file.inode, off, &p, e) == -1)
      return -1;
    here = MIN (len, p.end - off);
    if (read_part (b, &p, verified, to, here, off - p.start, e) == -1)
      return err_in (e, "0x%" PRIx64, off);
  }
  return 0;
}

static int
get_file (struct btrfs *b, uint64_t ino, struct btrfs_inode *ret,
          struct err *e)
{
  if (btrfs_inode_get (b, ino, ret, e) == -1)
    return -1;
  return fs_regular (ret->st.mode, e);
}

int
btrfs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
             struct err *e)
{
  struct btrfs_inode n;

  if (get_file (fs->priv, ino, &n, e) == -1)
    return -1;
  return read_file (fs->priv, &n, buf, len, off, e);
}

int
btrfs_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  struct btrfs_inode n;
  char *to;

  if (btrfs_inode_get (fs->priv, ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n.st.mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (n.st.size == 0 || n.st.size > MAX_LINK)
    return err_set (e, EIO, "symbolic link of %" PRIu64 " bytes", n.st.size);
  to = buf_reserve (ret, n.st.size);
  if (!to)
    return buf_check (ret, e);
  if (read_file (fs->priv, &n, to, n.st.size, 0, e) == -1)
    return -1;
  if (memchr (to, '\0', n.st.size))
    return err_set (e, EIO, "symbolic link holds a NUL");
  ret->len += n.st.size;
  return 0;
}

/* --- the map --------------------------------------------------------- */

/* Are the bytes from SKIP on as they are on one device, and nothing is to be
 * verified?  What cannot be found is left to btrfs_pread, which says why. */
static bool
is_plain (const struct btrfs *b, const struct btrfs_inode *n,
          const struct part *p, uint64_t skip, struct btrfs_place *ret)
{
  uint64_t logical = p->disk + p->offset + skip;
  const struct btrfs_chunk *c = btrfs_chunk_at (b, logical);
  struct err ignored;

  return n->flags & BTRFS_NODATASUM && p->compression == BTRFS_PLAIN && c &&
         btrfs_copies (c->type) == 1 &&
         btrfs_locate (b, logical, 0, ret, &ignored) == 0 &&
         ret->device->block;
}

int
btrfs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  struct btrfs *b = fs->priv;
  struct btrfs_place at = { 0 };
  struct part p = { 0 };
  struct btrfs_inode n;

  if (get_file (b, ino, &n, e) == -1)
    return -1;
  BTRFS_CURSOR (c, b, &n.file.root->tree);
  if (find_part (&c, n.file.inode, off, &p, e) == -1)
    return -1;
  len = MIN (len, p.end - off);
  if (p.form == FORM_HOLE)
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  else if (p.form == FORM_PREALLOC)
    *ret = extent_of (EXTENT_ZERO, len);
  else if (p.form == FORM_REGULAR && is_plain (b, &n, &p, off - p.start, &at))
    *ret = extent_data (MIN (len, at.length), at.device->block, at.offset);
  else
    *ret = extent_of (EXTENT_COMPRESSED, len);
  return 0;
}
