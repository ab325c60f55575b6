/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/startup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"

/* Units that pull each other in: each is looked at once.  From a service it
 * is one or two to a target of a boot, as cloud-init.target. */
#define MAX_PULLING 32

/* --- files ----------------------------------------------------------- */

char *
path_printf (struct err *e, const char *fmt, ...)
{
  char *path;
  va_list ap;
  int len;

  va_start (ap, fmt);
  len = vasprintf (&path, fmt, ap);
  va_end (ap);
  if (len != -1)
    return path;
  err_set (e, ENOMEM, "out of memory");
  return NULL;
}

int
there_printf (const struct vfs *v, bool nofollow, char **ret, struct err *e,
              const char *fmt, ...)
{
  CLEANUP_FREE char *path = NULL;
  struct vfs_node n;
  va_list ap;
  int len;

  *ret = NULL;
  va_start (ap, fmt);
  len = vasprintf (&path, fmt, ap);
  va_end (ap);
  if (len == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  if (vfs_walk (v, path, nofollow ? VFS_NOFOLLOW : 0, &n, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  *ret = steal_ptr (&path);
  return 1;
}

/* What PATH, which is there, is as the file of a unit. */
static int
state_of (const struct vfs *v, const char *path, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  struct vfs_node n;
  struct fs_stat st;

  if (vfs_walk (v, path, VFS_NOFOLLOW, &n, e) == -1 ||
      fs_stat (vfs_fs (v, n), n.ino, &st, e) == -1)
    return -1;
  if (!S_ISLNK (st.mode))
    return S_ISREG (st.mode) && st.size == 0 ? UNIT_MASKED : UNIT_THERE;
  if (fs_readlink (vfs_fs (v, n), n.ino, &target, e) == -1)
    return -1;
  if (!strcmp (buf_str (&target), "/dev/null"))
    return UNIT_MASKED;
  if (vfs_stat (v, path, 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return UNIT_ABSENT;
  }
  return S_ISREG (st.mode) && st.size == 0 ? UNIT_MASKED : UNIT_THERE;
}

int
startup_is_masked (const struct vfs *v, const char *path, struct err *e)
{
  CLEANUP_FREE char *there = NULL;
  int r = there_printf (v, true, &there, e, "%s", path);

  if (r == 1)
    r = state_of (v, path, e);
  return r == -1 ? -1 : r == UNIT_MASKED;
}

/* --- systemd --------------------------------------------------------- */

/* What lies in /run does not outlast the machine. */
static const char *const unit_dirs[] = { "/etc/systemd/system",
                                         "/usr/local/lib/systemd/system",
                                         "/usr/lib/systemd/system",
                                         "/lib/systemd/system" };
static const char *const generator_dirs[] = {
  "/etc/systemd/system-generators",
  "/usr/local/lib/systemd/system-generators",
  "/usr/lib/systemd/system-generators", "/lib/systemd/system-generators"
};

int
startup_unit_state (const struct vfs *v, const char *name, bool generator,
                    char **ret_path, struct err *e)
{
  const char *const *dirs = generator ? generator_dirs : unit_dirs;

  if (ret_path)
    *ret_path = NULL;
  for (size_t i = 0; i < ARRAY_SIZE (unit_dirs); i++) {
    CLEANUP_FREE char *path = NULL;
    int r = there_printf (v, true, &path, e, "%s/%s", dirs[i], name);
    if (r == -1)
      return -1;
    if (r == 0)
      continue;
    r = state_of (v, path, e);
    if (r != -1 && ret_path)
      *ret_path = steal_ptr (&path);
    return r;
  }
  return UNIT_ABSENT;
}

/* In the order of the directories: those of /etc come last, so that what they
 * take back is taken back. */
static int
add_drop_ins (const struct vfs *v, const char *dir, struct buf *to,
              struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = ".conf" };
  int r = names_in (v, dir, &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_BUF struct buf text = { 0 };
    CLEANUP_FREE char *path = path_printf (e, "%s/%s", dir, l.list.items[i]);
    int masked = path ? startup_is_masked (v, path, e) : -1;
    if (masked == 1)
      continue;
    if (masked == -1 || guest_text (v, path, &text, e) == -1)
      return -1;
    if (text.len > TEXT_FILE_MAX - MIN (to->len, TEXT_FILE_MAX))
      return err_set (e, EFBIG, "%s: too much text with the files before it",
                      path);
    buf_puts (to, "\n");
    buf_add (to, buf_str (&text), text.len);
  }
  return r;
}

int
startup_unit_text (const struct vfs *v, const char *name, struct buf *ret,
                   struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  int r = startup_unit_state (v, name, false, &path, e);

  buf_reset (ret);
  if (r != UNIT_THERE)
    return r == -1 ? -1 : 0;
  if (guest_text (v, path, ret, e) == -1)
    return -1;
  r = 0;
  for (size_t i = ARRAY_SIZE (unit_dirs); r == 0 && i-- > 0;) {
    CLEANUP_FREE char *dir = path_printf (e, "%s/%s.d", unit_dirs[i], name);
    r = dir ? add_drop_ins (v, dir, ret, e) : -1;
  }
  return r == -1 ? -1 : buf_check (ret, e);
}

bool
startup_unit_has (const struct buf *text, const char *key, const char *value)
{
  size_t len = strlen (key), value_len = strlen (value), n;
  bool found = false;

  for (const char *p = buf_str (text); *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *s = p + strspn (p, " \t");
    if (strncmp (s, key, len) != 0)
      continue;
    s += len + strspn (s + len, " \t");
    if (*s != '=')
      continue;
    s += 1 + strspn (s + 1, " \t");
    n = strcspn (s, "\n");
    while (n && strchr (" \t\r", s[n - 1]))
      n--;
    found = n && (found || (n == value_len && !memcmp (s, value, n)));
  }
  return found;
}

int
startup_presets_apply (const struct vfs *v, const char *name, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, "/etc/machine-id", &text, e);

  if (r == -1 ||
      (r == 1 && strncmp (buf_str (&text), "uninitialized", 13) != 0))
    return r == -1 ? -1 : 0;
  if (startup_unit_text (v, name, &text, e) == -1)
    return -1;
  return strstr (buf_str (&text), "[Install]") != NULL;
}

/* One condition on a path, or on virtualisation, as VALUE says: 1, 0, -1. */
static int
holds (const struct vfs *v, const char *key, const char *value, struct err *e)
{
  static const char *const machine[] = { "yes",  "vm",   "kvm",
                                         "qemu", "true", "1" };
  bool wanted = *value != '!';
  int r = 0;

  value += !wanted;
  value += strspn (value, " \t");
  if (!strcmp (key, "ConditionPathExists")) {
    /* What the kernel and the boot make is not in the image. */
    if (!strncmp (value, "/run/", 5) || !strncmp (value, "/sys/", 5) ||
        !strncmp (value, "/proc/", 6) || !strncmp (value, "/dev/", 5) ||
        strchr (value, '%'))
      return 1;
    r = vfs_exists (v, value, e);
  } else
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE (machine); i++)
      r = !strcmp (value, machine[i]);
  return r == -1 ? -1 : (r == 1) == wanted;
}

int
startup_conditions (const struct vfs *v, const char *name, char **ret,
                    struct err *e)
{
  static const char *const keys[] = { "ConditionPathExists",
                                      "ConditionVirtualization" };
  CLEANUP_BUF struct buf text = { 0 };
  char *line, *save = NULL;
  int r = 1;

  *ret = NULL;
  if (startup_unit_text (v, name, &text, e) == -1)
    return -1;
  if (!text.data)
    return 1;
  for (line = strtok_r (text.data, "\n", &save); line && r != -1;
       line = strtok_r (NULL, "\n", &save)) {
    char *value = strchr (line, '=');
    line += strspn (line, " \t");
    if (!value || strncmp (line, "Condition", 9) != 0)
      continue;
    value += 1 + strspn (value + 1, " \t");
    value[strcspn (value, " \t\r")] = '\0';
    if (!*value) { /* takes back all conditions, of any kind */
      free (*ret);
      *ret = NULL;
    }
    if (!*value || *value == '|' || *ret)
      continue; /* '|': one of several, not followed */
    for (size_t i = 0; r == 1 && i < ARRAY_SIZE (keys); i++)
      if (strcspn (line, " \t=") == strlen (keys[i]) &&
          !strncmp (line, keys[i], strlen (keys[i])) &&
          (r = holds (v, keys[i], value, e)) == 0) {
        *ret = path_printf (e, "%s=%s", keys[i], value);
        r = *ret ? 1 : -1;
        break;
      }
  }
  return r == -1 ? -1 : !*ret;
}

/* Does what default.target leads to reach TARGET?  Graphical and the
 * runlevels reach multi-user.target, rescue and emergency do not. */
static int
default_reaches (const struct vfs *v, const char *target, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  CLEANUP_BUF struct buf real = { 0 }, text = { 0 };
  struct vfs_node n;
  const char *name;
  int r = startup_unit_state (v, "default.target", false, &path, e);

  if (r == -1)
    return -1;
  if (r != UNIT_THERE) /* systemd's own leads to graphical.target */
    return r == UNIT_ABSENT && (!strcmp (target, "multi-user.target") ||
                                !strcmp (target, "graphical.target"));
  if (vfs_walk_from (v, "/", path, 0, &n, &real, e) == -1)
    return -1;
  name = strrchr (buf_str (&real), '/');
  name = name ? name + 1 : buf_str (&real);
  if (!strcmp (name, target))
    return 1;
  if (!strcmp (target, "multi-user.target") &&
      (!strcmp (name, "graphical.target") || !strncmp (name, "runlevel", 8)))
    return 1;
  if (guest_text (v, path, &text, e) == -1)
    return -1;
  for (const char *p = buf_str (&text); *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *hit = strstr (p, target);
    if (hit && hit < p + strcspn (p, "\n") &&
        (!strncmp (p, "Requires=", 9) || !strncmp (p, "Wants=", 6)))
      return 1;
  }
  return 0;
}

/* 1, 0, -1.  Of those of the network it is assumed: which unit wants them is
 * in the units themselves. */
static int
every_boot_reaches (const struct vfs *v, const char *target, struct err *e)
{
  static const char *const targets[] = {
    "default.target",  "basic.target",       "sysinit.target",
    "local-fs.target", "swap.target",        "sockets.target",
    "timers.target",   "paths.target",       "slices.target",
    "network.target",  "network-pre.target", "network-online.target"
  };

  for (size_t i = 0; i < ARRAY_SIZE (targets); i++)
    if (!strcmp (target, targets[i]))
      return 1;
  return default_reaches (v, target, e);
}

static int pulled_in (const struct vfs *v, const char *name,
                      struct names *seen, char **ret_path, struct err *e);

/* 1: NAME is new in SEEN; 0, -1. */
static int
see (struct names *seen, const char *name, struct err *e)
{
  char *copy;

  for (size_t i = 0; i < seen->list.len; i++)
    if (!strcmp (seen->list.items[i], name))
      return 0;
  if (seen->list.len >= MAX_PULLING)
    return err_set (e, EFBIG, "more than %d units pull each other in",
                    MAX_PULLING);
  copy = strdup (name);
  if (!copy || text_vec_push (&seen->list, copy) == -1) {
    free (copy);
    return err_set (e, ENOMEM, "out of memory");
  }
  return 1;
}

/* The links to NAME in the directories of DIR that end with SUFFIX. */
static int
pulled_in_from (const struct vfs *v, const char *dir, const char *suffix,
                const char *name, struct names *seen, char **ret_path,
                struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "", .suffix = suffix };
  int r = names_in (v, dir, &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++) {
    CLEANUP_FREE char *path = NULL, *target = NULL, *by = NULL;
    int state;

    r = there_printf (v, true, &path, e, "%s/%s/%s", dir, l.list.items[i],
                      name);
    if (r != 1)
      continue;
    if ((state = startup_is_masked (v, path, e)) == -1)
      return -1;
    r = 0;
    if (state == 1)
      continue;
    target =
        strndup (l.list.items[i], strlen (l.list.items[i]) - strlen (suffix));
    if (!target)
      return err_set (e, ENOMEM, "out of memory");
    r = every_boot_reaches (v, target, e);
    if (r == 0 && (r = see (seen, target, e)) == 1)
      r = pulled_in (v, target, seen, &by, e);
    if (r != -1 && (r == 1 || !*ret_path)) {
      free (*ret_path);
      *ret_path = steal_ptr (&path);
    }
  }
  return r;
}

