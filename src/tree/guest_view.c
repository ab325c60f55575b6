/* xrayfs: the guest's files, under files/ and root/
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ids are made, not kept:
 *
 *   files/   1 0 | volume (14 bits)            | inode (48)
 *   root/    1 1 | depth (6) | mount (8)       | inode (48)
 *   odd      0 1 | index in tree->odd_nodes
 *
 * so that one file has one id in each view (hard links are one), a file seen
 * in both views is two nodes, and a walk of everything keeps nothing.  Depth
 * is that of a directory or of the directory of a link, 0 for other files:
 * with it the absolute target of a link is rewritten without knowing its
 * path.  Two kinds of nodes do not fit, and get numbers of their own: a link
 * whose relative target climbs in its middle ("a/../../b"), which nobody
 * writes and which cannot be judged by counting, since it needs to know its
 * directory; and directories, and links in them, that lie deeper than 6 bits
 * can tell.
 */
#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "tree/node.h"

#define TAG_SHIFT     62
#define TAG_FILES     UINT64_C (2)
#define TAG_ROOT      UINT64_C (3)
#define TAG_ODD       UINT64_C (1)
#define INO_MASK      ((UINT64_C (1) << FS_INO_BITS) - 1)
#define MAX_VOLUME    0x3fff
#define MAX_DEPTH     62   /* deeper nodes that need their depth are odd */
#define MAX_ODD_NODES 4096 /* searched one by one */

/* A guest's node, decoded. */
struct place {
  bool root_view;
  struct fs *fs;
  uint64_t ino;
  unsigned volume;       /* files/ */
  const char *name;      /* files/: of the volume, for messages */
  unsigned mount, depth; /* root/ */
  const struct vfs *vfs; /* root/ */
  uint64_t odd_dir; /* inode of an odd node's directory; 0: it is not odd */
  node_id id;
};

bool
guest_is_id (node_id id)
{
  return id >> TAG_SHIFT != 0;
}

static node_id
files_id (unsigned volume, uint64_t ino)
{
  return TAG_FILES << TAG_SHIFT | (uint64_t) volume << FS_INO_BITS |
         (ino & INO_MASK);
}

static node_id
root_id (unsigned depth, unsigned mount, uint64_t ino)
{
  return TAG_ROOT << TAG_SHIFT | (uint64_t) depth << (FS_INO_BITS + 8) |
         (uint64_t) mount << FS_INO_BITS | (ino & INO_MASK);
}

static int
decode_files (struct tree *t, struct place *p, struct err *e)
{
  struct volume *v;

  p->volume = (p->id >> FS_INO_BITS) & MAX_VOLUME;
  v = image_volume (t->image, p->volume, e);
  if (!v)
    return e->code == ENOENT ? err_set (e, ESTALE, "no such volume") : -1;
  p->name = volume_name (v);
  p->fs = volume_fs (v, e);
  return p->fs ? 0 : -1;
}

static int
decode_root (struct tree *t, struct place *p, struct err *e)
{
  const struct guest *g = image_guest (t->image, e);

  if (!g)
    return -1;
  if (!g->root || p->mount >= g->vfs.n_mounts)
    return err_set (e, ESTALE, "no such mount");
  p->root_view = true;
  p->vfs = &g->vfs;
  p->fs = g->vfs.mounts[p->mount].fs;
  return p->fs ? 0 : err_set (e, ESTALE, "no such mount");
}

static int
decode_odd (struct tree *t, struct place *p, struct err *e)
{
  uint64_t i = p->id & ~(TAG_ODD << TAG_SHIFT);
  struct odd_node node;

  pthread_mutex_lock (&t->lock);
  if (i >= t->odd_nodes.len) {
    pthread_mutex_unlock (&t->lock);
    return err_set (e, ESTALE, "no such node");
  }
  node = t->odd_nodes.items[i];
  pthread_mutex_unlock (&t->lock);
  p->mount = node.mount;
  p->depth = node.depth;
  p->ino = node.ino;
  p->odd_dir = node.dir;
  return decode_root (t, p, e);
}

static int
decode (struct tree *t, node_id id, struct place *ret, struct err *e)
{
  struct place p = { .id = id, .ino = id & INO_MASK };
  int r;

  if (id >> TAG_SHIFT == TAG_FILES)
    r = decode_files (t, &p, e);
  else if (id >> TAG_SHIFT == TAG_ROOT) {
    p.depth = (id >> (FS_INO_BITS + 8)) & 0x3f;
    p.mount = (id >> FS_INO_BITS) & 0xff;
    r = decode_root (t, &p, e);
  } else
    r = decode_odd (t, &p, e);
  if (r == 0)
    *ret = p;
  return r;
}

