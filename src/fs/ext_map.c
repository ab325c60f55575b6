/* xrayfs: ext: where the blocks of a file lie
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Extent trees as Documentation/filesystems/ext4/ifork.rst has them, checked
 * as the kernel checks them (ext4_valid_extent_entries): a tree that is out
 * of order is an error, never a hole.  The leaf found last is kept, so that
 * reading a file through descends once per leaf.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext.h"

#define HEADER_SIZE  12
#define ENTRY_SIZE   12
#define MAX_INIT_LEN 32768 /* ee_len above it: unwritten */
#define N_DIRECT     12

/* What a call answers with. */
struct answer {
  enum extent_kind kind;
  uint64_t block, count;
};

/* --- extent trees ---------------------------------------------------- */

static const char *
entry_at (const void *header, unsigned i)
{
  return (const char *) header + HEADER_SIZE + i * ENTRY_SIZE;
}

static unsigned
n_entries (const void *header)
{
  return load_le16 ((const char *) header + 2);
}

static unsigned
depth_of (const void *header)
{
  return load_le16 ((const char *) header + 6);
}

static uint64_t
index_target (const char *entry)
{
  return load_le32 (entry + 4) | (uint64_t) load_le16 (entry + 8) << 32;
}

static uint64_t
extent_first (const char *entry)
{
  return load_le32 (entry);
}

static uint64_t
extent_count (const char *entry)
{
  unsigned len = load_le16 (entry + 4);

  return len > MAX_INIT_LEN ? len - MAX_INIT_LEN : len;
}

static bool
extent_unwritten (const char *entry)
{
  return load_le16 (entry + 4) > MAX_INIT_LEN;
}

static uint64_t
extent_start (const char *entry)
{
  return load_le32 (entry + 8) | (uint64_t) load_le16 (entry + 6) << 32;
}

static int
bad_tree (struct err *e, const char *what)
{
  return err_set (e, EIO, "extent tree: %s", what);
}

/* Every entry lies after the one before. */
static int
check_order (const void *header, struct err *e)
{
  bool leaf = depth_of (header) == 0;
  uint64_t end = 0, first, len;

  for (unsigned i = 0; i < n_entries (header); i++) {
    first = load_le32 (entry_at (header, i));
    len = leaf ? extent_count (entry_at (header, i)) : 1;
    if (len == 0)
      return bad_tree (e, "extent of no blocks");
    if (first < end || first + len > UINT64_C (1) << 32)
      return bad_tree (e, "extents are out of order");
    end = first + len;
  }
  return 0;
}

static int
check_header (const void *header, size_t size, struct err *e)
{
  unsigned max = load_le16 ((const char *) header + 4);

  if (load_le16 (header) != EXT3_EXT_MAGIC)
    return bad_tree (e, "wrong magic");
  if (max > (size - HEADER_SIZE) / ENTRY_SIZE || n_entries (header) > max)
    return bad_tree (e, "too many entries");
  if (n_entries (header) == 0 && depth_of (header) > 0)
    return bad_tree (e, "index without entries");
  return check_order (header, e);
}

/* Reads a node below the root; its checksum follows its entries. */
static int
read_node (struct ext *x, struct ext_node *node, uint64_t nr, unsigned depth,
           void *buf, struct err *e)
{
  unsigned max;

  if (ext_check_block (x, nr, e) == -1 ||
      ext_read_block (x, nr, buf, e) == -1)
    return err_in (e, "extent tree");
  if (check_header (buf, x->block_size, e) == -1)
    return -1;
  if (depth_of (buf) != depth)
    return bad_tree (e, "node of another depth");
  max = load_le16 ((const char *) buf + 4);
  if (ext2fs_has_feature_metadata_csum (x->lib->super) &&
      (HEADER_SIZE + (max * ENTRY_SIZE) + 4 > x->block_size ||
       !ext2fs_extent_block_csum_verify (x->lib, node->ino, buf)))
    return err_set (e, EIO,
                    "checksum of extent tree block %" PRIu64 " is wrong", nr);
  return 0;
}

/* The last entry that begins at or before LBLK; the first if none does. */
static unsigned
search (const void *header, uint64_t lblk)
{
  unsigned lo = 0, hi = n_entries (header), mid;

  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (load_le32 (entry_at (header, mid)) <= lblk)
      lo = mid;
    else
      hi = mid;
  }
  return lo;
}

