/* xrayfs: VHDX: damage
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "block/table.h"
#include "format/vhdx.h"

#define ENTRY 8 /* bytes of a BAT entry */

/* Blocks start at whole MiB of the file: a bit for each shows which overlap.
 * A disk of 64 TiB fits twice, in 16 MiB of memory. */
#define MAX_PLACES (2 * VHDX_MAX_SIZE / MiB)

struct places {
  unsigned char *used;
  uint64_t n;
};

/* --- header section -------------------------------------------------- */

/* One that is damaged is what a power failure leaves: there is the other. */
static int
check_headers (struct block *b, struct block_check *c, struct err *e)
{
  struct vhdx_header h;
  struct err why;
  int r;

  for (unsigned i = 0; i < 2; i++) {
    r = vhdx_read_header (b->below, i, &h, &why);
    if (r == -1) {
      *e = why;
      return -1;
    }
    if (r == 0)
      block_check_note (c, "header %u of 2: %s", i + 1, why.msg);
  }
  return 0;
}

/* qemu reads the first copy only. */
static int
check_region_tables (struct block *b, struct block_check *c, struct err *e)
{
  CLEANUP_FREE unsigned char *first = malloc (VHDX_TABLE_SIZE),
                             *second = malloc (VHDX_TABLE_SIZE);
  const struct vhdx *v = b->priv;
  struct err why[2];
  int r[2] = { 0 };

  if (!first || !second)
    return err_set (e, ENOMEM, "out of memory");
  r[0] = vhdx_read_region_table (v->file, 0, first, &why[0]);
  r[1] = vhdx_read_region_table (v->file, 1, second, &why[1]);
  if (r[0] == -1 || r[1] == -1) {
    *e = why[r[0] == -1 ? 0 : 1];
    return -1;
  }
  if (!r[0])
    block_check_error (c, "region table 1 of 2: %s", why[0].msg);
  if (!r[1])
    block_check_note (c, "region table 2 of 2: %s", why[1].msg);
  if (r[0] && r[1] && memcmp (first, second, VHDX_TABLE_SIZE))
    block_check_note (c, "the two region tables differ");
  return 0;
}

static void
check_log (struct block *b, struct block_check *c)
{
  const struct vhdx *v = b->priv;

  if (v->log_is_empty)
    block_check_error (c, "the log is in use, and nothing in it is valid");
  else if (v->file != b->below)
    block_check_note (c, "the log has to be replayed");
  block_check_reach (c, b->below, v->log_end);
}

/* --- metadata -------------------------------------------------------- */

static void
check_metadata (const struct vhdx *v, struct block_check *c)
{
  for (unsigned i = 0; i < VHDX_PARENT_LOCATOR; i++)
    if (!v->items[i].length)
      block_check_error (c, "metadata: %s is not there", vhdx_item_name (i));
  if (v->items[VHDX_PHYSICAL_SECTOR].length && v->physical_sector != 512 &&
      v->physical_sector != 4096)
    block_check_error (c,
                       "metadata: physical sector size of %" PRIu32 " bytes",
                       v->physical_sector);
  if (v->size % v->logical_sector)
    block_check_error (c,
                       "metadata: virtual disk size of %" PRIu64
                       " bytes is not a whole number of sectors",
                       v->size);
}

/* 2.6.2.6.3, 2.6.2.4 */
static void
check_parent (const struct vhdx *v, struct block_check *c)
{
  const struct vhdx *parent;

  if (!v->parent || block_missing_reason (v->parent))
    return;
  parent = v->parent->priv;
  if (!vhdx_is_linked (&v->locator, parent))
    block_check_error (c, "parent '%s' has changed since, or is another disk",
                       v->parent_name);
  if (parent->logical_sector != v->logical_sector)
    block_check_error (c, "parent '%s' has sectors of another size",
                       v->parent_name);
}

/* --- BAT ------------------------------------------------------------- */

/* Is any of LEN bytes at HOST taken already?  Then they are. */
static bool
take (struct places *p, uint64_t host, uint64_t len)
{
  bool taken = false;

  for (uint64_t i = host / MiB; i < (host + len) / MiB && i < p->n; i++) {
    taken = taken || (p->used[i / 8] >> i % 8 & 1);
    p->used[i / 8] |= (unsigned char) (1 << i % 8);
  }
  return taken;
}

/* A block, or a bitmap, of LEN bytes, NEEDED of which have to be there. */
static void
check_place (struct block *b, uint64_t index, uint64_t entry, uint64_t len,
             uint64_t needed, struct places *p, struct block_check *c)
{
  const struct vhdx *v = b->priv;
  uint64_t host = VHDX_HOST (entry), end;
  struct err e = { 0 };

  if (__builtin_add_overflow (host, needed, &end) || end > INT64_MAX)
    block_check_error (c, "BAT entry %" PRIu64 ": offset 0x%" PRIx64, index,
                       host);
  else if (end > v->file->size)
    block_check_reach (c, b->below, end);
  else if (vhdx_check_place (v, entry, len, &e) == -1)
    block_check_error (c, "BAT entry %" PRIu64 ": %s", index, e.msg);
  else if (host / MiB >= p->n)
    block_check_error (c,
                       "BAT entry %" PRIu64 ": block at 0x%" PRIx64
                       " lies too far behind to be looked at",
                       index, host);
  else if (take (p, host, len))
    block_check_error (
        c, "BAT entry %" PRIu64 ": block at 0x%" PRIx64 " overlaps another",
        index, host);
}

