/* xrayfs: prints the rows of the tree for xrayfs(5)
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the table that the program serves, so that the manual cannot differ
 * from it.
 */
#include <stdio.h>
#include <string.h>

#include "tree/node.h"

static const char *
value_of (const struct node_def *d)
{
  switch (d->type) {
  case NODE_DIR:
    return "directory";
  case NODE_LINK:
    return "link";
  case NODE_BYTES:
    return "bytes";
  case NODE_GUEST:
    return "guest files";
  default:
    return d->kind == VALUE_LIST     ? "list"
           : d->kind == VALUE_NUMBER ? "number"
                                     : "text";
  }
}

static void
print_rows (const struct node_def *d, const char *prefix)
{
  char path[256];

  for (; d->name; d++) {
    snprintf (path, sizeof path, "%s%s", prefix, d->name);
    printf (".TP\n.B %s%s\n(%s) %s.\n", path,
            d->type == NODE_DIR || d->type == NODE_GUEST ? "/" : "",
            value_of (d), d->help);
    snprintf (path + strlen (path), sizeof path - strlen (path), "/");
    if (d->children)
      print_rows (d->children, path);
    if (d->below)
      print_rows (d->below, path);
  }
}

int
main (void)
{
  print_rows (tree_top, "");
  return 0;
}