static int
in_guest (struct err *e, const struct place *p)
{
  return err_in (e, "%s", p->root_view ? "root" : p->name);
}

/* --- files/ and root/ themselves ------------------------------------- */

static bool
is_root_view (const struct node *n)
{
  return !n->parent->parent;
}

bool
guest_root_ready (const struct node *n)
{
  struct err e = { 0 };
  struct volume *v;

  if (is_root_view (n))
    return image_guest_ready (node_image (n));
  if (!image_volumes_ready (node_image (n)))
    return false;
  v = node_volume (n, &e);
  return v && volume_fs_ready (v);
}

int
guest_id_of (struct node *n, node_id *ret, struct err *e)
{
  const struct guest *g;
  struct volume *v;
  struct fs *fs;

  *ret = 0;
  if (is_root_view (n)) {
    g = image_guest (node_image (n), e);
    if (!g)
      return -1;
    if (g->root)
      *ret = root_id (0, 0, g->vfs.mounts[0].root);
    else if (!g->family.value)
      return err_set (e, EIO, "%s", g->family.reason);
    return 0;
  }
  v = node_volume (n, e);
  fs = v ? volume_fs (v, e) : NULL;
  if (fs)
    *ret = files_id (volume_index (v), fs->root);
  else if (v && e->code == ENOENT) /* nothing there: an empty directory */
    err_clear (e);
  else
    return -1;
  return 0;
}

static void
attr_of_stat (const struct fs_stat *st, node_id id, struct node_attr *ret)
{
  *ret = (struct node_attr){
    .id = id,
    .mode = st->mode,
    .nlink = st->nlink,
    .uid = st->uid,
    .gid = st->gid,
    .size = st->size,
    .blocks = st->blocks,
    .blksize = st->blksize,
    .rdev = st->rdev,
    .atime = st->atime,
    .mtime = st->mtime,
    .ctime = st->ctime,
  };
}

/* files/ has the attributes of the root directory in it, so that a copy of
 * it is complete; what cannot be mounted looks as other directories do. */
int
guest_root_attr (struct node *n, struct node_attr *ret, struct err *e)
{
  struct node_attr a;
  node_id below;

  if (guest_id_of (n, &below, e) == -1) {
    if (err_is_transient (e))
      return -1;
    image_problem (node_image (n), n->path, e->msg);
    err_clear (e);
    return 0;
  }
  if (!below)
    return 0;
  if (guest_getattr (n->tree, below, &a, e) == -1) {
    err_clear (e); /* reading the directory will say it */
    return 0;
  }
  a.id = n->id;
  *ret = a;
  return 0;
}

/* --- ids below ------------------------------------------------------- */

/* Does TARGET stay below the root when taken from a directory DEPTH deep,
 * whatever the links on its way lead to?  Climbing only at its start is
 * certain. */
enum target { TARGET_ABSOLUTE, TARGET_SAFE, TARGET_CLIMBS_OUT, TARGET_ODD };

static enum target
classify (const char *target, unsigned depth)
{
  unsigned up = 0;
  size_t len;
  bool down = false;

  if (*target == '/')
    return TARGET_ABSOLUTE;
  for (const char *p = target; *p; p += len + (p[len] == '/')) {
    len = strcspn (p, "/");
    if (len == 2 && p[0] == '.' && p[1] == '.') {
      if (down)
        return TARGET_ODD;
      up++;
    } else if (len && !(len == 1 && p[0] == '.'))
      down = true;
  }
  return up > depth ? TARGET_CLIMBS_OUT : TARGET_SAFE;
}

/* An absolute target is odd too where it climbs in its middle. */
static bool
is_odd (const char *target, unsigned depth)
{
  enum target t = classify (target, depth);

  if (t == TARGET_ABSOLUTE)
    return false; /* resolved from the root, which needs no directory */
  return t == TARGET_ODD;
}

static int
odd_id (struct tree *t, const struct odd_node *node, node_id *ret,
        struct err *e)
{
  struct odd_node_vec *v = &t->odd_nodes;
  LOCK_SCOPE (&t->lock);