static int
pulled_in (const struct vfs *v, const char *name, struct names *seen,
           char **ret_path, struct err *e)
{
  static const char *const suffixes[] = { ".wants", ".requires", ".upholds" };
  enum { N = ARRAY_SIZE (suffixes) };
  int r = startup_unit_state (v, name, false, NULL, e);

  if (r != UNIT_THERE)
    return r == -1 ? -1 : 0;
  r = 0;
  for (size_t i = 0; r == 0 && i < N * ARRAY_SIZE (unit_dirs); i++)
    r = pulled_in_from (v, unit_dirs[i / N], suffixes[i % N], name, seen,
                        ret_path, e);
  return r;
}

int
startup_unit (const struct vfs *v, const char *name, char **ret_path,
              struct err *e)
{
  CLEANUP_NAMES struct names seen = { .prefix = "", .suffix = "" };

  *ret_path = NULL;
  return pulled_in (v, name, &seen, ret_path, e);
}

/* --- System V -------------------------------------------------------- */

/* The default runlevel in inittab; 0: it does not say. */
static int
default_runlevel (const struct vfs *v, char *ret, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = guest_text (v, "/etc/inittab", &text, e);

  *ret = '\0';
  for (const char *p = buf_str (&text); r == 1 && *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *id = p + strcspn (p, ":\n");
    if (*p == '#' || *id != ':' || id[1] < '1' || id[1] > '5' ||
        strncmp (id + 2, ":initdefault:", 13))
      continue;
    *ret = id[1];
  }
  return r == -1 ? -1 : 0;
}

