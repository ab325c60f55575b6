/* xrayfs: would cloud-init run at first boot?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Installed is a program, its Python package and /etc/cloud/cloud.cfg: a
 * package database alone would miss the source and pip installs that
 * providers allow, and believe in a package whose files are gone.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/startup.h"
#include "inspect/windows.h"

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
  fact_free (&c->forced_import);
  free (c->network_by);
  c->network_by = NULL;
  c->cdrom_late = false;
  c->network = CLOUD_NETWORK_UNSET;
}

/* --- the three parts ------------------------------------------------- */

/* What looks in a directory that may have a bin and a lib.  Non-zero stops.
 */
typedef int (*prefix_fn) (const struct vfs *, const char *prefix, char **ret,
                          struct err *);

/* FN for each directory in DIR, and LEVELS below them.  Who keeps programs in
 * /opt/X has a handful of names there: one with thousands holds data. */
static int
each_directory (const struct vfs *v, const char *dir, unsigned levels,
                char **ret, prefix_fn fn, struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = "" };
  int r = names_in (v, dir, &l, e);

  if (r == -1 && e->code == EFBIG && !levels) {
    err_clear (e);
    return 0;
  }
  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_FREE char *sub = path_printf (e, "%s/%s", dir, l.list.items[i]);
    r = sub ? fn (v, sub, ret, e) : -1;
    if (r == 0 && levels)
      r = each_directory (v, sub, levels - 1, ret, fn, e);
  }
  return r;
}

/* FN for /usr and its like, and for what is in /opt and one below. */
static int
each_prefix (const struct vfs *v, char **ret, prefix_fn fn, struct err *e)
{
  static const char *const dirs[] = { "/usr", "/usr/local", "", "/opt" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++)
    r = fn (v, dirs[i], ret, e);
  return r ? r : each_directory (v, "/opt", 1, ret, fn, e);
}

static int
find_program (const struct vfs *v, const char *prefix, char **ret,
              struct err *e)
{
  return there_printf (v, false, ret, e, "%s/bin/cloud-init", prefix);
}

/* The package cloudinit in DIR, a directory of Python's packages: as such, or
 * in an egg (a directory or a zip), as `setup.py install` makes it. */
static int
find_package_at (const struct vfs *v, const char *dir, char **ret,
                 struct err *e)
{
  CLEANUP_NAMES struct names eggs = { .prefix = "cloud_init-",
                                      .suffix = ".egg" };
  int r = there_printf (v, false, ret, e, "%s/cloudinit/__init__.py", dir);

  if (r == 0) /* one that lacks it is a package as well */
    r = there_printf (v, false, ret, e, "%s/cloudinit/version.py", dir);
  if (r == 0)
    r = names_in (v, dir, &eggs, e);
  for (size_t i = 0; r == 0 && i < eggs.list.len; i++) {
    CLEANUP_FREE char *path =
        path_printf (e, "%s/%s", dir, eggs.list.items[i]);
    struct fs_stat st;
    if (!path || vfs_stat (v, path, 0, &st, e) == -1)
      return -1;
    r = there_printf (v, false, ret, e, "%s%s", path,
                      S_ISREG (st.mode) ? "" : "/cloudinit/__init__.py");
  }
  return r;
}

/* The directories of Python's packages in PREFIX/lib and lib64; pymodules is
 * Debian's of the time of Python 2.6. */
static int
find_package (const struct vfs *v, const char *prefix, char **ret,
              struct err *e)
{
  static const struct {
    const char *lib, *kind;
  } places[] = { { "lib", "/dist-packages" },
                 { "lib", "/site-packages" },
                 { "lib64", "/site-packages" },
                 { "lib64", "/dist-packages" },
                 { "lib/pymodules", "" } };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (places); i++) {
    CLEANUP_NAMES struct names pythons = { .prefix = "python", .suffix = "" };
    CLEANUP_FREE char *lib = path_printf (e, "%s/%s", prefix, places[i].lib);
    r = lib ? names_in (v, lib, &pythons, e) : -1;
    for (size_t k = 0; r == 0 && k < pythons.list.len; k++) {
      CLEANUP_FREE char *dir = path_printf (
          e, "%s/%s%s", lib, pythons.list.items[k], places[i].kind);
      r = dir ? find_package_at (v, dir, ret, e) : -1;
    }
  }
  return r;
}

/* The text in the first quotes behind KEY. */
static bool
quoted_behind (const char *text, const char *key, const char **ret,
               size_t *ret_len)
{
  const char *p = strstr (text, key), *end;

  p = p ? p + strlen (key) : "";
  p += strcspn (p, "\"'\n");
  if (*p != '"' && *p != '\'')
    return false;
  end = strchr (p + 1, *p);
  *ret = p + 1;
  *ret_len = end ? (size_t) (end - p - 1) : 0;
  return *ret_len > 0;
}

