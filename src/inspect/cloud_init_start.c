/* xrayfs: would the init system start cloud-init?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What counts is the stage that finds the data source and the instance: the
 * unit cloud-init.service; since 24.3 it is cloud-init-network.service, and
 * all stages are one process, that of cloud-init-main.service.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/cloud_init.h"
#include "inspect/startup.h"

#define MARKER       "/etc/cloud/cloud-init.disabled"
#define ON_CMDLINE   "cloud-init=disabled"
#define LOCAL_STAGE  "cloud-init-local.service"
#define GENERATOR    "cloud-init-generator"
#define MARKER_SINCE "0.7.7" /* the generator's first release */

struct search {
  const struct vfs *v;
  const struct boot *b;
  const char *init; /* NULL: not known */
  struct cloud_init *c;
};

/* Each ends the search: 1, or -1. */
static int disabled (struct search *s, struct err *e, const char *fmt, ...)
    printf_like (3, 4);
static int undecided (struct search *s, struct err *e, const char *fmt, ...)
    printf_like (3, 4);

static int
say (struct search *s, bool known, const char *why, struct err *e)
{
  struct cloud_init *c = s->c;

  if (!known)
    return fact_unknown (&c->enabled, e, "%s", why) == -1 ||
                   fact_unknown (&c->disabled_by, e, "%s", why) == -1
               ? -1
               : 1;
  fact_evidence (&c->enabled, "disabled by %s", why);
  return fact_set (&c->disabled_by, e, "%s", why) == -1 ||
                 fact_set (&c->enabled, e, "no") == -1
             ? -1
             : 1;
}

#define DEFINE_SAY(function, known)                                          \
  static int function (struct search *s, struct err *e, const char *fmt,     \
                       ...)                                                  \
  {                                                                          \
    char why[512];                                                           \
    va_list ap;                                                              \
                                                                             \
    va_start (ap, fmt);                                                      \
    vsnprintf (why, sizeof why, fmt, ap);                                    \
    va_end (ap);                                                             \
    return say (s, known, why, e);                                           \
  }
DEFINE_SAY (disabled, true)
DEFINE_SAY (undecided, false)

static int
enabled (struct search *s, const char *by, struct err *e)
{
  struct cloud_init *c = s->c;

  fact_evidence (&c->enabled, "started by: %s", by);
  return fact_set (&c->disabled_by, e, "%s", "") == -1 ||
                 fact_set (&c->enabled, e, "yes") == -1
             ? -1
             : 1;
}

/* --- switched off as a whole ----------------------------------------- */

static bool
is_systemd (const struct search *s)
{
  return !s->init || !*s->init || !strcmp (s->init, "systemd");
}

static bool
has_word (const char *cmdline, const char *word)
{
  const char *p = cmdline_word (cmdline, word);

  return p && strcspn (p, " \t") == strlen (word);
}

/* What starts cloud-init without systemd looks at the switch, or not: its
 * script says.  1: some of them do. */
static int
scripts_mention (const struct search *s, const char *word, struct err *e)
{
  static const char *const paths[] = { "/etc/init.d/cloud-init",
                                       "/etc/init.d/cloud-init-local",
                                       "/etc/init/cloud-init.conf",
                                       "/etc/init/cloud-init-local.conf" };

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    CLEANUP_BUF struct buf text = { 0 };
    int r = guest_text (s->v, paths[i], &text, e);
    if (r == -1)
      return -1;
    if (strstr (buf_str (&text), word))
      return 1;
  }
  return 0;
}

/* A switch is on.  The units and the generator heed it, since there is one;
 * scripts may. */
static int
switched_off (struct search *s, const char *what, const char *word,
              struct err *e)
{
  const char *version = s->c->version.value;
  bool systemd = is_systemd (s);
  int r = systemd ? 1 : scripts_mention (s, word, e);

  if (r == -1)
    return -1;
  if (systemd && version && *version &&
      version_compare (version, MARKER_SINCE) < 0)
    r = 0;
  return r == 1 ? disabled (s, e, "%s", what)
                : undecided (s, e,
                             "%s: it is not known whether this version"
                             " heeds it",
                             what);
}

