/* xrayfs: where cloud-init would look for its data
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <yaml.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"

/* --- data sources ---------------------------------------------------- */

static bool
is_null (const yaml_node_t *n)
{
  const char *s = (const char *) n->data.scalar.value;

  return n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
         (!*s || !strcmp (s, "~") || !strcasecmp (s, "null"));
}

/* The names in VALUE, one a line, replace what LIST holds.  False: it is no
 * list. */
static bool
take_list (yaml_document_t *doc, const yaml_node_t *value, struct buf *list)
{
  buf_reset (list);
  if (value->type == YAML_SCALAR_NODE)
    return is_null (value);
  if (value->type != YAML_SEQUENCE_NODE)
    return false;
  for (yaml_node_item_t *i = value->data.sequence.items.start;
       i < value->data.sequence.items.top; i++) {
    const yaml_node_t *item = yaml_document_get_node (doc, *i);
    if (item->type != YAML_SCALAR_NODE)
      return false;
    if (list->len)
      buf_puts (list, "\n");
    buf_add_line_text (list, (char *) item->data.scalar.value,
                       item->data.scalar.length);
  }
  return true;
}

/* A YAML stream's top-level mapping: its datasource_list, if it has one,
 * replaces what LIST holds.  Returns 0, or -1 if it is not YAML or has no
 * list there. */
static int
read_datasource_list (const struct buf *text, struct buf *list, bool *ret_set)
{
  yaml_parser_t parser;
  yaml_document_t doc;
  yaml_node_t *root, *key;
  int r = -1;

  if (!yaml_parser_initialize (&parser))
    return -1;
  yaml_parser_set_input_string (&parser, (const void *) buf_str (text),
                                text->len);
  if (!yaml_parser_load (&parser, &doc)) {
    yaml_parser_delete (&parser);
    return -1;
  }
  r = 0;
  root = yaml_document_get_root_node (&doc);
  if (root && root->type == YAML_MAPPING_NODE)
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start;
         p < root->data.mapping.pairs.top; p++) {
      key = yaml_document_get_node (&doc, p->key);
      if (key->type != YAML_SCALAR_NODE ||
          strcmp ((char *) key->data.scalar.value, "datasource_list"))
        continue;
      *ret_set = true;
      if (!take_list (&doc, yaml_document_get_node (&doc, p->value), list))
        r = -1;
    }
  yaml_document_delete (&doc);
  yaml_parser_delete (&parser);
  return r;
}

struct config {
  struct buf files, datasources;
  bool set;  /* a datasource_list was found: the last one counts */
  char *by;  /* the file it is in */
  char *bad; /* a file that is not YAML */
};

static void
cleanup_config (struct config *c)
{
  buf_free (&c->files);
  buf_free (&c->datasources);
  free (c->by);
  free (c->bad);
}

static int
read_config (const struct vfs *v, const char *path, struct config *c,
             struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, path, &text, e);
  bool set = false;
  char **to;

  if (r <= 0)
    return r;
  buf_printf (&c->files, "%s%s", c->files.len ? "\n" : "", path);
  to = read_datasource_list (&text, &c->datasources, &set) == -1 ? &c->bad
       : set                                                     ? &c->by
                                                                 : NULL;
  c->set = c->set || set;
  if (!to)
    return 0;
  free (*to);
  *to = strdup (path);
  return *to ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int
read_configs (const struct vfs *v, struct config *c, struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".cfg" };

  if (read_config (v, "/etc/cloud/cloud.cfg", c, e) == -1 ||
      names_in (v, "/etc/cloud/cloud.cfg.d", &l, e) == -1)
    return -1;
  for (size_t i = 0; i < l.list.len; i++) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf (&path, "/etc/cloud/cloud.cfg.d/%s", l.list.items[i]) ==
        -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    if (read_config (v, path, c, e) == -1)
      return -1;
  }
  return buf_check (&c->files, e);
}

/* "ds=" and "ci.ds=" on the command line name one source. */
static char *
datasource_of_cmdline (const char *cmdline)
{
  static const char *const keys[] = { " ds=", " ci.ds=", " ci.datasource=" };
  CLEANUP_FREE char *line = NULL;
  const char *p;

  if (asprintf (&line, " %s", cmdline) == -1) {
    line = NULL;
    return NULL;
  }
  for (size_t i = 0; i < ARRAY_SIZE (keys); i++)
    if ((p = strstr (line, keys[i]))) {
      p += strlen (keys[i]);
      return strndup (p, strcspn (p, " ;"));
    }
  return NULL;
}

/* An empty list leaves nothing to try, unless ds-identify takes it for an
 * unset one and hands its own over. */
static int
decide_empty (const struct vfs *v, const char *by, struct fact *f,
              struct err *e)
{
  int r = cloud_init_ds_identify (v, e);

  if (r == -1)
    return fact_could_not_look (f, e);
  if (r == 0 && fact_reason (f, e,
                             "datasource_list is empty in %s: no data source"
                             " is tried",
                             by) == -1)
    return -1;
  return fact_set (f, e, "%s", "");
}

int
cloud_init_decide_datasources (const struct vfs *v, const struct boot *b,
                               struct cloud_init *c, struct err *e)
{
  __attribute__ ((cleanup (cleanup_config))) struct config config = { 0 };
  CLEANUP_FREE char *only =
      datasource_of_cmdline (b->cmdline.value ? b->cmdline.value : "");

  if (read_configs (v, &config, e) == -1)
    return fact_could_not_look (&c->config_files, e) == -1
               ? -1
               : fact_unknown (&c->datasources, e, "%s",
                               c->config_files.reason);
  if (fact_set (&c->config_files, e, "%s", buf_str (&config.files)) == -1)
    return -1;
  if (!b->cmdline.value)
    return fact_unknown (&c->datasources, e,
                         "the kernel command line is not"
                         " known: %s",
                         b->cmdline.reason);
  if (only) {
    fact_evidence (&c->datasources, "kernel command line: %s", only);
    return fact_set (&c->datasources, e, "%s", only);
  }
  if (config.bad)
    return fact_unknown (&c->datasources, e,
                         "%s: is not valid YAML, or its datasource_list is"
                         " no list",
                         config.bad);
  if (!config.set) {
    fact_evidence (&c->datasources,
                   "datasource_list: not set: all are tried");
    return fact_set (&c->datasources, e, "%s", "");
  }
  fact_evidence (&c->datasources, "datasource_list: set by %s", config.by);
  return config.datasources.len
             ? fact_set (&c->datasources, e, "%s",
                         buf_str (&config.datasources))
             : decide_empty (v, config.by, &c->datasources, e);
}

bool
cloud_init_has_datasource (const char *list, const char *name)
{
  size_t len = strlen (name), n;

  for (const char *p = list; *p; p += n + (p[n] == '\n'))
    if ((n = strcspn (p, "\n")) == len && !strncasecmp (p, name, len))
      return true;
  return false;
}
