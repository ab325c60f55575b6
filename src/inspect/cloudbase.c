/* xrayfs: would cloudbase-init run at first boot of a Windows?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Installed is its service and the program that the service starts.  What it
 * would ask for is in the configuration file that the service is started
 * with.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/windows.h"

#define SERVICE "cloudbase-init"

static const char *const install_dirs[] = {
  "/Program Files/Cloudbase Solutions/Cloudbase-Init",
  "/Program Files (x86)/Cloudbase Solutions/Cloudbase-Init",
};

struct cloudbase {
  struct windows *w;
  struct cloud_init *c;
  struct buf image; /* ImagePath */
  char *config;     /* path in the guest's tree; NULL: not known */
  char *dir;        /* the directory that it is installed in, or NULL */
};

/* --- the service ----------------------------------------------------- */

/* The value that follows OPTION on the service's command line, which may be
 * quoted. */
static char *
option_value (const char *line, const char *option)
{
  const char *s = strstr (line, option);

  if (!s)
    return NULL;
  s += strlen (option);
  s += strspn (s, " =");
  return *s == '"' ? strndup (s + 1, strcspn (s + 1, "\""))
                   : strndup (s, strcspn (s, " "));
}

static int
find_dir (struct cloudbase *b, struct err *e)
{
  const char *const *dirs = install_dirs;
  int r = 0;

  for (size_t i = 0; i < ARRAY_SIZE (install_dirs) && r == 0; i++) {
    r = vfs_exists (b->w->v, dirs[i], e);
    if (r == 1) {
      fact_evidence (&b->c->installed, "%s: there", dirs[i]);
      b->dir = strdup (dirs[i]);
      return b->dir ? 1 : err_set (e, ENOMEM, "out of memory");
    }
    if (r == 0)
      fact_evidence (&b->c->installed, "%s: not there", dirs[i]);
  }
  return r;
}

#define MAX_BLANKS 32 /* in a path that is not quoted */