/* PACKAGE is cloudinit/__init__.py, version.py or an egg. */
static int
find_version (const struct vfs *v, const char *package, struct cloud_init *c,
              struct err *e)
{
  /* Since 26.1, since 0.7.9, since 0.7.0. */
  static const struct {
    const char *file, *key;
  } places[] = { { "meson_versions.py", "UPSTREAM_VERSION =" },
                 { "version.py", "__VERSION__ =" },
                 { "version.py", "StrictVersion(" } };
  CLEANUP_BUF struct buf text = { 0 };
  const char *egg = strstr (package, "/cloud_init-"), *p;
  size_t len, version_len;

  if (egg) {
    egg += strlen ("/cloud_init-");
    len = strcspn (egg, "-/");
    fact_evidence (&c->version, "%s: its name", package);
    return fact_set (&c->version, e, "%.*s", (int) len, egg);
  }
  len = (size_t) (strrchr (package, '/') - package);
  for (size_t i = 0; i < ARRAY_SIZE (places); i++) {
    CLEANUP_FREE char *path =
        path_printf (e, "%.*s/%s", (int) len, package, places[i].file);
    if (!path)
      return -1;
    if (guest_text (v, path, &text, e) == -1)
      return fact_could_not_look (&c->version, e);
    if (!quoted_behind (buf_str (&text), places[i].key, &p, &version_len))
      continue;
    fact_evidence (&c->version, "%s: %s", path, places[i].key);
    return fact_set (&c->version, e, "%.*s", (int) version_len, p);
  }
  return fact_unknown (&c->version, e, "%.*s: no version in it", (int) len,
                       package);
}

/* What configures a guest in cloud-init's place, or NULL. */
static int
find_other (const struct vfs *v, const char **ret, char **ret_path,
            struct err *e)
{
  static const struct {
    const char *path, *name;
  } others[] = {
    { "/usr/bin/coreos-cloudinit", "coreos-cloudinit" },
    { "/usr/lib/dracut/modules.d/30ignition", "Ignition" },
    { "/usr/lib/dracut/modules.d/99ignition", "Ignition" },
    { "/usr/bin/ignition", "Ignition" },
    { "/usr/libexec/ignition", "Ignition" },
    { "/usr/lib/ignition", "Ignition" },
  };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (others); i++) {
    *ret = others[i].name;
    r = there_printf (v, false, ret_path, e, "%s", others[i].path);
  }
  return r;
}

static int
decide_absent (const struct vfs *v, struct fact *f, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  const char *name = NULL;
  int r = find_other (v, &name, &path, e);

  if (r == -1)
    return fact_could_not_look (f, e);
  if (r == 1) {
    fact_evidence (f, "%s: there", path);
    if (fact_reason (f, e,
                     "%s configures this system at its first boot, in place"
                     " of cloud-init",
                     name) == -1)
      return -1;
  }
  return fact_set (f, e, "no");
}

static int
decide_installed (const struct vfs *v, struct cloud_init *c, struct err *e)
{
  CLEANUP_FREE char *program = NULL, *package = NULL;
  struct fact *f = &c->installed;
  int have_program = each_prefix (v, &program, find_program, e), have_package,
      have_cfg;

  if (have_program == -1 ||
      (have_package = each_prefix (v, &package, find_package, e)) == -1 ||
      (have_cfg = vfs_exists (v, "/etc/cloud/cloud.cfg", e)) == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "program: %s", program ? program : "none");
  fact_evidence (f, "Python package: %s", package ? package : "none");
  fact_evidence (f, "/etc/cloud/cloud.cfg: %s", have_cfg ? "there" : "none");
  if (!have_program && !have_package)
    return decide_absent (v, f, e);
  if (have_program != have_package)
    return fact_unknown (f, e, "%s is there, and %s was not found",
                         have_program ? program : package,
                         have_program ? "its Python package"
                                      : "the program cloud-init");
  if (find_version (v, package, c, e) == -1)
    return -1;
  if (!have_cfg &&
      fact_reason (f, e, "/etc/cloud/cloud.cfg is not there") == -1)
    return -1;
  return fact_set (f, e, have_cfg ? "yes" : "no");
}

/* --- the answer ------------------------------------------------------ */

static struct fact *const *
facts_of (struct cloud_init *c, struct fact *ret[9])
{
  ret[0] = &c->installed;
  ret[1] = &c->flavour;
  ret[2] = &c->version;
  ret[3] = &c->installed_as;
  ret[4] = &c->enabled;
  ret[5] = &c->disabled_by;
  ret[6] = &c->datasources;
  ret[7] = &c->config_files;
  ret[8] = &c->forced_import;
  return ret;
}

