/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/vfs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/vec.h"

#define MAX_LINKS 40 /* as Linux: MAXSYMLINKS */

DEFINE_VEC (node_vec, struct vfs_node)

/* A walk under way: the directories from the root to where it is, the names
 * of which are in path, and what is still to be walked.  Both are bounded by
 * the caller's path and MAX_LINKS targets. */
struct walk {
  const struct vfs *v;
  struct node_vec dirs; /* [0] is the root; never empty */
  struct buf path;      /* "" for the root, else "/usr/lib" */
  struct buf rest;
  size_t at;        /* in rest */
  const char *name; /* being walked: in rest */
  size_t name_len;
  unsigned links;
  bool follow_last;
};

static void
cleanup_walk (struct walk *w)
{
  free (w->dirs.items);
  buf_free (&w->path);
  buf_free (&w->rest);
}

void
vfs_init_at (struct vfs *v, struct fs *fs, uint64_t root)
{
  *v = (struct vfs){ .n_mounts = 1 };
  v->mounts[0] = (struct vfs_mount){ .fs = fs, .root = root };
}

void
vfs_init (struct vfs *v, struct fs *fs)
{
  vfs_init_at (v, fs, fs->root);
}

/* It ends: a mount comes after the one that it covers a directory of. */
struct vfs_node
vfs_cross (const struct vfs *v, struct vfs_node n)
{
  for (unsigned i = n.mount + 1; i < v->n_mounts; i++)
    if (v->mounts[i].parent == n.mount && v->mounts[i].point == n.ino)
      n = (struct vfs_node){ i, v->mounts[i].root };
  return n;
}

struct vfs_node
vfs_root (const struct vfs *v)
{
  return vfs_cross (v, (struct vfs_node){ 0, v->mounts[0].root });
}

struct fs *
vfs_fs (const struct vfs *v, struct vfs_node n)
{
  return v->mounts[n.mount].fs;
}

int
vfs_lookup (const struct vfs *v, struct vfs_node dir, const char *name,
            size_t len, struct vfs_node *ret, struct err *e)
{
  struct vfs_node n = { dir.mount, 0 };

  if (fs_lookup (vfs_fs (v, dir), dir.ino, name, len, &n.ino, e) == -1)
    return -1;
  n = vfs_cross (v, n);
  if (!vfs_fs (v, n)) /* EIO: not looked is not absent */
    return err_set (e, EIO, "%s", v->mounts[n.mount].why);
  *ret = n;
  return 0;
}

/* --- walking --------------------------------------------------------- */

static struct vfs_node
here (const struct walk *w)
{
  return w->dirs.items[w->dirs.len - 1];
}

static int
enter (struct walk *w, struct vfs_node n, const char *name, size_t len,
       struct err *e)
{
  if (node_vec_push (&w->dirs, n) == -1)
    return err_set (e, ENOMEM, "out of memory");
  buf_add (&w->path, "/", 1);
  buf_add (&w->path, name, len);
  return buf_check (&w->path, e);
}

/* "..": of the root it is the root. */
static void
leave (struct walk *w)
{
  if (w->dirs.len == 1)
    return;
  w->dirs.len--;
  /* Names hold no slash. */
  w->path.len = strrchr (w->path.data, '/') - w->path.data;
  w->path.data[w->path.len] = '\0';
}

static void
to_root (struct walk *w)
{
  w->dirs.len = 1;
  buf_reset (&w->path);
}

/* Puts the target of link N before what is still to be walked. */
static int
follow (struct walk *w, struct vfs_node n, struct err *e)
{
  CLEANUP_BUF struct buf rest = { 0 };

  if (++w->links > MAX_LINKS)
    return err_set (e, ELOOP, "more than %d symbolic links", MAX_LINKS);
  if (fs_readlink (vfs_fs (w->v, n), n.ino, &rest, e) == -1)
    return -1;
  if (rest.len == 0)
    return err_set (e, ENOENT, "empty symbolic link");
  if (rest.data[0] == '/')
    to_root (w);
  /* What follows begins with a slash, or is empty. */
  buf_add (&rest, w->rest.data + w->at, w->rest.len - w->at);
  if (buf_check (&rest, e) == -1)
    return -1;
  buf_free (&w->rest);
  w->rest = rest;
  rest = (struct buf){ 0 };
  w->at = 0;
  return 0;
}

