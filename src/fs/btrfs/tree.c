/* xrayfs: Btrfs: trees
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On-disk Format, B-trees.  A block is checked as the kernel does: once, when
 * it comes into the cache, whatever it says of itself; each time, what leads
 * to it says of it (level, generation, tree, first key).  So whatever an
 * image holds, keys rise through a whole tree, and walking it ends.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/btrfs/btrfs.h"

#define ITEM_SIZE    25
#define POINTER_SIZE 33

struct btrfs_key
btrfs_load_key (const char *p)
{
  return (struct btrfs_key){ load_le64 (p), (uint8_t) p[8],
                             load_le64 (p + 9) };
}

int
btrfs_key_cmp (const struct btrfs_key *a, const struct btrfs_key *b)
{
  if (a->objectid != b->objectid)
    return a->objectid < b->objectid ? -1 : 1;
  if (a->type != b->type)
    return a->type < b->type ? -1 : 1;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

unsigned
btrfs_block_count (const char *data)
{
  return load_le32 (data + 96);
}

static unsigned
level_of (const char *data)
{
  return (unsigned char) data[100];
}

static size_t
entry_size (unsigned level)
{
  return level ? POINTER_SIZE : ITEM_SIZE;
}

static const char *
entry_at (const char *data, unsigned level, unsigned i)
{
  return data + BTRFS_HEADER_SIZE + (size_t) i * entry_size (level);
}

static struct btrfs_key
key_at (const char *data, unsigned level, unsigned i)
{
  return btrfs_load_key (entry_at (data, level, i));
}

struct btrfs_pointer
btrfs_pointer_at (const char *data, unsigned i, unsigned level)
{
  const char *p = entry_at (data, level, i);

  return (struct btrfs_pointer){ load_le64 (p + 17), load_le64 (p + 25),
                                 level - 1, true, btrfs_load_key (p) };
}

/* --- a block alone --------------------------------------------------- */

/* Those of a seed device bear its UUID. */
static bool
is_ours (const struct btrfs *b, const char *fsid)
{
  if (!memcmp (fsid, b->sb.metadata_uuid, BTRFS_UUID_SIZE))
    return true;
  for (size_t i = 0; i < b->devices.len; i++)
    if (!memcmp (fsid, b->devices.items[i].fsid, BTRFS_UUID_SIZE))
      return true;
  return false;
}

static int
check_keys (const char *p, unsigned level, unsigned n, struct err *e)
{
  struct btrfs_key last, key;

  for (unsigned i = 0; i < n; i++, last = key) {
    key = key_at (p, level, i);
    if (i > 0 && btrfs_key_cmp (&last, &key) >= 0)
      return err_set (e, EIO, "key %u is out of order", i);
  }
  return 0;
}

/* Data of items lie from the end of the leaf down, without gaps. */
static int
check_items (const struct btrfs *b, const char *p, unsigned n, struct err *e)
{
  uint32_t end = b->sb.nodesize - BTRFS_HEADER_SIZE, off, size;

  for (unsigned i = 0; i < n; i++, end = off) {
    off = load_le32 (entry_at (p, 0, i) + 17);
    size = load_le32 (entry_at (p, 0, i) + 21);
    if (off > end || size != end - off || off < n * ITEM_SIZE)
      return err_set (e, EIO, "data of item %u are out of place", i);
  }
  return 0;
}

static int
check_block (const struct btrfs *b, const char *p, uint64_t logical,
             uint64_t generation, struct err *e)
{
  unsigned n = btrfs_block_count (p), level = level_of (p);

  if (!btrfs_csum_ok (b->sb.csum, b->hash, p + BTRFS_CSUM_SIZE,
                      b->sb.nodesize - BTRFS_CSUM_SIZE, p))
    return err_set (e, EIO, "checksum is wrong");
  if (load_le64 (p + 48) != logical)
    return err_set (e, EIO, "block says that it is at 0x%" PRIx64,
                    load_le64 (p + 48));
  if (!is_ours (b, p + 32))
    return err_set (e, EIO, "block of another filesystem");
  if (load_le64 (p + 80) != generation)
    return err_set (e, EIO,
                    "block of generation %" PRIu64 " instead of %" PRIu64,
                    load_le64 (p + 80), generation);
  if (level >= BTRFS_MAX_LEVEL || (level > 0 && n == 0) ||
      n > (b->sb.nodesize - BTRFS_HEADER_SIZE) / entry_size (level))
    return err_set (e, EIO, "impossible level or number of items");
  if (check_keys (p, level, n, e) == -1)
    return -1;
  return level ? 0 : check_items (b, p, n, e);
}

