/* xrayfs: what keeps a module from being loaded
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "blacklist" and "install" lines of modprobe.d(5), and lists on the kernel's
 * command line.
 */
#ifndef XRAYFS_INSPECT_BLACKLIST_H
#define XRAYFS_INSPECT_BLACKLIST_H

#include "base/err.h"

struct blacklist {
  const char *module;
  char found[160]; /* the line, or the word of the command line; or "" */
  bool not_known;  /* it is a command of which it is not known what it does */
};

/* MODPROBE: the files, one after another.  INITRAMFS_TOOLS: blacklist= on
 * the command line counts, which others do not know.
 * Errors: ENOMEM. */
int blacklist_find (const char *modprobe, const char *cmdline,
                    bool initramfs_tools, const char *module,
                    struct blacklist *ret, struct err *e) must_check;

/* Is MODULE in a comma-separated list after KEY= on the command line?  '-'
 * there counts as '_'. */
bool blacklist_lists (const char *cmdline, const char *key,
                      const char *module);

#endif
