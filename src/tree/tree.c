/* xrayfs: the tree, as its fronts see it
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tree/node.h"

static const struct node_def top_def = { .name = "",
                                         .type = NODE_DIR,
                                         .children = tree_top };

static size_t
count_policies (void)
{
  size_t n = 0;

  while (policies[n])
    n++;
  return n;
}

int
tree_new (struct image *img, struct tree **ret, struct err *e)
{
  struct tree *t = calloc (1, sizeof *t);

  if (!t)
    return err_set (e, ENOMEM, "out of memory");
  t->image = img;
  pthread_mutex_init (&t->lock, NULL);
  t->n_policies = count_policies ();
  t->policy_cells = calloc (t->n_policies, sizeof *t->policy_cells);
  if (!t->policy_cells) {
    t->n_policies = 0;
    tree_free (t);
    return err_set (e, ENOMEM, "out of memory");
  }
  for (size_t i = 0; i < t->n_policies; i++) {
    lazy_init (&t->policy_cells[i].cell, "import", image_running (img));
    t->policy_cells[i].tree = t;
    t->policy_cells[i].policy = policies[i];
  }
  if (!node_new (t, NULL, "", &top_def, 0, e)) {
    tree_free (t);
    return -1;
  }
  *ret = t;
  return 0;
}

void
tree_free (struct tree *t)
{
  if (!t)
    return;
  for (size_t i = 0; i < t->nodes.len; i++)
    node_free (t->nodes.items[i]);
  free (t->nodes.items);
  for (size_t i = 0; i < t->n_policies; i++) {
    policy_result_free (&t->policy_cells[i].result);
    lazy_destroy (&t->policy_cells[i].cell);
  }
  free (t->policy_cells);
  free (t->odd_nodes.items);
  pthread_mutex_destroy (&t->lock);
  free (t);
}

struct image *
tree_image (struct tree *t)
{
  return t->image;
}

uint64_t
tree_disk_size (struct tree *t)
{
  return image_disk (t->image)->size;
}

/* The node of an id that is not a guest's; NULL and ESTALE. */
static struct node *
node_of (struct tree *t, node_id id, struct err *e)
{
  LOCK_SCOPE (&t->lock);
  if (id >= 1 && id <= t->nodes.len)
    return t->nodes.items[id - 1];
  err_set (e, ESTALE, "no such node");
  return NULL;
}

bool
tree_is_finding (struct tree *t, node_id id)
{
  struct err e = { 0 };
  struct node *n = guest_is_id (id) ? NULL : node_of (t, id, &e);

  return n && n->def->type == NODE_FINDING;
}

bool
tree_ready (struct tree *t, node_id id)
{
  struct err e = { 0 };
  struct node *n = guest_is_id (id) ? NULL : node_of (t, id, &e);

  if (!n)
    return true;
  switch (n->def->type) {
  case NODE_FINDING:
    return n->def->is_volatile || lazy_ready (&n->cell);
  case NODE_DIR:
    return lazy_ready (&n->expanded) || (!n->def->list && !n->twin);
  case NODE_GUEST:
    return guest_root_ready (n);
  default:
    return true;
  }
}

static struct block *
node_bytes (const struct node *n, struct err *e)
{
  struct volume *v;

  if (n->def->type != NODE_BYTES) {
    err_set (e, EINVAL, "%s has no raw bytes", n->path);
    return NULL;
  }
  if (!n->parent->parent)
    return image_disk (node_image (n));
  v = node_volume (n, e);
  return v ? volume_block (v) : NULL;
}

static mode_t
own_mode (const struct node *n)
{
  switch (n->def->type) {
  case NODE_DIR:
  case NODE_GUEST:
    return S_IFDIR | 0555;
  case NODE_LINK:
    return S_IFLNK | 0777;
  default:
    return S_IFREG | 0444;
  }
}

static int
own_attr (struct node *n, struct node_attr *ret, struct err *e)
{
  struct node_attr a = { .id = n->id,
                         .mode = own_mode (n),
                         .nlink = 1,
                         .blksize = 4096,
                         .own = true };
  struct block *b;

  if (S_ISDIR (a.mode))
    a.nlink = 2;
  if (n->def->type == NODE_LINK)
    a.size = strlen (n->target);
  if (n->def->type == NODE_FINDING) {
    a.finding = true;
    if (!n->def->is_volatile && lazy_ready (&n->cell))
      a.size = n->value.text.len;
  }
  if (n->def->type == NODE_BYTES) {
    if (!(b = node_bytes (n, e)))
      return -1;
    a.size = b->size;
    a.blocks = a.size / 512;
  }
  if (n->def->type == NODE_GUEST && !guest_root_ready (n))
    a.unsettled = true;
  else if (n->def->type == NODE_GUEST && guest_root_attr (n, &a, e) == -1)
    return -1;
  *ret = a;
  return 0;
}

