/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/pages.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/cache.h"

#define PAGE 4096

struct page_arg {
  struct block *block;
  uint64_t off;
};

static int
load_page (void *arg, void *data, size_t size, struct err *e)
{
  const struct page_arg *p = arg;

  return block_pread (p->block, data, size, p->off, e);
}

/* LEN bytes, SKIP bytes into the page at OFF, which the end may cut off. */
static int
read_page (struct block *b, const void *owner, uint64_t off, size_t skip,
           void *buf, size_t len, struct err *e)
{
  size_t size = MIN (PAGE, b->size - off);
  struct page_arg arg = { b, off };
  struct cache_entry *entry;

  if (b->env->cancelled)
    return err_set (e, ECANCELED, "cancelled");
  if (!b->env->cache)
    return block_pread (b, buf, len, off + skip, e);
  if (cache_get (b->env->cache, owner, off, size, load_page, &arg, &entry,
                 e) == -1)
    return -1;
  memcpy (buf, (const char *) entry->data + skip, len);
  cache_release (b->env->cache, entry);
  return 0;
}

int
pages_read (struct block *b, const void *owner, uint64_t off, void *buf,
            size_t len, struct err *e)
{
  size_t skip, here;

  if (!range_within (off, len, b->size))
    return err_set (
        e, EIO, "0x%" PRIx64 " lies beyond the end of the filesystem", off);
  for (char *to = buf; len > 0; to += here, off += here, len -= here) {
    skip = off % PAGE;
    here = MIN (len, PAGE - skip);
    if (read_page (b, owner, off - skip, skip, to, here, e) == -1)
      return -1;
  }
  return 0;
}
