/* xrayfs: the commands that would make a guest pass
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the guest's own distribution, to be run in it or in a chroot of it.
 * What they contain of the image (kernel versions, devices, UUIDs) is only
 * what a shell takes literally: nobody is handed a line that a guest wrote.
 */
#ifndef XRAYFS_POLICY_REMEDY_H
#define XRAYFS_POLICY_REMEDY_H

#include "inspect/image.h"

/* Adds the steps of TOPIC ("virtio", see remedy.c) to TO, a line each; none
 * for a distribution that is not known.  ARG (may be NULL) is what the topic
 * is about: a word of the command line, a device.  Errors: image_os's. */
int remedy_add (struct image *img, const char *topic, const char *arg,
                struct buf *to, struct err *e) must_check;

/* What makes has_virtio a yes: drivers that are blacklisted, left out of the
 * initramfs, or not there. */
int remedy_add_virtio (struct image *img, struct buf *to,
                       struct err *e) must_check;

/* How to name by UUID what root= and fstab name by a device. */
int remedy_add_uuids (struct image *img, struct buf *to,
                      struct err *e) must_check;

/* Lines of fstab whose device is not in the image. */
int remedy_add_missing_disks (struct image *img, struct buf *to,
                              struct err *e) must_check;

#endif
