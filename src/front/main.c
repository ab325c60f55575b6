/* xrayfs: which command
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "front/front.h"
#include "policy/policy.h"

/* One line a policy: its name, and where it comes from. */
static int
print_policies (FILE *to)
{
  for (size_t i = 0; policies[i]; i++)
    if (fprintf (to, "%s\tbuilt in\n", policies[i]->name) < 0)
      return -1;
  return 0;
}

static int
policies_main (int argc, char **argv unused_arg)
{
  if (argc > 1) {
    say ("policies: takes no arguments");
    return CLI_BAD_USAGE;
  }
  if (print_policies (stdout) == -1 || fflush (stdout) == EOF) {
    say ("policies: cannot be written");
    return CLI_NOT_THERE;
  }
  return CLI_OK;
}

static const struct command {
  const char *name;
  int (*main) (int argc, char **argv);
} commands[] = {
  { "ls", cli_ls },         { "cat", cli_cat },
  { "check", cli_check },   { "report", cli_report },
  { "export", cli_export }, { "policies", policies_main },
};

/* An image that is called like a command is named with its directory:
 * xrayfs ./ls MOUNTPOINT. */
int
main (int argc, char **argv)
{
  for (size_t i = 0; argc > 1 && i < ARRAY_SIZE (commands); i++)
    if (!strcmp (argv[1], commands[i].name))
      return commands[i].main (argc - 1, argv + 1);
  return mount_main (argc, argv);
}
