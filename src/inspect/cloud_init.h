/* xrayfs: what the files about cloud-init share
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All return -1 when memory runs out or for a failure that may pass; what
 * could not be looked at leaves the facts unknown.
 */
#ifndef XRAYFS_INSPECT_CLOUD_INIT_H
#define XRAYFS_INSPECT_CLOUD_INIT_H

#include "inspect/image_priv.h"

#define CLOUD_INIT_GENERATOR "cloud-init-generator"

/* What ds-identify does at boot, where the provider's disk is attached. */
struct identify {
  bool asked;   /* it is run */
  bool early;   /* ... by systemd's generator, before any service */
  bool decides; /* its list replaces that of cloud.cfg */
  int starts;   /* cloud-init, if systemd's generator asks: 1, 0; -1: only
                   where it finds a data source of LIST */
  bool by_search;  /* starts, if it finds the provider's configuration drive */
  struct buf list; /* where it decides; empty: all that it knows */
  char *by;        /* what set the list, or NULL */
  char *policy;    /* as it is set, or NULL */
  bool policy_on_cmdline;
  /* For itself. */
  char *name;
  unsigned n; /* names in LIST */
  bool greps, starts_anyway;
  enum {
    IDENTIFY_SEARCH,
    IDENTIFY_DISABLED,
    IDENTIFY_ENABLED,
    IDENTIFY_REPORT
  } mode;
};

/* CMDLINE: the kernel's; "" where it is not known.  RET is to be freed,
 * whatever is returned. */
int cloud_init_identify (const struct vfs *v, const char *cmdline,
                         const struct os *os, struct identify *ret,
                         struct err *e) must_check;
void cloud_init_identify_free (struct identify *i);

/* Fills enabled and disabled_by of C, whose version and datasources are
 * settled: which stage the init system would start. */
int cloud_init_decide_enabled (const struct vfs *v, const struct boot *b,
                               const struct os *os, const struct identify *id,
                               struct cloud_init *c,
                               struct err *e) must_check;

/* Fills datasources and config_files. */
int cloud_init_decide_datasources (const struct vfs *v, const struct boot *b,
                                   const struct identify *id,
                                   struct cloud_init *c,
                                   struct err *e) must_check;

/* As guest_text; what is no regular file counts as not there, as cloud-init
 * and ds-identify have it. */
int cloud_init_text (const struct vfs *v, const char *path, struct buf *ret,
                     struct err *e) must_check;

/* A seed of NoCloud's (the installer of Ubuntu's server leaves one): 1, and
 * *RET, to be freed, is a file of it; 0, -1. */
int cloud_init_seed (const struct vfs *v, char **ret,
                     struct err *e) must_check;

/* Is NAME among LIST, one a line?  Case does not matter to cloud-init's
 * command line. */
bool cloud_init_has_datasource (const char *list, const char *name);

/* Does a start-up script read the settings that a forced import leaves on
 * the CD-ROM (qcloud_action/os.conf)? */
int forced_import_decide (const struct vfs *v, const char *init,
                          struct fact *ret, struct err *e) must_check;

#endif
