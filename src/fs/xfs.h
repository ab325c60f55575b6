/* xrayfs: XFS: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An own reader, after "XFS Algorithms & Data Structures", called XADS in the
 * comments, which name its chapters: versions 4 and 5 of the format,
 * directories of version 2.  Everything but the log's checksums is
 * big-endian; checksums (version 5) are CRC-32C, little-endian.
 *
 * Words: a block number in the filesystem (fsblock) has the number
 * of its allocation group (AG) in the high bits and the block within it in
 * the low agblklog bits; an inode number has the inode within the block below
 * that.  A block number in a file is called lblk.
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_XFS_H
#define XRAYFS_FS_XFS_H

#include "fs/fs.h"

/* Inodes kept with the extents used last.  Bounded memory: each has an inode
 * (2 KiB at most) and a block for each fork. */
#define XFS_NODES 32

/* File offsets in extents have 54 bits (XADS, Data Extents). */
#define XFS_MAX_LBLK (UINT64_C (1) << 54)

/* di_format (XADS, On-disk Inode) */
enum xfs_format { XFS_DEV, XFS_LOCAL, XFS_EXTENTS, XFS_BTREE };

/* sb_versionnum, version 4 (XADS, Superblocks) */
enum { XFS_V_DIRV2 = 0x2000, XFS_V_ASCII_CI = 0x4000, XFS_V_MORE = 0x8000 };
/* sb_features2 */
enum {
  XFS_V2_LAZY_COUNT = 0x02,
  XFS_V2_ATTR2 = 0x08,
  XFS_V2_PROJID32 = 0x80,
  XFS_V2_FTYPE = 0x200
};
/* sb_features_ro_compat */
enum {
  XFS_RO_FINOBT = 1,
  XFS_RO_RMAPBT = 2,
  XFS_RO_REFLINK = 4,
  XFS_RO_INOBTCOUNT = 8
};
/* sb_features_incompat */
enum {
  XFS_IN_FTYPE = 0x01,
  XFS_IN_SPARSE = 0x02,
  XFS_IN_META_UUID = 0x04,
  XFS_IN_BIGTIME = 0x08,
  XFS_IN_NEEDSREPAIR = 0x10,
  XFS_IN_NREXT64 = 0x20,
  XFS_IN_EXCHANGE = 0x40,
  XFS_IN_PARENT = 0x80
};

/* di_flags, di_flags2 */
enum { XFS_FLAG_REALTIME = 1 };
enum { XFS_FLAG2_BIGTIME = 8, XFS_FLAG2_NREXT64 = 16 };

/* The superblock, checked. */
struct xfs_super {
  uint32_t block_size, sector_size, inode_size, dir_block_size;
  unsigned block_log, inode_log; /* inode_log: of an inode's bytes */
  unsigned ag_block_log, inodes_per_block_log;
  uint32_t ag_blocks, ag_count;
  uint64_t blocks;  /* blocks * block_size <= INT64_MAX */
  uint64_t present; /* of them on the partition: nothing has more to read */
  uint64_t rt_blocks;
  uint64_t root, log_start;
  uint32_t log_blocks;
  uint64_t inodes, free_inodes, free_blocks;
  unsigned version, bits; /* 4 or 5; sb_versionnum */
  uint32_t features2, ro_compat, incompat;
  unsigned char uuid[16]; /* that metadata bears */
};

/* One of the two forks of an inode: where its blocks lie. */
struct xfs_fork {
  enum xfs_format format;
  const char *data; /* in the inode */
  size_t size;
  uint64_t n_extents;

  /* The extents found last: all there are of the blocks [first, end). */
  const char *records; /* in the inode or leaf; NULL: none */
  unsigned n_records;
  uint64_t first, end;
  char *leaf;
};

enum { XFS_DATA_FORK, XFS_ATTR_FORK };

struct xfs_node {
  uint64_t ino;  /* 0: unused */
  uint64_t used; /* when, for LRU */
  char *raw;
  unsigned mode, version;
  uint64_t size, blocks;
  unsigned flags;
  uint64_t flags2;
  struct xfs_fork forks[2]; /* attributes: data is NULL if there are none */
};

/* Kinds of metadata that tell what they are in version 5 (XADS,
 * Self-Describing Metadata). */
enum xfs_kind {
  XFS_BMAP,
  XFS_DIR,
  XFS_DA,
  XFS_REMOTE,
  XFS_SYMLINK,
  XFS_N_KINDS
};

struct xfs {
  struct block *block;
  const void *cache_owner, *kind_owner[XFS_N_KINDS];
  struct xfs_super sb;
  uint64_t clock;
  struct xfs_node nodes[XFS_NODES];
  /* Scratch: of a directory block each but the last, of a block. */
  char *dir_block, *leaf_block, *table_block;
};

