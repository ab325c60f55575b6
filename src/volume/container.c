/* xrayfs: superblocks that hold no files
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "volume/volume.h"

static const struct container_ops *const all[] = {
  &luks_container, &bitlocker_container, &swap_container, &swsuspend_container
};

const struct container_ops *
container_find (const char *type)
{
  for (size_t i = 0; i < ARRAY_SIZE (all); i++)
    if (!strcmp (all[i]->type, type))
      return all[i];
  return NULL;
}

void
container_info_free (struct container_info *c)
{
  buf_free (&c->features);
  *c = (struct container_info){ 0 };
}
