/* xrayfs: Btrfs: checksums
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "config.h"

#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/library.h"
#include "fs/btrfs/btrfs.h"

#define GCRYPT_FUNCTIONS(F)                                                  \
  F (gcry, check_version)                                                    \
  F (gcry, control)                                                          \
  F (gcry, md_close)                                                         \
  F (gcry, md_open)                                                          \
  F (gcry, md_read)                                                          \
  F (gcry, md_reset)                                                         \
  F (gcry, md_write)
LIBRARY (gcrypt, LIBGCRYPT, GCRYPT_FUNCTIONS);

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
  gcrypt.check_version (NULL);
  gcrypt.control (GCRYCTL_DISABLE_SECMEM, 0);
  gcrypt.control (GCRYCTL_INITIALIZATION_FINISHED, 0);
}

int
btrfs_hash_open (enum btrfs_csum type, gcry_md_hd_t *ret, struct err *e)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  if (!kinds[type].algorithm)
    return 0;
  if (library_load (&gcrypt_library, e) == -1)
    return err_in (e, "%s", kinds[type].name);
  pthread_once (&once, set_up);
  return gcrypt.md_open (ret, kinds[type].algorithm, 0) == 0
             ? 0
             : err_set (e, ENOTSUP, "libgcrypt has no %s", kinds[type].name);
}

void
btrfs_hash_close (gcry_md_hd_t hash)
{
  if (hash)
    gcrypt.md_close (hash);
}

static bool
hash_ok (gcry_md_hd_t hash, const void *data, size_t len, const void *wanted)
{
  gcrypt.md_reset (hash);
  gcrypt.md_write (hash, data, len);
  return !memcmp (gcrypt.md_read (hash, 0), wanted, 32);
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
