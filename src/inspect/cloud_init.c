/* xrayfs: would cloud-init run at first boot?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Installed is a program, its Python package and /etc/cloud/cloud.cfg: a
 * package database alone would miss the source and pip installs that
 * providers allow, and believe in a package whose files are gone.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/windows.h"

#define DPKG_STATUS_MAX ((size_t) 64 << 20)

void
cloud_init_free (struct cloud_init *c)
{
  fact_free (&c->would_run);
  fact_free (&c->installed);
  fact_free (&c->flavour);
  fact_free (&c->version);
  fact_free (&c->installed_as);
  fact_free (&c->enabled);
  fact_free (&c->disabled_by);
  fact_free (&c->datasources);
  fact_free (&c->config_files);
}

/* --- the three parts ------------------------------------------------- */

/* 1: *RET (freed by the caller) is the first that is there; 0; -1. */
static int
first_there (const struct vfs *v, const char *const *paths, size_t n,
             char **ret, struct err *e)
{
  for (size_t i = 0; i < n; i++) {
    int r = vfs_exists (v, paths[i], e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = strdup (paths[i]);
      return *ret ? 1 : err_set (e, ENOMEM, "out of memory");
    }
  }
  return 0;
}

static int try_path (const struct vfs *v, char **ret, struct err *e,
                     const char *fmt, ...) printf_like (4, 5);

