/* xrayfs: what the files of the front share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The front is the only room that knows FUSE, prints and exits.
 */
#ifndef XRAYFS_FRONT_FRONT_H
#define XRAYFS_FRONT_FRONT_H

#include <stdio.h>

#include "base/cleanup.h"

/* Exit statuses of mounting: libfuse's own. */
enum {
  MOUNT_OK = 0,
  MOUNT_BAD_ARGUMENTS = 1,
  MOUNT_BAD_MOUNTPOINT = 2,
  MOUNT_BAD_IMAGE = 3,
  MOUNT_NOT_MOUNTED = 4
};

/* Exit statuses of the other commands. */
enum {
  CLI_OK = 0,        /* check: pass */
  CLI_NOT_THERE = 1, /* check: fail */
  CLI_UNDECIDED = 2, /* check only */
  CLI_BAD_USAGE = 3  /* usage, or an image that cannot be opened */
};

/* "xrayfs: " + text + newline on stderr, in one write, without the control
 * characters that names from an image or a command line may hold. */
void say (const char *fmt, ...) printf_like (1, 2) nonnull (1);

const char *front_version (void);

/* The commands: ARGV[0] is the command's name.  They return the exit
 * status. */
int mount_main (int argc, char **argv);
int cli_ls (int argc, char **argv);
int cli_cat (int argc, char **argv);
int cli_export (int argc, char **argv);
int cli_report (int argc, char **argv);
int cli_check (int argc, char **argv);

/* Prints "NAME<TAB>WHERE FROM" for each policy known.  0, or -1 when OUT
 * cannot be written. */

#endif
