/* xrayfs: qcow2: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "block/qcow2.h"

int
qcow2_check (struct block *b, struct block_check *c, struct err *e unused_arg)
{
  const struct qcow2 *q = b->priv;

  if (q->data && block_missing_reason (q->data))
    block_check_error (c, "data file '%s': %s", q->data_file,
                       block_missing_reason (q->data));
  return 0;
}
