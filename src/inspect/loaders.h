/* xrayfs: what boot loaders other than GRUB 2 would start
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure text: each function finds the entry that a configuration starts when
 * nobody touches a key.  TEXT is changed.  *RET is filled as that of
 * grub_default: paths as written, initrds separated by blanks.
 * All return 1: *RET is filled; 0: there is none, or the text does not tell;
 * -1: out of memory.
 */
#ifndef XRAYFS_INSPECT_LOADERS_H
#define XRAYFS_INSPECT_LOADERS_H

#include "inspect/grub.h"

/* GRUB 0.97's menu.lst or grub.conf (info grub, "Configuration").  SAVED is
 * what its file `default` holds, or NULL. */
int grub_legacy_default (char *text, const char *saved,
                         struct boot_entry *ret, struct err *e) must_check;

/* syslinux.cfg, extlinux.conf, isolinux.cfg (doc/syslinux.txt).  Its INCLUDE
 * has been put in by the caller. */
int syslinux_default (char *text, struct boot_entry *ret,
                      struct err *e) must_check;

/* zipl.conf(5): IBM Z. */
int zipl_default (char *text, struct boot_entry *ret,
                  struct err *e) must_check;

/* lilo.conf(5).  What LILO starts was fixed when it was last run; the text
 * is what it was run with, or will be. */
int lilo_default (char *text, struct boot_entry *ret,
                  struct err *e) must_check;

/* systemd-boot's loader.conf(5): the pattern of the entry that starts (with
 * or without ".conf"), to be freed; NULL: none is named, so that the entries'
 * order decides. */
char *systemd_boot_default (const char *text);

#endif
