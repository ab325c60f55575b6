/* xrayfs: NTFS, through libntfs-3g
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shown as ntfs-3g shows it to root without further options: all files belong
 * to root and have mode 0777, the metadata files are not listed, streams are
 * extended attributes.  Windows asks for no case, and so do we.
 *
 * A volume that is dirty or hibernated has files like any other; its log is
 * not replayed.
 */
#include "fs/ntfs.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "block/cache.h"

#define MAX_XATTR (64 * KiB) /* Linux: XATTR_SIZE_MAX */

/* --- stat -------------------------------------------------------------- */

/* 100 ns since 1601. */
static struct timespec
time_of (uint64_t t)
{
  int64_t sec = (int64_t) t / 10000000 - INT64_C (11644473600);
  int64_t rest = (int64_t) t % 10000000;

  if (rest < 0) {
    rest += 10000000;
    sec--;
  }
  return (struct timespec){ .tv_sec = sec, .tv_nsec = rest * 100 };
}

/* The directories above are looked at, so that *N may be another then. */
static int
load_link (struct nt *nt, struct nt_node **n, struct err *e)
{
  CLEANUP_BUF struct buf target = { 0 };
  uint64_t ino = (*n)->ino;

  if ((*n)->link.len || (*n)->tag == NT_TAG_NONE)
    return 0;
  if (nt_reparse_link (nt, *n, &target, e) == -1)
    return -1;
  if (memchr (target.data, '\0', target.len))
    return err_set (e, EIO, "symbolic link holds a NUL");
  if (nt_node_get (nt, ino, n, e) == -1)
    return -1;
  buf_free (&(*n)->link);
  (*n)->link = target;
  target = (struct buf){ 0 };
  return 0;
}

/* Bytes of a directory's index blocks. */
static int
directory_size (struct nt *nt, struct nt_node *n, struct fs_stat *ret,
                struct err *e)
{
  static const ntfschar i30[] = { const_cpu_to_le16 ('$'),
                                  const_cpu_to_le16 ('I'),
                                  const_cpu_to_le16 ('3'),
                                  const_cpu_to_le16 ('0') };
  ntfs_attr *na = NULL;
  int r = 0;

  if (!n->data)
    r = nt_attr_open (nt, n, AT_INDEX_ALLOCATION, i30, 4, &na, e);
  if (r == 1) {
    ret->size = (uint64_t) MAX (na->data_size, 0);
    ret->blocks = (uint64_t) MAX (na->allocated_size, 0) >> 9;
    ntfs_attr_close (na);
  }
  return r == -1 ? -1 : 0;
}

static int
nt_stat (struct fs *fs, uint64_t ino, struct fs_stat *ret, struct err *e)
{
  struct nt *nt = nt_of (fs);
  struct nt_node *n;

  if (nt_node_get (nt, ino, &n, e) == -1)
    return -1;
  *ret = (struct fs_stat){
    .ino = ino,
    .mode = n->mode,
    .nlink = S_ISDIR (n->mode) ? 1 : le16toh (n->ni->mrec->link_count),
    .size = (uint64_t) MAX (n->ni->data_size, 0),
    .blocks = ((uint64_t) MAX (n->ni->allocated_size, 0) + 511) >> 9,
    .blksize = nt->vol->cluster_size,
    .rdev = n->rdev,
    .atime = time_of (le64toh (n->ni->last_access_time)),
    .mtime = time_of (le64toh (n->ni->last_data_change_time)),
    .ctime = time_of (le64toh (n->ni->last_mft_change_time)),
  };
  if (S_ISDIR (n->mode))
    return directory_size (nt, n, ret, e);
  if (S_ISLNK (n->mode)) {
    if (load_link (nt, &n, e) == -1)
      return -1;
    ret->size = n->link.len;
  }
  return 0;
}

static int
nt_readlink (struct fs *fs, uint64_t ino, struct buf *ret, struct err *e)
{
  struct nt_node *n;

  if (nt_node_get (nt_of (fs), ino, &n, e) == -1)
    return -1;
  if (!S_ISLNK (n->mode))
    return err_set (e, EINVAL, "not a symbolic link");
  if (load_link (nt_of (fs), &n, e) == -1)
    return -1;
  buf_add (ret, buf_str (&n->link), n->link.len);
  return buf_check (ret, e);
}

/* --- streams ------------------------------------------------------------ */

struct streams {
  struct nt *nt;
  struct nt_node *n;
  fs_xattr_fn fn;
  void *arg;
};

