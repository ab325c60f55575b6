/* xrayfs: NTFS: libntfs-3g over our block layer
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The library reports errors as an errno, and makes do without much that it
 * cannot read.  So the device remembers the first read that could not be
 * done: an operation with one in it has failed, whatever the library says.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "block/cache.h"
#include "fs/ntfs.h"

/* Records and index blocks are small, and come in neighbours. */
#define PAGE        (4 * KiB)
#define MAX_CACHED  (16 * KiB)
#define BOOT_SIZE   512
#define MAX_CLUSTER (2 * MiB) /* Windows 10 */
#define MAX_RECORD  (4 * KiB)
#define MAX_INDX    (64 * KiB)

/* --- errors ---------------------------------------------------------- */

void
nt_begin (struct nt *nt)
{
  err_clear (&nt->io);
  errno = 0;
}

static int
our_errno (int code)
{
  switch (code) {
  case ENOMEM:
  case ECANCELED:
  case EINTR:
    return code;
  case EOPNOTSUPP:
    return ENOTSUP;
  default:
    return EIO;
  }
}

int
nt_failed (struct nt *nt, const char *what, struct err *e)
{
  int code = errno;

  if (nt->io.code) {
    *e = nt->io;
    return err_in (e, "%s", what);
  }
  if (our_errno (code) != EIO)
    return err_sys (e, our_errno (code), "%s", what);
  return err_set (e, EIO, "%s is damaged", what);
}

int
nt_done (struct nt *nt, const char *what, struct err *e)
{
  return nt->io.code ? nt_failed (nt, what, e) : 0;
}

/* --- reading --------------------------------------------------------- */

struct load_arg {
  struct block *block;
  uint64_t off;
};

static int
load (void *arg, void *data, size_t size, struct err *e)
{
  const struct load_arg *l = arg;

  return block_pread (l->block, data, size, l->off, e);
}

/* Pages that the end of the partition cuts are not kept. */
static int
read_page (struct nt *nt, uint64_t page, void *buf, size_t skip, size_t len,
           struct err *e)
{
  struct cache *cache = nt->block->env->cache;
  struct load_arg arg = { nt->block, page };
  struct cache_entry *entry;

  if (!cache || !range_within (page, PAGE, nt->block->size))
    return block_pread (nt->block, buf, len, page + skip, e);
  if (cache_get (cache, nt->cache_owner, page, PAGE, load, &arg, &entry, e) ==
      -1)
    return -1;
  memcpy (buf, (const char *) entry->data + skip, len);
  cache_release (cache, entry);
  return 0;
}

