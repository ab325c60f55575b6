/* xrayfs: filesystems
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A driver (struct fs_ops) knows one on-disk format and nothing else: no
 * paths, no symbolic links, no locks, no size caps.  Those live once, in
 * fs.c (one filesystem) and vfs.c (several, composed into the guest's tree).
 *
 * Locking: drivers are called with the filesystem's lock held, since
 * libext2fs and libntfs-3g are not thread-safe.  File data is read by
 * `map` -> extents -> block layer, without any lock while data moves; only
 * what cannot be mapped goes through the driver's pread, under the lock (a
 * piece at a time) unless the driver says that it locks for itself.
 */
#ifndef XRAYFS_FS_FS_H
#define XRAYFS_FS_FS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "block/block.h"

struct fs;

/* Inode numbers of drivers fit in 48 bits: node ids are made from them. */
#define FS_INO_BITS 48

struct fs_stat {
  /* As Linux shows it: what lookup gives, and the driver is asked by, may be
   * another number (iso9660, squashfs). */
  uint64_t ino;
  mode_t mode; /* type and permissions, as st_mode */
  uint32_t nlink, uid, gid;
  uint64_t size;
  uint64_t blocks; /* of 512 bytes, allocated: st_blocks */
  uint32_t blksize;
  dev_t rdev;
  struct timespec atime, mtime, ctime;
};

/* One directory entry.  NAME is as on disk but for what no Linux name can
 * hold (fs_safe_name); it is valid during the call only.  TYPE is a DT_*
 * value or DT_UNKNOWN.  Returns non-zero to stop. */
typedef int (*fs_dirent_fn) (void *arg, const char *name, size_t len,
                             uint64_t ino, unsigned type);

/* One extended attribute, with its namespace prefix, as getxattr(2) gives
 * it.  Returns non-zero to stop. */
typedef int (*fs_xattr_fn) (void *arg, const char *name, const void *value,
                            size_t len);

/* What a filesystem says of itself.  UINT64_MAX: not known. */
struct fs_info {
  uint64_t size, used, free; /* bytes */
  uint64_t inodes, inodes_free;
  uint32_t block_size;
  char state[24];      /* clean dirty needs-recovery hibernated errors */
  struct buf features; /* words, separated by spaces */
};

struct fs_ops {
  const char *name;
  const char *const *types; /* libblkid's TYPE values; ends with NULL */

  /* New metadata lie in the log alone for long, and it is not replayed: one
   * that needs recovery shows its files, and is no ground for an answer. */
  bool stale_without_log;

  /* fs->block is set; sets fs->root, fs->priv and, where it is another
   * directory, fs->default_root. */
  int (*mount) (struct fs *fs, struct err *e);
  /* An absent name is ENOENT. */
  int (*lookup) (struct fs *fs, uint64_t dir, const char *name, size_t len,
                 uint64_t *ret, struct err *e);
  int (*stat) (struct fs *fs, uint64_t ino, struct fs_stat *ret,
               struct err *e);
  /* All entries but "." and "..". */
  int (*readdir) (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                  struct err *e);
  int (*readlink) (struct fs *fs, uint64_t ino, struct buf *ret,
                   struct err *e);
  int (*xattrs) (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
                 struct err *e);
  /* File range -> extents of fs->block (EXTENT_DATA with lower = fs->block),
   * holes (EXTENT_UNALLOCATED), unwritten (EXTENT_ZERO) or what only pread
   * can deliver (EXTENT_COMPRESSED).  1 <= length <= LEN.  OFF lies within
   * the file. */
  int (*map) (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
              struct extent *ret, struct err *e);
  int (*pread) (struct fs *fs, uint64_t ino, void *buf, size_t len,
                uint64_t off, struct err *e);
  /* pread is called without the lock, by any number of threads at once.  It
   * takes the lock (fs_lock) to find out where the bytes lie, copies what it
   * needs of that, and gives the lock back before it reads and decompresses;
   * nothing that it uses then may be scratch memory of the filesystem. */
  bool pread_unlocked;
  int (*info) (struct fs *fs, struct fs_info *ret, struct err *e);
  /* Looks for damage, with block_check_error (data are lost, or may be: error
   * flags, checksums that do not match, sizes beyond the device) and
   * block_check_note (a copy of the superblock that differs).  Bounded: what
   * describes the filesystem as a whole, not a full fsck, unless that is
   * cheap.  May be NULL.  -1: could not look, which is no finding. */
  int (*check) (struct fs *fs, struct block_check *c, struct err *e);
  /* Filesystems with subvolumes alone: the inode of the root directory of
   * subvolume ID (Btrfs: subvolid=).  ENOENT: there is none. */
  int (*subvolume) (struct fs *fs, uint64_t id, uint64_t *ret, struct err *e);
  void (*unmount) (struct fs *fs); /* also after a failed mount */
};