/* 1: a link S??NAME in DIR leads to something. */
static int
rc_link (const struct vfs *v, const char *dir, const char *name,
         char **ret_path, struct err *e)
{
  CLEANUP_NAMES struct names l = { .prefix = "S", .suffix = name };
  int r = names_in (v, dir, &l, e);

  for (size_t i = 0; r == 0 && i < l.list.len; i++)
    if (strlen (l.list.items[i]) == strlen (name) + 3)
      r = there_printf (v, false, ret_path, e, "%s/%s", dir, l.list.items[i]);
  return r;
}

int
startup_sysv (const struct vfs *v, const char *name, char **ret_path,
              struct err *e)
{
  static const char *const dirs[] = { "/etc/rc", "/etc/rc.d/rc",
                                      "/etc/init.d/rc" };
  char levels[] = "S2345", level, dir[32];
  int r = default_runlevel (v, &level, e);

  *ret_path = NULL;
  if (level)
    snprintf (levels, sizeof levels, "S%c", level);
  for (const char *l = levels; r == 0 && *l; l++)
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++) {
      snprintf (dir, sizeof dir, "%s%c.d", dirs[i], *l);
      r = rc_link (v, dir, name, ret_path, e);
    }
  /* SUSE's for what is started before any runlevel. */
  return r ? r : rc_link (v, "/etc/init.d/boot.d", name, ret_path, e);
}

