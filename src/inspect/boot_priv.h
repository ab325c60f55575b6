/* xrayfs: what the files about booting share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_BOOT_PRIV_H
#define XRAYFS_INSPECT_BOOT_PRIV_H

#include "inspect/grub.h"
#include "inspect/image_priv.h"

void kernel_free (struct kernel *k);

/* Fills b->kernels, newest first.  On failure the list is not complete. */
int kernels_list (const struct vfs *v, struct boot *b,
                  struct err *e) must_check;

/* *RET: the kernel that the image at PATH is, or NULL: it is none of them. */
int kernel_of_image (struct boot *b, const struct vfs *v, const char *path,
                     struct kernel **ret, struct err *e) must_check;

/* The version that the kernel in the file at PATH gives itself (uname -r), to
 * be freed; *RET is NULL where it does not say. */
int kernel_image_version (const struct vfs *v, const char *path, char **ret,
                          struct err *e) must_check;

/* Fills bootloader, default_kernel, cmdline and initramfs of B from the
 * loader's configuration.  1: the default kernel is settled, be it as
 * unknown; 0: no configuration settled it; -1: out of memory, or a failure
 * that may pass. */
int boot_loader_read (struct boot *b, const struct vfs *v,
                      struct err *e) must_check;

/* What could not be looked at (E) leaves all that it would say unknown. */
int boot_no_answer (struct boot *b, struct err *e) must_check;

/* Uses ENTRY, which CONFIG names as default, and whose paths may be relative
 * to BASE (or NULL).  1: settled; -1: could not look. */
int boot_use_entry (struct boot *b, const struct vfs *v, const char *base,
                    const struct boot_entry *entry, const char *config,
                    struct err *e) must_check;
int boot_choose (struct boot *b, struct kernel *k, const char *why,
                 struct err *e) must_check;

/* What the disk can boot with, where it has an EFI system partition:
 * b->firmware, from b->boot_code and the ESP's files. */
int boot_esp_firmware (struct image *img, struct boot *b,
                       struct err *e) must_check;

/* The Boot Loader Specification's entries in the directory DIR, as GRUB's
 * blscfg orders them: the default is the one that BLS names.  VARS are GRUB's
 * variables, or NULL.  Returns as boot_use_entry; 0: it cannot be told. */
int bls_read_grub (struct boot *b, const struct vfs *v, const char *dir,
                   const struct grub_bls *bls, struct grub_vars *vars,
                   struct err *e) must_check;

/* systemd-boot's, if its loader.conf or its entries are on what is mounted on
 * ESP: entries of both types. */
int bls_read_systemd_boot (struct boot *b, const struct vfs *v,
                           const char *esp, struct err *e) must_check;

#endif
