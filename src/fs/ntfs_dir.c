/* xrayfs: NTFS: directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A directory is a B+tree of names ($I30): its root lies in the MFT record
 * ($INDEX_ROOT), all other nodes in blocks ($INDEX_ALLOCATION).  The tree is
 * walked, and not the bitmap of its blocks: a block that cannot be reached is
 * an error then, never a missing name.
 *
 * A lookup goes by a table of hashes made from such a walk, so that what is
 * not found is not there, in whatever order a damaged tree may be.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/vec.h"
#include "fs/ntfs.h"

#define FIRST_USER   16 /* MFT records before are the filesystem's own */
#define ROOT_HEADER  16 /* of $INDEX_ROOT, before the node's header */
#define BLOCK_HEADER 24
#define NODE_HEADER  16
#define ENTRY_HEADER 16
#define KEY_HEADER   66 /* of $FILE_NAME, before the name */
#define MAX_DEPTH    32
#define ROOT_BLOCK   UINT32_MAX /* stands for the root among blocks */
#define MAX_NAMES    MiB        /* hashes of one directory: 8 MiB */

/* One name: the key of an entry. */
struct entry {
  const char *name; /* LEN units */
  size_t len;
  uint64_t mref;
  uint32_t flags;
  unsigned space; /* namespace */
};

/* Returns 1 to stop, or -1. */
typedef int (*entry_fn) (void *arg, const struct entry *d, uint32_t block,
                         struct err *e);

/* A directory being walked. */
struct index {
  struct nt *nt;
  ntfs_attr *blocks; /* NULL: all is in the root */
  char *root;
  size_t root_len;
  uint32_t block_size;
  unsigned vcn_log; /* what index blocks are numbered in */
  uint64_t n_blocks;
  uint8_t *visited; /* a bit for each */
  entry_fn fn;
  void *arg;
};

static const ntfschar i30[] = { const_cpu_to_le16 ('$'),
                                const_cpu_to_le16 ('I'),
                                const_cpu_to_le16 ('3'),
                                const_cpu_to_le16 ('0') };

static int
bad_index (struct err *e, const char *what)
{
  return err_set (e, EIO, "directory index: %s", what);
}

/* --- opening ---------------------------------------------------------- */

static void
index_close (struct index *x)
{
  if (x->blocks)
    ntfs_attr_close (x->blocks);
  free (x->root);
  free (x->visited);
}
#define CLEANUP_INDEX __attribute__ ((cleanup (index_close)))

static int
read_root (struct index *x, ntfs_attr *na, struct err *e)
{
  x->root_len = (size_t) na->data_size;
  if (NAttrNonResident (na) || x->root_len < ROOT_HEADER + NODE_HEADER ||
      x->root_len > x->nt->vol->mft_record_size)
    return bad_index (e, "impossible root");
  x->root = malloc (x->root_len);
  if (!x->root)
    return err_set (e, ENOMEM, "out of memory");
  return nt_attr_read (x->nt, na, x->root, x->root_len, 0, "index root", e);
}

static int
load_root (struct index *x, struct nt_node *n, struct err *e)
{
  uint32_t cluster = x->nt->vol->cluster_size;
  ntfs_attr *na = NULL;
  int r = nt_attr_open (x->nt, n, AT_INDEX_ROOT, i30, 4, &na, e);

  if (r == 1) {
    r = read_root (x, na, e);
    ntfs_attr_close (na);
  } else if (r == 0)
    r = bad_index (e, "there is none");
  if (r == -1)
    return -1;
  x->block_size = load_le32 (x->root + 8);
  if (load_le32 (x->root) != 0x30)
    return bad_index (e, "not of file names");
  if (!is_power_of_2 (x->block_size) || x->block_size < 512 ||
      x->block_size > MAX (64 * KiB, cluster))
    return bad_index (e, "impossible size of blocks");
  x->vcn_log =
      x->block_size < cluster ? 9 : (unsigned) x->nt->vol->cluster_size_bits;
  return 0;
}

/* A block is stored on the disk as it is, so that there are no more of them
 * than the partition has room for. */
