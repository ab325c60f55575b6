/* xrayfs: ext2, ext3 and ext4, through libext2fs
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Contents are as they are on the disk: a journal that waits to be replayed
 * is not (the state says needs-recovery).
 *
 * Sizes are those of `dumpe2fs -h`: size is "Block count", free is "Free
 * blocks", in bytes, and used is the difference.  df shows less, since
 * statfs(2) leaves out the blocks of the filesystem's own tables (unless
 * mounted with minixdf), and what is reserved for root.
 */
#include "fs/ext.h"

#include <e2p/e2p.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"

/* The library keeps all group descriptors in memory: enough for 128 TiB in
 * blocks of 4 KiB. */
#define MAX_DESCRIPTORS (64 * MiB)
#define SUPERBLOCK      1024
#define MAX_LINK        4095 /* PATH_MAX without its NUL */

/* --- inodes ---------------------------------------------------------- */

uint64_t
ext_size (const struct ext *x, const struct ext_node *node)
{
  const struct ext2_inode_large *raw = node->raw;

  /* Elsewhere the high half had another meaning. */
  if (S_ISREG (raw->i_mode) ||
      (S_ISDIR (raw->i_mode) && ext2fs_has_feature_largedir (x->lib->super)))
    return raw->i_size | (uint64_t) raw->i_size_high << 32;
  return raw->i_size;
}

/* What the kernel checks when it reads an inode. */
static int
check_inode (const struct ext *x, const struct ext_node *node, struct err *e)
{
  const struct ext2_inode_large *raw = node->raw;

  if (raw->i_mode == 0 || raw->i_links_count == 0)
    return err_set (e, EIO, "inode is not in use");
  if (x->inode_size > EXT2_GOOD_OLD_INODE_SIZE &&
      (raw->i_extra_isize % 4 ||
       raw->i_extra_isize > x->inode_size - EXT2_GOOD_OLD_INODE_SIZE))
    return err_set (e, EIO, "inode has %u extra bytes", raw->i_extra_isize);
  if (ext_size (x, node) > INT64_MAX)
    return err_set (e, EIO, "file of %" PRIu64 " bytes", ext_size (x, node));
  if (ext_is_inline (node) &&
      (!ext2fs_has_feature_inline_data (x->lib->super) ||
       raw->i_flags & EXT4_EXTENTS_FL))
    return err_set (e, EIO, "inode cannot hold data inline");
  return 0;
}

static void
node_forget (struct ext_node *n)
{
  free (n->leaf_block);
  free (n->raw);
  *n = (struct ext_node){ 0 };
}

static int
node_read (struct ext *x, uint64_t ino, struct ext_node *n, struct err *e)
{
  errcode_t code;

  if (ino == 0 || ino > x->lib->super->s_inodes_count)
    return err_set (e, EIO, "there is no such inode");
  n->raw = calloc (1, MAX (x->inode_size, sizeof *n->raw));
  if (!n->raw)
    return err_set (e, ENOMEM, "out of memory");
  code = ext2fs_read_inode_full (x->lib, ino, (struct ext2_inode *) n->raw,
                                 x->inode_size);
  if (code) {
    /* The library puts an inode whose checksum is wrong into a slot of its
     * cache that still bears another's number. */
    ext2fs_flush_icache (x->lib);
    return ext_error (x, code, e);
  }
  n->ino = ino;
  return check_inode (x, n, e);
}

int
ext_node_get (struct ext *x, uint64_t ino, struct ext_node **ret,
              struct err *e)
{
  struct ext_node *oldest = x->nodes;

  for (struct ext_node *n = x->nodes; n < x->nodes + EXT_NODES; n++) {
    if (n->ino == ino && n->raw) {
      n->used = ++x->clock;
      *ret = n;
      return 0;
    }
    if (n->used < oldest->used)
      oldest = n;
  }
  node_forget (oldest);
  if (node_read (x, ino, oldest, e) == -1) {
    node_forget (oldest);
    return -1;
  }
  oldest->used = ++x->clock;
  *ret = oldest;
  return 0;
}

/* --- stat ------------------------------------------------------------ */

