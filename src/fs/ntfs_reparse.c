/* xrayfs: NTFS: reparse points
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * [MS-FSCC] 2.1.2.  A tag says which of Windows's filters owns the file:
 * those that make links become symbolic links, WOF is read, and what others
 * keep elsewhere cannot be read.
 *
 * Windows resolves ".." in text, before it opens anything, so that a target
 * can be written without any but at its beginning, and never climbs out of
 * the volume.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/ntfs.h"

#define HEADER          8  /* tag, length, reserved */
#define THIRD_PARTY     24 /* with a GUID behind: the tag is not Microsoft's */
#define MAX_DIRS        255
#define MAX_EA          (64 * KiB)
#define LX_LINK_VERSION 2
/* winnt.h: the contents are somewhere else */
#define OFFLINE       0x1000
#define RECALL_OPEN   0x40000
#define RECALL_ACCESS 0x400000

static int
bad_reparse (const struct nt_node *n, struct err *e)
{
  return err_set (e, EIO, "reparse point of tag 0x%08" PRIx32 " is damaged",
                  n->tag);
}

/* --- what a file is by its tag ----------------------------------------- */

/* WSL keeps the device's numbers in an extended attribute: a list of entries
 * of the offset of the next, flags, length of the name, length of the value,
 * name, NUL, value ([MS-FSCC] 2.4.16). */
static void
find_device (struct nt_node *n, const char *p, size_t len)
{
  size_t next, name, value;

  for (; len >= 8; p += next, len -= next) {
    next = load_le32 (p);
    name = (uint8_t) p[5];
    value = load_le16 (p + 6);
    if (name == 6 && value >= 8 && len >= 8 + 7 + 8 &&
        !memcmp (p + 8, "$LXDEV", 7))
      n->rdev = makedev (load_le32 (p + 15), load_le32 (p + 19));
    if (next == 0 || next > len)
      break;
  }
}

static int
load_device (struct nt *nt, struct nt_node *n, struct err *e)
{
  CLEANUP_FREE char *ea = NULL;
  ntfs_attr *na = NULL;
  size_t len;
  int r = nt_attr_open (nt, n, AT_EA, NULL, 0, &na, e);

  if (r != 1)
    return r;
  len = (size_t) MIN ((uint64_t) na->data_size, MAX_EA);
  ea = malloc (len + 1);
  r = ea ? nt_attr_read (nt, na, ea, len, 0, "extended attributes", e)
         : err_set (e, ENOMEM, "out of memory");
  ntfs_attr_close (na);
  if (r == 0)
    find_device (n, ea, len);
  return r;
}

static int
set_kind (struct nt *nt, struct nt_node *n, struct err *e)
{
  switch (n->tag) {
  case NT_TAG_MOUNT_POINT:
  case NT_TAG_SYMLINK:
  case NT_TAG_LX_SYMLINK:
    n->mode = S_IFLNK | 0777;
    return 0;
  case NT_TAG_AF_UNIX:
    n->mode = S_IFSOCK | 0777;
    return 0;
  case NT_TAG_LX_FIFO:
    n->mode = S_IFIFO | 0777;
    return 0;
  case NT_TAG_LX_CHR:
  case NT_TAG_LX_BLK:
    n->mode = (n->tag == NT_TAG_LX_CHR ? S_IFCHR : S_IFBLK) | 0777;
    return load_device (nt, n, e);
  default:
    return 0;
  }
}

static int
read_reparse (struct nt *nt, struct nt_node *n, ntfs_attr *na, struct err *e)
{
  size_t header;

  if ((uint64_t) na->data_size > NT_MAX_REPARSE || na->data_size < HEADER)
    return err_set (e, EIO, "reparse point of %" PRId64 " bytes",
                    (int64_t) na->data_size);
  n->reparse_len = (size_t) na->data_size;
  n->reparse = malloc (n->reparse_len);
  if (!n->reparse)
    return err_set (e, ENOMEM, "out of memory");
  if (nt_attr_read (nt, na, n->reparse, n->reparse_len, 0, "reparse point",
                    e) == -1)
    return -1;
  n->tag = load_le32 (n->reparse);
  header = n->tag & 0x80000000 ? HEADER : THIRD_PARTY;
  if (n->tag == NT_TAG_NONE || n->reparse_len < header ||
      load_le16 (n->reparse + 4) != n->reparse_len - header)
    return bad_reparse (n, e);
  return set_kind (nt, n, e);
}

