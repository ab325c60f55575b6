/* xrayfs: the tree as a FUSE filesystem
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes need no memory (tree.h), so there is nothing to forget.
 */
#include "front/fuse.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "front/op.h"

#define REASON "user.xrayfs.reason"

/* --- names ------------------------------------------------------------ */

static void
lookup_compute (struct task *t)
{
  struct op *op = (struct op *) t;

  if (tree_lookup (op->fs->tree, t->node, op->name, strlen (op->name),
                   &op->attr, &op->err) == 0)
    op->err.code = 0;
}

static void
lookup_reply (struct task *t)
{
  struct op *op = (struct op *) t;
  struct fuse_entry_param entry = { .entry_timeout = FOREVER };

  if (op->err.code == 0) {
    entry = to_entry (op->fs, &op->attr);
    fuse_reply_entry (t->req, &entry);
  } else if (op->err.code == ENOENT) {
    fuse_reply_entry (t->req, &entry); /* node 0: remember that it is not */
  } else {
    reply_error (t->req, t->node, &op->err);
  }
}

static void
do_lookup (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  op_start (req, parent, name, NULL, 0, lookup_compute, lookup_reply);
}

/* With -d: what was found out, and what it cost. */
static int
read_finding (struct served *fs, struct handle *h, struct err *e)
{
  bool known = !fs->options->debug || tree_ready (fs->tree, h->id);
  int r = handle_read_finding (h, fs->tree, e);
  CLEANUP_BUF struct buf path = { 0 };

  if (known)
    return r;
  tree_path (fs->tree, h->id, &path);
  fprintf (stderr, "xrayfs: %s %s: %" PRIu64 " bytes of the image read\n",
           buf_str (&path), r == 0 ? "is known" : "cannot be known",
           image_disk (fs->image)->env->bytes_read);
  return r;
}

static void
open_compute (struct task *t)
{
  struct op *op = (struct op *) t;

  op->handle = handle_new (&op->fs->handles, t->node, &op->err);
  if (op->handle && read_finding (op->fs, op->handle, &op->err) == 0)
    op->err.code = 0;
}

static void
opendir_compute (struct task *t)
{
  struct op *op = (struct op *) t;

  op->handle = handle_new (&op->fs->handles, t->node, &op->err);
  if (op->handle &&
      handle_read_directory (op->handle, op->fs->tree, &op->err) == 0)
    op->err.code = 0;
}

/* A request that was interrupted has no release: its handle stays ours. */
static void
open_reply (struct task *t)
{
  struct op *op = (struct op *) t;

  if (op->err.code) {
    reply_error (t->req, t->node, &op->err);
    return;
  }
  op->fi.fh = (uintptr_t) op->handle;
  if (fuse_reply_open (t->req, &op->fi) == 0)
    op->handle = NULL;
}

/* --- files ----------------------------------------------------------- */

/* Says nothing of the image: see handle_bytes. */
static void
open_raw (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  struct served *fs = served (req);
  struct err e = { 0 };
  struct handle *h = handle_new (&fs->handles, ino, &e);

  if (!h) {
    fuse_reply_err (req, ENOMEM);
    return;
  }
  fi->keep_cache = 1;
  fi->noflush = 1; /* there is nothing to write back */
  fi->fh = (uintptr_t) h;
  if (fuse_reply_open (req, fi) != 0)
    handle_free (&fs->handles, h);
}

static void
do_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  struct served *fs = served (req);

  if ((fi->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err (req, EROFS);
    return;
  }
  look_for_change (fs);
  if (!tree_is_finding (fs->tree, ino)) {
    open_raw (req, ino, fi);
    return;
  }
  fi->direct_io = 1;
  fi->noflush = 1;
  op_start (req, ino, "", fi, 0, open_compute, open_reply);
}

static void
do_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  fi->cache_readdir = 1;
  fi->keep_cache = 1;
  op_start (req, ino, "", fi, 0, opendir_compute, open_reply);
}