static int
all_unknown (struct cloud_init *c, const char *why, struct err *e)
{
  struct fact *facts[9];

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
  struct fact *facts[9];

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

/* Where ds-identify is run by systemd's generator, that is before any driver
 * is loaded from the root filesystem: a drive that needs one is not there
 * yet, and where nothing else is found cloud-init does not start.  A provider
 * may attach the configuration otherwise than as a CD-ROM, so this is no
 * `no`. OpenRC runs it after hwdrivers. */
static int
check_drive (struct image *img, const struct identify *id,
             struct cloud_init *c, struct err *e)
{
  const struct virtio *virtio;

  if (!id->asked || !id->early || !id->by_search ||
      !fact_is (&c->enabled, "yes"))
    return 0;
  virtio = image_virtio (img, e);
  if (!virtio)
    return -1;
  if (!fact_is (&virtio->cdrom, "module"))
    return 0;
  c->cdrom_late = true;
  if (fact_unknown (&c->enabled, e,
                    "ds-identify looks for the configuration drive before"
                    " drivers are loaded from the root filesystem, and sr_mod"
                    " is neither built in nor in the initramfs: a CD-ROM is"
                    " not found") == -1)
    return -1;
  return fact_unknown (&c->disabled_by, e, "%s", c->enabled.reason);
}

static int
decide_start (struct image *img, const struct vfs *v, const struct boot *b,
              const struct os *os, struct cloud_init *c, struct err *e)
{
  __attribute__ ((cleanup (cloud_init_identify_free))) struct identify id;

  if (cloud_init_identify (v, b->cmdline.value ? b->cmdline.value : "", os,
                           &id, e) == -1)
    return fact_could_not_look (&c->enabled, e) == -1 ||
                   fact_unknown (&c->disabled_by, e, "%s",
                                 c->enabled.reason) == -1 ||
                   fact_unknown (&c->config_files, e, "%s",
                                 c->enabled.reason) == -1
               ? -1
               : fact_unknown (&c->datasources, e, "%s", c->enabled.reason);
  return cloud_init_decide_datasources (v, b, &id, c, e) == -1 ||
                 cloud_init_decide_enabled (v, b, os, &id, c, e) == -1 ||
                 check_drive (img, &id, c, e) == -1
             ? -1
             : 0;
}

int
cloud_init_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct cloud_init *c = &img->cloud_init;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const struct os *os = b ? image_os (img, e) : NULL;

  if (!os)
    return -1;
  cloud_init_free (c);
  if (!g->root)
    return all_unknown (c,
                        g->family.value ? "there is no operating system"
                                        : g->family.reason,
                        e);
  if (guest_is_windows (g))
    return cloudbase_compute (g, c, e) == -1
               ? -1
               : fact_set (&c->forced_import, e, "no");
  if (decide_installed (&g->vfs, c, e) == -1 ||
      forced_import_decide (&g->vfs, os->init.value, &c->forced_import, e) ==
          -1)
    return -1;
  if (fact_is (&c->installed, "yes") &&
      decide_start (img, &g->vfs, b, os, c, e) == -1)
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

/* --- how it was installed -------------------------------------------- */

/* Is there a package of that name in LIST, of lines that begin with it? */
static bool
has_package (const char *list, const char *name)
{
  size_t len = strlen (name);

  for (const char *p = list; *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, name, len) && p[len] == '\t')
      return true;
  return false;
}

/* Apart from the rest: a package database may be long to read. */
int
cloud_init_package_compute (void *arg, struct err *e)
{
  static const char *const names[] = { "cloud-init", "cloud-init-base" };
  struct image *img = arg;
  struct fact *f = &img->cloud_init_package;
  const struct cloud_init *c = image_cloud_init (img, e);
  const struct fact *list;
  const char *as = "source";

  if (!c)
    return -1;
  fact_free (f);
  if (!fact_is (&c->flavour, "cloud-init"))
    return c->installed_as.value
               ? fact_set (f, e, "%s", c->installed_as.value)
               : fact_unknown (f, e, "%s", c->installed_as.reason);
  if (!(list = image_packages (img, e)))
    return -1;
  if (!fact_known (list))
    return fact_unknown (f, e, "%s", list->reason);
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (has_package (list->value, names[i]))
      as = "package";
  fact_evidence (f, "os/packages: cloud-init is %s",
                 !strcmp (as, "package") ? "among them" : "not among them");
  return fact_set (f, e, "%s", as);
}
