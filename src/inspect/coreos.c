/* xrayfs: Container Linux's /usr and /boot
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CoreOS Container Linux and Flatcar have no fstab.  Their GRUB, whose
 * configuration is in its core, takes the /usr that starts from the
 * attributes of the GPT (gptprio.next), as Chrome OS does: priority in bits
 * 48 to 51, tries left in 52 to 55, started successfully in 56.  /boot is the
 * EFI system partition, where the kernel of each /usr lies.
 */
#include <string.h>

#include "inspect/guest_priv.h"

#define USR_TYPE "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6"

static unsigned
priority (const struct partition *p)
{
  return p->flags >> 48 & 0xf;
}

static bool
may_start (const struct partition *p)
{
  return priority (p) && ((p->flags >> 52 & 0xf) || (p->flags >> 56 & 1));
}

static bool
is_usr (const struct partition *p)
{
  return p && p->name && !strncmp (p->name, "USR-", 4) &&
         !strcasecmp (p->type, USR_TYPE);
}

/* *RET: the /usr that starts, or NULL; *RET_ANY: is there one at all?
 * *RET_BOOT: what is mounted on /boot, or NULL. */
static int
find_partitions (struct image *img, struct volume **ret, bool *ret_any,
                 struct volume **ret_boot, struct err *e)
{
  struct volume *const *v;
  size_t n;

  *ret = *ret_boot = NULL;
  *ret_any = false;
  if (image_partitions (img, &v, &n, e) == -1)
    return -1;
  for (size_t i = 0; i < n; i++) {
    const struct partition *p = volume_partition (v[i]);

    if (p && p->name && !strcmp (p->name, "EFI-SYSTEM") &&
        partition_is_esp (p))
      *ret_boot = v[i];
    if (!is_usr (p))
      continue;
    *ret_any = true;
    if (may_start (p) &&
        (!*ret || priority (p) > priority (volume_partition (*ret))))
      *ret = v[i];
  }
  return 0;
}

/* 1: the guest's own tree, or its fstab, has PATH, or it cannot be told. */
static int
has_own (const struct guest *g, const char *point, const char *path,
         struct err *e)
{
  int r;

  for (size_t i = 0; i < g->lines.len; i++)
    if (!strcmp (g->lines.items[i].point, point))
      return 1;
  r = vfs_exists (&g->vfs, path, e);
  if (r == -1 && !err_is_transient (e)) {
    err_clear (e);
    r = 1;
  }
  return r;
}

int
guest_compose_coreos (struct image *img, struct guest *g, struct err *e)
{
  struct volume *usr, *boot;
  bool any;
  int r = has_own (g, "/usr", "/usr/lib", e);

  if (r != 0)
    return r == -1 ? -1 : 0;
  if (find_partitions (img, &usr, &any, &boot, e) == -1)
    return -1;
  if (!any)
    return 0;
  if (!usr)
    return guest_mount_blind (g, "/usr",
                              "none of the partitions for it may start"
                              " (attributes of the GPT)",
                              e);
  if (guest_mount (g, "/usr", usr, e) == -1)
    return -1;
  r = boot ? has_own (g, "/boot", "/boot/grub", e) : 1;
  return r == 0 ? guest_mount (g, "/boot", boot, e) : r == -1 ? -1 : 0;
}
