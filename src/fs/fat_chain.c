/* xrayfs: FAT and exFAT: the table of clusters, and the chains in it
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A chain is followed once, before anything of the file is given: one that
 * leads back into itself would else show the same clusters again, as data or
 * as names.  64 marks are kept,
 * so that no cluster is further than a 64th of the chain from a mark.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "fs/fat.h"

#define CACHED 4096

/* --- reading --------------------------------------------------------- */

struct load_arg {
  struct block *block;
  uint64_t off;
};

static int
load (void *arg, void *data, size_t size, struct err *e)
{
  struct load_arg *l = arg;

  return block_pread (l->block, data, size, l->off, e);
}

/* LEN bytes within the SIZE bytes at OFF that are read together. */
static int
read_cached (struct fat *f, uint64_t off, size_t size, size_t skip, void *buf,
             size_t len, struct err *e)
{
  struct load_arg arg = { f->block, off };
  struct cache *cache = f->block->env->cache;
  struct cache_entry *entry;

  if (!cache)
    return block_pread (f->block, buf, len, off + skip, e);
  if (cache_get (cache, f->cache_owner, off, size, load, &arg, &entry, e) ==
      -1)
    return -1;
  memcpy (buf, (const char *) entry->data + skip, len);
  cache_release (cache, entry);
  return 0;
}

