/* xrayfs: would a forced import configure the guest?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Without cloud-init the provider leaves the settings of the instance in
 * qcloud_action/os.conf, on the CD-ROM labelled config-2, and a script of the
 * guest's own is to read them at start-up (Tencent Cloud, product 213/12849).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/startup.h"

/* Larger than any script of that kind; programs are mostly larger. */
#define SCRIPT_MAX ((size_t) 64 << 10)
/* Scripts that others call; each start-up script names a few programs. */
#define MAX_CALLED 2000
/* Units that do; whether one is started takes a search through all links. */
#define MAX_READERS 50

struct search {
  const struct vfs *v;
  const char *init;
  struct fact *f;
  unsigned called, readers;
  bool started; /* one is started */
  char *idle;   /* one that nothing was found to start, or NULL */
};

/* 1: PATH is a script that reads the file; *RET_TEXT is what it holds. */
static int
reads_settings (struct search *s, const char *path, struct buf *ret_text,
                struct err *e)
{
  struct fs_stat st;

  buf_reset (ret_text);
  if (vfs_stat (s->v, path, 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (!S_ISREG (st.mode) || st.size > SCRIPT_MAX)
    return 0;
  if (vfs_read (s->v, path, SCRIPT_MAX, ret_text, e) == -1)
    return -1;
  for (const char *p = buf_str (ret_text); *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *hit = strstr (p, "qcloud_action");
    if (!hit)
      return 0;
    for (p = hit; p > buf_str (ret_text) && p[-1] != '\n'; p--)
      ;
    if (p[strspn (p, " \t")] != '#')
      return strstr (buf_str (ret_text), "os.conf") != NULL;
  }
  return 0;
}

/* Is what begins at P in TEXT handed to a shell or an interpreter, which runs
 * it without leave to execute it?  "sh P", ". P" */
static bool
is_read_by_shell (const char *text, const char *p)
{
  static const char *const programs[] = { "sh",      "bash",   "dash",
                                          "ash",     "ksh",    ".",
                                          "source",  "python", "python2",
                                          "python3", "perl" };
  const char *end = p, *begin;

  while (end > text && strchr (" \t\"'", end[-1]))
    end--;
  for (begin = end;
       begin > text && !strchr (" \t\n\"'`;|&()/=-@!+:", begin[-1]);)
    begin--;
  for (size_t i = 0; i < ARRAY_SIZE (programs); i++)
    if ((size_t) (end - begin) == strlen (programs[i]) &&
        !strncmp (begin, programs[i], strlen (programs[i])))
      return end < p;
  return false;
}

static bool
is_commented (const char *text, const char *p)
{
  while (p > text && p[-1] != '\n')
    p--;
  return p[strspn (p, " \t")] == '#' && p[1 + strspn (p, " \t")] != '!';
}

/* 1: PATH, which TEXT names at P, reads the settings and can be run. */
static int
is_reader (struct search *s, const char *text, const char *p,
           const char *path, struct err *e)
{
  CLEANUP_BUF struct buf script = { 0 };
  struct fs_stat st;
  int r = reads_settings (s, path, &script, e);

  if (r != 1 || is_read_by_shell (text, p))
    return r;
  if (vfs_stat (s->v, path, 0, &st, e) == -1)
    return -1;
  if (!(st.mode & 0111))
    fact_evidence (s->f, "%s: reads it, and may not be executed", path);
  return (st.mode & 0111) != 0;
}

/* The scripts that TEXT names by their paths, one call deep. */
static int
calls_reader (struct search *s, const char *text, char **ret, struct err *e)
{
  static const char ends[] = " \t\n\"'`;|&()<>,";
  int r = 0;

  for (const char *p = text; r == 0 && (p = strchr (p, '/')) != NULL;
       p += strcspn (p, ends)) {
    char path[PATH_MAX];
    size_t len = strcspn (p, ends);

    if (len < 2 || len >= sizeof path || !strncmp (p, "/dev/", 5) ||
        (p > text && !strchr (" \t\n\"'`;|&(=-!@+", p[-1])) ||
        is_commented (text, p))
      continue;
    if (++s->called > MAX_CALLED)
      return err_set (e, EFBIG, "more than %d scripts are called at start-up",
                      MAX_CALLED);
    memcpy (path, p, len);
    path[len] = '\0';
    r = is_reader (s, text, p, path, e);
    if (r == 1 && !(*ret = strdup (path)))
      return err_set (e, ENOMEM, "out of memory");
  }
  return r;
}

/* PATH reads the settings, or *CALLED, which it calls, does: 1. */
static int
find_reader (struct search *s, const char *path, char **called, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = reads_settings (s, path, &text, e);

  *called = NULL;
  return r == 0 && text.len ? calls_reader (s, buf_str (&text), called, e)
                            : r;
}

/* PATH, a start-up script or a unit, or CALLED, reads them; IDLE: why it does
 * not run, or NULL. */
static int
take (struct search *s, const char *path, const char *called,
      const char *idle, struct err *e)
{
  fact_evidence (s->f, "%s%s%s: reads qcloud_action/os.conf%s%s", path,
                 called ? " calls " : "", called ? called : "",
                 idle ? "; " : "", idle ? idle : "");
  if (!idle)
    s->started = true;
  else if (!s->idle &&
           asprintf (&s->idle, "%s reads it, and %s", path, idle) == -1) {
    s->idle = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

static int
look_at (struct search *s, const char *path, const char *idle, struct err *e)
{
  CLEANUP_FREE char *called = NULL;
  int r = find_reader (s, path, &called, e);

  return r == 1 ? take (s, path, called, idle, e) : r;
}

/* --- where start-up scripts are -------------------------------------- */

/* systemd and OpenRC run them only if they may be executed. */
static int
look_at_local (struct search *s, const char *path, struct err *e)
{
  struct fs_stat st;
  int r;

  if (vfs_stat (s->v, path, 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (!(st.mode & 0111))
    return look_at (s, path, "it may not be executed", e);
  r = strstr (path, "rc.local")
          ? startup_unit_state (s->v, "rc-local.service", false, NULL, e)
          : UNIT_ABSENT;
  return r == -1
             ? -1
             : look_at (
                   s, path,
                   r == UNIT_MASKED ? "rc-local.service is masked" : NULL, e);
}

static int
look_at_scripts (struct search *s, struct err *e)
{
  static const char dir[] = "/etc/init.d";
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = "" };
  int r = names_in (s->v, dir, &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_FREE char *by = NULL, *called = NULL,
                      *path = path_printf (e, "%s/%s", dir, l.list.items[i]);

    if (!path || (r = find_reader (s, path, &called, e)) == -1)
      return -1;
    if (r == 0)
      continue;
    r = startup_service (s->v, s->init, l.list.items[i], &by, e);
    if (r == 1)
      r = look_at_local (s, path, e);
    else if (r == 0)
      r = take (s, path, called, "no runlevel has a link to it", e);
  }
  return r;
}

/* Unit NAME: is it reached, and would it run? */
static int
look_at_unit (struct search *s, const char *name, struct err *e)
{
  CLEANUP_FREE char *path = NULL, *called = NULL, *by = NULL, *fails = NULL;
  int r = startup_unit_state (s->v, name, false, &path, e);

  if (r != UNIT_THERE)
    return r == -1 ? -1 : 0;
  if ((r = find_reader (s, path, &called, e)) != 1)
    return r;
  if (++s->readers > MAX_READERS)
    return err_set (e, EFBIG, "more than %d units read the settings",
                    MAX_READERS);
  if ((r = startup_unit (s->v, name, &by, e)) == 1)
    r = startup_conditions (s->v, name, &fails, e);
  return r == -1 ? -1
                 : take (s, path, called,
                         r == 1  ? NULL
                         : fails ? fails
                                 : "no target of a boot wants it",
                         e);
}

/* Units that a target wants. */
static int
look_at_units (struct search *s, struct err *e)
{
  static const char dir[] = "/etc/systemd/system";
  CLEANUP_NAMES struct names targets = { .prefix = "", .suffix = ".wants" };
  int r = names_in (s->v, dir, &targets, e);

  for (size_t i = 0; r == 0 && i < targets.list.len; i++) {
    CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".service" };
    CLEANUP_FREE char *wants =
        path_printf (e, "%s/%s", dir, targets.list.items[i]);
    r = wants ? names_in (s->v, wants, &l, e) : -1;
    for (size_t k = 0; r == 0 && k < l.list.len; k++)
      r = look_at_unit (s, l.list.items[k], e);
  }
  return r;
}

/* --- cron ------------------------------------------------------------ */

/* @reboot lines of PATH: what they call. */
static int
look_at_crontab (struct search *s, const char *path, const char *idle,
                 struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 }, lines = { 0 };
  CLEANUP_FREE char *called = NULL;
  int r = guest_text (s->v, path, &text, e);

  for (const char *p = buf_str (&text); r == 1 && *p;
       p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p + strspn (p, " \t"), "@reboot", 7)) {
      buf_add (&lines, p, strcspn (p, "\n"));
      buf_puts (&lines, "\n");
    }
  if (r != 1 || buf_check (&lines, e) == -1)
    return r == 1 ? -1 : r;
  r = calls_reader (s, buf_str (&lines), &called, e);
  return r == 1 ? take (s, path, called, idle, e) : r;
}

static int
look_at_cron (struct search *s, struct err *e)
{
  static const char *const services[] = { "cron", "crond", "cronie" };
  static const char *const tabs[] = { "/etc/crontab", "/var/spool/cron/root",
                                      "/var/spool/cron/tabs/root",
                                      "/var/spool/cron/crontabs/root",
                                      "/etc/crontabs/root" };
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = "" };
  const char *idle = NULL;
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (services); i++) {
    CLEANUP_FREE char *by = NULL;
    r = startup_service (s->v, s->init, services[i], &by, e);
  }
  idle = r == 1 ? NULL : "nothing starts cron";
  if (r == -1 || names_in (s->v, "/etc/cron.d", &l, e) == -1)
    return -1;
  for (size_t i = 0; i < ARRAY_SIZE (tabs); i++)
    if (look_at_crontab (s, tabs[i], idle, e) == -1)
      return -1;
  for (size_t i = 0; i < l.list.len; i++) {
    CLEANUP_FREE char *path =
        path_printf (e, "/etc/cron.d/%s", l.list.items[i]);
    if (!path || look_at_crontab (s, path, idle, e) == -1)
      return -1;
  }
  return 0;
}

