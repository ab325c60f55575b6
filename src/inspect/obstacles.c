/* xrayfs: what gets in the way of starting in the cloud
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "inspect/obstacles.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/startup.h"
#include "inspect/windows.h"

/* Of a filesystem: with less it counts as full. */
#define FREE_PERCENT 5

void
obstacles_free (struct obstacles *o)
{
  for (size_t i = 0; i < OBSTACLE_N; i++)
    fact_free (&o->facts[i]);
}

/* --- names of devices ------------------------------------------------ */

static bool
begins_with_one (const char *s, const char *const *prefixes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!strncmp (s, prefixes[i], strlen (prefixes[i])))
      return true;
  return false;
}

/* The kernel's names of disks, which the new machine's virtio disk has not.
 */
static bool
is_device_name (const char *s)
{
  static const char *const prefixes[] = { "/dev/sd", "/dev/hd", "/dev/xvd",
                                          "/dev/nvme", "/dev/mmcblk" };

  return begins_with_one (s, prefixes, ARRAY_SIZE (prefixes));
}

/* Names made of where a disk is attached, or of its serial number; those
 * made of what is on it stay. */
static bool
is_disk_id (const char *s)
{
  static const char *const stable[] = { "/dev/disk/by-id/dm-",
                                        "/dev/disk/by-id/md-",
                                        "/dev/disk/by-id/lvm-" };
  static const char *const prefixes[] = { "/dev/disk/by-path/",
                                          "/dev/disk/by-id/", "ID=" };

  return begins_with_one (s, prefixes, ARRAY_SIZE (prefixes)) &&
         !begins_with_one (s, stable, ARRAY_SIZE (stable));
}

static bool
is_on_device (const struct mount_line *m)
{
  return m->kind == MOUNT_DEVICE || m->kind == MOUNT_SWAP;
}

