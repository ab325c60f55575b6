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

#define MARKER      "/etc/cloud/cloud-init.disabled"
#define ON_CMDLINE  "cloud-init=disabled"
#define LOCAL_STAGE "cloud-init-local.service"
#define GENERATOR   CLOUD_INIT_GENERATOR

struct search {
  const struct vfs *v;
  const struct boot *b;
  const char *init; /* NULL: not known */
  const struct identify *id;
  struct cloud_init *c;
  bool marker;         /* MARKER is there */
  const char *cmdline; /* of the kernel */
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
  size_t len = strlen (word);

  for (const char *p = cmdline; *p; p += strcspn (p, " \t")) {
    p += strspn (p, " \t");
    if (strcspn (p, " \t") == len && !strncmp (p, word, len))
      return true;
  }
  return false;
}

static int
by_marker (struct search *s, struct err *e)
{
  return disabled (s, e, "%s", MARKER);
}

static int
by_cmdline (struct search *s, struct err *e)
{
  return disabled (s, e, ON_CMDLINE " on the kernel command line");
}

/* The generator itself looks at the switches, the command line's first. Since
 * 23.4 ds-identify does, and takes a part of a word, too; and a generator
 * that finds no ds-identify starts nothing. */
static int
generator_is_off (struct search *s, const char *path, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *word;
  int r = guest_text (s->v, path, &text, e);
  bool on;

  if (r == -1)
    return -1;
  if (strstr (buf_str (&text), "dsidentify") &&
      !strstr (buf_str (&text), "etc_file()"))
    return !s->id->asked
               ? disabled (s, e, "%s: it cannot run ds-identify", path)
           : s->marker                       ? by_marker (s, e)
           : strstr (s->cmdline, ON_CMDLINE) ? by_cmdline (s, e)
                                             : 0;
  word = cmdline_word (s->cmdline, "cloud-init=");
  if (word && has_word (word, ON_CMDLINE) &&
      strcspn (word, " \t") == strlen (ON_CMDLINE))
    return by_cmdline (s, e);
  on = word && !strncmp (word, "cloud-init=enabled", 18) &&
       strcspn (word, " \t") == 18;
  if (on || !s->marker)
    return 0;
  r = vfs_exists (s->v, "/etc/cloud/cloud-init.enabled", e);
  return r == 0 ? by_marker (s, e) : r == 1 ? 0 : -1;
}

/* Does TEXT of a unit have the condition?  One that starts nothing is not as
 * any release has it, and is taken for one that does. */
static bool
unit_heeds (const struct buf *text, const char *key, const char *value)
{
  return startup_unit_has (text, key, value) ||
         !strstr (buf_str (text), "ExecStart");
}

/* Conditions of unit UNIT, and of its drop-ins, on the switches: of all
 * distributions since 23.4, of Red Hat's before. */
static int
unit_is_off (struct search *s, const char *unit, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *fails = NULL;
  int r;

  if (startup_unit_text (s->v, unit, &text, e) == -1)
    return -1;
  if (s->marker && unit_heeds (&text, "ConditionPathExists", "!" MARKER))
    return by_marker (s, e);
  if (has_word (s->cmdline, ON_CMDLINE) &&
      unit_heeds (&text, "ConditionKernelCommandLine", "!" ON_CMDLINE))
    return by_cmdline (s, e);
  if ((r = startup_conditions (s->v, unit, &fails, e)) == 1)
    return 0;
  return r == -1 ? -1 : disabled (s, e, "%s: %s does not hold", unit, fails);
}

/* What starts cloud-init without systemd looks at the switches, or not: its
 * script says. */
static int
scripts_are_off (struct search *s, struct err *e)
{
  static const char *const paths[] = { "/etc/init.d/cloud-init",
                                       "/etc/init.d/cloud-init-local",
                                       "/etc/init/cloud-init.conf",
                                       "/etc/init/cloud-init-local.conf" };

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    CLEANUP_BUF struct buf text = { 0 };
    if (guest_text (s->v, paths[i], &text, e) == -1)
      return -1;
    if (s->marker && strstr (buf_str (&text), "cloud-init.disabled"))
      return by_marker (s, e);
    if (strstr (s->cmdline, ON_CMDLINE) &&
        strstr (buf_str (&text), ON_CMDLINE))
      return by_cmdline (s, e);
  }
  return 0;
}

/* The generator starts cloud-init.target, wanted by BY, if ds-identify finds
 * a data source: the provider's, unless the configuration leaves it out. */
static int
ask_ds_identify (struct search *s, const char *by, struct err *e)
{
  if (s->id->asked && s->id->policy)
    fact_evidence (&s->c->enabled, "ds-identify: policy %s", s->id->policy);
  if (!s->id->asked || s->id->starts == 1)
    return enabled (s, by, e);
  if (s->id->starts == 0)
    return disabled (s, e, "ds-identify: policy %s%s", s->id->policy,
                     s->id->policy_on_cmdline ? " on the kernel command line"
                                              : "");
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
  if (link && (r = generator_is_off (s, generator, e)) != 0)
    return r;
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
  if ((r = unit_is_off (s, unit, e)) != 0)
    return r;
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

/* Nothing starts it; but the first boot may change that. */
static int
nothing_starts (struct search *s, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  const char *unit = NULL;
  int r = is_systemd (s) ? find_main_unit (s, &unit, &path, e) : UNIT_ABSENT;

  if (r != -1)
    r = r == UNIT_THERE ? startup_presets_apply (s->v, unit, e) : 0;
  if (r == -1)
    return -1;
  return r == 1
             ? undecided (s, e,
                          "/etc/machine-id is not there: systemd applies its"
                          " presets at the first boot, which may enable what"
                          " is not enabled now")
             : disabled (s, e, "no start-up unit, link or job is enabled");
}

static int
look_at_start (struct search *s, struct err *e)
{
  CLEANUP_FREE char *by = NULL;
  int r = is_systemd (s) ? look_at_units (s, e) : 0;

  if (r != 0)
    return r;
  if ((r = startup_service (s->v, s->init, "cloud-init", &by, e)) == -1)
    return -1;
  if (r == 0)
    return nothing_starts (s, e);
  if ((r = scripts_are_off (s, e)) != 0)
    return r;
  return enabled (s, by, e);
}

int
cloud_init_decide_enabled (const struct vfs *v, const struct boot *b,
                           const struct os *os, const struct identify *id,
                           struct cloud_init *c, struct err *e)
{
  struct search s = { .v = v,
                      .b = b,
                      .init = os->init.value,
                      .id = id,
                      .c = c,
                      .cmdline = b->cmdline.value ? b->cmdline.value : "" };
  int r = vfs_exists (v, MARKER, e);

  s.marker = r == 1;
  if (r != -1)
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