int
tree_peek (struct tree *t, node_id id, struct node_attr *ret, struct err *e)
{
  struct node *n;

  if (guest_is_id (id))
    return guest_getattr (t, id, ret, e);
  n = node_of (t, id, e);
  return n ? own_attr (n, ret, e) : -1;
}

int
tree_getattr (struct tree *t, node_id id, struct node_attr *ret,
              struct err *e)
{
  struct node_attr a;
  struct node *n;

  if (tree_peek (t, id, &a, e) == -1)
    return -1;
  if (a.unsettled) {
    n = node_of (t, id, e);
    a.unsettled = false;
    if (!n || guest_root_attr (n, &a, e) == -1)
      return -1;
  }
  *ret = a;
  return 0;
}

int
tree_lookup (struct tree *t, node_id dir, const char *name, size_t len,
             struct node_attr *ret, struct err *e)
{
  struct node *n, *c;
  node_id below;

  if (guest_is_id (dir))
    return guest_lookup (t, dir, name, len, ret, e);
  if (!(n = node_of (t, dir, e)))
    return -1;
  if (n->def->type == NODE_GUEST) {
    if (guest_id_of (n, &below, e) == -1)
      return -1;
    if (!below)
      return err_set (e, ENOENT, "'%.*s' is not there", (int) len, name);
    return guest_lookup (t, below, name, len, ret, e);
  }
  if (n->def->type != NODE_DIR)
    return err_set (e, ENOTDIR, "%s is not a directory", n->path);
  if (node_expand (n, e) == -1) {
    /* What was made before that is there: the fixed rows. */
    c = err_is_transient (e) ? NULL : node_child (n, name, len);
    if (!c)
      return -1;
    err_clear (e);
    return own_attr (c, ret, e);
  }
  c = node_child (n, name, len);
  if (!c)
    return err_set (e, ENOENT, "'%.*s' is not there", (int) len, name);
  return own_attr (c, ret, e);
}

static unsigned
dirent_type (const struct node *n)
{
  return (own_mode (n) & S_IFMT) >> 12; /* as DT_* is defined */
}

int
tree_readdir (struct tree *t, node_id dir, tree_dirent_fn fn, void *arg,
              struct err *e)
{
  struct node *n;
  node_id below;

  if (guest_is_id (dir))
    return guest_readdir (t, dir, fn, arg, e);
  if (!(n = node_of (t, dir, e)))
    return -1;
  if (n->def->type == NODE_GUEST) {
    if (guest_id_of (n, &below, e) == -1)
      return -1;
    return below ? guest_readdir (t, below, fn, arg, e) : 0;
  }
  if (n->def->type != NODE_DIR)
    return err_set (e, ENOTDIR, "%s is not a directory", n->path);
  if (node_expand (n, e) == -1)
    return -1;
  for (size_t i = 0; i < n->children.len; i++) {
    struct node *c = n->children.items[i];
    if (fn (arg, c->name, strlen (c->name), c->id, dirent_type (c)))
      break;
  }
  return 0;
}

int
tree_readlink (struct tree *t, node_id id, struct buf *ret, struct err *e)
{
  struct node *n;

  if (guest_is_id (id))
    return guest_readlink (t, id, ret, e);
  if (!(n = node_of (t, id, e)))
    return -1;
  if (n->def->type != NODE_LINK)
    return err_set (e, EINVAL, "%s is not a symbolic link", n->path);
  buf_puts (ret, n->target);
  return buf_check (ret, e);
}

int
tree_xattrs (struct tree *t, node_id id, tree_xattr_fn fn, void *arg,
             struct err *e)
{
  struct node *n;
  node_id below;

  if (guest_is_id (id))
    return guest_xattrs (t, id, fn, arg, e);
  if (!(n = node_of (t, id, e)))
    return -1;
  if (n->def->type == NODE_GUEST && guest_root_ready (n) &&
      guest_id_of (n, &below, e) == 0 && below)
    return guest_xattrs (t, below, fn, arg, e);
  err_clear (e);
  /* Asking for the attribute must not evaluate: indexers ask for all. */
  if (n->def->type == NODE_FINDING && !n->def->is_volatile &&
      lazy_ready (&n->cell) && n->value.reason)
    fn (arg, "user.xrayfs.reason", n->value.reason, strlen (n->value.reason));
  return 0;
}

