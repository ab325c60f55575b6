/* xrayfs: fuzz target: the checksums of an exFAT image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The boot region and whatever looks like an entry of a directory are given
 * the checksums that they should have, so that what the fuzzer changes gets
 * behind them.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"

void exfat_make_checksums (uint8_t *image, size_t image_size,
                           const uint8_t *data, size_t size);

static void
fix_boot (uint8_t *image, size_t image_size)
{
  size_t sector = (size_t) 1 << (image[108] & 15);
  uint32_t sum = 0;

  if (12 * sector > image_size || sector < 512)
    return;
  for (size_t i = 0; i < 11 * sector; i++)
    if (i != 106 && i != 107 && i != 112)
      sum = (sum << 31) + (sum >> 1) + image[i];
  sum = htole32 (sum);
  for (size_t i = 0; i < sector; i += 4)
    memcpy (image + 11 * sector + i, &sum, 4);
}

static void
fix_set (uint8_t *p, size_t len)
{
  uint16_t sum = 0;

  for (size_t i = 0; i < len; i++)
    if (i != 2 && i != 3)
      sum = (uint16_t) (((uint32_t) sum << 15) + (sum >> 1) + p[i]);
  sum = htole16 (sum);
  memcpy (p + 2, &sum, 2);
}

/* The records of the sparse image say where there is something. */
void
exfat_make_checksums (uint8_t *image, size_t image_size, const uint8_t *data,
                      size_t size)
{
  size_t at, end, len;

  if (image_size < 512)
    return;
  fix_boot (image, image_size);
  for (size_t i = 4; size - i >= 6; i += 6 + len) {
    len = MIN (load_be16 (data + i + 4), size - i - 6);
    at = load_be32 (data + i) / 32 * 32;
    end = MIN (at + 32 + len, image_size);
    for (; at + 32 <= end; at += 32)
      if (image[at] == 0x85)
        fix_set (image + at,
                 MIN ((image[at + 1] + 1) * 32U, image_size - at));
  }
}
