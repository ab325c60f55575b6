/* xrayfs: fuzz target: the checksums of a Btrfs image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever looks like metadata is given the checksum that it should have, so
 * that what the fuzzer changes gets behind them.
 */
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/crc32c.h"

#define SUPER_AT   (64 * KiB)
#define SUPER_SIZE 4096

void btrfs_make_checksums (uint8_t *image, size_t image_size,
                           const uint8_t *data, size_t size);

static void
put_csum (uint8_t *p, size_t len, unsigned type)
{
  uint64_t csum =
      type == 0 ? crc32c (0, p + 32, len - 32) : XXH64 (p + 32, len - 32, 0);

  csum = htole64 (csum);
  memcpy (p, &csum, type == 0 ? 4 : 8);
}

/* Only blocks that have a record hold anything. */
void
btrfs_make_checksums (uint8_t *image, size_t image_size, const uint8_t *data,
                      size_t size)
{
  size_t at, end, len, node, fixed = 0;
  const uint8_t *sb = image + SUPER_AT;
  unsigned type;

  if (image_size < SUPER_AT + SUPER_SIZE)
    return;
  node = load_le32 (sb + 0x94);
  type = load_le16 (sb + 0xc4);
  if (!is_power_of_2 (node) || node < 4096 || node > 65536 || type > 1)
    return;
  put_csum (image + SUPER_AT, SUPER_SIZE, type);
  for (size_t i = 4; size - i >= 6; i += 6 + len) {
    len = MIN (load_be16 (data + i + 4), size - i - 6);
    at = load_be32 (data + i) % image_size;
    end = MIN (at + len, image_size);
    for (at -= at % node; at < end; at += node)
      if (at >= fixed && range_within (at, node, image_size) &&
          !memcmp (image + at + 32, sb + 32, 16) && at != SUPER_AT) {
        put_csum (image + at, node, type);
        fixed = at + node;
      }
  }
}