static int
descend (struct ext *x, struct ext_node *node, uint64_t lblk, struct err *e)
{
  const void *header = node->raw->i_block;
  uint64_t first = 0, end = UINT64_C (1) << 32;
  unsigned i;

  if (check_header (header, sizeof node->raw->i_block, e) == -1)
    return -1;
  if (depth_of (header) > EXT_MAX_DEPTH)
    return bad_tree (e, "too deep");
  for (unsigned depth = depth_of (header); depth > 0; depth--) {
    if (!node->leaf_block && !(node->leaf_block = malloc (x->block_size)))
      return err_set (e, ENOMEM, "out of memory");
    i = search (header, lblk);
    if (i > 0)
      first = extent_first (entry_at (header, i));
    if (i + 1 < n_entries (header))
      end = MIN (end, extent_first (entry_at (header, i + 1)));
    if (read_node (x, node, index_target (entry_at (header, i)), depth - 1,
                   node->leaf_block, e) == -1)
      return -1;
    header = node->leaf_block;
  }
  node->leaf = header;
  node->leaf_first = first;
  node->leaf_end = end;
  return 0;
}

static int
find_leaf (struct ext *x, struct ext_node *node, uint64_t lblk, struct err *e)
{
  if (node->leaf && lblk >= node->leaf_first && lblk < node->leaf_end)
    return 0;
  node->leaf = NULL;
  return descend (x, node, lblk, e);
}

/* Extents that go on where entry I ends, on the disk too, are one. */
static uint64_t
run_length (const void *leaf, unsigned i)
{
  uint64_t sum = 0;

  for (const char *x = entry_at (leaf, i), *next;; x = next) {
    sum += extent_count (x);
    if (++i >= n_entries (leaf))
      return sum;
    next = entry_at (leaf, i);
    if (extent_first (next) != extent_first (x) + extent_count (x) ||
        extent_unwritten (next) != extent_unwritten (x) ||
        (!extent_unwritten (x) &&
         extent_start (next) != extent_start (x) + extent_count (x)))
      return sum;
  }
}

/* A hole ends with the next extent, or with what the leaf covers. */
static uint64_t
hole_length (const struct ext_node *node, unsigned i, uint64_t lblk)
{
  for (; i < n_entries (node->leaf); i++)
    if (extent_first (entry_at (node->leaf, i)) > lblk)
      return extent_first (entry_at (node->leaf, i)) - lblk;
  return node->leaf_end > lblk ? node->leaf_end - lblk : 1;
}

static int
map_extents (struct ext *x, struct ext_node *node, uint64_t lblk,
             struct answer *ret, struct err *e)
{
  const char *entry;
  uint64_t skip;
  unsigned i;

  if (lblk >> 32)
    return err_set (e, EIO, "block %" PRIu64 " of a file is too far", lblk);
  if (find_leaf (x, node, lblk, e) == -1)
    return -1;
  i = search (node->leaf, lblk);
  entry = entry_at (node->leaf, i);
  if (i >= n_entries (node->leaf) || lblk < extent_first (entry) ||
      lblk - extent_first (entry) >= extent_count (entry)) {
    *ret =
        (struct answer){ EXTENT_UNALLOCATED, 0, hole_length (node, i, lblk) };
    return 0;
  }
  skip = lblk - extent_first (entry);
  *ret = (struct answer){
    extent_unwritten (entry) ? EXTENT_ZERO : EXTENT_DATA,
    extent_start (entry) + skip,
    run_length (node->leaf, i) - skip,
  };
  return 0;
}

/* --- indirect blocks ------------------------------------------------- */

/* A table of N pointers: in the inode (native byte order, the library has
 * swapped it) or in a block. */
struct table {
  const uint32_t *ptr;
  unsigned n;
  bool native;
};

static uint64_t
pointer (const struct table *t, unsigned i)
{
  return t->native ? t->ptr[i] : load_le32 (t->ptr + i);
}

