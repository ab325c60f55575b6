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
    "/dev/sd",         "/dev/hd",     "/dev/xvd",
    "/dev/nvme",       "/dev/mmcblk", "/dev/disk/by-path/",
    "/dev/disk/by-id/"
  };

  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++)
    if (!strncmp (s, prefixes[i], strlen (prefixes[i])))
      return true;
  return false;
}

struct look {
  struct obstacles *o;
  bool by_name, others;
  struct err *err;
};

static int
fstab_line (void *arg, char *line)
{
  struct look *l = arg;
  char *w[6] = { 0 };
  size_t n = split_words (line, w, 6);

  if (n < 3 || w[0][0] == '#' || !strcmp (w[2], "iso9660") ||
      !strcmp (w[2], "udf"))
    return 0;
  if (is_device_name (w[0])) {
    l->by_name = true;
    fact_evidence (&l->o->root_by_device_name, "/etc/fstab: %s on %s", w[0],
                   w[1]);
  }
  return 0;
}

/* guest->fstab has "partitions/N" where the device is in the image. */
static int
resolved_line (void *arg, char *line)
{
  struct look *l = arg;
  char *w[6] = { 0 };
  size_t n = split_words (line, w, 6);

  if (n < 3 || !strncmp (w[0], "partitions/", 11) ||
      (n > 3 && (strstr (w[3], "nofail") || strstr (w[3], "noauto"))))
    return 0;
  if (strncmp (w[0], "/dev/", 5) && !strstr (w[0], "UUID=") &&
      !strstr (w[0], "LABEL="))
    return 0; /* proc, tmpfs, a network share */
  if (!strncmp (w[0], "/dev/sr", 7) || !strncmp (w[0], "/dev/cdrom", 10) ||
      !strncmp (w[0], "/dev/fd", 7))
    return 0;
  l->others = true;
  fact_evidence (&l->o->fstab_other_devices, "/etc/fstab: %s on %s", w[0],
                 w[1]);
  return 0;
}

/* A device of fstab that no volume has is not in the image, unless a volume
 * that is not read may have it: LVM, RAID, LUKS, or one that is damaged. */
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
      if (!strcmp (sb->type, containers[k]))
        return fact_unknown (&o->fstab_other_devices, e,
                             "%s holds %s, which this version does not read",
                             volume_name (v[i]), sb->type);
  }
  return fact_set (&o->fstab_other_devices, e, "yes");
}

static int
look_at_fstab (struct image *img, const struct guest *g, const struct boot *b,
               struct obstacles *o, struct err *e)
{
  struct look l = { .o = o, .err = e };
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *resolved = strdup (buf_str (&g->fstab));
  const char *root =
      b->cmdline.value ? cmdline_word (b->cmdline.value, "root=") : NULL;

  if (!resolved)
    return err_set (e, ENOMEM, "out of memory");
  if (guest_text (&g->vfs, "/etc/fstab", &text, e) == -1) {
    if (fact_could_not_look (&o->root_by_device_name, e) == -1)
      return -1;
    return fact_unknown (&o->fstab_other_devices, e, "%s",
                         o->root_by_device_name.reason);
  }
  if (text.data)
    each_line (text.data, fstab_line, &l);
  each_line (resolved, resolved_line, &l);
  if (root && is_device_name (root + 5)) {
    l.by_name = true;
    fact_evidence (&o->root_by_device_name, "kernel command line: %.*s",
                   (int) strcspn (root, " "), root);
  }
  if ((l.by_name || b->cmdline.value
           ? fact_set (&o->root_by_device_name, e, l.by_name ? "yes" : "no")
           : fact_unknown (&o->root_by_device_name, e,
                           "the kernel command line is not known: %s",
                           b->cmdline.reason)) == -1)
    return -1;
  return decide_others (img, o, l.others, e);
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
