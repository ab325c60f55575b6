/* xrayfs: squashfs: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An own reader of version 4.0, after the kernel's documentation
 * (Documentation/filesystems/squashfs.rst) and what mksquashfs writes.  A
 * library there is, but what it allocates and how far it goes would be the
 * image's to say; the format is small.
 *
 * Words: metadata (inodes, directories, tables) lie in blocks of up to 8 KiB,
 * each compressed behind two bytes of length, that follow each other: a place
 * is a block's byte offset and an offset within its contents.  An inode
 * number is a place in the inode table: block << 16 | offset, 48 bits, as
 * directories have it (Linux shows another, which leads nowhere by itself).
 * The end of a file may lie in a fragment, a block that
 * several files share.  All numbers are little-endian.
 *
 * Locking: everything is called with the filesystem's lock held.
 */
#ifndef XRAYFS_FS_SQUASHFS_H
#define XRAYFS_FS_SQUASHFS_H

#include "base/buf.h"
#include "fs/fs.h"

#define SQUASHFS_METADATA 8192
#define SQUASHFS_NONE     UINT32_MAX /* no fragment, no attributes */
#define SQUASHFS_ABSENT   UINT64_MAX /* a table that is not there */
#define SQUASHFS_XATTR_HEAD                                                  \
  16 /* before the list of the table of attributes */

/* Inodes kept.  Bounded memory: 64 KiB of checkpoints each. */
#define SQUASHFS_NODES       32
#define SQUASHFS_CHECKPOINTS 2048

enum squashfs_compression {
  SQUASHFS_GZIP = 1,
  SQUASHFS_LZMA,
  SQUASHFS_LZO,
  SQUASHFS_XZ,
  SQUASHFS_LZ4,
  SQUASHFS_ZSTD
};

/* The superblock, checked: the tables lie in this order, and within BYTES. */
struct squashfs_super {
  uint32_t inodes, block_size, fragments;
  unsigned block_log, ids;
  enum squashfs_compression compression;
  uint64_t root, bytes;
  uint64_t inode_table, directory_table, tables; /* bytes; TABLES: the first
                                                    of those that follow */
  uint64_t fragment_table, id_table, xattr_table, export_table;
};

/* A place among metadata, which moves on as they are read. */
struct squashfs_place {
  uint64_t block;
  uint32_t offset;
  uint64_t end; /* no block begins here or later */
};

/* Where block INDEX of a file lies, and where its size is told. */
struct squashfs_checkpoint {
  uint64_t index, data, list_block;
  uint32_t list_offset;
};

struct squashfs_node {
  uint64_t ino;
  uint64_t used; /* when, for LRU; 0: not in use */
  mode_t mode;
  uint32_t nlink, uid, gid, mtime;
  uint32_t number; /* that Linux shows */
  dev_t rdev;
  uint64_t size, blocks;
  uint32_t xattr;             /* SQUASHFS_NONE: none */
  struct squashfs_place rest; /* block list, target */

  /* directories: their listing */
  struct squashfs_place listing;

  /* files */
  uint64_t start, n_blocks;
  uint32_t fragment, fragment_offset;
  struct squashfs_checkpoint last, *checkpoints;
  size_t n_checkpoints;
  uint64_t spacing; /* of the checkpoints, in blocks */
};

/* A walk through a directory. */
struct squashfs_walk {
  struct squashfs_place at;
  uint64_t left;     /* bytes of the listing */
  unsigned in_group; /* entries left that belong to the header */
  uint32_t block;    /* of their inodes */
};

struct squashfs {
  struct block *block;
  const void *page_owner, *metadata_owner, *data_owner;
  struct squashfs_super sb;
  uint64_t clock;
  struct squashfs_node nodes[SQUASHFS_NODES];
  uint64_t found_dir; /* where the last lookup ended */
  struct squashfs_walk found;
};

/* --- squashfs_codec.c ------------------------------------------------ */

/* Decompresses the LEN bytes at FROM into TO, which has room for SIZE;
 * *RET_LEN: how many they gave.  Errors: EIO: damaged, or more than SIZE. */
int squashfs_decompress (enum squashfs_compression how, const void *from,
                         size_t len, void *to, size_t size, size_t *ret_len,
                         struct err *e) must_check;
const char *squashfs_compression_name (enum squashfs_compression how);

/* --- squashfs_io.c --------------------------------------------------- */

/* LEN bytes at OFF of the image, through the cache. */
int squashfs_read (struct squashfs *s, uint64_t off, void *buf, size_t len,
                   struct err *e) must_check;

/* LEN bytes of metadata at AT, which moves behind them.  BUF may be NULL, to
 * step over them. */
int squashfs_read_metadata (struct squashfs *s, struct squashfs_place *at,
                            void *buf, size_t len, struct err *e) must_check;

/* Entry INDEX, of SIZE bytes (a divisor of SQUASHFS_METADATA), of a table
 * that is found by a list of its blocks at LIST.  The caller has checked
 * INDEX. */
int squashfs_read_entry (struct squashfs *s, uint64_t list, uint64_t index,
                         void *buf, size_t size, struct err *e) must_check;

/* The metadata block at OFF: *RET_NEXT is where the next one begins. */
int squashfs_check_metadata (struct squashfs *s, uint64_t off,
                             uint64_t *ret_next, struct err *e) must_check;

/* A block of data or a fragment, at START with the size WORD that tells its
 * stored length and whether it is compressed. */
static inline uint32_t
squashfs_stored (uint32_t word)
{
  return word & 0xffffff;
}
static inline bool
squashfs_is_plain (uint32_t word)
{
  return word & 0x1000000;
}
int squashfs_check_block (const struct squashfs *s, uint64_t start,
                          uint32_t word, struct err *e) must_check;

/* LEN bytes, SKIP bytes into such a block that was checked.  WHOLE: it must
 * give exactly so many bytes; 0: any number. */
int squashfs_read_block (struct squashfs *s, uint64_t start, uint32_t word,
                         size_t whole, size_t skip, void *buf, size_t len,
                         struct err *e) must_check;

/* --- squashfs_inode.c ------------------------------------------------ */

/* Inode INO, valid until the next call but SQUASHFS_NODES. */
int squashfs_node_get (struct squashfs *s, uint64_t ino,
                       struct squashfs_node **ret, struct err *e) must_check;
void squashfs_node_forget (struct squashfs_node *n);

/* --- squashfs_file.c, squashfs_dir.c, squashfs_xattr.c --------------- */

int squashfs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
                  struct extent *ret, struct err *e);
int squashfs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len,
                    uint64_t off, struct err *e);
int squashfs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                      struct err *e);
int squashfs_lookup (struct fs *fs, uint64_t dir, const char *name,
                     size_t len, uint64_t *ret, struct err *e);
int squashfs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                     struct err *e);
/* Of attribute set ID, the bytes that they take. */
int squashfs_xattr_size (struct squashfs *s, uint32_t id, uint32_t *ret,
                         struct err *e) must_check;

#endif
