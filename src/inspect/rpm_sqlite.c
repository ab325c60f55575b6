/* xrayfs: rpm's SQLite store (rpmdb.sqlite), of RHEL 9 and Fedora
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SQLite reads the guest's file in place, through a VFS of ours that can do
 * nothing but read it.  What the file says is hostile: a schema may make the
 * table a view over an endless query, so that only an ordinary table is
 * asked, and the number of steps is bounded.
 */
#include "config.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/library.h"
#include "inspect/rpm.h"

#define SQLITE_FUNCTIONS(F)                                                  \
  F (sqlite3, close)                                                         \
  F (sqlite3, column_blob)                                                   \
  F (sqlite3, column_bytes)                                                  \
  F (sqlite3, db_config)                                                     \
  F (sqlite3, errmsg)                                                        \
  F (sqlite3, errstr)                                                        \
  F (sqlite3, finalize)                                                      \
  F (sqlite3, limit)                                                         \
  F (sqlite3, open_v2)                                                       \
  F (sqlite3, prepare_v2)                                                    \
  F (sqlite3, progress_handler)                                              \
  F (sqlite3, step)                                                          \
  F (sqlite3, vfs_register)
LIBRARY (sqlite, LIBSQLITE, SQLITE_FUNCTIONS);

#define VFS_NAME "xrayfs"

/* Steps of SQLite's machine: reading a package takes less than a hundred. */
#define STEPS_AT_ONCE 10000
#define MAX_STEPS     (100 * 1000 * 1000)

/* What a database is read through; its address is its file name. */
struct source {
  const struct vfs_file *file;
  struct err err; /* of the last read that failed */
  uint64_t steps;
};

struct handle {
  sqlite3_file base;
  struct source *source;
};

/* --- the VFS --------------------------------------------------------- */

static int
file_close (sqlite3_file *f unused_arg)
{
  return SQLITE_OK;
}

/* A database in WAL mode says so in its header, and would need a shared
 * memory file.  There is no journal (rpm.c has looked), so it is the same
 * as one without: bytes 18 and 19 (file format, 1.3.3). */
static void
hide_wal (unsigned char *buf, int len, sqlite3_int64 off)
{
  if (off == 0 && len >= 20)
    buf[18] = buf[19] = 1;
}