int
tree_read_finding (struct tree *t, node_id id, struct buf *ret, struct err *e)
{
  struct node *n = guest_is_id (id) ? NULL : node_of (t, id, e);
  struct finding now = { 0 };
  const struct finding *f = &now;

  if (!n || n->def->type != NODE_FINDING)
    return err_set (e, EINVAL, "not a finding");
  if (n->def->is_volatile) {
    if (n->def->show (n, &now, e) == -1) {
      finding_free (&now);
      return -1;
    }
  } else if (!(f = node_evaluate (n, e)))
    return -1;
  buf_add (ret, buf_str (&f->text), f->text.len);
  finding_free (&now);
  return buf_check (ret, e);
}

/* At the end of the disk a read is short, as on a disk. */
static int
read_block (struct block *b, void *buf, size_t len, uint64_t off, size_t *ret,
            struct err *e)
{
  if (off >= b->size) {
    *ret = 0;
    return 0;
  }
  len = MIN (len, b->size - off);
  if (block_pread (b, buf, len, off, e) == -1)
    return -1;
  *ret = len;
  return 0;
}

int
tree_pread (struct tree *t, node_id id, void *buf, size_t len, uint64_t off,
            size_t *ret, struct err *e)
{
  struct block *b;
  struct node *n;

  if (guest_is_id (id))
    return guest_pread (t, id, buf, len, off, ret, e);
  if (!(n = node_of (t, id, e)) || !(b = node_bytes (n, e)))
    return -1;
  if (read_block (b, buf, len, off, ret, e) == -1)
    return err_in (e, "%s", n->path);
  return 0;
}

int
tree_map (struct tree *t, node_id id, uint64_t off, uint64_t len,
          struct extent *ret, struct err *e)
{
  struct block *b;
  struct node *n;

  if (guest_is_id (id))
    return guest_map (t, id, off, len, ret, e);
  if (!(n = node_of (t, id, e)) || !(b = node_bytes (n, e)))
    return -1;
  if (block_resolve (b, off, len, ret, e) == -1)
    return err_in (e, "%s", n->path);
  return 0;
}

bool
tree_is_exported (struct tree *t, node_id id)
{
  struct err e = { 0 };
  struct node *n = guest_is_id (id) ? NULL : node_of (t, id, &e);

  return n && node_is_wanted (n);
}

static int
stream_pread (void *self, uint64_t id, void *buf, size_t len, uint64_t off,
              size_t *ret, struct err *e)
{
  return tree_pread (self, id, buf, len, off, ret, e);
}

static int
stream_map (void *self, uint64_t id, uint64_t off, uint64_t len,
            struct extent *ret, struct err *e)
{
  return tree_map (self, id, off, len, ret, e);
}

struct stream_source
tree_stream (struct tree *t, node_id id)
{
  return (struct stream_source){
    .read = stream_pread, .map = stream_map, .self = t, .id = id
  };
}

void
tree_path (struct tree *t, node_id id, struct buf *ret)
{
  struct err e = { 0 };
  struct node *n = guest_is_id (id) ? NULL : node_of (t, id, &e);

  buf_puts (ret, n ? n->path : "a file of the guest");
}

/* --- paths ----------------------------------------------------------- */

static int
walk (struct tree *t, node_id from, const char *path, unsigned links,
      struct node_attr *ret, struct err *e)
{
  struct node_attr a;
  size_t len;

  if (tree_getattr (t, from, &a, e) == -1)
    return -1;
  for (path += strspn (path, "/"); *path;
       path += len, path += strspn (path, "/")) {
    node_id dir = a.id;
    len = strcspn (path, "/");
    if (len == 1 && path[0] == '.')
      continue;
    if (tree_lookup (t, dir, path, len, &a, e) == -1)
      return -1;
    if (a.own && S_ISLNK (a.mode)) {
      CLEANUP_BUF struct buf target = { 0 };
      if (links == 0)
        return err_set (e, ELOOP, "too many links");
      if (tree_readlink (t, a.id, &target, e) == -1 ||
          walk (t, dir, buf_str (&target), links - 1, &a, e) == -1)
        return -1;
    }
  }
  *ret = a;
  return 0;
}

int
tree_walk (struct tree *t, const char *path, struct node_attr *ret,
           struct err *e)
{
  return walk (t, NODE_ROOT, path, 8, ret, e);
}

struct node *
tree_node (struct tree *t, const char *path, struct err *e)
{
  struct node_attr a;

  if (tree_walk (t, path, &a, e) == -1)
    return NULL;
  return node_of (t, a.id, e);
}
