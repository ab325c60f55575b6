/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/block.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

struct block *
block_new (struct block_env *env, const struct block_ops *ops, struct err *e)
{
  struct block *b = calloc (1, sizeof *b);

  if (!b) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  b->env = env;
  b->ops = ops;
  return b;
}

void
block_close (struct block *b)
{
  if (!b)
    return;
  if (b->ops->close)
    b->ops->close (b);
  if (b->owns_below)
    block_close (b->below);
  free (b->path);
  free (b);
}

int
block_unreadable (const struct block *b, uint64_t off, struct err *e)
{
  return err_set (e, EIO,
                  "read at 0x%" PRIx64 " lies beyond the end (0x%" PRIx64 ")",
                  off, b->size);
}

int
block_map (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
           struct err *e)
{
  struct extent x;

  if (len == 0 || off >= b->size)
    return block_unreadable (b, off, e);
  len = MIN (len, b->size - off);
  if (!b->ops->map) {
    *ret = extent_data (len, b, off);
    return 0;
  }
  if (b->ops->map (b, off, len, &x, e) == -1)
    return err_in (e, "%s", b->ops->name);
  /* A driver that broke the contract would loop us for ever. */
  if (x.length == 0 || x.length > len)
    return err_set (e, EIO, "%s: map gave an extent of %" PRIu64 " bytes",
                    b->ops->name, x.length);
  *ret = x;
  return 0;
}

int
block_resolve (struct block *b, uint64_t off, uint64_t len,
               struct extent *ret, struct err *e)
{
  struct extent x;

  for (unsigned i = 0; i < 4 * BLOCK_MAX_DEPTH; i++) {
    if (block_map (b, off, len, &x, e) == -1)
      return -1;
    if (x.kind != EXTENT_DATA || x.lower == b) {
      *ret = x;
      return 0;
    }
    b = x.lower;
    off = x.offset;
    len = x.length;
  }
  return err_set (e, ELOOP, "chain of images is too long");
}

int
block_run_flush (struct block_run *r, struct err *e)
{
  size_t len = r->len;

  r->len = 0;
  return len ? block_pread (r->lower, r->to, len, r->offset, e) : 0;
}

int
block_run_add (struct block_run *r, const struct extent *x, char *to,
               struct err *e)
{
  /* Neighbours below may have a hole between them above. */
  if (r->len && x->lower == r->lower && x->offset == r->offset + r->len &&
      to == r->to + r->len) {
    r->len += x->length;
    return 0;
  }
  if (block_run_flush (r, e) == -1)
    return -1;
  *r = (struct block_run){ x->lower, x->offset, x->length, to };
  return 0;
}

static int
read_stored (struct block *b, char *to, size_t len, uint64_t off,
             struct err *e)
{
  if (!b->ops->pread)
    return err_set (e, EIO, "%s: no way to read", b->ops->name);
  if (b->ops->pread (b, to, len, off, e) == -1)
    return err_in (e, "%s", b->ops->name);
  return 0;
}

/* What cannot be taken from below as it is. */
static int
read_extent (struct block *b, const struct extent *x, char *to, uint64_t off,
             struct err *e)
{
  if (x->kind == EXTENT_ZERO || x->kind == EXTENT_UNALLOCATED) {
    memset (to, 0, x->length);
    return 0;
  }
  return read_stored (b, to, x->length, off, e);
}

int
block_pread (struct block *b, void *buf, size_t len, uint64_t off,
             struct err *e)
{
  struct block_run run = { 0 };
  struct extent x;
  char *to = buf;

  if (!range_within (off, len, b->size))
    return block_unreadable (b, off, e);
  if (!b->ops->map || block_file_fd (b) != -1)
    return len ? read_stored (b, to, len, off, e) : 0;
  while (len > 0) {
    if (block_map (b, off, len, &x, e) == -1)
      return -1;
    if (x.kind == EXTENT_DATA && x.lower != b) {
      if (block_run_add (&run, &x, to, e) == -1)
        return err_in (e, "%s", b->ops->name);
    } else if (read_extent (b, &x, to, off, e) == -1)
      return -1;
    to += x.length;
    off += x.length;
    len -= x.length;
  }
  if (block_run_flush (&run, e) == -1)
    return err_in (e, "%s", b->ops->name);
  return 0;
}

/* Does EXTENT_DATA of B end the way down?  qemu recurses from raw and from
 * what is preallocated, and otherwise believes the format. */
static bool
is_final (const struct block *b, const struct extent *x)
{
  return x->lower == b ||
         (b->ops->bid && !x->transparent && !x->lower->ops->bid);
}

int
block_status (struct block *b, uint64_t off, uint64_t len, struct extent *ret,
              struct block_answer *ret_who, struct err *e)
{
  struct block_answer who = { NULL, true };
  struct extent x;

  for (unsigned i = 0; i < 4 * BLOCK_MAX_DEPTH; i++) {
    if (b->ops->bid)
      who.layer = b;
    if (block_map (b, off, len, &x, e) == -1)
      return -1;
    if (x.kind != EXTENT_DATA || is_final (b, &x)) {
      *ret = x;
      if (ret_who)
        *ret_who = who;
      return 0;
    }
    who.own = who.own && x.lower != block_backing (b);
    b = x.lower;
    off = x.offset;
    len = x.length;
  }
  return err_set (e, ELOOP, "chain of images is too long");
}

