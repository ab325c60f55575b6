/* xrayfs: ext: damage of what describes the filesystem as a whole
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The superblock and its copies, the group descriptors, the bitmaps, the
 * journal's superblock and the root directory: what `e2fsck -n` complains
 * about too.  Not each inode.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext.h"

#define SUPERBLOCK 1024
/* A table with so many bad entries is none: the rest is not looked at. */
#define ENOUGH 1000

static bool
is_clean (const struct ext2_super_block *s)
{
  return (s->s_state & EXT2_VALID_FS) && !(s->s_state & EXT2_ERROR_FS) &&
         !(s->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
}

/* --- what the superblock says ---------------------------------------- */

static void
format_time (uint64_t seconds, char *to, size_t size)
{
  time_t t = (time_t) seconds;
  struct tm tm;

  if (!seconds || !gmtime_r (&t, &tm) ||
      !strftime (to, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
    snprintf (to, size, "an unknown time");
}

#define TIME_OF(s, field) ((uint64_t) (s)->field##_hi << 32 | (s)->field)

static void
check_errors (const struct ext2_super_block *s, struct block_check *c)
{
  char first[32], last[32];

  if (s->s_state & EXT2_ERROR_FS)
    block_check_error (c, "the kernel has marked it as having errors");
  if (!s->s_error_count)
    return;
  format_time (TIME_OF (s, s_first_error_time), first, sizeof first);
  format_time (TIME_OF (s, s_last_error_time), last, sizeof last);
  block_check_note (
      c,
      "the kernel met %" PRIu32 " errors, the first at %s in %.32s:%" PRIu32
      ", the last at %s in %.32s:%" PRIu32,
      s->s_error_count, first, (const char *) s->s_first_error_func,
      s->s_first_error_line, last, (const char *) s->s_last_error_func,
      s->s_last_error_line);
}

static void
check_state (const struct ext *x, struct block_check *c)
{
  const struct ext2_super_block *s = x->lib->super;
  uint64_t size = x->n_blocks * x->block_size;

  if (size > x->block->size)
    block_check_error (c,
                       "it has %" PRIu64 " bytes, and the last %" PRIu64
                       " of them are missing",
                       size, size - x->block->size);
  check_errors (s, c);
  if (s->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER)
    block_check_note (c, "the journal was not replayed");
  else if (!(s->s_state & EXT2_VALID_FS) && !(s->s_state & EXT2_ERROR_FS))
    block_check_note (c, "it was not unmounted");
  if (s->s_last_orphan)
    block_check_note (c, "inodes that were being deleted wait for it");
}

/* --- copies of the superblock ---------------------------------------- */

/* What all copies have in common, whoever wrote them last. */
static bool
same_filesystem (const struct ext2_super_block *a,
                 const struct ext2_super_block *b)
{
  return a->s_log_block_size == b->s_log_block_size &&
         a->s_blocks_count == b->s_blocks_count &&
         (!(a->s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT) ||
          a->s_blocks_count_hi == b->s_blocks_count_hi) &&
         a->s_inodes_count == b->s_inodes_count &&
         a->s_blocks_per_group == b->s_blocks_per_group &&
         a->s_inodes_per_group == b->s_inodes_per_group &&
         a->s_first_data_block == b->s_first_data_block &&
         a->s_inode_size == b->s_inode_size &&
         !memcmp (a->s_uuid, b->s_uuid, sizeof a->s_uuid);
}

static int
check_copy (struct ext *x, dgrp_t group, uint64_t block,
            struct block_check *c, struct err *e)
{
  struct ext2_super_block s;
  uint64_t off = block * x->block_size;

  /* Said by check_state. */
  if (!range_within (off, sizeof s, x->block->size))
    return 0;
  if (block_pread (x->block, &s, sizeof s, off, e) == -1)
    return err_in (e, "copy of the superblock in group %u", group);
  if (le16toh (s.s_magic) != EXT2_SUPER_MAGIC) {
    block_check_note (c, "the copy of the superblock in group %u is none",
                      group);
    return 0;
  }
  if (!ext2fs_superblock_csum_verify (x->lib, &s))
    block_check_note (c,
                      "checksum of the copy of the superblock in group %u is"
                      " wrong",
                      group);
#ifdef WORDS_BIGENDIAN
  ext2fs_swap_super (&s);
#endif
  if (!same_filesystem (x->lib->super, &s))
    block_check_note (c,
                      "the copy of the superblock in group %u describes"
                      " another filesystem",
                      group);
  return 0;
}

/* --- groups ---------------------------------------------------------- */

/* A table of LEN blocks that the descriptor of GROUP places at BLOCK. */
static bool
check_place (struct ext *x, dgrp_t group, const char *what, uint64_t block,
             uint64_t len, struct block_check *c)
{
  if (block > x->lib->super->s_first_data_block &&
      range_within (block, len, x->n_blocks))
    return true;
  block_check_error (c,
                     "group %u: the %s at block %" PRIu64
                     " lies outside of the filesystem",
                     group, what, block);
  return false;
}

static uint32_t
count_zeros (const unsigned char *bitmap, uint32_t bits)
{
  uint32_t ones = 0;

  for (uint32_t i = 0; i < bits / 8; i++)
    ones += (uint32_t) __builtin_popcount (bitmap[i]);
  for (uint32_t i = bits & ~7u; i < bits; i++)
    ones += bitmap[i / 8] >> i % 8 & 1;
  return bits - ones;
}

/* One bitmap, of blocks or inodes. */
struct bitmap {
  const char *what;
  uint64_t block;
  uint32_t bits, free; /* FREE as the descriptor has it */
  int (*verify) (ext2_filsys, dgrp_t, char *, int);
  uint32_t bytes; /* that the checksum covers */
};

static int
check_bitmap (struct ext *x, dgrp_t group, const struct bitmap *b,
              struct block_check *c, struct err *e)
{
  uint64_t off = b->block * x->block_size;
  uint32_t counted;

  if (b->bits > x->block_size * 8 ||
      !range_within (off, x->block_size, x->block->size))
    return 0; /* said by check_state */
  if (block_pread (x->block, x->table_block, x->block_size, off, e) == -1)
    return err_in (e, "group %u: %s", group, b->what);
  if (!b->verify (x->lib, group, x->table_block, (int) b->bytes)) {
    block_check_error (c, "group %u: checksum of the %s is wrong", group,
                       b->what);
    return 0;
  }
  counted = count_zeros ((unsigned char *) x->table_block, b->bits);
  if (is_clean (x->lib->super) && counted != b->free)
    block_check_error (c,
                       "group %u: the %s has %" PRIu32
                       " free, the descriptor says %" PRIu32,
                       group, b->what, counted, b->free);
  return 0;
}

/* The last group has what is left. */
static uint32_t
clusters_of (const struct ext *x, dgrp_t group)
{
  ext2_filsys lib = x->lib;
  uint64_t blocks = ext2fs_group_blocks_count (lib, group);

  return (uint32_t) div_up (blocks, (uint64_t) EXT2FS_CLUSTER_RATIO (lib));
}

static int
check_bitmaps (struct ext *x, dgrp_t group, struct block_check *c,
               struct err *e)
{
  ext2_filsys lib = x->lib;
  struct ext2_super_block *s = lib->super;
  bool has_sums = ext2fs_has_group_desc_csum (lib);
  struct bitmap blocks = { .what = "block bitmap",
                           .block = ext2fs_block_bitmap_loc (lib, group),
                           .bits = clusters_of (x, group),
                           .free = ext2fs_bg_free_blocks_count (lib, group),
                           .verify = ext2fs_block_bitmap_csum_verify,
                           .bytes = s->s_clusters_per_group / 8 };
  struct bitmap inodes = { .what = "inode bitmap",
                           .block = ext2fs_inode_bitmap_loc (lib, group),
                           .bits = s->s_inodes_per_group,
                           .free = ext2fs_bg_free_inodes_count (lib, group),
                           .verify = ext2fs_inode_bitmap_csum_verify,
                           .bytes = s->s_inodes_per_group / 8 };

  if (!(has_sums &&
        ext2fs_bg_flags_test (lib, group, EXT2_BG_BLOCK_UNINIT)) &&
      check_bitmap (x, group, &blocks, c, e) == -1)
    return -1;
  if (!(has_sums &&
        ext2fs_bg_flags_test (lib, group, EXT2_BG_INODE_UNINIT)) &&
      check_bitmap (x, group, &inodes, c, e) == -1)
    return -1;
  return 0;
}

static int
check_group (struct ext *x, dgrp_t group, struct block_check *c,
             struct err *e)
{
  ext2_filsys lib = x->lib;
  bool placed;

  if (ext2fs_has_group_desc_csum (lib) &&
      !ext2fs_group_desc_csum_verify (lib, group)) {
    block_check_error (c, "checksum of the descriptor of group %u is wrong",
                       group);
    return 0; /* nothing that it says counts */
  }
  placed = check_place (x, group, "block bitmap",
                        ext2fs_block_bitmap_loc (lib, group), 1, c);
  placed &= check_place (x, group, "inode bitmap",
                         ext2fs_inode_bitmap_loc (lib, group), 1, c);
  check_place (x, group, "inode table", ext2fs_inode_table_loc (lib, group),
               lib->inode_blocks_per_group, c);
  return placed ? check_bitmaps (x, group, c, e) : 0;
}

static int
check_groups (struct ext *x, struct block_check *c, struct err *e)
{
  blk64_t super;

  for (dgrp_t g = 0; g < x->lib->group_desc_count && c->errors < ENOUGH;
       g++) {
    if (x->block->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    block_check_progress (c, g, x->lib->group_desc_count);
    if (check_group (x, g, c, e) == -1)
      return -1;
    if (g == 0 || !ext2fs_bg_has_super (x->lib, g))
      continue;
    super = ext2fs_group_first_block2 (x->lib, g);
    if (check_copy (x, g, super, c, e) == -1)
      return -1;
  }
  return 0;
}

/* --- journal and root ------------------------------------------------ */

/* The journal's superblock: magic, type 3 or 4, and an error that the kernel
 * left there. */
static int
read_journal (struct ext *x, uint32_t ino, unsigned char *to, struct err *e)
{
  struct ext_node *node;

  if (ext_node_get (x, ino, &node, e) == -1)
    return -1;
  return ext_read_small (x, node, to, 1024, e);
}

static int
check_journal (struct ext *x, struct block_check *c, struct err *e)
{
  const struct ext2_super_block *s = x->lib->super;
  unsigned char j[1024];

  /* On another device if there is no inode. */
  if (!(s->s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) ||
      !s->s_journal_inum)
    return 0;
  if (read_journal (x, s->s_journal_inum, j, e) == -1) {
    if (err_is_transient (e))
      return -1;
    block_check_error (c, "the journal cannot be read: %s", e->msg);
    err_clear (e);
    return 0;
  }
  if (load_be32 (j) != 0xc03b3998 ||
      (load_be32 (j + 4) != 3 && load_be32 (j + 4) != 4))
    block_check_error (c, "the journal has no superblock");
  else if (load_be32 (j + 32))
    block_check_error (c, "the journal was aborted (error %" PRId32 ")",
                       (int32_t) load_be32 (j + 32));
  return 0;
}

static int
check_root (struct ext *x, struct block_check *c, struct err *e)
{
  struct ext_node *node;

  if (ext_node_get (x, EXT2_ROOT_INO, &node, e) == -1) {
    if (err_is_transient (e))
      return -1;
    block_check_error (c, "the root directory: %s", e->msg);
    err_clear (e);
    return 0;
  }
  if (!LINUX_S_ISDIR (node->raw->i_mode))
    block_check_error (c, "the root directory is none");
  return 0;
}

int
ext_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct ext *x = fs->priv;

  check_state (x, c);
  if (check_groups (x, c, e) == -1)
    return -1;
  if (check_root (x, c, e) == -1)
    return -1;
  return check_journal (x, c, e);
}
