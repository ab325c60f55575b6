/* xrayfs: ext2, ext3 and ext4: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libext2fs opens the filesystem, reads inodes and knows every checksum.
 * Extent trees, directory blocks and extended attributes are walked here,
 * since the library's walkers trust what they read: extents that are not in
 * order become holes, an access control list whose length is odd runs off
 * its buffer (convert_disk_buffer_to_posix_acl), a tree that shares nodes is
 * iterated for ever.  The checks are the kernel's.
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_EXT_H
#define XRAYFS_FS_EXT_H

#include <ext2fs/ext2fs.h>

#include "fs/fs.h"

/* Inodes kept with the part of the extent tree used last.  Bounded memory:
 * each has an inode and at most one block. */
#define EXT_NODES 32

#define EXT_MAX_DEPTH 5 /* of an extent tree; the kernel's limit */

struct ext_node {
  uint64_t ino;  /* 0: unused */
  uint64_t used; /* when, for LRU */
  struct ext2_inode_large *raw;

  /* The leaf of the extent tree that covers [leaf_first, leaf_end). */
  const void *leaf; /* in raw or leaf_block; NULL: none */
  void *leaf_block;
  uint64_t leaf_first, leaf_end;

  uint64_t dir_hint; /* the block where the last lookup found its name */
};

struct ext {
  ext2_filsys lib;
  struct block *block;
  const void *cache_owner;
  uint32_t block_size;
  uint32_t inode_size;
  uint64_t n_blocks; /* n_blocks * block_size <= INT64_MAX */
  struct err io;     /* what the last read that failed said */
  uint64_t clock;
  struct ext_node nodes[EXT_NODES];
  char *dir_block, *table_block; /* scratch, of one block each */
};

/* --- ext_io.c -------------------------------------------------------- */

/* Opens X->lib on X->block. */
errcode_t ext_io_open (struct ext *x);
void ext_io_init (struct ext *x);

/* Metadata block NR, through the cache. */
int ext_read_block (struct ext *x, uint64_t nr, void *buf,
                    struct err *e) must_check;

/* Is NR a block of the filesystem that may hold something? */
int ext_check_block (struct ext *x, uint64_t nr, struct err *e) must_check;

/* Says what the library's CODE means; always returns -1. */
int ext_error (struct ext *x, errcode_t code, struct err *e);

/* --- ext_map.c ------------------------------------------------------- */

/* Logical block LBLK of NODE: *RET_BLOCK (EXTENT_DATA), its kind, and how
 * many blocks from there on are alike. */
int ext_map_blocks (struct ext *x, struct ext_node *node, uint64_t lblk,
                    enum extent_kind *ret_kind, uint64_t *ret_block,
                    uint64_t *ret_count, struct err *e) must_check;

/* Reads the first LEN bytes of a small file (a link's target, the value of
 * an attribute); holes are zeros. */
int ext_read_small (struct ext *x, struct ext_node *node, void *buf,
                    size_t len, struct err *e) must_check;

/* --- ext_dir.c ------------------------------------------------------- */

int ext_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                 struct err *e);
int ext_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                uint64_t *ret, struct err *e);

/* --- ext_xattr.c ----------------------------------------------------- */

int ext_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                struct err *e);

/* The contents of a file (or directory) that lies in its inode. */
int ext_inline_data (struct ext *x, struct ext_node *node, struct buf *ret,
                     struct err *e) must_check;

/* --- ext_check.c ----------------------------------------------------- */

int ext_check (struct fs *fs, struct block_check *c, struct err *e);

/* --- ext.c ----------------------------------------------------------- */

/* Inode INO, valid until the next call but EXT_NODES. */
int ext_node_get (struct ext *x, uint64_t ino, struct ext_node **ret,
                  struct err *e) must_check;
uint64_t ext_size (const struct ext *x, const struct ext_node *node);

static inline bool
ext_is_inline (const struct ext_node *node)
{
  return node->raw->i_flags & EXT4_INLINE_DATA_FL;
}

static inline bool
ext_is_encrypted (const struct ext_node *node)
{
  return node->raw->i_flags & EXT4_ENCRYPT_FL;
}

#endif
