/* xrayfs: XFS: does the log wait to be replayed?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Journaling Log.  The log is a ring of sectors of 512 bytes, each of
 * which begins with the number of the round that wrote it (its cycle); a
 * record begins with a header.  The head is where the cycle drops.  The log
 * is clean if the record before the head is that of an unmount and nothing
 * else: then the tail is the head.  What cannot be told apart from a crash is
 * called one.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define SECTOR 512
#define MAGIC  0xfeedbabe
/* Of a record, for which one header has room. */
#define HEADER_BYTES (32 * KiB)
#define MAX_RECORD   (256 * KiB)
#define UNMOUNT      0x20 /* oh_flags */

struct log {
  struct xfs *x;
  uint64_t start, n; /* byte offset; sectors */
};

static int
read_sector (const struct log *l, uint64_t i, char *buf, struct err *e)
{
  if (l->x->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (block_pread (l->x->block, buf, SECTOR, l->start + i * SECTOR, e) == -1)
    return err_in (e, "log sector %" PRIu64, i);
  return 0;
}

static int
read_cycle (const struct log *l, uint64_t i, uint32_t *ret, struct err *e)
{
  char buf[SECTOR];

  if (read_sector (l, i, buf, e) == -1)
    return -1;
  *ret = load_be32 (load_be32 (buf) == MAGIC ? buf + 4 : buf);
  return 0;
}

/* The first sector that has another cycle than the first one: all after it
 * are of the round before, or were never written. */
static int
find_head (const struct log *l, uint32_t first, uint64_t *ret, struct err *e)
{
  uint64_t lo = 0, hi = l->n, mid;
  uint32_t cycle = 0;

  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (read_cycle (l, mid, &cycle, e) == -1)
      return -1;
    if (cycle == first)
      lo = mid;
    else
      hi = mid;
  }
  *ret = hi;
  return 0;
}

/* HEADER begins the record at AT, the last before HEAD: is it the unmount
 * alone? */
static int
is_unmount (const struct log *l, const char *header, uint64_t at,
            uint64_t head, struct err *e)
{
  bool v2 = load_be32 (header + 8) & 2;
  uint64_t size = load_be32 (header + 320), len = load_be32 (header + 12);
  uint64_t headers = v2 ? MAX (div_up (size, HEADER_BYTES), 1) : 1;
  char op[SECTOR];

  if (load_be32 (header + 40) != 1 || len > MAX_RECORD ||
      headers > MAX_RECORD / HEADER_BYTES ||
      (at + headers + div_up (len, SECTOR)) % l->n != head % l->n)
    return 0;
  if (read_sector (l, (at + headers) % l->n, op, e) == -1)
    return -1;
  return op[9] & UNMOUNT ? 1 : 0;
}

/* Looks back from HEAD for the header of the last record. */
static int
judge (const struct log *l, uint64_t head, struct err *e)
{
  uint64_t most = MIN (l->n, (MAX_RECORD + HEADER_BYTES) / SECTOR);
  char buf[SECTOR];

  for (uint64_t i = 1; i <= most; i++) {
    uint64_t at = (head + l->n - i) % l->n;

    if (read_sector (l, at, buf, e) == -1)
      return -1;
    if (load_be32 (buf) == MAGIC)
      return is_unmount (l, buf, at, head, e);
  }
  return 0;
}

int
xfs_log_is_clean (struct xfs *x, struct err *e)
{
  struct log l = { .x = x };
  uint64_t head = 0;
  uint32_t first = 0;

  if (x->sb.log_start == 0)
    return 2;
  if (x->sb.log_blocks == 0 ||
      xfs_check_blocks (x, x->sb.log_start, x->sb.log_blocks, e) == -1)
    return err_set (e, EIO, "log: impossible place");
  l.start = xfs_block_offset (x, x->sb.log_start);
  l.n = ((uint64_t) x->sb.log_blocks << x->sb.block_log) / SECTOR;
  if (read_cycle (&l, 0, &first, e) == -1)
    return -1;
  /* Never written. */
  if (first == 0)
    return 1;
  if (find_head (&l, first, &head, e) == -1)
    return -1;
  return judge (&l, head, e);
}
