/* xrayfs: what keeps a driver from being loaded, or from being started
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * modprobe.d(5), and the kernel's command line.  A driver is loaded when udev
 * asks for what its device says of itself (its modalias), or for the sake of
 * a module that needs it; each has its own rules, those of kmod.
 */
#ifndef XRAYFS_INSPECT_BLACKLIST_H
#define XRAYFS_INSPECT_BLACKLIST_H

#include "base/buf.h"
#include "fs/vfs.h"

struct blacklist_module {
  const char *name;
  const char *modaliases; /* of its devices, separated by blanks; NULL: it is
                             loaded because others need it */
  const char *initcall; /* the function that starts it; NULL: there is none */
  bool init_before_5_18; /* before, that function was called "init" */
};

/* Where the driver is, and who loads it. */
struct blacklist_place {
  const char *modprobe; /* the files of modprobe.d, one after another */
  const char *cmdline;
  const char *version;  /* the kernel's */
  bool initramfs_tools; /* blacklist= counts there */
  const char *forced;   /* names that its init loads by modprobe; or NULL */
  bool mkinitfs;        /* there, too; and what modules= names is loaded */
  enum { NO_DRACUT, MAYBE_DRACUT, DRACUT } dracut; /* rd.driver.blacklist= */
  bool inserted; /* by insmod, which asks nobody but the kernel */
};

struct blacklist {
  char found[160]; /* the line, or the word of the command line; or "" */
  bool not_known;  /* what it does is not known */
};

/* Of a module.  Errors: ENOMEM. */
int blacklist_find (const struct blacklist_place *place,
                    const struct blacklist_module *module,
                    struct blacklist *ret, struct err *e) must_check;

/* The same of a driver that is built in: the command line alone. */
void blacklist_builtin (const struct blacklist_place *place,
                        const struct blacklist_module *module,
                        struct blacklist *ret);

/* Adds the files of modprobe.d of the root filesystem to TO: of one name, the
 * one in /etc counts.  /run is empty when the guest starts.
 * Errors: could not look. */
int blacklist_read_root (const struct vfs *v, struct buf *to,
                         struct err *e) must_check;

#endif
