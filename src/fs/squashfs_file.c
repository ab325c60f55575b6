/* xrayfs: squashfs: file data
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The blocks of a file follow each other; behind its inode lie their sizes, a
 * word each: a block's place is the sum of those before it.  Checkpoints
 * remember some of the sums.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/squashfs.h"

/* So many blocks without data make one hole at a time: the lock is not held
 * for longer. */
#define MAX_HOLE 65536

/* Against a list that goes on for hours: holes take next to no space.  1 TiB
 * in blocks of 4 KiB, 32 TiB in those of 128 KiB. */
#define MAX_BLOCKS (UINT64_C (1) << 28)

/* Where a part of a file lies. */
struct piece {
  uint64_t off;   /* of the file */
  size_t len;     /* bytes */
  uint64_t start; /* of the block */
  uint32_t word;  /* 0: a hole */
  size_t whole;   /* bytes that the block must give; 0: any number */
  size_t skip;    /* bytes of the block before the piece */
};

/* --- checkpoints ----------------------------------------------------- */

/* Every second one goes when there are too many. */
static void
thin_out (struct squashfs_node *n)
{
  for (size_t i = 0; i < n->n_checkpoints / 2; i++)
    n->checkpoints[i] = n->checkpoints[i * 2 + 1];
  n->n_checkpoints /= 2;
  n->spacing *= 2;
}

/* Checkpoint I is that of block (I + 1) * spacing. */
static int
remember (struct squashfs_node *n, struct err *e)
{
  if (n->last.index != (n->n_checkpoints + 1) * n->spacing)
    return 0;
  if (!n->checkpoints)
    n->checkpoints = calloc (SQUASHFS_CHECKPOINTS, sizeof *n->checkpoints);
  if (!n->checkpoints)
    return err_set (e, ENOMEM, "out of memory");
  n->checkpoints[n->n_checkpoints++] = n->last;
  if (n->n_checkpoints == SQUASHFS_CHECKPOINTS)
    thin_out (n);
  return 0;
}

/* Goes back to what is remembered before block INDEX. */
static void
go_back (struct squashfs_node *n, uint64_t index)
{
  size_t i = MIN (index / n->spacing, n->n_checkpoints);

  n->last = i > 0 ? n->checkpoints[i - 1]
                  : (struct squashfs_checkpoint){ 0, n->start, n->rest.block,
                                                  n->rest.offset };
}

/* Is there a checkpoint between where we are and block INDEX? */
static bool
can_jump (const struct squashfs_node *n, uint64_t index)
{
  uint64_t i = MIN (index / n->spacing, n->n_checkpoints);

  return i > 0 && n->checkpoints[i - 1].index > n->last.index;
}

/* The size of the block that `last` stands at, which moves on. */
static int
next_word (struct squashfs *s, struct squashfs_node *n, uint32_t *ret,
           struct err *e)
{
  struct squashfs_place at = { n->last.list_block, n->last.list_offset,
                               n->rest.end };
  uint64_t start = n->last.data;
  char word[4];

  if (squashfs_read_metadata (s, &at, word, sizeof word, e) == -1)
    return err_in (e, "list of blocks");
  *ret = load_le32 (word);
  if (*ret != 0 && squashfs_check_block (s, start, *ret, e) == -1)
    return -1;
  n->last = (struct squashfs_checkpoint){ n->last.index + 1,
                                          start + squashfs_stored (*ret),
                                          at.block, at.offset };
  return remember (n, e);
}

static int
find_block (struct squashfs *s, struct squashfs_node *n, uint64_t index,
            uint64_t *ret_start, uint32_t *ret_word, struct err *e)
{
  if (index < n->last.index || can_jump (n, index))
    go_back (n, index);
  do {
    *ret_start = n->last.data;
    if (next_word (s, n, ret_word, e) == -1)
      return -1;
  } while (n->last.index <= index);
  return 0;
}

/* --- pieces ---------------------------------------------------------- */

/* An entry of the fragment table: place and size. */
static int
find_fragment (struct squashfs *s, const struct squashfs_node *n,
               struct piece *p, struct err *e)
{
  char entry[16];

