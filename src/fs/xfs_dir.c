/* xrayfs: XFS: directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Directories.  Small ones lie in the inode.  Others have blocks of
 * entries from the start of the file, and from 32 GiB on an index by hash,
 * which a directory of one block has at the end of that block instead.  A
 * lookup asks the index first, and believes it only when it finds the name:
 * "not there" is said after every entry was seen.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define MAX_NAME    255
#define LEAF_OFFSET (32 * GiB) /* where the index begins */
#define ALIGN       8
#define FREE_TAG    0xffff
#define MAX_LEAVES  64 /* that hold one hash */

enum { BLOCK_V4 = 0x58443242, DATA_V4 = 0x58443244 }; /* XD2B, XD2D */
enum { BLOCK_V5 = 0x58444233, DATA_V5 = 0x58444433 }; /* XDB3, XDD3 */

/* Given to each entry; non-zero stops. */
typedef int (*entry_fn) (void *arg, const char *name, size_t len,
                         uint64_t ino, unsigned type);

/* One entry, wherever it lies. */
struct entry {
  const char *name;
  size_t len, size; /* size: what it takes up */
  uint64_t ino;
  unsigned type;
};

static bool
has_type (const struct xfs *x)
{
  return xfs_is_v5 (x) ? xfs_has_incompat (x, XFS_IN_FTYPE)
                       : x->sb.features2 & XFS_V2_FTYPE;
}

static bool
is_dot (const char *name, size_t len)
{
  return (len == 1 || len == 2) && !memcmp (name, "..", len);
}

static int
bad_entry (struct err *e, size_t at)
{
  return err_set (e, EIO, "bad directory entry at byte %zu of its block", at);
}

/* --- in the inode ---------------------------------------------------- */

/* Length, offset, name, type, inode of 4 or 8 bytes. */
static int
parse_short (const struct xfs *x, const char *p, size_t left, size_t ino_size,
             struct entry *ret, struct err *e)
{
  size_t len = left ? (unsigned char) *p : 0;
  size_t type_size = has_type (x) ? 1 : 0;
  const char *ino = p + 3 + len + type_size;

  if (len == 0 || 3 + len + type_size + ino_size > left)
    return err_set (e, EIO, "bad directory entry in the inode");
  *ret = (struct entry){
    .name = p + 3,
    .len = len,
    .size = 3 + len + type_size + ino_size,
    .ino = ino_size == 8 ? load_be64 (ino) : load_be32 (ino),
    .type = type_size ? (unsigned char) p[3 + len] : 0,
  };
  return xfs_check_inode (x, ret->ino, e);
}

static int
scan_short (const struct xfs *x, const struct xfs_node *n, entry_fn fn,
            void *arg, struct err *e)
{
  const struct xfs_fork *f = &n->forks[XFS_DATA_FORK];
  size_t ino_size, at;
  struct entry d = { 0 };

  if (n->size > f->size || n->size < 6)
    return err_set (e, EIO, "directory of %" PRIu64 " bytes in the inode",
                    n->size);
  ino_size = f->data[1] ? 8 : 4;
  at = 2 + ino_size;
  for (unsigned left = (unsigned char) f->data[0]; left > 0; left--) {
    if (parse_short (x, f->data + at, n->size - MIN (at, n->size), ino_size,
                     &d, e) == -1)
      return -1;
    if (fn (arg, d.name, d.len, d.ino, d.type))
      return 1;
    at += d.size;
  }
  return 0;
}

/* --- blocks of entries ----------------------------------------------- */

static size_t
header_size (const struct xfs *x)
{
  return xfs_is_v5 (x) ? 64 : 16;
}

/* Where the entries end: a directory of one block ends with the index, and
 * the length of that. */
