/* xrayfs: EROFS: what the driver's files share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An own reader, after the kernel's documentation
 * (Documentation/filesystems/erofs.rst), what mkfs.erofs writes, and how the
 * kernel reads it.
 *
 * Words: an inode number (nid) counts places of 32 bytes from the start of
 * the area for metadata.  An inode is followed by its attributes, and these
 * by the end of its data (inline), a table of chunks, or the map of its
 * compressed data.  That map has an index for each logical cluster (lcluster)
 * of the file; a physical cluster (pcluster) is what is stored, whole blocks
 * but for one at the file's end that lies behind the index.  All numbers are
 * little-endian.
 *
 * Locking: nothing here changes after the mount but where the last lookup
 * ended; so all but lookup may be called without the filesystem's lock.
 */
#ifndef XRAYFS_FS_EROFS_H
#define XRAYFS_FS_EROFS_H

#include "fs/fs.h"

struct erofs {
  struct block *block;
  const void *page_owner, *data_owner;
  unsigned block_log;
  uint32_t block_size, blocks;
  uint64_t meta, xattrs; /* bytes */
  uint32_t compat, incompat;
  uint64_t inodes;
  uint64_t packed; /* nid of the inode that has the ends of others' data */
  struct timespec built;
  uint64_t found_dir, found_at; /* where the last lookup ended */
};

/* erofs->incompat */
enum { EROFS_ZERO_PADDING = 1, EROFS_FRAGMENTS = 0x20 };

enum erofs_layout {
  EROFS_FLAT,
  EROFS_COMPRESSED,
  EROFS_INLINE,
  EROFS_COMPRESSED_COMPACT,
  EROFS_CHUNKED
};

struct erofs_inode {
  mode_t mode;
  enum erofs_layout layout;
  uint64_t size, at;       /* AT: where it lies; bytes */
  unsigned len, xattr_len; /* of the inode, of its attributes */
  uint32_t nlink, uid, gid, start, chunk;
  struct timespec time;
};

static inline bool
erofs_is_compressed (const struct erofs_inode *n)
{
  return n->layout == EROFS_COMPRESSED ||
         n->layout == EROFS_COMPRESSED_COMPACT;
}

/* Where the inode and its attributes end. */
static inline uint64_t
erofs_inode_end (const struct erofs_inode *n)
{
  return n->at + n->len + n->xattr_len;
}

enum erofs_codec {
  EROFS_LZ4,
  EROFS_LZMA,
  EROFS_DEFLATE,
  EROFS_ZSTD,
  EROFS_CODECS, /* how many; those that follow are not decoded */
  EROFS_PLAIN,
  EROFS_INTERLACED, /* plain, and turned: each byte lies where it would in a
                     * block of the file */
  EROFS_FRAGMENT    /* in the packed inode */
};

/* A part of a file, and what is stored of it. */
struct erofs_pcluster {
  uint64_t off, len; /* of the file: LEN is 1 at least */
  enum erofs_codec codec;
  uint64_t start;  /* bytes, of the image; EROFS_FRAGMENT: of that inode */
  uint32_t stored; /* bytes; not for EROFS_FRAGMENT */
  bool partial;    /* it may give more than LEN bytes, for others */
};

/* What the kernel has for the largest pcluster, and what it may give.  A file
 * asks for no more memory than these. */
#define EROFS_MAX_STORED  (1 * MiB)
#define EROFS_MAX_DECODED (12 * MiB)

/* --- erofs.c --------------------------------------------------------- */

/* LEN bytes at OFF of the image, through the cache. */
int erofs_read (struct erofs *f, uint64_t off, void *buf, size_t len,
                struct err *e) must_check;
int erofs_read_inode (struct erofs *f, uint64_t nid, struct erofs_inode *n,
                      struct err *e) must_check;

/* --- erofs_zmap.c ---------------------------------------------------- */

/* The pcluster with byte OFF of the compressed file N, which has it. */
int erofs_find_pcluster (struct erofs *f, const struct erofs_inode *n,
                         uint64_t off, struct erofs_pcluster *ret,
                         struct err *e) must_check;

/* --- erofs_codec.c --------------------------------------------------- */

/* LEN bytes, SKIP bytes into what P gives, which has them. */
int erofs_read_pcluster (struct erofs *f, const struct erofs_pcluster *p,
                         size_t skip, void *buf, size_t len,
                         struct err *e) must_check;

/* --- erofs_data.c ---------------------------------------------------- */

/* LEN bytes at OFF of N's data, which has them. */
int erofs_read_data (struct erofs *f, const struct erofs_inode *n,
                     uint64_t off, void *buf, size_t len,
                     struct err *e) must_check;
int erofs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e);
int erofs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len,
                 uint64_t off, struct err *e);

#endif
