/* xrayfs: Btrfs: the superblock
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, Superblock: at 64 KiB, with copies at 64 MiB and 256 GiB.
 * It is checked as the kernel checks it when it mounts.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define MAGIC    "_BHRfS_M"
#define DEV_ITEM 0xc9
/* A key, and a chunk of one stripe. */
#define MIN_SYS_ARRAY (BTRFS_KEY_SIZE + 48 + 32)

/* All that xrayfs can read; the rest is named. */
#define KNOWN_INCOMPAT                                                       \
  (UINT64_C (0xfff) | BTRFS_IN_ZONED | BTRFS_IN_EXTENT_TREE_V2 |             \
   BTRFS_IN_RAID_STRIPE_TREE | UINT64_C (1) << 16)

uint64_t
btrfs_super_offset (unsigned i)
{
  static const uint64_t offsets[BTRFS_SUPER_COPIES] = { 64 * KiB, 64 * MiB,
                                                        256 * GiB };
  return offsets[i];
}

static int
bad_super (struct err *e, const char *what)
{
  return err_set (e, EIO, "superblock: impossible %s", what);
}

static int
parse_sizes (struct btrfs_super *sb, const char *p, struct err *e)
{
  sb->sectorsize = load_le32 (p + 0x90);
  sb->nodesize = load_le32 (p + 0x94);
  sb->sys_array_size = load_le32 (p + 0xa0);
  sb->root_level = (unsigned char) p[0xc6];
  sb->chunk_root_level = (unsigned char) p[0xc7];
  if (!is_power_of_2 (sb->sectorsize) || sb->sectorsize < 512 ||
      sb->sectorsize > 64 * KiB)
    return bad_super (e, "sector size");
  if (!is_power_of_2 (sb->nodesize) || sb->nodesize < 4096 ||
      sb->nodesize < sb->sectorsize || sb->nodesize > 64 * KiB)
    return bad_super (e, "node size");
  if (sb->root_level >= BTRFS_MAX_LEVEL ||
      sb->chunk_root_level >= BTRFS_MAX_LEVEL)
    return bad_super (e, "level of a tree");
  if (sb->sys_array_size > BTRFS_SYS_ARRAY_SIZE ||
      sb->sys_array_size < MIN_SYS_ARRAY)
    return bad_super (e, "size of the system chunk array");
  return 0;
}

static int
parse_features (struct btrfs_super *sb, const char *p, struct err *e)
{
  static const struct {
    uint64_t bit;
    const char *name;
  } refused[] = { { BTRFS_IN_ZONED, "ZONED" },
                  { BTRFS_IN_EXTENT_TREE_V2, "EXTENT_TREE_V2" },
                  { BTRFS_IN_RAID_STRIPE_TREE, "RAID_STRIPE_TREE" } };

  sb->flags = load_le64 (p + 0x38);
  sb->compat_ro = load_le64 (p + 0xb4);
  sb->incompat = load_le64 (p + 0xbc);
  if (sb->incompat & ~KNOWN_INCOMPAT)
    return err_set (e, ENOTSUP, "unknown incompatible features 0x%" PRIx64,
                    sb->incompat & ~KNOWN_INCOMPAT);
  for (size_t i = 0; i < ARRAY_SIZE (refused); i++)
    if (sb->incompat & refused[i].bit)
      return err_set (e, ENOTSUP, "feature %s is not read", refused[i].name);
  if (sb->flags & BTRFS_SUPER_CHANGING)
    return err_set (e, ENOTSUP,
                    "a change of its UUID or its checksums was interrupted");
  return 0;
}