static int
load_blocks (struct index *x, struct nt_node *n, struct err *e)
{
  uint64_t most = x->nt->block->size / x->block_size;
  int r = nt_attr_open (x->nt, n, AT_INDEX_ALLOCATION, i30, 4, &x->blocks, e);

  if (r != 1)
    return r;
  x->n_blocks = (uint64_t) x->blocks->data_size / x->block_size;
  x->n_blocks = MIN (MIN (x->n_blocks, most), ROOT_BLOCK);
  x->visited = calloc (1, x->n_blocks / 8 + 1);
  return x->visited ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int
index_open (struct index *x, struct nt *nt, uint64_t dir, struct err *e)
{
  struct nt_node *n;

  if (nt_node_get (nt, dir, &n, e) == -1)
    return -1;
  if (!S_ISDIR (n->mode))
    return err_set (e, ENOTDIR, "not a directory");
  x->nt = nt;
  if (load_root (x, n, e) == -1)
    return -1;
  return load_blocks (x, n, e);
}

/* --- a node of the tree ------------------------------------------------ */

static int
check_block (const struct index *x, char *p, uint64_t number, struct err *e)
{
  if (memcmp (p, "INDX", 4) != 0)
    return err_set (e, EIO, "wrong magic");
  if (ntfs_mst_post_read_fixup_warn ((NTFS_RECORD *) p, x->block_size,
                                     FALSE) == -1)
    return err_set (e, EIO, "was written in part only");
  if (load_le64 (p + 16) << x->vcn_log != number * x->block_size)
    return err_set (e, EIO, "belongs somewhere else");
  return 0;
}

/* Reads block NUMBER into BUF. */
static int
read_block (struct index *x, uint64_t number, char *buf, struct err *e)
{
  if (number >= x->n_blocks)
    return err_set (
        e, EIO, "directory index: there cannot be a block %" PRIu64, number);
  if (nt_attr_read (x->nt, x->blocks, buf, x->block_size,
                    number * x->block_size, "directory index", e) == -1)
    return -1;
  if (check_block (x, buf, number, e) == -1)
    return err_in (e, "directory index: block %" PRIu64, number);
  return 0;
}

/* The entries of a node, whose header is at P, LEN bytes before its end. */
static int
node_entries (const char *p, size_t len, const char **ret, size_t *ret_len,
              struct err *e)
{
  uint32_t first, end;

  if (len < NODE_HEADER)
    return bad_index (e, "node is cut off");
  first = load_le32 (p);
  end = load_le32 (p + 4);
  if (first < NODE_HEADER || first % 8 || first > end || end > len)
    return bad_index (e, "impossible node");
  *ret = p + first;
  *ret_len = end - first;
  return 0;
}

enum { ENTRY_NODE = 1, ENTRY_END = 2 };

/* Checks the entry at P, of LEN bytes at most. */
static int
check_entry (const char *p, size_t len, struct err *e)
{
  size_t size, key, most;

  if (len < ENTRY_HEADER)
    return bad_index (e, "node without an end");
  size = load_le16 (p + 8);
  most = load_le16 (p + 12) & ENTRY_NODE ? 8 : 0;
  if (size % 8 || size > len || size < ENTRY_HEADER + most)
    return bad_index (e, "impossible entry");
  if (load_le16 (p + 12) & ENTRY_END)
    return 0;
  key = load_le16 (p + 10);
  most = size - ENTRY_HEADER - most;
  if (key < KEY_HEADER || key > most ||
      (size_t) (uint8_t) p[ENTRY_HEADER + 64] * 2 > key - KEY_HEADER ||
      p[ENTRY_HEADER + 64] == 0)
    return bad_index (e, "impossible name");
  return 0;
}

static struct entry
entry_of (const char *p)
{
  return (struct entry){
    .name = p + ENTRY_HEADER + KEY_HEADER,
    .len = (uint8_t) p[ENTRY_HEADER + 64],
    .mref = load_le64 (p),
    .flags = load_le32 (p + ENTRY_HEADER + 56),
    .space = (uint8_t) p[ENTRY_HEADER + 65],
  };
}

/* --- walking ----------------------------------------------------------- */

static int walk_block (struct index *x, uint64_t vcn, unsigned depth,
                       struct err *e);

static int
walk_node (struct index *x, const char *header, size_t len, uint32_t block,
           unsigned depth, struct err *e)
{
  struct entry d;
  const char *p;
  unsigned flags;
  size_t size;
  int r;

  if (node_entries (header, len, &p, &len, e) == -1)
    return -1;
  for (;; p += size, len -= size) {
    if (check_entry (p, len, e) == -1)
      return -1;
    size = load_le16 (p + 8);
    flags = load_le16 (p + 12);
    if (flags & ENTRY_NODE) {
      r = walk_block (x, load_le64 (p + size - 8), depth + 1, e);
      if (r != 0)
        return r;
    }
    if (flags & ENTRY_END)
      return 0;
    d = entry_of (p);
    r = x->fn (x->arg, &d, block, e);
    if (r != 0)
      return r;
  }
}

/* Each block once: the tree has no loops. */
static int
visit (struct index *x, uint64_t number, struct err *e)
{
  if (number < x->n_blocks) {
    if (x->visited[number / 8] & 1 << number % 8)
      return bad_index (e, "a block is in it twice");
    x->visited[number / 8] |= (uint8_t) (1 << number % 8);
  }
  return 0;
}

static int
walk_block (struct index *x, uint64_t vcn, unsigned depth, struct err *e)
{
  CLEANUP_FREE char *buf = NULL;
  uint64_t number;

  if (depth > MAX_DEPTH)
    return bad_index (e, "too deep");
  if (vcn >= UINT64_MAX >> x->vcn_log || !x->blocks ||
      (vcn << x->vcn_log) % x->block_size)
    return bad_index (e, "impossible block");
  number = (vcn << x->vcn_log) / x->block_size;
  buf = malloc (x->block_size);
  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  if (visit (x, number, e) == -1 || read_block (x, number, buf, e) == -1)
    return -1;
  return walk_node (x, buf + BLOCK_HEADER, x->block_size - BLOCK_HEADER,
                    (uint32_t) number, depth, e);
}

static int
walk (struct index *x, entry_fn fn, void *arg, struct err *e)
{
  x->fn = fn;
  x->arg = arg;
  return walk_node (x, x->root + ROOT_HEADER, x->root_len - ROOT_HEADER,
                    ROOT_BLOCK, 0, e);
}

/* --- listing ----------------------------------------------------------- */

struct listing {
  fs_dirent_fn fn;
  void *arg;
  struct buf name;
};

/* The type would have to be read from the inode. */
static unsigned
type_of (const struct entry *d)
{
  if (d->flags &
      (le32toh (FILE_ATTR_REPARSE_POINT) | le32toh (FILE_ATTR_SYSTEM)))
    return DT_UNKNOWN;
  return d->flags & le32toh (FILE_ATTR_I30_INDEX_PRESENT) ? DT_DIR : DT_REG;
}

/* A short name (8.3) belongs to another that is there too. */
static int
list_entry (void *arg, const struct entry *d, uint32_t block unused_arg,
            struct err *e)
{
  struct listing *l = arg;

  if (d->space == FILE_NAME_DOS || MREF (d->mref) < FIRST_USER)
    return 0;
  buf_reset (&l->name);
  nt_name_add (&l->name, d->name, d->len);
  if (buf_check (&l->name, e) == -1)
    return -1;
  return l->fn (l->arg, l->name.data, l->name.len, MREF (d->mref),
                type_of (d)) != 0;
}

int
nt_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
            struct err *e)
{
  CLEANUP_INDEX struct index x = { 0 };
  struct listing l = { fn, arg, { 0 } };
  int r = index_open (&x, nt_of (fs), dir, e);

