/* xrayfs: the directory that is mounted on, and the mount table
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is unmounted at the end is our own mount, never what somebody mounted
 * in the same place since, or had there before.  The numbers of mounts and of
 * devices are used again as soon as they are free (the next mount gets the
 * same ones), so they tell our mount only while our connection lives, which
 * the FUSE device says; a mount found with our numbers after that is ours
 * only if it is as dead as our connection.
 */
#ifndef XRAYFS_FRONT_MOUNTPOINT_H
#define XRAYFS_FRONT_MOUNTPOINT_H

#include <stdbool.h>

#include "base/err.h"

#define NO_MOUNT (-1L)

/* A mount as /proc/self/mountinfo has it. */
struct mounted {
  long id;         /* NO_MOUNT: none */
  char device[32]; /* "MAJOR:MINOR" */
};

/* Is GIVEN a directory that can be mounted on?  *RET, the caller's to free,
 * is its absolute path. */
int mountpoint_check (const char *given, bool nonempty, char **ret,
                      struct err *e) must_check nonnull (1, 3, 4);

/* May this user let others in?  EPERM if fuse.conf forbids it. */
int mountpoint_check_others (struct err *e) must_check nonnull (1);

/* The topmost FUSE mount at PATH. */
struct mounted mountpoint_top (const char *path) nonnull (1);

/* As mountpoint_top for another one than BEFORE, waiting at most MS
 * milliseconds for it to appear. */
struct mounted mountpoint_await (const char *path, long before, int ms)
    nonnull (1);

/* Has the kernel read KB KiB ahead on M, where we are permitted to say so:
 * without it the kernel's own 128 remain. */
void mountpoint_read_ahead (const struct mounted *m, int kb) nonnull (1);

/* Unmounts M (lazily, if it is busy), wherever it is now; nothing if it is
 * not there any more, or lies under another.  FUSE is the device that M is
 * connected with, or -1. */
void mountpoint_unmount (const struct mounted *m, int fuse) nonnull (1);

#endif