/* Where other parts of a filesystem may lie (Btrfs on several devices). Asked
 * only by a driver whose filesystem has such. */
typedef int (*fs_member_fn) (void *to, struct block *b, struct err *e);
struct fs_members {
  /* Calls FN for each block that may hold a part: those of others are left
   * alone.  What cannot be looked at is left out. */
  int (*each) (void *arg, fs_member_fn fn, void *to, struct err *e);
  void *arg;
};

struct fs {
  const struct fs_ops *ops;
  struct block *block;   /* borrowed */
  uint64_t root;         /* inode of the root directory: of files/ */
  uint64_t default_root; /* what a mount without options shows: Btrfs's
                          * default subvolume; else the same */
  const struct fs_members *members; /* during mount alone; or NULL */
  pthread_mutex_t lock;
  void *priv;
};

/* The driver for libblkid's TYPE, or NULL. */
const struct fs_ops *fs_driver (const char *type);

/* Mounts the filesystem of TYPE in BLOCK, which is borrowed.
 * Errors: ENOTSUP if there is no driver for it. */
int fs_mount (struct block *block, const char *type, struct fs **ret,
              struct err *e) must_check nonnull (1, 2, 3, 4);
/* The same; where the filesystem lies on several blocks, MEMBERS (or NULL)
 * gives the others.  A part that is not among them is an error where
 * something lies there.  What belongs to it must live until fs_unmount. */
int fs_mount_members (struct block *block, const char *type,
                      const struct fs_members *members, struct fs **ret,
                      struct err *e) must_check nonnull (1, 2, 4, 5);
void fs_unmount (struct fs *fs); /* NULL is fine */

/* For drivers with pread_unlocked, inside their pread only: all other calls
 * have the lock already.  fs_lock fails (EDEADLK) where it is held by the
 * caller.  No lock but those of block/ may be taken while it is held. */
int fs_lock (struct fs *fs, struct err *e) must_check nonnull (1, 2);
void fs_unlock (struct fs *fs) nonnull (1);

/* --- by inode: thin, locked ------------------------------------------ */

int fs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
               uint64_t *ret, struct err *e) must_check;
int fs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret,
             struct err *e) must_check;
int fs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                struct err *e) must_check;
/* Adds the target to RET, verbatim. */
int fs_readlink (struct fs *fs, uint64_t ino, struct buf *ret,
                 struct err *e) must_check;
int fs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
               struct err *e) must_check;
int fs_info (struct fs *fs, struct fs_info *ret, struct err *e) must_check;
/* Adds what is damaged to C.  ENOTSUP: the driver cannot tell. */
int fs_check (struct fs *fs, struct block_check *c, struct err *e) must_check;
/* ENOTSUP: it has no subvolumes; ENOENT: not this one. */
int fs_subvolume (struct fs *fs, uint64_t id, uint64_t *ret,
                  struct err *e) must_check;
void fs_info_free (struct fs_info *i);

/* Where the bytes lie.  SIZE is the file's size (from fs_stat). */
int fs_map (struct fs *fs, uint64_t ino, uint64_t size, uint64_t off,
            uint64_t len, struct extent *ret, struct err *e) must_check;

/* Reads up to LEN bytes at OFF of a regular file of SIZE bytes; *RET is
 * shorter than LEN only at the end of the file. */
int fs_pread (struct fs *fs, uint64_t ino, uint64_t size, void *buf,
              size_t len, uint64_t off, size_t *ret,
              struct err *e) must_check;

/* EISDIR, or EINVAL, for what is not a regular file. */
int fs_regular (mode_t mode, struct err *e) must_check;

/* Is it one of the seven types of files? */
bool fs_type_is_known (mode_t mode);

/* --- names ----------------------------------------------------------- */

/* The name as shown: bytes that no Linux name can hold ('/', NUL) become
 * %2f and %00, and the names "." and ".." become %2e and %2e%2e.  BUF is
 * used when something had to be changed; returns NAME or buf's text. */
const char *fs_safe_name (const char *name, size_t *len, struct buf *buf);

/* The drivers, generated from Makefile.am. */
extern const struct fs_ops *const fs_drivers[];

#endif