  for (size_t i = 0; i < v->len; i++)
    if (v->items[i].mount == node->mount && v->items[i].dir == node->dir &&
        v->items[i].ino == node->ino && v->items[i].depth == node->depth) {
      *ret = TAG_ODD << TAG_SHIFT | i;
      return 0;
    }
  if (v->len >= MAX_ODD_NODES)
    return err_set (e, ENOSPC,
                    "more than %d links that climb, or nodes so deep",
                    MAX_ODD_NODES);
  if (odd_node_vec_push (v, *node) == -1)
    return err_set (e, ENOMEM, "out of memory");
  *ret = TAG_ODD << TAG_SHIFT | (v->len - 1);
  return 0;
}

/* Must the id of CHILD, a link in DIR, remember DIR? */
static bool
is_odd_link (const struct place *dir, uint64_t child)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct err e = { 0 };

  /* What cannot be read will be said by readlink. */
  return fs_readlink (dir->fs, child, &target, &e) == 0 &&
         is_odd (buf_str (&target), dir->depth);
}

/* The id of INO, of TYPE (DT_*), in directory DIR. */
static int
child_id (struct tree *t, const struct place *dir, struct vfs_node child,
          unsigned type, node_id *ret, struct err *e)
{
  unsigned depth = type == DT_DIR   ? dir->depth + 1
                   : type == DT_LNK ? dir->depth
                                    : 0;
  struct odd_node odd = { child.mount, depth, dir->ino, child.ino };

  if (!dir->root_view) {
    *ret = files_id (dir->volume, child.ino);
    return 0;
  }
  if (depth > MAX_DEPTH || (type == DT_LNK && is_odd_link (dir, child.ino)))
    return odd_id (t, &odd, ret, e);
  *ret = root_id (depth, child.mount, child.ino);
  return 0;
}

static int
lookup (const struct place *dir, const char *name, size_t len,
        struct vfs_node *ret, struct err *e)
{
  if (dir->root_view)
    return vfs_lookup (dir->vfs, (struct vfs_node){ dir->mount, dir->ino },
                       name, len, ret, e);
  ret->mount = 0;
  return fs_lookup (dir->fs, dir->ino, name, len, &ret->ino, e);
}

int
guest_lookup (struct tree *t, node_id dir, const char *name, size_t len,
              struct node_attr *ret, struct err *e)
{
  struct vfs_node child;
  struct fs_stat st;
  struct place p;
  struct fs *fs;
  node_id id;

  if (decode (t, dir, &p, e) == -1)
    return -1;
  if (lookup (&p, name, len, &child, e) == -1)
    return in_guest (e, &p);
  fs = p.root_view ? vfs_fs (p.vfs, child) : p.fs;
  if (fs_stat (fs, child.ino, &st, e) == -1 ||
      child_id (t, &p, child, (st.mode & S_IFMT) >> 12, &id, e) == -1)
    return in_guest (e, &p);
  attr_of_stat (&st, id, ret);
  return 0;
}

int
guest_getattr (struct tree *t, node_id id, struct node_attr *ret,
               struct err *e)
{
  struct fs_stat st;
  struct place p;

  if (decode (t, id, &p, e) == -1)
    return -1;
  if (fs_stat (p.fs, p.ino, &st, e) == -1)
    return in_guest (e, &p);
  attr_of_stat (&st, id, ret);
  return 0;
}

struct listing {
  struct tree *tree;
  const struct place *dir;
  tree_dirent_fn fn;
  void *arg;
  struct err *err;
};

static int
emit (void *arg, const char *name, size_t len, uint64_t ino, unsigned type)
{
  struct listing *l = arg;
  CLEANUP_BUF struct buf buf = { 0 };
  struct vfs_node child = { l->dir->mount, ino }, over;
  struct fs_stat st;
  const char *safe;
  node_id id;

  if (l->dir->root_view) {
    /* What something is mounted on is the mount's root; a blind one has
     * none, and its lookup will say so. */
    over = vfs_cross (l->dir->vfs, child);
    if (vfs_fs (l->dir->vfs, over))
      child = over;
    if (type == DT_UNKNOWN &&
        fs_stat (vfs_fs (l->dir->vfs, child), child.ino, &st, l->err) == 0)
      type = (st.mode & S_IFMT) >> 12;
    err_clear (l->err);
  }
  if (child_id (l->tree, l->dir, child, type, &id, l->err) == -1) {
    if (l->err->code != ENOSPC)
      return 1;
    err_clear (l->err); /* it is there; its lookup will say it */
    id = TAG_ODD << TAG_SHIFT | INO_MASK;
  }
  safe = fs_safe_name (name, &len, &buf);
  return l->fn (l->arg, safe, len, id, type);
}

/* Entries are gathered first: emit looks into the filesystem, whose lock the
 * driver's readdir holds. */
