/* xrayfs: NTFS: inodes and their attributes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a file is, besides a directory or not, is said by its reparse point,
 * or, for what Interix and ntfs-3g make, by the first bytes of a file that is
 * marked as the system's.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/ntfs.h"

#define INTX_HEADER 8 /* layout.h, INTX_FILE: the magic */
#define INTX_DEVICE 24
#define INTX_MAX    (INTX_HEADER + 2 * 4096) /* a target of PATH_MAX */

#define MODE 0777 /* as ntfs-3g, which is asked for no permissions */

/* --- attributes ------------------------------------------------------- */

int
nt_attr_open (struct nt *nt, struct nt_node *n, ATTR_TYPES type,
              const ntfschar *name, size_t len, ntfs_attr **ret,
              struct err *e)
{
  ntfs_attr *na;

  nt_begin (nt);
  na = ntfs_attr_open (n->ni, type,
                       len ? (ntfschar *) (uintptr_t) name : AT_UNNAMED,
                       (u32) len);
  if (!na && errno == ENOENT && !nt->io.code)
    return 0;
  if (!na)
    return nt_failed (nt, "attribute", e);
  if (nt_done (nt, "attribute", e) == -1) {
    ntfs_attr_close (na);
    return -1;
  }
  *ret = na;
  return 1;
}

int
nt_attr_read (struct nt *nt, ntfs_attr *na, void *buf, size_t len,
              uint64_t off, const char *what, struct err *e)
{
  s64 n;

  if (!range_within (off, len, (uint64_t) na->data_size))
    return err_set (e, EIO, "%s is cut off", what);
  if (len == 0)
    return 0;
  nt_begin (nt);
  n = ntfs_attr_pread (na, (s64) off, (s64) len, buf);
  return n == (s64) len ? nt_done (nt, what, e) : nt_failed (nt, what, e);
}

int
nt_attr_run (struct nt *nt, ntfs_attr *na, uint64_t vcn, int64_t *ret_lcn,
             uint64_t *ret_count, struct err *e)
{
  const runlist_element *rl;
  uint64_t skip;

  nt_begin (nt);
  rl = ntfs_attr_find_vcn (na, (VCN) vcn);
  if (!rl)
    return nt_failed (nt, "run list", e);
  if (nt_done (nt, "run list", e) == -1)
    return -1;
  skip = vcn - (uint64_t) rl->vcn;
  if (rl->length <= 0 || rl->vcn < 0 || vcn < (uint64_t) rl->vcn ||
      skip >= (uint64_t) rl->length || (rl->lcn < 0 && rl->lcn != LCN_HOLE))
    return err_set (e, EIO, "run list has nothing for cluster %" PRIu64, vcn);
  *ret_lcn = rl->lcn < 0 ? -1 : rl->lcn + (int64_t) skip;
  *ret_count = (uint64_t) rl->length - skip;
  return 0;
}

int
nt_parent (struct nt *nt, struct nt_node *n, uint64_t *ret, struct err *e)
{
  ntfs_attr *na = NULL;
  char parent[8];
  int r = nt_attr_open (nt, n, AT_FILE_NAME, NULL, 0, &na, e);

  if (r == -1)
    return -1;
  if (r == 0)
    return err_set (e, EIO, "inode %" PRIu64 " has no name", n->ino);
  r = nt_attr_read (nt, na, parent, sizeof parent, 0, "file name", e);
  ntfs_attr_close (na);
  if (r == 0)
    *ret = MREF (load_le64 (parent));
  return r;
}

/* --- what it is ------------------------------------------------------- */

/* Interix: a symbolic link or device is a file with a magic. */
static int
load_interix (struct nt *nt, struct nt_node *n, struct err *e)
{
  uint64_t size = (uint64_t) n->data->data_size;
  CLEANUP_FREE char *p = NULL;

  if (size <= INTX_HEADER || size > INTX_MAX || NAttrEncrypted (n->data))
    return 0;
  p = malloc (size);
  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (nt_attr_read (nt, n->data, p, size, 0, "contents", e) == -1)
    return -1;
  if (!memcmp (p, "IntxLNK\1", 8)) {
    n->mode = S_IFLNK | 0777;
    nt_name_add (&n->link, p + INTX_HEADER, (size - INTX_HEADER) / 2);
    return buf_check (&n->link, e);
  }
  if (size == INTX_DEVICE &&
      (!memcmp (p, "IntxBLK", 8) || !memcmp (p, "IntxCHR", 8))) {
    n->mode = (p[4] == 'B' ? S_IFBLK : S_IFCHR) | MODE;
    n->rdev =
        makedev ((unsigned) load_le64 (p + 8), (unsigned) load_le64 (p + 16));
  }
  return 0;
}

