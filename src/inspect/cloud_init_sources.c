/* xrayfs: where cloud-init would look for its data
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/startup.h"

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

static bool
is_key (const yaml_node_t *key, const char *name)
{
  return key->type == YAML_SCALAR_NODE &&
         !strcmp ((char *) key->data.scalar.value, name);
}

struct config {
  struct buf files, datasources;
  bool set;   /* a datasource_list was found: the last one counts */
  bool odd;   /* and it is no list of names */
  char *by;   /* the file it is in */
  char *bad;  /* a file that is not YAML, which cloud-init leaves out */
  char *more; /* conf_d: the directory that is read in place of cloud.cfg.d */
  int network;      /* as in struct cloud_init */
  bool network_new; /* the file that is being read has it */
  char *network_by;
};

/* The mappings of several files are merged, so that "config: disabled" stays
 * when a later one has other keys. */
static void
take_network (yaml_document_t *doc, const yaml_node_t *value,
              struct config *c)
{
  bool any = value->type == YAML_MAPPING_NODE &&
             value->data.mapping.pairs.start < value->data.mapping.pairs.top;

  for (yaml_node_pair_t *p = any ? value->data.mapping.pairs.start : NULL;
       p && p < value->data.mapping.pairs.top; p++) {
    yaml_node_t *config = yaml_document_get_node (doc, p->value);
    if (!is_key (yaml_document_get_node (doc, p->key), "config"))
      continue;
    c->network = is_key (config, "disabled") ? CLOUD_NETWORK_DISABLED
                                             : CLOUD_NETWORK_GIVEN;
    return;
  }
  if (c->network != CLOUD_NETWORK_DISABLED)
    c->network = any ? CLOUD_NETWORK_GIVEN : CLOUD_NETWORK_UNSET;
}

/* What counts in the top-level mapping of a YAML document. */
static void
read_mapping (yaml_document_t *doc, yaml_node_t *root, struct config *c,
              bool *ret_set)
{
  for (yaml_node_pair_t *p = root->data.mapping.pairs.start;
       p < root->data.mapping.pairs.top; p++) {
    yaml_node_t *key = yaml_document_get_node (doc, p->key),
                *value = yaml_document_get_node (doc, p->value);
    if (is_key (key, "datasource_list")) {
      *ret_set = c->set = true;
      c->odd = !take_list (doc, value, &c->datasources);
    } else if (is_key (key, "network")) {
      take_network (doc, value, c);
      c->network_new = true;
    } else if (is_key (key, "conf_d") && value->type == YAML_SCALAR_NODE) {
      free (c->more);
      c->more = strdup ((char *) value->data.scalar.value);
    }
  }
}

/* 0, or -1: it is not YAML, or no mapping. */
static int
read_yaml (const struct buf *text, struct config *c, bool *ret_set)
{
  yaml_parser_t parser;
  yaml_document_t doc;
  yaml_node_t *root;
  int r = -1;

  if (!yaml_parser_initialize (&parser))
    return -1;
  yaml_parser_set_input_string (&parser, (const void *) buf_str (text),
                                text->len);
  if (yaml_parser_load (&parser, &doc)) {
    root = yaml_document_get_root_node (&doc);
    r = !root || root->type == YAML_MAPPING_NODE ? 0 : -1;
    if (root && r == 0)
      read_mapping (&doc, root, c, ret_set);
    yaml_document_delete (&doc);
  }
  yaml_parser_delete (&parser);
  return r;
}

static void
cleanup_config (struct config *c)
{
  buf_free (&c->files);
  buf_free (&c->datasources);
  free (c->by);
  free (c->bad);
  free (c->more);
  free (c->network_by);
}

int
cloud_init_text (const struct vfs *v, const char *path, struct buf *ret,
                 struct err *e)
{
  struct fs_stat st;

  buf_reset (ret);
  if (vfs_stat (v, path, 0, &st, e) == 0)
    return S_ISREG (st.mode) ? guest_text (v, path, ret, e) : 0;
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  return 0;
}

static int
read_config (const struct vfs *v, const char *path, struct config *c,
             struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = cloud_init_text (v, path, &text, e);
  bool set = false;
  char **to;

  if (r <= 0)
    return r;
  if (yaml_is_bounded (buf_str (&text), e) == -1)
    return err_in (e, "%s", path);
  buf_printf (&c->files, "%s%s", c->files.len ? "\n" : "", path);
  c->network_new = false;
  to = read_yaml (&text, c, &set) == -1 ? &c->bad : set ? &c->by : NULL;
  if (c->network_new) {
    free (c->network_by);
    if (!(c->network_by = strdup (path)))
      return err_set (e, ENOMEM, "out of memory");
  }
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
  CLEANUP_FREE char *dir = NULL;

  if (read_config (v, "/etc/cloud/cloud.cfg", c, e) == -1)
    return -1;
  dir = c->more ? steal_ptr (&c->more) : strdup ("/etc/cloud/cloud.cfg.d");
  if (!dir)
    return err_set (e, ENOMEM, "out of memory");
  if (*dir == '/' && names_in (v, dir, &l, e) == -1)
    return -1;
  for (size_t i = 0; i < l.list.len; i++) {
    CLEANUP_FREE char *path = path_printf (e, "%s/%s", dir, l.list.items[i]);
    if (!path || read_config (v, path, c, e) == -1)
      return -1;
  }
  return buf_check (&c->files, e);
}

