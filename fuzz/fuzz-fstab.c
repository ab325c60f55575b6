/* xrayfs: fuzz target: fstab, mount units, options and names of devices
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/fstab.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_line (const struct mount_line *m)
{
  struct device_name d;
  const char *value = NULL;
  size_t len = 0;

  device_parse (m->device, &d);
  if (strlen (d.name) >= sizeof d.name)
    abort ();
  if (m->kind == MOUNT_DEVICE && d.kind == DEVICE_NONE)
    abort ();
  if (m->point[0] == '/' && strstr (m->point, "//"))
    abort ();
  if (mount_option (m->options, "subvol", &value, &len) && value &&
      (value < m->options || value + len > m->options + strlen (m->options)))
    abort ();
  mount_is_optional (m);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_FREE char *fstab = strndup ((const char *) data, size);
  CLEANUP_FREE char *unit = strndup ((const char *) data, size);
  CLEANUP_MOUNT_LINES struct mount_line_vec lines = { 0 };
  struct err e = { 0 };

  if (!fstab || !unit)
    return 0;
  if (fstab_parse (fstab, &lines, &e) == -1 && e.code != EFBIG)
    abort ();
  err_clear (&e);
  if (mount_unit_parse (unit, &lines, &e) == -1 && e.code != EFBIG)
    abort ();
  for (size_t i = 0; i < lines.len; i++)
    check_line (&lines.items[i]);
  return 0;
}
