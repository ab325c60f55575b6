/* xrayfs: ext: how libext2fs reads
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "fs/ext.h"

struct load_arg {
  struct block *block;
  uint64_t off;
};

static int
load_block (void *arg, void *data, size_t size, struct err *e)
{
  struct load_arg *l = arg;

  return block_pread (l->block, data, size, l->off, e);
}

/* One block, from the cache that all of the image shares.  BUF is touched on
 * success only: the library keeps what it read last under its number. */
static int
read_cached (struct ext *x, uint64_t off, size_t size, void *buf,
             struct err *e)
{
  struct cache *cache = x->block->env->cache;
  struct load_arg arg = { x->block, off };
  struct cache_entry *entry;

  if (!cache)
    return block_pread (x->block, buf, size, off, e);
  if (cache_get (cache, x->cache_owner, off, size, load_block, &arg, &entry,
                 e) == -1)
    return -1;
  memcpy (buf, entry->data, size);
  cache_release (cache, entry);
  return 0;
}

static int
check_range (struct ext *x, uint64_t nr, uint64_t size, uint64_t len,
             uint64_t *ret_off, struct err *e)
{
  uint64_t off = 0;

  if (__builtin_mul_overflow (nr, size, &off) ||
      !range_within (off, len, x->block->size))
    return err_set (e, EIO,
                    "block %" PRIu64 " lies beyond the end of the filesystem",
                    nr);
  *ret_off = off;
  return 0;
}

int
ext_read_block (struct ext *x, uint64_t nr, void *buf, struct err *e)
{
  uint64_t off = 0;

  if (x->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (check_range (x, nr, x->block_size, x->block_size, &off, e) == -1)
    return -1;
  if (read_cached (x, off, x->block_size, buf, e) == -1)
    return err_in (e, "block %" PRIu64, nr);
  return 0;
}

int
ext_check_block (struct ext *x, uint64_t nr, struct err *e)
{
  if (nr >= x->n_blocks)
    return err_set (e, EIO,
                    "extent at block %" PRIu64
                    " lies beyond the end of the filesystem",
                    nr);
  if (nr <= x->lib->super->s_first_data_block)
    return err_set (e, EIO,
                    "extent at block %" PRIu64 " lies in the superblock", nr);
  return 0;
}

int
ext_error (struct ext *x, errcode_t code, struct err *e)
{
  if (code == x->io.code) {
    *e = x->io;
    err_clear (&x->io);
    return -1;
  }
  switch (code) {
  case EXT2_ET_NO_MEMORY:
  case ENOMEM:
    return err_set (e, ENOMEM, "out of memory");
  case EXT2_ET_UNSUPP_FEATURE:
  case EXT2_ET_REV_TOO_HIGH:
  case EXT2_ET_UNKNOWN_CSUM:
    return err_set (e, ENOTSUP, "%s", error_message (code));
  case EXT2_ET_INODE_CSUM_INVALID:
    return err_set (e, EIO, "checksum of the inode is wrong");
  case EXT2_ET_SB_CSUM_INVALID:
    return err_set (e, EIO, "checksum of the superblock is wrong");
  default:
    return err_set (e, EIO, "%s", error_message (code));
  }
}

/* --- the I/O manager ------------------------------------------------- */

static struct struct_io_manager io_manager_ops;

/* An I/O manager is given a name and nothing else: the name is the address
 * of our struct ext, in hexadecimal. */
static errcode_t
io_open (const char *name, int flags unused_arg, io_channel *ret)
{
  io_channel c = calloc (1, sizeof *c);

  if (c)
    c->name = strdup (name);
  if (!c || !c->name) {
    free (c);
    return EXT2_ET_NO_MEMORY;
  }
  c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
  c->manager = &io_manager_ops;
  c->block_size = 1024;
  c->refcount = 1;
  c->private_data = (void *) (uintptr_t) strtoull (name, NULL, 16);
  *ret = c;
  return 0;
}

static errcode_t
io_close (io_channel c)
{
  if (--c->refcount > 0)
    return 0;
  free (c->name);
  free (c);
  return 0;
}

static errcode_t
io_set_blksize (io_channel c, int size)
{
  c->block_size = size;
  return 0;
}

static int
io_read (struct ext *x, io_channel c, uint64_t nr, int count, void *buf)
{
  /* A negative count is of bytes. */
  uint64_t len = count < 0 ? (uint64_t) - (int64_t) count
                           : (uint64_t) count * (unsigned) c->block_size;
  uint64_t off = 0;

  if (check_range (x, nr, c->block_size, len, &off, &x->io) == -1)
    return -1;
  if (count == 1 && (uint32_t) c->block_size == x->block_size)
    return read_cached (x, off, len, buf, &x->io);
  return block_pread (x->block, buf, len, off, &x->io);
}

/* The code is an errno value, which no code of the library is; x->io says
 * more (ext_error). */
static errcode_t
io_read_blk64 (io_channel c, unsigned long long nr, int count, void *buf)
{
  struct ext *x = c->private_data;

  return io_read (x, c, nr, count, buf) == -1 ? x->io.code : 0;
}

static errcode_t
io_read_blk (io_channel c, unsigned long nr, int count, void *buf)
{
  return io_read_blk64 (c, nr, count, buf);
}

static errcode_t
io_write_blk64 (io_channel c unused_arg, unsigned long long nr unused_arg,
                int count unused_arg, const void *buf unused_arg)
{
  return EXT2_ET_RO_FILSYS;
}

static errcode_t
io_write_blk (io_channel c unused_arg, unsigned long nr unused_arg,
              int count unused_arg, const void *buf unused_arg)
{
  return EXT2_ET_RO_FILSYS;
}

static errcode_t
io_flush (io_channel c unused_arg)
{
  return 0;
}

static struct struct_io_manager io_manager_ops = {
  .magic = EXT2_ET_MAGIC_IO_MANAGER,
  .name = "xrayfs",
  .open = io_open,
  .close = io_close,
  .set_blksize = io_set_blksize,
  .read_blk = io_read_blk,
  .read_blk64 = io_read_blk64,
  .write_blk = io_write_blk,
  .write_blk64 = io_write_blk64,
  .flush = io_flush,
};

void
ext_io_init (struct ext *x)
{
  x->cache_owner = cache_new_owner ();
}

errcode_t
ext_io_open (struct ext *x)
{
  char name[24];

  snprintf (name, sizeof name, "%" PRIxPTR, (uintptr_t) x);
  return ext2fs_open (name, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0,
                      0, &io_manager_ops, &x->lib);
}