int
fat_read (struct fat *f, uint64_t off, void *buf, size_t len, struct err *e)
{
  uint64_t start;
  size_t n, size;

  if (f->block->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (!range_within (off, len, f->block->size))
    return err_set (e, EIO,
                    "metadata at 0x%" PRIx64
                    " lies beyond the end of the partition",
                    off);
  for (char *to = buf; len > 0; to += n, off += n, len -= n) {
    start = off - off % CACHED;
    size = MIN (CACHED, f->block->size - start);
    n = MIN (len, start + size - off);
    if (read_cached (f, start, size, off - start, to, n, e) == -1)
      return -1;
  }
  return 0;
}

/* --- words of the table ---------------------------------------------- */

/* LEN bytes at OFF, from the part of the table that was read last. */
static int
read_words (struct fat *f, uint64_t off, unsigned char *buf, size_t len,
            struct err *e)
{
  uint64_t start = off - off % CACHED;
  size_t size;

  if (off < f->words_at || off - f->words_at + len > f->n_words) {
    size = start < f->block->size ? MIN (CACHED, f->block->size - start) : 0;
    if (!range_within (off - start, len, size))
      return fat_read (f, off, buf, len, e); /* 12 bits, on an edge */
    f->n_words = 0;
    if (fat_read (f, start, f->words, size, e) == -1)
      return -1;
    f->words_at = start;
    f->n_words = size;
  }
  memcpy (buf, f->words + (off - f->words_at), len);
  return 0;
}

/* exFAT has 32 bits (EXFAT, 4.1), FAT32 28 of them, and what lies above has
 * no meaning (FATGEN, FAT Data Structure). */
static uint32_t
word_mask (const struct fat *f)
{
  if (f->exfat)
    return UINT32_MAX;
  return f->bits == 32 ? 0x0fffffff : (UINT32_C (1) << f->bits) - 1;
}

static uint64_t
classify (const struct fat *f, uint32_t word)
{
  uint32_t mask = word_mask (f);

  if (word == 0)
    return FAT_FREE;
  if (fat_has_cluster (f, word))
    return word;
  if (word == mask - 8)
    return FAT_BAD;
  /* exFAT has one end, FAT has eight. */
  return word >= (f->exfat ? mask : mask - 7) ? FAT_END : FAT_WRONG;
}

static uint32_t
load_word (const struct fat *f, uint32_t cluster, const unsigned char *p)
{
  switch (f->bits) {
  case 12:
    return load_le16 (p) >> (cluster % 2 ? 4 : 0);
  case 16:
    return load_le16 (p);
  default:
    return load_le32 (p);
  }
}

int
fat_word (struct fat *f, uint32_t cluster, uint64_t *ret, struct err *e)
{
  uint64_t off = f->fat_at + (uint64_t) cluster * f->bits / 8;
  unsigned char p[4];

  if (read_words (f, off, p, f->bits == 32 ? 4 : 2, e) == -1)
    return err_in (e, "FAT");
  *ret = classify (f, load_word (f, cluster, p) & word_mask (f));
  return 0;
}

/* --- chains ---------------------------------------------------------- */

void
fat_chain_init (struct fat_chain *c, uint32_t first, uint64_t wanted,
                bool contiguous)
{
  *c = (struct fat_chain){
    .first = first,
    .wanted = wanted,
    .contiguous = contiguous,
    .stride = 1,
  };
}

/* Each second one goes when there is no more room. */
static void
add_mark (struct fat_chain *c, uint64_t index, uint32_t cluster)
{
  if (index % c->stride)
    return;
  if (index / c->stride == FAT_MARKS) {
    for (unsigned i = 0; i < FAT_MARKS / 2; i++)
      c->marks[i] = c->marks[2 * i];
    c->stride *= 2;
  }
  c->marks[index / c->stride] = cluster;
}

static void
walk_contiguous (struct fat *f, struct fat_chain *c)
{
  uint64_t room = f->clusters - (c->first - FAT_FIRST);

  c->count = MIN (c->wanted, room);
  if (c->count < c->wanted)
    err_set (&c->broken, EIO,
             "%" PRIu64 " clusters from %" PRIu32
             " on reach beyond the last one, %" PRIu32,
             c->wanted, c->first, f->clusters + FAT_FIRST - 1);
}

/* What the word of CLUSTER, number INDEX, says that ends the chain. */
static void
end_chain (struct fat_chain *c, uint64_t index, uint32_t cluster,
           uint64_t word)
{
  c->count = index;
  if (word == FAT_FREE || word == FAT_BAD)
    err_set (&c->broken, EIO, "cluster %" PRIu32 " of its chain is %s",
             cluster, word == FAT_FREE ? "free" : "marked bad");
  else if (word == FAT_WRONG)
    err_set (&c->broken, EIO,
             "cluster %" PRIu32
             " of its chain is followed by one that there is not",
             cluster);
  if (word == FAT_WRONG || word == FAT_END)
    c->count++;
  if (word == FAT_END && c->wanted != UINT64_MAX && c->count < c->wanted)
    err_set (&c->broken, EIO,
             "its chain ends at cluster %" PRIu32 ", after %" PRIu64
             " of %" PRIu64 " clusters",
             cluster, c->count, c->wanted);
}

static int
follow (struct fat *f, uint32_t *cluster, uint64_t n, struct err *e)
{
  uint64_t word = 0;

  for (; n > 0; n--) {
    if (fat_word (f, *cluster, &word, e) == -1)
      return -1;
    if (word >= FAT_FREE)
      return err_set (e, EIO, "chain changed at cluster %" PRIu32, *cluster);
    *cluster = (uint32_t) word;
  }
  return 0;
}

/* A circle of LENGTH clusters: those before it and one turn are all there
 * are.  It begins where one who is a turn ahead is met. */
static int
end_in_circle (struct fat *f, struct fat_chain *c, uint64_t length,
               struct err *e)
{
  uint32_t behind = c->first, ahead = c->first;
  uint64_t before = 0;

  if (follow (f, &ahead, length, e) == -1)
    return -1;
  for (; behind != ahead; before++)
    if (follow (f, &behind, 1, e) == -1 || follow (f, &ahead, 1, e) == -1)
      return -1;
  c->count = MIN (c->count, before + length);
  return err_set (&c->broken, EIO,
                  "its chain leads in a circle, back to cluster %" PRIu32
                  " after %" PRIu64 " clusters",
                  ahead, before + length) +
         1;
}

/* Brent's way to find a circle: a cluster that was met is compared with all
 * that follow, and replaced after 1, 2, 4, ... of them.  If there is one
 * among the clusters that are wanted, that takes less than three times as
 * many steps; a chain that is whole ends before. */
static int
walk_table (struct fat *f, struct fat_chain *c, struct err *e)
{
  uint64_t most = MIN (c->wanted, f->clusters + UINT64_C (1));
  uint32_t cluster = c->first, met = c->first;
  uint64_t word = 0, since = 0, turn = 1;

  c->count = 0;
  for (uint64_t i = 0; i < 3 * most + 3; i++, since++) {
    if (i > 0 && cluster == met)
      return end_in_circle (f, c, since, e);
    if (since == turn) {
      met = cluster;
      turn *= 2;
      since = 0;
    }
    if (fat_word (f, cluster, &word, e) == -1)
      return -1;
    if (i < c->wanted && c->wanted == UINT64_MAX &&
        i << f->cluster_log >= f->max_dir)
      return err_set (&c->broken, EIO,
                      "a directory of more than %" PRIu64 " bytes",
                      f->max_dir) +
             1;
    if (i < c->wanted) {
      add_mark (c, i, cluster);
      c->count = i + 1;
    }
    if (word >= FAT_FREE) {
      if (i < c->wanted)
        end_chain (c, i, cluster, word);
      return 0;
    }
    cluster = (uint32_t) word;
  }
  return 0;
}

int
fat_chain_walk (struct fat *f, struct fat_chain *c, struct err *e)
{
  if (c->walked)
    return 0;
  c->stride = 1;
  if (c->wanted == 0)
    c->count = 0;
  else if (!fat_has_cluster (f, c->first))
    err_set (&c->broken, EIO, "its first cluster, %" PRIu32 ", is not there",
             c->first);
  else if (c->contiguous)
    walk_contiguous (f, c);
  else if (walk_table (f, c, e) == -1)
    return -1;
  c->run_count = 0;
  c->walked = true;
  return 0;
}

/* Starts a run at INDEX, from the last one or the mark before it. */
static int
seek (struct fat *f, struct fat_chain *c, uint64_t index, struct err *e)
{
  uint64_t at = index - index % c->stride;
  uint32_t cluster = c->marks[index / c->stride];

  if (c->run_count && c->run_at <= index &&
      c->run_at + c->run_count - 1 >= at) {
    at = MIN (c->run_at + c->run_count - 1, index);
    cluster = c->run_first + (uint32_t) (at - c->run_at);
  }
  if (follow (f, &cluster, index - at, e) == -1)
    return -1;
  c->run_at = index;
  c->run_first = cluster;
  c->run_count = 1;
  return 0;
}

/* How much one call looks ahead: the lock is held. */
#define MAX_RUN 65536

static int
extend_run (struct fat *f, struct fat_chain *c, struct err *e)
{
  uint64_t most = MIN (c->count - c->run_at, MAX_RUN), word = 0;

  for (; c->run_count < most; c->run_count++) {
    uint32_t last = c->run_first + c->run_count - 1;

    if (fat_word (f, last, &word, e) == -1)
      return -1;
    if (word != last + 1)
      break;
  }
  return 0;
}

static int
find_run (struct fat *f, struct fat_chain *c, uint64_t index, struct err *e)
{
  if (c->run_count && index >= c->run_at && index - c->run_at < c->run_count)
    return 0;
  if (c->contiguous) {
    c->run_at = 0;
    c->run_first = c->first;
    c->run_count = (uint32_t) c->count;
    return 0;
  }
  if (seek (f, c, index, e) == -1 || extend_run (f, c, e) == -1) {
    c->run_count = 0;
    return -1;
  }
  return 0;
}

int
fat_chain_map (struct fat *f, struct fat_chain *c, uint64_t index,
               uint32_t *ret_cluster, uint32_t *ret_count, struct err *e)
{
  if (fat_chain_walk (f, c, e) == -1)
    return -1;
  if (index >= c->count) {
    if (c->broken.code)
      *e = c->broken;
    else
      err_set (e, EIO, "it has %" PRIu64 " clusters only", c->count);
    return -1;
  }
  if (find_run (f, c, index, e) == -1)
    return -1;
  *ret_cluster = c->run_first + (uint32_t) (index - c->run_at);
  *ret_count = c->run_count - (uint32_t) (index - c->run_at);
  return 0;
}

/* --- free space ------------------------------------------------------ */

#define COUNTED (1 * MiB)

/* Words FROM to TO of the table, of which BUF has the bytes from the first
 * one's on. */
static uint64_t
count_zeros (const struct fat *f, const unsigned char *buf, uint32_t from,
             uint32_t to)
{
  uint64_t start = (uint64_t) from * f->bits / 8, n = 0;
  uint32_t mask = word_mask (f);

  for (uint32_t i = from; i < to; i++)
    n += (load_word (f, i, buf + ((uint64_t) i * f->bits / 8 - start)) &
          mask) == 0;
  return n;
}

/* Not through the cache, which it would fill. */
int
fat_count_free (struct fat *f, uint64_t *ret, struct err *e)
{
  CLEANUP_FREE unsigned char *buf = NULL;
  uint64_t n = 0, start, end;
  uint32_t step = COUNTED * 8 / f->bits / 8 * 8, to;

  if (f->free_clusters != UINT64_MAX) {
    *ret = f->free_clusters;
    return 0;
  }
  buf = malloc (COUNTED + 8);
  if (!buf)
    return err_set (e, ENOMEM, "out of memory");
  for (uint64_t from = FAT_FIRST; from < (uint64_t) f->clusters + FAT_FIRST;
       from = to) {
    to = MIN (from + step, (uint64_t) f->clusters + FAT_FIRST);
    start = from * f->bits / 8;
    end = div_up ((uint64_t) to * f->bits, 8);
    if (block_pread (f->block, buf, end - start, f->fat_at + start, e) == -1)
      return err_in (e, "FAT");
    n += count_zeros (f, buf, (uint32_t) from, to);
  }
  *ret = f->free_clusters = n;
  return 0;
}
