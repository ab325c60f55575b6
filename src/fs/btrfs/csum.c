/* xrayfs: Btrfs: checksums
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "fs/btrfs/btrfs.h"

/* algorithm: libgcrypt's; 0: another library's. */
static const struct {
  const char *name;
  size_t size;
  int algorithm;
} kinds[BTRFS_N_CSUMS] = {
  [BTRFS_CRC32C] = { "crc32c", 4, 0 },
  [BTRFS_XXHASH] = { "xxhash64", 8, 0 },
  [BTRFS_SHA256] = { "sha256", 32, GCRY_MD_SHA256 },
  [BTRFS_BLAKE2] = { "blake2", 32, GCRY_MD_BLAKE2B_256 },
};

size_t
btrfs_csum_size (enum btrfs_csum type)
{
  return kinds[type].size;
}

const char *
btrfs_csum_name (enum btrfs_csum type)
{
  return kinds[type].name;
}

/* The library wants to be set up once, and no memory of it is secret. */
static void
set_up (void)
{
  gcry_check_version (NULL);
  gcry_control (GCRYCTL_DISABLE_SECMEM, 0);
  gcry_control (GCRYCTL_INITIALIZATION_FINISHED, 0);
}

/* NULL where none is needed, or none could be had, so that no checksum is
 * right. */
gcry_md_hd_t
btrfs_hash_open (enum btrfs_csum type)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  gcry_md_hd_t hash = NULL;

  if (!kinds[type].algorithm)
    return NULL;
  pthread_once (&once, set_up);
  return gcry_md_open (&hash, kinds[type].algorithm, 0) == 0 ? hash : NULL;
}

int
btrfs_csum_open (struct btrfs *b, struct err *e)
{
  b->hash = btrfs_hash_open (b->sb.csum);
  if (!b->hash && kinds[b->sb.csum].algorithm)
    return err_set (e, ENOTSUP, "libgcrypt has no %s",
                    kinds[b->sb.csum].name);
  return 0;
}

static bool
hash_ok (gcry_md_hd_t hash, const void *data, size_t len, const void *wanted)
{
  if (!hash)
    return false;
  gcry_md_reset (hash);
  gcry_md_write (hash, data, len);
  return !memcmp (gcry_md_read (hash, 0), wanted, 32);
}

bool
btrfs_csum_ok (enum btrfs_csum type, gcry_md_hd_t hash, const void *data,
               size_t len, const void *wanted)
{
  switch (type) {
  case BTRFS_CRC32C:
    return crc32c (0, data, len) == load_le32 (wanted);
  case BTRFS_XXHASH:
    return XXH64 (data, len, 0) == load_le64 (wanted);
  default:
    return hash_ok (hash, data, len, wanted);
  }
}
