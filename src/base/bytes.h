/* xrayfs: loads and checks for numbers from an image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every number from an image is hostile: check, cap, then allocate.
 */
#ifndef XRAYFS_BASE_BYTES_H
#define XRAYFS_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KiB ((uint64_t) 1 << 10)
#define MiB ((uint64_t) 1 << 20)
#define GiB ((uint64_t) 1 << 30)

#define DEFINE_LOAD(name, type, conv)                                        \
  static inline type name (const void *p)                                    \
  {                                                                          \
    type v;                                                                  \
    memcpy (&v, p, sizeof v);                                                \
    return conv (v);                                                         \
  }
DEFINE_LOAD (load_le16, uint16_t, le16toh)
DEFINE_LOAD (load_le32, uint32_t, le32toh)
DEFINE_LOAD (load_le64, uint64_t, le64toh)
DEFINE_LOAD (load_be16, uint16_t, be16toh)
DEFINE_LOAD (load_be32, uint32_t, be32toh)
DEFINE_LOAD (load_be64, uint64_t, be64toh)
#undef DEFINE_LOAD

/* Does [off, off + len) lie within SIZE bytes?  Safe for every value. */
static inline bool
range_within (uint64_t off, uint64_t len, uint64_t size)
{
  return off <= size && len <= size - off;
}

/* Rounds up to a power of two; the caller has checked V <= UINT64_MAX - A. */
static inline uint64_t
round_up (uint64_t v, uint64_t a)
{
  return (v + a - 1) & ~(a - 1);
}

static inline uint64_t
div_up (uint64_t v, uint64_t d)
{
  return v / d + (v % d != 0);
}

static inline bool
is_power_of_2 (uint64_t v)
{
  return v && !(v & (v - 1));
}

/* Are all LEN bytes zero?  Runs at the speed of memcmp. */
static inline bool
is_zero (const void *p, size_t len)
{
  const unsigned char *c = p;

  return len == 0 || (c[0] == 0 && memcmp (c, c + 1, len - 1) == 0);
}

#endif
