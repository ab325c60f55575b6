/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "volume/logical.h"
int
lvm2_assemble (struct logical_set *set unused_arg, struct member *members,
               size_t n, struct err *e unused_arg)
{
  for (size_t i = 0; i < n; i++)
    err_set (&members[i].err, ENOTSUP, "%s: LVM2 is not read yet",
             members[i].label);
  return 0;
}
