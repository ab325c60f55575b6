/* xrayfs: the process that parses and serves
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FRONT_SERVER_H
#define XRAYFS_FRONT_SERVER_H

#include "front/options.h"
#include "front/source.h"

/* What the guardian's child does, from its first moment to its last.  The
 * process has one thread, all signals blocked that end a mount, and no
 * descriptor but CHANNEL and the source's.  GUARDIAN is the parent's pid.
 * Returns the exit status. */
int server_main (int channel, int guardian, struct source *source,
                 const struct options *o) nonnull (3, 4);

#endif
