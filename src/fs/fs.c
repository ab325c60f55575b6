/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"

/* What goes through a driver's pread holds the lock: others get their turn
 * after so many bytes. */
#define LOCKED_CHUNK (256 * KiB)

const struct fs_ops *
fs_driver (const char *type)
{
  for (size_t i = 0; fs_drivers[i]; i++)
    for (size_t j = 0; fs_drivers[i]->types[j]; j++)
      if (!strcmp (fs_drivers[i]->types[j], type))
        return fs_drivers[i];
  return NULL;
}

/* A callback that calls back into its own filesystem is a fault of the
 * program, and says so rather than hanging. */
static void
lock_init (pthread_mutex_t *lock)
{
  pthread_mutexattr_t attr;

  pthread_mutexattr_init (&attr);
  pthread_mutexattr_settype (&attr, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init (lock, &attr);
  pthread_mutexattr_destroy (&attr);
}

int
fs_lock (struct fs *fs, struct err *e)
{
  int code = pthread_mutex_lock (&fs->lock);

  if (code)
    return err_sys (e, code, "%s: used from its own callback", fs->ops->name);
  return 0;
}

void
fs_unlock (struct fs *fs)
{
  pthread_mutex_unlock (&fs->lock);
}

/* Prepends the place, but for "looked, and it is not there", where the name
 * alone tells. */
static int
at_inode (struct fs *fs, uint64_t ino, struct err *e)
{
  /* Nor is a root that is a file "not there": it is damaged. */
  if (e->code == ENOTDIR && (ino == fs->root || ino == fs->default_root))
    err_set (e, EIO, "the root is not a directory");
  if (err_is_absent (e))
    return -1;
  return err_in (e, "%s: inode %" PRIu64, fs->ops->name, ino);
}

int
fs_mount (struct block *block, const char *type, struct fs **ret,
          struct err *e)
{
  return fs_mount_members (block, type, NULL, ret, e);
}

int
fs_mount_members (struct block *block, const char *type,
                  const struct fs_members *members, struct fs **ret,
                  struct err *e)
{
  const struct fs_ops *ops = fs_driver (type);
  struct fs *fs;

  if (!ops)
    return err_set (e, ENOTSUP, "no driver for a filesystem of type '%s'",
                    type);
  fs = calloc (1, sizeof *fs);
  if (!fs)
    return err_set (e, ENOMEM, "out of memory");
  fs->ops = ops;
  fs->block = block;
  fs->members = members;
  lock_init (&fs->lock);
  if (ops->mount (fs, e) == -1) {
    fs_unmount (fs);
    return err_in (e, "%s", ops->name);
  }
  fs->members = NULL; /* the caller's */
  if (!fs->default_root)
    fs->default_root = fs->root;
  *ret = fs;
  return 0;
}

void
fs_unmount (struct fs *fs)
{
  if (!fs)
    return;
  if (fs->ops->unmount)
    fs->ops->unmount (fs);
  pthread_mutex_destroy (&fs->lock);
  free (fs);
}

bool
fs_type_is_known (mode_t mode)
{
  return S_ISREG (mode) || S_ISDIR (mode) || S_ISLNK (mode) ||
         S_ISCHR (mode) || S_ISBLK (mode) || S_ISFIFO (mode) ||
         S_ISSOCK (mode);
}

/* --- names ----------------------------------------------------------- */

static bool
is_dot_name (const char *name, size_t len)
{
  return (len == 1 || len == 2) && !memcmp (name, "..", len);
}

static bool
is_impossible (char c)
{
  return c == '/' || c == '\0';
}

const char *
fs_safe_name (const char *name, size_t *len, struct buf *buf)
{
  bool dots = is_dot_name (name, *len), any = dots;

  for (size_t i = 0; i < *len && !any; i++)
    any = is_impossible (name[i]);
  if (!any)
    return name;
  buf_reset (buf);
  for (size_t i = 0; i < *len; i++)
    if (dots || is_impossible (name[i]))
      buf_printf (buf, "%%%02x", (unsigned) (unsigned char) name[i]);
    else
      buf_add (buf, name + i, 1);
  *len = buf->len;
  return buf_str (buf);
}

/* The bytes that fs_safe_name may have made NAME from.  False: none other
 * than NAME itself. */
static bool
unsafe_name (const char *name, size_t len, struct buf *ret)
{
  bool dots = (len == 3 && !memcmp (name, "%2e", 3)) ||
              (len == 6 && !memcmp (name, "%2e%2e", 6));
  bool any = false;

  for (size_t i = 0; i < len; i++) {
    char c = name[i];

    if (c == '%' && len - i >= 3 &&
        (dots || !memcmp (name + i, "%2f", 3) ||
         !memcmp (name + i, "%00", 3))) {
      c = dots ? '.' : name[i + 1] == '2' ? '/' : '\0';
      any = true;
      i += 2;
    }
    buf_add (ret, &c, 1);
  }
  return any && !ret->failed;
}

/* --- by inode -------------------------------------------------------- */

static int
lookup_locked (struct fs *fs, uint64_t dir, const char *name, size_t len,
               uint64_t *ret, struct err *e)
{
  CLEANUP_BUF struct buf stored = { 0 };

  if (fs->ops->lookup (fs, dir, name, len, ret, e) == 0)
    return 0;
  if (e->code != ENOENT || !unsafe_name (name, len, &stored))
    return -1;
  return fs->ops->lookup (fs, dir, stored.data, stored.len, ret, e);
}

int
fs_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
           uint64_t *ret, struct err *e)
{
  uint64_t ino;
  int r;

  /* Names that no Linux directory can have; 1020 is 255 characters of four
   * bytes (NTFS). */
  if (len == 0 || len > 1020 || is_dot_name (name, len) ||
      memchr (name, '/', len) || memchr (name, '\0', len))
    return err_set (e, ENOENT, "no such file or directory");
  if (fs_lock (fs, e) == -1)
    return -1;
  r = lookup_locked (fs, dir, name, len, &ino, e);
  fs_unlock (fs);
  if (r == -1)
    return at_inode (fs, dir, e);
  *ret = ino;
  return 0;
}

