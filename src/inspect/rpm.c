/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/rpm.h"

#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"

#define INDEX_ENTRY 16

enum header_type {
  TYPE_INT32 = 4,
  TYPE_STRING = 6,
  TYPE_STRINGS = 8,
  TYPE_I18N = 9
};

/* --- headers --------------------------------------------------------- */

static int
header_open (struct rpm_header *h, const unsigned char *blob, size_t len,
             struct err *e)
{
  if (len < 8)
    return err_set (e, EIO, "header of %zu bytes", len);
  h->il = load_be32 (blob);
  h->dl = load_be32 (blob + 4);
  if (h->il > (len - 8) / INDEX_ENTRY ||
      h->dl > len - 8 - (size_t) h->il * INDEX_ENTRY)
    return err_set (e, EIO, "header is cut off");
  h->index = blob + 8;
  h->data = h->index + (size_t) h->il * INDEX_ENTRY;
  return 0;
}

/* Where TAG's values begin; NULL: the header has none.  Sorted as they are,
 * headers are still searched from one end: regions (tags below 1000) need
 * not be, and a hostile one is not. */
static const unsigned char *
find_tag (const struct rpm_header *h, enum rpm_tag tag, uint32_t *ret_type,
          uint32_t *ret_count)
{
  for (uint32_t i = 0; i < h->il; i++) {
    const unsigned char *x = h->index + (size_t) i * INDEX_ENTRY;
    uint32_t offset = load_be32 (x + 8);

    if (load_be32 (x) != (uint32_t) tag)
      continue;
    if (offset >= h->dl)
      return NULL;
    *ret_type = load_be32 (x + 4);
    *ret_count = load_be32 (x + 12);
    return h->data + offset;
  }
  return NULL;
}

/* Bytes that are left in the data from P. */
static size_t
left (const struct rpm_header *h, const unsigned char *p)
{
  return h->dl - (size_t) (p - h->data);
}

const char *
rpm_string (const struct rpm_header *h, enum rpm_tag tag)
{
  uint32_t type, count;
  const unsigned char *p = find_tag (h, tag, &type, &count);

  if (!p || count == 0 || type < TYPE_STRING || type > TYPE_I18N ||
      !memchr (p, '\0', left (h, p)))
    return NULL;
  return (const char *) p;
}

bool
rpm_number (const struct rpm_header *h, enum rpm_tag tag, size_t i,
            uint32_t *ret)
{
  uint32_t type, count;
  const unsigned char *p = find_tag (h, tag, &type, &count);

  if (!p || type != TYPE_INT32 || i >= count || left (h, p) / 4 <= i)
    return false;
  *ret = load_be32 (p + 4 * i);
  return true;
}

/* The number of the directory of PATH (up to its last slash) in h, or
 * UINT32_MAX. */
static uint32_t
find_directory (const struct rpm_header *h, const char *path, size_t len)
{
  uint32_t type, count;
  const unsigned char *p = find_tag (h, RPM_DIR_NAMES, &type, &count), *end;

  for (uint32_t i = 0; p && i < count; i++, p = end + 1) {
    end = memchr (p, '\0', left (h, p));
    if (!end)
      break;
    if ((size_t) (end - p) == len && !memcmp (p, path, len))
      return i;
  }
  return UINT32_MAX;
}

bool
rpm_owns (const struct rpm_header *h, const char *path)
{
  const char *base = strrchr (path, '/');
  uint32_t type, count, index_type, index_count, dir;
  const unsigned char *p, *end, *indexes;

  if (!base)
    return false;
  base++;
  dir = find_directory (h, path, (size_t) (base - path));
  p = find_tag (h, RPM_BASE_NAMES, &type, &count);
  indexes = find_tag (h, RPM_DIR_INDEXES, &index_type, &index_count);
  if (dir == UINT32_MAX || !p || !indexes)
    return false;
  count = MIN (count, MIN (index_count, left (h, indexes) / 4));
  for (uint32_t i = 0; i < count; i++, p = end + 1) {
    end = memchr (p, '\0', left (h, p));
    if (!end)
      return false;
    if (load_be32 (indexes + 4 * (size_t) i) == dir &&
        !strcmp ((const char *) p, base))
      return true;
  }
  return false;
}

/* --- the database ---------------------------------------------------- */

struct each {
  rpm_header_fn fn;
  void *arg;
  struct err *err;
  bool failed;
};

int
rpm_header_read (const void *blob, size_t len, rpm_header_fn fn, void *arg,
                 struct err *e)
{
  struct rpm_header h;

  return header_open (&h, blob, len, e) == -1 ? -1 : fn (arg, &h);
}

static int
give_header (void *arg, const void *blob, size_t len)
{
  struct each *x = arg;
  int r = rpm_header_read (blob, len, x->fn, x->arg, x->err);

  x->failed = r == -1 && x->err->code;
  return r;
}

/* rpm removes its journals when it closes the database: one that is left has
 * what the file lacks, or what is to be taken back from it. */
static int
check_journal (const struct vfs *v, const char *path, struct err *e)
{
  static const char *const suffixes[] = { "-wal", "-journal" };
  struct fs_stat st;
  char journal[128];

  for (size_t i = 0; i < ARRAY_SIZE (suffixes); i++) {
    snprintf (journal, sizeof journal, "%s%s", path, suffixes[i]);
    if (vfs_stat (v, journal, 0, &st, e) == 0 && st.size > 0)
      return err_set (e, ENOTSUP,
                      "%s holds changes that are not in the database",
                      journal);
    if (e->code && !err_is_absent (e))
      return -1;
    err_clear (e);
  }
  return 0;
}

static const struct store {
  const char *path;
  int (*each) (const struct vfs_file *f, rpm_blob_fn fn, void *arg,
               struct err *e);
  bool journal;
} stores[] = {
  { "/var/lib/rpm/rpmdb.sqlite", rpm_sqlite_each, true },
  { "/var/lib/rpm/Packages.db", rpm_ndb_each, false },
  { "/var/lib/rpm/Packages", rpm_bdb_each, false },
  { "/usr/lib/sysimage/rpm/rpmdb.sqlite", rpm_sqlite_each, true },
  { "/usr/lib/sysimage/rpm/Packages.db", rpm_ndb_each, false },
  { "/usr/lib/sysimage/rpm/Packages", rpm_bdb_each, false },
  { "/usr/share/rpm/rpmdb.sqlite", rpm_sqlite_each, true },
  { "/usr/share/rpm/Packages.db", rpm_ndb_each, false },
  { "/usr/share/rpm/Packages", rpm_bdb_each, false },
};

static int
each_in (const struct vfs *v, const struct store *s, struct each *x,
         struct err *e)
{
  struct vfs_file f;
  int r = guest_open (v, s->path, &f, e);

  if (r != 1)
    return r;
  if (s->journal && check_journal (v, s->path, e) == -1)
    return -1;
  if (s->each (&f, give_header, x, e) == -1 || x->failed)
    return -1;
  return 1;
}

int
rpm_each (const struct vfs *v, rpm_header_fn fn, void *arg,
          const char **ret_path, struct err *e)
{
  struct each x = { .fn = fn, .arg = arg, .err = e };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (stores); i++) {
    r = each_in (v, &stores[i], &x, e);
    if (r == -1)
      return err_in (e, "%s", stores[i].path);
    if (r == 1 && ret_path)
      *ret_path = stores[i].path;
  }
  return r;
}