/* --- Upstart --------------------------------------------------------- */

/* The last of "manual" and "start on" in TEXT counts; MANUAL is left as it is
 * where there is neither. */
static void
read_job (const char *text, bool *manual)
{
  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    const char *s = p + strspn (p, " \t");
    size_t len = strcspn (s, " \t\n#");
    if (len == 6 && !memcmp (s, "manual", 6))
      *manual = true;
    else if (len == 5 && !memcmp (s, "start", 5) &&
             !strncmp (s + 5 + strspn (s + 5, " \t"), "on", 2))
      *manual = false;
  }
}

int
startup_upstart (const struct vfs *v, const char *name, char **ret_path,
                 struct err *e)
{
  static const char *const suffixes[] = { "conf", "override" };
  CLEANUP_FREE char *conf = NULL;
  bool manual = true; /* without an event nothing starts it */

  *ret_path = NULL;
  for (size_t i = 0; i < ARRAY_SIZE (suffixes); i++) {
    CLEANUP_BUF struct buf text = { 0 };
    CLEANUP_FREE char *path = NULL;
    int r = there_printf (v, false, &path, e, "/etc/init/%s.%s", name,
                          suffixes[i]);
    if (r == -1 || (i == 0 && r == 0))
      return r;
    if (r == 1 && guest_text (v, path, &text, e) == -1)
      return -1;
    read_job (buf_str (&text), &manual);
    if (i == 0)
      conf = steal_ptr (&path);
  }
  if (manual)
    return 0;
  *ret_path = steal_ptr (&conf);
  return 1;
}

