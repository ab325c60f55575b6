/* xrayfs: Btrfs: looking for damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Superblocks, devices, and all blocks of all trees with each of their
 * copies.  File data are verified when they are read, not here: that would
 * read all of them.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

/* Blocks looked at: memory is bounded, 64 MiB. */
#define MAX_BLOCKS (UINT64_C (1) << 22)

/* Addresses seen before, as open addressing: 0 is free, and no block. */
struct seen {
  uint64_t *slots;
  size_t size, n; /* a power of 2 */
};

struct walk {
  struct btrfs *b;
  struct block_check *c;
  struct seen seen;
  uint64_t total; /* bytes of metadata; 0: not known */
  bool too_many;
  char *blocks[BTRFS_MAX_LEVEL]; /* of each level, while below it */
};

/* --- superblocks and devices ----------------------------------------- */

static int
check_copy (const struct btrfs *b, struct block *block, unsigned i,
            struct block_check *c, struct err *e)
{
  uint64_t off = btrfs_super_offset (i);
  struct btrfs_super sb;
  struct err why = { 0 };
  int r = btrfs_super_copy (block, i, &sb, &why);

  if (r == -1 && err_is_transient (&why)) {
    *e = why;
    return -1;
  }
  if (r != 1 && i == 0)
    block_check_error (c, "%s", why.msg);
  else if (r != 1)
    block_check_note (c, "copy of the superblock at 0x%" PRIx64 ": %s", off,
                      why.msg);
  else if (memcmp (sb.fsid, b->sb.fsid, sizeof sb.fsid) != 0)
    block_check_note (
        c, "copy of the superblock at 0x%" PRIx64 " is of another filesystem",
        off);
  else if (sb.generation != b->sb.generation)
    block_check_note (c,
                      "superblock at 0x%" PRIx64 " is of generation %" PRIu64
                      " instead of %" PRIu64,
                      off, sb.generation, b->sb.generation);
  return 0;
}

static int
check_device (const struct btrfs *b, const struct btrfs_device *d,
              struct block_check *c, struct err *e)
{
  struct err why = { 0 };

  if (!d->block) {
    btrfs_device_missing (b, d, &why);
    block_check_error (c, "%s", why.msg);
    return 0;
  }
  if (d->total > d->block->size)
    block_check_error (c,
                       "device %" PRIu64 " has %" PRIu64
                       " bytes, of which %" PRIu64 " are there",
                       d->id, d->total, d->block->size);
  for (unsigned i = 0; i < BTRFS_SUPER_COPIES; i++)
    if (range_within (btrfs_super_offset (i), BTRFS_SUPER_SIZE,
                      MIN (d->total, d->block->size)) &&
        check_copy (b, d->block, i, c, e) == -1)
      return -1;
  return 0;
}

/* --- trees ----------------------------------------------------------- */

static size_t
slot_of (const struct seen *s, uint64_t v)
{
  size_t i = (size_t) ((v * UINT64_C (0x9e3779b97f4a7c15)) >> 32);

  for (i &= s->size - 1; s->slots[i] && s->slots[i] != v;)
    i = (i + 1) & (s->size - 1);
  return i;
}

static int
grow (struct seen *s, struct err *e)
{
  struct seen new = { .size = s->size ? s->size * 2 : 1024, .n = s->n };

  new.slots = calloc (new.size, sizeof *new.slots);
  if (!new.slots)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < s->size; i++)
    if (s->slots[i])
      new.slots[slot_of (&new, s->slots[i])] = s->slots[i];
  free (s->slots);
  *s = new;
  return 0;
}

/* 1: new, 0: seen before, -1.  Snapshots share blocks. */
static int
is_new (struct seen *s, uint64_t v, struct err *e)
{
  size_t i;

  if (s->n >= s->size / 2 && grow (s, e) == -1)
    return -1;
  i = slot_of (s, v);
  if (s->slots[i])
    return 0;
  s->slots[i] = v;
  s->n++;
  return 1;
}

/* A device that is missing was said once. */
static bool
is_missing (const struct btrfs *b, uint64_t logical, unsigned copy)
{
  struct btrfs_place at = { 0 };
  struct err ignored;

  return btrfs_locate (b, logical, copy, &at, &ignored) == 0 &&
         !at.device->block;
}

/* Each copy.  1: the block at BUF is whole, 0: none is, -1. */
static int
read_copies (struct walk *w, const struct btrfs_tree *t,
             const struct btrfs_pointer *p, char *buf, struct err *e)
{
  const struct btrfs_chunk *chunk = btrfs_chunk_at (w->b, p->logical);
  unsigned copies = chunk ? btrfs_copies (chunk->type) : 1, good = copies;
  struct err why, first = { 0 }, missing = { 0 };

  for (unsigned i = copies; i-- > 0;) {
    err_clear (&why);
    if (btrfs_read_block (w->b, p->logical, i, p->generation, buf, &why) == 0)
      good = i;
    else if (err_is_transient (&why)) {
      *e = why;
      return -1;
    } else if (is_missing (w->b, p->logical, i))
      missing = why;
    else
      first = why;
  }
  if (good < copies && !first.code)
    return 1;
  if (!first.code)
    first = missing;
  btrfs_in_tree (t, p->logical, &first);
  if (good == copies) {
    block_check_error (w->c, "%s", first.msg);
    return 0;
  }
  block_check_note (w->c, "%s; another copy is whole", first.msg);
  return btrfs_read_block (w->b, p->logical, good, p->generation, buf, e) ==
                 -1
             ? -1
             : 1;
}