int
fs_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct fs_stat st = { 0 };
  int r;

  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->stat (fs, ino, &st, e);
  fs_unlock (fs);
  if (r == -1)
    return at_inode (fs, ino, e);
  *ret = st;
  return 0;
}

struct safe_dirents {
  fs_dirent_fn fn;
  void *arg;
  struct buf name;
};

static int
give_safe_dirent (void *arg, const char *name, size_t len, uint64_t ino,
                  unsigned type)
{
  struct safe_dirents *s = arg;

  name = fs_safe_name (name, &len, &s->name);
  return s->name.failed || s->fn (s->arg, name, len, ino, type);
}

int
fs_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
            struct err *e)
{
  struct safe_dirents s = { fn, arg, { 0 } };
  int r;

  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->readdir (fs, dir, give_safe_dirent, &s, e);
  fs_unlock (fs);
  if (r == 0)
    r = buf_check (&s.name, e);
  buf_free (&s.name);
  return r == -1 ? at_inode (fs, dir, e) : 0;
}

int
fs_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  int r;

  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->readlink (fs, ino, &target, e);
  fs_unlock (fs);
  if (r == 0)
    r = buf_check (&target, e);
  if (r == -1)
    return at_inode (fs, ino, e);
  buf_add (ret, buf_str (&target), target.len);
  return buf_check (ret, e);
}

int
fs_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
           struct err *e)
{
  int r;

  if (!fs->ops->xattrs)
    return 0;
  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->xattrs (fs, ino, fn, arg, e);
  fs_unlock (fs);
  return r == -1 ? at_inode (fs, ino, e) : 0;
}

int
fs_info (struct fs *fs, struct fs_info *ret, struct err *e)
{
  struct fs_info info = { .size = UINT64_MAX,
                          .used = UINT64_MAX,
                          .free = UINT64_MAX,
                          .inodes = UINT64_MAX,
                          .inodes_free = UINT64_MAX };
  int r;

  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->info (fs, &info, e);
  fs_unlock (fs);
  if (r == 0)
    r = buf_check (&info.features, e);
  if (r == -1) {
    fs_info_free (&info);
    return err_in (e, "%s", fs->ops->name);
  }
  *ret = info;
  return 0;
}

void
fs_info_free (struct fs_info *i)
{
  buf_free (&i->features);
}

int
fs_check (struct fs *fs, struct block_check *c, struct err *e)
{
  int r;

  if (!fs->ops->check)
    return err_set (e, ENOTSUP, "%s: damage is not looked for",
                    fs->ops->name);
  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->check (fs, c, e);
  fs_unlock (fs);
  return r == -1 ? err_in (e, "%s", fs->ops->name) : 0;
}