  if (r == 0)
    r = walk (&x, list_entry, &l, e);
  buf_free (&l.name);
  return r == -1 ? -1 : 0;
}

/* --- looking up -------------------------------------------------------- */

struct name_hash {
  uint32_t hash, block;
};
DEFINE_VEC (name_vec, struct name_hash)

struct nt_names {
  uint64_t dir, used;
  struct name_vec v; /* by hash */
  bool too_many;     /* for a table: each lookup walks */
};

void
nt_names_free (struct nt_names *n)
{
  if (n)
    free (n->v.items);
  free (n);
}

struct learning {
  struct nt *nt;
  struct nt_names *to;
};

static int
learn_entry (void *arg, const struct entry *d, uint32_t block, struct err *e)
{
  struct learning *l = arg;
  struct name_hash h = { nt_name_hash (l->nt, d->name, d->len), block };

  if (l->to->v.len == MAX_NAMES) {
    l->to->too_many = true;
    return 1;
  }
  if (name_vec_push (&l->to->v, h) == -1)
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

static int
compare_hashes (const void *a, const void *b)
{
  const struct name_hash *p = a, *q = b;

  if (p->hash != q->hash)
    return p->hash < q->hash ? -1 : 1;
  return p->block < q->block ? -1 : p->block > q->block;
}

static struct nt_names *
learn (struct index *x, uint64_t dir, struct err *e)
{
  struct nt_names *n = calloc (1, sizeof *n);
  struct learning l = { x->nt, n };

  if (!n) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  n->dir = dir;
  if (walk (x, learn_entry, &l, e) == -1) {
    nt_names_free (n);
    return NULL;
  }
  if (n->too_many) {
    free (n->v.items);
    n->v = (struct name_vec){ 0 };
  }
  if (n->v.len)
    qsort (n->v.items, n->v.len, sizeof *n->v.items, compare_hashes);
  return n;
}

/* Those of DIR, from the few that are kept. */
static struct nt_names *
names_of (struct index *x, uint64_t dir, struct err *e)
{
  struct nt_names **slot = x->nt->names, *n;

  for (size_t i = 0; i < NT_NAMES; i++) {
    n = x->nt->names[i];
    if (n && n->dir == dir)
      return n;
    if (!n || (*slot && n->used < (*slot)->used))
      slot = &x->nt->names[i];
  }
  n = learn (x, dir, e);
  if (n) {
    nt_names_free (*slot);
    *slot = n;
  }
  return n;
}

/* The first with a hash that is not less. */
static size_t
first_with (const struct nt_names *n, uint32_t hash)
{
  size_t lo = 0, hi = n->v.len, mid;

  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (n->v.items[mid].hash < hash)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* What is looked for, and the best so far: names that differ in case alone
 * may stand side by side, and then the very same is meant. */
struct wanted {
  struct nt *nt;
  const ntfschar *name;
  size_t len;
  bool found;
  uint64_t mref;
};

static int
match_entry (void *arg, const struct entry *d, uint32_t block unused_arg,
             struct err *e unused_arg)
{
  struct wanted *w = arg;
  bool exact;

  if (d->len != w->len || !nt_name_same (w->nt, d->name, w->name, d->len))
    return 0;
  exact = !memcmp (d->name, w->name, 2 * d->len);
  if (exact || !w->found)
    w->mref = d->mref;
  w->found = true;
  return exact;
}

/* The entries of one node, without those below. */
static int
search_node (struct index *x, uint32_t block, struct wanted *w, struct err *e)
{
  CLEANUP_FREE char *buf = NULL;
  const char *p = x->root + ROOT_HEADER;
  size_t len = x->root_len - ROOT_HEADER, size;
  struct entry d;

  if (block != ROOT_BLOCK) {
    buf = malloc (x->block_size);
    if (!buf)
      return err_set (e, ENOMEM, "out of memory");
    if (read_block (x, block, buf, e) == -1)
      return -1;
    p = buf + BLOCK_HEADER;
    len = x->block_size - BLOCK_HEADER;
  }
  if (node_entries (p, len, &p, &len, e) == -1)
    return -1;
  for (;; p += size, len -= size) {
    if (check_entry (p, len, e) == -1)
      return -1;
    if (load_le16 (p + 12) & ENTRY_END)
      return 0;
    size = load_le16 (p + 8);
    d = entry_of (p);
    if (match_entry (w, &d, block, e))
      return 1;
  }
}

static int
search (struct index *x, const struct nt_names *n, struct wanted *w,
        struct err *e)
{
  uint32_t hash = nt_name_hash (x->nt, w->name, w->len);
  const struct name_hash *h = n->v.items;
  size_t i = first_with (n, hash);

  for (size_t first = i; i < n->v.len && h[i].hash == hash; i++) {
    int r = i > first && h[i].block == h[i - 1].block
                ? 0
                : search_node (x, h[i].block, w, e);

    if (r != 0)
      return r == -1 ? -1 : 0;
  }
  return 0;
}

/* A record that was given to another file since has another number. */
static int
check_sequence (struct nt *nt, uint64_t mref, struct err *e)
{
  unsigned number = MSEQNO (mref);
  struct nt_node *n;

  if (nt_node_get (nt, MREF (mref), &n, e) == -1)
    return err_in (e, "inode %" PRIu64, (uint64_t) MREF (mref));
  if (number && number != le16toh (n->ni->mrec->sequence_number))
    return err_set (e, EIO,
                    "directory index: name of an inode that is no more");
  return 0;
}

static int
find (struct wanted *w, uint64_t dir, struct err *e)
{
  CLEANUP_INDEX struct index x = { 0 };
  struct nt_names *names;

  if (index_open (&x, w->nt, dir, e) == -1)
    return -1;
  names = names_of (&x, dir, e);
  if (!names)
    return -1;
  names->used = ++w->nt->clock;
  if (w->len == 0)
    return 0;
  if (!names->too_many)
    return search (&x, names, w, e);
  if (x.visited)
    memset (x.visited, 0, x.n_blocks / 8 + 1);
  return walk (&x, match_entry, w, e) == -1 ? -1 : 0;
}

int
nt_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
           uint64_t *ret, struct err *e)
{
  ntfschar units[NT_MAX_NAME];
  int n = nt_name_units (name, len, units);
  struct wanted w = { .nt = nt_of (fs),
                      .name = units,
                      .len = (size_t) MAX (n, 0) };

  if (find (&w, dir, e) == -1)
    return -1;
  if (!w.found)
    return err_set (e, ENOENT, "no such file or directory");
  if (check_sequence (w.nt, w.mref, e) == -1)
    return -1;
  *ret = MREF (w.mref);
  return 0;
}