/* Is FIELD within the extra fields that the inode says it has? */
#define HAS_EXTRA(x, raw, field)                                             \
  ((x)->inode_size > EXT2_GOOD_OLD_INODE_SIZE &&                             \
   offsetof (struct ext2_inode_large, field) + sizeof (raw)->field <=        \
       EXT2_GOOD_OLD_INODE_SIZE + (size_t) (raw)->i_extra_isize)

/* Seconds are signed; two more bits extend them to 2446, the others are
 * nanoseconds. */
static struct timespec
decode_time (uint32_t seconds, uint32_t extra)
{
  uint32_t ns = extra >> 2;

  return (struct timespec){
    .tv_sec = (int64_t) (int32_t) seconds + ((int64_t) (extra & 3) << 32),
    .tv_nsec = ns < 1000000000 ? ns : 0,
  };
}

static void
stat_times (const struct ext *x, const struct ext2_inode_large *raw,
            struct fs_stat *st)
{
#define TIME(field)                                                          \
  decode_time (raw->field,                                                   \
               HAS_EXTRA (x, raw, field##_extra) ? raw->field##_extra : 0)
  st->atime = TIME (i_atime);
  st->mtime = TIME (i_mtime);
  st->ctime = TIME (i_ctime);
#undef TIME
}

static uint64_t
stat_blocks (const struct ext *x, const struct ext_node *node)
{
  const struct ext2_inode_large *raw = node->raw;
  uint64_t n = raw->i_blocks;

  if (ext2fs_has_feature_huge_file (x->lib->super)) {
    n |= (uint64_t) raw->osd2.linux2.l_i_blocks_hi << 32;
    if (raw->i_flags & EXT4_HUGE_FILE_FL)
      n *= x->block_size / 512;
  }
  /* As the kernel does, lest programs think that the file is a hole. */
  if (ext_is_inline (node) && S_ISREG (raw->i_mode))
    n += div_up (ext_size (x, node), 512);
  return n;
}

/* Old numbers have 8 bits each, new ones 12 and 20. */
static dev_t
stat_rdev (const struct ext2_inode_large *raw)
{
  uint32_t old = raw->i_block[0], dev = raw->i_block[1];

  if (!S_ISCHR (raw->i_mode) && !S_ISBLK (raw->i_mode))
    return 0;
  if (old)
    return makedev (old >> 8 & 0xff, old & 0xff);
  return makedev (dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00));
}

static int
ext_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct ext *x = fs->priv;
  struct ext_node *node;
  struct ext2_inode_large *raw;

  if (ext_node_get (x, ino, &node, e) == -1)
    return -1;
  raw = node->raw;
  *ret = (struct fs_stat){
    .ino = ino,
    .mode = raw->i_mode,
    .nlink = raw->i_links_count,
    .uid = raw->i_uid | (uint32_t) raw->osd2.linux2.l_i_uid_high << 16,
    .gid = raw->i_gid | (uint32_t) raw->osd2.linux2.l_i_gid_high << 16,
    .size = ext_size (x, node),
    .blocks = stat_blocks (x, node),
    .blksize = x->block_size,
    .rdev = stat_rdev (raw),
  };
  stat_times (x, raw, ret);
  return 0;
}

/* --- symbolic links -------------------------------------------------- */

/* The kernel's rule, both halves of it: with ea_inode i_blocks may count the
 * blocks of attributes. */
static bool
is_fast_link (struct ext *x, const struct ext_node *node)
{
  const struct ext2_inode_large *raw = node->raw;
  uint64_t blocks = raw->i_blocks;
  uint64_t ea = ext2fs_file_acl_block (x->lib, (struct ext2_inode *) raw)
                    ? EXT2_CLUSTER_SIZE (x->lib->super) / 512
                    : 0;

  if (ext_is_inline (node) || raw->i_size >= sizeof raw->i_block)
    return false;
  return ext2fs_has_feature_ea_inode (x->lib->super) || blocks == ea;
}

static int
read_link (struct ext *x, struct ext_node *node, struct buf *ret,
           struct err *e)
{
  size_t len = ext_size (x, node);
  char *to;

  if (is_fast_link (x, node)) {
    buf_add (ret, node->raw->i_block, len);
    return buf_check (ret, e);
  }
  if (ext_is_inline (node)) {
    if (ext_inline_data (x, node, ret, e) == -1)
      return -1;
    if (ret->len < len)
      return err_set (e, EIO, "symbolic link is cut off");
    ret->len = len;
    ret->data[len] = '\0';
    return 0;
  }
  to = buf_reserve (ret, len);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (ext_read_small (x, node, to, len, e) == -1)
    return -1;
  ret->len += len;
  to[len] = '\0';
  return 0;
}