int
btrfs_read_block (struct btrfs *b, uint64_t logical, unsigned copy,
                  uint64_t generation, char *buf, struct err *e)
{
  if (btrfs_read_copy (b, logical, copy, buf, b->sb.nodesize, e) == -1)
    return -1;
  return check_block (b, buf, logical, generation, e);
}

/* --- through the cache ----------------------------------------------- */

struct load_arg {
  struct btrfs *b;
  uint64_t logical, generation;
};

/* The first copy that is whole. */
static int
load (void *arg, void *data, size_t size unused_arg, struct err *e)
{
  struct load_arg *l = arg;
  const struct btrfs_chunk *c = btrfs_chunk_at (l->b, l->logical);
  unsigned copies = c ? btrfs_copies (c->type) : 1;
  struct err why;

  for (unsigned i = 0; i < copies; i++) {
    err_clear (&why);
    if (btrfs_read_block (l->b, l->logical, i, l->generation, data, &why) ==
        0)
      return 0;
    if (i == 0 || err_is_transient (&why))
      *e = why;
  }
  return err_in (e, copies > 1 ? "no copy is whole" : "metadata");
}

void
btrfs_block_put (struct btrfs *b, struct btrfs_block *k)
{
  if (k->entry)
    cache_release (b->block->env->cache, k->entry);
  free (k->own);
  *k = (struct btrfs_block){ 0 };
}

static int
get_block (struct btrfs *b, struct load_arg *arg, struct btrfs_block *ret,
           struct err *e)
{
  struct cache *cache = b->block->env->cache;
  struct btrfs_block k = { 0 };

  if (b->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (cache) {
    if (cache_get (cache, b->block_owner, arg->logical, b->sb.nodesize, load,
                   arg, &k.entry, e) == -1)
      return -1;
    k.data = k.entry->data;
  } else {
    k.own = malloc (b->sb.nodesize);
    if (!k.own)
      return err_set (e, ENOMEM, "out of memory");
    if (load (arg, k.own, b->sb.nodesize, e) == -1) {
      btrfs_block_put (b, &k);
      return -1;
    }
    k.data = k.own;
  }
  *ret = k;
  return 0;
}

bool
btrfs_is_subvolume (uint64_t id)
{
  return id == BTRFS_FS_TREE ||
         (id >= BTRFS_FIRST_FREE && id <= BTRFS_LAST_FREE);
}

/* Snapshots share blocks, which bear the id of the first one. */
static bool
owner_fits (const struct btrfs_tree *t, uint64_t owner)
{
  return btrfs_is_subvolume (t->id) ? btrfs_is_subvolume (owner)
                                    : owner == t->id;
}

int
btrfs_check_reached (const struct btrfs_tree *t,
                     const struct btrfs_pointer *p, const char *data,
                     struct err *e)
{
  struct btrfs_key first = { 0 };

  if (load_le64 (data + 80) != p->generation)
    return err_set (e, EIO,
                    "block of generation %" PRIu64 " instead of %" PRIu64,
                    load_le64 (data + 80), p->generation);
  if (level_of (data) != p->level)
    return err_set (e, EIO, "block of another level");
  if (!owner_fits (t, load_le64 (data + 88)))
    return err_set (e, EIO, "block of tree %" PRId64,
                    (int64_t) load_le64 (data + 88));
  if (!p->has_key)
    return 0;
  if (btrfs_block_count (data) > 0)
    first = key_at (data, p->level, 0);
  if (btrfs_block_count (data) == 0 || btrfs_key_cmp (&first, &p->key) != 0)
    return err_set (e, EIO, "block begins with another key");
  return 0;
}

int
btrfs_in_tree (const struct btrfs_tree *t, uint64_t logical, struct err *e)
{
  return err_in (e, "tree %" PRId64 ": block 0x%" PRIx64, (int64_t) t->id,
                 logical);
}

int
btrfs_block_get (struct btrfs *b, const struct btrfs_tree *t,
                 const struct btrfs_pointer *p, struct btrfs_block *ret,
                 struct err *e)
{
  struct load_arg arg = { b, p->logical, p->generation };
  struct btrfs_block k = { 0 };

