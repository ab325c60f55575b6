/* xrayfs: the database of an RPM distribution
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A database is a store of headers, one per package, under a number.  There
 * are three kinds of stores (rpm_sqlite.c, rpm_ndb.c, rpm_bdb.c), all of
 * which read the guest's file in place; the header is the same in each.
 */
#ifndef XRAYFS_INSPECT_RPM_H
#define XRAYFS_INSPECT_RPM_H

#include "fs/vfs.h"

/* Tags of a header (rpmtag.h). */
enum rpm_tag {
  RPM_NAME = 1000,
  RPM_VERSION = 1001,
  RPM_RELEASE = 1002,
  RPM_EPOCH = 1003,
  RPM_VENDOR = 1011,
  RPM_ARCH = 1022,
  RPM_DIR_INDEXES = 1116,
  RPM_BASE_NAMES = 1117,
  RPM_DIR_NAMES = 1118
};

/* A header in memory: IL index entries of 16 bytes and DL bytes of data
 * (rpm's doc/manual/format_header.md), all of it within LEN. */
struct rpm_header {
  const unsigned char *index, *data;
  uint32_t il, dl;
};

/* A header of a package; valid during the call.  Non-zero stops. */
typedef int (*rpm_header_fn) (void *arg, const struct rpm_header *h);

/* Calls FN for each package of the database in V's tree, in the order of
 * the store.  *RET_PATH (borrowed, may be NULL) is where it lies.
 * Returns 1, or 0 if there is no database.
 * Errors: EIO for what is damaged, ENOTSUP for a store that is not read, or
 * has changes that are only in its journal. */
int rpm_each (const struct vfs *v, rpm_header_fn fn, void *arg,
              const char **ret_path, struct err *e) must_check;

/* The first string of TAG, or NULL: the header has none. */
const char *rpm_string (const struct rpm_header *h, enum rpm_tag tag);
/* False: the header has none. */
bool rpm_number (const struct rpm_header *h, enum rpm_tag tag, size_t i,
                 uint32_t *ret);
/* Does the package own the file PATH? */
bool rpm_owns (const struct rpm_header *h, const char *path);

/* --- for the stores -------------------------------------------------- */

/* What one header may take: rpm's own limit (HEADER_DATA_MAX) is 256 MiB;
 * the largest that distributions have, of kernel packages, have a few. */
#define RPM_MAX_HEADER ((size_t) 64 << 20)

/* Calls FN for the header in the LEN bytes at BLOB, as it is stored: returns
 * what FN does, or -1 if it is damaged. */
int rpm_header_read (const void *blob, size_t len, rpm_header_fn fn,
                     void *arg, struct err *e) must_check;

/* A header as it is stored.  Non-zero stops. */
typedef int (*rpm_blob_fn) (void *arg, const void *blob, size_t len);

int rpm_sqlite_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
                     struct err *e) must_check;
int rpm_ndb_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
                  struct err *e) must_check;
int rpm_bdb_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
                  struct err *e) must_check;

#endif