int
fs_subvolume (struct fs *fs, uint64_t id, uint64_t *ret, struct err *e)
{
  int r;

  if (!fs->ops->subvolume)
    return err_set (e, ENOTSUP, "%s has no subvolumes", fs->ops->name);
  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->subvolume (fs, id, ret, e);
  fs_unlock (fs);
  return r == -1 && !err_is_absent (e) ? err_in (e, "%s", fs->ops->name) : r;
}

/* --- file data ------------------------------------------------------- */

static int
map_locked (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e)
{
  int r;

  if (!fs->ops->map) {
    *ret = extent_of (EXTENT_COMPRESSED, len);
    return 0;
  }
  if (fs_lock (fs, e) == -1)
    return -1;
  r = fs->ops->map (fs, ino, off, len, ret, e);
  fs_unlock (fs);
  return r;
}

/* A filesystem may claim blocks that its partition does not have: what is
 * there of an extent can be read, the rest cannot. */
static int
clip_to_device (struct extent *x, struct err *e)
{
  if (x->kind != EXTENT_DATA)
    return 0;
  if (!x->lower)
    return err_set (e, EIO, "map gave no place for the data");
  if (x->offset >= x->lower->size)
    return err_set (e, EIO,
                    "extent at 0x%" PRIx64
                    " lies beyond the end of the filesystem",
                    x->offset);
  x->length = MIN (x->length, x->lower->size - x->offset);
  return 0;
}

int
fs_map (struct fs *fs, uint64_t ino, uint64_t size, uint64_t off,
        uint64_t len, struct extent *ret, struct err *e)
{
  struct extent x = { 0 };

  if (off >= size || len == 0)
    return err_set (e, EINVAL, "map at 0x%" PRIx64 " lies beyond the end",
                    off);
  len = MIN (len, size - off);
  if (map_locked (fs, ino, off, len, &x, e) == -1)
    return at_inode (fs, ino, e);
  /* A driver that broke the contract would loop us for ever. */
  if (x.length == 0 || x.length > len) {
    err_set (e, EIO, "map gave an extent of %" PRIu64 " bytes", x.length);
    return at_inode (fs, ino, e);
  }
  if (clip_to_device (&x, e) == -1)
    return at_inode (fs, ino, e);
  *ret = x;
  return 0;
}

static int
pread_stored (struct fs *fs, uint64_t ino, char *to, size_t len, uint64_t off,
              struct err *e)
{
  size_t n;
  int r;

  if (!fs->ops->pread)
    return err_set (e, EIO, "no way to read this file");
  if (fs->ops->pread_unlocked)
    return fs->ops->pread (fs, ino, to, len, off, e);
  for (; len > 0; len -= n, to += n, off += n) {
    n = MIN (len, LOCKED_CHUNK);
    if (fs_lock (fs, e) == -1)
      return -1;
    r = fs->ops->pread (fs, ino, to, n, off, e);
    fs_unlock (fs);
    if (r == -1)
      return -1;
  }
  return 0;
}

static int
read_extent (struct fs *fs, uint64_t ino, const struct extent *x, char *to,
             uint64_t off, struct block_run *run, struct err *e)
{
  switch (x->kind) {
  case EXTENT_DATA:
    return block_run_add (run, x, to, e);
  case EXTENT_COMPRESSED:
    return pread_stored (fs, ino, to, x->length, off, e);
  default:
    memset (to, 0, x->length);
    return 0;
  }
}

int
fs_regular (mode_t mode, struct err *e)
{
  if (S_ISDIR (mode))
    return err_set (e, EISDIR, "is a directory");
  return S_ISREG (mode) ? 0 : err_set (e, EINVAL, "not a regular file");
}

int
fs_pread (struct fs *fs, uint64_t ino, uint64_t size, void *buf, size_t len,
          uint64_t off, size_t *ret, struct err *e)
{
  struct block_run run = { 0 };
  struct extent x;
  size_t done = 0;

  len = off < size ? MIN (len, size - off) : 0;
  for (; done < len; done += x.length) {
    if (fs_map (fs, ino, size, off + done, len - done, &x, e) == -1)
      return -1;
    if (read_extent (fs, ino, &x, (char *) buf + done, off + done, &run, e) ==
        -1)
      return at_inode (fs, ino, e);
  }
  if (block_run_flush (&run, e) == -1)
    return at_inode (fs, ino, e);
  *ret = len;
  return 0;
}
