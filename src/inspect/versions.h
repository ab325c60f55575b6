/* xrayfs: how boot loaders order their entries
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each has its own comparison, and all differ from strverscmp.  They return
 * less than 0, 0 or more than 0 as A is older than B, as old, or newer.
 */
#ifndef XRAYFS_INSPECT_VERSIONS_H
#define XRAYFS_INSPECT_VERSIONS_H

#include "base/err.h"

/* rpm's comparison of versions (or releases, or names) as GRUB's blscfg has
 * it: '~' before everything, '+' behind what has no more. */
int rpm_version_compare (const char *a, const char *b) nonnull (1, 2);

/* GRUB's blscfg: names of files without ".conf", each a name, a version and a
 * release as rpm's packages have them: MACHINE-VERSION-RELEASE. */
int grub_entry_compare (const char *a, const char *b) nonnull (1, 2);

/* systemd-boot, UAPI.10: as `systemd-analyze compare-versions`. */
int systemd_version_compare (const char *a, const char *b) nonnull (1, 2);

#endif
