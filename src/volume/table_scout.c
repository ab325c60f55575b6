/* xrayfs: what partition tables refer to
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The entries of a GPT, the chains of logical partitions, Apple's map and
 * Atari's extended partitions lie where the tables say.  A follower for each
 * walks as libblkid/src/partitions/<name>.c does, and whatever it looks at is
 * copied into the spool.  As in spool.c: too much does no harm, too little
 * makes libblkid say that there is nothing.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "volume/partitions_priv.h"
#include "volume/spool.h"

#define GPT_MAX_ARRAY (4 * MiB)
#define EBR_MAX       1024 /* links followed; 256 partitions are shown */

static int
look (struct scout *s, uint64_t off, void *buf, size_t len, struct err *e)
{
  return spool_look (s->fd, s->disk, off, buf, len, e);
}

static bool
gpt_header_parse (unsigned char *h, unsigned sector, uint64_t lba,
                  uint64_t last_lba, struct gpt *g)
{
  uint32_t size = load_le32 (h + 12), crc = load_le32 (h + 16);

  g->signature = !memcmp (h, "EFI PART", 8);
  if (!g->signature || size < 92 || size > sector)
    return false;
  memset (h + 16, 0, 4);
  if (crc32 (0, h, size) != crc || load_le64 (h + 24) != lba)
    return false;
  g->lba = lba;
  g->alternate = load_le64 (h + 32);
  g->first = load_le64 (h + 40);
  g->last = load_le64 (h + 48);
  memcpy (g->guid, h + 56, sizeof g->guid);
  g->entries_lba = load_le64 (h + 72);
  g->n = load_le32 (h + 80);
  g->entries_crc = load_le32 (h + 88);
  return g->last >= g->first && g->last <= last_lba &&
         !(g->first < lba && lba < g->last) && g->n > 0 &&
         load_le32 (h + 84) == GPT_ENTRY_SIZE;
}

static int
gpt_entries_check (struct scout *s, unsigned sector, struct gpt *g,
                   struct err *e)
{
  CLEANUP_FREE unsigned char *array = NULL;
  uint64_t len = (uint64_t) g->n * GPT_ENTRY_SIZE;
  int got;

  if (len > GPT_MAX_ARRAY)
    return err_set (e, EINVAL, "%" PRIu32 " entries are more than 4 MiB",
                    g->n);
  array = malloc (len);
  if (!array)
    return err_set (e, ENOMEM, "out of memory");
  /* The multiplication wraps as in libblkid. */
  got = look (s, g->entries_lba * sector, array, len, e);
  if (got == 1)
    g->valid = crc32 (0, array, (uInt) len) == g->entries_crc;
  return got == -1 ? -1 : 0;
}

static int
gpt_scout (struct scout *s, unsigned sector, uint64_t lba, uint64_t last_lba,
           struct gpt *g, struct err *e)
{
  unsigned char h[4096];
  int got = look (s, lba * sector, h, sector, e);

  if (got == 1 && gpt_header_parse (h, sector, lba, last_lba, g) &&
      gpt_entries_check (s, sector, g, e) == -1)
    got = -1;
  return got == -1 ? err_in (e, "GPT at LBA %" PRIu64, lba) : 0;
}

static int
gpt_scout_pair (struct scout *s, unsigned sector, struct gpt_pair *p,
                struct err *e)
{
  if (s->disk->size < 2 * sector)
    return 0;
  p->last_lba = s->disk->size / sector - 1;
  if (gpt_scout (s, sector, 1, p->last_lba, &p->primary, e) == -1)
    return -1;
  return gpt_scout (s, sector, p->last_lba, p->last_lba, &p->backup, e);
}

struct mbr_entry
mbr_entry (const unsigned char *sector, unsigned i)
{
  const unsigned char *p = sector + 446 + 16 * i;

  return (struct mbr_entry){ p[0], p[4], load_le32 (p + 8),
                             load_le32 (p + 12) };
}

static bool
mbr_signature (const unsigned char *sector)
{
  return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool
is_extended (uint8_t type)
{
  return type == 0x05 || type == 0x0f || type == 0x85;
}

/* The next link of a chain of extended boot records; 0: the last.  Sums wrap
 * at 32 bits, as libblkid's do. */
static uint32_t
ebr_next (const unsigned char *ebr, uint32_t first)
{
  struct mbr_entry p;

  if (!mbr_signature (ebr))
    return 0;
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (ebr, i);
    if (p.size && is_extended (p.type) && p.start)
      return first + p.start;
  }
  return 0;
}

static bool
seen (const uint32_t *list, unsigned n, uint32_t v)
{
  for (unsigned i = 0; i < n; i++)
    if (list[i] == v)
      return true;
  return false;
}