static void
do_release (fuse_req_t req, fuse_ino_t ino unused_arg,
            struct fuse_file_info *fi)
{
  handle_free (&served (req)->handles, (struct handle *) (uintptr_t) fi->fh);
  fuse_reply_err (req, 0);
}

/* Copied, not spliced.  Measured with 1 GiB of a raw image in the page cache,
 * in alternating runs: requests of 128 KiB, which is what the kernel's
 * readahead asks for, go equally fast both ways (medians 434 MiB/s copied,
 * 447 spliced, which takes up to 15 % less CPU); requests of 1 MiB (O_DIRECT)
 * are 2 to 3 times as fast copied.  And what is copied is known to be all
 * there: should the image shrink between a check of its length and a splice,
 * the reply would be short, which the kernel takes for the end of the file
 * and keeps. */
static void
read_raw (fuse_req_t req, struct handle *h, size_t len, uint64_t off)
{
  struct served *fs = served (req);
  struct err e = { 0 };
  struct stream *s = handle_bytes (h, fs->tree, fs->prefetch, &e);
  char *data;
  size_t got;

  if (!s) {
    reply_error (req, h->id, &e);
    return;
  }
  len = off < stream_size (s) ? MIN (len, stream_size (s) - off) : 0;
  data = buffers_get (&fs->buffers, len);
  if (!data)
    fuse_reply_err (req, ENOMEM);
  else if (stream_read (s, data, len, off, &got, &e) == -1)
    reply_error (req, h->id, &e);
  else
    fuse_reply_buf (req, data, got);
  buffers_put (&fs->buffers, data, len);
}

static void
read_text (fuse_req_t req, struct handle *h, size_t len, uint64_t off)
{
  struct served *fs = served (req);

  if (off >= h->text.len) {
    fuse_reply_buf (req, NULL, 0);
    return;
  }
  handle_hold (h);
  fuse_reply_buf (req, h->text.data + off, MIN (len, h->text.len - off));
  handle_free (&fs->handles, h);
}

static void
do_read (fuse_req_t req, fuse_ino_t ino unused_arg, size_t size, off_t off,
         struct fuse_file_info *fi)
{
  struct handle *h = (struct handle *) (uintptr_t) fi->fh;

  if (h->text_only)
    read_text (req, h, size, (uint64_t) off);
  else
    read_raw (req, h, size, (uint64_t) off);
}

/* Zeros and what was never written are holes. */
static bool
is_hole (const struct extent *x)
{
  return x->kind == EXTENT_ZERO || x->kind == EXTENT_UNALLOCATED;
}

/* The first byte of ID at or after OFF that lies in a hole (or in data); SIZE
 * if there is none.  Runs of extents can be long: an interrupt ends it. */
static int
seek_raw (fuse_req_t req, node_id id, uint64_t size, bool hole, uint64_t *off,
          struct err *e)
{
  struct served *fs = served (req);
  struct extent x;

  for (unsigned n = 1; *off < size; n++) {
    if (n % 1024 == 0 && fuse_req_interrupted (req))
      return err_set (e, EINTR, "interrupted");
    if (tree_map (fs->tree, id, *off, size - *off, &x, e) == -1)
      return -1;
    if (is_hole (&x) == hole)
      return 0;
    *off += x.length;
  }
  return 0;
}

static void
lseek_raw (fuse_req_t req, struct handle *h, uint64_t at, int whence)
{
  struct served *fs = served (req);
  struct err e = { 0 };
  struct stream *s = handle_bytes (h, fs->tree, fs->prefetch, &e);
  uint64_t size = s ? stream_size (s) : 0;

  if (!s)
    reply_error (req, h->id, &e);
  else if (at >= size)
    fuse_reply_err (req, ENXIO);
  else if (seek_raw (req, h->id, size, whence == SEEK_HOLE, &at, &e) == -1)
    reply_error (req, h->id, &e);
  else if (whence == SEEK_DATA && at >= size)
    fuse_reply_err (req, ENXIO);
  else
    fuse_reply_lseek (req, (off_t) MIN (at, size));
}

