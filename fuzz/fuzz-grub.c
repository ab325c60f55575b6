/* xrayfs: fuzz target: grub.cfg, its environment block and BLS entries
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a configuration, and behind a NUL the environment block.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/grub.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Paths that end with "a" are there, and hold the environment block. */
static int
read_file (void *arg, const char *path, struct buf *ret, struct err *e)
{
  size_t len = strlen (path);

  if (!arg || !len || path[len - 1] != 'a')
    return len && path[len - 1] == 'b' ? 2 : 0;
  buf_puts (ret, arg);
  return buf_check (ret, e) == -1 ? -1 : 1;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_FREE char *text = strndup ((const char *) data, size);
  CLEANUP_FREE char *bls = strndup ((const char *) data, size);
  size_t len = strnlen ((const char *) data, size);
  CLEANUP_FREE char *env =
      len < size ? strndup ((const char *) data + len + 1, size - len - 1)
                 : NULL;
  struct boot_entry b = { 0 };
  struct err e = { 0 };
  const struct grub_files files = { read_file, env };
  struct grub_vars vars = { .env = env, .files = &files };
  struct grub_bls in_files;

  if (!text || !bls)
    return 0;
  if (grub_default (text, &vars, &b, &in_files, &e) == 1 && !b.linux_path)
    abort ();
  boot_entry_free (&b);
  free (in_files.key);
  if (bls_entry (bls, "id", &vars, &b, &e) == 0)
    boot_entry_free (&b);
  grub_vars_free (&vars);
  return 0;
}