static int
look_for_switches (struct search *s, struct err *e)
{
  const char *cmdline = s->b->cmdline.value ? s->b->cmdline.value : "";
  int r = vfs_exists (s->v, MARKER, e);

  if (r == -1)
    return -1;
  if (r == 1 && has_word (cmdline, "cloud-init=enabled"))
    return undecided (s, e,
                      MARKER
                      " is there, and cloud-init=enabled is on the"
                      " kernel command line: which of them wins depends"
                      " on the version");
  if (r == 1)
    return switched_off (s, MARKER, "cloud-init.disabled", e);
  if (has_word (cmdline, ON_CMDLINE))
    return switched_off (s, ON_CMDLINE " on the kernel command line",
                         ON_CMDLINE, e);
  return 0;
}

/* --- ds-identify ----------------------------------------------------- */

int
cloud_init_ds_identify (const struct vfs *v, struct err *e)
{
  static const char *const dirs[] = { "/usr/lib", "/usr/libexec", "/lib",
                                      "/usr/local/lib",
                                      "/usr/local/libexec" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (dirs); i++) {
    CLEANUP_FREE char *path = NULL;
    r = there_printf (v, false, &path, e, "%s/cloud-init/ds-identify",
                      dirs[i]);
  }
  return r;
}

/* *RET: "policy:" of its configuration, or "ci.di.policy=" of the command
 * line, which wins; or NULL. */
static int
read_policy (const struct search *s, char **ret, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *word = s->b->cmdline.value
                         ? cmdline_word (s->b->cmdline.value, "ci.di.policy=")
                         : NULL;
  int r =
      word ? 0 : guest_text (s->v, "/etc/cloud/ds-identify.cfg", &text, e);

  *ret = word ? strndup (word + 13, strcspn (word + 13, " \t")) : NULL;
  for (const char *p = buf_str (&text); r == 1 && *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    const char *t = p + strspn (p, " \t");
    if (strncmp (t, "policy:", 7))
      continue;
    t += 7;
    t += strspn (t, " \t\"'");
    free (*ret);
    *ret = strndup (t, strcspn (t, " \t\"'#\n"));
  }
  if (r == -1)
    return -1;
  if (*ret)
    fact_evidence (&s->c->enabled, "ds-identify: policy %s", *ret);
  return 0;
}

/* With one data source, or one and None, it is not searched for. */
static bool
is_searched_for (const char *list)
{
  const char *second = strchr (list, '\n');

  return second && strcmp (second + 1, "None") != 0;
}

/* The generator BY starts cloud-init.target, if ds-identify finds a data
 * source: the provider's, unless the configuration leaves it out. */
static int
ask_ds_identify (struct search *s, const char *by, struct err *e)
{
  CLEANUP_FREE char *policy = NULL;
  const struct fact *list = &s->c->datasources;
  int r;

  if (read_policy (s, &policy, e) == -1)
    return -1;
  if (policy && !strncmp (policy, "disabled", 8))
    return disabled (s, e, "ds-identify: policy %s", policy);
  if ((r = cloud_init_ds_identify (s->v, e)) == -1)
    return -1;
  if (r == 0 || (policy && (!strncmp (policy, "enabled", 7) ||
                            !strncmp (policy, "report", 6) ||
                            strstr (policy, "notfound=enabled"))))
    return enabled (s, by, e);
  if (!fact_known (list))
    return undecided (s, e, "%s", list->reason);
  if (!*list->value || !is_searched_for (list->value) ||
      cloud_init_has_datasource (list->value, "ConfigDrive"))
    return enabled (s, by, e);
  return undecided (s, e,
                    "ds-identify starts cloud-init only where it finds a data"
                    " source of datasource_list, which has no ConfigDrive");
}

/* --- systemd --------------------------------------------------------- */

/* UNIT is wanted by LINK alone, of a target that is not known to be started:
 * as cloud-init.target, which the generator starts. */
