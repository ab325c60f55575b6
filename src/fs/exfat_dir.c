/* xrayfs: exFAT: entries of directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * EXFAT, 6 and 7.4: a file is a set of slots: its entry, one that says where
 * its clusters are, and those of its name.  A checksum is over all of them: a
 * set with another is left out, and that it was is an error of the directory.
 */
#include <inttypes.h>
#include <string.h>

#include "fs/exfat.h"

/* EXFAT, 6.2.1: EntryType */
enum {
  END = 0,
  BITMAP = 0x81,
  UPCASE = 0x82,
  LABEL = 0x83,
  FILE_ENTRY = 0x85,
  STREAM = 0xc0,
  NAME = 0xc1
};
#define IN_USE    0x80
#define SECONDARY 0x40
#define BENIGN    0x20

#define READ_ONLY 0x01
#define DIRECTORY 0x10

/* EXFAT, 6.3.4: GeneralSecondaryFlags */
#define ALLOCATED    1
#define NO_FAT_CHAIN 2

#define UNITS 15 /* of a name in a slot */
/* EXFAT, 7.4.1: 2 to 18 secondary entries. */
#define MIN_SLOTS 3
#define MAX_SLOTS 19

struct set {
  unsigned char slots[MAX_SLOTS][FAT_SLOT];
  unsigned n;
};

/* --- one set --------------------------------------------------------- */

/* EXFAT, 6.3.3: over all bytes but those of the checksum. */
static unsigned
checksum (const struct set *s)
{
  const unsigned char *p = s->slots[0];
  uint16_t sum = 0;

  for (size_t i = 0; i < (size_t) s->n * FAT_SLOT; i++)
    if (i != 2 && i != 3)
      sum = (uint16_t) ((sum & 1 ? 0x8000 : 0) + (sum >> 1) + p[i]);
  return sum;
}

/* EXFAT, 7.4.5 to 7.4.10: times are as in FAT, and have an offset from UTC in
 * quarters of an hour, if its highest bit says so; else they are taken for
 * UTC. */
static struct timespec
load_time (const unsigned char *stamp, unsigned cs, unsigned offset)
{
  struct timespec t = fat_time (load_le16 (stamp + 2), load_le16 (stamp), cs);
  int quarters =
      offset & 0x40 ? (int) (offset & 0x7f) - 128 : (int) (offset & 0x7f);

  if (offset & 0x80)
    t.tv_sec -= quarters * 15 * 60;
  return t;
}

static int
check_file (const struct fat *f, const struct fat_file *x, unsigned flags,
            struct err *e)
{
  if (x->valid > x->size)
    return err_set (e, EIO, "%" PRIu64 " of %" PRIu64 " bytes are valid",
                    x->valid, x->size);
  if (x->size > 0 && !(flags & ALLOCATED))
    return err_set (e, EIO, "contents without clusters");
  if (x->is_dir && (x->size % fat_cluster_size (f) || x->size > f->max_dir))
    return err_set (e, EIO, "directory of %" PRIu64 " bytes", x->size);
  return 0;
}

static int
parse_set (const struct fat *f, const struct set *s, uint64_t at,
           struct fat_file *ret, struct err *e)
{
  const unsigned char *entry = s->slots[0], *stream = s->slots[1];
  unsigned names = (unsigned) div_up (stream[3], UNITS);

  if (checksum (s) != load_le16 (entry + 2))
    return err_set (e, EIO, "checksum of the entry is wrong");
  if (stream[0] != STREAM || stream[3] == 0 || s->n < 2 + names)
    return err_set (e, EIO, "entry without a name or a place");
  for (unsigned i = 2; i < s->n; i++)
    if (i < 2 + names ? s->slots[i][0] != NAME
                      : (s->slots[i][0] & BENIGN) == 0)
      return err_set (e, EIO, "entry has an unknown part of type 0x%02x",
                      s->slots[i][0]);
  *ret = (struct fat_file){
    .ino = at / FAT_SLOT,
    .is_dir = load_le16 (entry + 4) & DIRECTORY,
    .read_only = load_le16 (entry + 4) & READ_ONLY,
    .contiguous = stream[1] & NO_FAT_CHAIN,
    .cluster = load_le32 (stream + 20),
    .size = load_le64 (stream + 24),
    .valid = load_le64 (stream + 8),
    .mtime = load_time (entry + 12, entry[21], entry[23]),
    .atime = load_time (entry + 16, 0, entry[24]),
  };
  ret->ctime = ret->mtime;
  return check_file (f, ret, stream[1], e);
}

static int
check_count (const unsigned char *entry, unsigned *ret, struct err *e)
{
  *ret = entry[1] + 1U;
  if (*ret < MIN_SLOTS || *ret > MAX_SLOTS)
    return err_set (e, EIO, "entry of %u parts", *ret);
  return 0;
}

/* --- the next of a directory ----------------------------------------- */

static void
note_damage (struct fat_dir *d, uint64_t at, struct err *e)
{
  if (!d->damage.code) {
    err_in (e, "entry at 0x%" PRIx64, at);
    d->damage = *e;
  }
  err_clear (e);
}

static int
read_set (struct fat_dir *d, const unsigned char *slot, struct set *ret,
          struct err *e)
{
  uint64_t at = 0;
  unsigned n = 0;
  int r;