/* --- OpenRC ---------------------------------------------------------- */

int
startup_openrc (const struct vfs *v, const char *name, char **ret_path,
                struct err *e)
{
  static const char *const levels[] = { "sysinit", "boot", "default" };
  int r = 0;

  *ret_path = NULL;
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (levels); i++)
    r = there_printf (v, false, ret_path, e, "/etc/runlevels/%s/%s",
                      levels[i], name);
  return r;
}

/* --- all ------------------------------------------------------------- */

static bool
may_be (const char *init, const char *name)
{
  return !init || !*init || !strcmp (init, name);
}

static int
startup_systemd (const struct vfs *v, const char *name, char **ret_path,
                 struct err *e)
{
  static const char *const kinds[] = { "service", "socket" };
  bool native = false;
  int r = 0;

  for (size_t i = 0; r != 1 && i < ARRAY_SIZE (kinds); i++) {
    CLEANUP_FREE char *unit = path_printf (e, "%s.%s", name, kinds[i]);
    if (!unit)
      return -1;
    free (*ret_path);
    r = startup_unit (v, unit, ret_path, e);
    if (r == 1) {
      CLEANUP_FREE char *fails = NULL;
      r = startup_conditions (v, unit, &fails, e);
    }
    if (r != 0)
      break;
    if ((r = startup_unit_state (v, unit, false, NULL, e)) == -1)
      break;
    native = native || (i == 0 && r != UNIT_ABSENT);
    r = 0;
  }
  if (r != 0)
    return r;
  free (*ret_path);
  *ret_path = NULL;
  return native ? 0 : startup_sysv (v, name, ret_path, e);
}

int
startup_service (const struct vfs *v, const char *init, const char *name,
                 char **ret_path, struct err *e)
{
  int r = 0;

  *ret_path = NULL;
  if (may_be (init, "systemd"))
    r = startup_systemd (v, name, ret_path, e);
  if (r == 0 && may_be (init, "upstart"))
    r = startup_upstart (v, name, ret_path, e);
  if (r == 0 && may_be (init, "openrc"))
    r = startup_openrc (v, name, ret_path, e);
  if (r == 0 && !(init && (!strcmp (init, "systemd"))))
    r = startup_sysv (v, name, ret_path, e);
  return r;
}