static int
ext_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  struct ext *x = fs->priv;
  CLEANUP_BUF struct buf target = { 0 };
  struct ext_node *node;

  if (ext_node_get (x, ino, &node, e) == -1)
    return -1;
  if (!S_ISLNK (node->raw->i_mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (ext_is_encrypted (node))
    return err_set (e, ENOKEY, "symbolic link is encrypted (fscrypt)");
  if (node->raw->i_size == 0 || node->raw->i_size > MAX_LINK)
    return err_set (e, EIO, "symbolic link of %u bytes", node->raw->i_size);
  if (read_link (x, node, &target, e) == -1)
    return -1;
  if (memchr (target.data, '\0', target.len))
    return err_set (e, EIO, "symbolic link holds a NUL");
  buf_add (ret, target.data, target.len);
  return buf_check (ret, e);
}

/* --- file data ------------------------------------------------------- */

static int
get_file (struct ext *x, uint64_t ino, struct ext_node **ret, struct err *e)
{
  if (ext_node_get (x, ino, ret, e) == -1)
    return -1;
  if (fs_regular ((*ret)->raw->i_mode, e) == -1)
    return -1;
  if (ext_is_encrypted (*ret))
    return err_set (e, ENOKEY, "file is encrypted (fscrypt)");
  return 0;
}

static int
ext_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
         struct extent *ret, struct err *e)
{
  struct ext *x = fs->priv;
  uint64_t block, count, skip = off % x->block_size;
  struct ext_node *node;
  enum extent_kind kind;

  if (get_file (x, ino, &node, e) == -1)
    return -1;
  if (ext_is_inline (node)) {
    *ret = extent_of (EXTENT_COMPRESSED, len);
    return 0;
  }
  if (ext_map_blocks (x, node, off / x->block_size, &kind, &block, &count,
                      e) == -1)
    return -1;
  /* count <= 2^32 and a block has at most 2^16 bytes: no overflow. */
  *ret = (struct extent){
    .length = MIN (len, count * x->block_size - skip),
    .kind = kind,
    .lower = kind == EXTENT_DATA ? fs->block : NULL,
    .offset = kind == EXTENT_DATA ? block * x->block_size + skip : 0,
  };
  return 0;
}

/* Only what lies in the inode comes here.  A file that was made longer
 * without writing to it has zeros after what is stored. */
static int
ext_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
           struct err *e)
{
  struct ext *x = fs->priv;
  CLEANUP_BUF struct buf data = { 0 };
  struct ext_node *node;
  size_t n;

  if (get_file (x, ino, &node, e) == -1 ||
      ext_inline_data (x, node, &data, e) == -1)
    return -1;
  n = off < data.len ? MIN (len, data.len - off) : 0;
  if (n > 0)
    memcpy (buf, data.data + off, n);
  memset ((char *) buf + n, 0, len - n);
  return 0;
}

/* --- the filesystem as a whole --------------------------------------- */

static const char *
state_of (const struct ext2_super_block *s)
{
  if (s->s_state & EXT2_ERROR_FS)
    return "errors";
  if (s->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER)
    return "needs-recovery";
  return s->s_state & EXT2_VALID_FS ? "clean" : "dirty";
}

static void
add_features (struct buf *b, int set, uint32_t mask)
{
  for (unsigned i = 0; i < 32; i++)
    if (mask & 1u << i)
      buf_add_word (b, e2p_feature2string (set, 1u << i));
}

static int
ext_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct ext *x = fs->priv;
  struct ext2_super_block *s = x->lib->super;
  uint64_t free = MIN (ext2fs_free_blocks_count (s), x->n_blocks);

  ret->size = x->n_blocks * x->block_size;
  ret->free = free * x->block_size;
  ret->used = ret->size - ret->free;
  ret->inodes = s->s_inodes_count;
  ret->inodes_free = s->s_free_inodes_count;
  ret->block_size = x->block_size;
  snprintf (ret->state, sizeof ret->state, "%s", state_of (s));
  add_features (&ret->features, E2P_FEATURE_COMPAT, s->s_feature_compat);
  add_features (&ret->features, E2P_FEATURE_INCOMPAT, s->s_feature_incompat);
  add_features (&ret->features, E2P_FEATURE_RO_INCOMPAT,
                s->s_feature_ro_compat);
  return buf_check (&ret->features, e);
}

