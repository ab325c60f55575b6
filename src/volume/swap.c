/* xrayfs: swap areas, and the suspended systems in them
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * union swap_header of the kernel's include/linux/swap.h: the first page ends
 * with a signature; version 1 (and 0, of which no numbers are known) has at
 * 1024 its version, the number of the last page and that of bad pages, in the
 * byte order of the machine.  A system that is suspended to disk leaves
 * another signature in its place.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "volume/volume.h"

#define HEAD      1024
#define MIN_PAGE  UINT64_C (4096)
#define MAX_PAGE  UINT64_C (65536)
#define SIGNATURE 10

static const struct {
  const char *text;
  bool suspended;
} signatures[] = {
  { "SWAPSPACE2", false }, { "SWAP-SPACE", false }, { "S1SUSPEND", true },
  { "S2SUSPEND", true },   { "ULSUSPEND", true },   { "LINHIB0001", true },
};

struct swap {
  uint64_t page;
  bool suspended, version0;
};

/* As libblkid: the smallest page that has one. */
static int
find_page (struct block *b, struct swap *ret, struct err *e)
{
  char text[SIGNATURE];

  for (uint64_t page = MIN_PAGE; page <= MAX_PAGE; page *= 2) {
    if (!range_within (page - SIGNATURE, SIGNATURE, b->size))
      break;
    if (block_pread (b, text, SIGNATURE, page - SIGNATURE, e) == -1)
      return -1;
    for (size_t i = 0; i < ARRAY_SIZE (signatures); i++)
      if (!memcmp (text, signatures[i].text, strlen (signatures[i].text))) {
        *ret = (struct swap){ page, signatures[i].suspended, i == 1 };
        return 0;
      }
  }
  return err_set (e, EINVAL, "no signature of swap is where one was seen");
}

static int
swap_info (struct block *b, struct container_info *ret, struct err *e)
{
  unsigned char h[12];
  struct swap s = { 0 };
  bool big;

  if (find_page (b, &s, e) == -1 || block_pread (b, h, 12, HEAD, e) == -1)
    return err_in (e, "swap");
  big = load_be32 (h) == 1;
  *ret = (struct container_info){ .size = UINT64_MAX };
  if (!s.version0 && (big || load_le32 (h) == 1))
    ret->size = (big ? load_be32 (h + 4) : load_le32 (h + 4)) * s.page;
  buf_printf (&ret->features, "page=%" PRIu64 "%s", s.page,
              big ? " big-endian" : "");
  snprintf (ret->state, sizeof ret->state, "%s",
            s.suspended ? "hibernated" : "clean");
  return 0;
}

const struct container_ops swap_container = { "swap", swap_info };
const struct container_ops swsuspend_container = { "swsuspend", swap_info };
