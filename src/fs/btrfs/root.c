/* xrayfs: Btrfs: subvolumes, and the numbers of their inodes
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, ROOT_ITEM and ROOT_REF.  Inodes are numbered in each
 * subvolume from 256 on, and fs.h wants 48 bits that are unique over all: the
 * low bits are the inode's number, then comes one that says that it is a
 * placeholder, and the rest is the subvolume's place in our list, which is as
 * many bits as there are subvolumes.  The top level's place is 0.
 *
 * A placeholder: a snapshot has entries that lead to the subvolumes below
 * what it was made of, and not those subvolumes.  Linux shows an empty
 * directory, inode 2, that belongs to whom the directory around it does.
 */
#include <inttypes.h>
#include <search.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define ROOT_SIZE 239 /* of the shortest, without UUIDs */
#define REF_SIZE  18
/* Placeholders whose directory is remembered: memory is bounded. */
#define MAX_LINKS 65536

/* --- the list -------------------------------------------------------- */

int
btrfs_parse_root (const struct btrfs_cursor *c, struct btrfs_root *ret,
                  struct err *e)
{
  const char *p = c->data;

  if (c->size < ROOT_SIZE)
    return err_set (e, EIO, "tree %" PRId64 ": its item is cut off",
                    (int64_t) c->key.objectid);
  *ret = (struct btrfs_root){
    .tree = { .id = c->key.objectid,
              .root = load_le64 (p + 176),
              .generation = load_le64 (p + 160),
              .level = (unsigned char) p[238] },
    .dir = load_le64 (p + 168),
    .refs = load_le32 (p + 216),
  };
  if (ret->tree.level >= BTRFS_MAX_LEVEL)
    return err_set (e, EIO, "tree %" PRId64 ": impossible level",
                    (int64_t) c->key.objectid);
  return 0;
}

