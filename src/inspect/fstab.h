/* xrayfs: what fstab and mount units say
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure text: fstab(5), systemd.mount(5), and the names that Linux gives to
 * disks and partitions.  Nothing is looked up here.
 */
#ifndef XRAYFS_INSPECT_FSTAB_H
#define XRAYFS_INSPECT_FSTAB_H

#include "base/buf.h"
#include "base/vec.h"

/* More lines than that are not believed: a guest has a dozen, and each is
 * looked up among the volumes. */
#define FSTAB_MAX_LINES 1000

/* What is to be mounted. */
enum mount_kind {
  MOUNT_NOTHING,   /* nothing an image could hold: proc, tmpfs, ... */
  MOUNT_SWAP,      /* no mount, but a device */
  MOUNT_DEVICE,    /* a filesystem on a device */
  MOUNT_BIND,      /* a directory that is seen there as well */
  MOUNT_REMOVABLE, /* a CD, a floppy: not there at boot */
  MOUNT_ELSEWHERE, /* the network, an overlay, a file: cannot be looked into
                    */
};

struct volume;

/* One line of fstab, decoded (\040).  Texts are its own. */
struct mount_line {
  char *device, *point, *type, *options;
  enum mount_kind kind;
  char *numbers;         /* "0 2": dump and pass, for people */
  struct volume *volume; /* for who looks it up: where the device is, or NULL:
                            not in the image */
};
DEFINE_VEC (mount_line_vec, struct mount_line)

void mount_lines_free (struct mount_line_vec *v);
#define CLEANUP_MOUNT_LINES __attribute__ ((cleanup (mount_lines_free)))

/* Adds the lines of TEXT, which is changed.
 * Errors: ENOMEM; EFBIG for more than FSTAB_MAX_LINES. */
int fstab_parse (char *text, struct mount_line_vec *ret,
                 struct err *e) must_check nonnull (1, 2, 3);

/* Adds what the mount unit TEXT, which is changed, says.  0: it says nothing
 * that can be used; 1: a line was added.  Errors as above. */
int mount_unit_parse (char *text, struct mount_line_vec *ret,
                      struct err *e) must_check nonnull (1, 2, 3);

/* Is NAME ("nofail", or "subvol" with its value) among the options?  The last
 * one counts.  *RET_VALUE, borrowed, points behind its '=' and is *RET_LEN
 * long; NULL if there is none.  Both may be NULL. */
bool mount_option (const char *options, const char *name,
                   const char **ret_value, size_t *ret_len) nonnull (1, 2);

/* May the guest do without it?  nofail, noauto. */
bool mount_is_optional (const struct mount_line *m) nonnull (1);

/* --- names of devices ------------------------------------------------ */

enum device_kind {
  DEVICE_UUID,
  DEVICE_LABEL,
  DEVICE_PARTUUID,
  DEVICE_PARTLABEL,
  DEVICE_MAPPED, /* a logical volume or an array; name: its path in /dev */
  DEVICE_DISK,   /* a partition of a disk that is known by name */
  DEVICE_REMOVABLE,
  DEVICE_NONE /* not the name of a device */
};

struct device_name {
  enum device_kind kind;
  char name[256];     /* without quotes and escapes; of DEVICE_DISK: of the
                         disk: "sda", "by-id/ata-X", "by-path/pci-X" */
  unsigned partition; /* of DEVICE_DISK; 0: the disk itself */
};

/* What SPEC, the first field of a line or a root=, names.  Names that are
 * too long are none. */
void device_parse (const char *spec, struct device_name *ret) nonnull (1, 2);

/* Two names of disks: of one class (the kernel's, by-id, by-path)? */
bool device_same_class (const char *a, const char *b) nonnull (1, 2);

/* Is DISK the name of a machine's first disk: sda, vda, nvme0n1? */
bool device_is_first_disk (const char *disk) nonnull (1);

#endif