int
nt_reparse_load (struct nt *nt, struct nt_node *n, struct err *e)
{
  ntfs_attr *na = NULL;
  int r = nt_attr_open (nt, n, AT_REPARSE_POINT, NULL, 0, &na, e);

  if (r == 0)
    return err_set (e, EIO, "reparse point is missing");
  if (r == -1)
    return -1;
  r = read_reparse (nt, n, na, e);
  ntfs_attr_close (na);
  return r;
}

/* --- contents ----------------------------------------------------------- */

static const char *
owner_of (uint32_t tag)
{
  switch (tag & ~UINT32_C (0xf000)) {
  case 0x9000001a:
    return "OneDrive or another cloud store"; /* CLOUD, CLOUD_1..F */
  case 0x80000013:
    return "data deduplication";
  case 0x80000007:
    return "single instance storage";
  case 0xc0000004:
  case 0x80000006:
    return "hierarchical storage management";
  case 0x80000018:
  case 0xa0000027:
    return "Windows containers";
  case 0x9000001c:
    return "projected file system";
  default:
    return "a filter that is not known";
  }
}

/* OneDrive leaves the point on files that are there as a whole. */
int
nt_reparse_check_data (const struct nt_node *n, struct err *e)
{
  uint32_t flags = le32toh (n->ni->flags);

  if (n->tag == NT_TAG_NONE ||
      ((n->tag & ~UINT32_C (0xf000)) == 0x9000001a &&
       !(flags & (OFFLINE | RECALL_OPEN | RECALL_ACCESS))))
    return 0;
  return err_set (e, EIO,
                  "contents are kept by %s (reparse tag 0x%08" PRIx32 ")",
                  owner_of (n->tag), n->tag);
}

/* --- targets ------------------------------------------------------------ */

/* How many directories lie above N's name. */
static int
depth_of (struct nt *nt, struct nt_node *n, unsigned *ret, struct err *e)
{
  unsigned depth = 0;
  uint64_t ino;

  if (nt_parent (nt, n, &ino, e) == -1)
    return -1;
  for (; ino != FILE_root; depth++) {
    if (depth == MAX_DIRS)
      return err_set (e, EIO, "directories have no end upwards");
    if (nt_node_get (nt, ino, &n, e) == -1 ||
        nt_parent (nt, n, &ino, e) == -1)
      return err_in (e, "inode %" PRIu64, ino);
  }
  *ret = depth;
  return 0;
}

/* Components of a target on their way to Linux. */
struct parts {
  struct buf text; /* those below the first UP directories */
  unsigned up, most;
};

/* The last component, taken back. */
static void
drop_part (struct parts *t)
{
  size_t n = t->text.len;

  if (n == 0) {
    t->up = MIN (t->up + 1, t->most);
    return;
  }
  while (n > 0 && t->text.data[n - 1] != '/')
    n--;
  t->text.len = n > 0 ? n - 1 : 0;
  t->text.data[t->text.len] = '\0';
}

static void
add_part (struct parts *t, const char *p, size_t len)
{
  CLEANUP_BUF struct buf safe = { 0 };

  if (len == 0 || (len == 1 && *p == '.'))
    return;
  if (len == 2 && !memcmp (p, "..", 2)) {
    drop_part (t);
    return;
  }
  p = fs_safe_name (p, &len, &safe);
  if (t->text.len)
    buf_puts (&t->text, "/");
  buf_add (&t->text, p, len);
}

/* Components end at a backslash; a slash can be none in a name. */
static void
add_parts (struct parts *t, const char *p, size_t len)
{
  const char *end = p + len, *q;

  for (; p < end; p = q + 1) {
    for (q = p; q < end && *q != '\\' && *q != '/'; q++)
      ;
    add_part (t, p, (size_t) (q - p));
  }
}

