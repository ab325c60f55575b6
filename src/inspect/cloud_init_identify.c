/* xrayfs: what cloud-init's ds-identify would decide
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A shell script that runs before cloud-init, from systemd's generator or as
 * a service of OpenRC's.  It reads cloud.cfg and cloud.cfg.d line by line,
 * not as YAML, and what it finds replaces datasource_list: so its reading
 * counts, with its faults.  There are two ways of reading; the script's own
 * text tells which of them it has.
 */
#include <ctype.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/startup.h"

#define KEY      "datasource_list"
#define ETC      "/etc/cloud"
#define CFG      ETC "/cloud.cfg"
#define CFG_D    ETC "/cloud.cfg.d"
#define IDENTIFY "cloud-init-ds-identify" /* OpenRC's service */

void
cloud_init_identify_free (struct identify *i)
{
  buf_free (&i->list);
  free (i->policy);
  free (i->name);
  free (i->by);
  *i = (struct identify){ 0 };
}

/* --- is it run? ------------------------------------------------------ */

/* The program: 1, and *RET_TEXT is the script; 0, -1. */
static int
find_program (const struct vfs *v, struct buf *ret_text, struct err *e)
{
  static const char *const dirs[] = { "/usr/lib", "/usr/libexec", "/lib",
                                      "/usr/local/lib",
                                      "/usr/local/libexec" };
  CLEANUP_FREE char *path = NULL;
  struct fs_stat st;
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++)
    r = there_printf (v, false, &path, e, "%s/cloud-init/ds-identify",
                      dirs[i]);
  if (r != 1)
    return r;
  if (vfs_stat (v, path, 0, &st, e) == -1)
    return -1;
  return st.mode & 0111 ? guest_text (v, path, ret_text, e) : 0;
}

/* 1: something runs it at boot, before cloud-init; *EARLY: the generator. */
static int
is_asked (const struct vfs *v, const char *init, bool *early, struct err *e)
{
  CLEANUP_FREE char *by = NULL;
  int r = 0;

  if (!init || !*init || !strcmp (init, "systemd")) {
    r = startup_unit_state (v, CLOUD_INIT_GENERATOR, true, NULL, e);
    if (r == -1)
      return -1;
    r = *early = r == UNIT_THERE;
  }
  if (r == 0 && (!init || !strcmp (init, "openrc")))
    r = startup_openrc (v, IDENTIFY, &by, e);
  return r;
}

/* --- lines as a shell's read takes them ------------------------------ */

static char *
trim (char *s)
{
  char *end;

  s += strspn (s, " \t\r\n");
  end = s + strlen (s);
  while (end > s && isspace ((unsigned char) end[-1]))
    *--end = '\0';
  return s;
}

/* The next line of *TEXT, without blanks around it, and then without its
 * comment; NULL at the end.  A last line without a newline is left out, as
 * `while read` does, unless WHOLE. */
static char *
next_line (char **text, bool whole)
{
  char *line = *text, *end = line + strcspn (line, "\n");

  if (!*line || (!*end && !whole))
    return NULL;
  *text = end + (*end == '\n');
  *end = '\0';
  line = trim (line);
  line[strcspn (line, "#")] = '\0';
  return line;
}

static char *
unquote (char *s)
{
  size_t len = strlen (s);

  if (len < 2 || s[0] != s[len - 1] || (*s != '"' && *s != '\''))
    return s;
  s[len - 1] = '\0';
  return s + 1;
}

/* --- ds-identify.cfg and the command line ---------------------------- */

