/* xrayfs: squashfs: how metadata and data are read
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"
#include "fs/pages.h"
#include "fs/squashfs.h"

/* --- the cache ------------------------------------------------------- */

/* What is kept of a block: its contents, and what it was made from. */
struct contents {
  uint64_t next;   /* metadata: where the next block begins */
  uint32_t word;   /* data: the size word */
  uint32_t length; /* of the bytes */
  char bytes[];
};

struct load_arg {
  struct squashfs *s;
  uint64_t off;
  uint32_t word;
};
typedef int (*load_fn) (void *arg, void *data, size_t size, struct err *e);

/* An entry of the cache, or memory of our own where there is none. */
struct loaded {
  struct cache *cache;
  struct cache_entry *entry;
  void *own;
};

static void
loaded_release (struct loaded *l)
{
  if (l->entry)
    cache_release (l->cache, l->entry);
  free (l->own);
}
#define CLEANUP_LOADED __attribute__ ((cleanup (loaded_release)))

static int
load_own (struct loaded *l, size_t size, load_fn fn, struct load_arg *arg,
          const void **ret, struct err *e)
{
  l->own = malloc (size);
  if (!l->own)
    return err_set (e, ENOMEM, "out of memory");
  *ret = l->own;
  return fn (arg, l->own, size, e);
}

static int
load (struct loaded *l, const void *owner, size_t size, load_fn fn,
      struct load_arg *arg, const void **ret, struct err *e)
{
  struct block_env *env = arg->s->block->env;

  if (env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  l->cache = env->cache;
  if (!l->cache)
    return load_own (l, size, fn, arg, ret, e);
  if (cache_get (l->cache, owner, arg->off, size, fn, arg, &l->entry, e) ==
      -1)
    return -1;
  *ret = l->entry->data;
  return 0;
}

int
squashfs_read (struct squashfs *s, uint64_t off, void *buf, size_t len,
               struct err *e)
{
  return pages_read (s->block, s->page_owner, off, buf, len, e);
}

/* --- metadata -------------------------------------------------------- */

/* Two bytes: the stored length, and 0x8000 where it is not compressed. */
static int
load_metadata (void *arg, void *data, size_t size unused_arg, struct err *e)
{
  struct load_arg *l = arg;
  struct squashfs *s = l->s;
  char head[2], stored[SQUASHFS_METADATA];
  struct contents *c = data;
  size_t len, got;

  if (squashfs_read (s, l->off, head, sizeof head, e) == -1)
    return -1;
  len = load_le16 (head) & 0x7fff;
  got = len;
  if (len == 0 || len > sizeof stored ||
      !range_within (l->off + 2, len, s->sb.bytes))
    return err_set (e, EIO, "%zu bytes long", len);
  if (squashfs_read (s, l->off + 2, stored, len, e) == -1)
    return -1;
  if (load_le16 (head) & 0x8000)
    memcpy (c->bytes, stored, len);
  else if (squashfs_decompress (s->sb.compression, stored, len, c->bytes,
                                SQUASHFS_METADATA, &got, e) == -1)
    return -1;
  if (got == 0)
    return err_set (e, EIO, "empty");
  c->length = (uint32_t) got;
  c->next = l->off + 2 + len;
  return 0;
}

static int
get_metadata (struct squashfs *s, uint64_t off, struct loaded *l,
              const struct contents **ret, struct err *e)
{
  struct load_arg arg = { s, off, 0 };
  const void *data = NULL;

  if (load (l, s->metadata_owner, sizeof **ret + SQUASHFS_METADATA,
            load_metadata, &arg, &data, e) == -1)
    return err_in (e, "metadata block at 0x%" PRIx64, off);
  *ret = data;
  return 0;
}

int
squashfs_check_metadata (struct squashfs *s, uint64_t off, uint64_t *ret_next,
                         struct err *e)
{
  CLEANUP_LOADED struct loaded l = { 0 };
  const struct contents *c = NULL;

