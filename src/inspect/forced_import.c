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

struct search {
  const struct vfs *v;
  const char *init;
  struct fact *f;
  unsigned called;
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

/* The scripts that TEXT names by their paths, one call deep. */
static int
calls_reader (struct search *s, const char *text, char **ret, struct err *e)
{
  static const char ends[] = " \t\n\"'`;|&()<>,";
  int r = 0;

  for (const char *p = text; r == 0 && (p = strchr (p, '/')) != NULL;
       p += strcspn (p, ends)) {
    CLEANUP_BUF struct buf script = { 0 };
    char path[PATH_MAX];
    size_t len = strcspn (p, ends);

    if (len < 2 || len >= sizeof path || !strncmp (p, "/dev/", 5) ||
        (p > text && !strchr (" \t\n\"'`;|&(=-!@+", p[-1])))
      continue;
    if (++s->called > MAX_CALLED)
      return err_set (e, EFBIG, "more than %d scripts are called at start-up",
                      MAX_CALLED);
    memcpy (path, p, len);
    path[len] = '\0';
    r = reads_settings (s, path, &script, e);
    if (r == 1 && !(*ret = strdup (path)))
      return err_set (e, ENOMEM, "out of memory");
  }
  return r;
}

/* PATH is a start-up script or a unit; IDLE: why it does not run, or NULL. */
static int
look_at (struct search *s, const char *path, const char *idle, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *called = NULL;
  int r = reads_settings (s, path, &text, e);

  if (r == 0 && text.len && !idle)
    r = calls_reader (s, buf_str (&text), &called, e);
  if (r != 1)
    return r;
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

/* --- where start-up scripts are -------------------------------------- */

/* systemd and OpenRC run them only if they may be executed. */
static int
look_at_local (struct search *s, const char *path, struct err *e)
{
  struct fs_stat st;

  if (vfs_stat (s->v, path, 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  return look_at (s, path, st.mode & 0111 ? NULL : "it may not be executed",
                  e);
}

static int
look_at_scripts (struct search *s, struct err *e)
{
  static const char dir[] = "/etc/init.d";
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = "" };
  int r = names_in (s->v, dir, &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_BUF struct buf text = { 0 };
    CLEANUP_FREE char *by = NULL,
                      *path = path_printf (e, "%s/%s", dir, l.list.items[i]);

    if (!path)
      return -1;
    r = reads_settings (s, path, &text, e);
    if (r == 1)
      r = startup_service (s->v, s->init, l.list.items[i], &by, e);
    else
      continue;
    if (r != -1)
      r = look_at (s, path, r ? NULL : "no runlevel has a link to it", e);
  }
  return r;
}

/* Units of the administrator's that a target wants. */
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
    for (size_t k = 0; r == 0 && k < l.list.len; k++) {
      CLEANUP_FREE char *path =
          path_printf (e, "%s/%s", wants, l.list.items[k]);
      r = path ? look_at (s, path, NULL, e) : -1;
    }
  }
  return r;
}

static int
look_at_others (struct search *s, struct err *e)
{
  static const struct {
    const char *dir, *suffix;
    bool upstart;
  } dirs[] = { { "/etc/local.d", ".start", false },
               { "/etc/init", ".conf", true } };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++) {
    CLEANUP_NAMES struct names l = { .prefix = "", .suffix = dirs[i].suffix };
    r = names_in (s->v, dirs[i].dir, &l, e);
    for (size_t k = 0; r == 0 && k < l.list.len; k++) {
      CLEANUP_FREE char *path =
          path_printf (e, "%s/%s", dirs[i].dir, l.list.items[k]);
      r = !path             ? -1
          : dirs[i].upstart ? look_at (s, path, NULL, e)
                            : look_at_local (s, path, e);
    }
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
                 look_at_others (s, e) == -1
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
                 "rc.local, init scripts, local.d, Upstart's jobs and"
                 " enabled units: %s",
                 idle ? "none that is started reads qcloud_action/os.conf"
                      : "none reads qcloud_action/os.conf");
  if (idle && fact_reason (ret, e, "%s", idle) == -1)
    return -1;
  return fact_set (ret, e, "no");
}
