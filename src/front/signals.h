/* xrayfs: the signals that end a mount
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * They are blocked in all processes from the start, before the first fork,
 * and read from a descriptor where the process waits anyway; so none can end
 * a process between two steps and leave a mount behind.
 */
#ifndef XRAYFS_FRONT_SIGNALS_H
#define XRAYFS_FRONT_SIGNALS_H

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT from now on wait to be read; SIGPIPE is
 * ignored. */
void signals_block (void);

/* A descriptor of this process's own (a fork's child makes its own): readable
 * when a signal waits.  -1 when there are no descriptors left. */
int signals_open (void);

/* The next signal, or 0. */
int signals_read (int fd);

#endif
