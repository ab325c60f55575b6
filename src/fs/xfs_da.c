/* xrayfs: XFS: the B+trees of hashes that index directories and attributes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XADS, Variable Length Record B+trees: the blocks of a
 * tree lie in the file that it indexes, and point at each other with block
 * numbers of that file.  A block is as large as a directory block, or one
 * block for attributes.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/xfs.h"

#define MAX_LEVELS 5 /* Linux: XFS_DA_NODE_MAXDEPTH */
#define ENTRY      8

uint32_t
xfs_da_hash (const char *name, size_t len)
{
  const unsigned char *p = (const unsigned char *) name;
  uint32_t hash = 0;

  /* Each byte is seven bits further left than the next. */
  for (size_t i = 0; i < len; i++)
    hash = p[i] ^ (hash << 7 | hash >> 25);
  return hash;
}

/* --- headers: forw, back, magic; version 5: and what it is ----------- */

size_t
xfs_da_info_size (const struct xfs *x)
{
  return xfs_is_v5 (x) ? 56 : 12;
}

/* Version 5 has 0x3 in place of the first digit. */
unsigned
xfs_da_magic (const struct xfs *x, const char *buf)
{
  unsigned magic = load_be16 (buf + 8);

  if (!xfs_is_v5 (x))
    return magic;
  switch (magic) {
  case 0x3ebe:
    return XFS_DA_NODE;
  case 0x3df1:
    return XFS_DIR_LEAF1;
  case 0x3dff:
    return XFS_DIR_LEAFN;
  case 0x3bee:
    return XFS_ATTR_LEAF;
  default:
    return 0;
  }
}

uint32_t
xfs_da_next (const char *buf)
{
  return load_be32 (buf);
}

/* --- going down ------------------------------------------------------ */

static int
bad_node (struct err *e, uint64_t lblk, const char *what)
{
  return err_set (e, EIO, "tree node at block %" PRIu64 ": %s", lblk, what);
}

static unsigned
node_level (const struct xfs *x, const char *buf)
{
  return load_be16 (buf + xfs_da_info_size (x) + 2);
}

/* An entry has the highest hash below it: the first that is not below HASH,
 * or the last. */
static int
node_search (const struct xfs *x, const char *buf, size_t size, uint32_t hash,
             uint64_t *lblk, struct err *e)
{
  size_t info = xfs_da_info_size (x);
  size_t header = info + (xfs_is_v5 (x) ? 8 : 4);
  unsigned lo = 0, n = load_be16 (buf + info), hi = n, mid;

  if (n == 0 || n > (size - header) / ENTRY)
    return bad_node (e, *lblk, "impossible number of entries");
  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (load_be32 (buf + header + (size_t) mid * ENTRY) < hash)
      lo = mid + 1;
    else
      hi = mid;
  }
  *lblk = load_be32 (buf + header + (size_t) MIN (lo, n - 1) * ENTRY + 4);
  return 0;
}

/* Ends, since each node must be one level below the one before. */
int
xfs_da_leaf (struct xfs *x, struct xfs_node *n, unsigned fork, uint64_t *lblk,
             uint32_t hash, char *buf, size_t size, struct err *e)
{
  unsigned level = 0;
  uint64_t at = *lblk;

  for (;;) {
    if (xfs_read_fork (x, XFS_DA, n, fork, at, size, buf, e) == -1)
      return -1;
    if (xfs_da_magic (x, buf) != XFS_DA_NODE)
      break;
    if (level == 1 || (level && node_level (x, buf) != level - 1))
      return bad_node (e, at, "wrong level");
    level = node_level (x, buf);
    if (level == 0 || level > MAX_LEVELS)
      return bad_node (e, at, "impossible level");
    if (node_search (x, buf, size, hash, &at, e) == -1)
      return -1;
  }
  if (level > 1)
    return bad_node (e, at, "a leaf above the lowest level");
  *lblk = at;
  return 0;
}