static inline bool
xfs_is_v5 (const struct xfs *x)
{
  return x->sb.version == 5;
}

static inline bool
xfs_has_incompat (const struct xfs *x, uint32_t bit)
{
  return x->sb.incompat & bit;
}

/* Where an INO's fork has its LBLK: how many blocks from there on are
 * alike. */
struct xfs_run {
  enum extent_kind kind; /* data, unallocated, or zero (unwritten) */
  uint64_t fsblock;      /* data */
  uint64_t count;
};

/* --- xfs_super.c ----------------------------------------------------- */

int xfs_super_read (struct xfs *x, struct err *e) must_check;

/* --- xfs_io.c -------------------------------------------------------- */

/* Do COUNT blocks from FSBLOCK on lie in one allocation group, and behind
 * its headers? */
int xfs_check_blocks (const struct xfs *x, uint64_t fsblock, uint64_t count,
                      struct err *e) must_check;

/* Can there be such an inode? */
int xfs_check_inode (const struct xfs *x, uint64_t ino,
                     struct err *e) must_check;

/* Byte offset of a block or inode that was checked. */
uint64_t xfs_block_offset (const struct xfs *x, uint64_t fsblock);
uint64_t xfs_inode_offset (const struct xfs *x, uint64_t ino);

/* LEN bytes of metadata at OFF, which lie within one block, through the
 * cache. */
int xfs_read_at (struct xfs *x, uint64_t off, void *buf, size_t len,
                 struct err *e) must_check;

/* Is the CRC-32C of the SIZE bytes at BUF, whose own place is at AT, right?
 */
bool xfs_crc_ok (const char *buf, size_t size, size_t at);

/* SIZE bytes of metadata of a kind, a number of blocks that lie together.
 * Version 5: are they whole, and what inode OWNER has there? */
int xfs_read_kind (struct xfs *x, enum xfs_kind kind, uint64_t fsblock,
                   size_t size, uint64_t owner, char *buf,
                   struct err *e) must_check;

/* The same of the part of N's fork that begins at LBLK and may lie in
 * pieces; all of it must be there. */
int xfs_read_fork (struct xfs *x, enum xfs_kind kind, struct xfs_node *n,
                   unsigned fork, uint64_t lblk, size_t size, char *buf,
                   struct err *e) must_check;

/* --- xfs_inode.c ----------------------------------------------------- */

/* Inode INO, valid until the next call but XFS_NODES. */
int xfs_node_get (struct xfs *x, uint64_t ino, struct xfs_node **ret,
                  struct err *e) must_check;
void xfs_node_forget (struct xfs_node *n);
void xfs_node_stat (const struct xfs *x, const struct xfs_node *n,
                    struct fs_stat *ret);

/* --- xfs_map.c ------------------------------------------------------- */

int xfs_map_blocks (struct xfs *x, struct xfs_node *n, unsigned fork,
                    uint64_t lblk, struct xfs_run *ret,
                    struct err *e) must_check;

/* --- xfs_da.c: what directories and attributes have in common -------- */

/* Goes down from the root at *LBLK to the leaf that has HASH, which is read
 * into BUF; *LBLK becomes the leaf's. */
int xfs_da_leaf (struct xfs *x, struct xfs_node *n, unsigned fork,
                 uint64_t *lblk, uint32_t hash, char *buf, size_t size,
                 struct err *e) must_check;

/* Of a block of the tree: its magic as in version 4, and the block that
 * follows (0: none). */
unsigned xfs_da_magic (const struct xfs *x, const char *buf);
uint32_t xfs_da_next (const char *buf);

/* Bytes of the part of a block's header that all kinds have. */
size_t xfs_da_info_size (const struct xfs *x);

uint32_t xfs_da_hash (const char *name, size_t len);

/* Magic numbers in the tree, as in version 4. */
enum {
  XFS_DA_NODE = 0xfebe,
  XFS_DIR_LEAF1 = 0xd2f1,
  XFS_DIR_LEAFN = 0xd2ff,
  XFS_ATTR_LEAF = 0xfbee
};

/* --- xfs_dir.c, xfs_attr.c ------------------------------------------- */

int xfs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                 struct err *e);
int xfs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
                uint64_t *ret, struct err *e);
int xfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                struct err *e);

/* --- xfs_log.c ------------------------------------------------------- */

/* 1: the log ends in a clean unmount; 0: it does not; 2: the log is on
 * another device; -1: it cannot be read. */
int xfs_log_is_clean (struct xfs *x, struct err *e) must_check;

/* --- xfs_check.c ----------------------------------------------------- */

int xfs_check (struct fs *fs, struct block_check *c, struct err *e);

#endif
