/* xrayfs: the command line of mounting
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FRONT_OPTIONS_H
#define XRAYFS_FRONT_OPTIONS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <stdbool.h>
#include <sys/types.h>

#include "front/source.h"

struct options {
  char *image, *mountpoint; /* as given */
  /* int, since fuse_opt stores them. */
  int help, version, foreground, debug, single_threaded;
  int nonempty, clone_fd, allow_root;
  bool allow_other;
  struct follow follow; /* its names are ours */
  bool fsname_given, subtype_given;
  unsigned max_read; /* 0: not given */
  int readahead;     /* KiB to ask of the kernel; 0: leave what it has */
  unsigned max_threads;
  int max_idle_threads;
  uid_t uid; /* of xrayfs's own entries */
  gid_t gid;
  struct fuse_conn_info_opts *connection;
  struct fuse_args mount_args; /* what fuse_session_new gets to mount */
};

/* Parses; says nothing.  The error is one for MOUNT_BAD_ARGUMENTS.  Unknown
 * options are left for fuse_session_new to refuse. */
int options_parse (int argc, char **argv, struct options *ret,
                   struct err *e) must_check nonnull (2, 3, 4);
void options_free (struct options *o);

/* Adds what was not given: fsname (the image's FULL_PATH), subtype. */
int options_complete (struct options *o, const char *full_path,
                      struct err *e) must_check nonnull (1, 2, 3);

void options_help (void);

/* What libfuse prints instead of returning: from options_capture on its
 * messages are kept; options_captured gives them as options_plain does (or
 * WHAT if there are none) and ends it. */
void options_capture (void);
const char *options_captured (const char *what) nonnull (1);

/* The first line of TEXT, which is changed, without "fuse: " in front; WHAT
 * if it is empty. */
const char *options_plain (char *text, const char *what) nonnull (1, 2);

static inline void
cleanup_options (struct options *o)
{
  options_free (o);
}
#define CLEANUP_OPTIONS __attribute__ ((cleanup (cleanup_options)))

#endif
