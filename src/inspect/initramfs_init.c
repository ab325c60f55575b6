/* xrayfs: what the init of an initramfs loads by itself
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Red Hat's mkinitrd (until 5, and Fedora until 11) writes a script for nash,
 * its own small shell: a command a line, no conditions, no loops, and no
 * modprobe but a link to nash itself, which does nothing.  So a module is
 * loaded if a line inserts it, and not otherwise.  Of a script for another
 * shell only the lines before anything that may branch are certain.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/initramfs_priv.h"

/* nash's own commands, and programs that mkinitrd calls; none of them loads a
 * driver of a disk or a network card.  nash looks for a program first, and
 * "nash-X" is always its own. */
static const char *const harmless[] = {
  "access",     "cryptsetup",  "dm",         "dmraid",  "dmsetup",
  "echo",       "find",        "findlodev",  "hotplug", "killplug",
  "kpartx",     "ln",          "loadpolicy", "losetup", "lvm",
  "mdadm",      "mkblkdevs",   "mkdir",      "mkdmnod", "mknod",
  "mkrootdev",  "mount",       "multipath",  "network", "pivot_root",
  "plymouth",   "raidautorun", "readlink",   "resume",  "rmmod",
  "rmparts",    "setquiet",    "setuproot",  "sleep",   "stabilized",
  "showlabels", "switchroot",  "udevstart",  "umount",  "waitdev",
};

/* Words behind which a shell's command may not be reached, or not every
 * time. */
static const char *const branching[] = { "if",       "for",  "while",
                                         "until",    "case", "select",
                                         "exec",     "exit", "return",
                                         "function", "{",    "(" };

static bool
is_one_of (const char *word, const char *const *list, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!strcmp (word, list[i]))
      return true;
  return false;
}

static const char *
base_name (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash ? slash + 1 : path;
}

/* "#!/bin/nash" */
static bool
is_for_nash (const char *script)
{
  const char *p = script + 2 + strspn (script + 2, " \t");
  size_t len = strcspn (p, " \t\r\n");

  return len >= 5 && !memcmp (p + len - 5, "/nash", 5);
}

/* The file that `insmod [-f] FILE [PARAMETER]...` names, behind the
 * command's own word; NULL: none. */
static const char *
inserted_file (char *rest)
{
  char *save = NULL, *w = strtok_r (rest, " \t\r", &save);

  while (w && *w == '-')
    w = strtok_r (NULL, " \t\r", &save);
  return w;
}

/* A line for nash; false: what it does is not known. */
static bool
is_understood (const char *word)
{
  word = base_name (word);
  if (!strncmp (word, "nash-", 5))
    word += 5;
  return is_one_of (word, harmless, ARRAY_SIZE (harmless));
}

/* May a shell's line change which of the following are run? */
static bool
may_branch (const char *word, const char *rest)
{
  size_t len = strlen (rest);

  return is_one_of (word, branching, ARRAY_SIZE (branching)) ||
         *word == '(' || strstr (word, "()") || strstr (rest, "()") ||
         (len && rest[len - 1] == '{') || strstr (rest, "<<");
}

enum init_kind
init_script (char *script, int (*fn) (void *arg, const char *path), void *arg)
{
  bool nash, certain = true, understood = true;
  char *line, *lines = NULL;

  if (strncmp (script, "#!", 2) != 0)
    return INIT_PROGRAM;
  nash = is_for_nash (script);
  for (line = strtok_r (script, "\n", &lines); line && certain;
       line = strtok_r (NULL, "\n", &lines)) {
    char *word = line + strspn (line, " \t"), *rest;
    const char *path;

    if (!*word || *word == '#' || *word == '\r')
      continue;
    rest = word + strcspn (word, " \t\r");
    if (*rest)
      *rest++ = '\0';
    if (!strcmp (base_name (word), "insmod")) {
      path = inserted_file (rest);
      if (path && fn (arg, path) == -1)
        return INIT_NO_MEMORY;
    } else if (nash)
      understood = understood && is_understood (word);
    else
      certain = !may_branch (word, rest);
  }
  return nash && understood ? INIT_UNDERSTOOD : INIT_SHELL;
}
