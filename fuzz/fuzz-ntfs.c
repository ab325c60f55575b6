/* xrayfs: fuzz target: the fixups of an NTFS image
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each sector of a record of the MFT, of the log or of an index ends with a
 * number that the record has too: it is made right wherever there is a
 * record, so that what the fuzzer changes is not taken for one written in
 * part.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"

/* The library forgets what it has of a volume that it gives up to mount. */
const char *__lsan_default_suppressions (void);
void ntfs_make_fixups (uint8_t *image, size_t image_size, const uint8_t *data,
                       size_t size);

const char *
__lsan_default_suppressions (void)
{
  return "leak:ntfs_device_mount\nleak:libntfs-3g.so\n";
}

static void
fix_record (uint8_t *p, size_t left)
{
  size_t usa = load_le16 (p + 4), count = load_le16 (p + 6);

  if (usa % 2 || count < 2 || !range_within (usa, 2 * count, 512) ||
      (count - 1) * 512 > left)
    return;
  for (size_t i = 1; i < count; i++)
    memcpy (p + i * 512 - 2, p + usa, 2);
}

static bool
is_record (const uint8_t *p)
{
  return !memcmp (p, "FILE", 4) || !memcmp (p, "INDX", 4) ||
         !memcmp (p, "RSTR", 4);
}

void
ntfs_make_fixups (uint8_t *image, size_t image_size,
                  const uint8_t *data unused_arg, size_t size unused_arg)
{
  for (size_t at = 0; range_within (at, 512, image_size); at += 512)
    if (is_record (image + at))
      fix_record (image + at, image_size - at);
}
