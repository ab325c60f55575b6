/* xrayfs: the bytes of a file of the host
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Read with pread(2) only: the image is never mapped into memory, since a
 * file that shrinks underneath would kill us with SIGBUS.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "block/block.h"

struct file {
  int fd;
  struct timespec mtime;
  bool seekable_holes; /* SEEK_HOLE works here */
};

static const struct block_ops file_ops;

static int
file_pread (struct block *b, void *buf, size_t len, uint64_t off,
            struct err *e)
{
  struct file *f = b->priv;
  char *to = buf;
  ssize_t n;

  while (len > 0) {
    if (b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    n = pread (f->fd, to, MIN (len, 16 * MiB), (off_t) off);
    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1) {
      b->env->read_failed = true;
      return err_sys (e, errno, "read at 0x%" PRIx64, off);
    }
    if (n == 0)
      return err_set (e, EIO,
                      "the file became shorter while it was read"
                      " (nothing at 0x%" PRIx64 ")",
                      off);
    b->env->bytes_read += (uint64_t) n;
    to += n;
    off += (uint64_t) n;
    len -= (size_t) n;
  }
  return 0;
}

/* The host's own holes.  SEEK_* move the offset of the descriptor, which
 * nobody uses: pread does not. */
static int
file_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
          struct err *e unused_arg)
{
  struct file *f = b->priv;
  off_t data, hole;

  *ret = extent_data (len, b, off);
  if (!f->seekable_holes)
    return 0;
  data = lseek (f->fd, (off_t) off, SEEK_DATA);
  if (data == -1 && errno == ENXIO) {
    ret->kind = EXTENT_UNALLOCATED;
  } else if (data > (off_t) off) {
    ret->kind = EXTENT_UNALLOCATED;
    ret->length = MIN (len, (uint64_t) data - off);
  } else if (data == (off_t) off) {
    hole = lseek (f->fd, (off_t) off, SEEK_HOLE);
    if (hole > (off_t) off)
      ret->length = MIN (len, (uint64_t) hole - off);
  }
  return 0;
}

static void
file_close (struct block *b)
{
  struct file *f = b->priv;

  if (f)
    close (f->fd);
  free (f);
}

static const struct block_ops file_ops = {
  .name = "file",
  .pread = file_pread,
  .map = file_map,
  .close = file_close,
};

static int
file_length (int fd, const struct stat *st, uint64_t *ret, struct err *e)
{
  if (S_ISREG (st->st_mode)) {
    *ret = (uint64_t) st->st_size;
    return 0;
  }
  if (S_ISBLK (st->st_mode)) {
    if (ioctl (fd, BLKGETSIZE64, ret) == -1)
      return err_sys (e, errno, "size of the block device");
    return 0;
  }
  if (S_ISDIR (st->st_mode))
    return err_set (e, EISDIR, "is a directory");
  return err_set (e, EINVAL, "is neither a file nor a block device");
}

int
block_file_open (struct block_env *env, int fd, const char *path,
                 struct block **ret, struct err *e)
{
  CLEANUP_CLOSE int mine = fd;
  CLEANUP_BLOCK struct block *b = NULL;
  struct stat st;
  struct file *f;

  if (fstat (fd, &st) == -1)
    return err_sys (e, errno, "stat");
  b = block_new (env, &file_ops, e);
  if (!b || file_length (fd, &st, &b->size, e) == -1)
    return -1;
  f = malloc (sizeof *f);
  b->path = strdup (path);
  if (!f || !b->path) {
    free (f);
    return err_set (e, ENOMEM, "out of memory");
  }
  *f = (struct file){ .fd = steal_fd (&mine), .mtime = st.st_mtim };
  f->seekable_holes = S_ISREG (st.st_mode);
  b->priv = f;
  *ret = steal_ptr (&b);
  return 0;
}

int
block_file_usage (struct block *b, uint64_t *ret_length,
                  uint64_t *ret_allocated, struct err *e)
{
  struct file *f = b->priv;
  struct stat st;

  if (b->ops != &file_ops)
    return err_set (e, EINVAL, "not a file");
  if (fstat (f->fd, &st) == -1)
    return err_sys (e, errno, "stat");
  *ret_length = b->size;
  *ret_allocated = (uint64_t) st.st_blocks * 512;
  return 0;
}

int
block_file_fd (const struct block *b)
{
  return b->ops == &file_ops ? ((struct file *) b->priv)->fd : -1;
}

bool
block_file_changed (struct block *b)
{
  struct file *f = b->priv;
  struct stat st;

  if (b->ops != &file_ops || fstat (f->fd, &st) == -1 ||
      !S_ISREG (st.st_mode))
    return false;
  return (uint64_t) st.st_size != b->size ||
         st.st_mtim.tv_sec != f->mtime.tv_sec ||
         st.st_mtim.tv_nsec != f->mtime.tv_nsec;
}