static int
parse_rest (struct btrfs_super *sb, const char *p, struct err *e)
{
  bool own = load_le64 (p + 0xbc) & BTRFS_IN_METADATA_UUID;

  memcpy (sb->fsid, p + 0x20, BTRFS_UUID_SIZE);
  memcpy (sb->metadata_uuid, p + (own ? 0x23b : 0x20), BTRFS_UUID_SIZE);
  sb->generation = load_le64 (p + 0x48);
  sb->root = load_le64 (p + 0x50);
  sb->chunk_root = load_le64 (p + 0x58);
  sb->log_root = load_le64 (p + 0x60);
  sb->total = load_le64 (p + 0x70);
  sb->used = load_le64 (p + 0x78);
  sb->root_dir = load_le64 (p + 0x80);
  sb->n_devices = load_le64 (p + 0x88);
  sb->chunk_root_generation = load_le64 (p + 0xa4);
  sb->devid = load_le64 (p + DEV_ITEM);
  sb->dev_total = load_le64 (p + DEV_ITEM + 8);
  memcpy (sb->dev_uuid, p + DEV_ITEM + 66, BTRFS_UUID_SIZE);
  memcpy (sb->sys_array, p + 0x32b, BTRFS_SYS_ARRAY_SIZE);
  if (sb->n_devices == 0)
    return bad_super (e, "number of devices");
  if (sb->total > INT64_MAX || sb->used > sb->total)
    return bad_super (e, "size");
  return 0;
}

/* The checksum comes first: what it guards can then be believed to be what
 * was written. */
static int
check_csum (struct btrfs_super *sb, const char *p, struct err *e)
{
  gcry_md_hd_t hash = NULL;
  bool ok;

  if (load_le16 (p + 0xc4) >= BTRFS_N_CSUMS)
    return err_set (e, EIO, "superblock: checksums of unknown kind %u",
                    load_le16 (p + 0xc4));
  sb->csum = load_le16 (p + 0xc4);
  if (btrfs_hash_open (sb->csum, &hash, e) == -1)
    return err_in (e, "superblock");
  ok = btrfs_csum_ok (sb->csum, hash, p + BTRFS_CSUM_SIZE,
                      BTRFS_SUPER_SIZE - BTRFS_CSUM_SIZE, p);
  btrfs_hash_close (hash);
  return ok ? 0 : err_set (e, EIO, "superblock: checksum is wrong");
}

int
btrfs_super_copy (struct block *block, unsigned i, struct btrfs_super *ret,
                  struct err *e)
{
  uint64_t off = btrfs_super_offset (i);
  CLEANUP_FREE char *p = malloc (BTRFS_SUPER_SIZE);
  struct btrfs_super sb = { 0 };

  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (!range_within (off, BTRFS_SUPER_SIZE, block->size)) {
    err_set (e, EIO, "superblock at 0x%" PRIx64 " is beyond the end", off);
    return 0;
  }
  if (block_pread (block, p, BTRFS_SUPER_SIZE, off, e) == -1)
    return err_in (e, "superblock");
  if (memcmp (p + 0x40, MAGIC, 8) != 0 || load_le64 (p + 0x30) != off) {
    err_set (e, EINVAL, "superblock: wrong magic or place");
    return 0;
  }
  if (check_csum (&sb, p, e) == -1 || parse_features (&sb, p, e) == -1 ||
      parse_sizes (&sb, p, e) == -1 || parse_rest (&sb, p, e) == -1)
    return 0;
  *ret = sb;
  return 1;
}

/* A copy may be left of another filesystem, larger than this one, and would
 * be newer then. */
int
btrfs_super_read (struct block *block, struct btrfs_super *ret, struct err *e)
{
  struct err why, first = { 0 };
  struct btrfs_super sb;
  bool found = false;

  for (unsigned i = 0; i < BTRFS_SUPER_COPIES; i++) {
    err_clear (&why);
    if (btrfs_super_copy (block, i, &sb, &why) == 1) {
      if (!found || (sb.generation > ret->generation &&
                     !memcmp (sb.fsid, ret->fsid, sizeof sb.fsid)))
        *ret = sb;
      found = true;
    } else if (i == 0)
      first = why;
    /* What is not understood is not what an older copy may explain. */
    if (why.code == ENOTSUP || err_is_transient (&why))
      break;
  }
  if (found)
    return 0;
  *e = first;
  return -1;
}
