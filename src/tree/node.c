/* xrayfs: the mechanics of the node table
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tree/node.h"

#include <inttypes.h>
#include <string.h>

/* --- nodes ----------------------------------------------------------- */

struct image *
node_image (const struct node *n)
{
  return n->tree->image;
}

void
finding_free (struct finding *f)
{
  buf_free (&f->text);
  buf_free (&f->evidence);
  free (f->reason);
  *f = (struct finding){ 0 };
}

void
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

struct node *
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

struct node *
node_child (const struct node *n, const char *name, size_t len)
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
  struct node *c = node_child (n, name, strlen (name));

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