/* Of two items of one subvolume the last counts. */
static int
add_subvolume (struct btrfs *b, const struct btrfs_root *r, struct err *e)
{
  struct btrfs_root *last =
      b->roots.len ? &b->roots.items[b->roots.len - 1] : NULL;

  if (last && last->tree.id == r->tree.id)
    *last = *r;
  else if (b->roots.len >= BTRFS_MAX_ROOTS)
    return err_set (e, ENOTSUP, "more than %u subvolumes", BTRFS_MAX_ROOTS);
  else if (btrfs_root_vec_push (&b->roots, *r) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* Of the trees that are not subvolumes; NULL: it is not needed. */
static struct btrfs_tree *
tree_for (struct btrfs *b, uint64_t id)
{
  bool groups = b->sb.compat_ro & BTRFS_RO_BLOCK_GROUP_TREE;

  if (id == BTRFS_CSUM_TREE)
    return &b->csum_tree;
  return id == (groups ? BTRFS_BLOCK_GROUP_TREE : BTRFS_EXTENT_TREE)
             ? &b->group_tree
             : NULL;
}

static int
learn_root (struct btrfs *b, const struct btrfs_cursor *c, struct err *e)
{
  struct btrfs_tree *t = tree_for (b, c->key.objectid);
  struct btrfs_root r;

  if (c->key.type != BTRFS_ROOT_ITEM ||
      (!t && !btrfs_is_subvolume (c->key.objectid)))
    return 0;
  if (btrfs_parse_root (c, &r, e) == -1)
    return -1;
  if (t)
    *t = r.tree;
  else if (r.refs) /* else it is being deleted */
    return add_subvolume (b, &r, e);
  return 0;
}

int
btrfs_read_roots (struct btrfs *b, struct err *e)
{
  BTRFS_CURSOR (c, b, &b->root_tree);
  int r = btrfs_find_first (&c, &(struct btrfs_key){ 0 }, e);
  unsigned bits = 0;

  for (; r == 1; r = btrfs_next (&c, e))
    if (learn_root (b, &c, e) == -1)
      return -1;
  if (r == -1)
    return -1;
  if (!b->roots.len || b->roots.items[0].tree.id != BTRFS_FS_TREE)
    return err_set (e, EIO, "there is no top-level subvolume");
  while (b->roots.len > UINT64_C (1) << bits)
    bits++;
  b->ino_bits = FS_INO_BITS - 1 - bits;
  return 0;
}

const struct btrfs_root *
btrfs_root_by_id (const struct btrfs *b, uint64_t id)
{
  size_t lo = 0, hi = b->roots.len, mid;

  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (b->roots.items[mid].tree.id == id)
      return &b->roots.items[mid];
    if (b->roots.items[mid].tree.id < id)
      lo = mid + 1;
    else
      hi = mid;
  }
  return NULL;
}

/* --- numbers --------------------------------------------------------- */

int
btrfs_number (const struct btrfs *b, const struct btrfs_file *f,
              uint64_t *ret, struct err *e)
{
  uint64_t place = f->root - b->roots.items;

  if (f->inode == 0)
    return err_set (e, EIO, "subvolume %" PRIu64 ": inode 0",
                    f->root->tree.id);
  if (f->inode >> b->ino_bits)
    return err_set (e, EOVERFLOW,
                    "subvolume %" PRIu64 ": inode %" PRIu64 " beyond %u bits",
                    f->root->tree.id, f->inode, b->ino_bits);
  *ret = (place << 1 | f->link) << b->ino_bits | f->inode;
  return 0;
}

int
btrfs_file (const struct btrfs *b, uint64_t ino, struct btrfs_file *ret,
            struct err *e)
{
  uint64_t high = ino >> b->ino_bits;

  if (high >> 1 >= b->roots.len)
    return err_set (e, EIO, "there cannot be an inode %" PRIu64, ino);
  *ret = (struct btrfs_file){ &b->roots.items[high >> 1],
                              ino - (high << b->ino_bits), high & 1 };
  return 0;
}

static int
root_number (const struct btrfs *b, const struct btrfs_root *r, uint64_t *ret,
             struct err *e)
{
  return btrfs_number (b, &(struct btrfs_file){ r, r->dir, false }, ret, e);
}

int
btrfs_subvolume (struct fs *fs, uint64_t id, uint64_t *ret, struct err *e)
{
  const struct btrfs_root *r = btrfs_root_by_id (fs->priv, id);

  if (!r)
    return err_set (e, ENOENT, "no subvolume %" PRIu64, id);
  return root_number (fs->priv, r, ret, e);
}

/* --- the default ----------------------------------------------------- */

/* The entry "default" of the root tree's directory; without it, the top
 * level, as in Linux. */
static int
default_id (struct btrfs *b, uint64_t *ret, struct err *e)
{
  struct btrfs_key key = { b->sb.root_dir, BTRFS_DIR_ITEM,
                           btrfs_name_hash ("default", 7) };
  BTRFS_CURSOR (c, b, &b->root_tree);
  struct btrfs_entry entry;
  size_t at = 0;
  int r = btrfs_find (&c, &key, e);

  *ret = BTRFS_FS_TREE;
  while (r == 1 && (r = btrfs_entry_next (&c, &at, &entry, e)) == 1)
    if (entry.name_len == 7 && !memcmp (entry.name, "default", 7)) {
      *ret = entry.location.objectid;
      return 0;
    }
  return r;
}

int
btrfs_default_root (struct btrfs *b, uint64_t *ret, struct err *e)
{
  const struct btrfs_root *r;
  uint64_t id;

  if (default_id (b, &id, e) == -1)
    return err_in (e, "default subvolume");
  r = btrfs_root_by_id (b, id);
  if (!r)
    return err_set (e, EIO, "default subvolume %" PRIu64 " is not there", id);
  return root_number (b, r, ret, e);
}

/* --- from one into another ------------------------------------------- */

/* Does the entry lead into subvolume ID, rather than be left from what this
 * is a snapshot of?  1, 0, -1. */
static int
is_reference (struct btrfs *b, const struct btrfs_file *dir, uint64_t id,
              const char *name, size_t len, struct err *e)
{
  struct btrfs_key key = { dir->root->tree.id, BTRFS_ROOT_REF, id };
  BTRFS_CURSOR (c, b, &b->root_tree);
  int r = btrfs_find (&c, &key, e);

  if (r != 1)
    return r;
  return c.size == REF_SIZE + len && load_le64 (c.data) == dir->inode &&
         load_le16 (c.data + 16) == len &&
         !memcmp (c.data + REF_SIZE, name, len);
}

struct link {
  uint64_t number, dir;
};

static int
compare_links (const void *a, const void *b)
{
  uint64_t x = ((const struct link *) a)->number;
  uint64_t y = ((const struct link *) b)->number;

  return x < y ? -1 : x > y;
}

static int
remember_link (struct btrfs *b, const struct btrfs_file *f, uint64_t dir,
               struct err *e)
{
  struct link **found, *l;
  uint64_t number;

  if (btrfs_number (b, f, &number, e) == -1)
    return -1;
  l = malloc (sizeof *l);
  if (!l)
    return err_set (e, ENOMEM, "out of memory");
  *l = (struct link){ number, dir };
  found =
      b->n_links < MAX_LINKS ? tsearch (l, &b->links, compare_links) : NULL;
  if (found && *found == l)
    b->n_links++;
  else
    free (l);
  return 0;
}

uint64_t
btrfs_link_dir (const struct btrfs *b, const struct btrfs_file *f)
{
  struct link l = { 0, 0 }, **found;
  struct err ignored;

  if (btrfs_number (b, f, &l.number, &ignored) == -1)
    return f->root->dir;
  found = tfind (&l, &b->links, compare_links);
  return found ? (*found)->dir : f->root->dir;
}

void
btrfs_links_free (struct btrfs *b)
{
  tdestroy (b->links, free);
  b->links = NULL;
}

int
btrfs_cross (struct btrfs *b, const struct btrfs_file *dir, uint64_t id,
             const char *name, size_t len, struct btrfs_file *ret,
             struct err *e)
{
  const struct btrfs_root *root = btrfs_root_by_id (b, id);
  int r = root ? is_reference (b, dir, id, name, len, e) : 0;

  if (r == -1)
    return -1;
  if (r == 1) {
    *ret = (struct btrfs_file){ root, root->dir, false };
    return 0;
  }
  *ret = (struct btrfs_file){ dir->root, id, true };
  return remember_link (b, ret, dir->inode, e);
}
