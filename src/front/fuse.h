/* xrayfs: the tree as a FUSE filesystem
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FRONT_FUSE_H
#define XRAYFS_FRONT_FUSE_H

#include <stdatomic.h>

#include "front/buffers.h"
#include "front/eval.h"
#include "front/handle.h"
#include "front/options.h"
#include "tree/tree.h"

/* What the operations need: the session's userdata. */
struct served {
  struct tree *tree;
  struct image *image; /* the tree's */
  struct eval *eval;
  struct prefetch *prefetch;
  struct handles handles;
  struct buffers buffers;
  struct fuse_session *session;
  const struct options *options;
  struct timespec mtime;  /* the image's, for xrayfs's own entries */
  _Atomic int64_t looked; /* when the image was last checked for changes */
  void (*ready) (struct served *fs); /* called from init */
  int channel;                       /* for ready */
};

extern const struct fuse_lowlevel_ops fuse_ops;

#endif