/* The next name, or false at the end.  *RET_LAST: nothing, not even a
 * slash, comes after it. */
static bool
next_name (struct walk *w, const char **ret, size_t *ret_len, bool *ret_last)
{
  const char *s = buf_str (&w->rest), *p = s + w->at, *end = s + w->rest.len;
  const char *slash;

  while (p < end && *p == '/')
    p++;
  if (p == end) {
    w->at = w->rest.len;
    return false;
  }
  slash = memchr (p, '/', end - p);
  *ret = p;
  *ret_len = (slash ? slash : end) - p;
  *ret_last = !slash;
  w->at = p + *ret_len - s;
  return true;
}

static int
step (struct walk *w, const char *name, size_t len, bool last, struct err *e)
{
  struct vfs_node n;
  struct fs_stat st;

  if (len == 1 && name[0] == '.')
    return 0;
  if (len == 2 && name[0] == '.' && name[1] == '.') {
    leave (w);
    return 0;
  }
  if (vfs_lookup (w->v, here (w), name, len, &n, e) == -1)
    return -1;
  if (fs_stat (vfs_fs (w->v, n), n.ino, &st, e) == -1)
    return -1;
  if (S_ISLNK (st.mode) && (!last || w->follow_last))
    return follow (w, n, e);
  if (!last && !S_ISDIR (st.mode))
    return err_set (e, ENOTDIR, "not a directory");
  return enter (w, n, name, len, e);
}

static int
walk_rest (struct walk *w, struct err *e)
{
  const char *name;
  size_t len;
  bool last;

  while (next_name (w, &name, &len, &last)) {
    w->name = name;
    w->name_len = len;
    if (step (w, name, len, last, e) == -1)
      return -1;
  }
  return 0;
}

/* Walks PATH from directory DIR_PATH (NULL: the root). */
static int
walk (struct walk *w, const struct vfs *v, const char *dir_path,
      const char *path, unsigned flags, struct err *e)
{
  w->v = v;
  w->follow_last = !(flags & VFS_NOFOLLOW);
  if (dir_path && path[0] != '/')
    buf_printf (&w->rest, "%s/", dir_path);
  buf_puts (&w->rest, path);
  if (node_vec_push (&w->dirs, vfs_root (v)) == -1)
    return err_set (e, ENOMEM, "out of memory");
  if (buf_check (&w->rest, e) == -1)
    return -1;
  if (walk_rest (w, e) == -1)
    return err_in (e, "%s", path);
  return 0;
}

int
vfs_walk_from (const struct vfs *v, const char *dir_path, const char *path,
               unsigned flags, struct vfs_node *ret, struct buf *ret_path,
               struct err *e)
{
  __attribute__ ((cleanup (cleanup_walk))) struct walk w = { 0 };

  if (walk (&w, v, dir_path, path, flags, e) == -1)
    return -1;
  if (ret_path) {
    buf_puts (ret_path, w.path.len ? w.path.data : "/");
    if (buf_check (ret_path, e) == -1)
      return -1;
  }
  *ret = here (&w);
  return 0;
}

int
vfs_resolve (const struct vfs *v, const char *dir_path, const char *path,
             struct buf *ret, struct err *e)
{
  __attribute__ ((cleanup (cleanup_walk))) struct walk w = { 0 };

  if (walk (&w, v, dir_path, path, 0, e) == -1) {
    if (err_is_transient (e))
      return -1;
    buf_add (&w.path, "/", 1);
    buf_add (&w.path, w.name, w.name_len);
    if (e->code == ENOTDIR)
      buf_puts (&w.path, "/.");
    err_clear (e);
  }
  if (buf_check (&w.path, e) == -1)
    return -1;
  buf_puts (ret, w.path.len ? w.path.data : "/");
  return buf_check (ret, e);
}

int
vfs_walk (const struct vfs *v, const char *path, unsigned flags,
          struct vfs_node *ret, struct err *e)
{
  return vfs_walk_from (v, NULL, path, flags, ret, NULL, e);
}

/* --- mounting -------------------------------------------------------- */

