/* xrayfs: what the files about the guest share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_GUEST_PRIV_H
#define XRAYFS_INSPECT_GUEST_PRIV_H

#include "inspect/image_priv.h"

/* --- devices.c ------------------------------------------------------- */

/* Where the names of devices come from: they are those of the guest whose
 * root ROOT (or NULL) is, and whose fstab has LINES. */
struct devices {
  struct image *image;
  struct volume *root;
  const struct mount_line_vec *lines;
};

/* *RET: the volume that SPEC ("UUID=...", "/dev/sda1") names, or NULL.
 * Errors: transient ones alone. */
int device_volume (const struct devices *d, const char *spec,
                   struct volume **ret, struct err *e) must_check
    nonnull (1, 2, 3, 4);

/* --- compose.c ------------------------------------------------------- */

/* The directory of FS that a mount with OPTIONS shows: that of subvol= or
 * subvolid=, else the default.
 * Errors: ENOENT, ENOTDIR: there is no such subvolume. */
int mounted_root (struct fs *fs, const char *options, uint64_t *ret,
                  struct err *e) must_check nonnull (1, 2, 3, 4);

/* The directory PATH of FS itself, without what the guest mounts on it. */
int directory_at (struct fs *fs, const char *path, uint64_t *ret,
                  struct err *e) must_check nonnull (1, 2, 3, 4);

/* Reads the fstab and the mount units of the guest whose root is G->root and
 * "/" of G->vfs, and mounts what they name.  Fills G->lines, G->fstab and
 * G->notes.
 * Errors: what is mounted where cannot be known. */
int guest_compose (struct image *img, struct guest *g,
                   struct err *e) must_check nonnull (1, 2, 3);

/* Mounts VOLUME, or if it cannot be looked into, something that is not known,
 * on POINT; what lies below must not look absent. */
int guest_mount (struct guest *g, const char *point, struct volume *volume,
                 struct err *e) must_check nonnull (1, 2, 3, 4);
int guest_mount_blind (struct guest *g, const char *point, const char *why,
                       struct err *e) must_check nonnull (1, 2, 3, 4);

/* --- coreos.c -------------------------------------------------------- */

/* Mounts Container Linux's /usr and /boot, if G has neither and the disk has
 * partitions for them. */
int guest_compose_coreos (struct image *img, struct guest *g,
                          struct err *e) must_check nonnull (1, 2, 3);

/* --- compose.c ------------------------------------------------------- */
/* --- ostree.c -------------------------------------------------------- */

/* Mounts what belongs to G->deployment and is not mounted by now: its /boot,
 * /var and /sysroot.  Nothing where there is none.
 * Errors: transient ones; ENOSPC for too many mounts. */
int ostree_compose (struct image *img, struct guest *g,
                    struct err *e) must_check nonnull (1, 2, 3);

/* The directory that LINK, of ostree= on the command line, leads to in the FS
 * that DEPLOYMENT is a path of.
 * Errors: ENOENT, ENOTDIR: it is not there. */
int ostree_target (struct fs *fs, const char *deployment, const char *link,
                   uint64_t *ret, struct err *e) must_check
    nonnull (1, 2, 3, 4, 5);

/* Adds "fstab: POINT: WHY" to the notes. */
void guest_note (struct guest *g, const char *point, const char *why)
    nonnull (1, 2, 3);

#endif
