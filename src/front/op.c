/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/op.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "inspect/image.h"

struct served *
served (fuse_req_t req)
{
  return fuse_req_userdata (req);
}

/* --- errors and attributes ------------------------------------------- */

/* The codes that mean something to whoever called; all others are faults of
 * the image or of reading it. */
static int
to_errno (int code)
{
  switch (code) {
  case EACCES:
  case EINTR:
  case EINVAL:
  case EISDIR:
  case ELOOP:
  case ENAMETOOLONG:
  case ENODATA:
  case ENOENT:
  case ENOKEY:
  case ENOMEM:
  case ENOTDIR:
  case ENXIO:
  case ERANGE:
  case ESTALE:
    return code;
  default:
    return EIO;
  }
}

void
reply_error (fuse_req_t req, node_id id, const struct err *e)
{
  CLEANUP_BUF struct buf path = { 0 };
  struct served *fs = served (req);
  int code = to_errno (e->code);

  if (code == EIO && !err_is_transient (e)) {
    tree_path (fs->tree, id, &path);
    image_problem (fs->image, path.len ? path.data : "/", e->msg);
  }
  fuse_reply_err (req, code);
}

struct stat
to_stat (struct served *fs, const struct node_attr *a)
{
  return (struct stat){
    .st_ino = a->id,
    .st_mode = a->mode,
    .st_nlink = a->nlink,
    .st_uid = a->own ? fs->options->uid : a->uid,
    .st_gid = a->own ? fs->options->gid : a->gid,
    .st_rdev = a->rdev,
    .st_size = (off_t) a->size,
    .st_blocks = (blkcnt_t) a->blocks,
    .st_blksize = (blksize_t) a->blksize,
    .st_atim = a->own ? fs->mtime : a->atime,
    .st_mtim = a->own ? fs->mtime : a->mtime,
    .st_ctim = a->own ? fs->mtime : a->ctime,
  };
}

/* A finding's size changes when it is evaluated. */
static double
attr_timeout (const struct node_attr *a)
{
  return a->finding || a->unsettled ? 0 : FOREVER;
}

struct fuse_entry_param
to_entry (struct served *fs, const struct node_attr *a)
{
  return (struct fuse_entry_param){
    .ino = a->id,
    .generation = 1,
    .attr = to_stat (fs, a),
    .attr_timeout = attr_timeout (a),
    .entry_timeout = FOREVER,
  };
}

void
reply_attr (fuse_req_t req, const struct node_attr *a)
{
  struct stat st = to_stat (served (req), a);

  fuse_reply_attr (req, &st, attr_timeout (a));
}

/* At most once a second: is the image still what was opened? */
void
look_for_change (struct served *fs)
{
  struct timespec now;
  int64_t last = fs->looked;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  if (now.tv_sec == last ||
      !atomic_compare_exchange_strong (&fs->looked, &last, now.tv_sec))
    return;
  if (block_file_changed (image_file (fs->image)))
    image_problem (fs->image, "source",
                   "the image file changed while it was mounted");
}

/* --- operations ------------------------------------------------------- */

static void
op_destroy (struct task *t)
{
  struct op *op = (struct op *) t;

  handle_free (&op->fs->handles, op->handle);
  free (op);
}

static struct op *
op_new (fuse_req_t req, fuse_ino_t ino, const char *name,
        void (*compute) (struct task *), void (*reply) (struct task *))
{
  size_t len = strlen (name);
  struct op *op = calloc (1, sizeof *op + len + 1);

  if (!op) {
    fuse_reply_err (req, ENOMEM);
    return NULL;
  }
  op->task = (struct task){ .req = req,
                            .node = ino,
                            .compute = compute,
                            .reply = reply,
                            .destroy = op_destroy };
  op->fs = served (req);
  memcpy (op->name, name, len);
  return op;
}

static void
op_run (struct op *op)
{
  if (tree_ready (op->fs->tree, op->task.node))
    eval_here (&op->task);
  else
    eval_submit (op->fs->eval, &op->task);
}

void
op_start (fuse_req_t req, fuse_ino_t ino, const char *name,
          const struct fuse_file_info *fi, size_t size,
          void (*compute) (struct task *), void (*reply) (struct task *))
{
  struct op *op = op_new (req, ino, name, compute, reply);

  if (!op)
    return;
  op->size = size;
  if (fi)
    op->fi = *fi;
  op_run (op);
}