/* M covers what N, a node at PATH, is. */
static int
add_mount (struct vfs *v, struct vfs_node n, const char *path,
           struct vfs_mount m, struct err *e)
{
  if (v->n_mounts == VFS_MAX_MOUNTS)
    return err_set (e, ENOSPC, "%s: more than %d mounts", path,
                    VFS_MAX_MOUNTS);
  m.path = strdup (path);
  if (!m.path)
    return err_set (e, ENOMEM, "out of memory");
  m.parent = n.mount;
  m.point = n.ino;
  v->mounts[v->n_mounts++] = m;
  return 0;
}

/* Can N, at PATH, be covered by a directory, or by a file? */
static int
check_point (const struct vfs *v, struct vfs_node n, const char *path,
             bool file, struct err *e)
{
  struct fs_stat st;

  if (fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return err_in (e, "%s", path);
  if (S_ISDIR (st.mode))
    return file ? err_set (e, EINVAL, "%s: is a directory", path) : 0;
  if (!file)
    return err_set (e, ENOTDIR, "%s: not a directory", path);
  /* A mount covers one name; here it would be all of them. */
  if (st.nlink > 1)
    return err_set (e, EINVAL, "%s: the file has %" PRIu32 " names", path,
                    st.nlink);
  return 0;
}

static int
mount_on (struct vfs *v, const char *path, struct vfs_mount m, bool file,
          struct err *e)
{
  __attribute__ ((cleanup (cleanup_walk))) struct walk w = { 0 };

  if (walk (&w, v, NULL, path, 0, e) == -1)
    return -1;
  if (w.dirs.len == 1)
    return err_set (e, EBUSY, "%s: the root is mounted already", path);
  if (check_point (v, here (&w), path, file, e) == -1)
    return -1;
  m.depth = w.dirs.len - 1;
  return add_mount (v, here (&w), w.path.data, m, e);
}

int
vfs_mount (struct vfs *v, const char *path, struct fs *fs, uint64_t root,
           struct err *e)
{
  return mount_on (v, path, (struct vfs_mount){ .fs = fs, .root = root },
                   false, e);
}

int
vfs_mount_blind (struct vfs *v, const char *path, const char *why,
                 struct err *e)
{
  struct vfs_mount m = { .why = strdup (why) };

  if (!m.why)
    return err_set (e, ENOMEM, "out of memory");
  if (mount_on (v, path, m, false, e) == 0)
    return 0;
  free (m.why);
  return -1;
}

/* Does PATH lie below DIR, both canonical? */
static bool
is_below (const char *path, const char *dir)
{
  size_t len = strcmp (dir, "/") ? strlen (dir) : 0;

  return !strncmp (path, dir, len) && path[len] == '/';
}

static unsigned
depth_of (const char *path)
{
  unsigned n = 0;

  for (const char *p = path; *p; p++)
    n += *p == '/' && p[1];
  return n;
}

/* Mount number I once more, on the same directory of mount number PARENT;
 * SOURCE is seen at TO as well. */
static int
copy_mount (struct vfs *v, unsigned i, unsigned parent, const char *source,
            const char *to, struct err *e)
{
  struct vfs_mount m = v->mounts[i];
  size_t skip = strcmp (source, "/") ? strlen (source) : 0;
  CLEANUP_FREE char *path = NULL, *why = m.why ? strdup (m.why) : NULL;

  if (asprintf (&path, "%s%s", to, m.path + skip) == -1)
    path = NULL;
  if (!path || (m.why && !why))
    return err_set (e, ENOMEM, "out of memory");
  m.depth = depth_of (path);
  m.why = why;
  if (add_mount (v, (struct vfs_node){ parent, m.point }, path, m, e) == -1)
    return -1;
  why = NULL;
  return 0;
}

/* What is mounted below SOURCE, which lies in mount number FROM, is seen
 * below mount number COPY as well.  A mount comes after the one that it
 * covers a directory of, so that one pass will do. */
static int
copy_mounts (struct vfs *v, unsigned from, const char *source, unsigned copy,
             struct err *e)
{
  unsigned copies[VFS_MAX_MOUNTS] = { 0 };

  copies[from] = copy;
  for (unsigned i = 1; i < copy; i++) {
    unsigned parent = copies[v->mounts[i].parent];

    if (parent == 0 || !is_below (v->mounts[i].path, source))
      continue;
    if (copy_mount (v, i, parent, source, v->mounts[copy].path, e) == -1)
      return -1;
    copies[i] = v->n_mounts - 1;
  }
  return 0;
}

int
vfs_bind (struct vfs *v, const char *source, const char *path, bool recursive,
          struct err *e)
{
  CLEANUP_BUF struct buf canonical = { 0 };
  struct vfs_node n;
  struct fs_stat st;

  if (vfs_walk_from (v, NULL, source, 0, &n, &canonical, e) == -1)
    return -1;
  if (fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return err_in (e, "%s", source);
  if (mount_on (v, path,
                (struct vfs_mount){ .fs = vfs_fs (v, n), .root = n.ino },
                !S_ISDIR (st.mode), e) == -1)
    return -1;
  if (!recursive)
    return 0;
  return copy_mounts (v, n.mount, buf_str (&canonical), v->n_mounts - 1, e);
}

void
vfs_free (struct vfs *v)
{
  for (unsigned i = 0; i < v->n_mounts; i++) {
    free (v->mounts[i].why);
    free (v->mounts[i].path);
  }
  v->n_mounts = 0;
}

/* --- at a path ------------------------------------------------------- */

int
vfs_exists (const struct vfs *v, const char *path, struct err *e)
{
  struct vfs_node n;

  if (vfs_walk (v, path, 0, &n, e) == 0)
    return 1;
  if (!err_is_absent (e))
    return -1;
  err_clear (e); /* absent is an answer */
  return 0;
}

int
vfs_stat (const struct vfs *v, const char *path, unsigned flags,
          struct fs_stat *ret, struct err *e)
{
  struct vfs_node n;

  if (vfs_walk (v, path, flags, &n, e) == -1)
    return -1;
  if (fs_stat (vfs_fs (v, n), n.ino, ret, e) == -1)
    return err_in (e, "%s", path);
  return 0;
}

static int
check_readable (const struct fs_stat *st, size_t max, struct err *e)
{
  if (fs_regular (st->mode, e) == -1)
    return -1;
  if (st->size > max)
    return err_set (e, EFBIG, "more than %zu bytes long", max);
  return 0;
}

int
vfs_read_node (const struct vfs *v, struct vfs_node n, size_t max,
               struct buf *ret, struct err *e)
{
  struct fs *fs = vfs_fs (v, n);
  struct fs_stat st;
  size_t got;
  char *to;

  if (fs_stat (fs, n.ino, &st, e) == -1 || check_readable (&st, max, e) == -1)
    return -1;
  to = buf_reserve (ret, st.size);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (fs_pread (fs, n.ino, st.size, to, st.size, 0, &got, e) == -1)
    return -1;
  ret->len += got;
  ret->data[ret->len] = '\0';
  return 0;
}

int
vfs_read (const struct vfs *v, const char *path, size_t max, struct buf *ret,
          struct err *e)
{
  struct vfs_node n;

  if (vfs_walk (v, path, 0, &n, e) == -1)
    return -1;
  if (vfs_read_node (v, n, max, ret, e) == -1)
    return err_in (e, "%s", path);
  return 0;
}

int
vfs_open (const struct vfs *v, const char *path, struct vfs_file *ret,
          struct err *e)
{
  struct vfs_node n;
  struct fs_stat st;

  if (vfs_walk (v, path, 0, &n, e) == -1 ||
      fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return -1;
  if (!S_ISREG (st.mode))
    return 0;
  *ret = (struct vfs_file){ vfs_fs (v, n), n.ino, st.size };
  return 1;
}

int
vfs_file_read (const struct vfs_file *f, void *buf, size_t len, uint64_t off,
               struct err *e)
{
  size_t got;

  if (!range_within (off, len, f->size))
    return err_set (e, EIO, "0x%" PRIx64 " lies beyond the end of the file",
                    off);
  return fs_pread (f->fs, f->ino, f->size, buf, len, off, &got, e);
}

int
vfs_list (const struct vfs *v, const char *path, fs_dirent_fn fn, void *arg,
          struct err *e)
{
  struct vfs_node n;

  if (vfs_walk (v, path, 0, &n, e) == -1)
    return -1;
  if (fs_readdir (vfs_fs (v, n), n.ino, fn, arg, e) == -1)
    return err_in (e, "%s", path);
  return 0;
}
