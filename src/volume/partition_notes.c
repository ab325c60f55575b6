/* xrayfs: what is odd or damaged in a partition table
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "volume/partitions_priv.h"
#include "volume/volume.h"

/* A note; DAMAGE as well, where a check of the table would complain. */
static void printf_like (3, 4)
    note (struct partition_table *t, bool damage, const char *fmt, ...)
{
  char text[256];
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  buf_printf (&t->notes, "%s\n", text);
  if (damage)
    buf_printf (&t->damage, "%s\n", text);
}

static void
note_beyond_end (struct partition_table *t)
{
  const struct partition *p;

  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    if (p->beyond_end)
      note (t, true,
            "partition %u reaches beyond the end of the"
            " disk (%" PRIu64 " bytes at %" PRIu64 ")",
            p->number, p->size, p->start);
  }
}

static bool
overlap (const struct partition *p, const struct partition *q)
{
  return p->size && q->size && p->start < q->start + q->size &&
         q->start < p->start + p->size;
}

/* An extended partition holds its logical ones and is apart from the others
 * of the first sector. */
static void
note_extended (struct partition_table *t, const struct partition *ext)
{
  const struct partition *p;

  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    if (p->nested || p->extended)
      continue;
    if (p->number <= 4 && overlap (p, ext))
      note (t, true, "partitions %u and %u overlap", ext->number, p->number);
    if (p->number > 4 &&
        !range_within (p->start - ext->start, p->size, ext->size))
      note (t, true, "logical partition %u lies outside of partition %u",
            p->number, ext->number);
  }
}

/* Only where partitions exclude each other: an extended partition holds its
 * logical ones, and a BSD slice may be all of its parent. */
static void
note_overlap (struct partition_table *t)
{
  const struct partition *p, *q;

  for (size_t i = 0; i < t->n_partitions; i++) {
    p = &t->partitions[i];
    for (size_t j = 0; j < i; j++) {
      q = &t->partitions[j];
      if (p->extended || q->extended || p->nested || q->nested ||
          p->number == 0 || q->number == 0 || !overlap (p, q))
        continue;
      note (t, true, "partitions %u and %u overlap", q->number, p->number);
      break; /* one a partition: a hostile table has thousands */
    }
  }
}

static void
note_pmbr (struct partition_table *t, const struct scout *s, uint64_t sectors)
{
  uint64_t want = MIN (sectors - 1, UINT32_MAX);
  unsigned others = 0;
  struct mbr_entry p;

  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    others += p.type != 0xee && p.type != 0 && p.size;
  }
  if (others) {
    note (t, false,
          "hybrid MBR: %u partition%s of the GPT in the MBR"
          " too",
          others, others == 1 ? "" : "s");
    return;
  }
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    if (p.type == 0xee && p.size != want && p.size != UINT32_MAX)
      note (t, true,
            "protective MBR covers %" PRIu32 " sectors of"
            " %" PRIu64 "",
            p.size, want);
  }
}

static void
note_gpt_copies (struct partition_table *t, const struct gpt_pair *p)
{
  const struct gpt *a = &p->primary, *b = &p->backup;

  if (!a->valid)
    note (t, true,
          "primary GPT is %s: the backup at the end of the"
          " disk is used",
          a->signature ? "damaged" : "missing");
  else if (a->alternate != p->last_lba)
    note (t, true,
          "backup GPT is said to be at LBA %" PRIu64
          ", the disk ends at LBA %" PRIu64,
          a->alternate, p->last_lba);
  if (!b->valid)
    note (t, true, "backup GPT at the end of the disk is %s",
          b->signature ? "damaged" : "missing");
  else if (a->valid && (memcmp (a->guid, b->guid, 16) || a->n != b->n ||
                        a->entries_crc != b->entries_crc))
    note (t, true, "backup GPT differs from the primary");
}

/* libblkid skips them, and so do kernels. */
static int
note_gpt_outside (struct partition_table *t, int fd, unsigned sector,
                  const struct gpt *g, struct err *e)
{
  unsigned char entry[GPT_ENTRY_SIZE];
  uint64_t first, last, at = g->entries_lba * sector;
  unsigned told = 0;

  for (uint32_t i = 0; i < g->n; i++, at += sizeof entry) {
    if (pread (fd, entry, sizeof entry, (off_t) at) != sizeof entry)
      return err_sys (e, errno, "memory for a probe");
    first = load_le64 (entry + 32);
    last = load_le64 (entry + 40);
    if (is_zero (entry, 16) ||
        (first >= g->first && last <= g->last && first <= last + 1))
      continue;
    if (++told <= 16)
      note (t, true,
            "entry %" PRIu32 " (LBA %" PRIu64 " to %" PRIu64
            ") lies outside of the usable range and is ignored",
            i + 1, first, last);
  }
  if (told > 16)
    note (t, true, "%u more entries are ignored", told - 16);
  return 0;
}

static int
note_gpt (struct partition_table *t, const struct scout *s, struct err *e)
{
  const struct gpt_pair *p =
      t->sector_size == 4096 ? &s->gpt4096 : &s->gpt512;

  note_pmbr (t, s, p->last_lba + 1);
  note_gpt_copies (t, p);
  return note_gpt_outside (t, s->fd, t->sector_size,
                           p->primary.valid ? &p->primary : &p->backup, e);
}

/* A header that is whole and says that the disk ends behind its end. */
static void
note_lone_pmbr (struct partition_table *t, const struct gpt_pair *p)
{
  if (p->primary.lba && p->primary.last > p->last_lba)
    note (t, true,
          "the GPT is that of a disk of at least %" PRIu64
          " sectors, of which %" PRIu64 " are here: it is cut off",
          p->primary.last + 1, p->last_lba + 1);
  else
    note (t, true, "protective MBR alone: there is no GPT");
}

int
table_notes (struct partition_table *t, const struct scout *s, struct err *e)
{
  bool dos = !strcmp (t->type, "dos"), gpt = !strcmp (t->type, "gpt");

  if (gpt && note_gpt (t, s, e) == -1)
    return -1;
  if (!strcmp (t->type, "PMBR"))
    note_lone_pmbr (t, &s->gpt512);
  if (dos) {
    buf_add (&t->notes, s->ebr_notes.data, s->ebr_notes.len);
    buf_add (&t->damage, s->ebr_notes.data, s->ebr_notes.len);
  }
  note_beyond_end (t);
  if (dos || gpt)
    note_overlap (t);
  for (size_t i = 0, n = 0; dos && i < t->n_partitions && n == 0; i++)
    if (t->partitions[i].extended) {
      note_extended (t, &t->partitions[i]);
      n++;
    }
  if (t->whole && strcmp (t->type, "none"))
    note (t, false, "%s lies on the bare disk besides the table", t->whole);
  if (buf_check (&t->damage, e) == -1)
    return -1;
  return buf_check (&t->notes, e);
}
