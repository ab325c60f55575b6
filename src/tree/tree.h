/* xrayfs: the namespace, as the front sees it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TREE.md's paths over the facts of one image, with everything that a
 * filesystem front needs and nothing that knows FUSE.
 *
 * Node ids are the inode numbers: unique over the whole tree.  Ids of guest
 * files are made from view, filesystem and inode and need no memory; ids of
 * xrayfs's own entries stay valid until tree_free.  There is nothing to
 * forget.
 *
 * All functions may be called from any thread.  A function may take long
 * (it may inspect the image) unless tree_ready said that it will not.
 */
#ifndef XRAYFS_TREE_TREE_H
#define XRAYFS_TREE_TREE_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "block/block.h"
#include "block/prefetch.h"

struct image;
struct tree;
typedef uint64_t node_id;

#define NODE_ROOT ((node_id) 1)

struct node_attr {
  node_id id;
  mode_t mode;
  uint32_t nlink, uid, gid;
  uint64_t size;   /* of a finding: 0 until it was evaluated */
  uint64_t blocks; /* of 512 bytes */
  uint32_t blksize;
  dev_t rdev;
  struct timespec atime, mtime, ctime;
  bool own;     /* xrayfs's own: uid, gid and times are the front's to fill */
  bool finding; /* text that open computes: no caching, direct I/O */
  bool unsettled; /* files/ or root/ before it was looked into: these are not
                     yet the attributes of the directory that it shows */
};

/* IMG is borrowed and must outlive the tree. */
int tree_new (struct image *img, struct tree **ret, struct err *e) must_check;
void tree_free (struct tree *t); /* NULL is fine */
struct image *tree_image (struct tree *t);

/* Will the operations on this node be answered without inspecting the
 * image?  (For a finding: reading it.  For a directory: lookup, readdir.) */
bool tree_ready (struct tree *t, node_id id);

/* Is it text that open computes?  Never looks at the image. */
bool tree_is_finding (struct tree *t, node_id id);

/* Errors: ENOENT, ENOTDIR; ESTALE for an id that was never given out; EIO
 * and others from the image. */
int tree_lookup (struct tree *t, node_id dir, const char *name, size_t len,
                 struct node_attr *ret, struct err *e) must_check;
int tree_getattr (struct tree *t, node_id id, struct node_attr *ret,
                  struct err *e) must_check;
/* The same without ever inspecting: it may say `unsettled`, and so does
 * tree_lookup. */
int tree_peek (struct tree *t, node_id id, struct node_attr *ret,
               struct err *e) must_check;

/* All entries but "." and "..".  TYPE is DT_* or DT_UNKNOWN.  NAME is valid
 * during the call.  Non-zero from FN stops. */
typedef int (*tree_dirent_fn) (void *arg, const char *name, size_t len,
                               node_id id, unsigned type);
int tree_readdir (struct tree *t, node_id dir, tree_dirent_fn fn, void *arg,
                  struct err *e) must_check;

int tree_readlink (struct tree *t, node_id id, struct buf *ret,
                   struct err *e) must_check;

/* Extended attributes: the guest's, or user.xrayfs.reason of a finding. */
typedef int (*tree_xattr_fn) (void *arg, const char *name, const void *value,
                              size_t len);
int tree_xattrs (struct tree *t, node_id id, tree_xattr_fn fn, void *arg,
                 struct err *e) must_check;

/* The text of a finding, evaluated if it was not: always readable, `unknown`
 * where it could not be determined.  RET gets a copy.  Fails only with
 * transient errors (EINTR, ENOMEM, ECANCELED). */
int tree_read_finding (struct tree *t, node_id id, struct buf *ret,
                       struct err *e) must_check;

/* Raw bytes (disk, raw, guest files).  *RET is shorter than LEN only at the
 * end of the file. */
int tree_pread (struct tree *t, node_id id, void *buf, size_t len,
                uint64_t off, size_t *ret, struct err *e) must_check;

/* Where raw bytes lie: as block_resolve; EXTENT_DATA names a transport, so
 * that the front can splice (block_file_fd) and seek. */
int tree_map (struct tree *t, node_id id, uint64_t off, uint64_t len,
              struct extent *ret, struct err *e) must_check;

/* The two of them, for a stream. */
struct stream_source tree_stream (struct tree *t, node_id id);

/* Walks PATH ("partitions/1/size", leading and trailing slashes allowed)
 * from the root, following xrayfs's own symbolic links (import/default), but
 * not the guest's. */
int tree_walk (struct tree *t, const char *path, struct node_attr *ret,
               struct err *e) must_check;

/* Size of the virtual disk, for statfs. */
uint64_t tree_disk_size (struct tree *t);

/* Does an export write it?  Not the guest's, and not a finding that reads all
 * data while nothing depends on it. */
bool tree_is_exported (struct tree *t, node_id id);

/* The path of one of xrayfs's own entries, for messages ("os/arch"). */
void tree_path (struct tree *t, node_id id, struct buf *ret);

#endif
