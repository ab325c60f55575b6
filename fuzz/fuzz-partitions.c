/* xrayfs: fuzz target: partition tables and superblocks
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a sparse disk, so that a disk of 2 TiB has a small seed: its
 * size (64 bits), then records of an offset (64 bits; negative: from the
 * end), a length (16 bits) and so many bytes.  All are little-endian.  What
 * no record holds is zero.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "block/block.h"
#include "volume/volume.h"

#define MAX_RECORDS 64
#define MAX_SIZE    ((uint64_t) 1 << 44)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

struct record {
  uint64_t off, len;
  const uint8_t *data;
};

struct disk {
  struct record records[MAX_RECORDS];
  size_t n;
};

static int
disk_pread (struct block *b, void *buf, size_t len, uint64_t off,
            struct err *e unused_arg)
{
  const struct disk *d = b->priv;
  const struct record *r;
  uint64_t from, to;

  memset (buf, 0, len);
  for (size_t i = 0; i < d->n; i++) {
    r = &d->records[i];
    from = MAX (off, r->off);
    to = MIN (off + len, r->off + r->len);
    if (from < to)
      memcpy ((char *) buf + (from - off), r->data + (from - r->off),
              to - from);
  }
  return 0;
}

static const struct block_ops disk_ops = {
  .name = "fuzz",
  .pread = disk_pread,
};

static void
disk_parse (struct disk *d, uint64_t disk_size, const uint8_t *p, size_t left)
{
  struct record r;

  while (d->n < MAX_RECORDS && left > 10) {
    r = (struct record){ load_le64 (p), load_le16 (p + 8), p + 10 };
    p += 10;
    left -= 10;
    r.len = MIN (r.len, left);
    p += r.len;
    left -= r.len;
    if ((int64_t) r.off < 0)
      r.off += disk_size;
    if (range_within (r.off, r.len, disk_size))
      d->records[d->n++] = r;
  }
}

static void
probe (struct block *b)
{
  struct superblock *s;
  struct err e = { 0 };

  if (superblock_probe (b, &s, &e) == 0) {
    if (!s->type || (!strcmp (s->type, "ambivalent") != !!s->ambivalent))
      abort ();
    superblock_free (s);
  } else if (!e.code || !e.msg[0])
    abort ();
}

static void
probe_partition (struct block *disk, const struct partition *p)
{
  CLEANUP_BLOCK struct block *slice = NULL;
  struct err e = { 0 };

  if (range_within (p->start, p->size, disk->size) == p->beyond_end)
    abort ();
  if (!p->type || p->start >= disk->size)
    return;
  if (block_slice_open (disk, p->start, MIN (p->size, disk->size - p->start),
                        &slice, &e) == 0)
    probe (slice);
}

static void
check_table (struct block *disk)
{
  struct partition_table *t;
  struct err e = { 0 };

  if (partition_table_read (disk, &t, &e) == -1) {
    if (!e.code || !e.msg[0])
      abort ();
    return;
  }
  if (!t->type || t->n_partitions > VOLUME_MAX_PARTITIONS)
    abort ();
  for (size_t i = 0; i < t->n_partitions; i++) {
    if (i && t->partitions[i].number < t->partitions[i - 1].number)
      abort ();
    if (i < 8)
      probe_partition (disk, &t->partitions[i]);
  }
  partition_table_free (t);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct block_env env = { .dir_fd = -1 };
  CLEANUP_BLOCK struct block *b = NULL;
  struct disk d = { .n = 0 };
  struct err e = { 0 };

  if (size < 8)
    return 0;
  b = block_new (&env, &disk_ops, &e);
  if (!b)
    return 0;
  b->size = load_le64 (data) % MAX_SIZE;
  b->priv = &d;
  disk_parse (&d, b->size, data + 8, size - 8);
  check_table (b);
  probe (b);
  return 0;
}
