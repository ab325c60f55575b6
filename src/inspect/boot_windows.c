/* xrayfs: how a Windows starts: the boot configuration data
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A BCD store is a hive.  BIOS starts the active partition, whose bootmgr
 * reads \Boot\BCD there; UEFI starts bootmgfw.efi of the EFI system
 * partition, or its copy under the name for removable media, with
 * \EFI\Microsoft\Boot\BCD.  The default entry's loader says
 * which of the two the store is for: winload.exe or winload.efi.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/windows.h"

#define BOOTMGR "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
/* Elements: the default entry; an entry's program, and where its Windows is.
 */
#define DEFAULT_OBJECT   "23000003"
#define APPLICATION_PATH "12000002"
#define OS_DEVICE        "21000001"
#define TYPE_OS_LOADER   0x10200003

/* What one kind of firmware finds. */
enum start { CANNOT, CAN, NOT_KNOWN };

static const struct way {
  const char *store, *loader; /* what the loader's name ends with */
  const char *managers[6]; /* that read the store, one of which is enough */
} by_bios = { "/Boot/BCD", ".exe", { "/bootmgr" } },
  by_uefi = { "/EFI/Microsoft/Boot/BCD",
              ".efi",
              { "/EFI/Microsoft/Boot/bootmgfw.efi", "/EFI/BOOT/BOOTX64.EFI",
                "/EFI/BOOT/BOOTIA32.EFI", "/EFI/BOOT/BOOTAA64.EFI" } };

/* --- one store ------------------------------------------------------- */