static int
by_generator (struct search *s, const char *link, struct err *e)
{
  CLEANUP_FREE char *generator = NULL;
  int r = startup_unit_state (s->v, GENERATOR, true, &generator, e);

  if (r == -1)
    return -1;
  if (r == UNIT_MASKED)
    return disabled (s, e, "%s (masked)", generator);
  if (r == UNIT_ABSENT)
    return link ? undecided (s, e,
                             "%s is there, and nothing was found that starts"
                             " that target",
                             link)
                : 0;
  fact_evidence (&s->c->enabled, "%s: there", generator);
  if (!link)
    return undecided (s, e, "%s is there, and no link starts the services",
                      generator);
  if (!strstr (link, "/cloud-init.target."))
    return undecided (s, e, "%s: it is not known whether that is started",
                      link);
  return ask_ds_identify (s, link, e);
}

/* The unit whose stage counts: the first of these that there is. */
static int
find_main_unit (const struct search *s, const char **ret, char **ret_path,
                struct err *e)
{
  static const char *const units[] = { "cloud-init-main.service",
                                       "cloud-init.service",
                                       "cloud-init-network.service" };
  int r = UNIT_ABSENT;

  for (size_t i = 0; r == UNIT_ABSENT && i < ARRAY_SIZE (units); i++) {
    r = startup_unit_state (s->v, *ret = units[i], false, ret_path, e);
    if (r == -1)
      return -1;
  }
  return r;
}

/* 1: settled; 0: systemd has no unit of it; -1. */
static int
look_at_units (struct search *s, struct err *e)
{
  static const char target[] = "cloud-init.target";
  CLEANUP_FREE char *file = NULL, *link = NULL, *masked = NULL;
  const char *unit = NULL;
  int r = find_main_unit (s, &unit, &file, e), local;

  if (r == UNIT_MASKED)
    return disabled (s, e, "%s (masked)", file);
  if (r != UNIT_THERE)
    return r == -1 ? -1 : 0;
  fact_evidence (&s->c->enabled, "%s: there", file);
  local = startup_unit_state (s->v, LOCAL_STAGE, false, &masked, e);
  if (local == -1)
    return -1;
  if (local == UNIT_MASKED)
    return undecided (s, e,
                      "%s is masked: the later stages would run, and not the"
                      " one that looks for a configuration drive",
                      masked);
  if ((r = startup_unit (s->v, unit, &link, e)) == -1)
    return -1;
  if (r == 1)
    return enabled (s, link, e);
  free (masked);
  masked = NULL;
  r = startup_unit_state (s->v, target, false, &masked, e);
  if (r == UNIT_MASKED)
    return disabled (s, e, "%s (masked)", masked);
  return r == -1 ? -1 : by_generator (s, link, e);
}

/* --- the answer ------------------------------------------------------ */

static int
look_at_start (struct search *s, struct err *e)
{
  CLEANUP_FREE char *by = NULL;
  int r = is_systemd (s) ? look_at_units (s, e) : 0;

  if (r != 0)
    return r;
  if ((r = startup_service (s->v, s->init, "cloud-init", &by, e)) == -1)
    return -1;
  return r == 1 ? enabled (s, by, e)
                : disabled (s, e, "no start-up unit, link or job is enabled");
}

int
cloud_init_decide_enabled (const struct vfs *v, const struct boot *b,
                           const char *init, struct cloud_init *c,
                           struct err *e)
{
  struct search s = { v, b, init, c };
  int r = look_for_switches (&s, e);

  if (r == 0)
    r = look_at_start (&s, e);
  if (r == -1)
    return fact_could_not_look (&c->enabled, e) == -1
               ? -1
               : fact_unknown (&c->disabled_by, e, "%s", c->enabled.reason);
  if (fact_is (&c->enabled, "yes") && !b->cmdline.value)
    return undecided (&s, e, "the kernel command line is not known: %s",
                      b->cmdline.reason) == -1
               ? -1
               : 0;
  return 0;
}
