/* xrayfs: hives of a Windows registry
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A reader of regf files (versions 1.2 to 1.6) that takes from the file only
 * the pages it needs, and believes no number in it.  What is said of the
 * format follows M. Suhanov's "Windows registry file format specification";
 * its sections are cited by name.
 *
 * A hive that was being written (an export of a running server) is brought up
 * to date from its transaction logs, in memory.  Where that cannot be done,
 * what it says may be old: hive_stale.
 *
 * Errors: ENOENT alone means "looked, and it is not there".  A hive is used
 * by one thread at a time.
 */
#ifndef XRAYFS_INSPECT_REGISTRY_H
#define XRAYFS_INSPECT_REGISTRY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Where the bytes of a file come from.  PREAD fills the whole of BUF, or
 * fails; it is asked for nothing beyond SIZE. */
struct hive_file {
  uint64_t size;
  int (*pread) (void *arg, void *buf, size_t len, uint64_t off,
                struct err *e);
  void *arg; /* borrowed until hive_close */
};

struct hive;
typedef uint32_t hive_key; /* offset of its cell */

/* LOGS are .LOG1, .LOG2 and .LOG, those that are there, in this order. */
#define HIVE_MAX_LOGS 3
int hive_open (const struct hive_file *primary, const struct hive_file *logs,
               size_t n_logs, struct hive **ret, struct err *e) must_check
    nonnull (1, 4, 5);
void hive_close (struct hive *h); /* NULL is fine */

/* Why what it says may be old, or NULL.  The keys can be read either way. */
const char *hive_stale (const struct hive *h);

/* How many entries of the logs were applied; a log of the old form is one. */
size_t hive_recovered (const struct hive *h);

hive_key hive_root (const struct hive *h);

/* --- keys ------------------------------------------------------------ */

/* The key PATH ("Select", "ControlSet001\\Services") below KEY.  Names are
 * compared without regard to the case of ASCII letters, which is all that
 * the names asked for have. */
int hive_find (struct hive *h, hive_key key, const char *path, hive_key *ret,
               struct err *e) must_check nonnull (1, 3, 4, 5);

/* NAME is UTF-8, ends with a NUL, and is valid during the call.  Non-zero
 * stops, and is returned. */
typedef int (*hive_key_fn) (void *arg, const char *name, size_t len,
                            hive_key key, struct err *e);
int hive_each_key (struct hive *h, hive_key key, hive_key_fn fn, void *arg,
                   struct err *e) must_check nonnull (1, 3, 5);

/* --- values ---------------------------------------------------------- */

enum hive_type {
  HIVE_NONE = 0,
  HIVE_SZ = 1,
  HIVE_EXPAND_SZ = 2,
  HIVE_BINARY = 3,
  HIVE_DWORD = 4,
  HIVE_DWORD_BIG_ENDIAN = 5,
  HIVE_MULTI_SZ = 7,
  HIVE_QWORD = 11
};

/* What is more than this is EFBIG. */
#define HIVE_MAX_VALUE ((size_t) 16 << 20)

/* Its bytes, as stored; TYPE is as stored, and may be any number. */
struct hive_value {
  uint32_t type;
  struct buf data;
};
void hive_value_free (struct hive_value *v);
#define CLEANUP_HIVE_VALUE __attribute__ ((cleanup (hive_value_free)))

/* NAME "" is the key's default value. */
int hive_value (struct hive *h, hive_key key, const char *name,
                struct hive_value *ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);

typedef int (*hive_value_fn) (void *arg, const char *name, size_t len,
                              const struct hive_value *value, struct err *e);
int hive_each_value (struct hive *h, hive_key key, hive_value_fn fn,
                     void *arg, struct err *e) must_check nonnull (1, 3, 5);

/* The same as text: a string as UTF-8 up to its first NUL, the strings of a
 * REG_MULTI_SZ one a line, a number in decimal.  EINVAL: it is neither. */
int hive_value_text (const struct hive_value *v, struct buf *ret,
                     struct err *e) must_check nonnull (1, 2, 3);
int hive_text (struct hive *h, hive_key key, const char *name,
               struct buf *ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);
/* A REG_DWORD, big endian or not, or a REG_QWORD. */
int hive_number (struct hive *h, hive_key key, const char *name,
                 uint64_t *ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);

/* The same, where it need not be there.  1; 0: there is no such value; -1. */
int hive_maybe_text (struct hive *h, hive_key key, const char *name,
                     struct buf *ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);
int hive_maybe_number (struct hive *h, hive_key key, const char *name,
                       uint64_t *ret, struct err *e) must_check
    nonnull (1, 3, 4, 5);

static inline void
cleanup_hive (struct hive **h)
{
  hive_close (*h);
}
#define CLEANUP_HIVE __attribute__ ((cleanup (cleanup_hive)))

#endif