static int
entries_end (const struct xfs *x, uint64_t lblk, size_t *ret, struct err *e)
{
  size_t size = x->sb.dir_block_size;
  const char *p = x->dir_block;
  uint32_t magic = load_be32 (p);
  uint64_t index;

  if (magic == (xfs_is_v5 (x) ? DATA_V5 : DATA_V4)) {
    *ret = size;
    return 0;
  }
  if (magic != (xfs_is_v5 (x) ? BLOCK_V5 : BLOCK_V4) || lblk != 0)
    return err_set (e, EIO, "wrong magic 0x%08" PRIx32, magic);
  index = (uint64_t) load_be32 (p + size - 8) * 8 + 8;
  if (index > size - header_size (x))
    return err_set (e, EIO, "index is larger than the block");
  *ret = size - index;
  return 0;
}

static int
read_dir_block (struct xfs *x, struct xfs_node *n, uint64_t lblk,
                size_t *ret_end, struct err *e)
{
  if (xfs_read_fork (x, XFS_DIR, n, XFS_DATA_FORK, lblk, x->sb.dir_block_size,
                     x->dir_block, e) == -1)
    return -1;
  return entries_end (x, lblk, ret_end, e);
}

/* Inode, length, name, type; at the end of what it takes up a tag: its own
 * offset. */
static int
parse_entry (const struct xfs *x, size_t at, size_t end, struct entry *ret,
             struct err *e)
{
  const char *p = x->dir_block + at;
  size_t len = end - at > ALIGN ? (unsigned char) p[8] : 0;
  size_t type_size = has_type (x) ? 1 : 0;
  size_t size = round_up (9 + len + type_size + 2, ALIGN);

  if (len == 0 || size > end - at || load_be16 (p + size - 2) != at)
    return bad_entry (e, at);
  *ret = (struct entry){
    .name = p + 9,
    .len = len,
    .size = size,
    .ino = load_be64 (p),
    .type = type_size ? (unsigned char) p[9 + len] : 0,
  };
  if (xfs_check_inode (x, ret->ino, e) == -1)
    return err_in (e, "directory entry at byte %zu of its block", at);
  return 0;
}

/* Nothing in use at AT: 1, and its size; 0: an entry. */
static int
parse_free (const struct xfs *x, size_t at, size_t end, size_t *ret,
            struct err *e)
{
  const char *p = x->dir_block + at;
  size_t size;

  if (end - at < ALIGN)
    return bad_entry (e, at);
  if (load_be16 (p) != FREE_TAG)
    return 0;
  size = load_be16 (p + 2);
  if (size == 0 || size % ALIGN || size > end - at ||
      load_be16 (p + size - 2) != at)
    return bad_entry (e, at);
  *ret = size;
  return 1;
}

/* "." and ".." begin the first block: those that are called so elsewhere are
 * files. */
static int
scan_entries (const struct xfs *x, uint64_t lblk, size_t end, entry_fn fn,
              void *arg, struct err *e)
{
  unsigned dots = lblk == 0 ? 2 : 0;
  struct entry d = { 0 };
  size_t step = 0;
  int r;

  for (size_t at = header_size (x); at < end; at += step) {
    r = parse_free (x, at, end, &step, e);
    if (r == 0 && (r = parse_entry (x, at, end, &d, e)) == 0) {
      step = d.size;
      if (dots > 0 && is_dot (d.name, d.len))
        dots--;
      else if (fn (arg, d.name, d.len, d.ino, d.type))
        return 1;
    }
    if (r == -1)
      return -1;
  }
  return 0;
}

static int
scan_block (struct xfs *x, struct xfs_node *n, uint64_t lblk, entry_fn fn,
            void *arg, struct err *e)
{
  size_t end = 0;
  int r;

  if (read_dir_block (x, n, lblk, &end, e) == -1)
    return err_in (e, "directory block %" PRIu64, lblk);
  r = scan_entries (x, lblk, end, fn, arg, e);
  return r == -1 ? err_in (e, "directory block %" PRIu64, lblk) : r;
}

/* How many blocks from LBLK on are a hole, in whole directory blocks. */
static int
hole_length (struct xfs *x, struct xfs_node *n, uint64_t lblk, uint64_t *ret,
             struct err *e)
{
  uint64_t per = x->sb.dir_block_size >> x->sb.block_log;
  struct xfs_run run = { 0 };