  if (p->logical % b->sb.sectorsize) {
    err_set (e, EIO, "impossible address");
    return btrfs_in_tree (t, p->logical, e);
  }
  if (get_block (b, &arg, &k, e) == -1)
    return btrfs_in_tree (t, p->logical, e);
  if (btrfs_check_reached (t, p, k.data, e) == -1) {
    btrfs_block_put (b, &k);
    return btrfs_in_tree (t, p->logical, e);
  }
  *ret = k;
  return 0;
}

/* --- searching ------------------------------------------------------- */

/* How many keys of the block are not above KEY. */
static unsigned
count_up_to (const char *data, unsigned level, const struct btrfs_key *key)
{
  unsigned lo = 0, hi = btrfs_block_count (data), mid;

  while (lo < hi) {
    struct btrfs_key k;

    mid = lo + (hi - lo) / 2;
    k = key_at (data, level, mid);
    if (btrfs_key_cmp (&k, key) <= 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* One step down from the node in C->leaf. */
static struct btrfs_pointer
choose (struct btrfs_cursor *c, unsigned level, const struct btrfs_key *key)
{
  const char *data = c->leaf.data;
  unsigned i = count_up_to (data, level, key);

  i = MAX (i, 1); /* what is below all keys is looked for in the first */
  if (i < btrfs_block_count (data)) {
    c->next = key_at (data, level, i);
    c->has_next = true;
  }
  return btrfs_pointer_at (data, i - 1, level);
}

/* Ends after at most BTRFS_MAX_LEVEL blocks, since each must be one level
 * below the one before. */
static int
descend (struct btrfs_cursor *c, const struct btrfs_key *key, struct err *e)
{
  const struct btrfs_tree *t = c->tree;
  struct btrfs_pointer p = { t->root, t->generation, t->level, false, { 0 } };
  struct btrfs_key last;

  c->has_next = false;
  for (;;) {
    btrfs_block_put (c->b, &c->leaf);
    if (btrfs_block_get (c->b, t, &p, &c->leaf, e) == -1)
      return -1;
    c->n = btrfs_block_count (c->leaf.data);
    if (p.level == 0)
      break;
    p = choose (c, p.level, key);
  }
  if (c->n == 0 || !c->has_next)
    return 0;
  last = key_at (c->leaf.data, 0, c->n - 1);
  if (btrfs_key_cmp (&last, &c->next) < 0)
    return 0;
  err_set (e, EIO, "keys reach into the block that follows");
  return btrfs_in_tree (t, p.logical, e);
}

static int
take_item (struct btrfs_cursor *c, unsigned slot)
{
  const char *p = entry_at (c->leaf.data, 0, slot);

  c->slot = slot;
  c->key = btrfs_load_key (p);
  c->data = c->leaf.data + BTRFS_HEADER_SIZE + load_le32 (p + 17);
  c->size = load_le32 (p + 21);
  return 1;
}

int
btrfs_find_last (struct btrfs_cursor *c, const struct btrfs_key *key,
                 struct err *e)
{
  unsigned n;

  if (descend (c, key, e) == -1)
    return -1;
  n = count_up_to (c->leaf.data, 0, key);
  return n ? take_item (c, n - 1) : 0;
}

int
btrfs_next (struct btrfs_cursor *c, struct err *e)
{
  struct btrfs_key key;

  if (c->slot + 1 < c->n)
    return take_item (c, c->slot + 1);
  if (!c->has_next)
    return 0;
  key = c->next;
  return btrfs_find_first (c, &key, e);
}

int
btrfs_find_first (struct btrfs_cursor *c, const struct btrfs_key *key,
                  struct err *e)
{
  int r = btrfs_find_last (c, key, e);

  if (r == 1)
    return btrfs_key_cmp (&c->key, key) == 0 ? 1 : btrfs_next (c, e);
  return r == 0 && c->n ? take_item (c, 0) : r;
}

int
btrfs_find (struct btrfs_cursor *c, const struct btrfs_key *key,
            struct err *e)
{
  int r = btrfs_find_last (c, key, e);

  return r == 1 ? btrfs_key_cmp (&c->key, key) == 0 : r;
}

void
btrfs_cursor_end (struct btrfs_cursor *c)
{
  btrfs_block_put (c->b, &c->leaf);
}
