/* xrayfs: what the commands that do not mount share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FRONT_CLI_H
#define XRAYFS_FRONT_CLI_H

#include <stdbool.h>

#include "base/vec.h"
#include "front/front.h"
#include "front/source.h"
#include "tree/tree.h"

/* An image and its tree. */
struct opened {
  struct source source;
  struct image *image;
  struct tree *tree;
};

/* A command's -o OPTION[,OPTION]: follow=DIR alone so far.  Changes TEXT,
 * which RET then points into.  -1: has said what is wrong. */
int cli_option (const char *command, char *text,
                struct follow *ret) must_check nonnull (1, 2, 3);

/* The options of a command that has none of its own; operands start at
 * optind.  -1: has said what is wrong. */
int cli_common_options (int argc, char **argv, struct follow *ret) must_check
    nonnull (2, 3);

/* Opens PATH.  *RET_DAMAGED tells a failure that lies in the image from one
 * of this host (image.h).  Says nothing. */
int cli_open (const char *path, const struct follow *follow,
              struct opened *ret, bool *ret_damaged, struct err *e) must_check
    nonnull (1, 2, 3, 4, 5);
void cli_close (struct opened *o);

/* cli_open for commands to which every failure is CLI_BAD_USAGE: says what
 * is wrong. */
int cli_open_or_say (const char *path, const struct follow *follow,
                     struct opened *ret) must_check;

static inline void
cleanup_opened (struct opened *o)
{
  cli_close (o);
}
#define CLEANUP_OPENED __attribute__ ((cleanup (cleanup_opened)))
#define OPENED_INIT                                                          \
  {                                                                          \
    .source = SOURCE_INIT                                                    \
  }

/* The entries of a directory, sorted by name (as bytes). */
struct name {
  char *name;
  node_id id;
  unsigned type;
};
DEFINE_VEC (name_vec, struct name)

int cli_list (struct tree *t, node_id dir, struct name_vec *ret,
              struct err *e) must_check;
void cli_list_free (struct name_vec *v);

static inline void
cleanup_list (struct name_vec *v)
{
  cli_list_free (v);
}
#define CLEANUP_LIST __attribute__ ((cleanup (cleanup_list)))

/* The text of the finding at PATH; RET is reset first. */
int cli_read (struct tree *t, const char *path, struct buf *ret,
              struct err *e) must_check;

/* Ends a command: STATUS, or CLI_NOT_THERE if standard output could not be
 * written (said, unless its reader has simply gone). */
int cli_finish (const char *command, int status);

/* For getopt_long: "xrayfs: COMMAND: WHAT", and CLI_BAD_USAGE. */
int cli_usage (const char *command, const char *what);

#endif
