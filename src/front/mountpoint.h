/* xrayfs: the directory that is mounted on, and the mount table
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A mount is known by its number in /proc/self/mountinfo, so that what is
 * unmounted at the end is our own mount and never what somebody mounted in
 * the same place since, or had there before.
 */
#ifndef XRAYFS_FRONT_MOUNTPOINT_H
#define XRAYFS_FRONT_MOUNTPOINT_H

#include <stdbool.h>

#include "base/err.h"

#define NO_MOUNT (-1L)

/* Is GIVEN a directory that can be mounted on?  *RET, the caller's to free,
 * is its absolute path. */
int mountpoint_check (const char *given, bool nonempty, char **ret,
                      struct err *e) must_check nonnull (1, 3, 4);

/* May this user let others in?  EPERM if fuse.conf forbids it. */
int mountpoint_check_others (struct err *e) must_check nonnull (1);

/* The number of the topmost FUSE mount at PATH; NO_MOUNT. */
long mountpoint_top (const char *path) nonnull (1);

/* As mountpoint_top for a number other than BEFORE, waiting at most MS
 * milliseconds for it to appear. */
long mountpoint_await (const char *path, long before, int ms) nonnull (1);

/* Unmounts (lazily, if it is busy) mount number ID, wherever it is now;
 * nothing if it is not there any more, or lies under another. */
void mountpoint_unmount (long id);

/* "MAJOR:MINOR" of the mount ID into RET, or "". */
void mountpoint_device (long id, char ret[32]);

#endif