  if (get_metadata (s, off, &l, &c, e) == -1)
    return -1;
  *ret_next = c->next;
  return 0;
}

/* What of it lies in the block that AT is in: *RET_LEN bytes. */
static int
read_part (struct squashfs *s, struct squashfs_place *at, void *buf,
           size_t len, size_t *ret_len, struct err *e)
{
  CLEANUP_LOADED struct loaded l = { 0 };
  const struct contents *c = NULL;

  if (at->block >= at->end)
    return err_set (e, EIO, "0x%" PRIx64 " lies beyond the end of its table",
                    at->block);
  if (get_metadata (s, at->block, &l, &c, e) == -1)
    return -1;
  if (at->offset >= c->length)
    return err_set (e, EIO,
                    "metadata block at 0x%" PRIx64
                    ": there are no bytes at %" PRIu32,
                    at->block, at->offset);
  len = MIN (len, c->length - at->offset);
  if (buf)
    memcpy (buf, c->bytes + at->offset, len);
  at->offset += len;
  if (at->offset == c->length) {
    at->block = c->next;
    at->offset = 0;
  }
  *ret_len = len;
  return 0;
}

int
squashfs_read_metadata (struct squashfs *s, struct squashfs_place *at,
                        void *buf, size_t len, struct err *e)
{
  size_t here = 0;

  for (char *to = buf; len > 0; to = to ? to + here : NULL, len -= here)
    if (read_part (s, at, to, len, &here, e) == -1)
      return -1;
  return 0;
}

int
squashfs_read_entry (struct squashfs *s, uint64_t list, uint64_t index,
                     void *buf, size_t size, struct err *e)
{
  uint64_t per_block = SQUASHFS_METADATA / size;
  struct squashfs_place at = { .end = s->sb.bytes };
  char block[8];

  if (squashfs_read (s, list + index / per_block * 8, block, sizeof block,
                     e) == -1)
    return -1;
  at.block = load_le64 (block);
  at.offset = (uint32_t) (index % per_block * size);
  return squashfs_read_metadata (s, &at, buf, size, e);
}

/* --- data ------------------------------------------------------------ */

int
squashfs_check_block (const struct squashfs *s, uint64_t start, uint32_t word,
                      struct err *e)
{
  if (word >> 25 || squashfs_stored (word) > s->sb.block_size ||
      squashfs_stored (word) == 0)
    return err_set (e, EIO, "block of impossible size 0x%" PRIx32, word);
  if (!range_within (start, squashfs_stored (word), s->sb.bytes))
    return err_set (e, EIO,
                    "block at 0x%" PRIx64
                    " lies beyond the end of the filesystem",
                    start);
  return 0;
}

static int
load_data (void *arg, void *data, size_t size, struct err *e)
{
  struct load_arg *l = arg;
  struct contents *c = data;
  size_t stored = squashfs_stored (l->word), got = stored;
  CLEANUP_FREE char *from = malloc (stored);

  if (!from)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (l->s->block, from, stored, l->off, e) == -1)
    return -1;
  if (squashfs_is_plain (l->word))
    memcpy (c->bytes, from, stored);
  else if (squashfs_decompress (l->s->sb.compression, from, stored, c->bytes,
                                size - sizeof *c, &got, e) == -1)
    return -1;
  c->word = l->word;
  c->length = (uint32_t) got;
  return 0;
}

/* An entry made from another size of the same place, which a damaged image
 * can have, does not serve. */
static int
get_data (struct squashfs *s, uint64_t start, uint32_t word, struct loaded *l,
          const struct contents **ret, struct err *e)
{
  struct load_arg arg = { s, start, word };
  size_t size = sizeof **ret + s->sb.block_size;
  const void *data = NULL;

  if (load (l, s->data_owner, size, load_data, &arg, &data, e) == -1)
    return -1;
  *ret = data;
  if ((*ret)->word == word)
    return 0;
  if (load_own (l, size, load_data, &arg, &data, e) == -1)
    return -1;
  *ret = data;
  return 0;
}

int
squashfs_read_block (struct squashfs *s, uint64_t start, uint32_t word,
                     size_t whole, size_t skip, void *buf, size_t len,
                     struct err *e)
{
  CLEANUP_LOADED struct loaded l = { 0 };
  const struct contents *c = NULL;

  if (get_data (s, start, word, &l, &c, e) == -1)
    return err_in (e, "block at 0x%" PRIx64, start);
  if ((whole && c->length != whole) || !range_within (skip, len, c->length))
    return err_set (e, EIO, "block at 0x%" PRIx64 " gives %" PRIu32 " bytes",
                    start, c->length);
  memcpy (buf, c->bytes + skip, len);
  return 0;
}
