/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/source.h"

#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
check_kind (mode_t mode, struct err *e)
{
  if (S_ISREG (mode) || S_ISBLK (mode))
    return 0;
  if (S_ISDIR (mode))
    return err_set (e, EISDIR, "is a directory, not a disk image");
  return err_set (e, EINVAL, "is a %s; an image is a file or a block device",
                  S_ISFIFO (mode)   ? "pipe"
                  : S_ISSOCK (mode) ? "socket"
                  : S_ISCHR (mode)  ? "character device"
                                    : "special file");
}

/* O_NONBLOCK: opening a FIFO would wait for a writer for ever.  The kind is
 * looked at before opening too, since opening some devices has effects and
 * a socket cannot be opened at all. */
static int
open_image (const char *path, struct err *e)
{
  CLEANUP_CLOSE int fd = -1;
  char why[96];
  struct stat st;

  if (stat (path, &st) == 0 && check_kind (st.st_mode, e) == -1)
    return -1;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd == -1 || fstat (fd, &st) == -1)
    return err_set (e, errno, "%s", strerror_r (errno, why, sizeof why));
  if (check_kind (st.st_mode, e) == -1)
    return -1;
  return steal_fd (&fd);
}

static int
make_full_path (struct source *s, struct err *e)
{
  const char *dir = s->dir_path, *slash = strrchr (s->path, '/');
  const char *name = slash ? slash + 1 : s->path;

  if (!dir || !*name)
    s->full_path = strdup (s->path);
  else if (asprintf (&s->full_path, "%s/%s", strcmp (dir, "/") ? dir : "",
                     name) == -1)
    s->full_path = NULL;
  return s->full_path ? 0 : err_set (e, ENOMEM, "out of memory");
}

int
source_name (const char *path, struct source *ret, struct err *e)
{
  CLEANUP_SOURCE struct source s = SOURCE_INIT;
  CLEANUP_FREE char *copy = strdup (path);

  s.path = strdup (path);
  if (!s.path || !copy)
    return err_set (e, ENOMEM, "out of memory");
  s.dir_path = realpath (dirname (copy), NULL);
  if (make_full_path (&s, e) == -1)
    return -1;
  s.image.path = s.path;
  s.image.dir_path = s.dir_path;
  *ret = s;
  s = (struct source) SOURCE_INIT;
  return 0;
}

int
follow_add (struct follow *f, const char *dir, struct err *e)
{
  if (f->n == ARRAY_SIZE (f->dirs))
    return err_set (e, EINVAL, "follow=: more than %zu directories",
                    ARRAY_SIZE (f->dirs));
  f->dirs[f->n++] = dir;
  return 0;
}

static int
open_follow (struct source *s, const char *dir, struct err *e)
{
  CLEANUP_FREE char *path = realpath (dir, NULL);
  int fd = path ? open (path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

  if (fd == -1)
    return err_sys (e, errno, "follow=%s", dir);
  s->image.follow[s->image.n_follow++] =
      (struct block_dir){ fd, steal_ptr (&path) };
  return 0;
}

/* Without its directory an image still opens; only what it refers to does
 * not. */
int
source_open (struct source *s, const struct follow *follow, struct err *e)
{
  s->image.fd = open_image (s->path, e);
  if (s->image.fd == -1)
    return -1;
  if (s->dir_path)
    s->image.dir_fd = open (s->dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; i < follow->n; i++)
    if (open_follow (s, follow->dirs[i], e) == -1)
      return -1;
  return 0;
}

void
source_close (struct source *s)
{
  cleanup_close (&s->image.fd);
  cleanup_close (&s->image.dir_fd);
  s->image.fd = s->image.dir_fd = -1;
  for (size_t i = 0; i < ARRAY_SIZE (s->image.follow); i++) {
    if (s->image.follow[i].path)
      cleanup_close (&s->image.follow[i].fd);
    free (s->image.follow[i].path);
    s->image.follow[i] = (struct block_dir){ -1, NULL };
  }
  s->image.n_follow = 0;
}

void
source_free (struct source *s)
{
  source_close (s);
  free (s->path);
  free (s->dir_path);
  free (s->full_path);
  *s = (struct source) SOURCE_INIT;
}
