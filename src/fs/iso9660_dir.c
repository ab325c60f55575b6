/* xrayfs: ISO 9660: directories and names
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/utf16.h"
#include "fs/iso9660.h"

/* Against a directory that claims all of a large image: a record takes some
 * 100 bytes, so that this is more than two million files. */
#define MAX_DIRECTORY (256 * MiB)

/* --- names ----------------------------------------------------------- */

static bool
ends_in_version (const char *name, size_t len)
{
  return len > 2 && name[len - 2] == ';' && name[len - 1] == '1';
}

/* The identifier without the version ";1" and the period before it. */
static const char *
identifier (const unsigned char *record, size_t *ret_len)
{
  const char *name = (const char *) record + 33;
  size_t len = strnlen (name, record[32]);

  if (ends_in_version (name, len)) {
    len -= 2;
    if (len > 1 && name[len - 1] == '.')
      len--;
  }
  *ret_len = len;
  return name;
}

/* As Linux has it (map=normal): in lower case; what no name can hold becomes
 * a period. */
static void
add_plain_name (const unsigned char *record, struct buf *ret)
{
  size_t len = 0;
  const char *name = identifier (record, &len);
  char c;

  for (size_t i = 0; i < len; i++) {
    c = name[i];
    if (c >= 'A' && c <= 'Z')
      c |= 0x20;
    else if (c == ';' || c == '/')
      c = '.';
    buf_add (ret, &c, 1);
  }
}

/* Joliet, Directory Identifiers: UCS-2, where Windows writes UTF-16.  Linux
 * leaves periods at the end out, and knows no pairs of surrogates. */
static void
add_joliet_name (const unsigned char *record, struct buf *ret)
{
  utf16_add (ret, record + 33, record[32], true);
  if (ret->failed)
    return;
  if (ends_in_version (buf_str (ret), ret->len))
    ret->len -= 2;
  while (ret->len > 1 && ret->data[ret->len - 1] == '.')
    ret->len--;
}

static int
add_name (struct iso *iso, const unsigned char *record, struct buf *ret,
          bool *ret_hidden, struct err *e)
{
  *ret_hidden = false;
  buf_reset (ret);
  if (iso->names != ISO_JOLIET &&
      iso_rock_name (iso, record, ret, ret_hidden, e) == -1)
    return -1;
  if (ret->len == 0 && iso->names == ISO_JOLIET)
    add_joliet_name (record, ret);
  else if (ret->len == 0)
    add_plain_name (record, ret);
  if (buf_check (ret, e) == -1)
    return -1;
  return ret->len ? 0 : err_set (e, EIO, "record without a name");
}

/* --- listing --------------------------------------------------------- */

struct listing {
  struct iso *iso;
  uint64_t start, size; /* of the directory; bytes */
  fs_dirent_fn fn;
  void *arg;
  struct buf name;
  bool identifiers; /* as they are, instead of names */
  bool in_file;     /* there is more of the file of this record: */
  unsigned char last[ISO_RECORD_MAX];
};

/* 6.8.2.2: the first two records are "." and "..". */
static bool
is_dot_record (const unsigned char *record)
{
  return record[32] == 1 && record[33] <= 1;
}

/* 0, 1 to stop, or -1. */
static int
take_record (struct listing *l, uint64_t off, const unsigned char *record,
             struct err *e)
{
  bool continues = l->in_file && iso_same_file (l->last, record), hidden;
  uint64_t ino =
      record[25] & ISO_DIRECTORY ? iso_record_start (l->iso, record) : off;
  const char *name;
  size_t len = 0;

  l->in_file = record[25] & ISO_MORE_SECTIONS;
  memcpy (l->last, record, record[0]);
  if (continues || is_dot_record (record) || record[25] & ISO_ASSOCIATED)
    return 0;
  if (add_name (l->iso, record, &l->name, &hidden, e) == -1)
    return err_in (e, "record at 0x%" PRIx64, off);
  if (hidden)
    return 0;
  name = l->identifiers ? identifier (record, &len) : l->name.data;
  return l->fn (l->arg, name, l->identifiers ? len : l->name.len, ino,
                DT_UNKNOWN)
             ? 1
             : 0;
}

