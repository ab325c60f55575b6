/* xrayfs: the filesystem images that an initramfs may hold, or be
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * dracut's squash modules keep all but what mounts it in a squashfs or an
 * EROFS; before there was an initramfs, an initrd was an ext2 (Linux,
 * Documentation/admin-guide/initrd.rst).  The image is in memory, and no
 * larger than INITRAMFS_MAX_IMAGE.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "fs/fs.h"
#include "inspect/initramfs_priv.h"

/* Deeper than any initramfs; directories may lead back to themselves. */
#define MAX_DEPTH 32
#define CACHE     (16 * MiB)

const char *
image_type (const void *data, size_t len)
{
  const char *p = data;

  if (len >= 4 && !memcmp (p, "hsqs", 4))
    return "squashfs";
  if (len >= 1024 + 4 && !memcmp (p + 1024, "\xe2\xe1\xf5\xe0", 4))
    return "erofs";
  if (len >= 1024 + 58 && !memcmp (p + 1024 + 56, "\x53\xef", 2))
    return "ext2";
  return NULL;
}

struct walk {
  struct content *content;
  struct fs *fs;
  struct buf path; /* of the directory, with a slash at its end */
  unsigned depth;
  struct err *err;
};

struct image_file {
  struct fs *fs;
  uint64_t ino, size;
};

static int
read_image_file (void *arg, void *buf, struct err *e)
{
  const struct image_file *f = arg;
  size_t got;

  if (fs_pread (f->fs, f->ino, f->size, buf, f->size, 0, &got, e) == -1)
    return -1;
  return got == f->size ? 0 : err_set (e, EIO, "ends before its size");
}

static int
take_child (struct walk *w, const char *name, uint64_t ino,
            const struct fs_stat *st)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct image_file f = { w->fs, ino, st->size };
  struct initramfs_file file = { .name = name,
                                 .regular = S_ISREG (st->mode),
                                 .size = st->size,
                                 .read = read_image_file,
                                 .arg = &f };

  if (S_ISLNK (st->mode)) {
    if (fs_readlink (w->fs, ino, &target, w->err) == -1)
      return -1;
    file.target = buf_str (&target);
  }
  return content_take (w->content, &file, w->err);
}

static int walk_directory (struct walk *w, uint64_t dir);

/* The drivers are not asked again from inside their readdir. */
struct child {
  char *name;
  uint64_t ino;
};
DEFINE_VEC (child_vec, struct child)

static void
cleanup_children (struct child_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    free (v->items[i].name);
  free (v->items);
}

struct listing {
  struct child_vec children;
  size_t *entries; /* of the initramfs, counted as they are held */
  int code;
};

static int
take_dirent (void *arg, const char *name, size_t len, uint64_t ino,
             unsigned type unused_arg)
{
  struct listing *l = arg;
  struct child c = { strndup (name, len), ino };

  if (++*l->entries > INITRAMFS_MAX_ENTRIES)
    l->code = EFBIG;
  else if (!c.name || child_vec_push (&l->children, c) == -1)
    l->code = ENOMEM;
  if (l->code)
    free (c.name);
  return l->code;
}

static int
walk_child (struct walk *w, const struct child *c)
{
  size_t len = w->path.len;
  struct fs_stat st;
  int r;

  if (fs_stat (w->fs, c->ino, &st, w->err) == -1)
    return -1;
  buf_puts (&w->path, c->name);
  if (buf_check (&w->path, w->err) == -1)
    return -1;
  r = take_child (w, w->path.data, c->ino, &st);
  if (r == 0 && S_ISDIR (st.mode)) {
    buf_puts (&w->path, "/");
    r = walk_directory (w, c->ino);
  }
  if (r == -1)
    return -1;
  w->path.len = len;
  return 0;
}

static int
walk_directory (struct walk *w, uint64_t dir)
{
  __attribute__ ((
      cleanup (cleanup_children))) struct child_vec children = { 0 };
  struct listing l = { .entries = &w->content->out->entries };
  int r = fs_readdir (w->fs, dir, take_dirent, &l, w->err);

  children = l.children;
  if (r == -1)
    return -1;
  if (l.code)
    return err_set (w->err, l.code, "%s",
                    l.code == ENOMEM ? "out of memory" : "too many entries");
  if (++w->depth > MAX_DEPTH)
    return err_set (w->err, EFBIG, "directories deeper than %d", MAX_DEPTH);
  for (size_t i = 0; i < children.len; i++)
    if (walk_child (w, &children.items[i]) == -1)
      return err_in (w->err, "%s", children.items[i].name);
  w->depth--;
  return 0;
}

static void
cleanup_cache (struct cache **c)
{
  if (*c)
    cache_free (*c);
}

static void
cleanup_fs (struct fs **fs)
{
  fs_unmount (*fs);
}

static int
walk_image (struct content *c, const char *type, const void *data, size_t len,
            struct err *e)
{
  __attribute__ ((cleanup (cleanup_cache))) struct cache *cache =
      cache_new (CACHE);
  struct block_env env = { .dir_fd = -1, .cache = cache };
  CLEANUP_BLOCK struct block *b = NULL;
  __attribute__ ((cleanup (cleanup_fs))) struct fs *fs = NULL;
  struct walk w = { .content = c, .err = e };
  int r;

  if (!cache)
    return err_set (e, ENOMEM, "out of memory");
  if (block_mem_open (&env, data, len, &b, e) == -1 ||
      fs_mount (b, type, &fs, e) == -1)
    return -1;
  w.fs = fs;
  r = walk_directory (&w, fs->root);
  buf_free (&w.path);
  return r;
}

int
image_take (struct content *c, const char *name, const void *data, size_t len,
            struct err *e)
{
  const char *type = image_type (data, len);
  size_t before = c->out->entries;
  int r;

  if (type)
    r = walk_image (c, type, data, len, e);
  else
    r = err_set (e, ENOTSUP, "is no filesystem that is known");
  if (r == -1) {
    err_in (e, "%s", name);
    /* What is damaged is not absent. */
    if (err_is_absent (e))
      e->code = EIO;
    if (e->code != ENOTSUP)
      return -1;
    if (!c->out->hidden.code)
      c->out->hidden = *e;
    err_clear (e);
    return 0;
  }
  buf_printf (&c->out->layout, "%s: %s, %zu bytes, %zu entries\n", name, type,
              len, c->out->entries - before);
  return 0;
}