  if (check_count (slot, &n, e) == -1)
    return 0;
  for (ret->n = 0; ret->n < n; ret->n++) {
    r = fat_dir_slot (d, d->pos + (uint64_t) ret->n * FAT_SLOT, &slot, &at,
                      e);
    if (r == -1)
      return -1;
    if (r == 0 || (ret->n > 0 && (slot[0] & (IN_USE | SECONDARY)) !=
                                     (IN_USE | SECONDARY))) {
      err_set (e, EIO, "%u parts of %u are there", ret->n, n);
      return 0;
    }
    memcpy (ret->slots[ret->n], slot, FAT_SLOT);
  }
  return 1;
}

static void
name_set (const struct set *s, struct fat_entry *ret)
{
  unsigned char units[MAX_SLOTS * UNITS * 2];

  for (unsigned i = 2; i < s->n; i++)
    memcpy (units + (size_t) (i - 2) * UNITS * 2, s->slots[i] + 2, UNITS * 2);
  ret->len = fat_long_name (units, (size_t) s->slots[1][3] * 2, ret->name);
  ret->alias[0] = '\0';
}

/* 1: an entry; 0: it is damaged; -1. */
static int
take_set (struct fat_dir *d, const unsigned char *slot, uint64_t at,
          struct fat_entry *ret, struct err *e)
{
  struct set s;
  int r = read_set (d, slot, &s, e);

  if (r == -1)
    return -1;
  if (r == 1 && parse_set (d->f, &s, at, &ret->file, e) == -1)
    r = 0;
  if (r == 1) {
    name_set (&s, ret);
    if (ret->len == 0)
      r = err_set (e, EIO, "entry without a name") + 1;
  }
  if (r == 0) {
    note_damage (d, at, e);
    d->pos += FAT_SLOT;
    return 0;
  }
  ret->pos = d->pos;
  d->pos += (uint64_t) s.n * FAT_SLOT;
  return 1;
}

/* Something in use that is not known, and may not be passed over (EXFAT,
 * 6.2.1.3), or a part of a set whose first is not there. */
static bool
is_strange (unsigned type)
{
  return type & IN_USE && !(type & BENIGN) && type != BITMAP &&
         type != UPCASE && type != LABEL;
}

int
exfat_next_entry (struct fat_dir *d, struct fat_entry *ret, struct err *e)
{
  const unsigned char *slot = NULL;
  uint64_t at = 0;
  int r;

  for (;;) {
    r = fat_dir_slot (d, d->pos, &slot, &at, e);
    if (r != 1)
      return r;
    if (slot[0] == END)
      return 0;
    if (slot[0] == FILE_ENTRY) {
      r = take_set (d, slot, at, ret, e);
      if (r)
        return r;
      continue;
    }
    if (is_strange (slot[0])) {
      err_set (e, EIO, "unexpected, of type 0x%02x", slot[0]);
      note_damage (d, at, e);
    }
    d->pos += FAT_SLOT;
  }
}

/* --- that at a place ------------------------------------------------- */

/* The cluster that follows CLUSTER in its directory: 0: none. */
static int
next_cluster (struct fat *f, uint32_t cluster, bool adjacent, uint32_t *ret,
              struct err *e)
{
  uint64_t word = (uint64_t) cluster + 1;

  if (!adjacent && fat_word (f, cluster, &word, e) == -1)
    return -1;
  if (word >= FAT_FREE || !fat_has_cluster (f, (uint32_t) word))
    return err_set (e, EIO, "entry is cut off at the end of cluster %" PRIu32,
                    cluster);
  *ret = (uint32_t) word;
  return 0;
}

static int
gather (struct fat *f, uint64_t at, unsigned n, bool adjacent,
        struct set *ret, struct err *e)
{
  uint32_t mask = fat_cluster_size (f) - 1, cluster;

  cluster = FAT_FIRST + (uint32_t) ((at - f->data_at) >> f->cluster_log);
  for (ret->n = 0; ret->n < n; ret->n++, at += FAT_SLOT) {
    if (ret->n > 0 && ((at - f->data_at) & mask) == 0) {
      if (next_cluster (f, cluster, adjacent, &cluster, e) == -1)
        return -1;
      at = fat_cluster_at (f, cluster);
    }
    if (fat_read (f, at, ret->slots[ret->n], FAT_SLOT, e) == -1)
      return -1;
  }
  return 0;
}

static int
try_set (struct fat *f, uint64_t at, unsigned n, bool adjacent,
         struct fat_file *ret, struct err *e)
{
  struct set s;

  if (gather (f, at, n, adjacent, &s, e) == -1)
    return -1;
  return parse_set (f, &s, at, ret, e);
}

/* Where a set goes on in another cluster, that is the one that the table
 * says, or the next if the directory does without: the place alone does not
 * tell, but the checksum does. */
int
exfat_entry_at (struct fat *f, uint64_t at, struct fat_file *ret,
                struct err *e)
{
  unsigned char slot[FAT_SLOT];
  struct err other;
  unsigned n = 0;

  if (fat_read (f, at, slot, sizeof slot, e) == -1)
    return -1;
  if (slot[0] != FILE_ENTRY)
    return err_set (e, EIO, "there is no entry of a directory");
  if (check_count (slot, &n, e) == -1)
    return -1;
  if (try_set (f, at, n, false, ret, e) == 0)
    return 0;
  if (try_set (f, at, n, true, ret, &other) == -1)
    return -1;
  err_clear (e);
  return 0;
}