static int
ebr_scout (struct scout *s, uint32_t first, struct err *e)
{
  uint32_t visited[EBR_MAX], at = first;
  unsigned char ebr[SECTOR];
  int got;

  for (unsigned n = 0; at; n++) {
    if (seen (visited, n, at)) {
      buf_printf (&s->ebr_notes,
                  "the chain of logical partitions leads back"
                  " to sector %" PRIu32 "\n",
                  at);
      return 0;
    }
    if (n == EBR_MAX) {
      buf_printf (&s->ebr_notes,
                  "the chain of logical partitions has more"
                  " than %d links\n",
                  EBR_MAX);
      return 0;
    }
    visited[n] = at;
    got = look (s, (uint64_t) at * SECTOR, ebr, sizeof ebr, e);
    if (got == -1)
      return err_in (e, "extended boot record");
    if (got == 0 || !mbr_signature (ebr))
      buf_printf (&s->ebr_notes,
                  "the chain of logical partitions breaks at"
                  " sector %" PRIu32 "\n",
                  at);
    at = got ? ebr_next (ebr, first) : 0;
  }
  return 0;
}

/* Logical partitions, and the tables within partitions of BSD, Solaris,
 * UnixWare and Minix: at most 29 sectors from their start. */
static int
dos_scout (struct scout *s, struct err *e)
{
  struct mbr_entry p;

  for (unsigned i = 0; i < 4; i++)
    if (mbr_entry (s->mbr, i).active & 0x7f)
      return 0; /* not a table: libblkid refuses it too */
  if (!mbr_signature (s->mbr))
    return 0;
  for (unsigned i = 0; i < 4; i++) {
    p = mbr_entry (s->mbr, i);
    if (!p.size || p.type == 0xee)
      continue;
    if (is_extended (p.type) && ebr_scout (s, p.start, e) == -1)
      return -1;
    if (!is_extended (p.type) && p.type > 0x0f &&
        spool_add (s->fd, s->disk, (uint64_t) p.start * SECTOR, 16 * KiB,
                   e) == -1)
      return err_in (e, "start of partition %u", i + 1);
  }
  return 0;
}

/* Blocks of up to 64 KiB, a map of at most 256 of them. */
static int
mac_scout (struct scout *s, struct err *e)
{
  uint32_t block = load_be16 (s->mbr + 2), count = 1;
  unsigned char map[SECTOR];
  int got;

  if (memcmp (s->mbr, "ER", 2) || block < SECTOR)
    return 0;
  for (uint32_t i = 1; i <= MIN (count, 256); i++) {
    got = look (s, (uint64_t) i * block, map, sizeof map, e);
    if (got != 1 || (memcmp (map, "PM", 2) && memcmp (map, "TS", 2)))
      return got == -1 ? err_in (e, "Apple partition map") : 0;
    if (i == 1)
      count = load_be32 (map + 4);
  }
  return 0;
}

/* The chain of a partition "XGM" (extended), followed 100 times. */
static int
atari_chain (struct scout *s, uint32_t first, struct err *e)
{
  uint32_t at = first;
  unsigned char root[SECTOR], *part;
  int got;

  for (int n = 0; n < 100; n++) {
    got = look (s, (uint64_t) at * SECTOR, root, sizeof root, e);
    if (got != 1)
      return got;
    for (part = root + 0x1c6; part < root + 0x1c6 + 48; part += 12)
      if ((part[0] & 1) && !memcmp (part + 1, "XGM", 3))
        break;
    if (part >= root + 0x1c6 + 48)
      return 0;
    at = first + load_be32 (part + 4);
  }
  return 0;
}

static int
atari_scout (struct scout *s, struct err *e)
{
  const unsigned char *part = s->mbr + 0x1c6;

  for (int i = 0; i < 4; i++, part += 12)
    if ((part[0] & 1) && !memcmp (part + 1, "XGM", 3) &&
        atari_chain (s, load_be32 (part + 4), e) == -1)
      return err_in (e, "Atari extended partition");
  return 0;
}

int
table_scout (struct scout *s, struct err *e)
{
  if (look (s, 0, s->mbr, sizeof s->mbr, e) == -1 ||
      gpt_scout_pair (s, 512, &s->gpt512, e) == -1 ||
      gpt_scout_pair (s, 4096, &s->gpt4096, e) == -1 ||
      dos_scout (s, e) == -1 || mac_scout (s, e) == -1 ||
      atari_scout (s, e) == -1)
    return -1;
  return 0;
}

void
table_scout_free (struct scout *s)
{
  buf_free (&s->ebr_notes);
}