static void
do_lseek (fuse_req_t req, fuse_ino_t ino unused_arg, off_t off, int whence,
          struct fuse_file_info *fi)
{
  struct handle *h = (struct handle *) (uintptr_t) fi->fh;
  off_t end = (off_t) h->text.len;

  if (whence != SEEK_DATA && whence != SEEK_HOLE)
    fuse_reply_err (req, EINVAL);
  else if (off < 0 || (h->text_only && off >= end))
    fuse_reply_err (req, ENXIO);
  else if (h->text_only)
    fuse_reply_lseek (req, whence == SEEK_DATA ? off : end);
  else
    lseek_raw (req, h, (uint64_t) off, whence);
}

/* --- attributes ------------------------------------------------------ */

static void
getattr_compute (struct task *t)
{
  struct op *op = (struct op *) t;

  if (tree_getattr (op->fs->tree, t->node, &op->attr, &op->err) == 0)
    op->err.code = 0;
}

static void
getattr_reply (struct task *t)
{
  struct op *op = (struct op *) t;

  if (op->err.code)
    reply_error (t->req, t->node, &op->err);
  else
    reply_attr (t->req, &op->attr);
}

/* Only files/ and root/ may have to be looked into first. */
static void
do_getattr (fuse_req_t req, fuse_ino_t ino,
            struct fuse_file_info *fi unused_arg)
{
  struct node_attr a;
  struct err e = { 0 };

  look_for_change (served (req));
  if (tree_peek (served (req)->tree, ino, &a, &e) == -1)
    reply_error (req, ino, &e);
  else if (a.unsettled)
    op_start (req, ino, "", NULL, 0, getattr_compute, getattr_reply);
  else
    reply_attr (req, &a);
}

static void
do_readlink (fuse_req_t req, fuse_ino_t ino)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct err e = { 0 };

  if (tree_readlink (served (req)->tree, ino, &target, &e) == -1)
    reply_error (req, ino, &e);
  else
    fuse_reply_readlink (req, buf_str (&target));
}

static void
do_statfs (fuse_req_t req, fuse_ino_t ino unused_arg)
{
  struct statvfs v = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255 };

  v.f_blocks = div_up (tree_disk_size (served (req)->tree), v.f_frsize);
  fuse_reply_statfs (req, &v);
}

/* --- extended attributes --------------------------------------------- */

struct wanted {
  const char *name;
  struct buf value;
  bool found;
};

static int
see_wanted (void *arg, const char *name, const void *value, size_t len)
{
  struct wanted *w = arg;

  if (strcmp (name, w->name))
    return 0;
  w->found = true;
  buf_add (&w->value, value, len);
  return 1;
}

static int
see_name (void *arg, const char *name, const void *value unused_arg,
          size_t len unused_arg)
{
  buf_add (arg, name, strlen (name) + 1);
  return 0;
}

/* The size protocol of xattr calls: SIZE 0 asks how much it is. */
static void
reply_xattr (fuse_req_t req, const struct buf *value, size_t size)
{
  if (value->failed)
    fuse_reply_err (req, ENOMEM);
  else if (size == 0)
    fuse_reply_xattr (req, value->len);
  else if (value->len > size)
    fuse_reply_err (req, ERANGE);
  else
    fuse_reply_buf (req, buf_str (value), value->len);
}

/* Computing means evaluating the finding; the value is read in the reply. */
static void
getxattr_compute (struct task *t)
{
  struct op *op = (struct op *) t;
  struct buf text = { 0 };

  if (!tree_ready (op->fs->tree, t->node) &&
      tree_read_finding (op->fs->tree, t->node, &text, &op->err) == 0)
    op->err.code = 0;
  buf_free (&text);
}

static void
getxattr_reply (struct task *t)
{
  struct op *op = (struct op *) t;
  struct wanted w = { .name = op->name };

  if (op->err.code == 0 &&
      tree_xattrs (op->fs->tree, t->node, see_wanted, &w, &op->err) == 0)
    op->err.code = 0;
  if (w.found)
    reply_xattr (t->req, &w.value, op->size);
  else if (op->err.code)
    reply_error (t->req, t->node, &op->err);
  else
    fuse_reply_err (t->req, ENODATA);
  buf_free (&w.value);
}

