/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/blacklist.h"

#include <fnmatch.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

static void
with_underscores (char *name)
{
  for (; *name; name++)
    if (*name == '-')
      *name = '_';
}

/* Is the kernel VERSION ("4.18.0-553.el8") older than MAJOR.MINOR? */
static bool
is_older (const char *version, unsigned long major, unsigned long minor)
{
  char *end;
  unsigned long a = strtoul (version, &end, 10);
  unsigned long b = *end == '.' ? strtoul (end + 1, NULL, 10) : 0;

  return a < major || (a == major && b < minor);
}

/* --- the command line ------------------------------------------------ */

enum spelling { AS_WRITTEN, ANY_DASH };

/* Is NAME in the comma-separated list of LEN bytes at LIST? */
static bool
is_listed (const char *list, size_t len, const char *name, enum spelling how)
{
  for (const char *w = list, *end = list + len; w < end;) {
    size_t n = strcspn (w, ", \t");
    char item[128];

    snprintf (item, sizeof item, "%.*s", (int) MIN (n, sizeof item), w);
    if (how == ANY_DASH)
      with_underscores (item);
    if (!strcmp (item, name))
      return true;
    w += n + 1;
  }
  return false;
}

/* Is NAME in a list behind KEY= on the command line?  LAST_ONLY: of several
 * the last one counts. */
static bool
lists (const char *cmdline, const char *key, const char *name,
       enum spelling how, bool last_only)
{
  size_t len = strlen (key), n;
  bool found = false;

  for (const char *p = cmdline; *p; p += n) {
    p += strspn (p, " \t");
    n = strcspn (p, " \t");
    if (n > len && !strncmp (p, key, len) && p[len] == '=')
      found = is_listed (p + len + 1, n - len - 1, name, how) ||
              (found && !last_only);
  }
  return found;
}

/* What is known to keep it out does so, whatever else is said. */
static bool
is_settled (const struct blacklist *b)
{
  return b->found[0] && !b->not_known;
}

static void
found_word (struct blacklist *b, const char *key, const char *name,
            bool known)
{
  if (is_settled (b))
    return;
  snprintf (b->found, sizeof b->found, "%s=%s on the command line", key,
            name);
  b->not_known = !known;
}

/* The kernel compares the name of the function: do_one_initcall asks for
 * modules as for what is built in (since 3.16). */
static void
initcall_word (const struct blacklist_place *p,
               const struct blacklist_module *m, struct blacklist *b)
{
  static const char key[] = "initcall_blacklist";
  bool older = m->init_before_5_18 && is_older (p->version, 5, 18);

  if (!m->initcall)
    return;
  if (lists (p->cmdline, key, m->initcall, AS_WRITTEN, false))
    found_word (b, key, m->initcall, !older && !is_older (p->version, 3, 16));
  else if (older && lists (p->cmdline, key, "init", AS_WRITTEN, false))
    found_word (b, key, "init", false);
}

void
blacklist_builtin (const struct blacklist_place *p,
                   const struct blacklist_module *m, struct blacklist *b)
{
  *b = (struct blacklist){ 0 };
  initcall_word (p, m, b);
}

/* What the kernel itself keeps out: module_blacklist= (since 4.8). */
static void
kernel_words (const struct blacklist_place *p,
              const struct blacklist_module *m, struct blacklist *b)
{
  initcall_word (p, m, b);
  if (lists (p->cmdline, "module_blacklist", m->name, AS_WRITTEN, true))
    found_word (b, "module_blacklist", m->name, !is_older (p->version, 4, 8));
}

/* Has the last list behind PREFIX two items at the most? */
static bool
has_few (const char *cmdline, const char *prefix)
{
  const char *word = cmdline_word (cmdline, prefix);
  size_t len = word ? strcspn (word, " \t") : 0;
  const char *comma = word ? memchr (word, ',', len) : NULL;

  return !comma ||
         !memchr (comma + 1, ',', len - (size_t) (comma + 1 - word));
}

/* What is turned into "blacklist" lines: by kmod (its first version came
 * beside Linux 3.2), initramfs-tools, mkinitfs, and dracut. */
static void
blacklist_words (const struct blacklist_place *p, const char *module,
                 struct blacklist *b)
{
  static const char *const of_dracut[] = { "rd.driver.blacklist",
                                           "rdblacklist" };