static int
load_system_file (struct nt *nt, struct nt_node *n, struct err *e)
{
  if (!(n->ni->flags & FILE_ATTR_HIDDEN) && n->data->data_size <= 1) {
    n->mode = (n->data->data_size ? S_IFSOCK : S_IFIFO) | MODE;
    return 0;
  }
  return load_interix (nt, n, e);
}

static bool
is_directory (const struct nt_node *n)
{
  return n->ni->mrec->flags & MFT_RECORD_IS_DIRECTORY;
}

/* Contents that are damaged, or compressed in a way that the library does not
 * know, do not hide the file. */
static int
open_data (struct nt *nt, struct nt_node *n, struct err *e)
{
  if (nt_attr_open (nt, n, AT_DATA, NULL, 0, &n->data, e) != -1)
    return 0;
  if (nt->io.code || err_is_transient (e))
    return -1;
  err_clear (e);
  err_set (&n->data_err, EIO,
           "contents are damaged, or compressed in a way that is not known");
  return 0;
}

static int
load_node (struct nt *nt, struct nt_node *n, struct err *e)
{
  n->mode = (is_directory (n) ? S_IFDIR : S_IFREG) | MODE;
  if (open_data (nt, n, e) == -1)
    return -1;
  if (n->ni->flags & FILE_ATTR_REPARSE_POINT)
    return nt_reparse_load (nt, n, e);
  if (S_ISREG (n->mode) && n->ni->flags & FILE_ATTR_SYSTEM && n->data)
    return load_system_file (nt, n, e);
  return 0;
}

/* --- those that are kept ---------------------------------------------- */

void
nt_node_forget (struct nt_node *n)
{
  nt_wof_free (n->wof);
  free (n->reparse);
  buf_free (&n->link);
  if (n->data)
    ntfs_attr_close (n->data);
  if (n->ni)
    ntfs_inode_close (n->ni);
  *n = (struct nt_node){ 0 };
}

static size_t
records (const struct nt_node *n)
{
  return n->ni ? 1 + (size_t) MAX (n->ni->nr_extents, 0) : 0;
}

/* The slot to be used next: the one that was used longest ago. */
static struct nt_node *
oldest (struct nt *nt)
{
  struct nt_node *n = nt->nodes;

  for (size_t i = 1; i < NT_NODES; i++)
    if (nt->nodes[i].used < n->used)
      n = &nt->nodes[i];
  return n;
}

/* A file that needs thousands of records has few beside it. */
static void
limit_records (struct nt *nt, const struct nt_node *keep)
{
  size_t sum = 0;

  for (size_t i = 0; i < NT_NODES; i++)
    sum += records (&nt->nodes[i]);
  if (sum <= NT_NODE_RECORDS)
    return;
  for (size_t i = 0; i < NT_NODES; i++)
    if (&nt->nodes[i] != keep)
      nt_node_forget (&nt->nodes[i]);
}

static int
open_node (struct nt *nt, struct nt_node *n, uint64_t ino, struct err *e)
{
  n->ino = ino;
  if (nt_inode_open (nt, ino, &n->ni, e) == -1)
    return -1;
  return load_node (nt, n, e);
}

int
nt_node_get (struct nt *nt, uint64_t ino, struct nt_node **ret, struct err *e)
{
  struct nt_node *n;

  for (size_t i = 0; i < NT_NODES; i++)
    if (nt->nodes[i].used && nt->nodes[i].ino == ino) {
      nt->nodes[i].used = ++nt->clock;
      *ret = &nt->nodes[i];
      return 0;
    }
  n = oldest (nt);
  nt_node_forget (n);
  if (open_node (nt, n, ino, e) == -1) {
    nt_node_forget (n);
    return -1;
  }
  n->used = ++nt->clock;
  limit_records (nt, n);
  *ret = n;
  return 0;
}