struct raw_entry {
  uint64_t ino;
  uint32_t len;
  unsigned type;
};

static int
gather (void *arg, const char *name, size_t len, uint64_t ino, unsigned type)
{
  struct raw_entry r = { ino, (uint32_t) len, type };
  struct buf *b = arg;

  buf_add (b, &r, sizeof r);
  buf_add (b, name, len);
  return b->failed;
}

static int
emit_all (struct listing *l, const struct buf *entries)
{
  struct raw_entry r;

  for (size_t off = 0; off < entries->len; off += sizeof r + r.len) {
    memcpy (&r, entries->data + off, sizeof r);
    if (emit (l, entries->data + off + sizeof r, r.len, r.ino, r.type))
      break;
  }
  return l->err->code ? -1 : 0;
}

int
guest_readdir (struct tree *t, node_id dir, tree_dirent_fn fn, void *arg,
               struct err *e)
{
  struct place p;
  struct listing l = { t, &p, fn, arg, e };
  CLEANUP_BUF struct buf entries = { 0 };

  if (decode (t, dir, &p, e) == -1)
    return -1;
  if (fs_readdir (p.fs, p.ino, gather, &entries, e) == -1 ||
      buf_check (&entries, e) == -1 || emit_all (&l, &entries) == -1)
    return in_guest (e, &p);
  return 0;
}

/* --- links ----------------------------------------------------------- */

static void
climb (struct buf *ret, unsigned depth, const char *path)
{
  for (unsigned i = 0; i < depth; i++)
    buf_puts (ret, "../");
  path += strspn (path, "/");
  buf_puts (ret, *path ? path : ".");
}

/* The path of the directory of an odd link: looked for from the root, since
 * filesystems do not tell a directory's parent.  It is as deep as the link's
 * id says, which bounds the search; such a link is read once in a lifetime.
 */
#define MAX_SEARCHED 1000000

struct search {
  struct fs *fs;
  uint64_t ino; /* of the directory looked for */
  unsigned searched;
  struct err *err;
};

struct subdirs {
  struct buf entries; /* inode, then the name with its NUL */
  struct search *search;
};

static int
take_subdir (void *arg, const char *name, size_t len, uint64_t ino,
             unsigned type)
{
  struct subdirs *d = arg;

  d->search->searched++;
  if (type != DT_DIR && type != DT_UNKNOWN)
    return 0;
  buf_add (&d->entries, &ino, sizeof ino);
  buf_add (&d->entries, name, len);
  buf_add (&d->entries, "", 1);
  return d->entries.failed;
}

static int search_below (struct search *s, uint64_t dir, unsigned depth,
                         struct buf *path);

static int
search_subdirs (struct search *s, const struct buf *entries, unsigned depth,
                struct buf *path)
{
  size_t len = path->len;
  uint64_t ino;
  int r = 0;

  for (size_t off = 0; r == 0 && off < entries->len;) {
    const char *name = entries->data + off + sizeof ino;
    memcpy (&ino, entries->data + off, sizeof ino);
    off += sizeof ino + strlen (name) + 1;
    buf_printf (path, "/%s", name);
    if (buf_check (path, s->err) == -1)
      return -1;
    r = depth > 1 ? search_below (s, ino, depth - 1, path) : ino == s->ino;
    if (r != 1) {
      path->len = len;
      path->data[len] = '\0';
    }
  }
  return r;
}

/* Is the directory DEPTH below DIR?  1: PATH leads to it; 0; -1. */
static int
search_below (struct search *s, uint64_t dir, unsigned depth,
              struct buf *path)
{
  CLEANUP_BUF struct buf entries = { 0 };
  struct subdirs d = { .search = s };
  struct fs_stat st;
  int r;

  if (depth == 0)
    return dir == s->ino;
  if (s->searched > MAX_SEARCHED)
    return err_set (s->err, ELOOP,
                    "the link climbs, and its directory was"
                    " not found among %d names",
                    MAX_SEARCHED);
  if (fs_stat (s->fs, dir, &st, s->err) == -1)
    return -1;
  if (!S_ISDIR (st.mode))
    return 0;
  r = fs_readdir (s->fs, dir, take_subdir, &d, s->err);
  entries = d.entries;
  if (r == -1 || buf_check (&entries, s->err) == -1)
    return -1;
  return search_subdirs (s, &entries, depth, path);
}

