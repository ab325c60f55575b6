/* xrayfs: files that an image refers to
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The name comes from the image, and the image is the attacker: a backing
 * file called /etc/shadow would show it to whoever sent the image in
 * (CVE-2024-32498, CVE-2024-4467, CVE-2022-47951).  So a reference names a
 * regular file inside the image's directory, after all links, and nothing
 * else, unless the user allows more directories (-o follow=DIR); the kernel
 * decides that (openat2), not a look at the text.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "block/block.h"

#define OUTSIDE "lies outside the image's directory"

/* As in qemu: a ':' before the first '/' ends a protocol or a driver. */
static bool
has_protocol (const char *name)
{
  return name[strcspn (name, ":/")] == ':';
}

/* NAME, which is absolute, without DIR in front; NULL if it is elsewhere. */
static const char *
strip_directory (const char *name, const char *dir)
{
  size_t n = dir ? strlen (dir) : 0;

  while (n > 0 && dir[n - 1] == '/')
    n--;
  if (!dir || dir[0] != '/' || strncmp (name, dir, n) || name[n] != '/')
    return NULL;
  name += n;
  return name + strspn (name, "/");
}

/* NAME, without a protocol, as a path: *RET, to be freed, is relative to
 * env->dir_fd or absolute. */
static int
reference_path (const struct block *base, const char *name, char **ret,
                struct err *e)
{
  const char *slash = base->path ? strrchr (base->path, '/') : NULL;
  int dir = slash ? (int) (slash + 1 - base->path) : 0;

