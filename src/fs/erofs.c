/* xrayfs: EROFS: inodes, directories, attributes, the filesystem as a whole
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "block/cache.h"
#include "fs/erofs.h"
#include "fs/pages.h"

#define SUPER_OFFSET 1024
#define SUPER_SIZE   128
#define MAGIC        0xe0f5e1e2
#define SLOT         32 /* of an inode; a long one takes two */
#define DIRENT       12
#define MAX_LINK     65535
/* Against one that claims all of a large image: some millions of files. */
#define MAX_DIRECTORY (256 * MiB)

enum { COMPAT_CHECKSUM = 1 };
enum { INCOMPAT_KNOWN = 0x7f };

int
erofs_read (struct erofs *f, uint64_t off, void *buf, size_t len,
            struct err *e)
{
  return pages_read (f->block, f->page_owner, off, buf, len, e);
}

/* --- inodes ---------------------------------------------------------- */

static void
take_inode (const struct erofs *f, struct erofs_inode *n, const char *p)
{
  bool is_long = n->len == 2 * SLOT;

  n->size = is_long ? load_le64 (p + 8) : load_le32 (p + 8);
  n->start = load_le32 (p + 16);
  n->uid = is_long ? load_le32 (p + 24) : load_le16 (p + 24);
  n->gid = is_long ? load_le32 (p + 28) : load_le16 (p + 26);
  n->nlink = is_long ? load_le32 (p + 44) : load_le16 (p + 6);
  n->time = f->built;
  if (is_long)
    n->time =
        (struct timespec){ (int64_t) load_le64 (p + 32), load_le32 (p + 40) };
}

static int
check_inode (const struct erofs_inode *n, unsigned format, struct err *e)
{
  if (format & ~0xfu || n->layout > EROFS_CHUNKED)
    return err_set (e, ENOTSUP, "inode of unknown format 0x%x", format);
  if (!fs_type_is_known (n->mode))
    return err_set (e, EIO, "impossible mode 0%o", n->mode);
  if (n->size > INT64_MAX)
    return err_set (e, EIO, "file of %" PRIu64 " bytes", n->size);
  if (n->layout == EROFS_CHUNKED && n->start & 0xffff & ~0x3fu)
    return err_set (e, ENOTSUP, "chunks of unknown format 0x%x",
                    n->start & 0xffff);
  return 0;
}

int
erofs_read_inode (struct erofs *f, uint64_t nid, struct erofs_inode *n,
                  struct err *e)
{
  char p[2 * SLOT];
  unsigned format, count;

  if (nid >> FS_INO_BITS)
    return err_set (e, EIO, "there cannot be such an inode");
  *n = (struct erofs_inode){ .at = f->meta + nid * SLOT };
  if (erofs_read (f, n->at, p, SLOT, e) == -1)
    return -1;
  format = load_le16 (p);
  n->len = format & 1 ? 2 * SLOT : SLOT;
  if (n->len > SLOT && erofs_read (f, n->at + SLOT, p + SLOT, SLOT, e) == -1)
    return -1;
  n->layout = format >> 1 & 7;
  n->mode = load_le16 (p + 4);
  count = load_le16 (p + 2);
  n->xattr_len = count ? 12 + 4 * (count - 1) : 0;
  take_inode (f, n, p);
  return check_inode (n, format, e);
}

/* As Linux packs them. */
static dev_t
load_rdev (const struct erofs_inode *n)
{
  uint32_t dev = n->start;

  if (!S_ISCHR (n->mode) && !S_ISBLK (n->mode))
    return 0;
  return makedev (dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00));
}

static int
erofs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct erofs *f = fs->priv;
  struct erofs_inode n;

  if (erofs_read_inode (f, ino, &n, e) == -1)
    return -1;
  *ret = (struct fs_stat){
    .ino = ino,
    .mode = n.mode,
    .nlink = n.nlink,
    .uid = n.uid,
    .gid = n.gid,
    .size = n.size,
    .blocks = (erofs_is_compressed (&n) ? (uint64_t) n.start
                                        : div_up (n.size, f->block_size))
              << (f->block_log - 9),
    .blksize = f->block_size,
    .rdev = load_rdev (&n),
    .atime = n.time,
    .mtime = n.time,
    .ctime = n.time,
  };
  return 0;
}

/* --- links ----------------------------------------------------------- */