static bool
is_unread_finding (struct served *fs, fuse_ino_t ino)
{
  struct node_attr a;
  struct err e;

  return !tree_ready (fs->tree, ino) &&
         tree_peek (fs->tree, ino, &a, &e) == 0 && a.finding;
}

/* ls -l asks every file for security.selinux and the like: only who asks for
 * the reason of a finding evaluates it.  A directory has none. */
static void
do_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
  struct served *fs = served (req);

  if (!tree_ready (fs->tree, ino) &&
      (strcmp (name, REASON) || !is_unread_finding (fs, ino))) {
    fuse_reply_err (req, ENODATA);
    return;
  }
  op_start (req, ino, name, NULL, size, getxattr_compute, getxattr_reply);
}

static void
do_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size)
{
  CLEANUP_BUF struct buf names = { 0 };
  struct served *fs = served (req);
  struct err e = { 0 };

  if (tree_ready (fs->tree, ino) &&
      tree_xattrs (fs->tree, ino, see_name, &names, &e) == -1)
    reply_error (req, ino, &e);
  else
    reply_xattr (req, &names, size);
}

/* --- directories ----------------------------------------------------- */

/* One entry into the reply; 0: it does not fit.  INDEX counts "." and "..",
 * and the offset of an entry is where the next one starts. */
static size_t
add_plain (fuse_req_t req, char *to, size_t room, const char *name,
           node_id id, unsigned type, size_t index)
{
  struct stat st = { .st_ino = id, .st_mode = (mode_t) DTTOIF (type) };
  size_t need;

  need = fuse_add_direntry (req, to, room, name, &st, (off_t) index + 1);
  return need <= room ? need : 0;
}

/* With attributes, which saves the kernel a lookup.  Where they cannot be had
 * (or for "." and "..") the entry goes without: node 0 says so. */
static size_t
add_plus (fuse_req_t req, char *to, size_t room, const char *name, node_id id,
          unsigned type, size_t index)
{
  struct served *fs = served (req);
  struct fuse_entry_param entry = { .attr.st_ino = id };
  struct node_attr a;
  struct err e;
  size_t need;

  entry.attr.st_mode = (mode_t) DTTOIF (type);
  if (index >= 2 && tree_peek (fs->tree, id, &a, &e) == 0)
    entry = to_entry (fs, &a);
  need =
      fuse_add_direntry_plus (req, to, room, name, &entry, (off_t) index + 1);
  return need <= room ? need : 0;
}

typedef size_t add_fn (fuse_req_t req, char *to, size_t room,
                       const char *name, node_id id, unsigned type,
                       size_t index);

static size_t
add_nth (fuse_req_t req, add_fn *add, const struct handle *h, size_t index,
         char *to, size_t room)
{
  const struct entry *entry;

  if (index == 0)
    return add (req, to, room, ".", h->id, DT_DIR, index);
  if (index == 1) /* the kernel knows better, and asks nobody */
    return add (req, to, room, "..", NODE_ROOT, DT_DIR, index);
  entry = &h->entries.items[index - 2];
  return add (req, to, room, handle_name (h, index - 2), entry->id,
              entry->type, index);
}

static void
fill (fuse_req_t req, add_fn *add, const struct handle *h, size_t size,
      off_t off)
{
  CLEANUP_FREE char *reply = malloc (size);
  size_t used = 0, n;

  if (!reply) {
    fuse_reply_err (req, ENOMEM);
    return;
  }
  for (size_t i = (size_t) off; i < h->entries.len + 2; i++) {
    n = add_nth (req, add, h, i, reply + used, size - used);
    if (n == 0)
      break;
    used += n;
  }
  fuse_reply_buf (req, reply, used);
}

static void
do_readdir (fuse_req_t req, fuse_ino_t ino unused_arg, size_t size, off_t off,
            struct fuse_file_info *fi)
{
  fill (req, add_plain, (struct handle *) (uintptr_t) fi->fh, size, off);
}

