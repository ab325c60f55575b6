/* xrayfs: ISO 9660: zisofs, files that mkzftree compressed
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A header of 16 bytes (or what the record says), then 32-bit offsets of the
 * compressed blocks and of their end, then the blocks, each by zlib; an empty
 * one is zeros.  The size of a block is 2^15 to 2^17.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "format/inflate.h"
#include "fs/iso9660.h"

static const unsigned char magic[8] = { 0x37, 0xe4, 0x53, 0x96,
                                        0xc9, 0xdb, 0xd6, 0x07 };

/* A block: where its bytes lie in the file, and how many it gives. */
struct zblock {
  struct iso *iso;
  const struct iso_node *n;
  uint64_t start;
  size_t stored, size;
};

static int
read_stored (struct iso *iso, const struct iso_node *n, uint64_t off,
             void *buf, size_t len, struct err *e)
{
  if (!range_within (off, len, n->stored))
    return err_set (e, EIO, "0x%" PRIx64 " lies beyond the compressed file",
                    off);
  return iso_read_data (iso, n, off, buf, len, e);
}

static int
check_header (struct iso *iso, const struct iso_node *n, struct err *e)
{
  unsigned char head[16];

  if (read_stored (iso, n, 0, head, sizeof head, e) == -1)
    return -1;
  if (memcmp (head, magic, sizeof magic) != 0)
    return err_set (e, EIO, "wrong magic");
  if (load_le32 (head + 8) != n->size || head[12] * 4u != n->header ||
      head[13] != n->block_log)
    return err_set (e, EIO, "header and record differ");
  return 0;
}

static int
find_block (struct iso *iso, const struct iso_node *n, uint64_t index,
            struct zblock *ret, struct err *e)
{
  uint64_t at = n->header + index * 4, whole = UINT64_C (1) << n->block_log;
  unsigned char ends[8];
  uint32_t start, end;

  if (read_stored (iso, n, at, ends, sizeof ends, e) == -1)
    return -1;
  start = load_le32 (ends);
  end = load_le32 (ends + 4);
  /* What zlib makes of a block that cannot be compressed. */
  if (end < start || end - start > compressBound (whole))
    return err_set (e, EIO, "block from 0x%" PRIx32 " to 0x%" PRIx32, start,
                    end);
  *ret = (struct zblock){ iso, n, start, end - start,
                          MIN (whole, n->size - index * whole) };
  return 0;
}

static int
load_block (void *arg, void *data, size_t size, struct err *e)
{
  const struct zblock *z = arg;
  CLEANUP_FREE char *stored = malloc (z->stored);

  if (!stored)
    return err_set (e, ENOMEM, "out of memory");
  if (read_stored (z->iso, z->n, z->start, stored, z->stored, e) == -1)
    return -1;
  return inflate_exact (INFLATE_ZLIB, stored, z->stored, data, size, e);
}

static int
read_block (struct iso *iso, struct zblock *z, size_t skip, void *to,
            size_t len, struct err *e)
{
  struct cache *cache = iso->block->env->cache;
  CLEANUP_FREE char *data = NULL;
  struct cache_entry *entry;

  if (z->stored == 0) {
    memset (to, 0, len);
    return 0;
  }
  if (cache) {
    /* A file's data lie where no other file's do, but copies of it. */
    if (cache_get (cache, iso->zisofs_owner,
                   z->n->sections.items[0].start + z->start, z->size,
                   load_block, z, &entry, e) == -1)
      return -1;
    memcpy (to, (const char *) entry->data + skip, len);
    cache_release (cache, entry);
    return 0;
  }
  data = malloc (z->size);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (load_block (z, data, z->size, e) == -1)
    return -1;
  memcpy (to, data + skip, len);
  return 0;
}

int
iso_zisofs_read (struct iso *iso, const struct iso_node *n, void *buf,
                 size_t len, uint64_t off, struct err *e)
{
  uint64_t whole = UINT64_C (1) << n->block_log, skip;
  struct zblock z;
  size_t here;

  if (check_header (iso, n, e) == -1)
    return err_in (e, "zisofs");
  for (char *to = buf; len > 0; to += here, off += here, len -= here) {
    skip = off & (whole - 1);
    here = MIN (len, whole - skip);
    if (find_block (iso, n, off >> n->block_log, &z, e) == -1 ||
        read_block (iso, &z, skip, to, here, e) == -1)
      return err_in (e, "zisofs: block %" PRIu64, off >> n->block_log);
  }
  return 0;
}
