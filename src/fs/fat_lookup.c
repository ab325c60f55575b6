/* xrayfs: FAT and exFAT: listing directories, finding names
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Both file systems find names whatever their case.  The guest's Linux does
 * too, and firmware that looks for EFI/BOOT/BOOTX64.EFI; and a file with a
 * long name is found by its short one.  The name itself goes first, then
 * another case of it, then a short name.
 *
 * A directory is a list without order, so what is asked for is looked up in a
 * sorted one of hashes, kept for the last few directories.  The hash only
 * says where to look: what is there is compared.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/fat.h"

/* Names beyond this are looked for one by one: 8 MiB an index. */
#define MAX_KEYS (UINT32_C (1) << 19)

struct fat_key {
  uint32_t hash;
  uint32_t pos; /* of the first slot, in slots */
};

/* --- slots ----------------------------------------------------------- */

static int
read_chunk (struct fat_dir *d, uint64_t pos, struct err *e)
{
  uint64_t at = 0, here = 0;

  d->chunk_len = 0;
  if (fat_node_place (d->f, d->n, pos, &at, &here, e) == -1)
    return -1;
  here = MIN (here, sizeof d->chunk - at % sizeof d->chunk);
  if (fat_read (d->f, at, d->chunk, here, e) == -1)
    return -1;
  d->chunk_pos = pos;
  d->chunk_at = at;
  d->chunk_len = here;
  return 0;
}

/* What a broken chain still has is given, and then its error. */
static int
at_end (struct fat_dir *d, uint64_t pos, struct err *e)
{
  struct fat_node *n = d->n;
  uint64_t size = n->file.size;

  if (size == 0 || n->chain.broken.code) {
    if (fat_chain_walk (d->f, &n->chain, e) == -1)
      return -1;
    size = n->chain.count << d->f->cluster_log;
  }
  if (pos < size)
    return 0;
  if (!n->chain.broken.code)
    return 1;
  *e = n->chain.broken;
  return -1;
}

int
fat_dir_slot (struct fat_dir *d, uint64_t pos, const unsigned char **ret,
              uint64_t *ret_at, struct err *e)
{
  int r;

  if (pos < d->chunk_pos || pos - d->chunk_pos >= d->chunk_len) {
    r = at_end (d, pos, e);
    if (r)
      return r == 1 ? 0 : -1;
    if (read_chunk (d, pos, e) == -1)
      return -1;
  }
  *ret = d->chunk + (pos - d->chunk_pos);
  *ret_at = d->chunk_at + (pos - d->chunk_pos);
  return 1;
}

/* --- directories ----------------------------------------------------- */

/* Like Linux: 2 and the subdirectories, where FAT has "." and ".." count
 * themselves.  1 says that the number is not known. */
int
fat_count_links (struct fat *f, struct fat_node *n, struct err *e)
{
  struct fat_dir d = { .f = f, .n = n };
  const char *wrong = NULL;
  struct fat_entry entry;
  uint32_t links = 0;
  int r = f->check_dir ? f->check_dir (&d, &wrong, e) : 0;

  if (r == 0 && !wrong)
    while ((r = f->next (&d, &entry, e)) == 1)
      links += entry.file.is_dir;
  if (r == -1 && !n->chain.broken.code)
    return -1;
  links += f->check_dir && n->file.ino != FAT_ROOT_INO ? d.dots : 2;
  n->nlink = r == -1 || wrong || d.damage.code ? 1 : links;
  if (r == -1)
    err_clear (e);
  return 0;
}

static int
open_dir (struct fat *f, uint64_t ino, struct fat_dir *ret, struct err *e)
{
  const char *wrong = NULL;

  if (fat_node_get (f, ino, &ret->n, e) == -1)
    return -1;
  if (!ret->n->file.is_dir)
    return err_set (e, ENOTDIR, "not a directory");
  ret->f = f;
  if (f->check_dir && f->check_dir (ret, &wrong, e) == -1)
    return -1;
  return wrong ? err_set (e, EIO, "%s", wrong) : 0;
}

int
fat_readdir (struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *arg,
             struct err *e)
{
  struct fat_dir d = { 0 };
  struct fat_entry entry;
  int r;

  if (open_dir (fs->priv, dir, &d, e) == -1)
    return -1;
  while ((r = d.f->next (&d, &entry, e)) == 1)
    if (fn (arg, entry.name, entry.len, entry.file.ino,
            entry.file.is_dir ? DT_DIR : DT_REG))
      return 0;
  if (r == -1 || !d.damage.code)
    return r;
  *e = d.damage;
  return -1;
}

/* --- the index ------------------------------------------------------- */

static int
compare_keys (const void *a, const void *b)
{
  const struct fat_key *x = a, *y = b;

  if (x->hash != y->hash)
    return x->hash < y->hash ? -1 : 1;
  return (x->pos > y->pos) - (x->pos < y->pos);
}

static int
add_key (struct fat_index *x, size_t *cap, uint32_t hash, uint64_t pos,
         struct err *e)
{
  struct fat_key *keys;

