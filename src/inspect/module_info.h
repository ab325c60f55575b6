/* xrayfs: what a kernel's modules say of who built it
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_MODULE_INFO_H
#define XRAYFS_INSPECT_MODULE_INFO_H

#include "base/buf.h"
#include "inspect/image.h"

struct module_info {
  char vermagic[128]; /* "6.1.0-18-amd64 SMP preempt mod_unload"; or "" */
  char signer[128];   /* the name in its signature; or "": it has none */
};

/* Of a module's bytes, unpacked (hostile ones are fine). */
void module_info_parse (const void *data, size_t len,
                        struct module_info *ret);

/* Adds to F's evidence what the first module of K's modules.dep says.
 * Errors: transient ones alone. */
int module_evidence (const struct vfs *v, const struct kernel *k,
                     struct fact *f, struct err *e) must_check;

#endif
