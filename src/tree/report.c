/* xrayfs: report.txt and report.json
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Both are made by walking the same table that the tree is served from, so
 * that a new row is in them without another line here.
 */
#include <inttypes.h>
#include <json.h>
#include <string.h>

#include "tree/node.h"

static bool
is_reported (struct node *n)
{
  return !n->def->not_reported &&
         (n->def->type == NODE_DIR || n->def->type == NODE_FINDING) &&
         node_is_wanted (n);
}

/* The children of N; a directory that cannot be computed has none (problems
 * says why).  Fails only transiently. */
static int
expand_for_report (struct node *n, struct err *e)
{
  if (node_expand (n, e) == 0)
    return 0;
  if (err_is_transient (e))
    return -1;
  err_clear (e);
  return 1;
}

/* --- JSON ------------------------------------------------------------ */

static json_object *
json_lines (const char *text)
{
  json_object *array = json_object_new_array ();

  for (size_t len; *text; text += len + (text[len] == '\n')) {
    len = strcspn (text, "\n");
    json_object_array_add (array,
                           json_object_new_string_len (text, (int) len));
  }
  return array;
}

static json_object *
json_value (const struct node *n, const struct finding *f)
{
  const char *text = buf_str (&f->text);
  size_t len = strcspn (text, "\n");

  if (n->def->kind == VALUE_LIST && strcmp (text, "unknown\n"))
    return json_lines (text);
  if (n->def->kind == VALUE_NUMBER)
    return text[0] >= '0' && text[0] <= '9'
               ? json_object_new_uint64 (strtoull (text, NULL, 10))
               : NULL; /* JSON's null: absent or unknown */
  return json_object_new_string_len (text, (int) len);
}

static int
json_node (struct node *n, json_object *into, struct err *e)
{
  const struct finding *f;
  json_object *object;
  int r;

  if (n->def->type == NODE_FINDING) {
    if (!(f = node_evaluate (n, e)))
      return -1;
    json_object_object_add (into, n->name, json_value (n, f));
    return 0;
  }
  object = json_object_new_object ();
  json_object_object_add (into, n->name, object);
  r = expand_for_report (n, e);
  for (size_t i = 0; r == 0 && i < n->children.len; i++)
    if (is_reported (n->children.items[i]))
      r = json_node (n->children.items[i], object, e);
  return r == -1 ? -1 : 0;
}

static void
cleanup_json (json_object **o)
{
  json_object_put (*o);
}