  if (xfs_map_blocks (x, n, XFS_DATA_FORK, lblk, &run, e) == -1)
    return -1;
  *ret = run.kind == EXTENT_UNALLOCATED ? run.count / per * per : 0;
  return 0;
}

/* All blocks before the index, whatever the directory's size says: those
 * whose entries are all gone are holes.  A directory cannot have more blocks
 * than the filesystem: this bounds the time that lying extents cost. */
static int
scan_blocks (struct xfs *x, struct xfs_node *n, entry_fn fn, void *arg,
             struct err *e)
{
  uint64_t per = x->sb.dir_block_size >> x->sb.block_log;
  uint64_t end = LEAF_OFFSET >> x->sb.block_log, seen = 0, hole = 0;
  int r;

  for (uint64_t lblk = 0; lblk < end; lblk += hole ? hole : per) {
    if (hole_length (x, n, lblk, &hole, e) == -1)
      return -1;
    if (hole > 0)
      continue;
    seen += per;
    if (seen > x->sb.present)
      return err_set (e, EIO, "directory is larger than the filesystem");
    r = scan_block (x, n, lblk, fn, arg, e);
    if (r != 0)
      return r;
  }
  return 0;
}

/* 0, 1 if FN stopped, or -1. */
static int
scan (struct xfs *x, struct xfs_node *n, entry_fn fn, void *arg,
      struct err *e)
{
  if (n->forks[XFS_DATA_FORK].format == XFS_LOCAL)
    return scan_short (x, n, fn, arg, e);
  return scan_blocks (x, n, fn, arg, e);
}

static int
get_dir (struct xfs *x, uint64_t ino, struct xfs_node **ret, struct err *e)
{
  if (xfs_node_get (x, ino, ret, e) == -1)
    return -1;
  if (!S_ISDIR ((*ret)->mode))
    return err_set (e, ENOTDIR, "not a directory");
  return 0;
}

/* --- reading --------------------------------------------------------- */

struct reader {
  fs_dirent_fn fn;
  void *arg;
};

static int
give_entry (void *arg, const char *name, size_t len, uint64_t ino,
            unsigned type)
{
  static const unsigned char types[] = {
    DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK,
  };
  struct reader *r = arg;

  return r->fn (r->arg, name, len, ino,
                type < ARRAY_SIZE (types) ? types[type] : DT_UNKNOWN);
}

int
xfs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
             struct err *e)
{
  struct xfs *x = fs->priv;
  struct reader reader = { fn, arg };
  struct xfs_node *n;

  if (get_dir (x, dir, &n, e) == -1)
    return -1;
  return scan (x, n, give_entry, &reader, e) == -1 ? -1 : 0;
}

/* --- looking up ------------------------------------------------------ */

struct finder {
  const char *name;
  size_t len;
  bool ascii_ci;
  uint64_t ino;
};

/* As the kernel folds with ascii-ci, which means Latin-1. */
static unsigned char
fold (unsigned char c)
{
  bool upper =
      (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7);

  return upper ? c + 0x20 : c;
}

static bool
same_name (const struct finder *f, const char *name)
{
  if (!f->ascii_ci)
    return !memcmp (name, f->name, f->len);
  for (size_t i = 0; i < f->len; i++)
    if (fold ((unsigned char) name[i]) != fold ((unsigned char) f->name[i]))
      return false;
  return true;
}

static int
match_entry (void *arg, const char *name, size_t len, uint64_t ino,
             unsigned type unused_arg)
{
  struct finder *f = arg;

  if (len != f->len || !same_name (f, name))
    return 0;
  f->ino = ino;
  return 1;
}

/* --- the index: a hash, and where the entry lies --------------------- */

struct index {
  const char *entries;
  unsigned n;
};

static int
leaf_index (const struct xfs *x, struct index *ret)
{
  size_t info = xfs_da_info_size (x);
  size_t header = info + (xfs_is_v5 (x) ? 8 : 4);
  unsigned magic = xfs_da_magic (x, x->leaf_block);

  if (magic != XFS_DIR_LEAF1 && magic != XFS_DIR_LEAFN)
    return -1;
  ret->entries = x->leaf_block + header;
  ret->n = load_be16 (x->leaf_block + info);
  return ret->n > (x->sb.dir_block_size - header) / 8 ? -1 : 0;
}