static int
read_pages (struct nt *nt, char *buf, size_t len, uint64_t off, struct err *e)
{
  size_t skip, n;

  if (!range_within (off, len, nt->block->size))
    return err_set (
        e, EIO, "0x%" PRIx64 " lies beyond the end of the partition", off);
  if (nt->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (len > MAX_CACHED)
    return block_pread (nt->block, buf, len, off, e);
  for (; len > 0; len -= n, buf += n, off += n) {
    skip = off % PAGE;
    n = MIN (len, PAGE - skip);
    if (read_page (nt, off - skip, buf, skip, n, e) == -1)
      return -1;
  }
  return 0;
}

/* --- the device ------------------------------------------------------- */

/* The library refuses a volume whose mirror of the MFT differs, so while it
 * mounts it sees the MFT twice; that they differ is a finding. */
static uint64_t
twin_of (const struct nt *nt, uint64_t off)
{
  if (nt->twin && off >= nt->mirror && off - nt->mirror < nt->mirror_len)
    return nt->mft + (off - nt->mirror);
  return off;
}

static s64
dev_pread (struct ntfs_device *dev, void *buf, s64 count, s64 offset)
{
  struct nt *nt = dev->d_private;
  struct err e = { 0 };

  if (count < 0 || offset < 0) {
    err_set (&e, EIO, "read at a negative offset");
  } else if (read_pages (nt, buf, (size_t) count,
                         twin_of (nt, (uint64_t) offset), &e) == 0)
    return count;
  if (!nt->io.code)
    nt->io = e;
  errno = e.code;
  return -1;
}

static s64
dev_read_only (struct ntfs_device *dev unused_arg, const void *buf unused_arg,
               s64 count unused_arg)
{
  errno = EROFS;
  return -1;
}

static s64
dev_pread_only (struct ntfs_device *dev unused_arg,
                const void *buf unused_arg, s64 count unused_arg,
                s64 offset unused_arg)
{
  errno = EROFS;
  return -1;
}

/* The library reads by offset; it seeks to see how long the device is, which
 * may be too short: whatever is missing says so when it is read. */
static s64
dev_seek (struct ntfs_device *dev unused_arg, s64 offset,
          int whence unused_arg)
{
  return offset;
}

static s64
dev_read (struct ntfs_device *dev unused_arg, void *buf unused_arg,
          s64 count unused_arg)
{
  errno = EIO;
  return -1;
}

static int
dev_open (struct ntfs_device *dev unused_arg, int flags unused_arg)
{
  return 0;
}

static int
dev_nothing (struct ntfs_device *dev unused_arg)
{
  return 0;
}

static int
dev_stat (struct ntfs_device *dev, struct stat *ret)
{
  struct nt *nt = dev->d_private;

  *ret = (struct stat){ .st_mode = S_IFREG | 0400,
                        .st_size = (off_t) nt->block->size };
  return 0;
}

static int
dev_ioctl (struct ntfs_device *dev unused_arg,
           unsigned long request unused_arg, void *arg unused_arg)
{
  errno = EOPNOTSUPP;
  return -1;
}

static struct ntfs_device_operations device_ops = {
  .open = dev_open,
  .close = dev_nothing,
  .seek = dev_seek,
  .read = dev_read,
  .write = dev_read_only,
  .pread = dev_pread,
  .pwrite = dev_pread_only,
  .sync = dev_nothing,
  .stat = dev_stat,
  .ioctl = dev_ioctl,
};

/* --- the boot sector (layout.h, NTFS_BOOT_SECTOR) --------------------- */

/* Of records: a count of clusters, or the negative logarithm of the bytes. */
static uint64_t
record_size (int8_t c, uint64_t cluster)
{
  if (c >= 0)
    return (uint64_t) c * cluster;
  return c < -31 ? 0 : UINT64_C (1) << -c;
}

static bool
is_size (uint64_t size, uint64_t least, uint64_t most)
{
  return is_power_of_2 (size) && size >= least && size <= most;
}

/* What the library would shift by, divide by and allocate. */
static int
check_boot (struct nt *nt, const uint8_t *boot, struct err *e)
{
  uint64_t sector = load_le16 (boot + 11), cluster = boot[13], record, indx;
  uint64_t sectors = load_le64 (boot + 40), clusters, mft, mirror;

  if (memcmp (boot + 3, "NTFS    ", 8) != 0)
    return err_set (e, EINVAL, "no NTFS boot sector");
  if (!is_size (sector, 256, 4096))
    return err_set (e, EIO, "boot sector: sectors of %" PRIu64 " bytes",
                    sector);
  cluster = cluster > 128 ? UINT64_C (1) << MIN (256 - cluster, 32) : cluster;
  cluster *= sector;
  if (!is_size (cluster, sector, MAX_CLUSTER))
    return err_set (e, EIO, "boot sector: clusters of %" PRIu64 " bytes",
                    cluster);
  record = record_size ((int8_t) boot[64], cluster);
  indx = record_size ((int8_t) boot[68], cluster);
  if (!is_size (record, 512, MAX_RECORD))
    return err_set (e, EIO, "boot sector: MFT records of %" PRIu64 " bytes",
                    record);
  if (!is_size (indx, 512, MAX (MAX_INDX, MAX_CLUSTER)))
    return err_set (e, EIO, "boot sector: index blocks of %" PRIu64 " bytes",
                    indx);
  if (sectors == 0 || sectors > (UINT64_C (1) << 62) / sector)
    return err_set (e, EIO, "boot sector: volume of %" PRIu64 " sectors",
                    sectors);
  clusters = sectors / (cluster / sector);
  mft = load_le64 (boot + 48);
  mirror = load_le64 (boot + 56);
  if (mft >= clusters || mirror >= clusters)
    return err_set (e, EIO, "boot sector: MFT beyond the end of the volume");
  nt->mft = mft * cluster;
  nt->mirror = mirror * cluster;
  nt->mirror_len = (uint32_t) MAX (4 * record, cluster);
  return 0;
}

/* --- mounting --------------------------------------------------------- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void
set_up_library (void)
{
  ntfs_log_set_handler (ntfs_log_handler_null);
  ntfs_log_clear_levels (~0U);
  ntfs_set_char_encoding ("utf8");
}

int
nt_open (struct nt *nt, struct err *e)
{
  uint8_t boot[BOOT_SIZE];

  pthread_once (&library_once, set_up_library);
  if (read_pages (nt, (char *) boot, sizeof boot, 0, e) == -1)
    return err_in (e, "boot sector");
  if (check_boot (nt, boot, e) == -1)
    return -1;
  nt->dev = ntfs_device_alloc ("image", 0, &device_ops, nt);
  if (!nt->dev)
    return err_set (e, ENOMEM, "out of memory");
  nt_begin (nt);
  nt->twin = true;
  nt->vol = ntfs_device_mount (nt->dev, NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC |
                                            NTFS_MNT_RECOVER);
  nt->twin = false;
  if (!nt->vol)
    return nt_failed (nt, "the metadata of the volume", e);
  return nt_done (nt, "the metadata of the volume", e);
}

void
nt_close (struct nt *nt)
{
  if (nt->vol)
    ntfs_umount (nt->vol, TRUE);
  else if (nt->dev)
    ntfs_device_free (nt->dev);
}
