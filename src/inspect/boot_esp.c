/* xrayfs: can the disk start by UEFI?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A disk that was moved has none of the firmware's boot entries, which lie
 * in the old machine's variables: what starts is EFI/BOOT/BOOT<machine>.EFI
 * on an EFI system partition (UEFI specification 2.10, 3.5.1.1).
 */
#include <string.h>

#include "inspect/boot_priv.h"

struct look {
  bool fallback, other; /* a loader in EFI/BOOT; one elsewhere */
  struct fact *evidence;
};

/* The programs in DIR of an ESP. */
static int
look_in (struct look *l, const struct vfs *v, const char *label,
         const char *dir, struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = "", .suffix = "" };
  bool fallback = !strcasecmp (dir, "/EFI/BOOT");

  if (names_in (v, dir, &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    const char *name = files.list.items[i];
    size_t len = strlen (name);

    if (len <= 4 || strcasecmp (name + len - 4, ".efi") != 0)
      continue;
    if (fallback && !strncasecmp (name, "BOOT", 4))
      l->fallback = true;
    else
      l->other = true;
    fact_evidence (l->evidence, "%s: %s/%s: there", label, dir, name);
  }
  return 0;
}

static int
look_at_esp (struct look *l, struct volume *vol, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  CLEANUP_NAMES struct names dirs = { .prefix = "", .suffix = "" };
  struct fs *fs = v ? volume_fs (vol, e) : NULL;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  if (!fs)
    return err_is_absent (e) ? (err_clear (e), 0) : -1;
  vfs_init (v, fs);
  if (names_in (v, "/EFI", &dirs, e) == -1)
    return err_in (e, "%s", vol->label);
  for (size_t i = 0; i < dirs.list.len; i++) {
    CLEANUP_FREE char *dir = NULL;

    if (asprintf (&dir, "/EFI/%s", dirs.list.items[i]) == -1) {
      dir = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    if (look_in (l, v, vol->label, dir, e) == -1) {
      if (e->code != ENOTDIR)
        return err_in (e, "%s", vol->label);
      err_clear (e); /* a file in /EFI */
    }
  }
  return 0;
}

int
boot_esp_firmware (struct image *img, struct boot *b, struct err *e)
{
  struct look l = { .evidence = &b->firmware };
  struct volume *const *v;
  size_t n;

  if (image_partitions (img, &v, &n, e) == -1)
    return fact_could_not_look (&b->firmware, e);
  for (size_t i = 0; i < n; i++) {
    const struct partition *p = volume_partition (v[i]);
    if (p && partition_is_esp (p) && look_at_esp (&l, v[i], e) == -1)
      return fact_could_not_look (&b->firmware, e);
  }
  if (l.other && !l.fallback)
    return fact_unknown (&b->firmware, e,
                         "there is a loader on the EFI system partition, and"
                         " none in EFI/BOOT: it starts only by an entry in"
                         " the firmware");
  return fact_set (&b->firmware, e, "%s",
                   l.fallback     ? b->boot_code ? "both" : "uefi"
                   : b->boot_code ? "bios"
                                  : "none");
}