static unsigned
index_search (const struct index *t, uint32_t hash)
{
  unsigned lo = 0, hi = t->n, mid;

  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (load_be32 (t->entries + (size_t) mid * 8) < hash)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* The entry at ADDRESS, of units of 8 bytes: 1 if it has F's name. */
static int
try_address (struct xfs *x, struct xfs_node *n, uint32_t address,
             struct finder *f, struct err *e)
{
  uint64_t off = (uint64_t) address * ALIGN;
  size_t at = off % x->sb.dir_block_size, end = 0;
  uint64_t lblk = (off - at) >> x->sb.block_log;
  struct entry d = { 0 };

  if (read_dir_block (x, n, lblk, &end, e) == -1)
    return -1;
  if (at < header_size (x) || at >= end ||
      parse_entry (x, at, end, &d, e) == -1)
    return -1;
  return match_entry (f, d.name, d.len, d.ino, d.type);
}

/* Entries of HASH in the leaf: 1 found, 0 the last of them was seen, 2 the
 * next leaf may have more, -1. */
static int
try_leaf (struct xfs *x, struct xfs_node *n, uint32_t hash, struct finder *f,
          struct err *e)
{
  struct index t = { 0 };
  uint32_t address;

  if (leaf_index (x, &t) == -1)
    return -1;
  for (unsigned i = index_search (&t, hash); i < t.n; i++) {
    if (load_be32 (t.entries + (size_t) i * 8) != hash)
      return 0;
    address = load_be32 (t.entries + (size_t) i * 8 + 4);
    if (address && try_address (x, n, address, f, e) == 1)
      return 1;
  }
  return 2;
}

/* 1: found.  Anything else is left to the linear search, which then says
 * what is wrong. */
static int
index_lookup (struct xfs *x, struct xfs_node *n, struct finder *f)
{
  uint32_t hash = xfs_da_hash (f->name, f->len);
  uint64_t lblk = LEAF_OFFSET >> x->sb.block_log;
  struct err ignored;
  int r;

  if (xfs_da_leaf (x, n, XFS_DATA_FORK, &lblk, hash, x->leaf_block,
                   x->sb.dir_block_size, &ignored) == -1)
    return 0;
  for (unsigned i = 0; i < MAX_LEAVES; i++) {
    r = try_leaf (x, n, hash, f, &ignored);
    lblk = xfs_da_next (x->leaf_block);
    if (r != 2 || lblk == 0)
      return r == 1;
    if (xfs_read_fork (x, XFS_DA, n, XFS_DATA_FORK, lblk,
                       x->sb.dir_block_size, x->leaf_block, &ignored) == -1)
      return 0;
  }
  return 0;
}

/* With ascii-ci hashes are of folded names: the linear search does.  The
 * index has the directory's own "." and "..", which nobody looks for. */
static int
find (struct xfs *x, struct xfs_node *n, struct finder *f, struct err *e)
{
  if (n->forks[XFS_DATA_FORK].format != XFS_LOCAL &&
      n->size > x->sb.dir_block_size && !f->ascii_ci &&
      !is_dot (f->name, f->len) && index_lookup (x, n, f) == 1)
    return 1;
  return scan (x, n, match_entry, f, e);
}

int
xfs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
            uint64_t *ret, struct err *e)
{
  struct xfs *x = fs->priv;
  struct finder f = { name, len, x->sb.bits & XFS_V_ASCII_CI, 0 };
  struct xfs_node *n;
  int r = 0;

  if (get_dir (x, dir, &n, e) == -1)
    return -1;
  if (len <= MAX_NAME)
    r = find (x, n, &f, e);
  if (r == 0)
    return err_set (e, ENOENT, "no such file or directory");
  if (r == -1)
    return -1;
  *ret = f.ino;
  return 0;
}