/* A program of at least one byte?  1, 0, -1. */
static int
is_program (struct cloudbase *b, const char *path, struct err *e)
{
  struct fs_stat st;

  if (vfs_stat (b->w->v, path, 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    fact_evidence (&b->c->installed, "%s: not there", path);
    return 0;
  }
  fact_evidence (&b->c->installed, "%s: there, %" PRIu64 " bytes", path,
                 st.size);
  return S_ISREG (st.mode) && st.size > 0;
}

/* Is the program there that the service starts?  Unquoted, the arguments
 * follow, and where they begin is not said: Windows tries each blank, with
 * ".exe" added, until there is such a program.  1, 0, -1: not known. */
static int
find_program (struct cloudbase *b, struct err *e)
{
  CLEANUP_FREE char *path = windows_path (b->w->dir, buf_str (&b->image));
  int r = 0;

  if (!path)
    return err_set (e, EIO, "where '%s' lies is not known",
                    buf_str (&b->image));
  if (buf_str (&b->image)[0] == '"')
    return is_program (b, path, e);
  for (size_t n = 0, tries = 0; r == 0 && tries < MAX_BLANKS; n++, tries++) {
    CLEANUP_FREE char *upto = NULL, *exe = NULL;
    n += strcspn (path + n, " ");
    if (asprintf (&upto, "%.*s", (int) n, path) == -1 ||
        asprintf (&exe, "%s.exe", upto) == -1)
      return err_set (e, ENOMEM, "out of memory");
    r = is_program (b, upto, e);
    if (r == 0)
      r = is_program (b, exe, e);
    if (!path[n])
      break;
  }
  return r;
}

static int
decide_installed (struct cloudbase *b, hive_key *ret_service, struct err *e)
{
  struct fact *f = &b->c->installed;
  int r;

  if (find_dir (b, e) == -1)
    return fact_could_not_look (f, e);
  if (windows_find (b->w, "Services\\" SERVICE, ret_service, e) == -1) {
    if (!err_is_absent (e))
      return fact_could_not_look (f, e);
    err_clear (e);
    fact_evidence (f, "%s\\Services\\" SERVICE ": not there", b->w->set_name);
    if (fact_reason (f, e,
                     b->dir ? "its files are there, and no service"
                              " starts it"
                            : "there is no cloudbase-init") == -1)
      return -1;
    return fact_set (f, e, "no");
  }
  if (hive_text (b->w->system.hive, *ret_service, "ImagePath", &b->image,
                 e) == -1) {
    if (err_is_absent (e))
      e->code = EIO; /* a service without a program */
    return fact_could_not_look (f, e);
  }
  fact_evidence (f, "%s\\Services\\" SERVICE ": ImagePath is '%s'",
                 b->w->set_name, buf_str (&b->image));
  r = find_program (b, e);
  if (r == -1)
    return fact_could_not_look (f, e);
  if (r == 0 && fact_reason (f, e,
                             "the program that its service starts is"
                             " not there") == -1)
    return -1;
  return fact_set (f, e, r ? "yes" : "no");
}

static int
decide_enabled (struct cloudbase *b, hive_key service, struct err *e)
{
  struct cloud_init *c = b->c;
  uint64_t start;

  if (hive_number (b->w->system.hive, service, "Start", &start, e) == -1) {
    if (err_is_absent (e))
      e->code = EIO;
    return fact_could_not_look (&c->enabled, e);
  }
  fact_evidence (&c->enabled, "%s\\Services\\" SERVICE ": Start is %" PRIu64,
                 b->w->set_name, start);
  if (start == 2)
    return fact_set (&c->enabled, e, "yes");
  if (fact_set (&c->disabled_by, e,
                "its service is %s (Start is %" PRIu64 ", not 2)",
                start == 4   ? "disabled"
                : start == 3 ? "started by hand"
                             : "not started automatically",
                start) == -1)
    return -1;
  return fact_set (&c->enabled, e, "no");
}

/* --- configuration --------------------------------------------------- */

/* Like Python's ConfigParser, as far as oslo.config uses it: "key = value"
 * or "key: value" in [DEFAULT], continued by lines that begin with a blank.
 * The last one counts. */
static void
config_value (const char *text, const char *key, struct buf *ret, bool *found)
{
  bool in_default = false, taking = false;
  size_t n, len = strlen (key);

  for (const char *p = text; *p; p += n + (p[n] == '\n')) {
    n = strcspn (p, "\n");
    const char *s = p;
    size_t l = n;
    while (l && isspace ((unsigned char) s[l - 1]))
      l--;
    if (l && (s[0] == ' ' || s[0] == '\t') && taking) {
      buf_add (ret, s, l);
      continue;
    }
    taking = false;
    if (!l || *s == '#' || *s == ';')
      continue;
    if (*s == '[') {
      in_default = !strncmp (s, "[DEFAULT]", 9);
      continue;
    }
    if (!in_default || l <= len || strncasecmp (s, key, len))
      continue;
    s += len + strspn (s + len, " \t");
    if (*s != '=' && *s != ':')
      continue;
    s++;
    buf_reset (ret);
    buf_add (ret, s, (size_t) (p + l > s ? p + l - s : 0));
    taking = *found = true;
  }
}

/* "a, b" one a line. */
static void
split_list (const struct buf *list, struct buf *ret)
{
  CLEANUP_FREE char *copy = strdup (buf_str (list));
  char *save = NULL;

  if (!copy) {
    ret->failed = true;
    return;
  }
  for (char *w = strtok_r (copy, ", \t\r", &save); w;
       w = strtok_r (NULL, ", \t\r", &save)) {
    if (ret->len)
      buf_puts (ret, "\n");
    buf_add_line_text (ret, w, strlen (w));
  }
}

static int
find_config (struct cloudbase *b, struct err *e)
{
  CLEANUP_FREE char *windows_name =
      option_value (buf_str (&b->image), "--config-file");

  if (windows_name) {
    b->config = windows_path (b->w->dir, windows_name);
    return b->config ? 0
                     : err_set (e, EIO, "where '%s' lies is not known",
                                windows_name);
  }
  if (asprintf (&b->config, "%s/conf/cloudbase-init.conf",
                b->dir ? b->dir : install_dirs[0]) == -1) {
    b->config = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

static int
read_config (struct cloudbase *b, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 }, value = { 0 }, list = { 0 };
  struct cloud_init *c = b->c;
  bool found = false;
  int r;

  if (find_config (b, e) == -1)
    return -1;
  r = guest_text (b->w->v, b->config, &text, e);
  if (r == -1)
    return err_in (e, "%s", b->config);
  if (r == 0) {
    fact_evidence (&c->datasources, "%s: not there", b->config);
    return fact_set (&c->config_files, e, "%s", "") == -1
               ? -1
               : fact_set (&c->datasources, e, "%s", "");
  }
  config_value (buf_str (&text), "metadata_services", &value, &found);
  split_list (&value, &list);
  if (buf_check (&list, e) == -1)
    return -1;
  fact_evidence (&c->datasources, "%s: metadata_services%s%s", b->config,
                 found ? " =" : " is not set", found ? buf_str (&value) : "");
  return fact_set (&c->config_files, e, "%s", b->config) == -1
             ? -1
             : fact_set (&c->datasources, e, "%s", buf_str (&list));
}

static int
decide_datasources (struct cloudbase *b, struct err *e)
{
  if (read_config (b, e) == 0)
    return 0;
  if (fact_could_not_look (&b->c->datasources, e) == -1)
    return -1;
  return fact_unknown (&b->c->config_files, e, "%s",
                       b->c->datasources.reason);
}

/* --- version --------------------------------------------------------- */

#define UNINSTALL "Microsoft\\Windows\\CurrentVersion\\Uninstall"

struct uninstall {
  struct hive *h;
  struct fact *f;
  struct buf version;
};

static int
take_program (void *arg, const char *name, size_t len unused_arg,
              hive_key key, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct uninstall *u = arg;

  if (hive_text (u->h, key, "DisplayName", &text, e) == 0 &&
      !strncasecmp (buf_str (&text), "Cloudbase-Init", 14) &&
      hive_text (u->h, key, "DisplayVersion", &text, e) == 0) {
    fact_evidence (u->f,
                   "SOFTWARE\\" UNINSTALL "\\%s: DisplayVersion is '%s'",
                   name, buf_str (&text));
    buf_reset (&u->version);
    buf_puts (&u->version, buf_str (&text));
    return 1;
  }
  if (e->code && !err_is_absent (e) && e->code != EINVAL)
    return -1;
  err_clear (e);
  return 0;
}

static int
find_version (struct cloudbase *b, struct err *e)
{
  static const char *const lists[] = { UNINSTALL, "Wow6432Node\\" UNINSTALL };
  CLEANUP_WINDOWS_HIVE struct windows_hive software = { 0 };
  struct fact *f = &b->c->version;
  struct uninstall u = { NULL, f, { 0 } };
  char path[64];
  hive_key key;
  int r = 0;

  snprintf (path, sizeof path, "%s/System32/config/SOFTWARE", b->w->dir);
  if (windows_hive_open (b->w->v, path, &software, e) == -1)
    return fact_could_not_look (f, e);
  u.h = software.hive;
  for (size_t i = 0; i < ARRAY_SIZE (lists) && r == 0; i++) {
    if (hive_find (u.h, hive_root (u.h), lists[i], &key, e) == 0)
      r = hive_each_key (u.h, key, take_program, &u, e);
    else
      r = err_is_absent (e) ? 0 : -1;
    if (r == 0)
      err_clear (e);
  }
  r = r == -1  ? fact_could_not_look (f, e)
      : r == 0 ? fact_unknown (f, e, "no list of installed programs has it")
               : fact_set (f, e, "%s", buf_str (&u.version));
  buf_free (&u.version);
  return r;
}

/* --- the answer ------------------------------------------------------ */

/* How it came onto the disk is asked of what is on it alone. */
static int
settle (struct cloud_init *c, struct err *e)
{
  struct fact *rest[] = {
    &c->version,     &c->enabled,      &c->disabled_by,
    &c->datasources, &c->config_files, &c->installed_as
  };
  bool known = fact_known (&c->installed);

  for (size_t i = 0; i < ARRAY_SIZE (rest); i++) {
    if (rest[i]->value || rest[i]->reason)
      continue;
    if ((known ? fact_set (rest[i], e, "%s", "")
               : fact_unknown (rest[i], e, "%s", c->installed.reason)) == -1)
      return -1;
  }
  if (!known)
    return fact_unknown (&c->flavour, e, "%s", c->installed.reason);
  return fact_set (&c->flavour, e, "%s",
                   fact_is (&c->installed, "yes") ? "cloudbase-init"
                                                  : "none");
}

static int
decide (struct cloud_init *c, struct err *e)
{
  struct fact *f = &c->would_run;

  buf_add (&f->evidence, buf_str (&c->installed.evidence),
           c->installed.evidence.len);
  buf_add (&f->evidence, buf_str (&c->enabled.evidence),
           c->enabled.evidence.len);
  if (!fact_known (&c->installed))
    return fact_unknown (f, e, "%s", c->installed.reason);
  if (fact_is (&c->installed, "no")) {
    if (fact_reason (f, e, "cloudbase-init is not installed") == -1)
      return -1;
    return fact_set (f, e, "no");
  }
  if (!fact_known (&c->enabled))
    return fact_unknown (f, e, "%s", c->enabled.reason);
  if (fact_is (&c->enabled, "no") &&
      fact_reason (f, e, "%s", c->disabled_by.value) == -1)
    return -1;
  return fact_set (f, e, "%s", c->enabled.value);
}

static void
cleanup_cloudbase (struct cloudbase *b)
{
  buf_free (&b->image);
  free (b->config);
  free (b->dir);
}

static int
look (struct windows *w, struct cloud_init *c, struct err *e)
{
  __attribute__ ((
      cleanup (cleanup_cloudbase))) struct cloudbase b = { .w = w, .c = c };
  hive_key service;

  if (decide_installed (&b, &service, e) == -1)
    return -1;
  if (!fact_is (&c->installed, "yes"))
    return fact_is (&c->installed, "no") ? fact_set (&c->enabled, e, "no")
                                         : 0;
  if (decide_enabled (&b, service, e) == -1 ||
      decide_datasources (&b, e) == -1 || find_version (&b, e) == -1)
    return -1;
  return fact_set (&c->installed_as, e, "package");
}

int
cloudbase_compute (const struct guest *g, struct cloud_init *c, struct err *e)
{
  CLEANUP_WINDOWS struct windows w = { 0 };

  if (windows_open (&g->vfs, &w, e) == -1) {
    if (fact_could_not_look (&c->installed, e) == -1)
      return -1;
  } else if (look (&w, c, e) == -1)
    return -1;
  return settle (c, e) == -1 ? -1 : decide (c, e);
}
