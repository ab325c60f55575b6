/* xrayfs: ext: directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Read linearly, which hashed directories allow.  A lookup asks the hash
 * tree first, and believes it only when it finds the name: "not there" is
 * said after every block was seen, whatever shape the tree is in.  Without a
 * hash tree a lookup starts where the last one ended, as Linux's ext2 does:
 * programs look names up in the order in which they read them.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/ext.h"

#define ENTRY_HEADER  8
#define MIN_ENTRY     12
#define MAX_NAME      255
#define INLINE_PARENT 4 /* bytes of ".." before the entries */
#define MAX_DX_LEVELS 3 /* with large_dir */

/* Given to each entry; non-zero stops. */
typedef int (*entry_fn) (void *arg, const char *name, size_t len,
                         uint32_t ino, unsigned type);

static unsigned
rec_len (const struct ext *x, const char *p)
{
  unsigned len = load_le16 (p + 4);

  if (x->block_size < 65536)
    return len;
  if (len == 65535 || len == 0)
    return x->block_size;
  return (len & 65532) | (len & 3) << 16;
}

static int
bad_entry (struct err *e, size_t at)
{
  return err_set (e, EIO, "bad directory entry at byte %zu of its block", at);
}

/* Entries that begin at P + SKIP.  0, 1 if FN stopped, or -1. */
static int
scan (const struct ext *x, const char *p, size_t len, size_t skip,
      entry_fn fn, void *arg, struct err *e)
{
  size_t rec, name;

  for (size_t at = skip; at < len; at += rec) {
    if (len - at < ENTRY_HEADER)
      return bad_entry (e, at);
    rec = rec_len (x, p + at);
    name = (unsigned char) p[at + 6];
    if (rec < MIN_ENTRY || rec % 4 || rec > len - at ||
        name + ENTRY_HEADER > rec)
      return bad_entry (e, at);
    if (load_le32 (p + at) == 0)
      continue;
    if (name == 0)
      return bad_entry (e, at);
    if (fn (arg, p + at + ENTRY_HEADER, name, load_le32 (p + at),
            (unsigned char) p[at + 7]))
      return 1;
  }
  return 0;
}

/* The length of the "." and ".." that begin a directory: those that are
 * called so elsewhere are files.  */
static size_t
dots_length (const struct ext *x, const char *p)
{
  size_t at = 0;

  for (int n = 1; n <= 2; n++) {
    if (x->block_size - at < MIN_ENTRY || (unsigned char) p[at + 6] != n ||
        memcmp (p + at + ENTRY_HEADER, "..", n))
      break;
    /* A hash tree's root hides in the length of "..". */
    at += rec_len (x, p + at);
    if (at % 4 || at > x->block_size)
      return 0;
  }
  return at;
}

static int
read_dir_block (struct ext *x, struct ext_node *node, uint64_t lblk,
                struct err *e)
{
  uint64_t block = 0, count = 0;
  enum extent_kind kind = EXTENT_ZERO;

  if (ext_map_blocks (x, node, lblk, &kind, &block, &count, e) == -1)
    return -1;
  if (kind != EXTENT_DATA)
    return err_set (e, EIO, "directory block %" PRIu64 " is a hole", lblk);
  if (ext_read_block (x, block, x->dir_block, e) == -1)
    return -1;
  if (!ext2fs_dir_block_csum_verify (x->lib, node->ino,
                                     (struct ext2_dir_entry *) x->dir_block))
    return err_set (e, EIO,
                    "checksum of directory block %" PRIu64 " is wrong", lblk);
  return 0;
}

static int
scan_block (struct ext *x, struct ext_node *node, uint64_t lblk, entry_fn fn,
            void *arg, struct err *e)
{
  size_t skip;
  int r;

  if (read_dir_block (x, node, lblk, e) == -1)
    return -1;
  skip = lblk == 0 ? dots_length (x, x->dir_block) : 0;
  r = scan (x, x->dir_block, x->block_size, skip, fn, arg, e);
  return r == -1 ? err_in (e, "directory block %" PRIu64, lblk) : r;
}

/* In the inode: the parent and some entries, and more in an attribute. */
static int
scan_inline (struct ext *x, struct ext_node *node, entry_fn fn, void *arg,
             struct err *e)
{
  CLEANUP_BUF struct buf data = { 0 };
  size_t in_inode = sizeof node->raw->i_block;
  int r;

  if (ext_inline_data (x, node, &data, e) == -1)
    return -1;
  r = scan (x, data.data, in_inode, INLINE_PARENT, fn, arg, e);
  if (r == 0 && data.len > in_inode)
    r = scan (x, data.data + in_inode, data.len - in_inode, 0, fn, arg, e);
  return r == -1 ? err_in (e, "inline directory") : r;
}

/* A directory cannot be larger than what holds it: this bounds the time that
 * a lying size costs. */
static int
count_blocks (struct ext *x, struct ext_node *node, uint64_t *ret,
              struct err *e)
{
  uint64_t n = div_up (ext_size (x, node), x->block_size);

  if (n > x->n_blocks)
    return err_set (e, EIO, "directory of %" PRIu64 " blocks", n);
  *ret = n;
  return 0;
}

static int
get_dir (struct ext *x, uint64_t ino, struct ext_node **ret, struct err *e)
{
  if (ext_node_get (x, ino, ret, e) == -1)
    return -1;
  if (!S_ISDIR ((*ret)->raw->i_mode))
    return err_set (e, ENOTDIR, "not a directory");
  if (ext_is_encrypted (*ret))
    return err_set (e, ENOKEY, "directory is encrypted (fscrypt)");
  return 0;
}

/* --- reading --------------------------------------------------------- */

struct reader {
  const struct ext *x;
  fs_dirent_fn fn;
  void *arg;
};

