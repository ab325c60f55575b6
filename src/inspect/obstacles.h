/* xrayfs: what the files about start-up obstacles share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_OBSTACLES_H
#define XRAYFS_INSPECT_OBSTACLES_H

#include "inspect/image_priv.h"

/* Sets what a BIOS and the code in the first sector meet: no boot code, no
 * active partition, no core of GRUB. */
int obstacles_look_at_disk (struct image *img, const struct boot *b,
                            struct obstacles *o, struct err *e) must_check;

#endif
