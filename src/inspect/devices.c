/* xrayfs: which volume a device of fstab is
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "inspect/guest_priv.h"

static bool
same (const char *a, const char *b)
{
  return a && b && !strcasecmp (a, b);
}

/* The number that V has among the disk's partitions; 0: it is the disk;
 * -1: it is no partition. */
static long
number_of (const struct volume *v)
{
  const struct partition *p = volume_partition (v);

  return p ? (long) p->number : -1;
}

/* --- is it this disk? ------------------------------------------------ */

/* The image is one disk, and which names it had is told by the line of the
 * root, if that names the partition which is the root. */
static bool
names_root (const struct devices *d, const struct device_name *n)
{
  long root = d->root ? number_of (d->root) : -1;

  return n->kind == DEVICE_DISK &&
         (root == 0 || (root > 0 && n->partition == (unsigned) root));
}

static bool
root_line (const struct devices *d, const char *disk, struct device_name *ret)
{
  for (size_t i = d->lines->len; i-- > 0;) {
    if (strcmp (d->lines->items[i].point, "/") != 0)
      continue;
    device_parse (d->lines->items[i].device, ret);
    if (names_root (d, ret) && device_same_class (ret->name, disk))
      return true;
  }
  return false;
}

/* Without such a line it is the first disk.  What a by-id or a by-path means
 * cannot be told then. */
static bool
is_this_disk (const struct devices *d, const char *disk)
{
  struct device_name root;

  if (root_line (d, disk, &root))
    return !strcmp (root.name, disk);
  return device_is_first_disk (disk);
}

/* A filesystem on a disk without a table was /dev/xvda1 in its guest. */
static bool
is_whole_root (const struct devices *d, const struct volume *v,
               const struct device_name *n)
{
  struct device_name root;

  return v == d->root && number_of (v) == 0 &&
         root_line (d, n->name, &root) && root.partition == n->partition;
}

/* --- looking ---------------------------------------------------------- */

/* 1: V is N; 0; -1: transient.  A volume that cannot be probed says so for
 * itself. */
static int
matches (const struct devices *d, struct volume *v,
         const struct device_name *n, struct err *e)
{
  const struct partition *p = volume_partition (v);
  const struct superblock *sb;

  switch (n->kind) {
  case DEVICE_PARTUUID:
    return p && same (p->uuid, n->name);
  case DEVICE_PARTLABEL:
    return p && p->name && !strcmp (p->name, n->name);
  case DEVICE_DISK:
    return is_whole_root (d, v, n) || (number_of (v) == (long) n->partition &&
                                       is_this_disk (d, n->name));
  case DEVICE_UUID:
  case DEVICE_LABEL:
    sb = volume_superblock (v, e);
    if (!sb) {
      if (err_is_transient (e))
        return -1;
      err_clear (e);
      return 0;
    }
    return n->kind == DEVICE_UUID ? same (sb->uuid, n->name)
                                  : sb->label && !strcmp (sb->label, n->name);
  default:
    return 0;
  }
}

int
device_volume (const struct devices *d, const char *spec, struct volume **ret,
               struct err *e)
{
  struct volume *const *v;
  struct device_name n;
  size_t n_volumes;
  int r;

  device_parse (spec, &n);
  if (image_volumes (d->image, &v, &n_volumes, e) == -1)
    return -1;
  *ret = n.kind == DEVICE_MAPPED ? image_volume_by_device (d->image, n.name)
                                 : NULL;
  if (*ret)
    return 0;
  /* Of two with one UUID (a copy) it is the root that is meant. */
  if (d->root) {
    r = matches (d, d->root, &n, e);
    if (r != 0) {
      *ret = r == 1 ? d->root : NULL;
      return r == 1 ? 0 : -1;
    }
  }
  for (size_t i = 0; i < n_volumes; i++) {
    r = matches (d, v[i], &n, e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = v[i];
      return 0;
    }
  }
  return 0;
}
