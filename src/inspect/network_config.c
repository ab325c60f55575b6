/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/network_config.h"
#include "inspect/startup.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>
#include <yaml.h>

#define MAX_CARDS   1000
#define MAX_SOURCED 8 /* interfaces files that include others */
#define MAX_FILES   1000
#define MAX_STARTED 10000 /* names behind auto and allow-* */

void
network_config_free (struct card_vec *v)
{
  for (size_t i = 0; i < v->len; i++) {
    free (v->items[i].name);
    free (v->items[i].mac);
    free (v->items[i].source);
    free (v->items[i].id);
  }
  free (v->items);
  *v = (struct card_vec){ 0 };
}

/* --- ways of adding -------------------------------------------------- */

/* A card that begins as NAME in SOURCE; NULL: out of memory or too many. */
static struct card *
add_card (struct card_vec *to, const char *name, const char *source,
          struct err *e)
{
  struct card c = { .name = strdup (name), .source = strdup (source) };

  if (to->len >= MAX_CARDS)
    err_set (e, EFBIG, "more than %d network cards are configured",
             MAX_CARDS);
  else if (c.name && c.source && card_vec_push (to, c) == 0)
    return &to->items[to->len - 1];
  else
    err_set (e, ENOMEM, "out of memory");
  free (c.name);
  free (c.source);
  return NULL;
}

typedef int (*file_fn) (const struct vfs *v, const char *path, char *text,
                        struct card_vec *to, struct err *e);