  for (size_t i = 0; p->dracut != NO_DRACUT && i < ARRAY_SIZE (of_dracut);
       i++)
    if (lists (p->cmdline, of_dracut[i], module, ANY_DASH, false))
      found_word (b, of_dracut[i], module, p->dracut == DRACUT);
  if (p->initramfs_tools &&
      lists (p->cmdline, "blacklist", module, ANY_DASH, false))
    found_word (b, "blacklist", module, true);
  /* Old ones took what stands behind a second comma for one word. */
  if (p->mkinitfs && lists (p->cmdline, "blacklist", module, ANY_DASH, true))
    found_word (b, "blacklist", module, has_few (p->cmdline, "blacklist="));
  if (lists (p->cmdline, "modprobe.blacklist", module, AS_WRITTEN, false))
    found_word (b, "modprobe.blacklist", module,
                !is_older (p->version, 3, 2));
}

/* --- modprobe.d ------------------------------------------------------ */

struct rules {
  const struct blacklist_module *module;
  struct blacklist *found;
  bool installed;    /* an install line was met: the first one counts */
  char install[160]; /* that line, if it may not load the module */
  bool install_known;
  bool softdep;      /* kmod then loads the module whatever install says */
  char alias[160];   /* the last that leads to another module, or to none */
  bool alias_known;  /* all of them lead to none, for all devices */
  bool alias_itself; /* one leads to it after all */
};

/* Does COMMAND, which is run by the shell, load MODULE?  1, 0, or -1: cannot
 * tell. */
static int
command_loads (const char *command, const char *module)
{
  static const char *const nothing[] = { "true", "false", ":", "exit",
                                         "echo" };
  size_t len = strcspn (command, " \t;&|");
  const char *slash = memrchr (command, '/', len);
  const char *base = slash ? slash + 1 : command;
  char copy[1024];
  bool does_nothing = false;

  snprintf (copy, sizeof copy, "%s", command);
  with_underscores (copy);
  len -= (size_t) (base - command);
  for (size_t i = 0; i < ARRAY_SIZE (nothing); i++)
    if (len == strlen (nothing[i]) && !strncmp (base, nothing[i], len))
      does_nothing = true;
  if (strstr (copy, "modprobe") || strstr (copy, "insmod"))
    return strstr (copy, module) && !does_nothing ? 1 : -1;
  return does_nothing ? 0 : -1;
}

static void
found_line (struct rules *r, const char *line, bool known)
{
  if (is_settled (r->found))
    return;
  snprintf (r->found->found, sizeof r->found->found, "%.150s", line);
  r->found->not_known = !known;
}

/* "install NAME COMMAND" runs COMMAND instead of loading NAME. */
static void
install_line (struct rules *r, const char *pattern, const char *command,
              const char *line)
{
  int loads;

  if (r->installed || fnmatch (pattern, r->module->name, 0) != 0)
    return;
  r->installed = true;
  loads = command_loads (command, r->module->name);
  if (loads == 1)
    return;
  r->install_known = loads == 0;
  snprintf (r->install, sizeof r->install, "%.150s", line);
}

/* "alias MODALIAS NAME" comes before what the module says of itself; all that
 * match are loaded. */
static void
alias_line (struct rules *r, const char *pattern, const char *target,
            const char *line)
{
  size_t matching = 0, n = 0, len;
  char alias[128];

  for (const char *p = r->module->modaliases; p && *p; p += len) {
    p += strspn (p, " ");
    len = strcspn (p, " ");
    snprintf (alias, sizeof alias, "%.*s", (int) len, p);
    n++;
    matching += fnmatch (pattern, alias, 0) == 0;
  }
  if (!matching)
    return;
  if (!strcmp (target, r->module->name)) {
    r->alias_itself = r->alias_itself || matching == n;
    return;
  }
  r->alias_known = (!r->alias[0] || r->alias_known) && matching == n &&
                   !strcmp (target, "off");
  snprintf (r->alias, sizeof r->alias, "%.150s", line);
}

static int
modprobe_line (void *arg, char *line)
{
  struct rules *r = arg;
  char whole[1024], *w[3] = { 0 };
  size_t n;

  snprintf (whole, sizeof whole, "%s", line);
  n = split_words (line, w, 3);
  if (n < 2 || w[0][0] == '#')
    return 0;
  with_underscores (w[1]);
  /* What others need is loaded with them, blacklisted or not. */
  if (!strcmp (w[0], "blacklist") && !strcmp (w[1], r->module->name) &&
      r->module->modaliases)
    found_line (r, whole, true);
  if (n < 3)
    return 0;
  if (!strcmp (w[0], "install"))
    install_line (
        r, w[1], whole + MIN ((size_t) (w[2] - line), strlen (whole)), whole);
  if (!strcmp (w[0], "softdep") && !strcmp (w[1], r->module->name))
    r->softdep = true;
  if (!strcmp (w[0], "alias")) {
    with_underscores (w[2]);
    alias_line (r, w[1], w[2], whole);
  }
  return 0;
}

