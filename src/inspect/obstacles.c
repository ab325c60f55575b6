/* xrayfs: what gets in the way of starting in the cloud
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/windows.h"

void
obstacles_free (struct obstacles *o)
{
  fact_free (&o->root_by_device_name);
  fact_free (&o->fstab_other_devices);
  fact_free (&o->shadow_permissions);
  fact_free (&o->has_run_before);
}

static bool
is_device_name (const char *s)
{
  static const char *const prefixes[] = {
    "/dev/sd",          "/dev/hd",     "/dev/xvd",
    "/dev/nvme",        "/dev/mmcblk", "/dev/disk/by-path/",
    "/dev/disk/by-id/", "ID="
  };

  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++)
    if (!strncmp (s, prefixes[i], strlen (prefixes[i])))
      return true;
  return false;
}

static bool
is_on_device (const struct mount_line *m)
{
  return m->kind == MOUNT_DEVICE || m->kind == MOUNT_SWAP;
}

/* Lines by names that another machine gives to other disks. */
static bool
any_by_name (const struct guest *g, struct fact *f)
{
  bool found = false;

  for (size_t i = 0; i < g->lines.len; i++) {
    const struct mount_line *m = &g->lines.items[i];
    if (!is_on_device (m) || !is_device_name (m->device))
      continue;
    found = true;
    fact_evidence (f, "/etc/fstab: %s on %s", m->device, m->point);
  }
  return found;
}

/* Lines that the guest waits for and that no volume has. */
static bool
any_missing (const struct guest *g, struct fact *f)
{
  bool found = false;

  for (size_t i = 0; i < g->lines.len; i++) {
    const struct mount_line *m = &g->lines.items[i];
    if (!is_on_device (m) || m->volume || mount_is_optional (m))
      continue;
    found = true;
    fact_evidence (f, "/etc/fstab: %s on %s", m->device, m->point);
  }
  return found;
}

/* A device of fstab that no volume has is not in the image, unless a volume
 * that is not read may have it: LUKS, LVM or RAID that is damaged. */
static int
decide_others (struct image *img, struct obstacles *o, bool others,
               struct err *e)
{
  static const char *const containers[] = { "LVM2_member", "LVM1_member",
                                            "linux_raid_member",
                                            "crypto_LUKS" };
  const struct superblock *sb;
  struct volume *const *v;
  size_t n;

  if (!others)
    return fact_set (&o->fstab_other_devices, e, "no");
  if (image_volumes (img, &v, &n, e) == -1)
    return fact_could_not_look (&o->fstab_other_devices, e);
  for (size_t i = 0; i < n; i++) {
    sb = volume_superblock (v[i], e);
    if (!sb)
      return fact_could_not_look (&o->fstab_other_devices, e);
    for (size_t k = 0; k < ARRAY_SIZE (containers); k++)
      if (!strcmp (sb->type, containers[k]) && !volume_readable (v[i], e))
        return fact_could_not_look (&o->fstab_other_devices, e);
  }
  return fact_set (&o->fstab_other_devices, e, "yes");
}

static int
look_at_fstab (struct image *img, const struct guest *g, const struct boot *b,
               struct obstacles *o, struct err *e)
{
  struct fact *f = &o->root_by_device_name;
  const char *root =
      b->cmdline.value ? cmdline_word (b->cmdline.value, "root=") : NULL;
  bool by_name = any_by_name (g, f);

  if (root && is_device_name (root + 5)) {
    by_name = true;
    fact_evidence (f, "kernel command line: %.*s", (int) strcspn (root, " "),
                   root);
  }
  if ((by_name || b->cmdline.value
           ? fact_set (f, e, by_name ? "yes" : "no")
           : fact_unknown (f, e, "the kernel command line is not known: %s",
                           b->cmdline.reason)) == -1)
    return -1;
  return decide_others (img, o, any_missing (g, &o->fstab_other_devices), e);
}

/* "Normal" is what distributions ship: root's, and not readable by others
 * (0000, 0400, 0600, 0640 with group shadow). */
static int
look_at_shadow (const struct guest *g, struct obstacles *o, struct err *e)
{
  struct fact *f = &o->shadow_permissions;
  struct fs_stat st;
  bool odd;

  if (vfs_stat (&g->vfs, "/etc/shadow", 0, &st, e) == -1) {
    if (!err_is_absent (e))
      return fact_could_not_look (f, e);
    err_clear (e);
    fact_evidence (f, "/etc/shadow: is not there");
    return fact_set (f, e, "no");
  }
  odd = st.uid != 0 || (st.mode & 0027);
  fact_evidence (f, "/etc/shadow: mode %04o, owner %u, group %u",
                 st.mode & 07777, st.uid, st.gid);
  return fact_set (f, e, odd ? "yes" : "no");
}

static int
look_at_cloud_state (const struct guest *g, struct obstacles *o,
                     struct err *e)
{
  struct vfs_node n;
  bool there =
      vfs_walk (&g->vfs, "/var/lib/cloud/instance", VFS_NOFOLLOW, &n, e) == 0;

  if (!there) {
    if (!err_is_absent (e))
      return fact_could_not_look (&o->has_run_before, e);
    err_clear (e);
  }
  fact_evidence (&o->has_run_before, "/var/lib/cloud/instance: %s",
                 there ? "there" : "is not there");
  return fact_set (&o->has_run_before, e, there ? "yes" : "no");
}

int
obstacles_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct obstacles *o = &img->obstacles;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const char *why;

  if (!b)
    return -1;
  obstacles_free (o);
  if (guest_is_windows (g)) /* these are Linux's */
    return fact_set (&o->root_by_device_name, e, "no") == -1 ||
                   fact_set (&o->fstab_other_devices, e, "no") == -1 ||
                   fact_set (&o->shadow_permissions, e, "no") == -1 ||
                   fact_set (&o->has_run_before, e, "no") == -1
               ? -1
               : 0;
  if (g->root)
    return look_at_fstab (img, g, b, o, e) == -1 ||
                   look_at_shadow (g, o, e) == -1 ||
                   look_at_cloud_state (g, o, e) == -1
               ? -1
               : 0;
  why = g->family.value ? "there is no operating system" : g->family.reason;
  if (fact_unknown (&o->root_by_device_name, e, "%s", why) == -1 ||
      fact_unknown (&o->fstab_other_devices, e, "%s", why) == -1 ||
      fact_unknown (&o->shadow_permissions, e, "%s", why) == -1)
    return -1;
  return fact_unknown (&o->has_run_before, e, "%s", why);
}
