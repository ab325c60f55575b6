/* xrayfs: fuzz target: the checksums of an XFS image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever looks like metadata of version 5 is given the checksum that it
 * should have, so that what the fuzzer changes gets behind them.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/crc32c.h"

void xfs_make_checksums (uint8_t *image, size_t image_size,
                         const uint8_t *data, size_t size);

struct image {
  uint8_t *bytes;
  size_t size, block, dir_block, inode;
};

static void
put_crc (const struct image *m, size_t at, size_t len, size_t crc_at)
{
  uint32_t crc;

  if (!range_within (at, len, m->size) || len < crc_at + 4)
    return;
  memset (m->bytes + at + crc_at, 0, 4);
  crc = htole32 (crc32c (0, m->bytes + at, len));
  memcpy (m->bytes + at + crc_at, &crc, sizeof crc);
}

static void
fix_block (const struct image *m, size_t at)
{
  const uint8_t *p = m->bytes + at;
  bool dir;

  switch (load_be32 (p)) {
  case 0x424d4133: /* BMA3 */
    put_crc (m, at, m->block, 64);
    break;
  case 0x58444233: /* XDB3 */
  case 0x58444433: /* XDD3 */
    put_crc (m, at, m->dir_block, 4);
    break;
  case 0x5841524d: /* XARM */
  case 0x58534c4d: /* XSLM */
    put_crc (m, at, m->block, 12);
    break;
  }
  switch (load_be16 (p + 8)) {
  case 0x3df1:
  case 0x3dff:
    put_crc (m, at, m->dir_block, 12);
    break;
  case 0x3bee:
    put_crc (m, at, m->block, 12);
    break;
  case 0x3ebe: /* of a directory, whose tree begins at 32 GiB, or not */
    dir = load_be32 (p + 68) >= 32 * GiB / m->block;
    put_crc (m, at, dir ? m->dir_block : m->block, 12);
    break;
  }
  for (size_t i = 0; i < m->block; i += m->inode)
    if (load_be16 (p + i) == 0x494e && p[i + 4] == 3)
      put_crc (m, at + i, m->inode, 100);
}

static bool
read_sizes (struct image *m)
{
  if (m->size < 512 || m->bytes[120] > 16 || m->bytes[120] < 9 ||
      m->bytes[192] > 7 || m->bytes[122] > 11 || m->bytes[122] < 8)
    return false;
  m->block = (size_t) 1 << m->bytes[120];
  m->dir_block = m->block << m->bytes[192];
  m->inode = (size_t) 1 << m->bytes[122];
  return true;
}

/* Only blocks that have a record hold anything. */
void
xfs_make_checksums (uint8_t *image, size_t image_size, const uint8_t *data,
                    size_t size)
{
  struct image m = { .bytes = image, .size = image_size };
  size_t at, end, len, fixed = 0;

  if (!read_sizes (&m))
    return;
  put_crc (&m, 0, load_be16 (image + 102), 224);
  for (size_t i = 4; size - i >= 6; i += 6 + len) {
    len = MIN (load_be16 (data + i + 4), size - i - 6);
    at = load_be32 (data + i);
    end = MIN (at + len, image_size);
    for (at -= at % m.block; at < end; at += m.block)
      if (at >= fixed && range_within (at, m.block, image_size)) {
        fix_block (&m, at);
        fixed = at + m.block;
      }
  }
}
