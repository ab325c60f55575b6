/* xrayfs: fuzz target: checksums of VHDX images
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A checksum of zero is made right: those of the headers, of the region
 * tables and of the log's entries.  Others stay wrong, or right, as they are.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

void vhdx_make_checksums (uint8_t *image, size_t size);

static void
make_checksum (uint8_t *image, size_t size, uint64_t off, uint64_t len,
               const char *signature)
{
  uint32_t crc;

  if (!range_within (off, len, size) || len < 8 ||
      memcmp (image + off, signature, 4) || load_le32 (image + off + 4))
    return;
  crc = htole32 (crc32c (0, image + off, len));
  memcpy (image + off + 4, &crc, sizeof crc);
}

void
vhdx_make_checksums (uint8_t *image, size_t size)
{
  make_checksum (image, size, 64 * KiB, 4096, "head");
  make_checksum (image, size, 128 * KiB, 4096, "head");
  make_checksum (image, size, 192 * KiB, 64 * KiB, "regi");
  make_checksum (image, size, 256 * KiB, 64 * KiB, "regi");
  for (uint64_t at = MiB; range_within (at, 4096, size); at += 4096)
    make_checksum (image, size, at, load_le32 (image + at + 8), "loge");
}
