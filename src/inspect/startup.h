/* xrayfs: what the init system of a Linux guest starts at boot
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Links and files alone: what a generator or a first boot would add is not
 * seen.  All return -1 if it could not be looked.
 */
#ifndef XRAYFS_INSPECT_STARTUP_H
#define XRAYFS_INSPECT_STARTUP_H

#include "inspect/image_priv.h"

enum unit_state { UNIT_ABSENT, UNIT_THERE, UNIT_MASKED };

/* The state (enum unit_state) of NAME ("sshd.service") in the directories of
 * systemd's units, or with GENERATOR of its generators; the first that has it
 * decides, and a link to /dev/null or an empty file masks it.  *RET_PATH (may
 * be NULL) is that file, to be freed; NULL if it is absent. */
int startup_unit_state (const struct vfs *v, const char *name, bool generator,
                        char **ret_path, struct err *e) must_check;

/* RET becomes the unit file NAME and behind it its drop-ins (*.conf in NAME.d;
 * systemd.unit(5)), or empty if it is not there.  0, -1. */
int startup_unit_text (const struct vfs *v, const char *name, struct buf *ret,
                       struct err *e) must_check;

/* Does TEXT of startup_unit_text assign VALUE to KEY, and does no empty
 * assignment take that back? */
bool startup_unit_has (const struct buf *text, const char *key,
                       const char *value);

/* 1: the conditions of unit NAME (systemd.unit(5)) on paths and on being in a
 * container hold in a virtual machine; others are taken to hold.  0: *RET, to
 * be freed, is one that does not. */
int startup_conditions (const struct vfs *v, const char *name, char **ret,
                        struct err *e) must_check;

/* 1: the next boot is systemd's first (machine-id(5)), when it enables what
 * its presets say, and unit NAME can be enabled. */
int startup_presets_apply (const struct vfs *v, const char *name,
                           struct err *e) must_check;

/* 1: unit NAME is there and pulled in, by links in *.wants and *.requires
 * (systemd.unit(5)), by a target that every boot reaches, or by a unit that
 * is itself pulled in; *RET_PATH, to be freed, is the link.  0: no such link;
 * *RET_PATH is NULL, or a link of a target of which nothing is known. */
int startup_unit (const struct vfs *v, const char *name, char **ret_path,
                  struct err *e) must_check;

/* 1: a link S??NAME in the directory of the default runlevel (inittab(5); any
 * of 2 to 5 where that does not say) or of start-up leads to a script. */
int startup_sysv (const struct vfs *v, const char *name, char **ret_path,
                  struct err *e) must_check;

/* 1: Upstart's job NAME is there and started by an event (init(5): not
 * `manual`, in its .conf or .override). */
int startup_upstart (const struct vfs *v, const char *name, char **ret_path,
                     struct err *e) must_check;

/* 1: a link in one of OpenRC's runlevels that a boot enters. */
int startup_openrc (const struct vfs *v, const char *name, char **ret_path,
                    struct err *e) must_check;

/* All of them, as INIT (os/init; NULL: not known) has them: a unit hides an
 * rc link of the same name. */
int startup_service (const struct vfs *v, const char *init, const char *name,
                     char **ret_path, struct err *e) must_check;

/* Does a link of that name lead to /dev/null?  1, 0. */
int startup_is_masked (const struct vfs *v, const char *path,
                       struct err *e) must_check;

/* PATH made by FMT; 1: it is there (NOFOLLOW: be it a link that leads
 * nowhere), and *RET is it, to be freed; 0: *RET is NULL. */
int there_printf (const struct vfs *v, bool nofollow, char **ret,
                  struct err *e, const char *fmt, ...) must_check
    printf_like (5, 6);

/* The same path without a look; NULL and ENOMEM. */
char *path_printf (struct err *e, const char *fmt, ...) must_check
    printf_like (2, 3);

#endif