int
block_seek (struct block *b, uint64_t off, bool hole, uint64_t *ret,
            struct err *e)
{
  struct extent x;
  bool is_hole;

  if (off >= b->size)
    return err_set (e, ENXIO, "seek beyond the end");
  while (off < b->size) {
    if (block_status (b, off, b->size - off, &x, NULL, e) == -1)
      return -1;
    is_hole = x.kind == EXTENT_ZERO || x.kind == EXTENT_UNALLOCATED;
    if (is_hole == hole)
      break;
    off += x.length;
  }
  if (off >= b->size && !hole)
    return err_set (e, ENXIO, "no data after that offset");
  *ret = MIN (off, b->size);
  return 0;
}

int
block_allocated (struct block *b, uint64_t *ret, struct err *e)
{
  uint64_t sum = 0;
  struct extent x;

  for (uint64_t off = 0; off < b->size; off += x.length) {
    if (b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    if (block_resolve (b, off, b->size - off, &x, e) == -1)
      return -1;
    if (x.kind == EXTENT_DATA || x.kind == EXTENT_COMPRESSED)
      sum += x.length;
  }
  *ret = sum;
  return 0;
}

/* --- formats --------------------------------------------------------- */

/* *RET is NULL where nobody bids. */
static int
best_bid (struct block *below, const struct block_ops **ret, struct err *e)
{
  int bits, most = 0;

  *ret = NULL;
  for (size_t i = 0; block_formats[i]; i++) {
    bits = block_formats[i]->bid (below, e);
    if (bits == -1)
      return err_in (e, "format");
    if (bits > most) {
      most = bits;
      *ret = block_formats[i];
    }
  }
  return *ret ? 0 : err_set (e, EINVAL, "the file is empty");
}

static const struct block_ops *
format_named (const char *name)
{
  for (size_t i = 0; block_formats[i]; i++)
    if (!strcmp (block_formats[i]->name, name))
      return block_formats[i];
  return NULL;
}

int
block_format_open (struct block *below, const char *format,
                   struct block **ret, struct err *e)
{
  CLEANUP_BLOCK struct block *mine = below, *b = NULL;
  const struct block_ops *ops;

  if (!format && best_bid (below, &ops, e) == -1)
    return -1;
  if (format && !(ops = format_named (format)))
    return err_set (e, ENOTSUP, "format '%s' is not known", format);
  b = block_new (below->env, ops, e);
  if (!b)
    return -1;
  b->below = steal_ptr (&mine);
  b->owns_below = true;
  b->depth = below->depth;
  b->sealed = below->sealed;
  if (below->path && !(b->path = strdup (below->path)))
    return err_set (e, ENOMEM, "out of memory");
  if (ops->open (b, e) == -1)
    return err_in (e, "%s", ops->name);
  *ret = steal_ptr (&b);
  return 0;
}

struct block *
block_backing (struct block *b)
{
  return b->ops->backing ? b->ops->backing (b) : NULL;
}

/* The images behind B, the nearest first. */
static int
add_chain (struct block *b, struct buf *out, struct err *e)
{
  for (b = block_backing (b); b; b = block_backing (b)) {
    if (b->path)
      buf_add_line_text (out, b->path, strlen (b->path));
    buf_puts (out, "\n");
  }
  return buf_check (out, e);
}

int
block_info (struct block *b, struct block_info *ret, struct err *e)
{
  *ret = (struct block_info){ .cluster_size = BLOCK_NONE };
  if ((b->ops->info && b->ops->info (b, ret, e) == -1) ||
      add_chain (b, &ret->backing_chain, e) == -1 ||
      buf_check (&ret->extent_files, e) == -1 ||
      buf_check (&ret->snapshots, e) == -1 ||
      buf_check (&ret->features, e) == -1) {
    block_info_free (ret);
    return err_in (e, "%s", b->ops->name);
  }
  if (ret->snapshots_err.code)
    err_in (&ret->snapshots_err, "%s", b->ops->name);
  return 0;
}

static struct block *
storage_of (struct block *b, size_t i)
{
  if (b->ops->storage)
    return b->ops->storage (b, i);
  return i == 0 ? b->below : NULL;
}

int
block_usage (struct block *b, uint64_t *ret_length, uint64_t *ret_allocated,
             struct err *e)
{
  uint64_t length = 0, allocated = 0, more_length, more_allocated;
  struct block *part;

  if (block_file_fd (b) != -1)
    return block_file_usage (b, ret_length, ret_allocated, e);
  for (size_t i = 0; (part = storage_of (b, i)); i++) {
    if (block_usage (part, &more_length, &more_allocated, e) == -1)
      return -1;
    length += more_length;
    allocated += more_allocated;
  }
  if (!b->below) /* memory */
    length = allocated = b->size;
  *ret_length = length;
  *ret_allocated = allocated;
  return 0;
}

void
block_info_free (struct block_info *i)
{
  free (i->subformat);
  free (i->version);
  free (i->compression);
  free (i->encrypted);
  free (i->creator);
  free (i->backing_file);
  free (i->backing_format);
  free (i->data_file);
  buf_free (&i->backing_chain);
  buf_free (&i->extent_files);
  buf_free (&i->snapshots);
  buf_free (&i->features);
}