static int
give_value (const struct streams *s, const struct buf *name, ntfs_attr *na,
            int *ret_stop, struct err *e)
{
  size_t len = (size_t) na->data_size;
  CLEANUP_FREE char *value = malloc (len + 1);

  if (!value)
    return err_set (e, ENOMEM, "out of memory");
  if (nt_attr_read (s->nt, na, value, len, 0, "stream", e) == -1)
    return -1;
  *ret_stop = s->fn (s->arg, buf_str (name), value, len);
  return 0;
}

/* What WOF keeps there is shown as the file; no attribute on Linux can be
 * longer than 64 KiB, nor be called what has a NUL. */
static int
give_stream (const struct streams *s, const ATTR_RECORD *a, int *ret_stop,
             struct err *e)
{
  const ntfschar *units =
      (const ntfschar *) ((const char *) a + le16toh (a->name_offset));
  CLEANUP_BUF struct buf name = { 0 };
  ntfs_attr *na = NULL;
  int r;

  buf_puts (&name, "user.");
  nt_name_add (&name, units, a->name_length);
  if (buf_check (&name, e) == -1)
    return -1;
  if (strlen (name.data) != name.len ||
      (s->n->tag == NT_TAG_WOF &&
       !strcmp (name.data, "user.WofCompressedData")))
    return 0;
  r = nt_attr_open (s->nt, s->n, AT_DATA, units, a->name_length, &na, e);
  if (r == 1) {
    r = 0;
    if ((uint64_t) na->data_size <= MAX_XATTR)
      r = give_value (s, &name, na, ret_stop, e);
    ntfs_attr_close (na);
  }
  return r == -1 ? err_in (e, "stream") : 0;
}

static int
walk_streams (const struct streams *s, ntfs_attr_search_ctx *ctx,
              struct err *e)
{
  int stop = 0;

  for (;;) {
    nt_begin (s->nt);
    if (ntfs_attr_lookup (AT_DATA, NULL, 0, CASE_SENSITIVE, 0, NULL, 0,
                          ctx) != 0)
      break;
    if (nt_done (s->nt, "streams", e) == -1)
      return -1;
    /* Not the unnamed one, and each that lies in many records once. */
    if (ctx->attr->name_length == 0 ||
        (ctx->attr->non_resident && ctx->attr->lowest_vcn))
      continue;
    if (give_stream (s, ctx->attr, &stop, e) == -1)
      return -1;
    if (stop)
      return 0;
  }
  if (errno != ENOENT || s->nt->io.code)
    return nt_failed (s->nt, "streams", e);
  return 0;
}

static int
nt_xattrs (struct fs *fs, uint64_t ino, fs_xattr_fn fn, void *arg,
           struct err *e)
{
  struct streams s = { nt_of (fs), NULL, fn, arg };
  ntfs_attr_search_ctx *ctx;
  int r;

  if (nt_node_get (s.nt, ino, &s.n, e) == -1)
    return -1;
  ctx = ntfs_attr_get_search_ctx (s.n->ni, NULL);
  if (!ctx)
    return err_set (e, ENOMEM, "out of memory");
  r = walk_streams (&s, ctx, e);
  ntfs_attr_put_search_ctx (ctx);
  return r;
}

/* --- contents ------------------------------------------------------------
 */

/* What would have to be decrypted, or lies elsewhere, is not read. */
static int
get_file (struct nt *nt, uint64_t ino, struct nt_node **ret, struct err *e)
{
  struct nt_node *n;

  if (nt_node_get (nt, ino, &n, e) == -1)
    return -1;
  if (!S_ISREG (n->mode))
    return err_set (e, S_ISDIR (n->mode) ? EISDIR : EINVAL,
                    "not a regular file");
  if (n->data_err.code) {
    *e = n->data_err;
    return -1;
  }
  if (!n->data)
    return err_set (e, EIO, "file has no contents");
  if (n->tag != NT_TAG_WOF && nt_reparse_check_data (n, e) == -1)
    return -1;
  if (NAttrEncrypted (n->data))
    return err_set (e, EACCES, "contents are encrypted (EFS)");
  *ret = n;
  return 0;
}

/* By units of compression: what is a hole from the beginning of one on. */
static int
map_compressed (struct nt *nt, ntfs_attr *na, uint64_t off, uint64_t len,
                struct extent *ret, struct err *e)
{
  uint64_t unit = na->compression_block_size, first, count, bytes;
  int64_t lcn;

