/* xrayfs: fuzz target: superblocks of md
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a sparse image (tests/sparse.h) of up to three members of
 * 256 KiB, one behind the other; the checksums of their superblocks are made
 * right.
 */
#include <string.h>

#include "../tests/sparse.h"
#include "volumes.h"

#define MEMBER  (256 * KiB)
#define MEMBERS 3

static void
store32 (uint8_t *p, uint32_t v, bool big)
{
  v = big ? htobe32 (v) : htole32 (v);
  memcpy (p, &v, sizeof v);
}

/* Of a superblock of version 1. */
static void
fix1 (uint8_t *sb)
{
  size_t len = 256 + 2 * (size_t) MIN (load_le32 (sb + 220), 1920), i;
  uint64_t sum = 0;

  for (i = 0; i + 4 <= len; i += 4)
    sum += i == 216 ? 0 : load_le32 (sb + i);
  if (i < len)
    sum += load_le16 (sb + i);
  store32 (sb + 216, (uint32_t) sum + (uint32_t) (sum >> 32), false);
}

static void
fix0 (uint8_t *sb, bool big)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < 1024; i++)
    sum += i == 38 ? 0
           : big   ? load_be32 (sb + 4 * i)
                   : load_le32 (sb + 4 * i);
  store32 (sb + 4 * 38, (uint32_t) sum + (uint32_t) (sum >> 32), big);
}

static void
fix (uint8_t *p)
{
  static const size_t places[] = { 0, 4096, MEMBER - 8192 };
  uint8_t *old = p + MEMBER - 64 * KiB;

  for (size_t i = 0; i < ARRAY_SIZE (places); i++)
    if (load_le32 (p + places[i]) == 0xa92b4efc)
      fix1 (p + places[i]);
  if (load_le32 (old) == 0xa92b4efc || load_be32 (old) == 0xa92b4efc)
    fix0 (old, load_be32 (old) == 0xa92b4efc);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct block_env env = { .dir_fd = -1 };
  struct member members[MEMBERS] = { { .name = NULL } };
  struct block *blocks[MEMBERS] = { NULL };
  struct logical_set set = { 0 };
  struct err e = { 0 };
  CLEANUP_FREE uint8_t *image = NULL;
  size_t end;

  if (!is_sparse (data, size))
    return 0;
  image = sparse_expand (data, size, MEMBER * MEMBERS, &end);
  if (!image)
    return 0;
  for (size_t i = 0; i < MEMBERS; i++) {
    fix (image + i * MEMBER);
    if (block_mem_open (&env, image + i * MEMBER, MEMBER, &blocks[i], &e) ==
        -1)
      abort ();
    members[i] = (struct member){ .block = blocks[i],
                                  .name = "partitions/1",
                                  .label = "partition 1" };
  }
  if (md_assemble (&set, members, MEMBERS, &e) == -1)
    check_error (&e);
  drain (&set, members, MEMBERS);
  for (size_t i = 0; i < MEMBERS; i++)
    block_close (blocks[i]);
  return 0;
}