static bool
may_be (const struct search *s, const char *init)
{
  return !s->init || !*s->init || !strcmp (s->init, init);
}

/* OpenRC's service `local` runs them. */
static int
look_at_local_d (struct search *s, struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".start" };
  CLEANUP_FREE char *by = NULL;
  int started =
      may_be (s, "openrc") ? startup_openrc (s->v, "local", &by, e) : 0;
  int r = started == -1 ? -1 : names_in (s->v, "/etc/local.d", &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_FREE char *path =
        path_printf (e, "/etc/local.d/%s", l.list.items[i]);
    r = !path     ? -1
        : started ? look_at_local (s, path, e)
                  : look_at (s, path, "no runlevel has local", e);
  }
  return r;
}

static int
look_at_jobs (struct search *s, struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".conf" };
  int r = names_in (s->v, "/etc/init", &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_FREE char *path =
        path_printf (e, "/etc/init/%s", l.list.items[i]);
    CLEANUP_FREE char *name =
        strndup (l.list.items[i], strlen (l.list.items[i]) - 5);
    CLEANUP_FREE char *by = NULL;
    int started;

    if (!path || !name)
      return err_set (e, ENOMEM, "out of memory");
    started =
        may_be (s, "upstart") ? startup_upstart (s->v, name, &by, e) : 0;
    r = started == -1
            ? -1
            : look_at (s, path, started ? NULL : "Upstart does not start it",
                       e);
  }
  return r;
}