static bool
skip_prefix (const char **p, size_t *len, const char *prefix)
{
  size_t n = strlen (prefix);

  if (*len < n || memcmp (*p, prefix, n) != 0)
    return false;
  *p += n;
  *len -= n;
  return true;
}

/* Drops the prefix of an absolute target on this volume, which a guest's C:
 * is taken to be.  Other drives, volumes and shares stay as names that no
 * file of Windows can have, and so lead nowhere. */
static void
skip_volume (const char **p, size_t *len)
{
  if (!skip_prefix (p, len, "\\??\\") && !skip_prefix (p, len, "\\\\?\\") &&
      !skip_prefix (p, len, "\\\\.\\"))
    skip_prefix (p, len, "\\DosDevices\\");
  if (*len >= 2 && ((*p)[0] | 0x20) == 'c' && (*p)[1] == ':') {
    *p += 2;
    *len -= 2;
  }
}

/* A volume or share is not a name below the root: "\\server\share",
 * "Volume{...}", "D:". */
static void
put_target (struct parts *t, const char *p, size_t len, bool relative,
            unsigned depth)
{
  bool share = len >= 3 && !memcmp (p, "\\\\", 2) && p[2] != '?' &&
               p[2] != '.' && p[2] != '\\';

  t->most = depth;
  if (!relative) {
    t->up = depth;
    if (share)
      buf_puts (&t->text, "UNC:");
    skip_volume (&p, &len);
  }
  add_parts (t, p, len);
}

static int
write_link (struct parts *t, struct buf *ret, struct err *e)
{
  for (unsigned i = 0; i < t->up; i++)
    buf_puts (ret, i + 1 < t->up || t->text.len ? "../" : "..");
  buf_add (ret, buf_str (&t->text), t->text.len);
  if (ret->len == 0)
    buf_puts (ret, ".");
  return buf_check (&t->text, e) == -1 ? -1 : buf_check (ret, e);
}

/* Where the point has the name that is opened, in bytes from P. */
static int
substitute_name (const struct nt_node *n, size_t names, struct buf *ret,
                 struct err *e)
{
  size_t off, len;

  if (n->reparse_len < names)
    return bad_reparse (n, e);
  off = load_le16 (n->reparse + HEADER);
  len = load_le16 (n->reparse + HEADER + 2);
  if (!range_within (names + off, len, n->reparse_len) || len < 2)
    return bad_reparse (n, e);
  nt_name_add (ret, n->reparse + names + off, len / 2);
  return buf_check (ret, e);
}

static int
windows_link (struct nt *nt, struct nt_node *n, size_t names, bool relative,
              struct buf *ret, struct err *e)
{
  CLEANUP_BUF struct buf name = { 0 };
  struct parts t = { 0 };
  unsigned depth = 0;
  int r;

  if (substitute_name (n, names, &name, e) == -1 ||
      depth_of (nt, n, &depth, e) == -1)
    return -1;
  /* Relative to the drive: "\Windows". */
  relative &= buf_str (&name)[0] != '\\';
  put_target (&t, name.data, name.len, relative, depth);
  r = write_link (&t, ret, e);
  buf_free (&t.text);
  return r;
}

/* WSL: a version, and the target in UTF-8. */
static int
wsl_link (const struct nt_node *n, struct buf *ret, struct err *e)
{
  if (n->reparse_len <= HEADER + 4 ||
      load_le32 (n->reparse + HEADER) != LX_LINK_VERSION)
    return bad_reparse (n, e);
  buf_add (ret, n->reparse + HEADER + 4, n->reparse_len - HEADER - 4);
  return buf_check (ret, e);
}

int
nt_reparse_link (struct nt *nt, struct nt_node *n, struct buf *ret,
                 struct err *e)
{
  if (n->tag == NT_TAG_LX_SYMLINK)
    return wsl_link (n, ret, e);
  if (n->tag == NT_TAG_MOUNT_POINT)
    return windows_link (nt, n, HEADER + 8, false, ret, e);
  if (n->reparse_len < HEADER + 12)
    return bad_reparse (n, e);
  return windows_link (nt, n, HEADER + 12,
                       load_le32 (n->reparse + HEADER + 8) & 1, ret, e);
}