int
show_report_json (struct node *n, struct finding *f, struct err *e)
{
  __attribute__ ((cleanup (cleanup_json))) json_object *top =
      json_object_new_object ();
  CLEANUP_BUF struct buf problems = { 0 };
  struct node *root = n->parent;

  for (size_t i = 0; i < root->children.len; i++)
    if (is_reported (root->children.items[i]) &&
        json_node (root->children.items[i], top, e) == -1)
      return -1;
  image_problems (node_image (n), &problems);
  json_object_object_add (top, "problems", json_lines (buf_str (&problems)));
  return show_lines (
      f, json_object_to_json_string_ext (
             top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* --- text ------------------------------------------------------------ */

/* The first line of a finding, in TO. */
static int
line_of (struct tree *t, const char *path, char *to, size_t size,
         struct err *e)
{
  struct node *n = tree_node (t, path, e);
  const struct finding *f = n ? node_evaluate (n, e) : NULL;
  const char *text;

  if (!f) {
    if (err_is_transient (e))
      return -1;
    err_clear (e);
  }
  text = f ? buf_str (&f->text) : "";
  snprintf (to, size, "%.*s", (int) strcspn (text, "\n"), text);
  return 0;
}

static void
add_size (struct buf *to, const char *bytes)
{
  static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
  double v = strtod (bytes, NULL);
  size_t u = 0;

  while (v >= 1024 && u + 1 < ARRAY_SIZE (units)) {
    v /= 1024;
    u++;
  }
  buf_printf (to, "%.*f %s", u ? 1 : 0, v, units[u]);
}

static int
summary (struct tree *t, struct buf *to, struct err *e)
{
  static const struct {
    const char *label, *path;
  } rows[] = { { "Operating system", "os/name" },
               { "Architecture", "os/arch" },
               { "Root filesystem", "os/root_filesystem" },
               { "Default kernel", "os/default_kernel" },
               { "virtio", "has_virtio" },
               { "cloud-init", "cloud_init" } };
  char value[256], size[32];

  if (line_of (t, "format", value, sizeof value, e) == -1 ||
      line_of (t, "virtual_size", size, sizeof size, e) == -1)
    return -1;
  buf_printf (to, "%s\n\n%-18s%s, ", image_path (t->image), "Image", value);
  add_size (to, size);
  if (line_of (t, "partition_table", value, sizeof value, e) == -1)
    return -1;
  buf_printf (to, "\n%-18s%s\n", "Partition table", value);
  for (size_t i = 0; i < ARRAY_SIZE (rows); i++) {
    if (line_of (t, rows[i].path, value, sizeof value, e) == -1)
      return -1;
    if (*value)
      buf_printf (to, "%-18s%s\n", rows[i].label, value);
  }
  return 0;
}

/* A table of partitions or volumes: the rows of DIR, if there are any. */
static int
summary_of_volumes (struct tree *t, const char *dir_name, const char *title,
                    struct buf *to, struct err *e)
{
  struct node *dir = tree_node (t, dir_name, e);
  static const char *const columns[] = { "filesystem", "role", "label" };
  char path[300], value[128];

  if (!dir || node_expand (dir, e) == -1) {
    if (err_is_transient (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (dir->children.len)
    buf_printf (to, "\n%-10s Size        Filesystem  Role       Label\n",
                title);
  for (size_t i = 0; i < dir->children.len; i++) {
    CLEANUP_BUF struct buf size = { 0 };
    const char *name = dir->children.items[i]->name;
    snprintf (path, sizeof path, "%s/%s/size", dir_name, name);
    if (line_of (t, path, value, sizeof value, e) == -1)
      return -1;
    add_size (&size, value);
    buf_printf (to, "%-10s %-12s", name, buf_str (&size));
    for (size_t c = 0; c < ARRAY_SIZE (columns); c++) {
      snprintf (path, sizeof path, "%s/%s/%s", dir_name, name, columns[c]);
      if (line_of (t, path, value, sizeof value, e) == -1)
        return -1;
      buf_printf (to, c == 2 ? "%s" : c == 1 ? "%-11s" : "%-12s", value);
    }
    buf_puts (to, "\n");
  }
  return 0;
}

/* The lines of a finding, each behind "  ". */
static int
indented (struct tree *t, const char *path, struct buf *to, struct err *e)
{
  struct node *n = tree_node (t, path, e);
  const struct finding *f = n ? node_evaluate (n, e) : NULL;

  if (!f)
    return -1;
  for (const char *p = buf_str (&f->text); *p;
       p += strcspn (p, "\n"), p += *p == '\n')
    buf_printf (to, "  %.*s\n", (int) strcspn (p, "\n"), p);
  return 0;
}

static int
summary_of_policy (struct tree *t, const struct policy *p, struct buf *to,
                   struct err *e)
{
  char path[200], value[128];

  snprintf (path, sizeof path, "import/%s/verdict", p->name);
  if (line_of (t, path, value, sizeof value, e) == -1)
    return -1;
  buf_printf (to, "\nImport, %s: %s\n", p->name, value);
  for (const char *const *c = p->codes; *c; c++) {
    snprintf (path, sizeof path, "import/%s/codes/%s", p->name, *c);
    if (line_of (t, path, value, sizeof value, e) == -1)
      return -1;
    if (!strcmp (value, "ok") || !strcmp (value, "n/a"))
      continue;
    buf_printf (to, "%s: %s\n", *c, value);
    snprintf (path, sizeof path, "import/%s/reasons/%s", p->name, *c);
    if (indented (t, path, to, e) == -1)
      return -1;
  }
  static const char *const lists[] = { "warnings", "remedy" };
  for (size_t i = 0; i < ARRAY_SIZE (lists); i++) {
    size_t before = to->len;
    buf_printf (to, "%s:\n", lists[i]);
    size_t after = to->len;
    snprintf (path, sizeof path, "import/%s/%s", p->name, lists[i]);
    if (indented (t, path, to, e) == -1)
      return -1;
    if (to->len == after && to->data)
      to->data[to->len = before] = '\0'; /* nothing to say */
  }
  return 0;
}

static int
all_findings (struct node *n, struct buf *to, struct err *e)
{
  const struct finding *f;
  const char *text;
  int r;

  if (n->def->type == NODE_FINDING) {
    if (!(f = node_evaluate (n, e)))
      return -1;
    text = buf_str (&f->text);
    if (n->def->kind != VALUE_LIST) {
      buf_printf (to, "%s: %s", n->path, text);
      return 0;
    }
    buf_printf (to, "%s:%s\n", n->path, *text ? "" : " (none)");
    for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n')
      buf_printf (to, "  %.*s\n", (int) strcspn (p, "\n"), p);
    return 0;
  }
  r = expand_for_report (n, e);
  for (size_t i = 0; r == 0 && i < n->children.len; i++)
    if (is_reported (n->children.items[i]))
      r = all_findings (n->children.items[i], to, e);
  return r == -1 ? -1 : 0;
}

int
show_report_text (struct node *n, struct finding *f, struct err *e)
{
  struct tree *t = n->tree;
  struct buf *to = &f->text;
  struct node *root = n->parent;
  CLEANUP_BUF struct buf problems = { 0 };

  if (summary (t, to, e) == -1 ||
      summary_of_volumes (t, "partitions", "Partition", to, e) == -1 ||
      summary_of_volumes (t, "volumes", "Volume", to, e) == -1)
    return -1;
  for (size_t i = 0; policies[i]; i++)
    if (summary_of_policy (t, policies[i], to, e) == -1)
      return -1;
  buf_puts (to, "\nAll findings\n\n");
  for (size_t i = 0; i < root->children.len; i++)
    if (is_reported (root->children.items[i]) &&
        all_findings (root->children.items[i], to, e) == -1)
      return -1;
  image_problems (node_image (n), &problems);
  if (problems.len)
    buf_printf (to, "\nProblems\n\n%s", buf_str (&problems));
  return buf_check (to, e);
}