  if (n->fragment >= s->sb.fragments ||
      s->sb.fragment_table == SQUASHFS_ABSENT)
    return err_set (e, EIO, "fragment %" PRIu32 " of %" PRIu32, n->fragment,
                    s->sb.fragments);
  if (squashfs_read_entry (s, s->sb.fragment_table, n->fragment, entry,
                           sizeof entry, e) == -1)
    return err_in (e, "fragment %" PRIu32, n->fragment);
  p->start = load_le64 (entry);
  p->word = load_le32 (entry + 8);
  p->skip = n->fragment_offset;
  p->whole = 0;
  return squashfs_check_block (s, p->start, p->word, e);
}

/* The block or fragment that has OFF. */
static int
find_piece (struct squashfs *s, struct squashfs_node *n, uint64_t off,
            struct piece *ret, struct err *e)
{
  uint64_t index = off >> s->sb.block_log;

  if (n->n_blocks > MAX_BLOCKS)
    return err_set (e, ENOTSUP, "file of %" PRIu64 " blocks", n->n_blocks);
  ret->off = index << s->sb.block_log;
  ret->len = MIN (s->sb.block_size, n->size - ret->off);
  ret->whole = ret->len;
  ret->skip = 0;
  if (index >= n->n_blocks)
    return find_fragment (s, n, ret, e);
  return find_block (s, n, index, &ret->start, &ret->word, e);
}

static int
get_file (struct squashfs *s, uint64_t ino, struct squashfs_node **ret,
          struct err *e)
{
  if (squashfs_node_get (s, ino, ret, e) == -1)
    return -1;
  return fs_regular ((*ret)->mode, e);
}

/* The bytes of the hole that P is the first block of. */
static int
measure_hole (struct squashfs *s, struct squashfs_node *n,
              const struct piece *p, uint64_t *ret, struct err *e)
{
  struct piece next = *p;
  uint64_t end = p->off;

  for (unsigned i = 0; i < MAX_HOLE; i++) {
    end = next.off + next.len;
    if (end >= n->size || end >> s->sb.block_log >= n->n_blocks)
      break;
    if (find_piece (s, n, end, &next, e) == -1)
      return -1;
    if (next.word != 0)
      break;
  }
  *ret = end - p->off;
  return 0;
}

int
squashfs_map (struct fs *fs, uint64_t ino, uint64_t off, uint64_t len,
              struct extent *ret, struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_node *n;
  struct piece p = { 0 };
  uint64_t skip, hole;

  if (get_file (s, ino, &n, e) == -1 || find_piece (s, n, off, &p, e) == -1)
    return -1;
  skip = off - p.off;
  if (p.word == 0) {
    if (measure_hole (s, n, &p, &hole, e) == -1)
      return -1;
    *ret = extent_of (EXTENT_UNALLOCATED, MIN (len, hole - skip));
    return 0;
  }
  len = MIN (len, p.len - skip);
  if (!squashfs_is_plain (p.word)) {
    *ret = extent_of (EXTENT_COMPRESSED, len);
    return 0;
  }
  if ((p.whole && squashfs_stored (p.word) != p.whole) ||
      !range_within (p.skip, p.len, squashfs_stored (p.word)))
    return err_set (e, EIO, "block at 0x%" PRIx64 " has %" PRIu32 " bytes",
                    p.start, squashfs_stored (p.word));
  *ret = extent_data (len, fs->block, p.start + p.skip + skip);
  return 0;
}

int
squashfs_pread (struct fs *fs, uint64_t ino, void *buf, size_t len,
                uint64_t off, struct err *e)
{
  struct squashfs *s = fs->priv;
  struct squashfs_node *n;
  struct piece p = { 0 };
  size_t here;

  if (get_file (s, ino, &n, e) == -1)
    return -1;
  for (char *to = buf; len > 0; to += here, off += here, len -= here) {
    if (find_piece (s, n, off, &p, e) == -1)
      return -1;
    here = MIN (len, p.off + p.len - off);
    if (p.word == 0)
      memset (to, 0, here);
    else if (squashfs_read_block (s, p.start, p.word, p.whole,
                                  p.skip + (off - p.off), to, here, e) == -1)
      return -1;
  }
  return 0;
}