static int
visit (struct walk *w, const struct btrfs_tree *t,
       const struct btrfs_pointer *p, struct err *e)
{
  char **buf = &w->blocks[p->level];
  struct btrfs_pointer below;
  struct err why = { 0 };
  int r = is_new (&w->seen, p->logical, e);

  if (r != 1 || (w->too_many = w->seen.n > MAX_BLOCKS))
    return r == -1 ? -1 : 0;
  if (w->b->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  block_check_progress (w->c, w->seen.n * w->b->sb.nodesize, w->total);
  if (!*buf && !(*buf = malloc (w->b->sb.nodesize)))
    return err_set (e, ENOMEM, "out of memory");
  r = read_copies (w, t, p, *buf, e);
  if (r != 1)
    return r;
  if (btrfs_check_reached (t, p, *buf, &why) == -1) {
    btrfs_in_tree (t, p->logical, &why);
    block_check_error (w->c, "%s", why.msg);
    return 0;
  }
  for (unsigned i = 0; p->level > 0 && i < btrfs_block_count (*buf); i++) {
    below = btrfs_pointer_at (*buf, i, p->level);
    if (visit (w, t, &below, e) == -1)
      return -1;
  }
  return 0;
}

static int
walk_tree (struct walk *w, const struct btrfs_tree *t, struct err *e)
{
  struct btrfs_pointer p = { t->root, t->generation, t->level, false, { 0 } };

  return visit (w, t, &p, e);
}

/* Of a tree that is being deleted, blocks are gone. */
static int
walk_root (struct walk *w, const struct btrfs_cursor *c, struct err *e)
{
  struct err why = { 0 };
  struct btrfs_root root;

  if (c->key.type != BTRFS_ROOT_ITEM || c->key.objectid == BTRFS_TREE_RELOC)
    return 0;
  if (btrfs_parse_root (c, &root, &why) == -1) {
    block_check_error (w->c, "%s", why.msg);
    return 0;
  }
  return root.refs ? walk_tree (w, &root.tree, e) : 0;
}

static int
walk_all (struct walk *w, struct err *e)
{
  BTRFS_CURSOR (c, w->b, &w->b->root_tree);
  int r;

  if (walk_tree (w, &w->b->chunk_tree, e) == -1 ||
      walk_tree (w, &w->b->root_tree, e) == -1)
    return -1;
  r = btrfs_find_first (&c, &(struct btrfs_key){ 0 }, e);
  for (; r == 1; r = btrfs_next (&c, e))
    if (walk_root (w, &c, e) == -1)
      return -1;
  return r;
}

static int
check_trees (struct btrfs *b, struct block_check *c, struct err *e)
{
  struct walk w = { .b = b, .c = c };
  uint64_t room;
  int r;

  /* Only how far it is depends on it. */
  if (btrfs_group_sums (b, BTRFS_METADATA | BTRFS_SYSTEM, &room, &w.total,
                        e) == -1)
    err_clear (e);
  r = walk_all (&w, e);
  if (r == 0 && w.too_many)
    block_check_note (c, "only the first %" PRIu64 " blocks were looked at",
                      MAX_BLOCKS);
  for (size_t i = 0; i < ARRAY_SIZE (w.blocks); i++)
    free (w.blocks[i]);
  free (w.seen.slots);
  return r;
}

/* Blocks that are whole may say so nevertheless.  That one cannot be read is
 * found with the trees. */
static int
check_root (struct fs *fs, struct block_check *c, struct err *e)
{
  struct btrfs_inode n;
  struct err why = { 0 };

  if (btrfs_inode_get (fs->priv, fs->root, &n, &why) == -1) {
    if (!err_is_transient (&why))
      return 0;
    *e = why;
    return -1;
  }
  if (!S_ISDIR (n.st.mode))
    block_check_error (c, "the root is not a directory");
  return 0;
}

int
btrfs_check (struct fs *fs, struct block_check *c, struct err *e)
{
  struct btrfs *b = fs->priv;

  if (b->sb.flags & BTRFS_SUPER_ERROR)
    block_check_error (c, "the filesystem says that it has errors");
  for (size_t i = 0; i < b->devices.len; i++)
    if (check_device (b, &b->devices.items[i], c, e) == -1)
      return -1;
  if (check_root (fs, c, e) == -1)
    return -1;
  return check_trees (b, c, e);
}
