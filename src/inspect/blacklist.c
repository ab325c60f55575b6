/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/blacklist.h"

#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

bool
blacklist_lists (const char *cmdline, const char *key, const char *module)
{
  size_t len = strlen (key), n;
  char name[128];

  for (const char *p = cmdline; *p;) {
    p += strspn (p, " \t");
    n = strcspn (p, " \t");
    if (n > len && !strncmp (p, key, len) && p[len] == '=')
      for (const char *w = p + len + 1; w < p + n;) {
        size_t l = strcspn (w, ", \t");
        if (l < sizeof name) {
          for (size_t i = 0; i < l; i++)
            name[i] = w[i] == '-' ? '_' : w[i];
          name[l] = '\0';
          if (!strcmp (name, module))
            return true;
        }
        w += l + (w[l] == ',');
        if (!*w)
          break;
      }
    p += n;
  }
  return false;
}

/* Does the command of an "install" line do nothing?  1, 0, or -1: cannot
 * tell.  It is run by the shell. */
static int
does_nothing (const char *command)
{
  static const char *const nothing[] = { "true", "false", ":", "exit",
                                         "echo" };
  size_t len = strcspn (command, " \t;");
  const char *slash = memrchr (command, '/', len);
  const char *base = slash ? slash + 1 : command;

  len -= (size_t) (base - command);
  if (strstr (command, "modprobe") || strstr (command, "insmod"))
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE (nothing); i++)
    if (len == strlen (nothing[i]) && !strncmp (base, nothing[i], len))
      return 1;
  return -1;
}

/* "blacklist X" keeps udev from loading X; "install X /bin/true" keeps
 * anybody from it.  modprobe.d(5). */
static int
modprobe_line (void *arg, char *line)
{
  struct blacklist *b = arg;
  char whole[1024], *w[3] = { 0 };
  const char *command;
  int nothing;
  size_t n;

  snprintf (whole, sizeof whole, "%s", line);
  n = split_words (line, w, 3);
  if (n < 2 || w[0][0] == '#')
    return 0;
  for (char *p = w[1]; *p; p++)
    if (*p == '-')
      *p = '_';
  if (strcmp (w[1], b->module))
    return 0;
  if (!strcmp (w[0], "blacklist")) {
    snprintf (b->found, sizeof b->found, "%.150s", whole);
    b->not_known = false;
  }
  if (strcmp (w[0], "install") || n < 3)
    return 0;
  command = whole + MIN ((size_t) (w[2] - line), strlen (whole));
  nothing = does_nothing (command);
  if (nothing == 0 || (nothing == -1 && b->found[0]))
    return 0;
  snprintf (b->found, sizeof b->found, "%.150s", whole);
  b->not_known = nothing == -1;
  return 0;
}

int
blacklist_find (const char *modprobe, const char *cmdline,
                bool initramfs_tools, const char *module, struct blacklist *b,
                struct err *e)
{
  /* The first is initramfs-tools' own. */
  static const char *const keys[] = { "blacklist", "modprobe.blacklist",
                                      "rd.driver.blacklist",
                                      "module_blacklist", "rdblacklist" };
  CLEANUP_FREE char *text = strdup (modprobe);

  *b = (struct blacklist){ .module = module };
  if (!text)
    return err_set (e, ENOMEM, "out of memory");
  each_line (text, modprobe_line, b);
  for (size_t i = 0; i < ARRAY_SIZE (keys); i++)
    if (blacklist_lists (cmdline, keys[i], module) &&
        (i > 0 || initramfs_tools)) {
      snprintf (b->found, sizeof b->found, "%s=%s on the command line",
                keys[i], module);
      b->not_known = false;
    }
  return 0;
}
