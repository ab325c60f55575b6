/* xrayfs: what is common to logical volumes and arrays
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "volume/logical.h"

static void
logical_free (struct logical *l)
{
  if (!l)
    return;
  free (l->name);
  free (l->vg);
  free (l->lv);
  free (l->array);
  buf_free (&l->segments);
  block_close (l->block);
  free (l);
}

void
logical_set_free (struct logical_set *set)
{
  for (size_t i = 0; i < set->volumes.len; i++)
    logical_free (set->volumes.items[i]);
  free (set->volumes.items);
  /* Those above come behind those below. */
  for (size_t i = set->n_hidden; i > 0; i--)
    block_close (set->hidden[i - 1]);
  free (set->hidden);
  buf_free (&set->notes);
  *set = (struct logical_set){ 0 };
}

void
member_free (struct member *m)
{
  buf_free (&m->features);
  *m = (struct member){ 0 };
}