static int
erofs_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  struct erofs_inode n;
  char *to;

  if (erofs_read_inode (fs->priv, ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n.mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (n.size == 0 || n.size > MAX_LINK)
    return err_set (e, EIO, "symbolic link of %" PRIu64 " bytes", n.size);
  to = buf_reserve (ret, n.size);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (erofs_read_data (fs->priv, &n, 0, to, n.size, e) == -1)
    return -1;
  if (memchr (to, '\0', n.size))
    return err_set (e, EIO, "symbolic link holds a NUL");
  ret->len += n.size;
  return 0;
}

/* --- directories ----------------------------------------------------- */

/* A block of a directory: entries, then their names, of which the last one
 * ends with the block or with a NUL. */
struct dir_block {
  char *data;
  size_t len;
  unsigned count;
};

static int
read_dir_block (struct erofs *f, const struct erofs_inode *n, uint64_t off,
                struct dir_block *b, struct err *e)
{
  size_t names;

  b->len = MIN (f->block_size, n->size - off);
  if (b->len < DIRENT)
    return err_set (e, EIO, "directory ends within an entry");
  if (erofs_read_data (f, n, off, b->data, b->len, e) == -1)
    return -1;
  names = load_le16 (b->data + 8);
  if (names < DIRENT || names > b->len)
    return err_set (e, EIO, "directory block with names at %zu", names);
  b->count = (unsigned) (names / DIRENT);
  return 0;
}

static int
find_name (const struct dir_block *b, unsigned i, const char **ret,
           size_t *ret_len, struct err *e)
{
  const char *p = b->data + (size_t) i * DIRENT;
  size_t start = load_le16 (p + 8), end = b->len;

  if (i + 1 < b->count)
    end = load_le16 (p + DIRENT + 8);
  if (start >= end || end > b->len)
    return err_set (e, EIO, "directory entry without a name");
  *ret = b->data + start;
  *ret_len = i + 1 < b->count ? end - start : strnlen (*ret, end - start);
  if (*ret_len == 0)
    return err_set (e, EIO, "directory entry without a name");
  return 0;
}

static bool
is_dots (const char *name, size_t len)
{
  return len <= 2 && !memcmp (name, "..", len);
}

/* 0, 1 to stop, or -1. */
static int
give_block (const struct dir_block *b, fs_dirent_fn fn, void *arg,
            struct err *e)
{
  static const unsigned char types[] = {
    DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK
  };
  const char *p = b->data, *name = NULL;
  unsigned char type;
  uint64_t nid;
  size_t len = 0;

  for (unsigned i = 0; i < b->count; i++, p += DIRENT) {
    if (find_name (b, i, &name, &len, e) == -1)
      return -1;
    nid = load_le64 (p);
    type = (unsigned char) p[10];
    if (nid >> FS_INO_BITS)
      return err_set (e, EIO, "entry of impossible inode %" PRIu64, nid);
    if (!is_dots (name, len) &&
        fn (arg, name, len, nid,
            type < ARRAY_SIZE (types) ? types[type] : DT_UNKNOWN))
      return 1;
  }
  return 0;
}

/* The blocks from *OFF to END.  0, 1: stopped in the one at *OFF, or -1. */
static int
list (struct erofs *f, uint64_t dir, uint64_t *off, uint64_t end,
      fs_dirent_fn fn, void *arg, struct err *e)
{
  CLEANUP_FREE char *data = malloc (f->block_size);
  struct dir_block b = { .data = data };
  struct erofs_inode n = { 0 };
  int r = 0;

  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (erofs_read_inode (f, dir, &n, e) == -1)
    return -1;
  if (!S_ISDIR (n.mode))
    return err_set (e, ENOTDIR, "not a directory");
  if (n.size > MAX_DIRECTORY)
    return err_set (e, EIO, "directory of %" PRIu64 " bytes", n.size);
  for (end = MIN (end, n.size); r == 0 && *off < end;) {
    if (read_dir_block (f, &n, *off, &b, e) == -1)
      return -1;
    r = give_block (&b, fn, arg, e);
    if (r == 0)
      *off += f->block_size;
  }
  return r;
}

static int
erofs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
               struct err *e)
{
  uint64_t off = 0;

  return list (fs->priv, dir, &off, UINT64_MAX, fn, arg, e) == -1 ? -1 : 0;
}

struct wanted {
  const char *name;
  size_t len;
  uint64_t nid;
};

static int
is_wanted (void *arg, const char *name, size_t len, uint64_t ino,
           unsigned type unused_arg)
{
  struct wanted *w = arg;

  w->nid = ino;
  return len == w->len && !memcmp (name, w->name, len);
}

/* The names are sorted; but what disorder leads to is a name that is not
 * found.  From where the last one was found, then from the start. */
