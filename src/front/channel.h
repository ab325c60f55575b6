/* xrayfs: what its processes say to each other
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One SOCK_SEQPACKET pair between the guardian and the server, one between
 * the guardian and the watcher.  The end of a process is an end of file.
 */
#ifndef XRAYFS_FRONT_CHANNEL_H
#define XRAYFS_FRONT_CHANNEL_H

#include <stddef.h>

#include "base/err.h"
#include "front/mountpoint.h"

enum message_kind {
  MESSAGE_GONE,    /* the other end is closed: the process has ended */
  MESSAGE_OPENED,  /* server: the image is open */
  MESSAGE_FAILED,  /* server: it is not; status, text */
  MESSAGE_MOUNTED, /* guardian: mount; the FUSE device comes with it */
  MESSAGE_READY,   /* server: the kernel's INIT was answered */
  MESSAGE_STOP,    /* server, watcher: asked to end; guardian: end now */
  MESSAGE_DONE     /* guardian to watcher: unmounted, nothing to do */
};

struct message {
  int kind;
  int status; /* exit status */
  struct mounted mount;
  char text[512];
};

int channel_pair (int fds[2]) must_check;

/* FD_TO_SEND is -1 for none.  -1 when the other end is closed. */
int channel_send (int channel, const struct message *m, int fd_to_send)
    nonnull (2);

/* Waits for a message.  *RET_FD (may be NULL) is a descriptor that came with
 * it, or -1.  Never fails: what cannot be received is MESSAGE_GONE. */
void channel_receive (int channel, struct message *ret, int *ret_fd)
    nonnull (2);

/* Closes all descriptors above 2 but the N in KEEP (negative ones are
 * skipped).  After a fork: close-on-exec does not help there, and an end of a
 * channel that a sibling holds would hide the end of its owner. */
void channel_close_others (const int *keep, size_t n);

#endif
