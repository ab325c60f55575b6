/* xrayfs: from a path on the command line to an image's descriptors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FRONT_SOURCE_H
#define XRAYFS_FRONT_SOURCE_H

#include "inspect/image.h"

/* An image_source with what its strings point to. */
struct source {
  struct image_source image; /* fds: owned until image_open takes them */
  char *path;                /* as given */
  char *dir_path;            /* absolute; NULL: not known */
  char *full_path;           /* absolute, for mount tables */
};

/* The directories of -o follow=DIR, as given. */
struct follow {
  const char *dirs[BLOCK_MAX_FOLLOW]; /* borrowed */
  size_t n;
};

/* Adds DIR, which lives longer.  Errors: too many. */
int follow_add (struct follow *f, const char *dir, struct err *e) must_check
    nonnull (1, 2, 3);

/* Works out the names that belong to PATH; opens nothing. */
int source_name (const char *path, struct source *ret,
                 struct err *e) must_check nonnull (1, 2, 3);

/* Opens the image, its directory, and those of FOLLOW.  Nothing is read.
 * Errors: those of open(2); EISDIR, EINVAL for what cannot be an image. */
int source_open (struct source *s, const struct follow *follow,
                 struct err *e) must_check nonnull (1, 2, 3);

void source_close (struct source *s) nonnull (1); /* the descriptors */
void source_free (struct source *s);

static inline void
cleanup_source (struct source *s)
{
  source_free (s);
}
#define CLEANUP_SOURCE __attribute__ ((cleanup (cleanup_source)))

/* An empty one, which may be freed. */
#define SOURCE_INIT                                                          \
  {                                                                          \
    .image = {.fd = -1, .dir_fd = -1 }                                       \
  }

#endif