/* The records from *OFF to END of the directory.  0, 1: stopped at the record
 * at *OFF, or -1. */
static int
list_range (struct listing *l, uint64_t *off, uint64_t end, struct err *e)
{
  unsigned char record[ISO_RECORD_MAX];
  unsigned len = 0;
  int r = 0;

  while (r == 0 && *off < end) {
    if (iso_read_record (l->iso, l->start + *off, record, &len, e) == -1)
      return -1;
    if (len == 0) {
      *off = round_up (*off + 1, ISO_SECTOR);
      continue;
    }
    if (len > l->size - *off)
      return err_set (e, EIO, "record beyond the end of the directory");
    r = take_record (l, l->start + *off, record, e);
    if (r == 0)
      *off += len;
  }
  return r;
}

static int
listing_init (struct listing *l, struct iso *iso, uint64_t dir,
              fs_dirent_fn fn, void *arg, struct err *e)
{
  struct iso_node *n;

  *l = (struct listing){ .iso = iso, .fn = fn, .arg = arg };
  if (iso_node_get (iso, dir, &n, e) == -1)
    return -1;
  if (!S_ISDIR (n->mode))
    return err_set (e, ENOTDIR, "not a directory");
  if (n->sections.len != 1 || n->unreadable)
    return err_set (e, EIO, "directory in pieces");
  l->start = n->sections.items[0].start;
  l->size = n->sections.items[0].size;
  if (l->size > MAX_DIRECTORY)
    return err_set (e, EIO, "directory of %" PRIu64 " bytes", l->size);
  if (!range_within (l->start, l->size, iso->block->size))
    return err_set (e, EIO,
                    "directory at 0x%" PRIx64
                    " reaches beyond the end of the volume",
                    l->start);
  return 0;
}

int
iso_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
             struct err *e)
{
  struct listing l;
  uint64_t off = 0;
  int r;

  if (listing_init (&l, fs->priv, dir, fn, arg, e) == -1)
    return -1;
  r = list_range (&l, &off, l.size, e);
  buf_free (&l.name);
  return r == -1 ? -1 : 0;
}

struct wanted {
  const char *name;
  size_t len;
  uint64_t ino;
};

static int
is_wanted (void *arg, const char *name, size_t len, uint64_t ino,
           unsigned type unused_arg)
{
  struct wanted *w = arg;

  w->ino = ino;
  return len == w->len && !memcmp (name, w->name, len);
}

/* There is no index.  Who looks names up does it mostly in the order of the
 * directory: from where the last one was found, then from the start. */
static int
search (struct listing *l, uint64_t from, uint64_t *off, struct err *e)
{
  int r;

  *off = from;
  r = list_range (l, off, l->size, e);
  if (r != 0 || from == 0)
    return r;
  *off = 0;
  return list_range (l, off, from, e);
}

/* Other systems show the identifier as it is, in upper case: who has a path
 * from there finds the file as well, if no other has the name. */
int
iso_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
            uint64_t *ret, struct err *e)
{
  struct iso *iso = fs->priv;
  struct wanted w = { name, len, 0 };
  struct listing l;
  uint64_t off = 0;
  int r;

  if (listing_init (&l, iso, dir, is_wanted, &w, e) == -1)
    return -1;
  r = search (&l, iso->found_dir == dir ? iso->found_at : 0, &off, e);
  if (r == 0 && iso->names != ISO_JOLIET) {
    l.identifiers = true;
    r = search (&l, 0, &off, e);
  }
  buf_free (&l.name);
  if (r == 0)
    return err_set (e, ENOENT, "no such file or directory");
  if (r == -1)
    return -1;
  iso->found_dir = dir;
  iso->found_at = off;
  *ret = w.ino;
  return 0;
}