  if (!is_power_of_2 (unit))
    return err_set (e, EIO, "impossible unit of compression");
  first = (off & ~(unit - 1)) >> nt->vol->cluster_size_bits;
  if (nt_attr_run (nt, na, first, &lcn, &count, e) == -1)
    return -1;
  bytes = MIN (count, UINT64_MAX >> (nt->vol->cluster_size_bits + 1))
          << nt->vol->cluster_size_bits;
  bytes = lcn == -1 ? bytes & ~(unit - 1) : unit;
  bytes = MAX (bytes, unit) - off % unit;
  *ret = extent_of (lcn == -1 ? EXTENT_UNALLOCATED : EXTENT_COMPRESSED,
                    MIN (len, bytes));
  return 0;
}

static int
map_plain (struct nt *nt, ntfs_attr *na, uint64_t off, uint64_t len,
           struct extent *ret, struct err *e)
{
  unsigned bits = nt->vol->cluster_size_bits;
  uint64_t skip = off & (nt->vol->cluster_size - 1), count;
  int64_t lcn;

  if (nt_attr_run (nt, na, off >> bits, &lcn, &count, e) == -1)
    return -1;
  len = MIN (len,
             (MIN (count, (skip + len) / nt->vol->cluster_size + 1) << bits) -
                 skip);
  if (lcn == -1 && !(na->data_flags & ATTR_IS_SPARSE))
    return err_set (e, EIO,
                    "run list has a hole, and the file is not sparse");
  if (lcn == -1)
    *ret = extent_of (EXTENT_UNALLOCATED, len);
  else if (lcn >= nt->vol->nr_clusters)
    return err_set (
        e, EIO, "cluster %" PRId64 " lies beyond the end of the volume", lcn);
  else
    *ret = extent_data (len, nt->block, ((uint64_t) lcn << bits) + skip);
  return 0;
}

static int
nt_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
        struct extent *ret, struct err *e)
{
  struct nt *nt = nt_of (fs);
  uint64_t written;
  struct nt_node *n;

  if (get_file (nt, ino, &n, e) == -1)
    return -1;
  if (n->tag == NT_TAG_WOF || !NAttrNonResident (n->data)) {
    *ret = extent_of (EXTENT_COMPRESSED, len);
    return 0;
  }
  written = (uint64_t) MAX (n->data->initialized_size, 0);
  if (off >= written) {
    *ret = extent_of (EXTENT_ZERO, len);
    return 0;
  }
  len = MIN (len, written - off);
  if (n->data->data_flags & ATTR_COMPRESSION_MASK)
    return map_compressed (nt, n->data, off, len, ret, e);
  return map_plain (nt, n->data, off, len, ret, e);
}

static int
nt_pread (struct fs *fs, uint64_t ino, void *buf, size_t len, uint64_t off,
          struct err *e)
{
  struct nt *nt = nt_of (fs);
  struct nt_node *n;

  if (get_file (nt, ino, &n, e) == -1)
    return -1;
  if (n->tag == NT_TAG_WOF)
    return nt_wof_read (nt, n, buf, len, off, e);
  return nt_attr_read (nt, n->data, buf, len, off, "contents", e);
}

/* --- mounting ------------------------------------------------------------
 */

static int
nt_mount (struct fs *fs, struct err *e)
{
  struct nt *nt = calloc (1, sizeof *nt);

  if (!nt)
    return err_set (e, ENOMEM, "out of memory");
  fs->priv = nt;
  nt->fs = fs;
  nt->block = fs->block;
  nt->cache_owner = cache_new_owner ();
  nt->free_clusters = nt->free_records = UINT64_MAX;
  fs->root = FILE_root;
  return nt_open (nt, e);
}

static void
nt_unmount (struct fs *fs)
{
  struct nt *nt = nt_of (fs);

  if (!nt)
    return;
  for (size_t i = 0; i < NT_NODES; i++)
    nt_node_forget (&nt->nodes[i]);
  for (size_t i = 0; i < NT_NAMES; i++)
    nt_names_free (nt->names[i]);
  nt_close (nt);
  free (nt);
}

static const char *const nt_types[] = { "ntfs", NULL };

const struct fs_ops ntfs_ops = {
  .name = "ntfs",
  .types = nt_types,
  .mount = nt_mount,
  .lookup = nt_lookup,
  .stat = nt_stat,
  .readdir = nt_readdir,
  .readlink = nt_readlink,
  .xattrs = nt_xattrs,
  .map = nt_map,
  .pread = nt_pread,
  .info = nt_info,
  .check = nt_check,
  .unmount = nt_unmount,
};