static int
find_element (struct hive *h, const char *object, const char *name,
              hive_key *ret, struct err *e)
{
  CLEANUP_FREE char *path = NULL;

  if (asprintf (&path, "Objects\\%s\\Elements\\%s", object, name) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return hive_find (h, hive_root (h), path, ret, e);
}

static int
element (struct hive *h, const char *object, const char *name,
         struct buf *ret, struct err *e)
{
  hive_key key;

  return find_element (h, object, name, &key, e) == -1
             ? -1
             : hive_text (h, key, "Element", ret, e);
}

struct loaders {
  struct hive *h;
  struct buf *path;
  bool differ;
};

static int
take_loader (void *arg, const char *name, size_t len unused_arg, hive_key key,
             struct err *e)
{
  CLEANUP_BUF struct buf path = { 0 };
  struct loaders *l = arg;
  uint64_t type = 0;

  if (hive_find (l->h, key, "Description", &key, e) == -1 ||
      hive_number (l->h, key, "Type", &type, e) == -1 ||
      type != TYPE_OS_LOADER ||
      element (l->h, name, APPLICATION_PATH, &path, e) == -1) {
    if (e->code && !err_is_absent (e) && e->code != EINVAL)
      return -1;
    err_clear (e);
    return 0;
  }
  l->differ = l->differ || (l->path->len &&
                            strcasecmp (buf_str (l->path), buf_str (&path)));
  buf_reset (l->path);
  buf_puts (l->path, buf_str (&path));
  return 0;
}

/* The program of the default entry; of a store that names none, the one that
 * all entries have.  Errors: ENOENT. */
static int
default_loader (struct hive *h, struct buf *ret, struct err *e)
{
  CLEANUP_BUF struct buf object = { 0 };
  struct loaders l = { h, ret, false };
  hive_key objects;

  if (element (h, BOOTMGR, DEFAULT_OBJECT, &object, e) == 0)
    return element (h, buf_str (&object), APPLICATION_PATH, ret, e);
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  if (hive_find (h, hive_root (h), "Objects", &objects, e) == -1 ||
      hive_each_key (h, objects, take_loader, &l, e) == -1)
    return -1;
  if (l.differ)
    return err_set (e, EIO, "it has several entries and no default");
  return ret->len ? 0 : err_set (e, ENOENT, "it has no entry of a Windows");
}

static bool
ends_with (const char *s, const char *suffix)
{
  size_t a = strlen (s), b = strlen (suffix);

  return a >= b && !strcasecmp (s + a - b, suffix);
}

/* Is there what reads the store?  1, 0, -1. */
static int
has_manager (const struct vfs *v, const char *label, const struct way *way,
             struct fact *f, struct err *e)
{
  int r = 0;

  for (const char *const *path = way->managers; *path && r == 0; path++) {
    r = vfs_exists (v, *path, e);
    if (r != -1)
      fact_evidence (f, "%s: %s: %s", label, *path,
                     r == 1 ? "there" : "not there");
  }
  return r;
}

/* Does the store start a Windows in this WAY? */
static int
look_into_store (const struct vfs *v, const char *label,
                 const struct way *way, struct fact *f, enum start *ret,
                 struct err *e)
{
  CLEANUP_WINDOWS_HIVE struct windows_hive h = { 0 };
  CLEANUP_BUF struct buf loader = { 0 };
  int r;

  if (windows_hive_open (v, way->store, &h, e) == -1 ||
      default_loader (h.hive, &loader, e) == -1)
    return -1;
  fact_evidence (f, "%s: %s: the default entry starts %s", label, way->store,
                 buf_str (&loader));
  if (!ends_with (buf_str (&loader), way->loader))
    return 0;
  r = has_manager (v, label, way, f, e);
  if (r == 1)
    *ret = CAN;
  return r == -1 ? -1 : 0;
}

/* --- the two kinds --------------------------------------------------- */

static bool
is_esp (const struct partition *p)
{
  return p && partition_is_esp (p);
}

/* *RET stays as it is where VOL has no store. */
static int
look_at_volume (struct volume *vol, const struct way *way, struct fact *f,
                enum start *ret, struct err *why, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  struct fs *fs;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  fs = volume_readable (vol, e) ? volume_fs (vol, e) : NULL;
  if (fs) {
    vfs_init (v, fs);
    if (look_into_store (v, vol->label, way, f, ret, e) == 0)
      return 0;
    err_in (e, "%s", vol->label);
  }
  if (err_is_transient (e))
    return -1;
  fact_evidence (f, "%s", e->code ? e->msg : vol->label);
  if (e->code && !err_is_absent (e) && *ret != CAN) {
    *ret = NOT_KNOWN;
    *why = *e;
  }
  err_clear (e);
  return 0;
}

/* Windows before Vista: ntldr instead of bootmgr. */
static int
has_ntldr (struct volume *vol, struct fact *f, enum start *ret, struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  struct fs *fs;
  int r;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  fs = volume_fs (vol, e);
  if (!fs) {
    err_clear (e); /* was said by look_at_volume */
    return 0;
  }
  vfs_init (v, fs);
  r = vfs_exists (v, "/ntldr", e);
  if (r == 1) {
    fact_evidence (f, "%s: /ntldr: there", vol->label);
    *ret = CAN;
  }
  return r == -1 ? -1 : 0;
}

/* A BIOS needs code in the first sector, and a table that it leads to. */
static int
look_at_all (struct image *img, const struct boot *b, struct fact *f,
             enum start *bios, enum start *uefi, struct err *why,
             struct err *e)
{
  bool active = false,
       mbr = b->boot_code && !strcmp (img->table->type, "dos");

  for (size_t i = 0; i < img->n_volumes; i++)
    active = active || (img->volumes[i]->partition &&
                        img->volumes[i]->partition->bootable);
  for (size_t i = 0; i < img->n_volumes; i++) {
    struct volume *vol = img->volumes[i];
    const struct partition *p = vol->partition;
    if (is_esp (p) && look_at_volume (vol, &by_uefi, f, uefi, why, e) == -1)
      return -1;
    if (!mbr || !p || (active && !p->bootable))
      continue;
    if (look_at_volume (vol, &by_bios, f, bios, why, e) == -1 ||
        (*bios == CANNOT && has_ntldr (vol, f, bios, e) == -1))
      return -1;
  }
  /* A BIOS finds it by the active flag alone; what is in the first sector
   * may know better. */
  if (*bios == CAN && !active) {
    *bios = NOT_KNOWN;
    err_set (why, EIO,
             "no partition is marked active, so that it is not"
             " known whether a BIOS finds the Windows loader");
  }
  return 0;
}

int
boot_windows_compute (struct image *img, struct boot *b, struct err *e)
{
  enum start bios = CANNOT, uefi = CANNOT;
  struct fact *f = &b->firmware;
  struct err why = { 0 };

  free (f->reason);
  f->reason = NULL;
  if (look_at_all (img, b, f, &bios, &uefi, &why, e) == -1)
    return -1;
  if ((bios == CAN || uefi == CAN) &&
      fact_set (&b->bootloader, e, "windows") == -1)
    return -1;
  if (bios == NOT_KNOWN || uefi == NOT_KNOWN)
    return fact_unknown (f, e, "%s", why.msg);
  return fact_set (f, e, "%s",
                   bios == CAN && uefi == CAN ? "both"
                   : bios == CAN              ? "bios"
                   : uefi == CAN              ? "uefi"
                                              : "none");
}

/* --- which of several Windows ---------------------------------------- */

/* A device in a store, after the GUID of its options: a partition is of type
 * 6, and is named by its first byte and its disk's signature where the table
 * is an MBR, else by its GUID. */
#define DEVICE_PARTITION 6
#define DEVICE_OF_MBR    1

static bool
is_device (const struct hive_value *v, const struct image *img,
           const struct partition *p)
{
  const unsigned char *d = (const unsigned char *) v->data.data;

  if (v->type != HIVE_BINARY || v->data.len < 72 ||
      load_le32 (d + 16) != DEVICE_PARTITION)
    return false;
  if (load_le32 (d + 52) == DEVICE_OF_MBR)
    return load_le64 (d + 32) == p->start && img->table->id &&
           strtoul (img->table->id, NULL, 16) == load_le32 (d + 56);
  return windows_is_guid (d + 32, p->uuid);
}

/* The volume of the default entry of VOL's store; *RET stays as it is where
 * there is no such store or it says nothing of this disk. */
static int
default_volume (struct image *img, struct volume *vol, const struct way *way,
                struct volume **ret, struct err *e)
{
  CLEANUP_WINDOWS_HIVE struct windows_hive h = { 0 };
  CLEANUP_HIVE_VALUE struct hive_value device = { 0 };
  CLEANUP_BUF struct buf object = { 0 };
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  hive_key key;
  struct fs *fs;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  fs = volume_fs (vol, e);
  if (!fs)
    return -1;
  vfs_init (v, fs);
  if (windows_hive_open (v, way->store, &h, e) == -1 ||
      element (h.hive, BOOTMGR, DEFAULT_OBJECT, &object, e) == -1 ||
      find_element (h.hive, buf_str (&object), OS_DEVICE, &key, e) == -1 ||
      hive_value (h.hive, key, "Element", &device, e) == -1)
    return -1;
  for (size_t i = 0; i < img->n_volumes; i++) {
    const struct partition *p = volume_partition (img->volumes[i]);
    if (p && is_device (&device, img, p))
      *ret = img->volumes[i];
  }
  return 0;
}

int
boot_windows_default (struct image *img, struct volume **ret, struct err *e)
{
  bool mbr = !strcmp (img->table->type, "dos");

  *ret = NULL;
  for (size_t i = 0; i < img->n_volumes && !*ret; i++) {
    struct volume *vol = img->volumes[i];
    const struct partition *p = volume_partition (vol);
    const struct way *way = mbr && p && p->bootable ? &by_bios
                            : is_esp (p)            ? &by_uefi
                                                    : NULL;
    if (!way || default_volume (img, vol, way, ret, e) == 0)
      continue;
    if (err_is_transient (e))
      return -1;
    err_clear (e); /* the others may say it */
  }
  return 0;
}