static int
erofs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
              uint64_t *ret, struct err *e)
{
  struct erofs *f = fs->priv;
  struct wanted w = { name, len, 0 };
  uint64_t from = f->found_dir == dir ? f->found_at : 0, off = from;
  int r = list (f, dir, &off, UINT64_MAX, is_wanted, &w, e);

  if (r == 0 && from > 0) {
    off = 0;
    r = list (f, dir, &off, from, is_wanted, &w, e);
  }
  if (r == 0)
    return err_set (e, ENOENT, "no such file or directory");
  if (r == -1)
    return -1;
  f->found_dir = dir;
  f->found_at = off;
  *ret = w.nid;
  return 0;
}

/* --- extended attributes --------------------------------------------- */

static const char *const prefixes[] = { NULL,
                                        "user.",
                                        "system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "trusted.",
                                        NULL,
                                        "security." };

/* The entry at *AT, which moves behind it.  0, 1 to stop, or -1. */
static int
give_xattr (struct erofs *f, uint64_t *at, fs_xattr_fn fn, void *arg,
            struct err *e)
{
  CLEANUP_BUF struct buf name = { 0 }, value = { 0 };
  size_t name_len, value_len;
  char head[4], *to;
  unsigned index;

  if (erofs_read (f, *at, head, sizeof head, e) == -1)
    return -1;
  name_len = (unsigned char) head[0];
  index = (unsigned char) head[1];
  value_len = load_le16 (head + 2);
  if (index & 0x80)
    return err_set (e, ENOTSUP, "name with a prefix of the image's own");
  if (index >= ARRAY_SIZE (prefixes))
    return err_set (e, EIO, "name of unknown kind %u", index);
  buf_puts (&name, prefixes[index] ? prefixes[index] : "");
  to = buf_reserve (&name, name_len + 1);
  if (!to || !buf_reserve (&value, value_len + 1))
    return err_set (e, ENOMEM, "out of memory");
  if (erofs_read (f, *at + 4, to, name_len, e) == -1 ||
      erofs_read (f, *at + 4 + name_len, value.data, value_len, e) == -1)
    return -1;
  to[name_len] = '\0';
  if (strlen (to) != name_len)
    return err_set (e, EIO, "name holds a NUL");
  *at = round_up (*at + 4 + name_len + value_len, 4);
  return prefixes[index] && fn (arg, name.data, value.data, value_len);
}

/* A header of 12 bytes with the number of those that are shared, their
 * places in the area of shared ones, and then what is the inode's own. */
static int
each_xattr (struct erofs *f, const struct erofs_inode *n, fs_xattr_fn fn,
            void *arg, struct err *e)
{
  uint64_t at = n->at + n->len, end = at + n->xattr_len, shared;
  char head[12], id[4];
  int r = 0;

  if (erofs_read (f, at, head, sizeof head, e) == -1)
    return -1;
  at += sizeof head;
  for (unsigned i = (unsigned char) head[4]; r == 0 && i > 0; i--, at += 4) {
    if (at + 4 > end)
      return err_set (e, EIO, "shared ones beyond the end");
    if (erofs_read (f, at, id, sizeof id, e) == -1)
      return -1;
    shared = f->xattrs + (uint64_t) load_le32 (id) * 4;
    r = give_xattr (f, &shared, fn, arg, e);
  }
  while (r == 0 && at < end) {
    r = give_xattr (f, &at, fn, arg, e);
    if (r == 0 && at > end)
      return err_set (e, EIO, "entry beyond the end");
  }
  return r;
}

static int
erofs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
              struct err *e)
{
  struct erofs_inode n;

  if (erofs_read_inode (fs->priv, ino, &n, e) == -1)
    return -1;
  if (n.xattr_len == 0)
    return 0;
  return each_xattr (fs->priv, &n, fn, arg, e) == -1
             ? err_in (e, "extended attributes")
             : 0;
}

/* --- the filesystem as a whole --------------------------------------- */

static int
erofs_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  static const struct {
    uint32_t bit;
    const char *word;
  } words[] = { { 1, "0padding" },         { 2, "compr_cfgs" },
                { 4, "chunked_file" },     { 8, "device_table" },
                { 0x10, "ztailpacking" },  { 0x20, "fragments" },
                { 0x40, "xattr_prefixes" } };
  const struct erofs *f = fs->priv;

  ret->size = (uint64_t) f->blocks << f->block_log;
  ret->used = ret->size;
  ret->free = 0;
  ret->inodes = f->inodes;
  ret->inodes_free = 0;
  ret->block_size = f->block_size;
  snprintf (ret->state, sizeof ret->state, "clean");
  if (f->compat & COMPAT_CHECKSUM)
    buf_puts (&ret->features, "sb_csum");
  for (size_t i = 0; i < ARRAY_SIZE (words); i++)
    if (f->incompat & words[i].bit)
      buf_printf (&ret->features, "%s%s", ret->features.len ? " " : "",
                  words[i].word);
  return buf_check (&ret->features, e);
}

