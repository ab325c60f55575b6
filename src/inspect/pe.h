/* xrayfs: sections of a PE file in the guest
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A unified kernel image is a PE program whose sections are the kernel, its
 * initramfs and its command line (UAPI.5).  PE/COFF specification, 3 to 4.
 */
#ifndef XRAYFS_INSPECT_PE_H
#define XRAYFS_INSPECT_PE_H

#include "fs/vfs.h"

struct pe_section {
  uint64_t offset, size; /* in the file; within it */
};

/* 1: *RET is the section NAME; 0: it is no PE file, or has none of that
 * name.  EIO: it lies beyond the end of the file. */
int pe_find_section (const struct vfs_file *f, const char *name,
                     struct pe_section *ret, struct err *e) must_check;

/* The whole section as text, at most MAX bytes; *RET NULL: there is none. */
int pe_section_text (const struct vfs_file *f, const char *name, size_t max,
                     char **ret, struct err *e) must_check;

#endif
