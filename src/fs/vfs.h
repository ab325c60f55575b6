/* xrayfs: the guest's tree
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A root filesystem with others mounted on directories in it, and the one
 * place that walks paths.  Symbolic links are followed inside the tree, as
 * the guest would: an absolute target starts at its root, and ".." of the
 * root is the root.
 *
 * A mount shows a directory of a filesystem: its root, a subvolume, or, for a
 * bind mount, whatever directory (or file) that is.
 */
#ifndef XRAYFS_FS_VFS_H
#define XRAYFS_FS_VFS_H

#include "fs/fs.h"

#define VFS_MAX_MOUNTS 256

struct vfs_mount {
  struct fs *fs;   /* borrowed; NULL: a blind mount */
  char *why;       /* of a blind mount: why it cannot be looked into */
  uint64_t root;   /* its root: an inode of fs */
  unsigned parent; /* the mount it covers a directory of */
  uint64_t point;  /* that directory's inode */
  unsigned depth;  /* of its root, in directories below "/" */
  char *path;      /* of its root, canonical; NULL: "/" */
};

struct vfs {
  struct vfs_mount mounts[VFS_MAX_MOUNTS]; /* [0] is "/" */
  unsigned n_mounts;
};

struct vfs_node {
  unsigned mount;
  uint64_t ino;
};

#define VFS_NOFOLLOW 1u /* do not follow the last component */

/* "/" is FS's root, that of files/, or directory ROOT of it. */
void vfs_init (struct vfs *v, struct fs *fs) nonnull (1, 2);
void vfs_init_at (struct vfs *v, struct fs *fs, uint64_t root) nonnull (1, 2);

/* Mounts directory ROOT of FS on PATH.  Errors: as vfs_walk; ENOTDIR if PATH
 * is no directory; ENOSPC for more than VFS_MAX_MOUNTS. */
int vfs_mount (struct vfs *v, const char *path, struct fs *fs, uint64_t root,
               struct err *e) must_check nonnull (1, 2, 3, 5);

/* Something is mounted on PATH in the guest that cannot be looked into: from
 * now on whatever lies there is EIO, because of WHY, rather than absent.
 * Errors: as vfs_mount. */
int vfs_mount_blind (struct vfs *v, const char *path, const char *why,
                     struct err *e) must_check nonnull (1, 2, 3, 4);

/* What lies at SOURCE, a directory or a file, is seen at PATH as well; with
 * RECURSIVE also what is mounted below SOURCE by now.  Errors: as vfs_mount;
 * EINVAL where one is a directory and the other is not, or for a file that
 * has other names, which would be covered too. */
int vfs_bind (struct vfs *v, const char *source, const char *path,
              bool recursive, struct err *e) must_check nonnull (1, 2, 3, 5);

/* Gives back what the mounts hold; the filesystems stay. */
void vfs_free (struct vfs *v);

struct vfs_node vfs_root (const struct vfs *v);
/* NULL: N is the root of a blind mount. */
struct fs *vfs_fs (const struct vfs *v, struct vfs_node n);

/* What is seen instead of N: the root of what is mounted on it, or N. */
struct vfs_node vfs_cross (const struct vfs *v, struct vfs_node n);

/* One component, crossing mounts. */
int vfs_lookup (const struct vfs *v, struct vfs_node dir, const char *name,
                size_t len, struct vfs_node *ret, struct err *e) must_check;

/* Walks PATH from the root.  Errors: ENOENT and ENOTDIR mean "looked, and it
 * is not there"; ELOOP after 40 links; others "could not look". */
int vfs_walk (const struct vfs *v, const char *path, unsigned flags,
              struct vfs_node *ret, struct err *e) must_check
    nonnull (1, 2, 4, 5);

/* The same from directory DIR (for a relative link's target), and, if
 * RET_PATH is not NULL, the canonical path that it led to ("/usr/lib"). */
int vfs_walk_from (const struct vfs *v, const char *dir_path,
                   const char *path, unsigned flags, struct vfs_node *ret,
                   struct buf *ret_path, struct err *e) must_check;

/* Adds the canonical path that PATH, from directory DIR, leads to; where it
 * leads nowhere, a path without ".." and of which only the last name is not a
 * directory, that cannot be walked either, and for the same reason.
 * Errors: transient ones alone. */
int vfs_resolve (const struct vfs *v, const char *dir_path, const char *path,
                 struct buf *ret, struct err *e) must_check
    nonnull (1, 2, 3, 4, 5);

/* 1: it is there; 0: it is not; -1: could not look. */
int vfs_exists (const struct vfs *v, const char *path,
                struct err *e) must_check;

int vfs_stat (const struct vfs *v, const char *path, unsigned flags,
              struct fs_stat *ret, struct err *e) must_check;

/* The whole regular file, if it has at most MAX bytes (else EFBIG). */
int vfs_read (const struct vfs *v, const char *path, size_t max,
              struct buf *ret, struct err *e) must_check;
int vfs_read_node (const struct vfs *v, struct vfs_node n, size_t max,
                   struct buf *ret, struct err *e) must_check;

/* A regular file, to be read in place.  There is nothing to give back. */
struct vfs_file {
  struct fs *fs;
  uint64_t ino, size;
};

/* 1: *RET is the regular file at PATH; 0: what is there is none.
 * Errors: as vfs_walk. */
int vfs_open (const struct vfs *v, const char *path, struct vfs_file *ret,
              struct err *e) must_check nonnull (1, 2, 3, 4);
/* Exactly LEN bytes; beyond the end is EIO. */
int vfs_file_read (const struct vfs_file *f, void *buf, size_t len,
                   uint64_t off, struct err *e) must_check nonnull (1, 2, 5);

/* The entries of directory PATH; an absent one is an error (ENOENT).
 * Entries are given as stored, mounts not crossed. */
int vfs_list (const struct vfs *v, const char *path, fs_dirent_fn fn,
              void *arg, struct err *e) must_check;

#endif
