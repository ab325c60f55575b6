/* xrayfs: fuzz target: an initramfs
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Any bytes: cpio archives, compressed or not, one after another.  The names
 * that are told must be strings, the modules sorted, and no read may lie
 * beyond the end.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/initramfs.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

struct input {
  const uint8_t *data;
  size_t size;
};

static int
input_pread (void *arg, void *buf, size_t len, uint64_t off, size_t *ret,
             struct err *e unused_arg)
{
  const struct input *in = arg;

  if (off > in->size)
    abort ();
  *ret = MIN (len, in->size - off);
  memcpy (buf, in->data + off, *ret);
  return 0;
}

static void
take_name (void *arg, const char *name)
{
  *(size_t *) arg += strlen (name);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct input in = { data, size };
  struct initramfs_source s = { input_pread, &in, size, NULL };
  struct initramfs i;
  struct err e = { 0 };
  size_t total = 0;

  if (initramfs_read (&s, "6.1", take_name, &total, &i, &e) == -1) {
    if (!e.code || !e.msg[0] || strchr (e.msg, '\n'))
      abort ();
    return 0;
  }
  for (size_t k = 0; k < i.modules.len; k++)
    if (!initramfs_has (&i, i.modules.items[k]))
      abort ();
  initramfs_free (&i);
  return 0;
}
