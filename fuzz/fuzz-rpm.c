/* xrayfs: fuzz target: rpm's databases
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The first byte chooses the store, the rest is its file, on a filesystem
 * that has that one file.  All that is told of a package must be text.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/rpm.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* SQLite's own limit: it reads a page at a time. */
#define MAX_PACKAGES 1000

static int
file_pread (struct fs *fs, uint64_t ino unused_arg, void *buf, size_t len,
            uint64_t off, struct err *e unused_arg)
{
  memcpy (buf, (const uint8_t *) fs->priv + off, len);
  return 0;
}

static const struct fs_ops ops = { .name = "one-file", .pread = file_pread };

static unsigned char seen; /* so that every byte is really read */

/* What is told of a blob; the checks of give_header are done by hand, since
 * a store may give anything. */
static int
take_blob (void *arg, const void *blob, size_t len)
{
  size_t *n = arg;

  for (size_t i = 0; i < len; i += 512)
    seen ^= ((const unsigned char *) blob)[i];
  return ++*n >= MAX_PACKAGES;
}

static int
take_header (void *arg, const struct rpm_header *h)
{
  static const enum rpm_tag tags[] = { RPM_NAME, RPM_VERSION, RPM_VENDOR };
  size_t *n = arg;
  uint32_t number;

  for (size_t i = 0; i < ARRAY_SIZE (tags); i++) {
    const char *s = rpm_string (h, tags[i]);
    *n += s ? strlen (s) : 0;
  }
  rpm_number (h, RPM_EPOCH, 0, &number);
  rpm_owns (h, "/boot/vmlinuz");
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static int (*const stores[]) (
      const struct vfs_file *, rpm_blob_fn, void *,
      struct err *) = { rpm_sqlite_each, rpm_ndb_each, rpm_bdb_each };
  struct fs fs = { .ops = &ops, .lock = PTHREAD_MUTEX_INITIALIZER };
  struct err e = { 0 };
  size_t n = 0;

  if (size == 0)
    return 0;
  fs.priv = (void *) (data + 1);
  struct vfs_file f = { &fs, 1, size - 1 };
  if (data[0] % 4 == 3) {
    if (rpm_header_read (data + 1, size - 1, take_header, &n, &e) == -1 &&
        !e.code)
      abort ();
  } else if (stores[data[0] % 4](&f, take_blob, &n, &e) == -1 &&
             (!e.code || !e.msg[0] || strchr (e.msg, '\n')))
    abort ();
  return 0;
}