static void
check_payload (struct block *b, uint64_t block, uint64_t entry,
               struct places *p, struct block_check *c)
{
  const struct vhdx *v = b->priv;
  uint64_t index = vhdx_block_index (v, block);
  /* qemu has left the last block short. */
  uint64_t needed = MIN (v->block_size, v->size - (block << v->block_bits));

  switch (VHDX_STATE (entry)) {
  case VHDX_NOT_PRESENT:
  case VHDX_UNDEFINED:
  case VHDX_ZERO:
  case VHDX_UNMAPPED:
  case VHDX_UNMAPPED_095:
    return;
  case VHDX_PARTIAL:
    if (!v->has_parent)
      block_check_error (c,
                         "BAT entry %" PRIu64
                         ": block is partially present without a parent",
                         index);
    /* fall through */
  case VHDX_PRESENT:
    check_place (b, index, entry, v->block_size, needed, p, c);
    return;
  default:
    block_check_error (c, "BAT entry %" PRIu64 ": state %u is not known",
                       index, VHDX_STATE (entry));
  }
}

/* 2.5.1.2.  Without a parent they are of no use, and what old versions of
 * qemu leave there does no harm. */
static void
check_bitmap (struct block *b, uint64_t index, uint64_t entry, bool needed,
              struct places *p, struct block_check *c)
{
  const struct vhdx *v = b->priv;

  if (!v->has_parent)
    return;
  if (VHDX_STATE (entry) == VHDX_PRESENT)
    check_place (b, index, entry, MiB, MiB, p, c);
  else if (VHDX_STATE (entry) != VHDX_NOT_PRESENT)
    block_check_error (c, "BAT entry %" PRIu64 ": state %u of a bitmap",
                       index, VHDX_STATE (entry));
  else if (needed)
    block_check_error (c,
                       "BAT entry %" PRIu64
                       ": sector bitmap of partial blocks is not there",
                       index);
}

/* Goes through the entries of the BAT in order. */
struct walk {
  struct places places;
  bool partial; /* a block of the chunk is */
};

static void
check_entry (struct block *b, uint64_t index, uint64_t entry, struct walk *w,
             struct block_check *c)
{
  const struct vhdx *v = b->priv;
  uint64_t in_chunk = (UINT64_C (1) << v->chunk_bits) + 1;
  uint64_t chunk = index / in_chunk, block = index - chunk;

  if (index % in_chunk == in_chunk - 1) {
    check_bitmap (b, index, entry, w->partial, &w->places, c);
    w->partial = false;
  } else if (block < v->blocks) {
    w->partial = w->partial || VHDX_STATE (entry) == VHDX_PARTIAL;
    check_payload (b, block, entry, &w->places, c);
  }
}

static int
check_piece (struct block *b, uint64_t first, uint64_t n, struct walk *w,
             struct block_check *c, struct err *e)
{
  const struct vhdx *v = b->priv;
  CLEANUP_PIN struct pin pin = { 0 };

  if (table_get (v->file, v->bat_owner, v->bat.offset + first * ENTRY,
                 n * ENTRY, &pin, e) == -1)
    return err_in (e, "BAT");
  for (uint64_t i = 0; i < n; i++)
    check_entry (b, first + i,
                 load_le64 ((char *) pin.entry->data + i * ENTRY), w, c);
  return 0;
}

static int
check_bat (struct block *b, struct walk *w, struct block_check *c,
           struct err *e)
{
  const struct vhdx *v = b->priv;
  uint64_t n, end;

  for (uint64_t i = 0; i < v->entries; i += n) {
    n = MIN (TABLE_PIECE / ENTRY, v->entries - i);
    end = v->bat.offset + (i + n) * ENTRY;
    if (end > v->file->size) {
      block_check_reach (c, b->below, v->bat.offset + v->entries * ENTRY);
      return 0;
    }
    if (b->env->cancelled)
      return err_set (e, ECANCELED, "cancelled");
    if (check_piece (b, i, n, w, c, e) == -1)
      return -1;
    block_check_progress (c, i + n, v->entries);
  }
  return 0;
}

int
vhdx_check (struct block *b, struct block_check *c, struct err *e)
{
  const struct vhdx *v = b->priv;
  CLEANUP_FREE unsigned char *used = NULL;
  struct walk w = { .places.n = MIN (v->file->size / MiB + 1, MAX_PLACES) };

  if (check_headers (b, c, e) == -1 || check_region_tables (b, c, e) == -1)
    return -1;
  check_log (b, c);
  check_metadata (v, c);
  check_parent (v, c);
  w.places.used = used = calloc (1, w.places.n / 8 + 1);
  if (!used)
    return err_set (e, ENOMEM, "out of memory");
  return check_bat (b, &w, c, e);
}