/* How many pointers from I on are holes, or data that lies together. */
static unsigned
alike (const struct table *t, unsigned i, bool leaf)
{
  uint64_t first = pointer (t, i);
  unsigned n = 1;

  while (i + n < t->n &&
         pointer (t, i + n) == (first && leaf ? first + n : 0) &&
         (leaf || !first))
    n++;
  return n;
}

static void
answer_leaf (const struct table *t, unsigned i, struct answer *ret)
{
  uint64_t block = pointer (t, i);

  *ret = (struct answer){ block ? EXTENT_DATA : EXTENT_UNALLOCATED, block,
                          alike (t, i, true) };
}

static int
read_table (struct ext *x, uint64_t nr, struct table *ret, struct err *e)
{
  if (ext_check_block (x, nr, e) == -1 ||
      ext_read_block (x, nr, x->table_block, e) == -1)
    return err_in (e, "indirect block");
  *ret = (struct table){ (const uint32_t *) x->table_block, x->block_size / 4,
                         false };
  return 0;
}

/* Goes down from block NR, a table of LEVEL levels each entry of which
 * covers SPAN blocks; LBLK counts from its first. */
static int
map_tables (struct ext *x, uint64_t nr, unsigned level, uint64_t span,
            uint64_t lblk, struct answer *ret, struct err *e)
{
  struct table t = { 0 };
  unsigned i;

  for (;; level--, span /= x->block_size / 4) {
    if (read_table (x, nr, &t, e) == -1)
      return -1;
    i = lblk / span;
    lblk %= span;
    if (level == 1) {
      answer_leaf (&t, i, ret);
      return 0;
    }
    nr = pointer (&t, i);
    if (nr == 0) {
      *ret = (struct answer){ EXTENT_UNALLOCATED, 0,
                              alike (&t, i, false) * span - lblk };
      return 0;
    }
  }
}

static int
map_indirect (struct ext *x, struct ext_node *node, uint64_t lblk,
              struct answer *ret, struct err *e)
{
  struct table direct = { node->raw->i_block, N_DIRECT, true };
  uint64_t per = x->block_size / 4, span = 1;

  if (lblk < N_DIRECT) {
    answer_leaf (&direct, lblk, ret);
    return 0;
  }
  lblk -= N_DIRECT;
  for (unsigned level = 1; level <= 3; level++, span *= per) {
    if (lblk >= span * per) {
      lblk -= span * per;
      continue;
    }
    if (node->raw->i_block[N_DIRECT + level - 1])
      return map_tables (x, node->raw->i_block[N_DIRECT + level - 1], level,
                         span, lblk, ret, e);
    *ret = (struct answer){ EXTENT_UNALLOCATED, 0, span * per - lblk };
    return 0;
  }
  return err_set (e, EIO, "block %" PRIu64 " of a file is too far", lblk);
}

/* --- both ------------------------------------------------------------ */

int
ext_map_blocks (struct ext *x, struct ext_node *node, uint64_t lblk,
                enum extent_kind *ret_kind, uint64_t *ret_block,
                uint64_t *ret_count, struct err *e)
{
  struct answer a = { 0 };
  int r;

  if (node->raw->i_flags & EXT4_EXTENTS_FL)
    r = map_extents (x, node, lblk, &a, e);
  else
    r = map_indirect (x, node, lblk, &a, e);
  if (r == -1)
    return -1;
  if (a.kind == EXTENT_DATA) {
    if (ext_check_block (x, a.block, e) == -1)
      return -1;
    a.count = MIN (a.count, x->n_blocks - a.block);
  }
  *ret_kind = a.kind;
  *ret_block = a.block;
  *ret_count = a.count;
  return 0;
}

int
ext_read_small (struct ext *x, struct ext_node *node, void *buf, size_t len,
                struct err *e)
{
  uint64_t block = 0, count = 0;
  enum extent_kind kind = EXTENT_ZERO;
  size_t n;

  for (size_t done = 0; done < len; done += n) {
    if (ext_map_blocks (x, node, done / x->block_size, &kind, &block, &count,
                        e) == -1)
      return -1;
    n = MIN (len - done, x->block_size);
    if (kind != EXTENT_DATA)
      memset ((char *) buf + done, 0, n);
    else if (ext_read_block (x, block, x->table_block, e) == -1)
      return -1;
    else
      memcpy ((char *) buf + done, x->table_block, n);
  }
  return 0;
}
