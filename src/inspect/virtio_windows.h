/* xrayfs: what the files about virtio in a Windows share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_VIRTIO_WINDOWS_H
#define XRAYFS_INSPECT_VIRTIO_WINDOWS_H

#include "inspect/windows.h"

struct driver {
  const char *services[4]; /* today's name first; ends with NULL */
  const char *file;        /* in System32\drivers, and in the driver store */
  const char *root_device; /* a disk's PCI device, as clouds have it (the
                              modern id is bound beside it); NULL: no disk */
  const char *subsystem;   /* of that device: its kind in virtio's count */
};

/* Is something so?  What cannot be told has a reason. */
enum answer { NO, YES, MAYBE };

struct finder {
  struct windows *w;
  bool by_driver_database; /* Windows 8 and later */
  const struct driver *driver;
  struct fact *f; /* whose evidence */
  char why[512];  /* of a NO or a MAYBE */
};

/* A, and why: a line of the evidence. */
enum answer finder_say (struct finder *d, enum answer a, const char *fmt, ...)
    printf_like (3, 4);
/* An error of the registry or a filesystem as an answer; -1: transient. */
int finder_could_not_tell (struct finder *d, enum answer *ret,
                           struct err *e) must_check;

/* Does the registry bind the device of D's driver, a disk's, to SERVICE? */
int finder_is_bound (struct finder *d, const char *service, enum answer *ret,
                     struct err *e) must_check;

#endif
