/* xrayfs: fuzz target: swap, LUKS, BitLocker
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a sparse image (tests/sparse.h), which each of them looks at.
 */
#include <string.h>

#include "../tests/sparse.h"
#include "volume/volume.h"
#include "volumes.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const char *const types[] = { "swap", "swsuspend", "crypto_LUKS",
                                       "BitLocker" };
  struct block_env env = { .dir_fd = -1 };
  CLEANUP_BLOCK struct block *b = NULL;
  struct container_info c;
  struct err e = { 0 };
  CLEANUP_FREE uint8_t *image = NULL;
  size_t end;

  if (!is_sparse (data, size))
    return 0;
  image = sparse_expand (data, size, MiB, &end);
  if (!image || block_mem_open (&env, image, end, &b, &e) == -1)
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE (types); i++) {
    c = (struct container_info){ 0 };
    err_clear (&e);
    if (container_find (types[i])->info (b, &c, &e) == -1) {
      check_error (&e);
      continue;
    }
    if (!memchr (c.state, '\0', sizeof c.state) ||
        !memchr (c.hidden, '\0', sizeof c.hidden))
      abort ();
    container_info_free (&c);
  }
  return 0;
}