static int
give_entry (void *arg, const char *name, size_t len, uint32_t ino,
            unsigned type)
{
  static const unsigned char types[] = {
    DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK,
  };
  struct reader *r = arg;

  if (!ext2fs_has_feature_filetype (r->x->lib->super) ||
      type >= ARRAY_SIZE (types))
    type = 0;
  return r->fn (r->arg, name, len, ino, types[type]);
}

int
ext_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
             struct err *e)
{
  struct ext *x = fs->priv;
  struct reader reader = { x, fn, arg };
  struct ext_node *node;
  uint64_t n = 0;
  int r = 0;

  if (get_dir (x, dir, &node, e) == -1)
    return -1;
  if (ext_is_inline (node))
    return scan_inline (x, node, give_entry, &reader, e) == -1 ? -1 : 0;
  if (count_blocks (x, node, &n, e) == -1)
    return -1;
  for (uint64_t i = 0; i < n && r == 0; i++)
    r = scan_block (x, node, i, give_entry, &reader, e);
  return r == -1 ? -1 : 0;
}

/* --- looking up ------------------------------------------------------ */

struct finder {
  const char *name;
  size_t len;
  uint32_t ino;
};

static int
match_entry (void *arg, const char *name, size_t len, uint32_t ino,
             unsigned type unused_arg)
{
  struct finder *f = arg;

  if (len != f->len || memcmp (name, f->name, len))
    return 0;
  f->ino = ino;
  return 1;
}

/* --- hash trees: Documentation/filesystems/ext4/directory.rst -------- */

/* A block of the tree: entries of 8 bytes at AT; the first has limit and
 * count in place of its hash.  Returns the block that covers HASH. */
static int
dx_search (const struct ext *x, const char *block, size_t at, uint32_t hash,
           uint64_t *ret)
{
  unsigned lo = 0, hi = load_le16 (block + at + 2), mid;

  if (hi == 0 || hi > (x->block_size - at) / 8)
    return -1;
  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (load_le32 (block + at + mid * 8) <= hash)
      lo = mid;
    else
      hi = mid;
  }
  *ret = load_le32 (block + at + lo * 8 + 4) & EXT4_DX_BLOCK_MASK;
  return 0;
}

static int
dx_hash (struct ext *x, struct ext_node *node, const struct finder *f,
         uint32_t *ret)
{
  int version = (unsigned char) x->dir_block[28];
  ext2_dirhash_t minor;

  if (version <= EXT2_HASH_TEA &&
      x->lib->super->s_flags & EXT2_FLAGS_UNSIGNED_HASH)
    version += EXT2_HASH_LEGACY_UNSIGNED;
  return ext2fs_dirhash2 (version, f->name, f->len, x->lib->encoding,
                          node->raw->i_flags & EXT4_CASEFOLD_FL,
                          x->lib->super->s_hash_seed, ret, &minor)
             ? -1
             : 0;
}

/* The leaf in which F's name belongs; -1 for any oddness. */
static int
dx_leaf (struct ext *x, struct ext_node *node, const struct finder *f,
         uint64_t *ret, struct err *e)
{
  unsigned levels;
  uint32_t hash = 0;
  size_t at;

  if (read_dir_block (x, node, 0, e) == -1 || dx_hash (x, node, f, &hash))
    return -1;
  at = 24 + (unsigned char) x->dir_block[29];
  levels = (unsigned char) x->dir_block[30];
  if (levels > MAX_DX_LEVELS || at > x->block_size - 8 ||
      dx_search (x, x->dir_block, at, hash, ret) == -1)
    return -1;
  for (; levels > 0; levels--)
    if (read_dir_block (x, node, *ret, e) == -1 ||
        dx_search (x, x->dir_block, 8, hash, ret) == -1)
      return -1;
  return 0;
}

/* 1: found.  Anything else is left to the linear search, which then says
 * what is wrong. */
static int
dx_lookup (struct ext *x, struct ext_node *node, struct finder *f,
           uint64_t n_blocks)
{
  struct err ignored;
  uint64_t leaf;

  return dx_leaf (x, node, f, &leaf, &ignored) == 0 && leaf < n_blocks &&
         scan_block (x, node, leaf, match_entry, f, &ignored) == 1;
}

static int
linear_lookup (struct ext *x, struct ext_node *node, struct finder *f,
               uint64_t n_blocks, struct err *e)
{
  uint64_t at = node->dir_hint < n_blocks ? node->dir_hint : 0;
  int r;

  for (uint64_t i = 0; i < n_blocks; i++) {
    r = scan_block (x, node, at, match_entry, f, e);
    if (r == 1)
      node->dir_hint = at;
    if (r != 0)
      return r;
    at = at + 1 < n_blocks ? at + 1 : 0;
  }
  return 0;
}

static int
find (struct ext *x, struct ext_node *node, struct finder *f, struct err *e)
{
  uint64_t n = 0;

  if (ext_is_inline (node))
    return scan_inline (x, node, match_entry, f, e);
  if (count_blocks (x, node, &n, e) == -1)
    return -1;
  if (node->raw->i_flags & EXT2_INDEX_FL && n > 2 &&
      dx_lookup (x, node, f, n))
    return 1;
  return linear_lookup (x, node, f, n, e);
}

int
ext_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
            uint64_t *ret, struct err *e)
{
  struct ext *x = fs->priv;
  struct finder f = { name, len, 0 };
  struct ext_node *node;
  int r = 0;

  if (get_dir (x, dir, &node, e) == -1)
    return -1;
  if (len <= MAX_NAME)
    r = find (x, node, &f, e);
  if (r == 0)
    return err_set (e, ENOENT, "no such file or directory");
  *ret = f.ino;
  return r == -1 ? -1 : 0;
}
