/* xrayfs: FAT: entries of directories
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FATGEN, FAT Directory Structure and FAT Long Directory Entries: a slot has
 * the short name and all else; the slots before it may have a long name, last
 * part first, each with a checksum of the short name.  Long names whose
 * short one was changed by a program that does not know them have another
 * checksum and do not count.
 */
#include <string.h>

#include "base/bytes.h"
#include "fs/fat_boot.h"

#define READ_ONLY 0x01
#define VOLUME    0x08
#define DIRECTORY 0x10
#define LONG_NAME 0x0f
#define LONG_MASK 0x3f
#define ATTR_AT   11

#define UNITS     13 /* of a name in a slot */
#define MAX_SLOTS 20

/* A long name as far as it was read. */
struct long_name {
  unsigned char units[MAX_SLOTS * UNITS * 2];
  uint64_t pos;     /* of its first slot */
  unsigned expect;  /* the number of the next slot; 0: all were read */
  unsigned n_slots; /* 0: there is none */
  unsigned char sum;
};

/* FATGEN, ChkSum(). */
static unsigned char
checksum (const unsigned char *name)
{
  unsigned char sum = 0;

  for (size_t i = 0; i < 11; i++)
    sum = (unsigned char) ((sum & 1 ? 0x80 : 0) + (sum >> 1) + name[i]);
  return sum;
}

static void
take_long_slot (struct long_name *l, const unsigned char *slot, uint64_t pos)
{
  unsigned number = slot[0] & 0x3f;
  unsigned char *to;

  if (slot[0] & 0x40) {
    l->n_slots = l->expect = number;
    l->pos = pos;
    l->sum = slot[13];
  }
  if (number == 0 || number > MAX_SLOTS || l->n_slots == 0 ||
      number != l->expect || slot[13] != l->sum) {
    l->n_slots = 0;
    return;
  }
  to = l->units + (size_t) (number - 1) * UNITS * 2;
  memcpy (to, slot + 1, 10);
  memcpy (to + 10, slot + 14, 12);
  memcpy (to + 22, slot + 28, 4);
  l->expect--;
}

static bool
is_dot (const unsigned char *slot)
{
  return !memcmp (slot, ".          ", 11) ||
         !memcmp (slot, "..         ", 11);
}

/* What the slot at byte AT of the partition says. */
static void
parse_slot (const struct fat *f, const unsigned char *slot, uint64_t at,
            struct fat_file *ret)
{
  uint32_t high = f->bits == 32 ? load_le16 (slot + 20) : 0;

  *ret = (struct fat_file){
    .ino = at / FAT_SLOT,
    .is_dir = slot[ATTR_AT] & DIRECTORY,
    .read_only = slot[ATTR_AT] & READ_ONLY,
    .cluster = high << 16 | load_le16 (slot + 26),
    .size = load_le32 (slot + 28),
    .mtime = fat_time (load_le16 (slot + 24), load_le16 (slot + 22), 0),
    .atime = fat_time (load_le16 (slot + 18), 0, 0),
  };
  if (ret->is_dir)
    ret->size = 0;
  ret->valid = ret->size;
  ret->ctime = ret->mtime;
}

static void
name_entry (const struct long_name *l, const unsigned char *slot,
            uint64_t pos, struct fat_entry *ret)
{
  fat_short_name (slot, ret->alias, sizeof ret->alias);
  ret->pos = l->pos;
  if (l->n_slots && l->expect == 0 && l->sum == checksum (slot)) {
    ret->len =
        fat_long_name (l->units, (size_t) l->n_slots * UNITS * 2, ret->name);
    if (ret->len > 0)
      return;
  }
  ret->pos = pos;
  ret->len =
      (size_t) snprintf (ret->name, sizeof ret->name, "%s", ret->alias);
  ret->alias[0] = '\0';
}

/* FATGEN: a name that begins with 0 is free, and so are all that follow. */
int
fat_next_entry (struct fat_dir *d, struct fat_entry *ret, struct err *e)
{
  const unsigned char *slot = NULL;
  struct long_name l;
  uint64_t pos, at = 0;
  int r;

  l.n_slots = 0;
  for (;;) {
    pos = d->pos;
    r = fat_dir_slot (d, pos, &slot, &at, e);
    if (r != 1)
      return r;
    if (slot[0] == 0)
      return 0;
    d->pos += FAT_SLOT;
    if (slot[0] != 0xe5 && (slot[ATTR_AT] & LONG_MASK) == LONG_NAME) {
      take_long_slot (&l, slot, pos);
      continue;
    }
    if (slot[0] != 0xe5 && !(slot[ATTR_AT] & VOLUME)) {
      if (!is_dot (slot)) {
        parse_slot (d->f, slot, at, &ret->file);
        name_entry (&l, slot, pos, ret);
        if (ret->len > 0)
          return 1;
      } else if (slot[ATTR_AT] & DIRECTORY)
        d->dots++;
    }
    l.n_slots = 0;
  }
}

/* FATGEN: all but the root begin with ".".  Whatever else is there of what an
 * entry calls a directory would be a list of invented names. */
int
fat_check_dir (struct fat_dir *d, const char **ret, struct err *e)
{
  const unsigned char *slot = NULL;
  uint64_t at = 0;
  int r;

  *ret = NULL;
  if (d->n->file.ino == FAT_ROOT_INO)
    return 0;
  r = fat_dir_slot (d, 0, &slot, &at, e);
  if (r == -1)
    return -1;
  if (r == 0 || !is_dot (slot) || !(slot[ATTR_AT] & DIRECTORY))
    *ret = "is no directory: it does not begin with \".\"";
  return 0;
}

int
fat_entry_at (struct fat *f, uint64_t at, struct fat_file *ret, struct err *e)
{
  unsigned char slot[FAT_SLOT];

  if (fat_read (f, at, slot, sizeof slot, e) == -1)
    return -1;
  if (slot[0] == 0 || slot[0] == 0xe5 || slot[ATTR_AT] & VOLUME)
    return err_set (e, EIO, "there is no entry of a directory");
  parse_slot (f, slot, at, ret);
  return 0;
}