/* fstab and root= by names for which IS holds. */
static int
look_at_names (const struct guest *g, const struct boot *b,
               bool (*is) (const char *), struct fact *f, struct err *e)
{
  const char *root =
      b->cmdline.value ? cmdline_word (b->cmdline.value, "root=") : NULL;
  bool found = false;

  for (size_t i = 0; i < g->lines.len; i++) {
    const struct mount_line *m = &g->lines.items[i];
    if (!is_on_device (m) || !is (m->device))
      continue;
    found = true;
    fact_evidence (f, "/etc/fstab: %s on %s", m->device, m->point);
  }
  if (root && is (root + 5)) {
    found = true;
    fact_evidence (f, "kernel command line: %.*s", (int) strcspn (root, " "),
                   root);
  }
  return found || b->cmdline.value
             ? fact_set (f, e, found ? "yes" : "no")
             : fact_unknown (f, e, "the kernel command line is not known: %s",
                             b->cmdline.reason);
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
look_at_others (struct image *img, const struct guest *g, struct fact *f,
                struct err *e)
{
  static const char *const containers[] = { "LVM2_member", "LVM1_member",
                                            "linux_raid_member",
                                            "crypto_LUKS" };
  const struct superblock *sb;
  struct volume *const *v;
  size_t n;

  if (!any_missing (g, f))
    return fact_set (f, e, "no");
  if (image_volumes (img, &v, &n, e) == -1)
    return fact_could_not_look (f, e);
  for (size_t i = 0; i < n; i++) {
    sb = volume_superblock (v[i], e);
    if (!sb)
      return fact_could_not_look (f, e);
    for (size_t k = 0; k < ARRAY_SIZE (containers); k++)
      if (!strcmp (sb->type, containers[k]) && !volume_readable (v[i], e))
        return fact_could_not_look (f, e);
  }
  return fact_set (f, e, "yes");
}

/* --- the guest's own files ------------------------------------------- */

/* "Normal" is what distributions ship: root's, and not readable by others
 * (0000, 0400, 0600, 0640 with group shadow). */
static int
look_at_shadow (const struct guest *g, struct fact *f, struct err *e)
{
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

/* PATH, or the link PATH that may lead nowhere, is in the way. */
static int
look_for (const struct guest *g, const char *path, struct fact *f,
          struct err *e)
{
  CLEANUP_FREE char *there = NULL;
  int r = there_printf (&g->vfs, true, &there, e, "%s", path);

  if (r == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "%s: %s", path, r ? "there" : "is not there");
  return fact_set (f, e, r ? "yes" : "no");
}

/* Switched off, SELinux does not relabel. */
static int
look_at_relabel (const struct guest *g, struct fact *f, struct err *e)
{
  CLEANUP_BUF struct buf config = { 0 };
  CLEANUP_FREE char *mode = NULL;
  int r = guest_text (&g->vfs, "/etc/selinux/config", &config, e);

  if (r == -1)
    return fact_could_not_look (f, e);
  mode = shell_value (buf_str (&config), "SELINUX");
  if (mode && !strcmp (mode, "disabled")) {
    fact_evidence (f, "/etc/selinux/config: SELINUX=disabled");
    return fact_set (f, e, "no");
  }
  return look_for (g, "/.autorelabel", f, e);
}

/* --- reaching it ----------------------------------------------------- */

/* 1: *RET_PATH is an SSH server. */
static int
find_ssh_server (const struct vfs *v, char **ret_path, struct err *e)
{
  static const char *const paths[] = { "/usr/sbin/sshd", "/usr/bin/sshd",
                                       "/usr/local/sbin/sshd",
                                       "/usr/sbin/dropbear" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (paths); i++)
    r = there_printf (v, false, ret_path, e, "%s", paths[i]);
  return r;
}

static int
look_at_ssh (const struct guest *g, const struct os *os, struct fact *f,
             struct err *e)
{
  static const char *const names[] = { "sshd", "ssh", "dropbear" };
  CLEANUP_FREE char *server = NULL;
  int r = find_ssh_server (&g->vfs, &server, e), found = 0;

  if (r == -1)
    return fact_could_not_look (f, e);
  fact_evidence (f, "SSH server: %s", server ? server : "none");
  if (r == 0)
    return fact_reason (f, e, "no SSH server is installed") == -1
               ? -1
               : fact_set (f, e, "yes");
  for (size_t i = 0; found == 0 && i < ARRAY_SIZE (names); i++) {
    CLEANUP_FREE char *by = NULL;
    found = startup_service (&g->vfs, os->init.value, names[i], &by, e);
    if (found == 1)
      fact_evidence (f, "started by: %s", by);
  }
  for (size_t i = 0;
       found == 0 && fact_is (&os->init, "systemd") && i < ARRAY_SIZE (names);
       i++) {
    CLEANUP_FREE char *unit = path_printf (e, "%s.service", names[i]);
    if (!unit || (r = startup_presets_apply (&g->vfs, unit, e)) == -1)
      found = -1;
    else if (r == 1)
      return fact_unknown (f, e,
                           "/etc/machine-id is not there: systemd applies its"
                           " presets at the first boot, which may enable %s",
                           unit);
  }
  if (found == -1)
    return fact_could_not_look (f, e);
  if (found == 0 && (!fact_known (&os->init) || !*os->init.value))
    return fact_unknown (f, e, "%s",
                         os->init.reason ? os->init.reason
                                         : "there is no /sbin/init");
  if (found == 0 &&
      fact_reason (f, e, "%s is there, and nothing starts it", server) == -1)
    return -1;
  return fact_set (f, e, found ? "no" : "yes");
}

/* /dev/console is the last console= of the command line; without any it is
 * the screen, which the provider shows. */
static int
look_at_console (const struct boot *b, struct fact *f, struct err *e)
{
  bool any = false, seen = false;

  if (!b->cmdline.value)
    return fact_unknown (f, e, "the kernel command line is not known: %s",
                         b->cmdline.reason);
  for (const char *p = b->cmdline.value; *p; p += strcspn (p, " \t")) {
    size_t len;
    p += strspn (p, " \t");
    if (strncmp (p, "console=", 8))
      continue;
    any = true;
    len = strcspn (p + 8, ", \t");
    seen = seen || (len == 5 && !strncmp (p + 8, "ttyS0", 5)) ||
           (len >= 4 && !strncmp (p + 8, "tty", 3) && p[11] >= '0' &&
            p[11] <= '9');
    fact_evidence (f, "kernel command line: %.*s", (int) strcspn (p, " \t"),
                   p);
  }
  return fact_set (f, e, any && !seen ? "yes" : "no");
}

/* --- room ------------------------------------------------------------ */

static bool
is_short (uint64_t left, uint64_t all)
{
  return all && all != UINT64_MAX && left != UINT64_MAX &&
         left < all / (100 / FREE_PERCENT);
}

static int
look_at_room (const struct guest *g, struct fact *f, struct err *e)
{
  const struct fs_info *i = volume_fs_info (g->root, e);

  if (!i)
    return fact_could_not_look (f, e);
  if (i->size == UINT64_MAX || i->free == UINT64_MAX)
    return fact_unknown (f, e,
                         "the filesystem does not say how much of it is"
                         " free");
  fact_evidence (f, "%s: %" PRIu64 " of %" PRIu64 " bytes free",
                 volume_name (g->root), i->free, i->size);
  if (i->inodes && i->inodes != UINT64_MAX)
    fact_evidence (f, "%s: %" PRIu64 " of %" PRIu64 " inodes free",
                   volume_name (g->root), i->inodes_free, i->inodes);
  if (is_short (i->free, i->size))
    return fact_reason (f, e, "%" PRIu64 " of %" PRIu64 " bytes are free",
                        i->free, i->size) == -1
               ? -1
               : fact_set (f, e, "yes");
  if (!is_short (i->inodes_free, i->inodes))
    return fact_set (f, e, "no");
  return fact_reason (f, e, "%" PRIu64 " of %" PRIu64 " inodes are free",
                      i->inodes_free, i->inodes) == -1
             ? -1
             : fact_set (f, e, "yes");
}

/* --- the answer ------------------------------------------------------ */

/* Each `no`, or with WHY unknown. */
static int
set_all (struct obstacles *o, const char *why, struct err *e)
{
  for (size_t i = 0; i < OBSTACLE_N; i++)
    if ((why ? fact_unknown (&o->facts[i], e, "%s", why)
             : fact_set (&o->facts[i], e, "no")) == -1)
      return -1;
  return 0;
}

static int
look (struct image *img, const struct guest *g, const struct boot *b,
      const struct os *os, struct obstacles *o, struct err *e)
{
  struct fact *f = o->facts;

  return look_at_names (g, b, is_device_name, &f[OBSTACLE_DEVICE_NAMES], e) ==
                     -1 ||
                 look_at_names (g, b, is_disk_id, &f[OBSTACLE_DISK_IDS], e) ==
                     -1 ||
                 look_at_others (img, g, &f[OBSTACLE_OTHER_DISKS], e) == -1 ||
                 look_at_shadow (g, &f[OBSTACLE_SHADOW], e) == -1 ||
                 look_for (g, "/var/lib/cloud/instance", &f[OBSTACLE_HAS_RUN],
                           e) == -1 ||
                 look_at_ssh (g, os, &f[OBSTACLE_NO_SSH], e) == -1 ||
                 look_at_room (g, &f[OBSTACLE_ROOT_FULL], e) == -1 ||
                 look_at_relabel (g, &f[OBSTACLE_RELABEL], e) == -1 ||
                 look_at_console (b, &f[OBSTACLE_CONSOLE], e) == -1
             ? -1
             : obstacles_look_at_disk (img, b, o, e);
}

int
obstacles_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  struct obstacles *o = &img->obstacles;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;
  const struct os *os = b ? image_os (img, e) : NULL;

  if (!os)
    return -1;
  obstacles_free (o);
  if (guest_is_windows (g)) /* these are Linux's */
    return set_all (o, NULL, e);
  if (!g->root)
    return set_all (o,
                    g->family.value ? "there is no operating system"
                                    : g->family.reason,
                    e);
  return look (img, g, b, os, o, e);
}
