/* xrayfs: what a file is that is no disk
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_FILE_KIND_H
#define XRAYFS_INSPECT_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

#define FILE_KIND_HEAD 4096 /* bytes of the start that are worth giving */

struct file_kind {
  const char *value; /* archive, compressed, installer, other */
  char text[160];    /* "zip archive" */
};

/* Names what starts with the LEN bytes of HEAD, by signatures and, for text,
 * by words.  false: not known. */
bool file_kind (const unsigned char *head, size_t len, struct file_kind *ret)
    nonnull (1, 3);

#endif
