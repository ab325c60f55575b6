/* xrayfs: OVA, shared by its files: ova.c walks the archive,
 * ova_descriptor.c reads the OVF
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_FORMAT_OVA_H
#define XRAYFS_FORMAT_OVA_H

#include <stddef.h>

#include "base/err.h"

/* What the OVF says of its disks. */
struct ovf_disk {
  char *href;        /* the file of the first disk that has one, or NULL */
  char *compression; /* of that file, as it is called, or NULL */
  bool in_chunks;    /* it is split over several files */
  unsigned count;    /* disks that have a file */
};

/* TEXT is LEN bytes.  RET is zero and is to be freed, also after a
 * failure. */
int ovf_parse (const char *text, size_t len, struct ovf_disk *ret,
               struct err *e) must_check nonnull (1, 3, 4);
void ovf_disk_free (struct ovf_disk *d) nonnull (1);

#endif
