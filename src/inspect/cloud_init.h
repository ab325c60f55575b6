/* xrayfs: what the files about cloud-init share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All return -1 when memory runs out or for a failure that may pass; what
 * could not be looked at leaves the facts unknown.
 */
#ifndef XRAYFS_INSPECT_CLOUD_INIT_H
#define XRAYFS_INSPECT_CLOUD_INIT_H

#include "inspect/image_priv.h"

/* Fills enabled and disabled_by of C, whose version and datasources are
 * settled: which stage the init system INIT (NULL: not known) would start. */
int cloud_init_decide_enabled (const struct vfs *v, const struct boot *b,
                               const char *init, struct cloud_init *c,
                               struct err *e) must_check;

/* Fills datasources and config_files. */
int cloud_init_decide_datasources (const struct vfs *v, const struct boot *b,
                                   struct cloud_init *c,
                                   struct err *e) must_check;

/* The program ds-identify, which the generator asks: 1, 0, -1. */
int cloud_init_ds_identify (const struct vfs *v, struct err *e) must_check;

/* Is NAME among LIST, one a line?  Case does not matter to cloud-init's
 * command line. */
bool cloud_init_has_datasource (const char *list, const char *name);

/* Does a start-up script read the settings that a forced import leaves on
 * the CD-ROM (qcloud_action/os.conf)? */
int forced_import_decide (const struct vfs *v, const char *init,
                          struct fact *ret, struct err *e) must_check;

#endif