static int
file_read (sqlite3_file *f, void *buf, int len, sqlite3_int64 off)
{
  struct source *s = ((struct handle *) f)->source;
  uint64_t at = (uint64_t) off;
  size_t n = at < s->file->size ? MIN ((size_t) len, s->file->size - at) : 0;

  if (vfs_file_read (s->file, buf, n, n ? at : 0, &s->err) == -1)
    return SQLITE_IOERR_READ;
  memset ((char *) buf + n, 0, (size_t) len - n);
  hide_wal (buf, len, off);
  return n == (size_t) len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
file_write (sqlite3_file *f unused_arg, const void *buf unused_arg,
            int len unused_arg, sqlite3_int64 off unused_arg)
{
  return SQLITE_READONLY;
}

static int
file_truncate (sqlite3_file *f unused_arg, sqlite3_int64 size unused_arg)
{
  return SQLITE_READONLY;
}

static int
file_flags (sqlite3_file *f unused_arg, int flags unused_arg)
{
  return SQLITE_OK;
}

static int
file_size (sqlite3_file *f, sqlite3_int64 *ret)
{
  *ret = (sqlite3_int64) ((struct handle *) f)->source->file->size;
  return SQLITE_OK;
}

static int
file_is_reserved (sqlite3_file *f unused_arg, int *ret)
{
  *ret = 0;
  return SQLITE_OK;
}

static int
file_control (sqlite3_file *f unused_arg, int op unused_arg,
              void *arg unused_arg)
{
  return SQLITE_NOTFOUND;
}

static int
file_sector_size (sqlite3_file *f unused_arg)
{
  return 512;
}

static int
file_characteristics (sqlite3_file *f unused_arg)
{
  return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods io_methods = {
  .iVersion = 1,
  .xClose = file_close,
  .xRead = file_read,
  .xWrite = file_write,
  .xTruncate = file_truncate,
  .xSync = file_flags,
  .xFileSize = file_size,
  .xLock = file_flags,
  .xUnlock = file_flags,
  .xCheckReservedLock = file_is_reserved,
  .xFileControl = file_control,
  .xSectorSize = file_sector_size,
  .xDeviceCharacteristics = file_characteristics,
};

/* The one file that can be opened: temporary ones are refused. */
static int
vfs_open_file (sqlite3_vfs *vfs unused_arg, const char *name, sqlite3_file *f,
               int flags, int *ret_flags)
{
  struct handle *h = (struct handle *) f;
  void *source;

  h->base.pMethods = NULL;
  if (!name || !(flags & SQLITE_OPEN_MAIN_DB) ||
      sscanf (name, "%p", &source) != 1)
    return SQLITE_CANTOPEN;
  h->base.pMethods = &io_methods;
  h->source = source;
  if (ret_flags)
    *ret_flags = flags;
  return SQLITE_OK;
}

static int
vfs_delete (sqlite3_vfs *vfs unused_arg, const char *name unused_arg,
            int sync unused_arg)
{
  return SQLITE_READONLY;
}

static int
vfs_access (sqlite3_vfs *vfs unused_arg, const char *name unused_arg,
            int flags unused_arg, int *ret)
{
  *ret = 0;
  return SQLITE_OK;
}

static int
vfs_full_name (sqlite3_vfs *vfs unused_arg, const char *name, int size,
               char *ret)
{
  return snprintf (ret, (size_t) size, "%s", name) < size ? SQLITE_OK
                                                          : SQLITE_CANTOPEN;
}

static int
vfs_random (sqlite3_vfs *vfs unused_arg, int len, char *ret)
{
  memset (ret, 0, (size_t) len); /* nothing is written: no salt is needed */
  return len;
}

static int
vfs_sleep (sqlite3_vfs *vfs unused_arg, int microseconds unused_arg)
{
  return 0;
}

static int
vfs_time (sqlite3_vfs *vfs unused_arg, double *ret)
{
  *ret = 2440587.5; /* 1970, as a Julian day */
  return SQLITE_OK;
}

static sqlite3_vfs reading_vfs = {
  .iVersion = 1,
  .szOsFile = sizeof (struct handle),
  .mxPathname = 64,
  .zName = VFS_NAME,
  .xOpen = vfs_open_file,
  .xDelete = vfs_delete,
  .xAccess = vfs_access,
  .xFullPathname = vfs_full_name,
  .xRandomness = vfs_random,
  .xSleep = vfs_sleep,
  .xCurrentTime = vfs_time,
};

static void
register_vfs (void)
{
  sqlite.vfs_register (&reading_vfs, 0);
}

/* --- the store ------------------------------------------------------- */

static int
count_steps (void *arg)
{
  struct source *s = arg;

  s->steps += STEPS_AT_ONCE;
  return s->steps > MAX_STEPS;
}

static int
sqlite_error (sqlite3 *db, int code, struct source *s, struct err *e)
{
  if (code == SQLITE_NOMEM)
    return err_set (e, ENOMEM, "out of memory");
  if (s->err.code) {
    *e = s->err;
    return -1;
  }
  if (code == SQLITE_INTERRUPT)
    return err_set (e, EIO, "it takes more than %d steps", MAX_STEPS);
  return err_set (e, EIO, "SQLite: %s",
                  db ? sqlite.errmsg (db) : sqlite.errstr (code));
}

/* 1 with a row, 0 at the end. */
static int
step (sqlite3 *db, sqlite3_stmt *q, struct source *s, struct err *e)
{
  int code = sqlite.step (q);

  if (code == SQLITE_ROW)
    return 1;
  return code == SQLITE_DONE ? 0 : sqlite_error (db, code, s, e);
}

static void
cleanup_query (sqlite3_stmt **q)
{
  sqlite.finalize (*q);
}
#define CLEANUP_QUERY __attribute__ ((cleanup (cleanup_query)))

static int
prepare (sqlite3 *db, const char *sql, struct source *s, sqlite3_stmt **ret,
         struct err *e)
{
  int code = sqlite.prepare_v2 (db, sql, -1, ret, NULL);

  return code == SQLITE_OK ? 0 : sqlite_error (db, code, s, e);
}

static int
check_schema (sqlite3 *db, struct source *s, struct err *e)
{
  CLEANUP_QUERY sqlite3_stmt *q = NULL;
  int r;

  if (prepare (db,
               "SELECT 1 FROM sqlite_master WHERE name = 'Packages'"
               " AND type = 'table' AND sql LIKE 'CREATE TABLE%'",
               s, &q, e) == -1)
    return -1;
  r = step (db, q, s, e);
  return r ? MIN (r, 0) : err_set (e, EIO, "no table of packages");
}

static int
each_row (sqlite3 *db, struct source *s, rpm_blob_fn fn, void *arg,
          struct err *e)
{
  CLEANUP_QUERY sqlite3_stmt *q = NULL;
  int r;

  if (prepare (db, "SELECT blob FROM Packages", s, &q, e) == -1)
    return -1;
  while ((r = step (db, q, s, e)) == 1) {
    const void *blob = sqlite.column_blob (q, 0);
    int len = sqlite.column_bytes (q, 0);

    if (!blob)
      return err_set (e, EIO, "a package without a header");
    if (fn (arg, blob, (size_t) len))
      return 0;
  }
  return r;
}

static int
open_database (struct source *s, sqlite3 **ret, struct err *e)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  char name[32];
  int code;

  pthread_once (&once, register_vfs);
  snprintf (name, sizeof name, "%p", (void *) s);
  code = sqlite.open_v2 (
      name, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, VFS_NAME);
  if (code != SQLITE_OK)
    return sqlite_error (*ret, code, s, e);
  sqlite.limit (*ret, SQLITE_LIMIT_LENGTH, (int) RPM_MAX_HEADER);
  sqlite.db_config (*ret, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite.db_config (*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite.progress_handler (*ret, STEPS_AT_ONCE, count_steps, s);
  return 0;
}

int
rpm_sqlite_each (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
                 struct err *e)
{
  struct source s = { .file = f };
  sqlite3 *db = NULL;
  int r;

  if (library_load (&sqlite_library, e) == -1)
    return -1;
  r = open_database (&s, &db, e);
  if (r == 0)
    r = check_schema (db, &s, e);
  if (r == 0)
    r = each_row (db, &s, fn, arg, e);
  sqlite.close (db);
  return r;
}