  if (x->n == *cap) {
    *cap = *cap ? *cap * 2 : 64;
    keys = reallocarray (x->keys, *cap, sizeof *keys);
    if (!keys)
      return err_set (e, ENOMEM, "out of memory");
    x->keys = keys;
  }
  x->keys[x->n++] =
      (struct fat_key){ .hash = hash, .pos = (uint32_t) (pos / FAT_SLOT) };
  return 0;
}

/* 1: done; 0: too many names; -1. */
static int
fill_index (struct fat_dir *d, struct fat_index *x, struct err *e)
{
  struct fat_entry entry;
  size_t cap = 0;
  int r;

  while ((r = d->f->next (d, &entry, e)) == 1) {
    if (x->n > MAX_KEYS)
      return 0;
    if (add_key (x, &cap, fat_name_hash (d->f, entry.name, entry.len),
                 entry.pos, e) == -1 ||
        (entry.alias[0] &&
         add_key (x, &cap,
                  fat_name_hash (d->f, entry.alias, strlen (entry.alias)),
                  entry.pos, e) == -1))
      return -1;
  }
  if (r == -1 && !d->n->chain.broken.code)
    return -1;
  x->damage = r == -1 ? *e : d->damage;
  if (r == -1)
    err_clear (e);
  if (x->n)
    qsort (x->keys, x->n, sizeof *x->keys, compare_keys);
  return 1;
}

/* *RET is NULL where there are too many names, or some cannot be read: what
 * is looked for may be among the others. */
static int
get_index (struct fat_dir *d, struct fat_index **ret, struct err *e)
{
  struct fat *f = d->f;
  struct fat_index *x = f->indexes;
  int r;

  for (size_t i = 0; i < FAT_INDEXES; i++) {
    if (f->indexes[i].ino == d->n->file.ino) {
      f->indexes[i].used = ++f->clock;
      *ret = &f->indexes[i];
      return 0;
    }
    if (f->indexes[i].used < x->used)
      x = &f->indexes[i];
  }
  free (x->keys);
  *x = (struct fat_index){ 0 };
  r = fill_index (d, x, e);
  if (r != 1) {
    free (x->keys);
    *x = (struct fat_index){ 0 };
    *ret = NULL;
    if (r == -1 && err_is_transient (e))
      return -1;
    err_clear (e);
    return 0;
  }
  x->ino = d->n->file.ino;
  x->used = ++f->clock;
  *ret = x;
  return 0;
}

/* --- lookup ---------------------------------------------------------- */

/* What was found so far: the best RANK wins. */
struct search {
  const char *name;
  size_t len;
  enum { ABSENT, ALIAS, ANY_CASE, EXACT } rank;
  uint64_t ino;
};

static void
consider (const struct fat *f, struct search *s, const struct fat_entry *x)
{
  int rank = ABSENT;

  if (x->len == s->len && !memcmp (x->name, s->name, s->len))
    rank = EXACT;
  else if (fat_name_equal (f, x->name, x->len, s->name, s->len))
    rank = ANY_CASE;
  else if (x->alias[0] &&
           fat_name_equal (f, x->alias, strlen (x->alias), s->name, s->len))
    rank = ALIAS;
  if (rank > (int) s->rank) {
    s->rank = rank;
    s->ino = x->file.ino;
  }
}

static int
search_index (struct fat_dir *d, const struct fat_index *x, struct search *s,
              struct err *e)
{
  uint32_t hash = fat_name_hash (d->f, s->name, s->len);
  struct fat_entry entry;
  size_t low = 0, high = x->n, mid;
  int r;

  while (low < high) {
    mid = low + (high - low) / 2;
    if (x->keys[mid].hash < hash)
      low = mid + 1;
    else
      high = mid;
  }
  for (; low < x->n && x->keys[low].hash == hash && s->rank != EXACT; low++) {
    d->pos = (uint64_t) x->keys[low].pos * FAT_SLOT;
    r = d->f->next (d, &entry, e);
    if (r == -1)
      return -1;
    if (r == 1)
      consider (d->f, s, &entry);
  }
  d->damage = x->damage;
  return 0;
}

static int
search_all (struct fat_dir *d, struct search *s, struct err *e)
{
  struct fat_entry entry;
  int r;

  d->pos = 0;
  d->chunk_len = 0;
  d->damage.code = 0;
  while (s->rank != EXACT && (r = d->f->next (d, &entry, e)) != 0)
    if (r == -1)
      return -1;
    else
      consider (d->f, s, &entry);
  return 0;
}

int
fat_lookup (struct fs *fs, uint64_t dir, const char *name, size_t len,
            uint64_t *ret, struct err *e)
{
  struct search s = { .name = name, .len = len };
  struct fat *f = fs->priv;
  struct fat_dir d = { 0 };
  struct fat_index *x = NULL;

  if (open_dir (f, dir, &d, e) == -1)
    return -1;
  if (!f->upcase && f->load_upcase (f, e) == -1)
    return -1;
  if (get_index (&d, &x, e) == -1 ||
      (x ? search_index (&d, x, &s, e) : search_all (&d, &s, e)) == -1)
    return -1;
  if (s.rank == ABSENT && d.damage.code) {
    *e = d.damage;
    return -1;
  }
  if (s.rank == ABSENT)
    return err_set (e, ENOENT, "no such file or directory");
  *ret = s.ino;
  return 0;
}
