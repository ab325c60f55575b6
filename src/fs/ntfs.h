/* xrayfs: NTFS, as its parts see it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libntfs-3g mounts the volume over our block layer, reads records of the
 * MFT, follows attribute lists and run lists, and decompresses LZNT1.  We
 * walk directories, and read reparse points, WOF files and the log ourselves.
 *
 * Documentation: "[MS-FSCC]" and "[MS-XCA]" of Microsoft's open
 * specifications, and the layout.h of libntfs-3g.
 *
 * Locking: as for every driver, that of the filesystem.  The library keeps no
 * state outside of its volumes.
 */
#ifndef XRAYFS_FS_NTFS_H
#define XRAYFS_FS_NTFS_H

#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "base/bytes.h"
#include "fs/fs.h"

/* These take for granted that the headers of the system are there. */
#include <ntfs-3g/types.h>

#include <ntfs-3g/attrib.h>
#include <ntfs-3g/device.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/layout.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/mft.h>
#include <ntfs-3g/mst.h>
#include <ntfs-3g/runlist.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>

/* Opening an inode reads its record and those of its attribute list, so some
 * are kept; but one may have thousands of records. */
#define NT_NODES        32
#define NT_NODE_RECORDS 4096 /* of all that are kept */

#define NT_MAX_NAME    255        /* UTF-16 units */
#define NT_MAX_REPARSE (16 * KiB) /* MS-FSCC 2.1.2 */

/* MS-FSCC 2.1.2.1 */
enum nt_tag {
  NT_TAG_NONE = 0,
  NT_TAG_MOUNT_POINT = 0xa0000003,
  NT_TAG_SYMLINK = 0xa000000c,
  NT_TAG_WOF = 0x80000017,
  NT_TAG_LX_SYMLINK = 0xa000001d,
  NT_TAG_AF_UNIX = 0x80000023,
  NT_TAG_LX_FIFO = 0x80000024,
  NT_TAG_LX_CHR = 0x80000025,
  NT_TAG_LX_BLK = 0x80000026,
};

struct nt_wof;

struct nt_node {
  uint64_t ino, used; /* used: when, for LRU; 0: the slot is free */
  ntfs_inode *ni;
  ntfs_attr *data;     /* unnamed; NULL: none */
  struct err data_err; /* code != 0: why it cannot be opened */
  mode_t mode;
  dev_t rdev;
  uint32_t tag;  /* of its reparse point */
  char *reparse; /* which is so long */
  size_t reparse_len;
  struct buf link; /* symbolic links: the target */
  struct nt_wof *wof;
};

struct nt_names;
#define NT_NAMES 4

struct nt {
  struct fs *fs;
  struct block *block;
  struct ntfs_device *dev;
  ntfs_volume *vol;
  const void *cache_owner;
  struct err io;        /* the first read that could not be done */
  bool twin;            /* the mirror of the MFT reads as the MFT */
  uint64_t mirror, mft; /* where they are, and so long is the mirror */
  uint32_t mirror_len;
  uint64_t clock;
  struct nt_node nodes[NT_NODES];
  struct nt_names *names[NT_NAMES];
  uint64_t free_clusters; /* UINT64_MAX: not yet counted */
  uint64_t free_records;
};

static inline struct nt *
nt_of (struct fs *fs)
{
  return fs->priv;
}

/* --- ntfs_dev.c: the library's device --------------------------------- */

/* Checks the boot sector, and has the library mount the volume. */
int nt_open (struct nt *nt, struct err *e) must_check;
void nt_close (struct nt *nt);

/* Before a call of the library: no read has failed. */
void nt_begin (struct nt *nt);

/* After one that failed: what could not be read, or else its errno, said of
 * WHAT.  An ENOENT of the library is damage. */
int nt_failed (struct nt *nt, const char *what, struct err *e);

/* After one that did not: the library may have made do with less. */
int nt_done (struct nt *nt, const char *what, struct err *e) must_check;

/* --- ntfs_open.c ------------------------------------------------------ */

/* To be closed with ntfs_inode_close. */
int nt_inode_open (struct nt *nt, uint64_t ino, ntfs_inode **ret,
                   struct err *e) must_check;

/* --- ntfs_node.c ------------------------------------------------------ */

/* Valid until the next call but NT_NODES. */
int nt_node_get (struct nt *nt, uint64_t ino, struct nt_node **ret,
                 struct err *e) must_check;
void nt_node_forget (struct nt_node *n);

/* Attribute TYPE with that NAME (LEN units; 0: none).  1: found, to be closed
 * with ntfs_attr_close; 0: there is none. */
int nt_attr_open (struct nt *nt, struct nt_node *n, ATTR_TYPES type,
                  const ntfschar *name, size_t len, ntfs_attr **ret,
                  struct err *e) must_check;

/* Exactly LEN bytes of it. */
int nt_attr_read (struct nt *nt, ntfs_attr *na, void *buf, size_t len,
                  uint64_t off, const char *what, struct err *e) must_check;

/* Where VCN lies: *RET_LCN is -1 for a hole; *RET_COUNT clusters are alike.
 */
int nt_attr_run (struct nt *nt, ntfs_attr *na, uint64_t vcn, int64_t *ret_lcn,
                 uint64_t *ret_count, struct err *e) must_check;

/* The directory that N's name is in. */
int nt_parent (struct nt *nt, struct nt_node *n, uint64_t *ret,
               struct err *e) must_check;

/* --- ntfs_name.c ------------------------------------------------------ */

/* Adds the LEN units at NAME as UTF-8; half a surrogate pair as if it were a
 * character of its own (WTF-8), as ntfs-3g has it. */
void nt_name_add (struct buf *out, const void *name, size_t len);

/* The units of NAME; -1: no NTFS name can be that. */
int nt_name_units (const char *name, size_t len, ntfschar units[NT_MAX_NAME]);

/* Are they the same to Windows, by the volume's $UpCase? */
bool nt_name_same (const struct nt *nt, const void *a, const void *b,
                   size_t len);
uint32_t nt_name_hash (const struct nt *nt, const void *name, size_t len);

/* --- ntfs_dir.c ------------------------------------------------------- */

int nt_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
                struct err *e);
int nt_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
               uint64_t *ret, struct err *e);
void nt_names_free (struct nt_names *n);

/* --- ntfs_reparse.c --------------------------------------------------- */

/* Reads N's reparse point, and what N is by it. */
int nt_reparse_load (struct nt *nt, struct nt_node *n,
                     struct err *e) must_check;

/* The target of a junction or symbolic link of Windows, as a Linux one that
 * stays within the volume.  N may be another afterwards. */
int nt_reparse_link (struct nt *nt, struct nt_node *n, struct buf *ret,
                     struct err *e) must_check;

/* Are N's contents those of its unnamed stream?  EIO: no, and where else they
 * would be. */
int nt_reparse_check_data (const struct nt_node *n, struct err *e) must_check;

/* --- ntfs_wof.c: files compressed by the Windows Overlay Filter -------- */

int nt_wof_read (struct nt *nt, struct nt_node *n, void *buf, size_t len,
                 uint64_t off, struct err *e) must_check;
void nt_wof_free (struct nt_wof *w);

/* --- ntfs_state.c ----------------------------------------------------- */

int nt_info (struct fs *fs, struct fs_info *ret, struct err *e);
int nt_check (struct fs *fs, struct block_check *c, struct err *e);

#endif