/* Adds the path of directory INO, DEPTH below the root, of mount MOUNT. */
static int
path_of_dir (const struct vfs *v, unsigned mount, uint64_t ino,
             unsigned depth, struct buf *ret, struct err *e)
{
  const struct vfs_mount *m = &v->mounts[mount];
  struct search s = { m->fs, ino, 0, e };
  int r;

  if (depth < m->depth)
    return err_set (e, EIO, "a directory lies above its filesystem");
  if (depth > PATH_MAX / 2) /* no path leads there */
    return err_set (e, ENAMETOOLONG, "the link lies %u directories deep",
                    depth);
  buf_puts (ret, m->path ? m->path : "");
  if (buf_check (ret, e) == -1)
    return -1;
  r = search_below (&s, m->root, depth - m->depth, ret);
  if (r == 0)
    return err_set (e, EIO, "the directory of the link was not found");
  return r == 1 ? 0 : -1;
}

static int
rewrite (const struct place *p, const char *target, struct buf *ret,
         struct err *e)
{
  CLEANUP_BUF struct buf dir = { 0 }, to = { 0 };
  bool climbs;

  switch (classify (target, p->depth)) {
  case TARGET_SAFE:
    buf_puts (ret, target);
    return buf_check (ret, e);
  case TARGET_ABSOLUTE:
    climbs = strstr (target, "..") != NULL;
    if (!climbs) {
      climb (ret, p->depth, target);
      return buf_check (ret, e);
    }
    buf_puts (&dir, "/");
    break;
  case TARGET_CLIMBS_OUT:
    /* It climbs at its start only, beyond the root, which stays the root:
     * the same as the rest of it from there. */
    while (!strncmp (target, "../", 3) || !strncmp (target, "./", 2) ||
           *target == '/')
      target += *target == '/' ? 1 : target[1] == '.' ? 3 : 2;
    climb (ret, p->depth, strcmp (target, "..") ? target : "");
    return buf_check (ret, e);
  case TARGET_ODD:
    if (path_of_dir (p->vfs, p->mount, p->odd_dir, p->depth, &dir, e) == -1)
      return -1;
    if (dir.len == 0)
      buf_puts (&dir, "/");
    break;
  }
  if (vfs_resolve (p->vfs, buf_str (&dir), target, &to, e) == -1)
    return -1;
  climb (ret, p->depth, buf_str (&to));
  return buf_check (ret, e);
}

int
guest_readlink (struct tree *t, node_id id, struct buf *ret, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct place p;

  if (decode (t, id, &p, e) == -1)
    return -1;
  if (fs_readlink (p.fs, p.ino, &target, e) == -1)
    return in_guest (e, &p);
  if (!p.root_view) {
    buf_add (ret, buf_str (&target), target.len);
    return buf_check (ret, e);
  }
  return rewrite (&p, buf_str (&target), ret, e) == -1 ? in_guest (e, &p) : 0;
}

/* --- data ------------------------------------------------------------ */

int
guest_xattrs (struct tree *t, node_id id, tree_xattr_fn fn, void *arg,
              struct err *e)
{
  struct place p;

  if (decode (t, id, &p, e) == -1)
    return -1;
  return fs_xattrs (p.fs, p.ino, fn, arg, e) == -1 ? in_guest (e, &p) : 0;
}

static int
open_file (struct tree *t, node_id id, struct place *p, struct fs_stat *st,
           struct err *e)
{
  if (decode (t, id, p, e) == -1)
    return -1;
  if (fs_stat (p->fs, p->ino, st, e) == -1)
    return in_guest (e, p);
  if (!S_ISREG (st->mode))
    return err_set (e, EINVAL, "not a regular file");
  return 0;
}

int
guest_pread (struct tree *t, node_id id, void *buf, size_t len, uint64_t off,
             size_t *ret, struct err *e)
{
  struct fs_stat st;
  struct place p;

  if (open_file (t, id, &p, &st, e) == -1)
    return -1;
  return fs_pread (p.fs, p.ino, st.size, buf, len, off, ret, e) == -1
             ? in_guest (e, &p)
             : 0;
}

int
guest_map (struct tree *t, node_id id, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  struct extent x, below;
  struct fs_stat st;
  struct place p;

  if (open_file (t, id, &p, &st, e) == -1)
    return -1;
  if (fs_map (p.fs, p.ino, st.size, off, len, &x, e) == -1)
    return in_guest (e, &p);
  if (x.kind != EXTENT_DATA) {
    *ret = x;
    return 0;
  }
  if (block_resolve (x.lower, x.offset, x.length, &below, e) == -1)
    return in_guest (e, &p);
  *ret = below;
  return 0;
}