/* From the superblock to the end of its block, without the final inversion.
 */
static int
checksum_is_right (struct erofs *f, bool *ret, struct err *e)
{
  size_t len = f->block_size > SUPER_OFFSET ? f->block_size - SUPER_OFFSET
                                            : f->block_size;
  CLEANUP_FREE char *p = malloc (len);
  uint32_t stored;

  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (erofs_read (f, SUPER_OFFSET, p, len, e) == -1)
    return -1;
  stored = load_le32 (p + 4);
  memset (p + 4, 0, 4);
  *ret = stored == (uint32_t) ~crc32c (0, p, len);
  return 0;
}

static int
erofs_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct erofs *f = fs->priv;
  uint64_t size = (uint64_t) f->blocks << f->block_log;
  bool right = true;

  if (f->compat & COMPAT_CHECKSUM && checksum_is_right (f, &right, e) == -1)
    return -1;
  if (!right)
    block_check_error (c, "checksum of the superblock is wrong");
  if (size > f->block->size)
    block_check_error (
        c, "it has %" PRIu64 " bytes, of which %" PRIu64 " are there", size,
        f->block->size);
  return 0;
}

static int
read_super (struct erofs *f, uint64_t *ret_root, struct err *e)
{
  char p[SUPER_SIZE];

  if (erofs_read (f, SUPER_OFFSET, p, sizeof p, e) == -1)
    return -1;
  if (load_le32 (p) != MAGIC)
    return err_set (e, EIO, "wrong magic");
  f->compat = load_le32 (p + 8);
  f->incompat = load_le32 (p + 80);
  f->block_log = (unsigned char) p[12];
  if (f->incompat & ~(uint32_t) INCOMPAT_KNOWN)
    return err_set (e, ENOTSUP, "unknown incompatible features 0x%" PRIx32,
                    f->incompat & ~(uint32_t) INCOMPAT_KNOWN);
  if (f->block_log < 9 || f->block_log > 16)
    return err_set (e, EIO, "impossible block size 2^%u", f->block_log);
  if (p[90] != 0)
    return err_set (e, ENOTSUP, "directory blocks of another size");
  f->block_size = UINT32_C (1) << f->block_log;
  f->inodes = load_le64 (p + 16);
  f->built =
      (struct timespec){ (int64_t) load_le64 (p + 24), load_le32 (p + 32) };
  f->blocks = load_le32 (p + 36);
  f->meta = (uint64_t) load_le32 (p + 40) << f->block_log;
  f->xattrs = (uint64_t) load_le32 (p + 44) << f->block_log;
  f->packed = load_le64 (p + 96);
  *ret_root = load_le16 (p + 14);
  return 0;
}

static int
erofs_mount (struct fs *fs, struct err *e)
{
  struct erofs *f = calloc (1, sizeof *f);
  struct erofs_inode root;

  fs->priv = f;
  if (!f)
    return err_set (e, ENOMEM, "out of memory");
  f->block = fs->block;
  f->page_owner = cache_new_owner ();
  f->data_owner = cache_new_owner ();
  f->found_dir = UINT64_MAX;
  if (read_super (f, &fs->root, e) == -1)
    return err_in (e, "superblock");
  if (erofs_read_inode (f, fs->root, &root, e) == -1)
    return err_in (e, "root directory");
  if (!S_ISDIR (root.mode))
    return err_set (e, EIO, "root is not a directory");
  return 0;
}

static void
erofs_unmount (struct fs *fs)
{
  free (fs->priv);
}

static const char *const erofs_types[] = { "erofs", NULL };

const struct fs_ops erofs_ops = {
  .name = "erofs",
  .types = erofs_types,
  .mount = erofs_mount,
  .lookup = erofs_lookup,
  .stat = erofs_stat,
  .readdir = erofs_readdir,
  .readlink = erofs_readlink,
  .xattrs = erofs_xattrs,
  .map = erofs_map,
  .pread = erofs_pread,
  .pread_unlocked = true,
  .info = erofs_info,
  .check = erofs_check,
  .unmount = erofs_unmount,
};
