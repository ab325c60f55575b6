/* xrayfs: what the findings about a Windows guest share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths are looked up as Windows spells them; that case does not matter is
 * the filesystem driver's.  Hives are opened by each finding for itself: what
 * it takes are a few pages, and nothing need be locked.
 */
#ifndef XRAYFS_INSPECT_WINDOWS_H
#define XRAYFS_INSPECT_WINDOWS_H

#include "inspect/image_priv.h"
#include "inspect/registry.h"

/* A hive of the guest, with its logs. */
struct windows_hive {
  struct hive *hive;
  struct vfs_file files[1 + HIVE_MAX_LOGS];
};

/* Opens the hive PATH.  Errors: ENOENT where it is not there; where it could
 * not be brought up to date, EIO and why. */
int windows_hive_open (const struct vfs *v, const char *path,
                       struct windows_hive *ret, struct err *e) must_check;
void windows_hive_close (struct windows_hive *h);
#define CLEANUP_WINDOWS_HIVE __attribute__ ((cleanup (windows_hive_close)))

/* The registry that the next boot would use.  Not to be moved once it is
 * open, nor is a windows_hive: the hive points into it. */
struct windows {
  const struct vfs *v;
  const char *dir; /* "/Windows": static */
  struct windows_hive system;
  hive_key set;         /* the control set that boots */
  char set_name[16];    /* "ControlSet001" */
  uint64_t current_set; /* Select\Current; UINT64_MAX: it does not say */
  char arch[12];        /* "" where it is not known: */
  struct err arch_why;
  char arch_from[64]; /* what says it */
};
/* RET need not be closed after a failure. */
int windows_open (const struct vfs *v, struct windows *ret,
                  struct err *e) must_check;
void windows_close (struct windows *w);
/* Finds `arch` by the files alone, where the registry could not be opened and
 * `dir` is known. */
int windows_arch (struct windows *w, struct err *e) must_check;
#define CLEANUP_WINDOWS __attribute__ ((cleanup (windows_close)))

/* Are the 16 bytes at P the GUID that TEXT writes out?  TEXT may be NULL. */
bool windows_is_guid (const unsigned char *p, const char *text);

/* The directory that Windows is in ("/Windows"), static.  1, 0: not there;
 * -1. */
int windows_dir (const struct vfs *v, const char **ret,
                 struct err *e) must_check;

/* Is FS in VOL where a Windows is installed?  1, 0, -1. */
int windows_is_root (struct guest *g, struct volume *vol, struct fs *fs,
                     struct err *e) must_check;
bool guest_is_windows (const struct guest *g);

/* The key PATH of the control set.  Errors: ENOENT. */
int windows_find (struct windows *w, const char *path, hive_key *ret,
                  struct err *e) must_check;

/* Sets F to the value NAME of KEY, "" where there is none; WHERE is for the
 * evidence ("SYSTEM\\Select"). */
int windows_value (struct fact *f, struct hive *h, hive_key key,
                   const char *where, const char *name,
                   struct err *e) must_check;

/* The machine that the program PATH is for ("x86_64"; "" where it has no name
 * here).  ENOENT: it is not there; EINVAL: it is no program. */
int windows_machine (const struct vfs *v, const char *path, const char **ret,
                     struct err *e) must_check;

/* Where the file lies that an ImagePath names, in the guest's tree, without
 * arguments; NULL: not known (another drive, a share), or out of memory.
 * DIR is the Windows directory. */
char *windows_path (const char *dir, const char *image_path);

/* 6.1 is 601, 10.0 is 1000.  ENOENT: SOFTWARE does not say. */
int windows_version (struct hive *software, unsigned *ret,
                     struct err *e) must_check;
#define WINDOWS_CURRENT_VERSION "Microsoft\\Windows NT\\CurrentVersion"
#define WINDOWS_8               602

/* The computations for a Windows guest, each in the file of its name. */
int os_windows_compute (const struct guest *g, struct os *os,
                        struct err *e) must_check;
int boot_windows_compute (struct image *img, struct boot *b,
                          struct err *e) must_check;
/* The volume of the Windows that the default entry of the boot configuration
 * starts; NULL: it cannot be told.  Fails for what may pass alone. */
int boot_windows_default (struct image *img, struct volume **ret,
                          struct err *e) must_check;
int virtio_windows_compute (const struct guest *g, struct virtio *v,
                            struct err *e) must_check;
int cloudbase_compute (const struct guest *g, struct cloud_init *c,
                       struct err *e) must_check;

#endif