/* What cloud-init itself takes from its configuration. */
static int
by_configuration (struct config *config, struct fact *f, struct err *e)
{
  if (config->bad)
    fact_evidence (f, "%s: is not valid YAML: cloud-init leaves it out",
                   config->bad);
  if (!config->set) {
    fact_evidence (f, "datasource_list: not set: all are tried");
    return fact_set (f, e, "%s", "");
  }
  fact_evidence (f, "datasource_list: set by %s", config->by);
  if (config->odd || !config->datasources.len)
    return fact_reason (f, e,
                        "datasource_list %s in %s: no data source is"
                        " tried",
                        config->odd ? "is no list of names" : "is empty",
                        config->by) == -1
               ? -1
               : fact_set (f, e, "%s", "");
  return fact_set (f, e, "%s", buf_str (&config->datasources));
}

/* What ds-identify puts into its place. */
static int
by_identify (const struct identify *id, struct fact *f, struct err *e)
{
  fact_evidence (f, "ds-identify: datasource_list: %s%s",
                 id->by ? "set by " : "not set: all are tried",
                 id->by ? id->by : "");
  return fact_set (f, e, "%s", buf_str (&id->list));
}

/* --- NoCloud's data in the guest ------------------------------------- */

/* Where in LIST, one name a line, NAME is; -1: nowhere. */
static int
place_of (const char *list, const char *name)
{
  int line = 0;

  for (const char *p = list; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    if (strcspn (p, "\n") == strlen (name) &&
        !strncmp (p, name, strlen (name)))
      return line;
    line++;
  }
  return -1;
}

/* Of two that have data the first is taken.  Of all, ds-identify has
 * ConfigDrive first, and cloud-init itself NoCloud. */
static bool
nocloud_is_first (const struct fact *f, const struct identify *id)
{
  int nocloud = place_of (f->value, "NoCloud"),
      drive = place_of (f->value, "ConfigDrive");

  return *f->value ? nocloud != -1 && (drive == -1 || nocloud < drive)
                   : !id->decides;
}

static int
look_at_nocloud (const struct vfs *v, const struct boot *b,
                 const struct identify *id, struct fact *f, struct err *e)
{
  static const char word[] = "ds=nocloud";
  const char *ds = cmdline_word (b->cmdline.value, "ds=");
  CLEANUP_FREE char *seed = NULL;
  int r;

  if (f->reason || !nocloud_is_first (f, id))
    return 0;
  if (ds && !strncasecmp (ds, word, strlen (word))) {
    fact_evidence (f, "kernel command line: %.*s", (int) strcspn (ds, " \t"),
                   ds);
    return fact_set (f, e, "%.*s", (int) strcspn (ds + 3, "; \t"), ds + 3);
  }
  if ((r = cloud_init_seed (v, &seed, e)) == -1)
    return fact_could_not_look (f, e);
  if (r == 0)
    return 0;
  fact_evidence (f, "%s: there", seed);
  return fact_reason (f, e,
                      "%s is there, and NoCloud, which takes it, comes before"
                      " ConfigDrive",
                      seed);
}

/* --- the answer ------------------------------------------------------ */

/* Before 23.2 the names' case matters. */
static int
look_at_case (const struct cloud_init *c, struct fact *f, struct err *e)
{
  const char *version = c->version.value;

  if (f->reason || !version || !*version ||
      version_compare (version, "23.2") >= 0 ||
      place_of (f->value, "ConfigDrive") != -1 ||
      !cloud_init_has_datasource (f->value, "ConfigDrive"))
    return 0;
  return fact_reason (f, e,
                      "cloud-init %s takes ConfigDrive only if it is"
                      " written so",
                      version);
}

int
cloud_init_decide_datasources (const struct vfs *v, const struct boot *b,
                               const struct identify *id,
                               struct cloud_init *c, struct err *e)
{
  __attribute__ ((cleanup (cleanup_config))) struct config config = { 0 };
  struct fact *f = &c->datasources;

  if (read_configs (v, &config, e) == -1)
    return fact_could_not_look (&c->config_files, e) == -1
               ? -1
               : fact_unknown (f, e, "%s", c->config_files.reason);
  if (fact_set (&c->config_files, e, "%s", buf_str (&config.files)) == -1)
    return -1;
  c->network = config.network;
  c->network_by = steal_ptr (&config.network_by);
  if (!b->cmdline.value)
    return fact_unknown (f, e, "the kernel command line is not known: %s",
                         b->cmdline.reason);
  if ((id->decides ? by_identify (id, f, e)
                   : by_configuration (&config, f, e)) == -1 ||
      look_at_nocloud (v, b, id, f, e) == -1)
    return -1;
  return fact_known (f) ? look_at_case (c, f, e) : 0;
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