static int
try_path (const struct vfs *v, char **ret, struct err *e, const char *fmt,
          ...)
{
  CLEANUP_FREE char *path = NULL;
  va_list ap;
  int r;

  va_start (ap, fmt);
  r = vasprintf (&path, fmt, ap);
  va_end (ap);
  if (r == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = vfs_exists (v, path, e);
  if (r == 1)
    *ret = steal_ptr (&path);
  return r;
}

static int
find_program (const struct vfs *v, char **ret, struct err *e)
{
  static const char *const paths[] = { "/usr/bin/cloud-init",
                                       "/usr/local/bin/cloud-init",
                                       "/bin/cloud-init",
                                       "/opt/bin/cloud-init" };
  CLEANUP_NAMES struct names opt = { .prefix = "", .suffix = "" };
  int r = first_there (v, paths, ARRAY_SIZE (paths), ret, e);

  if (r != 0)
    return r;
  if (names_in (v, "/opt", &opt, e) == -1)
    return -1;
  for (size_t i = 0; r == 0 && i < opt.list.len; i++)
    r = try_path (v, ret, e, "/opt/%s/bin/cloud-init", opt.list.items[i]);
  return r;
}

/* cloudinit/version.py in DIR/python*(3)/{dist,site}-packages. */
static int
find_package_in (const struct vfs *v, const char *dir, char **ret,
                 struct err *e)
{
  CLEANUP_NAMES struct names pythons = { .prefix = "python", .suffix = "" };
  static const char *const kinds[] = { "dist-packages", "site-packages" };
  int r = 0;

  if (names_in (v, dir, &pythons, e) == -1)
    return -1;
  for (size_t i = 0; r == 0 && i < 2 * pythons.list.len; i++)
    r = try_path (v, ret, e, "%s/%s/%s/cloudinit/version.py", dir,
                  pythons.list.items[i / 2], kinds[i % 2]);
  return r;
}

static int
find_package (const struct vfs *v, char **ret, struct err *e)
{
  static const char *const dirs[] = { "/usr/lib", "/usr/local/lib",
                                      "/usr/lib64", "/usr/local/lib64" };
  CLEANUP_NAMES struct names opt = { .prefix = "", .suffix = "" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++)
    r = find_package_in (v, dirs[i], ret, e);
  if (r != 0 || names_in (v, "/opt", &opt, e) == -1)
    return r ? r : -1;
  for (size_t i = 0; r == 0 && i < opt.list.len; i++) {
    CLEANUP_FREE char *dir = NULL;
    if (asprintf (&dir, "/opt/%s/lib", opt.list.items[i]) == -1) {
      dir = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = find_package_in (v, dir, ret, e);
  }
  return r;
}

static int
find_version (const struct vfs *v, const char *package, struct cloud_init *c,
              struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *p;
  int r = guest_text (v, package, &text, e);

  if (r == -1)
    return fact_could_not_look (&c->version, e);
  p = strstr (buf_str (&text), "__VERSION__ =");
  p = p ? p + strcspn (p, "\"'\n") : "";
  if (*p != '"' && *p != '\'')
    return fact_unknown (&c->version, e, "%s: no __VERSION__", package);
  p++;
  fact_evidence (&c->version, "%s: __VERSION__", package);
  return fact_set (&c->version, e, "%.*s", (int) strcspn (p, "\"'\n"), p);
}

static int
find_installed_as (const struct vfs *v, struct cloud_init *c, struct err *e)
{
  CLEANUP_BUF struct buf status = { 0 };
  const char *p;
  int r;

  if (vfs_read (v, "/var/lib/dpkg/status", DPKG_STATUS_MAX, &status, e) ==
      -1) {
    if (!err_is_absent (e))
      return fact_could_not_look (&c->installed_as, e);
    err_clear (e);
    r = vfs_exists (v, "/var/lib/rpm", e);
    if (r == 0)
      r = vfs_exists (v, "/usr/lib/sysimage/rpm", e);
    if (r == -1)
      return fact_could_not_look (&c->installed_as, e);
    return r ? fact_unknown (&c->installed_as, e,
                             "the rpm database is not read")
             : fact_set (&c->installed_as, e, "source");
  }
  p = strstr (buf_str (&status), "Package: cloud-init\n");
  if (p && (p == status.data || p[-1] == '\n')) {
    p += strlen ("Package: cloud-init\n");
    if (!strncmp (p, "Status: install ok installed\n", 29)) {
      fact_evidence (&c->installed_as,
                     "/var/lib/dpkg/status: cloud-init is installed");
      return fact_set (&c->installed_as, e, "package");
    }
  }
  fact_evidence (&c->installed_as,
                 "/var/lib/dpkg/status: cloud-init is not installed");
  return fact_set (&c->installed_as, e, "source");
}

static int
decide_installed (const struct vfs *v, struct cloud_init *c, struct err *e)
{
  CLEANUP_FREE char *program = NULL, *package = NULL;
  struct fact *f = &c->installed;
  int have_program = find_program (v, &program, e), have_package, have_cfg;

  if (have_program == -1 ||
      (have_package = find_package (v, &package, e)) == -1 ||
      (have_cfg = vfs_exists (v, "/etc/cloud/cloud.cfg", e)) == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "program: %s", program ? program : "none");
  fact_evidence (f, "Python package: %s", package ? package : "none");
  fact_evidence (f, "/etc/cloud/cloud.cfg: %s", have_cfg ? "there" : "none");
  if (!have_program && !have_package)
    return fact_set (f, e, "no");
  if (have_program != have_package)
    return fact_unknown (f, e, "%s is there, and %s was not found",
                         have_program ? program : package,
                         have_program ? "its Python package"
                                      : "the program cloud-init");
  if (find_version (v, package, c, e) == -1 ||
      find_installed_as (v, c, e) == -1)
    return -1;
  if (!have_cfg &&
      fact_reason (f, e, "/etc/cloud/cloud.cfg is not there") == -1)
    return -1;
  return fact_set (f, e, have_cfg ? "yes" : "no");
}

/* --- enabled --------------------------------------------------------- */

static int
disable (struct cloud_init *c, struct err *e, const char *by)
{
  fact_evidence (&c->enabled, "disabled by %s", by);
  if (fact_set (&c->disabled_by, e, "%s", by) == -1)
    return -1;
  return fact_set (&c->enabled, e, "no");
}

/* Is there a link of that name to /dev/null?  1, 0, -1. */
static int
is_masked (const struct vfs *v, const char *path, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct vfs_node n;
  struct fs_stat st;

  if (vfs_walk (v, path, VFS_NOFOLLOW, &n, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return -1;
  if (!S_ISLNK (st.mode))
    return 0;
  if (fs_readlink (vfs_fs (v, n), n.ino, &target, e) == -1)
    return -1;
  return !strcmp (buf_str (&target), "/dev/null");
}

/* Does ds-identify's configuration switch cloud-init off ("policy:
 * disabled")?  1, 0, -1. */
static int
policy_of_ds_identify (const struct vfs *v, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, "/etc/cloud/ds-identify.cfg", &text, e);
  bool disabled = false;

  if (r == -1)
    return -1;
  for (const char *p = buf_str (&text); *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *s = p + strspn (p, " \t");
    if (strncmp (s, "policy:", 7))
      continue;
    s += 7;
    s += strspn (s, " \t\"'");
    disabled = !strncmp (s, "disabled", 8);
  }
  return disabled;
}

/* 1: something disables it; 0: nothing does; -1: could not look. */
static int
look_for_disabling (const struct vfs *v, const struct boot *b,
                    struct cloud_init *c, struct err *e)
{
  static const char *const units[] = {
    "/etc/systemd/system/cloud-init.target",
    "/etc/systemd/system/cloud-init.service",
    "/etc/systemd/system/cloud-init-local.service",
    "/etc/systemd/system/cloud-init-main.service",
    "/etc/systemd/system/cloud-config.service",
    "/etc/systemd/system/cloud-final.service",
    "/etc/systemd/system-generators/cloud-init-generator"
  };
  const char *cmdline = b->cmdline.value ? b->cmdline.value : "", *word;
  int r = vfs_exists (v, "/etc/cloud/cloud-init.disabled", e);

  if (r == -1)
    return -1;
  if (r == 1)
    return disable (c, e, "/etc/cloud/cloud-init.disabled") ? -1 : 1;
  word = cmdline_word (cmdline, "cloud-init=");
  if (word && strcspn (word, " \t") == 19 &&
      !strncmp (word, "cloud-init=disabled", 19))
    return disable (c, e, "cloud-init=disabled on the kernel command line")
               ? -1
               : 1;
  for (size_t i = 0; i < ARRAY_SIZE (units); i++) {
    char by[128];
    r = is_masked (v, units[i], e);
    if (r == -1)
      return -1;
    if (r == 0)
      continue;
    snprintf (by, sizeof by, "%s (masked)", units[i]);
    return disable (c, e, by) ? -1 : 1;
  }
  if ((r = policy_of_ds_identify (v, e)) != 0)
    return r == 1 &&
                   disable (c, e, "/etc/cloud/ds-identify.cfg (policy)") == 0
               ? 1
               : -1;
  if (!b->cmdline.value)
    return err_set (e, EIO, "the kernel command line is not known: %s",
                    b->cmdline.reason);
  return 0;
}

/* 1: *RET says what starts it; 0; -1. */
static int
look_for_start (const struct vfs *v, char **ret, struct err *e)
{
  static const char *const paths[] = {
    "/etc/systemd/system/cloud-init.target.wants/cloud-init.service",
    "/etc/systemd/system/cloud-init.target.wants/cloud-init-main.service",
    "/etc/systemd/system/cloud-init.target.wants/cloud-init-network.service",
    "/etc/systemd/system/multi-user.target.wants/cloud-init.service",
    "/etc/systemd/system/multi-user.target.wants/cloud-init-main.service",
    "/etc/systemd/system/multi-user.target.wants/cloud-final.service",
    "/usr/lib/systemd/system/cloud-init.target.wants/cloud-init.service",
    "/usr/lib/systemd/system/cloud-init.target.wants/cloud-init-main.service",
    "/usr/lib/systemd/system/multi-user.target.wants/cloud-init.service",
    "/lib/systemd/system/cloud-init.target.wants/cloud-init.service",
    "/lib/systemd/system/multi-user.target.wants/cloud-init.service",
    "/etc/init/cloud-init.conf",
    "/etc/runlevels/default/cloud-init",
    "/etc/runlevels/boot/cloud-init",
    "/etc/runlevels/boot/cloud-init-local",
  };
  static const char *const rc[] = { "/etc/rc2.d",      "/etc/rc3.d",
                                    "/etc/rc5.d",      "/etc/rcS.d",
                                    "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d",
                                    "/etc/rc.d/rc2.d" };
  struct vfs_node n;

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    if (vfs_walk (v, paths[i], VFS_NOFOLLOW, &n, e) == 0) {
      *ret = strdup (paths[i]);
      return *ret ? 1 : err_set (e, ENOMEM, "out of memory");
    }
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
  }
  for (size_t i = 0; i < ARRAY_SIZE (rc); i++) {
    CLEANUP_NAMES struct names l = { .prefix = "S", .suffix = "cloud-init" };
    if (names_in (v, rc[i], &l, e) == -1)
      return -1;
    if (l.list.len == 0)
      continue;
    if (asprintf (ret, "%s/%s", rc[i], l.list.items[0]) == -1)
      return err_set (e, ENOMEM, "out of memory");
    return 1;
  }
  return 0;
}

/* The generator pulls in a target; the services are pulled in by links of
 * that target, which `systemctl disable` takes away. */
static int
generator_alone (const struct vfs *v, struct cloud_init *c, struct err *e)
{
  static const char *const paths[] = {
    "/usr/lib/systemd/system-generators/cloud-init-generator",
    "/lib/systemd/system-generators/cloud-init-generator",
  };
  CLEANUP_FREE char *found = NULL;
  int r = first_there (v, paths, ARRAY_SIZE (paths), &found, e);

  if (r == -1)
    return fact_could_not_look (&c->enabled, e) == -1
               ? -1
               : fact_unknown (&c->disabled_by, e, "%s", c->enabled.reason);
  if (r == 0)
    return 0;
  fact_evidence (&c->enabled, "%s: there", found);
  if (fact_unknown (&c->enabled, e,
                    "%s is there, and no link starts the services",
                    found) == -1 ||
      fact_unknown (&c->disabled_by, e, "%s", c->enabled.reason) == -1)
    return -1;
  return 0;
}

static int
decide_enabled (const struct vfs *v, const struct boot *b,
                struct cloud_init *c, struct err *e)
{
  CLEANUP_FREE char *start = NULL;
  int r = look_for_disabling (v, b, c, e);

  if (r == 1)
    return 0;
  if (r == 0)
    r = look_for_start (v, &start, e);
  if (r == -1)
    return fact_could_not_look (&c->enabled, e) == -1
               ? -1
               : fact_unknown (&c->disabled_by, e, "%s", c->enabled.reason);
  fact_evidence (&c->enabled, "started by: %s", start ? start : "nothing");
  if (r == 0 && generator_alone (v, c, e) == -1)
    return -1;
  if (c->enabled.reason)
    return 0; /* unknown */
  if (fact_set (&c->disabled_by, e, "%s",
                r ? "" : "no start-up unit, link or job is enabled") == -1)
    return -1;
  return fact_set (&c->enabled, e, r ? "yes" : "no");
}

/* --- data sources ---------------------------------------------------- */

/* A YAML stream's top-level mapping: its datasource_list, if it has one,
 * replaces what LIST holds.  Returns 0, or -1 if it is not YAML. */
static int
read_datasource_list (const struct buf *text, struct buf *list, bool *ret_set)
{
  yaml_parser_t parser;
  yaml_document_t doc;
  yaml_node_t *root, *key, *value;
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
      value = yaml_document_get_node (&doc, p->value);
      if (key->type != YAML_SCALAR_NODE ||
          strcmp ((char *) key->data.scalar.value, "datasource_list") ||
          value->type != YAML_SEQUENCE_NODE)
        continue;
      buf_reset (list);
      *ret_set = true;
      for (yaml_node_item_t *i = value->data.sequence.items.start;
           i < value->data.sequence.items.top; i++) {
        yaml_node_t *item = yaml_document_get_node (&doc, *i);
        if (item->type != YAML_SCALAR_NODE)
          continue;
        if (list->len)
          buf_puts (list, "\n");
        buf_add_line_text (list, (char *) item->data.scalar.value,
                           item->data.scalar.length);
      }
    }
  yaml_document_delete (&doc);
  yaml_parser_delete (&parser);
  return r;
}

struct config {
  struct buf files, datasources;
  bool set;  /* a datasource_list was found */
  char *bad; /* a file that is not YAML */
};

static void
cleanup_config (struct config *c)
{
  buf_free (&c->files);
  buf_free (&c->datasources);
  free (c->bad);
}

static int
read_config (const struct vfs *v, const char *path, struct config *c,
             struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, path, &text, e);

  if (r <= 0)
    return r;
  buf_printf (&c->files, "%s%s", c->files.len ? "\n" : "", path);
  if (read_datasource_list (&text, &c->datasources, &c->set) == -1 &&
      !c->bad) {
    c->bad = strdup (path);
    if (!c->bad)
      return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
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
  static const char *const keys[] = { " ci.ds=", " ci.datasource=", " ds=" };
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

static int
decide_datasources (const struct vfs *v, const struct boot *b,
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
    return fact_unknown (&c->datasources, e, "%s: is not valid YAML",
                         config.bad);
  fact_evidence (&c->datasources, "datasource_list: %s",
                 config.set ? "set" : "not set: all are tried");
  return fact_set (&c->datasources, e, "%s",
                   config.set ? buf_str (&config.datasources) : "");
}

/* --- the answer ------------------------------------------------------ */

static struct fact *const *
facts_of (struct cloud_init *c, struct fact *ret[8])
{
  ret[0] = &c->installed;
  ret[1] = &c->flavour;
  ret[2] = &c->version;
  ret[3] = &c->installed_as;
  ret[4] = &c->enabled;
  ret[5] = &c->disabled_by;
  ret[6] = &c->datasources;
  ret[7] = &c->config_files;
  return ret;
}

static int
all_unknown (struct cloud_init *c, const char *why, struct err *e)
{
  struct fact *facts[8];

  facts_of (c, facts);
  for (size_t i = 0; i < ARRAY_SIZE (facts); i++)
    if (fact_unknown (facts[i], e, "%s", why) == -1)
      return -1;
  return fact_unknown (&c->would_run, e, "%s", why);
}

/* What was not set is absent; or was not looked for, since it is unknown
 * whether anything is installed. */
static int
settle (struct cloud_init *c, struct err *e)
{
  struct fact *facts[8];

  facts_of (c, facts);
  for (size_t i = 0; i < ARRAY_SIZE (facts); i++)
    if (!facts[i]->value && !facts[i]->reason &&
        (fact_known (&c->installed)
             ? fact_set (facts[i], e, "%s", "")
             : fact_unknown (facts[i], e, "%s", c->installed.reason)) == -1)
      return -1;
  return 0;
}

static int
decide (struct cloud_init *c, struct err *e)
{
  struct fact *f = &c->would_run;

  fact_evidence (f, "installed: %s",
                 c->installed.value ? c->installed.value : "unknown");
  if (fact_is (&c->installed, "no")) {
    if (fact_reason (f, e, "cloud-init is not installed%s%s",
                     c->installed.reason ? ": " : "",
                     c->installed.reason ? c->installed.reason : "") == -1)
      return -1;
    return fact_set (f, e, "no");
  }
  fact_evidence (f, "enabled: %s",
                 c->enabled.value ? c->enabled.value : "unknown");
  if (fact_is (&c->enabled, "no")) {
    if (fact_reason (f, e, "cloud-init is disabled: %s",
                     c->disabled_by.value ? c->disabled_by.value : "") == -1)
      return -1;
    return fact_set (f, e, "no");
  }
  if (!fact_known (&c->installed))
    return fact_unknown (f, e, "%s", c->installed.reason);
  if (!fact_known (&c->enabled))
    return fact_unknown (f, e, "%s", c->enabled.reason);
  return fact_set (f, e, "yes");
}

int
cloud_init_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct cloud_init *c = &img->cloud_init;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;

  if (!b)
    return -1;
  cloud_init_free (c);
  if (!g->root)
    return all_unknown (c,
                        g->family.value ? "there is no operating system"
                                        : g->family.reason,
                        e);
  if (guest_is_windows (g))
    return cloudbase_compute (g, c, e);
  if (decide_installed (&g->vfs, c, e) == -1)
    return -1;
  if (fact_is (&c->installed, "yes") &&
      (decide_enabled (&g->vfs, b, c, e) == -1 ||
       decide_datasources (&g->vfs, b, c, e) == -1))
    return -1;
  if (fact_is (&c->installed, "no")
          ? fact_set (&c->flavour, e, "none") == -1 ||
                fact_set (&c->enabled, e, "no") == -1
      : !fact_known (&c->installed)
          ? fact_unknown (&c->flavour, e, "%s", c->installed.reason) == -1
          : fact_set (&c->flavour, e, "cloud-init") == -1)
    return -1;
  if (settle (c, e) == -1)
    return -1;
  return decide (c, e);
}