static void
do_readdirplus (fuse_req_t req, fuse_ino_t ino unused_arg, size_t size,
                off_t off, struct fuse_file_info *fi)
{
  fill (req, add_plus, (struct handle *) (uintptr_t) fi->fh, size, off);
}

/* --- the connection -------------------------------------------------- */

static void
want (struct fuse_conn_info *conn, unsigned capabilities)
{
  conn->want |= conn->capable & capabilities;
}

static void
do_init (void *userdata, struct fuse_conn_info *conn)
{
  struct served *fs = userdata;

  /* The image does not change: no cache is to be dropped because a time
   * did. */
  conn->want &= ~(unsigned) FUSE_CAP_AUTO_INVAL_DATA;
  /* Attributes with all entries, not with the first page of them alone: who
   * lists a directory looks at its entries afterwards (tar, ls -l, du), when
   * it is too late to notice, and each would be a lookup. */
  conn->want &= ~(unsigned) FUSE_CAP_READDIRPLUS_AUTO;
  want (conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                  FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS);
  fuse_apply_conn_info_opts (fs->options->connection, conn);
  conn->want &= ~(unsigned) FUSE_CAP_WRITEBACK_CACHE;
  conn->max_read = fs->options->max_read; /* as libfuse insists */
  /* The kernel takes the lesser of what it has and our answer: should the
   * guardian have raised it already, it stays. */
  if (fs->options->readahead)
    conn->max_readahead = (unsigned) fs->options->readahead * 1024;
  fs->ready (fs);
}

/* --- what writes ----------------------------------------------------- */

/* The kernel refuses these on a read-only mount, but root can remount it. */
#define REFUSE(name, ...)                                                    \
  static void name (fuse_req_t req, fuse_ino_t ino unused_arg, __VA_ARGS__)  \
  {                                                                          \
    fuse_reply_err (req, EROFS);                                             \
  }
#define U unused_arg
REFUSE (do_setattr, struct stat *s U, int set U, struct fuse_file_info *f U)
REFUSE (do_mknod, const char *name U, mode_t mode U, dev_t dev U)
REFUSE (do_mkdir, const char *name U, mode_t mode U)
REFUSE (do_remove, const char *name U) /* unlink, rmdir, removexattr */
REFUSE (do_rename, const char *name U, fuse_ino_t to U, const char *as U,
        unsigned flags U)
REFUSE (do_link, fuse_ino_t to U, const char *name U)
REFUSE (do_write, const char *data U, size_t len U, off_t off U,
        struct fuse_file_info *fi U)
REFUSE (do_create, const char *name U, mode_t mode U,
        struct fuse_file_info *fi U)
REFUSE (do_setxattr, const char *name U, const char *value U, size_t len U,
        int flags U)
REFUSE (do_fallocate, int mode U, off_t off U, off_t len U,
        struct fuse_file_info *fi U)
#undef U

static void
do_symlink (fuse_req_t req, const char *target unused_arg,
            fuse_ino_t parent unused_arg, const char *name unused_arg)
{
  fuse_reply_err (req, EROFS);
}

const struct fuse_lowlevel_ops fuse_ops = {
  .init = do_init,
  .lookup = do_lookup,
  .getattr = do_getattr,
  .readlink = do_readlink,
  .open = do_open,
  .read = do_read,
  .lseek = do_lseek,
  .release = do_release,
  .opendir = do_opendir,
  .readdir = do_readdir,
  .readdirplus = do_readdirplus,
  .releasedir = do_release,
  .statfs = do_statfs,
  .getxattr = do_getxattr,
  .listxattr = do_listxattr,

  .setattr = do_setattr,
  .mknod = do_mknod,
  .mkdir = do_mkdir,
  .unlink = do_remove,
  .rmdir = do_remove,
  .symlink = do_symlink,
  .rename = do_rename,
  .link = do_link,
  .write = do_write,
  .create = do_create,
  .setxattr = do_setxattr,
  .removexattr = do_remove,
  .fallocate = do_fallocate,
};
