/* xrayfs: the mechanics of the node table
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tree/node.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

/* --- nodes ----------------------------------------------------------- */

struct image *
node_image (const struct node *n)
{
  return n->tree->image;
}

static void
finding_free (struct finding *f)
{
  buf_free (&f->text);
  buf_free (&f->evidence);
  free (f->reason);
  *f = (struct finding){ 0 };
}

static void
node_free (struct node *n)
{
  if (!n)
    return;
  finding_free (&n->value);
  lazy_destroy (&n->cell);
  lazy_destroy (&n->expanded);
  free (n->children.items);
  free (n->name);
  free (n->path);
  free (n);
}

/* xrayfs's own names made from an image: no '/', no control characters,
 * never "." or "..". */
static char *
clean_name (const char *name)
{
  char *copy = strdup (*name ? name : "_");

  if (!copy)
    return NULL;
  for (char *p = copy; *p; p++)
    if (*p == '/' || (unsigned char) *p < 0x20 || *p == 0x7f)
      *p = '_';
  if (!strcmp (copy, ".") || !strcmp (copy, ".."))
    memset (copy, '_', strlen (copy));
  return copy;
}

static int
name_node (struct node *n, const char *name)
{
  const struct node *p = n->parent;

  n->name = clean_name (name);
  if (!n->name)
    return -1;
  if (!p || !p->parent)
    return (n->path = strdup (p ? n->name : "")) ? 0 : -1;
  if (asprintf (&n->path, "%s/%s", p->path, n->name) == -1) {
    n->path = NULL;
    return -1;
  }
  return 0;
}