/* Replaces *TO by a copy of the LEN bytes at S; NULL where LEN is 0. */
static int
set_text (char **to, const char *s, size_t len, struct err *e)
{
  free (*to);
  *to = NULL;
  if (len && !(*to = strndup (s, len)))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
read_own_config (const struct vfs *v, struct identify *id, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  char *p, *line, *value;
  int r = cloud_init_text (v, ETC "/ds-identify.cfg", &text, e);

  for (p = text.data; r == 1 && p && (line = next_line (&p, false));) {
    char *colon = strchr (line, ':');
    if (!colon)
      continue;
    *colon = '\0';
    line = trim (line);
    value = unquote (trim (colon + 1));
    if (!strcmp (line, "datasource"))
      r = set_text (&id->name, value, strlen (value), e) == -1 ? -1 : 1;
    else if (!strcmp (line, "policy"))
      r = set_text (&id->policy, value, strlen (value), e) == -1 ? -1 : 1;
  }
  return r == -1 ? -1 : 0;
}

/* The last of each counts.  SINCE_23_2: "ds=" is taken, and what is behind a
 * semicolon is not. */
static int
read_command_line (const char *cmdline, bool since_23_2, struct identify *id,
                   struct err *e)
{
  static const char *const names[] = { "ci.ds=", "ci.datasource=", "ds=" };
  int r = 0;

  for (const char *p = cmdline; r == 0 && *p; p += strcspn (p, " \t")) {
    const char *ends = since_23_2 ? "; \t" : " \t";
    p += strspn (p, " \t");
    for (size_t i = 0; r == 0 && i < (since_23_2 ? 3 : 2); i++)
      if (!strncmp (p, names[i], strlen (names[i])))
        r = set_text (&id->name, p + strlen (names[i]),
                      strcspn (p + strlen (names[i]), ends), e);
    if (r == 0 && !strncmp (p, "ci.di.policy=", 13)) {
      id->policy_on_cmdline = true;
      r = set_text (&id->policy, p + 13, strcspn (p + 13, ends), e);
    }
  }
  return r;
}

/* Where it finds nothing: it has one default for machines whose DMI it reads,
 * and one for others, which releases and distributions set differently. */
static bool
starts_by_default (const char *script, const char *arch)
{
  bool dmi = arch && (!strcmp (arch, "x86_64") || !strcmp (arch, "i386"));
  const char *p = strstr (script, dmi ? "\nDI_DEFAULT_POLICY="
                                      : "\nDI_DEFAULT_POLICY_NO_DMI=");
  const char *value = p ? strstr (p + 1, "notfound=") : NULL;

  if (!value || value > p + 1 + strcspn (p + 1, "\n"))
    return false;
  value += 9;
  return !strncmp (value, "enabled", 7) ||
         !strncmp (value, "${DI_ENABLED}", 13);
}

static void
take_policy (struct identify *id, const char *script, const char *arch)
{
  const char *p = id->policy ? id->policy : "";

  id->mode = IDENTIFY_SEARCH;
  id->starts_anyway = starts_by_default (script, arch);
  for (size_t len; *p; p += len + (p[len] == ',')) {
    len = strcspn (p, ",");
    if (len == 8 && !memcmp (p, "disabled", len))
      id->mode = IDENTIFY_DISABLED;
    else if (len == 7 && !memcmp (p, "enabled", len))
      id->mode = IDENTIFY_ENABLED;
    else if (len == 6 && !memcmp (p, "search", len))
      id->mode = IDENTIFY_SEARCH;
    else if (len == 6 && !memcmp (p, "report", len))
      id->mode = IDENTIFY_REPORT;
    else if (len == 16 && !memcmp (p, "notfound=enabled", len))
      id->starts_anyway = true;
    else if (len == 17 && !memcmp (p, "notfound=disabled", len))
      id->starts_anyway = false;
  }
}

/* --- datasource_list as it reads it ---------------------------------- */

/* "[ A, 'B' ]", with or without brackets: its words, one a line. */
static int
take_array (struct identify *id, char *s, const char *by, struct err *e)
{
  size_t len = strlen (s);
  char *item, *word, *save = NULL, *inner;

  buf_reset (&id->list);
  id->n = 0;
  if (len && s[len - 1] == ']')
    s[--len] = '\0';
  if (*s == '[')
    s++;
  for (; (item = strsep (&s, ","));)
    for (inner = unquote (trim (item)), save = NULL;
         (word = strtok_r (inner, " \t", &save)); inner = NULL) {
      id->n++;
      buf_puts (&id->list, id->list.len ? "\n" : "");
      buf_add_line_text (&id->list, word, strlen (word));
    }
  if (set_text (&id->by, by, strlen (by), e) == -1)
    return -1;
  return buf_check (&id->list, e);
}

/* Behind "datasource_list:" at the beginning of LINE, as versions before
 * 23.4 look for it (and 24.1 and 24.2 again); NULL: it is not there. */
static char *
value_by_read (char *line)
{
  size_t len = strlen (KEY);

  if (strncmp (line, KEY ":", len + 1) != 0 ||
      (line[len + 1] && line[len + 1] != ' '))
    return NULL;
  line += len + 1;
  return line + (*line == ' ');
}

/* Behind it anywhere in LINE, with quotes and blanks before the colon, as
 * those that ask grep. */
static char *
value_by_grep (char *line)
{
  for (char *p = line; (p = strstr (p, KEY)); p++) {
    char *q = p + strlen (KEY);
    q += strspn (q, "\"'");
    q += strspn (q, " \t");
    if (*q == ':')
      return trim (strrchr (line, ':') + 1);
  }
  return NULL;
}

static int
read_list_of (const struct vfs *v, const char *path, struct identify *id,
              struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  char *p, *line, *value;
  int r = cloud_init_text (v, path, &text, e);

  if (r != 1)
    return r;
  for (p = text.data; p && (line = next_line (&p, id->greps));)
    if ((value = id->greps ? value_by_grep (line) : value_by_read (line)) &&
        take_array (id, value, path, e) == -1)
      return -1;
  return 0;
}

/* cc:{datasource_list: [ X ]} on the command line. */
static int
read_list_of_cmdline (const char *cmdline, struct identify *id, struct err *e)
{
  const char *cc = strstr (cmdline, "cc:"), *p = NULL;
  CLEANUP_FREE char *copy = NULL;
  char *open;

  for (const char *q = cc; q && (q = strstr (q, KEY)); q++)
    p = q + strlen (KEY);
  if (!p)
    return 0;
  if (!(copy = strndup (p, strcspn (p, "]"))))
    return err_set (e, ENOMEM, "out of memory");
  open = strrchr (copy, '[');
  return take_array (id, open ? open + 1 : copy, "the kernel command line",
                     e);
}

static int
read_list (const struct vfs *v, const char *cmdline, struct identify *id,
           struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".cfg" };

  if (read_list_of (v, CFG, id, e) == -1 || names_in (v, CFG_D, &l, e) == -1)
    return -1;
  for (size_t i = 0; i < l.list.len; i++) {
    CLEANUP_FREE char *path = path_printf (e, CFG_D "/%s", l.list.items[i]);
    if (!path)
      return -1;
    if (*l.list.items[i] != '.' && read_list_of (v, path, id, e) == -1)
      return -1;
  }
  return read_list_of_cmdline (cmdline, id, e);
}

