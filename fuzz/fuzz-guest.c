/* xrayfs: fuzz target: what a guest's files say of its start and its network
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a guest: its kernel's command line, its init system, and then
 * paths and contents, all ended by NUL.  A path that ends with '@' is a
 * symbolic link.  The files may be executed.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/network_config.h"
#include "inspect/startup.h"

#define MAX_NODES 400

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* --- a filesystem of what the input lists ----------------------------- */

/* A node's inode is its place, from 1. */
struct tree {
  struct node {
    size_t parent;
    const char *name;
    size_t name_len;
    const char *content; /* NULL: a directory */
    bool link;
  } nodes[MAX_NODES];
  size_t n;
};

static const struct node *
node_of (struct fs *fs, uint64_t ino)
{
  const struct tree *t = fs->priv;

  if (!ino || ino > t->n)
    abort ();
  return &t->nodes[ino - 1];
}

static size_t
find (const struct tree *t, size_t dir, const char *name, size_t len)
{
  for (size_t i = 1; i < t->n; i++)
    if (t->nodes[i].parent == dir && t->nodes[i].name_len == len &&
        !memcmp (t->nodes[i].name, name, len))
      return i + 1;
  return 0;
}

static int
tree_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
             uint64_t *ret, struct err *e)
{
  if (node_of (fs, dir)->content)
    return err_set (e, ENOTDIR, "not a directory");
  *ret = find (fs->priv, dir, name, len);
  return *ret ? 0 : err_set (e, ENOENT, "not there");
}

static int
tree_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret,
           struct err *e unused_arg)
{
  const struct node *n = node_of (fs, ino);

  *ret = (struct fs_stat){ .mode = n->link      ? S_IFLNK | 0777
                                   : n->content ? S_IFREG | 0755
                                                : S_IFDIR | 0755,
                           .nlink = 1,
                           .size = n->content ? strlen (n->content) : 0 };
  return 0;
}

static int
tree_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
              struct err *e)
{
  const struct tree *t = fs->priv;

  if (node_of (fs, dir)->content)
    return err_set (e, ENOTDIR, "not a directory");
  for (size_t i = 1; i < t->n; i++)
    if (t->nodes[i].parent == dir &&
        fn (arg, t->nodes[i].name, t->nodes[i].name_len, i + 1, 0))
      break;
  return 0;
}

static int
tree_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  buf_puts (ret, node_of (fs, ino)->content);
  return buf_check (ret, e);
}

static int
tree_map (struct fs *fs unused_arg, uint64_t ino unused_arg,
          uint64_t off unused_arg, uint64_t len, struct extent *ret,
          struct err *e unused_arg)
{
  *ret = (struct extent){ .kind = EXTENT_COMPRESSED, .length = len };
  return 0;
}

static int
tree_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
            struct err *e unused_arg)
{
  memcpy (buf, node_of (fs, ino)->content + off, len);
  return 0;
}

static const struct fs_ops tree_ops = { .name = "tree",
                                        .lookup = tree_lookup,
                                        .stat = tree_stat,
                                        .readdir = tree_readdir,
                                        .readlink = tree_readlink,
                                        .map = tree_map,
                                        .pread = tree_pread };

/* PATH with the directories above it. */
static void
add_path (struct tree *t, const char *path, const char *content)
{
  size_t dir = 1, len, at;

  for (path += strspn (path, "/"); *path; path += strspn (path, "/")) {
    struct node n = { .parent = dir, .name = path };
    len = strcspn (path, "/");
    if (t->nodes[dir - 1].content || len > 255 || t->n == MAX_NODES)
      return;
    if (!path[len]) {
      n.content = content;
      n.link = path[len - 1] == '@';
    }
    n.name_len = len - n.link;
    path += len;
    if ((at = find (t, dir, n.name, n.name_len)) == 0 && n.name_len) {
      t->nodes[t->n++] = n;
      at = t->n;
    }
    if (!at)
      return;
    dir = at;
  }
}

static const char *
next_text (const char **p, const char *end)
{
  const char *text = *p;

  *p += strlen (text) + 1;
  if (*p > end)
    *p = end;
  return text;
}

/* --- the questions ---------------------------------------------------- */

static void
ask (const struct vfs *v, const struct boot *b, const struct os *os)
{
  struct cloud_init c = { 0 };
  struct network n = { 0 };
  struct identify id;
  struct err e = { 0 };
  char *text = NULL;

  if (fact_set (&c.version, &e, "23.1") == -1)
    abort ();
  if (cloud_init_identify (v, b->cmdline.value, os, &id, &e) == 0)
    (void) !(cloud_init_decide_datasources (v, b, &id, &c, &e) == -1 ||
             cloud_init_decide_enabled (v, b, os, &id, &c, &e) == -1);
  cloud_init_identify_free (&id);
  err_clear (&e);
  (void) !forced_import_decide (v, os->init.value, &c.forced_import, &e);
  err_clear (&e);
  (void) !startup_service (v, os->init.value, "ssh", &text, &e);
  free (text);
  text = NULL;
  err_clear (&e);
  (void) !startup_conditions (v, "ssh.service", &text, &e);
  free (text);
  err_clear (&e);
  (void) !network_decide (v, b, os, &c, &n, &e);
  network_free (&n);
  err_clear (&e);
  if (fact_set (&c.would_run, &e, "yes") == 0)
    (void) !network_decide (v, b, os, &c, &n, &e);
  network_free (&n);
  cloud_init_free (&c);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static struct tree t;
  struct fs fs = { .ops = &tree_ops, .root = 1, .default_root = 1 };
  struct boot b = { 0 };
  struct os os = { 0 };
  struct err e = { 0 };
  struct vfs v;
  CLEANUP_FREE char *copy = malloc (size + 1);
  const char *p = copy, *end = copy + size, *path;

  if (!copy)
    return 0;
  memcpy (copy, data, size);
  copy[size] = '\0';
  t = (struct tree){ .n = 1 };
  fs.priv = &t;
  pthread_mutex_init (&fs.lock, NULL);
  if (fact_set (&b.cmdline, &e, "%s", next_text (&p, end)) == -1 ||
      fact_set (&os.init, &e, "%s", next_text (&p, end)) == -1 ||
      fact_set (&os.arch, &e, "x86_64") == -1)
    abort ();
  while (p < end) {
    path = next_text (&p, end);
    add_path (&t, path, next_text (&p, end));
  }
  vfs_init (&v, &fs);
  ask (&v, &b, &os);
  vfs_free (&v);
  fact_free (&b.cmdline);
  fact_free (&os.init);
  fact_free (&os.arch);
  pthread_mutex_destroy (&fs.lock);
  return 0;
}
