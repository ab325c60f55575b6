/* xrayfs: sections of a PE file in the guest
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A unified kernel image is a PE program whose sections are the kernel, its
 * initramfs and its command line (UAPI.5).  PE/COFF specification, 3 to 4.
 */
#ifndef XRAYFS_INSPECT_PE_H
#define XRAYFS_INSPECT_PE_H

#include "fs/vfs.h"

/* A file of the guest, read in place. */
struct pe_file {
  struct fs *fs;
  uint64_t ino, size;
};

struct pe_section {
  uint64_t offset, size; /* in the file; within it */
};

/* 1: the regular file at PATH; 0: it is no regular file.
 * Errors: as vfs_walk. */
int pe_open (const struct vfs *v, const char *path, struct pe_file *ret,
             struct err *e) must_check;

/* Exactly LEN bytes; beyond the end is EIO. */
int pe_read (const struct pe_file *f, void *buf, size_t len, uint64_t off,
             struct err *e) must_check;

/* 1: *RET is the section NAME; 0: it is no PE file, or has none of that
 * name.  EIO: it lies beyond the end of the file. */
int pe_find_section (const struct pe_file *f, const char *name,
                     struct pe_section *ret, struct err *e) must_check;

/* The whole section as text, at most MAX bytes; *RET NULL: there is none. */
int pe_section_text (const struct pe_file *f, const char *name, size_t max,
                     char **ret, struct err *e) must_check;

#endif