static int
look_everywhere (struct search *s, struct err *e)
{
  static const char *const locals[] = { "/etc/rc.local", "/etc/rc.d/rc.local",
                                        "/etc/init.d/boot.local",
                                        "/etc/init.d/after.local",
                                        "/etc/conf.d/local.start" };

  for (size_t i = 0; i < ARRAY_SIZE (locals); i++)
    if (look_at_local (s, locals[i], e) == -1)
      return -1;
  return look_at_scripts (s, e) == -1 || look_at_units (s, e) == -1 ||
                 look_at_local_d (s, e) == -1 || look_at_jobs (s, e) == -1 ||
                 look_at_cron (s, e) == -1
             ? -1
             : 0;
}

int
forced_import_decide (const struct vfs *v, const char *init, struct fact *ret,
                      struct err *e)
{
  struct search s = { .v = v, .init = init, .f = ret };
  int r = look_everywhere (&s, e);
  CLEANUP_FREE char *idle = s.idle;

  if (s.started) {
    if (err_is_transient (e))
      return -1;
    err_clear (e);
    return fact_set (ret, e, "yes");
  }
  if (r == -1)
    return fact_could_not_look (ret, e);
  fact_evidence (ret,
                 "rc.local, init scripts, local.d, Upstart's jobs,"
                 " enabled units and cron: %s",
                 idle ? "none that is started reads qcloud_action/os.conf"
                      : "none reads qcloud_action/os.conf");
  if (idle && fact_reason (ret, e, "%s", idle) == -1)
    return -1;
  return fact_set (ret, e, "no");
}
