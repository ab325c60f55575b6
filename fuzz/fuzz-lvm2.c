/* xrayfs: fuzz target: LVM2
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is the text of metadata, for which two physical volumes are made
 * (UUIDs of all A, and all B); or, if it begins with "SPRS", a physical
 * volume (tests/sparse.h), whose checksums are made right.
 */
#include <string.h>
#include <zlib.h>

#include "../tests/sparse.h"
#include "volumes.h"

#define SIZE (256 * KiB) /* of a physical volume */
#define AREA 4096        /* of its metadata */

static uint32_t
checksum (const uint8_t *p, size_t len)
{
  return ~(uint32_t) crc32 (~0xf597a6cfU, p, (uInt) len);
}

static void
store32 (uint8_t *p, uint32_t v)
{
  v = htole32 (v);
  memcpy (p, &v, sizeof v);
}

static void
store64 (uint8_t *p, uint64_t v)
{
  v = htole64 (v);
  memcpy (p, &v, sizeof v);
}

/* Of the metadata area at P. */
static void
fix_area (uint8_t *p, size_t len)
{
  uint64_t off = load_le64 (p + 40), size = load_le64 (p + 48);
  uint64_t area = load_le64 (p + 32), first;
  uint8_t *text;

  area = MIN (area, len);
  if (off < area && off >= 512 && size <= area - 512 &&
      (text = malloc (size + 1))) {
    first = MIN (size, area - off);
    memcpy (text, p + off, first);
    memcpy (text + first, p + 512, size - first);
    store32 (p + 56, checksum (text, size));
    free (text);
  }
  store32 (p, checksum (p + 4, 508));
}

static void
fix_label (uint8_t *p, size_t size)
{
  for (size_t i = 0; i < 4 && (i + 1) * 512 <= size; i++) {
    uint8_t *l = p + i * 512;
    if (memcmp (l, "LABELONE", 8))
      continue;
    for (size_t at = 32 + 40; at + 16 <= 512; at += 16) {
      uint64_t off = load_le64 (l + at);
      if (off && range_within (off, 512, size))
        fix_area (p + off, size - off);
    }
    store32 (l + 16, checksum (l + 20, 492));
  }
}

static void
make_pv (uint8_t *p, char uuid, const uint8_t *text, size_t len)
{
  uint8_t *l = p + 512;

  memcpy (l, "LABELONE", 8);
  store64 (l + 8, 1);
  store32 (l + 20, 32);
  memcpy (l + 24, "LVM2 001", 8);
  memset (l + 32, uuid, 32);
  store64 (l + 64, SIZE);
  store64 (l + 72, 128 * KiB);
  store64 (l + 104, AREA);
  store64 (l + 112, 120 * KiB);
  memcpy (p + AREA + 4, " LVM2 x[5A%r0N*>", 16);
  store32 (p + AREA + 20, 1);
  store64 (p + AREA + 24, AREA);
  store64 (p + AREA + 32, 120 * KiB);
  store64 (p + AREA + 40, 512);
  store64 (p + AREA + 48, len);
  memcpy (p + AREA + 512, text, len);
  fix_label (p, SIZE);
}

static void
assemble (uint8_t *a, size_t a_size, uint8_t *b, size_t b_size)
{
  struct block_env env = { .dir_fd = -1 };
  CLEANUP_BLOCK struct block *pv0 = NULL, *pv1 = NULL;
  struct logical_set set = { 0 };
  struct err e = { 0 };
  struct member members[2] = {
    { .name = "partitions/1", .label = "partition 1" },
    { .name = "partitions/2", .label = "partition 2" },
  };

  if (block_mem_open (&env, a, a_size, &pv0, &e) == -1 ||
      block_mem_open (&env, b, b_size, &pv1, &e) == -1)
    return;
  members[0].block = pv0;
  members[1].block = pv1;
  if (lvm2_assemble (&set, members, b_size ? 2 : 1, &e) == -1)
    check_error (&e);
  drain (&set, members, 2);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_FREE uint8_t *a = NULL, *b = NULL;
  size_t n;

  if (is_sparse (data, size)) {
    a = sparse_expand (data, size, MiB, &n);
    if (!a)
      return 0;
    fix_label (a, n);
    assemble (a, n, a, 0);
    return 0;
  }
  a = calloc (1, SIZE);
  b = calloc (1, SIZE);
  if (!a || !b)
    return 0;
  make_pv (a, 'A', data, MIN (size, 100 * KiB));
  make_pv (b, 'B', data, 0);
  assemble (a, SIZE, b, SIZE);
  return 0;
}