static struct node *
node_new (struct tree *t, struct node *parent, const char *name,
          const struct node_def *def, size_t index, struct err *e)
{
  struct node *n = calloc (1, sizeof *n);

  if (!n) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  n->tree = t;
  n->parent = parent;
  n->def = def;
  n->index = index;
  lazy_init (&n->expanded, NULL, NULL);
  lazy_init (&n->cell, NULL, NULL);
  if (name_node (n, name) == -1) {
    node_free (n);
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  lazy_destroy (&n->cell);
  lazy_init (&n->cell, n->path, image_running (t->image));
  LOCK_SCOPE (&t->lock);
  if (node_vec_push (&t->nodes, n) == -1) {
    node_free (n);
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  n->id = t->nodes.len;
  return n;
}

static struct node *
find_child (const struct node *n, const char *name, size_t len)
{
  for (size_t i = 0; i < n->children.len; i++) {
    const char *c = n->children.items[i]->name;
    if (!strncmp (c, name, len) && !c[len])
      return n->children.items[i];
  }
  return NULL;
}

static struct node *
add_child (struct node *n, const char *name, const struct node_def *def,
           size_t index, struct err *e)
{
  struct node *c = find_child (n, name, strlen (name));

  if (c)
    return c; /* of an attempt that memory cut short, or a name twice */
  c = node_new (n->tree, n, name, def, index, e);
  /* A node that is in the tree's list is freed with it. */
  if (c && node_vec_push (&n->children, c) == -1) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  return c;
}

int
node_add (struct node *n, const char *name, const struct node_def *def,
          size_t index, struct err *e)
{
  return add_child (n, name, def, index, e) ? 0 : -1;
}

int
node_add_link (struct node *n, const char *name, const char *target,
               const struct node_def *def, struct err *e)
{
  struct node *c = add_child (n, name, def, n->index, e);

  if (!c)
    return -1;
  c->target = target;
  return 0;
}

static int
expand (void *arg, struct err *e)
{
  struct node *n = arg;

  for (const struct node_def *d = n->def->children; d && d->name && !n->twin;
       d++)
    if (!add_child (n, d->name, d, n->index, e))
      return -1;
  if (n->twin)
    return list_evidence (n, e);
  if (n->def->list && n->def->list (n, e) == -1) {
    if (!err_is_transient (e))
      image_problem (node_image (n), n->path, e->msg);
    return -1;
  }
  return 0;
}

int
node_expand (struct node *n, struct err *e)
{
  return lazy_get (&n->expanded, expand, n, e);
}

/* --- evidence/ ------------------------------------------------------- */

static int show_evidence (struct node *n, struct finding *f, struct err *e);

static const struct node_def evidence_dir = { .name = "<evidence>",
                                              .type = NODE_DIR };
static const struct node_def evidence_finding = { .name = "<evidence>",
                                                  .type = NODE_FINDING,
                                                  .kind = VALUE_LIST,
                                                  .show = show_evidence,
                                                  .not_reported = true };

/* The children of N, a directory of evidence/ (or evidence/ itself, which
 * mirrors the top). */
int
list_evidence (struct node *n, struct err *e)
{
  struct node *of = n->twin ? n->twin : n->parent;
  const struct node_def *def;
  struct node *c;

  if (node_expand (of, e) == -1)
    return -1;
  for (size_t i = 0; i < of->children.len; i++) {
    struct node *twin = of->children.items[i];
    if (twin->def->not_reported ||
        (twin->def->type != NODE_DIR && twin->def->type != NODE_FINDING))
      continue;
    def = twin->def->type == NODE_DIR ? &evidence_dir : &evidence_finding;
    c = add_child (n, twin->name, def, twin->index, e);
    if (!c)
      return -1;
    c->twin = twin;
  }
  return 0;
}

static int
show_evidence (struct node *n, struct finding *f, struct err *e)
{
  const struct finding *of = node_evaluate (n->twin, e);

  if (!of)
    return -1;
  if (of->reason)
    buf_printf (&f->text, "%s: %s\n",
                strncmp (buf_str (&of->text), "unknown\n", 8) ? "because"
                                                              : "unknown",
                of->reason);
  buf_add (&f->text, buf_str (&of->evidence), of->evidence.len);
  return 0;
}

/* --- evaluation ------------------------------------------------------ */

static int
finding_unknown (struct finding *f, const char *reason)
{
  buf_reset (&f->text);
  buf_puts (&f->text, "unknown\n");
  free (f->reason);
  f->reason = strdup (reason);
  return f->reason ? 0 : -1;
}

static int
evaluate (void *arg, struct err *e)
{
  struct node *n = arg;
  struct finding f = { 0 };
  bool unknown;

  if (n->def->show (n, &f, e) == -1) {
    if (err_is_transient (e) || finding_unknown (&f, e->msg) == -1) {
      finding_free (&f);
      return -1;
    }
    err_clear (e);
  }
  if (buf_check (&f.text, e) == -1 || buf_check (&f.evidence, e) == -1) {
    finding_free (&f);
    return -1;
  }
  unknown = f.reason && !strcmp (buf_str (&f.text), "unknown\n");
  if (unknown)
    image_problem (node_image (n), n->path, f.reason);
  finding_free (&n->value);
  n->value = f;
  return 0;
}

const struct finding *
node_evaluate (struct node *n, struct err *e)
{
  return lazy_get (&n->cell, evaluate, n, e) == 0 ? &n->value : NULL;
}

bool
node_is_wanted (struct node *n)
{
  struct node *of = n->twin ? n->twin : n;

  return !of->def->is_wanted || of->def->is_wanted (of);
}

/* --- renderers' last lines ------------------------------------------- */

int
show_text (struct finding *f, const char *text)
{
  if (text)
    buf_add_line_text (&f->text, text, strlen (text));
  buf_puts (&f->text, "\n");
  return 0;
}

int
show_number (struct finding *f, uint64_t number)
{
  buf_printf (&f->text, "%" PRIu64 "\n", number);
  return 0;
}

int
show_yes_no (struct finding *f, bool yes)
{
  buf_puts (&f->text, yes ? "yes\n" : "no\n");
  return 0;
}

/* Lines as they are, the last one ended; none is an empty file. */
int
show_lines (struct finding *f, const char *lines)
{
  size_t len;

  if (!lines || !*lines)
    return 0;
  len = strlen (lines);
  buf_add (&f->text, lines, len);
  if (lines[len - 1] != '\n')
    buf_puts (&f->text, "\n");
  return 0;
}

static int
show_fact_as (struct finding *f, const struct fact *fact,
              int (*show) (struct finding *, const char *), struct err *e)
{
  const char *reason = fact->reason;

  buf_add (&f->evidence, buf_str (&fact->evidence), fact->evidence.len);
  if (!fact->value) {
    if (finding_unknown (f, reason ? reason : "could not be looked at") == -1)
      return err_set (e, ENOMEM, "out of memory");
    return 0;
  }
  if (reason && !(f->reason = strdup (reason)))
    return err_set (e, ENOMEM, "out of memory");
  return show (f, fact->value);
}

int
show_fact (struct finding *f, const struct fact *fact, struct err *e)
{
  return show_fact_as (f, fact, show_text, e);
}

int
show_fact_lines (struct finding *f, const struct fact *fact, struct err *e)
{
  return show_fact_as (f, fact, show_lines, e);
}

/* --- the front's functions ------------------------------------------- */

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
    c = err_is_transient (e) ? NULL : find_child (n, name, len);
    if (!c)
      return -1;
    err_clear (e);
    return own_attr (c, ret, e);
  }
  c = find_child (n, name, len);
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