  if (!strncmp (name, "file:", 5))
    name += 5;
  else if (has_protocol (name))
    return err_set (e, EACCES, "'%.*s' references are refused",
                    (int) strcspn (name, ":") + 1, name);
  if (!strncmp (name, "/dev/", 5))
    return err_set (e, EACCES, "a device is refused");
  if (!name[0])
    return err_set (e, EINVAL, "the name is empty");
  if (name[0] == '/')
    dir = 0;
  if (asprintf (ret, "%.*s%s", dir, dir ? base->path : "", name) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* PATH below DIR_FD.  Errors: EACCES: it leads out. */
static int
open_beneath (int dir_fd, const char *path, int *ret, struct err *e)
{
  struct open_how how = {
    /* O_NONBLOCK: a FIFO must not hang us before we can refuse it. */
    .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
  };
  long fd;

  do
    fd = syscall (SYS_openat2, dir_fd, path, &how, sizeof how);
  while (fd == -1 && (errno == EINTR || errno == EAGAIN));
  if (fd == -1 && errno == EXDEV)
    return err_set (e, EACCES, OUTSIDE);
  if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
    return err_set (e, EIO, "no such file");
  if (fd == -1 && errno == ENOSYS) /* Linux before 5.6, valgrind */
    return err_set (e, EACCES, "is refused: there is no openat2(2) here");
  if (fd == -1)
    return err_sys (e, errno, "open");
  *ret = (int) fd;
  return 0;
}

/* The absolute PATH in the image's directory (*RET_PATH: relative to it) or
 * in one that may be followed.  Borrows PATH. */
static int
open_absolute (const struct block_env *env, const char *path, int *ret,
               const char **ret_path, struct err *e)
{
  const char *below = strip_directory (path, env->dir_path);

  if (below) {
    *ret_path = below;
    return open_beneath (env->dir_fd, below, ret, e);
  }
  for (size_t i = 0; i < env->n_follow; i++) {
    below = strip_directory (path, env->follow[i].path);
    if (!below)
      continue;
    *ret_path = path;
    return open_beneath (env->follow[i].fd, below, ret, e);
  }
  return err_set (e, EACCES, OUTSIDE);
}

/* PATH led out of where it seemed to lie: where does it really? */
static int
open_real (const struct block_env *env, const char *path, int *ret,
           char **ret_path, struct err *e)
{
  CLEANUP_FREE char *full = NULL, *real = NULL;
  const char *used = NULL;

  if (path[0] != '/' && !env->dir_path)
    return err_set (e, EACCES, OUTSIDE);
  if (asprintf (&full, "%s/%s", path[0] == '/' ? "" : env->dir_path, path) ==
      -1) {
    full = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  real = realpath (full, NULL);
  if (!real)
    return err_set (e, EACCES, OUTSIDE);
  if (open_absolute (env, real, ret, &used, e) == -1)
    return -1;
  *ret_path = strdup (used);
  return *ret_path ? 0 : err_set (e, ENOMEM, "out of memory");
}

/* Opens *PATH, of reference_path, and makes it what it is called from now
 * on. */
static int
open_reference (const struct block_env *env, char **path, int *ret,
                struct err *e)
{
  CLEANUP_FREE char *real = NULL;
  const char *used = *path;
  int r;

  if ((*path)[0] == '/')
    r = open_absolute (env, *path, ret, &used, e);
  else
    r = open_beneath (env->dir_fd, *path, ret, e);
  if (r == -1 && e->code == EACCES && env->n_follow > 0) {
    r = open_real (env, *path, ret, &real, e);
    used = real;
  }
  if (r == -1)
    return -1;
  if (used != *path) {
    used = strdup (used);
    if (!used) {
      cleanup_close (ret);
      return err_set (e, ENOMEM, "out of memory");
    }
    free (*path);
    *path = (char *) used;
  }
  return 0;
}

/* The file at the bottom of B, or NULL. */
static struct block *
file_under (struct block *b)
{
  while (b && block_file_fd (b) == -1)
    b = b->below;
  return b;
}

/* Is the file ST among those that lead to BASE? */
static bool
leads_back (struct block *base, const struct stat *st)
{
  struct block *file = file_under (base);
  struct stat other;

  for (unsigned i = 0; file && i <= BLOCK_MAX_DEPTH; i++) {
    if (fstat (block_file_fd (file), &other) == 0 &&
        other.st_dev == st->st_dev && other.st_ino == st->st_ino)
      return true;
    file = file->referrer ? file_under (file->referrer) : NULL;
  }
  return false;
}

static int
check_file (struct block *base, int fd, const char *path, struct err *e)
{
  struct stat st;

  if (fstat (fd, &st) == -1)
    return err_sys (e, errno, "stat");
  if (!S_ISREG (st.st_mode))
    return err_set (e, EACCES, "is not a regular file");
  if (leads_back (base, &st))
    return err_set (e, ELOOP, "chain of backing files leads back to '%s'",
                    path);
  return 0;
}

int
block_reference_open (struct block *base, const char *name,
                      const char *format, struct block **ret, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  CLEANUP_CLOSE int fd = -1;
  struct block *file;

  if (base->env->dir_fd == -1 || base->sealed)
    return err_set (e, EACCES, "references to other files are refused");
  if (base->depth + 1 > BLOCK_MAX_DEPTH)
    return err_set (e, ELOOP, "chain of backing files is too long");
  if (reference_path (base, name, &path, e) == -1 ||
      open_reference (base->env, &path, &fd, e) == -1 ||
      check_file (base, fd, path, e) == -1 ||
      block_file_open (base->env, steal_fd (&fd), path, &file, e) == -1)
    return -1;
  file->depth = base->depth + 1;
  file->referrer = base;
  if (format && !strcmp (format, "file")) {
    *ret = file;
    return 0;
  }
  return block_format_open (file, format, ret, e);
}

/* --- what is not there ----------------------------------------------- */

static int
missing_map (struct block *b, uint64_t off unused_arg,
             uint64_t len unused_arg, struct extent *ret unused_arg,
             struct err *e)
{
  const struct err *why = b->priv;

  return err_set (e, EIO, "'%s': %s", b->path, why->msg);
}

static void
missing_close (struct block *b)
{
  free (b->priv);
}

static const struct block_ops missing_ops = {
  .name = "reference",
  .map = missing_map,
  .close = missing_close,
};

const char *
block_missing_reason (const struct block *b)
{
  return b->ops == &missing_ops ? ((struct err *) b->priv)->msg : NULL;
}

static int
missing_open (struct block *base, const char *name, uint64_t size,
              const struct err *why, struct block **ret, struct err *e)
{
  CLEANUP_BLOCK struct block *b = block_new (base->env, &missing_ops, e);

  if (!b)
    return -1;
  b->priv = malloc (sizeof *why);
  b->path = strdup (name);
  if (!b->priv || !b->path)
    return err_set (e, ENOMEM, "out of memory");
  memcpy (b->priv, why, sizeof *why);
  b->size = size;
  *ret = steal_ptr (&b);
  return 0;
}

int
block_reference_or_missing (struct block *base, const char *name,
                            const char *format, uint64_t size,
                            struct block **ret, struct err *e)
{
  struct err why = { 0 };

  if (block_reference_open (base, name, format, ret, &why) == 0)
    return 0;
  /* What may pass, and what lies in this host, is no fact about the image. */
  if (err_is_transient (&why) || base->env->read_failed) {
    *e = why;
    return -1;
  }
  return missing_open (base, name, size, &why, ret, e);
}