/* A backslash at its end joins a line with the next. */
static void
join_lines (char *text)
{
  char *to = text;

  for (; *text; text++)
    if (text[0] == '\\' && text[1] == '\n')
      text++;
    else
      *to++ = *text;
  *to = '\0';
}

/* "virtio_blk" or "virtio-blk option=1" in conf/modules of initramfs-tools. */
static bool
has_line (const char *text, const char *module)
{
  size_t len = strlen (module), i;

  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    p += strspn (p, " \t");
    for (i = 0; i < len && (p[i] == module[i] ||
                            (p[i] == '-' && module[i] == '_'));)
      i++;
    if (i == len && strchr (" \t\n", p[i]))
      return true;
  }
  return false;
}

int
blacklist_find (const struct blacklist_place *p,
                const struct blacklist_module *m, struct blacklist *b,
                struct err *e)
{
  CLEANUP_FREE char *text = strdup (p->modprobe);
  struct rules rules = { .module = m, .found = b };

  *b = (struct blacklist){ 0 };
  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  if (!p->inserted) {
    join_lines (text);
    each_line (text, modprobe_line, &rules);
    if (rules.install[0])
      found_line (&rules, rules.install,
                  rules.install_known && !rules.softdep);
    if (rules.alias[0] && !rules.alias_itself)
      found_line (&rules, rules.alias, rules.alias_known);
    if (m->modaliases)
      blacklist_words (p, m->name, b);
    /* By its name: that asks for no blacklist, but for install. */
    if (b->found[0] &&
        ((p->mkinitfs &&
          lists (p->cmdline, "modules", m->name, ANY_DASH, true)) ||
         (p->forced && has_line (p->forced, m->name))))
      b->not_known = true;
  }
  kernel_words (p, m, b);
  return 0;
}

/* --- the root filesystem's ------------------------------------------- */

struct config_file {
  char *name;
  const char *dir;
};
DEFINE_VEC (config_vec, struct config_file)

static void
cleanup_configs (struct config_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    free (v->items[i].name);
  free (v->items);
}

static int
compare_configs (const void *a, const void *b)
{
  return strcmp (((const struct config_file *) a)->name,
                 ((const struct config_file *) b)->name);
}

/* The names in DIR that are in no directory before it. */
static int
add_configs (const struct vfs *v, const char *dir, struct config_vec *to,
             struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = "", .suffix = ".conf" };
  size_t before = to->len;

  if (names_in (v, dir, &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    struct config_file c = { files.list.items[i], dir };
    bool masked = *c.name == '.';

    for (size_t k = 0; k < before; k++)
      masked = masked || !strcmp (to->items[k].name, c.name);
    if (masked)
      continue;
    c.name = strdup (c.name);
    if (!c.name || config_vec_push (to, c) == -1) {
      free (c.name);
      return err_set (e, ENOMEM, "out of memory");
    }
  }
  return 0;
}

/* Of all of them: distributions' have a few KiB. */
#define MAX_TEXTS (16 * MiB)

/* A link to /dev/null is there to mask others. */
static int
add_config (const struct vfs *v, const struct config_file *c, struct buf *to,
            struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *path = NULL;

  if (asprintf (&path, "%s/%s", c->dir, c->name) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  if (guest_text (v, path, &text, e) == -1) {
    if (e->code != EINVAL)
      return -1;
    err_clear (e);
    return 0;
  }
  if (to->len + text.len > MAX_TEXTS)
    return err_set (e, EFBIG, "more than %zu bytes of modprobe.d",
                    (size_t) MAX_TEXTS);
  buf_puts (to, buf_str (&text));
  buf_puts (to, "\n");
  return 0;
}

int
blacklist_read_root (const struct vfs *v, struct buf *to, struct err *e)
{
  static const char *const dirs[] = { "/etc/modprobe.d",
                                      "/usr/local/lib/modprobe.d",
                                      "/lib/modprobe.d",
                                      "/usr/lib/modprobe.d" };
  __attribute__ ((
      cleanup (cleanup_configs))) struct config_vec configs = { 0 };

  for (size_t i = 0; i < ARRAY_SIZE (dirs); i++)
    if (add_configs (v, dirs[i], &configs, e) == -1)
      return -1;
  if (configs.len)
    qsort (configs.items, configs.len, sizeof *configs.items,
           compare_configs);
  for (size_t i = 0; i < configs.len; i++)
    if (add_config (v, &configs.items[i], to, e) == -1)
      return -1;
  return buf_check (to, e);
}
