/* xrayfs: CRC-32C (Castagnoli)
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_BASE_CRC32C_H
#define XRAYFS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from CRC, which is 0 at the start:
 *   crc32c (crc32c (0, a, n), b, m) is that of the N bytes of A and the M
 *   bytes of B. */
uint32_t crc32c (uint32_t crc, const void *data, size_t len);

#endif
