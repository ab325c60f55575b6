/* xrayfs: operations of the FUSE filesystem: what they share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An operation that may have to inspect the image is a `struct op`: compute
 * asks the tree, reply answers.  Where tree_ready says that it will not take
 * long both run here, else in an evaluation thread (eval.h).
 */
#ifndef XRAYFS_FRONT_OP_H
#define XRAYFS_FRONT_OP_H

#include "front/fuse.h"

/* How long the kernel may keep names and what does not change, in seconds. */
#define FOREVER 86400.0

struct op {
  struct task task; /* first */
  struct served *fs;
  struct err err; /* code 0: none */
  struct node_attr attr;
  struct handle *handle;
  struct fuse_file_info fi;
  size_t size;
  char name[];
};

struct served *served (fuse_req_t req);

/* Answers with E, and remembers what is wrong with the image. */
void reply_error (fuse_req_t req, node_id id, const struct err *e);
void reply_attr (fuse_req_t req, const struct node_attr *a);
struct stat to_stat (struct served *fs, const struct node_attr *a);
struct fuse_entry_param to_entry (struct served *fs,
                                  const struct node_attr *a);

/* At most once a second: is the image still what was opened? */
void look_for_change (struct served *fs);

/* For a request on node INO: computes and replies, here or in an evaluation
 * thread; ENOMEM is answered by itself.  FI may be NULL. */
void op_start (fuse_req_t req, fuse_ino_t ino, const char *name,
               const struct fuse_file_info *fi, size_t size,
               void (*compute) (struct task *),
               void (*reply) (struct task *));

#endif