/* Calls FN for each file in DIR whose name begins and ends so. */
static int
each_file (const struct vfs *v, const char *dir, const char *prefix,
           const char *suffix, file_fn fn, struct card_vec *to, struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = prefix, .suffix = suffix };

  if (names_in (v, dir, &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    CLEANUP_FREE char *path = NULL;
    CLEANUP_BUF struct buf text = { 0 };
    int r;

    if (asprintf (&path, "%s/%s", dir, files.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = guest_text (v, path, &text, e);
    if (r == 1 && text.data)
      r = fn (v, path, text.data, to, e);
    if (r == -1)
      return err_in (e, "%s", path);
  }
  return 0;
}

int
each_layered_file (const struct vfs *v, const char *own, const char *lib,
                   const char *suffix,
                   int (*fn) (void *arg, const char *path, struct err *),
                   void *arg, struct err *e)
{
  CLEANUP_NAMES struct names a = { .prefix = "", .suffix = suffix };
  CLEANUP_NAMES struct names b = { .prefix = "", .suffix = suffix };
  size_t i = 0, k = 0;
  int r = names_in (v, own, &a, e);

  if (r == 0)
    r = names_in (v, lib, &b, e);
  while (r == 0 && (i < a.list.len || k < b.list.len)) {
    int order = i == a.list.len   ? 1
                : k == b.list.len ? -1
                                  : strcmp (a.list.items[i], b.list.items[k]);
    CLEANUP_FREE char *path =
        path_printf (e, "%s/%s", order > 0 ? lib : own,
                     order > 0 ? b.list.items[k] : a.list.items[i]);
    i += order <= 0;
    k += order >= 0;
    r = path ? fn (arg, path, e) : -1;
  }
  return r;
}

static bool
is_yes (const char *s)
{
  return s && (!strcasecmp (s, "yes") || !strcasecmp (s, "true") ||
               !strcasecmp (s, "on") || !strcmp (s, "1"));
}

/* --- ifupdown: interfaces(5) ----------------------------------------- */

struct interfaces {
  const struct vfs *v;
  const char *path;
  struct card_vec *to;
  struct text_vec started;
  unsigned depth, files;
  struct err *err;
};

static int read_interfaces (struct interfaces *n, const char *path);

/* As run-parts takes them. */
static bool
is_plain_name (const char *s)
{
  return s[strspn (s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789_-")] == '\0';
}

/* Reads the files of DIR, below that of the file that is read, whose names
 * match GLOB; NULL: the plain names. */
static int
source_from (struct interfaces *n, const char *dir, const char *glob)
{
  CLEANUP_NAMES struct names files = { .prefix = "", .suffix = "" };
  CLEANUP_FREE char *whole = NULL;
  const char *slash = strrchr (n->path, '/');

  whole = path_printf (n->err, "%.*s%s",
                       *dir == '/' ? 0 : (int) (slash - n->path) + 1, n->path,
                       dir);
  if (!whole)
    return -1;
  if (names_in (n->v, whole, &files, n->err) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    CLEANUP_FREE char *path = NULL;

    if (glob ? fnmatch (glob, files.list.items[i], FNM_PERIOD) != 0
             : !is_plain_name (files.list.items[i]))
      continue;
    path = path_printf (n->err, "%s/%s", whole, files.list.items[i]);
    if (!path || read_interfaces (n, path) == -1)
      return -1;
  }
  return 0;
}

/* source GLOB: the directory of it is listed. */
static int
source_glob (struct interfaces *n, char *glob)
{
  char *slash = strrchr (glob, '/');

  if (!slash)
    return source_from (n, "", glob);
  *slash = '\0';
  return source_from (n, glob, slash + 1);
}

static struct card *
same_card (struct interfaces *n, const char *name)
{
  for (size_t i = 0; i < n->to->len; i++)
    if (!strcmp (n->to->items[i].name, name))
      return &n->to->items[i];
  return add_card (n->to, name, n->path, n->err);
}

/* iface NAME inet|inet6 METHOD */
static int
iface_line (struct interfaces *n, char **w)
{
  struct card *c;
  bool six = !strcmp (w[2], "inet6");

  if (!strcmp (w[1], "lo"))
    return 0;
  c = same_card (n, w[1]);
  if (!c)
    return -1;
  if (six) {
    c->auto6 = c->auto6 || !strcmp (w[3], "auto") || !strcmp (w[3], "dhcp");
    c->static6 = c->static6 || !strcmp (w[3], "static");
  } else {
    c->dhcp4 = c->dhcp4 || !strcmp (w[3], "dhcp");
    c->static4 = c->static4 || !strcmp (w[3], "static");
  }
  return 0;
}

static int
interfaces_line (void *arg, char *line)
{
  struct interfaces *n = arg;
  char *w[64] = { 0 };
  size_t words = split_words (line, w, ARRAY_SIZE (w));

  if (words < 2 || w[0][0] == '#')
    return 0;
  if (!strcmp (w[0], "source"))
    return source_glob (n, w[1]);
  if (!strcmp (w[0], "source-directory"))
    return source_from (n, w[1], NULL);
  if (!strcmp (w[0], "iface") && words >= 4)
    return iface_line (n, w);
  if (strcmp (w[0], "auto") != 0 && strncmp (w[0], "allow-", 6) != 0)
    return 0;
  for (size_t i = 1; i < words; i++) {
    char *copy;
    if (n->started.len >= MAX_STARTED)
      return err_set (n->err, EFBIG, "more than %d cards are started",
                      MAX_STARTED);
    copy = strdup (w[i]);
    if (!copy || text_vec_push (&n->started, copy) == -1) {
      free (copy);
      return err_set (n->err, ENOMEM, "out of memory");
    }
  }
  return 0;
}

static int
read_interfaces (struct interfaces *n, const char *path)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *outer = n->path;
  int r;

  if (n->depth >= MAX_SOURCED)
    return err_set (n->err, ELOOP, "%s: files that include each other", path);
  if (++n->files > MAX_FILES)
    return err_set (n->err, EFBIG, "more than %d files of interfaces",
                    MAX_FILES);
  r = guest_text (n->v, path, &text, n->err);
  if (r != 1 || !text.data)
    return r == -1 ? -1 : 0;
  for (char *p = text.data; (p = strstr (p, "\\\n"));)
    p[0] = p[1] = ' '; /* a line that goes on */
  n->path = path;
  n->depth++;
  r = each_line (text.data, interfaces_line, n) ? -1 : 0;
  n->depth--;
  n->path = outer;
  return r;
}

static int
from_interfaces (const struct vfs *v, struct card_vec *to, struct err *e)
{
  struct interfaces n = { .v = v, .to = to, .err = e };
  int r = read_interfaces (&n, "/etc/network/interfaces");

  for (size_t i = 0; r == 0 && i < to->len; i++)
    for (size_t k = 0; k < n.started.len; k++)
      if (fnmatch (n.started.items[k], to->items[i].name, 0) == 0)
        to->items[i].started = true;
  for (size_t k = 0; k < n.started.len; k++)
    free (n.started.items[k]);
  free (n.started.items);
  return r;
}

/* --- ifcfg files ----------------------------------------------------- */

static int
ifcfg_file (const struct vfs *v unused_arg, const char *path, char *text,
            struct card_vec *to, struct err *e)
{
  CLEANUP_FREE char *device = shell_value (text, "DEVICE"),
                    *proto = shell_value (text, "BOOTPROTO"),
                    *onboot = shell_value (text, "ONBOOT"),
                    *startmode = shell_value (text, "STARTMODE"),
                    *mac = shell_value (text, "HWADDR"),
                    *type = shell_value (text, "TYPE"),
                    *address = shell_value (text, "IPADDR"),
                    *six = shell_value (text, "IPV6ADDR");
  const char *name = strstr (path, "ifcfg-") + 6;
  bool suse = strstr (path, "/network/") != NULL;
  struct card *c;

  if (!strcmp (name, "lo") || strchr (name, '~') || strchr (name, '.') ||
      (type && strcasecmp (type, "Ethernet") != 0))
    return 0;
  c = add_card (to, device && *device ? device : name, path, e);
  if (!c)
    return -1;
  c->started = startmode ? !strcmp (startmode, "auto") ||
                               !strcmp (startmode, "onboot") ||
                               !strcmp (startmode, "hotplug") ||
                               !strcmp (startmode, "nfsroot")
               : suse ? false
                      : !onboot || is_yes (onboot);
  c->dhcp4 = proto && !strncasecmp (proto, "dhcp", 4) &&
             strcasecmp (proto, "dhcp6") != 0;
  c->auto6 = proto && !strcasecmp (proto, "dhcp6");
  c->static4 = address && *address;
  c->static6 = six && *six;
  if (mac && *mac)
    c->mac = steal_ptr (&mac);
  return 0;
}

/* --- ini files: networkd and NetworkManager -------------------------- */

/* The value of KEY in [SECTION] of TEXT, to be freed; NULL: not set.  The
 * last one counts, or with LIST all behind the last empty one. */
static char *
ini_values (const char *text, const char *section, const char *key, bool list)
{
  size_t section_len = strlen (section), key_len = strlen (key), len;
  CLEANUP_BUF struct buf found = { 0 };
  bool inside = false, set = false;

  for (const char *p = text; *p; p += len + (p[len] == '\n')) {
    const char *s = p + strspn (p, " \t"), *end;
    len = strcspn (p, "\n");
    end = p + len;
    if (*s == '[')
      inside =
          !strncmp (s + 1, section, section_len) && s[1 + section_len] == ']';
    if (!inside || strncmp (s, key, key_len) != 0)
      continue;
    s += key_len;
    s += strspn (s, " \t");
    if (*s != '=')
      continue;
    s++;
    s += strspn (s, " \t");
    while (end > s && isspace ((unsigned char) end[-1]))
      end--;
    set = true;
    if (!list || end <= s)
      buf_reset (&found);
    if (end > s) {
      buf_puts (&found, found.len ? " " : "");
      buf_add (&found, s, (size_t) (end - s));
    }
  }
  return set && !found.failed ? strdup (buf_str (&found)) : NULL;
}

char *
ini_value (const char *text, const char *section, const char *key)
{
  return ini_values (text, section, key, false);
}

/* systemd.network(5). */
static int
networkd_file (const struct vfs *v unused_arg, const char *path, char *text,
               struct card_vec *to, struct err *e)
{
  CLEANUP_FREE char *name = ini_values (text, "Match", "Name", true),
                    *type = ini_value (text, "Match", "Type"),
                    *mac = ini_value (text, "Match", "MACAddress"),
                    *dhcp = ini_value (text, "Network", "DHCP"),
                    *address = ini_value (text, "Network", "Address"),
                    *address2 = ini_value (text, "Address", "Address");
  const char *fixed = address ? address : address2;
  char *word, *save = NULL;
  struct card *c;

  if (!name && !mac && (!type || strcmp (type, "ether") != 0))
    return 0;
  for (word = strtok_r (name ? name : strdupa ("*"), " ", &save); word;
       word = strtok_r (NULL, " ", &save)) {
    c = add_card (to, word, path, e);
    if (!c)
      return -1;
    c->started = true;
    c->dhcp4 = dhcp && (is_yes (dhcp) || !strcmp (dhcp, "ipv4") ||
                        !strcmp (dhcp, "both") || !strcmp (dhcp, "v4"));
    c->auto6 = dhcp && (!strcmp (dhcp, "ipv6") || !strcmp (dhcp, "v6"));
    c->static4 = fixed && !strchr (fixed, ':');
    c->static6 = fixed && strchr (fixed, ':');
    if (mac && !(c->mac = strdup (mac)))
      return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

/* nm-settings-keyfile(5). */
static int
keyfile_file (const struct vfs *v unused_arg, const char *path, char *text,
              struct card_vec *to, struct err *e)
{
  CLEANUP_FREE char *type = ini_value (text, "connection", "type"),
                    *name = ini_value (text, "connection", "interface-name"),
                    *on = ini_value (text, "connection", "autoconnect"),
                    *mac = ini_value (text, "ethernet", "mac-address"),
                    *mac2 = ini_value (text, "802-3-ethernet", "mac-address"),
                    *four = ini_value (text, "ipv4", "method"),
                    *six = ini_value (text, "ipv6", "method");
  struct card *c;

  if (!type || (strcmp (type, "ethernet") != 0 &&
                strcmp (type, "802-3-ethernet") != 0))
    return 0;
  c = add_card (to, name && *name ? name : "*", path, e);
  if (!c)
    return -1;
  c->started = !on || is_yes (on);
  c->dhcp4 = !four || !strcmp (four, "auto");
  c->static4 = four && !strcmp (four, "manual");
  c->static6 = six && !strcmp (six, "manual");
  c->auto6 = !c->dhcp4 && !c->static4 &&
             (!six || !strcmp (six, "auto") || !strcmp (six, "dhcp"));
  c->mac = steal_ptr (mac && *mac ? &mac : &mac2);
  return 0;
}

/* --- netplan --------------------------------------------------------- */

/* The value of KEY in mapping NODE, or NULL. */
static yaml_node_t *
yaml_get (yaml_document_t *doc, yaml_node_t *node, const char *key)
{
  if (!node || node->type != YAML_MAPPING_NODE)
    return NULL;
  for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
       p < node->data.mapping.pairs.top; p++) {
    yaml_node_t *k = yaml_document_get_node (doc, p->key);
    if (k && k->type == YAML_SCALAR_NODE &&
        !strcmp ((char *) k->data.scalar.value, key))
      return yaml_document_get_node (doc, p->value);
  }
  return NULL;
}

static const char *
yaml_text (yaml_node_t *node)
{
  return node && node->type == YAML_SCALAR_NODE
             ? (const char *) node->data.scalar.value
             : NULL;
}

static void
netplan_addresses (yaml_document_t *doc, yaml_node_t *list, struct card *c)
{
  if (!list || list->type != YAML_SEQUENCE_NODE)
    return;
  for (yaml_node_item_t *i = list->data.sequence.items.start;
       i < list->data.sequence.items.top; i++) {
    yaml_node_t *n = yaml_document_get_node (doc, *i);
    const char *s = yaml_text (n);
    /* With options it is the key of a mapping. */
    if (n->type == YAML_MAPPING_NODE &&
        n->data.mapping.pairs.start < n->data.mapping.pairs.top)
      s = yaml_text (
          yaml_document_get_node (doc, n->data.mapping.pairs.start->key));
    if (s && strchr (s, ':'))
      c->static6 = true;
    else if (s)
      c->static4 = true;
  }
}

/* Replaces *TO by a copy of TEXT, if there is one. */
static int
replace (char **to, const char *text, struct err *e)
{
  char *copy = text ? strdup (text) : NULL;

  if (!text)
    return 0;
  if (!copy)
    return err_set (e, ENOMEM, "out of memory");
  free (*to);
  *to = copy;
  return 0;
}

/* The card of definition ID, which an earlier file may have begun. */
static struct card *
netplan_begin (const char *id, const char *path, struct card_vec *to,
               struct err *e)
{
  struct card *c = NULL;

  for (size_t i = 0; i < to->len; i++)
    if (to->items[i].id && !strcmp (to->items[i].id, id))
      return replace (&to->items[i].source, path, e) == -1 ? NULL
                                                           : &to->items[i];
  if (!(c = add_card (to, id, path, e)) || replace (&c->id, id, e) == -1)
    return NULL;
  c->started = true;
  return c;
}

static void
netplan_flag (yaml_document_t *doc, yaml_node_t *node, const char *key,
              bool *to)
{
  const char *text = yaml_text (yaml_get (doc, node, key));

  if (text)
    *to = is_yes (text) || !strcasecmp (text, "y");
}

/* Does `driver` of a match, a pattern or several, leave virtio's card out?
 * *RET: one of them. */
static bool
is_other_driver (yaml_document_t *doc, yaml_node_t *node, const char **ret)
{
  yaml_node_item_t *i;
  const char *s = yaml_text (node);

  *ret = s;
  if (s)
    return fnmatch (s, "virtio_net", 0) != 0;
  if (!node || node->type != YAML_SEQUENCE_NODE)
    return false;
  for (i = node->data.sequence.items.start; i < node->data.sequence.items.top;
       i++) {
    s = yaml_text (yaml_document_get_node (doc, *i));
    if (s && fnmatch (s, "virtio_net", 0) == 0)
      return false;
    *ret = s ? s : *ret;
  }
  return *ret;
}

/* What a later file says replaces what an earlier one said; addresses are
 * added. */
static int
netplan_card (yaml_document_t *doc, const char *id, yaml_node_t *node,
              const char *path, struct card_vec *to, struct err *e)
{
  yaml_node_t *match = yaml_get (doc, node, "match");
  const char *name = yaml_text (yaml_get (doc, match, "name")),
             *mac = yaml_text (yaml_get (doc, match, "macaddress")),
             *renamed = yaml_text (yaml_get (doc, node, "set-name")),
             *mode = yaml_text (yaml_get (doc, node, "activation-mode"));
  struct card *c = netplan_begin (id, path, to, e);
  const char *driver;

  if (!c)
    return -1;
  if (is_other_driver (doc, yaml_get (doc, match, "driver"), &driver) && !mac)
    mac = driver;
  if (match && !name)
    name = renamed ? renamed : "*";
  if (replace (&c->name, name, e) == -1 || replace (&c->mac, mac, e) == -1)
    return -1;
  if (mode)
    c->started = strcmp (mode, "manual") != 0 && strcmp (mode, "off") != 0;
  netplan_flag (doc, node, "dhcp4", &c->dhcp4);
  netplan_flag (doc, node, "dhcp6", &c->auto6);
  netplan_addresses (doc, yaml_get (doc, node, "addresses"), c);
  return 0;
}

static int
netplan_document (yaml_document_t *doc, const char *path, struct card_vec *to,
                  struct err *e)
{
  yaml_node_t *network = yaml_get (doc, yaml_document_get_root_node (doc),
                                   "network"),
              *cards = yaml_get (doc, network, "ethernets");

  if (!cards || cards->type != YAML_MAPPING_NODE)
    return 0;
  for (yaml_node_pair_t *p = cards->data.mapping.pairs.start;
       p < cards->data.mapping.pairs.top; p++) {
    const char *id = yaml_text (yaml_document_get_node (doc, p->key));
    if (id && netplan_card (doc, id, yaml_document_get_node (doc, p->value),
                            path, to, e) == -1)
      return -1;
  }
  return 0;
}

static int
netplan_file (const struct vfs *v unused_arg, const char *path, char *text,
              struct card_vec *to, struct err *e)
{
  yaml_parser_t parser;
  yaml_document_t doc;
  int r;

  if (yaml_is_bounded (text, e) == -1)
    return -1;
  if (!yaml_parser_initialize (&parser))
    return err_set (e, ENOMEM, "out of memory");
  yaml_parser_set_input_string (&parser, (const void *) text, strlen (text));
  r = yaml_parser_load (&parser, &doc)
          ? 0
          : err_set (e, EINVAL, "is not valid YAML");
  if (r == 0) {
    r = netplan_document (&doc, path, to, e);
    yaml_document_delete (&doc);
  }
  yaml_parser_delete (&parser);
  return r;
}

int
network_config_add_netplan (const struct vfs *v, const char *path,
                            struct card_vec *to, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  size_t before = to->len;
  int r = guest_text (v, path, &text, e);

  if (r == 1 && text.data && netplan_file (v, path, text.data, to, e) == -1)
    return err_in (e, "%s", path);
  return r == -1 ? -1 : to->len > before;
}

struct netplan {
  const struct vfs *v;
  struct card_vec *to;
};

static int
take_netplan (void *arg, const char *path, struct err *e)
{
  struct netplan *n = arg;

  return network_config_add_netplan (n->v, path, n->to, e) == -1 ? -1 : 0;
}

int
network_config_read (const struct vfs *v, struct card_vec *to, struct err *e)
{
  static const struct {
    const char *dir, *prefix, *suffix;
    file_fn fn;
  } places[] = {
    { "/etc/sysconfig/network-scripts", "ifcfg-", "", ifcfg_file },
    { "/etc/sysconfig/network", "ifcfg-", "", ifcfg_file },
    { "/etc/systemd/network", "", ".network", networkd_file },
    { "/usr/lib/systemd/network", "zz-", ".network", networkd_file },
    { "/etc/NetworkManager/system-connections", "", "", keyfile_file },
  };

  struct netplan netplan = { v, to };

  if (from_interfaces (v, to, e) == -1 ||
      each_layered_file (v, "/etc/netplan", "/lib/netplan", ".yaml",
                         take_netplan, &netplan, e) == -1)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (places); i++)
    if (each_file (v, places[i].dir, places[i].prefix, places[i].suffix,
                   places[i].fn, to, e) == -1)
      return -1;
  return 0;
}