/* ext2fs_open allocates by what the superblock says: look first. */
static int
check_descriptors (const struct ext *x, const struct ext2_super_block *s,
                   struct err *e)
{
  bool is64 = le32toh (s->s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT;
  uint64_t size = is64 ? le16toh (s->s_desc_size) : EXT2_MIN_DESC_SIZE;
  uint64_t per_group = le32toh (s->s_blocks_per_group);
  uint64_t bytes;

  if (per_group == 0 || size < EXT2_MIN_DESC_SIZE || size > x->block_size)
    return err_set (e, EIO, "superblock: impossible block groups");
  bytes = x->n_blocks / per_group;
  if (__builtin_mul_overflow (bytes, size, &bytes) ||
      bytes > MAX_DESCRIPTORS || bytes > x->block->size)
    return err_set (e, EIO, "superblock: too many block groups (%" PRIu64 ")",
                    x->n_blocks / per_group);
  return 0;
}

static int
check_superblock (struct ext *x, struct err *e)
{
  struct ext2_super_block s;
  uint64_t bytes;

  if (block_pread (x->block, &s, sizeof s, SUPERBLOCK, e) == -1)
    return err_in (e, "superblock");
  if (le16toh (s.s_magic) != EXT2_SUPER_MAGIC)
    return err_set (e, EINVAL, "superblock: wrong magic 0x%04x",
                    le16toh (s.s_magic));
  if (le32toh (s.s_log_block_size) > 6)
    return err_set (e, EIO, "superblock: impossible block size");
  x->block_size = 1024u << le32toh (s.s_log_block_size);
  x->n_blocks = le32toh (s.s_blocks_count);
  if (le32toh (s.s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
    x->n_blocks |= (uint64_t) le32toh (s.s_blocks_count_hi) << 32;
  if (__builtin_mul_overflow (x->n_blocks, x->block_size, &bytes) ||
      bytes > INT64_MAX)
    return err_set (e, EIO, "superblock: %" PRIu64 " blocks", x->n_blocks);
  return check_descriptors (x, &s, e);
}

static void
register_errors (void)
{
  initialize_ext2_error_table ();
}

static int
open_library (struct ext *x, struct err *e)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  errcode_t code;

  pthread_once (&once, register_errors);
  code = ext_io_open (x);
  if (code) {
    x->lib = NULL; /* freed by the library */
    return ext_error (x, code, e);
  }
  x->inode_size = EXT2_INODE_SIZE (x->lib->super);
  return 0;
}

static int
ext_mount (struct fs *fs, struct err *e)
{
  struct ext *x = calloc (1, sizeof *x);

  if (!x)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = x;
  fs->root = EXT2_ROOT_INO;
  x->block = fs->block;
  ext_io_init (x);
  if (check_superblock (x, e) == -1)
    return -1;
  x->dir_block = malloc (x->block_size);
  x->table_block = malloc (x->block_size);
  if (!x->dir_block || !x->table_block)
    return err_set (e, ENOMEM, "out of memory");
  return open_library (x, e);
}

static void
ext_unmount (struct fs *fs)
{
  struct ext *x = fs->priv;

  if (!x)
    return;
  for (size_t i = 0; i < EXT_NODES; i++)
    node_forget (&x->nodes[i]);
  if (x->lib)
    ext2fs_free (x->lib);
  free (x->dir_block);
  free (x->table_block);
  free (x);
}

static const char *const ext_types[] = { "ext2", "ext3", "ext4", "ext4dev",
                                         NULL };

const struct fs_ops ext_ops = {
  .name = "ext",
  .types = ext_types,
  .mount = ext_mount,
  .lookup = ext_lookup,
  .stat = ext_stat,
  .readdir = ext_readdir,
  .readlink = ext_readlink,
  .xattrs = ext_xattrs,
  .map = ext_map,
  .pread = ext_pread,
  .info = ext_info,
  .check = ext_check,
  .unmount = ext_unmount,
};