/* --- data that lies ready in the guest ------------------------------- */

int
cloud_init_seed (const struct vfs *v, char **ret, struct err *e)
{
  static const char *const names[] = { "nocloud", "nocloud-net" };
  int r = 0;

  *ret = NULL;
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (names); i++) {
    CLEANUP_FREE char *meta = NULL;
    r = there_printf (v, false, &meta, e, "/var/lib/cloud/seed/%s/meta-data",
                      names[i]);
    if (r == 1)
      r = there_printf (v, false, ret, e, "/var/lib/cloud/seed/%s/user-data",
                        names[i]);
  }
  return r;
}

/* --- the decision ---------------------------------------------------- */

static bool
has_name (const struct identify *id, const char *name)
{
  size_t len = strlen (name), n;

  for (const char *p = buf_str (&id->list); *p; p += n + (p[n] == '\n'))
    if ((n = strcspn (p, "\n")) == len && !memcmp (p, name, len))
      return true;
  return false;
}

/* With one data source, or one and None, it is not searched for. */
static bool
is_single (const struct identify *id)
{
  const char *second = strchr (buf_str (&id->list), '\n');

  return id->n == 1 || (id->n == 2 && second && !strcmp (second, "\nNone"));
}

static int
decide (const struct vfs *v, struct identify *id, struct err *e)
{
  CLEANUP_FREE char *manual = NULL, *seed = NULL;
  int r;

  id->decides = false;
  id->starts = 1;
  if (id->mode == IDENTIFY_DISABLED)
    id->starts = 0;
  if (id->mode != IDENTIFY_SEARCH)
    return 0;
  if (id->name) {
    buf_reset (&id->list);
    buf_add_line_text (&id->list, id->name, strlen (id->name));
    id->decides = true;
    return set_text (&id->by, "ds-identify's configuration", 27, e);
  }
  r = there_printf (v, false, &manual, e,
                    "/var/lib/cloud/instance/manual-clean");
  if (r != 0)
    return r == -1 ? -1 : 0;
  id->decides = true;
  if (!id->n || is_single (id) || has_name (id, "ConfigDrive")) {
    id->by_search = !is_single (id) && !id->starts_anyway;
    return 0;
  }
  if ((r = cloud_init_seed (v, &seed, e)) == -1)
    return -1;
  if (r == 1 && has_name (id, "NoCloud"))
    return 0;
  id->decides = !id->starts_anyway;
  id->starts = id->starts_anyway ? 1 : -1;
  return 0;
}

int
cloud_init_identify (const struct vfs *v, const char *cmdline,
                     const struct os *os, struct identify *id, struct err *e)
{
  CLEANUP_BUF struct buf script = { 0 };
  int r;

  *id = (struct identify){ .starts = 1 };
  r = is_asked (v, os->init.value, &id->early, e);
  if (r == 1)
    r = find_program (v, &script, e);
  if (r != 1)
    return r == -1 ? -1 : 0;
  id->asked = true;
  id->greps = strstr (buf_str (&script), "out=$(grep \"$key") != NULL;
  if (read_own_config (v, id, e) == -1 ||
      read_command_line (cmdline,
                         strstr (buf_str (&script), " ds) _rc_dsname"), id,
                         e) == -1 ||
      read_list (v, cmdline, id, e) == -1)
    return -1;
  take_policy (id, buf_str (&script), os->arch.value);
  return decide (v, id, e);
}
