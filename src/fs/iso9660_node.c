/* xrayfs: ISO 9660: records and inodes
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/iso9660.h"
#include "fs/pages.h"

#define RECORD_MIN 34

/* --- reading --------------------------------------------------------- */

int
iso_read (struct iso *iso, uint64_t off, void *buf, size_t len, struct err *e)
{
  return pages_read (iso->block, iso->cache_owner, off, buf, len, e);
}

int
iso_read_record (struct iso *iso, uint64_t off, unsigned char *to,
                 unsigned *ret_len, struct err *e)
{
  if (iso_read (iso, off, to, 1, e) == -1)
    return -1;
  if (to[0] != 0 && iso_read (iso, off, to, to[0], e) == -1)
    return -1;
  if (to[0] != 0 && (to[0] < RECORD_MIN || 33u + to[32] > to[0]))
    return err_set (e, EIO, "damaged record at 0x%" PRIx64, off);
  *ret_len = to[0];
  return 0;
}

/* The extended attribute record (9.5) lies before the data. */
uint64_t
iso_record_start (const struct iso *iso, const unsigned char *record)
{
  return iso_block_offset (iso, load_le32 (record + 2)) +
         (uint64_t) record[1] * iso->block_size;
}

uint32_t
iso_record_size (const unsigned char *record)
{
  return load_le32 (record + 10);
}

bool
iso_same_file (const unsigned char *record, const unsigned char *other)
{
  return record[32] == other[32] &&
         !memcmp (record + 33, other + 33, record[32]);
}

/* --- dates ----------------------------------------------------------- */

/* Days from 1970-01-01 to a day of the Gregorian calendar, whose months are
 * counted from March so that the leap day is the last of its year. */
static int64_t
days_since_1970 (int year, int month, int day)
{
  int64_t y = month > 2 ? year : year - 1;
  int m = month > 2 ? month - 3 : month + 9;

  return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
         719468;
}

/* ZONE in quarters of an hour to the east; beyond what there can be it is
 * left out, as in Linux. */
static struct timespec
make_date (const int *d, signed char zone)
{
  int64_t t = days_since_1970 (d[0], d[1], d[2]);

  t = ((t * 24 + d[3]) * 60 + d[4]) * 60 + d[5];
  if (zone >= -52 && zone <= 52)
    t -= zone * 15 * 60;
  return (struct timespec){ .tv_sec = t };
}

struct timespec
iso_date (const unsigned char *p)
{
  const int d[] = { p[0] + 1900, p[1], p[2], p[3], p[4], p[5] };

  return make_date (d, (signed char) p[6]);
}

/* Digits of year, month, day, hour, minute, second and hundredths. */
struct timespec
iso_date_text (const unsigned char *p)
{
  static const unsigned char widths[] = { 4, 2, 2, 2, 2, 2, 2 };
  int d[ARRAY_SIZE (widths)] = { 0 };
  const unsigned char *q = p;
  struct timespec t;

  for (size_t i = 0; i < ARRAY_SIZE (widths); i++)
    for (unsigned k = 0; k < widths[i]; k++, q++)
      if (*q >= '0' && *q <= '9')
        d[i] = d[i] * 10 + (*q - '0');
  t = make_date (d, (signed char) *q);
  t.tv_nsec = d[6] * 10000000L;
  return t;
}

/* --- inodes ---------------------------------------------------------- */

static int
add_section (struct iso *iso, struct iso_node *n, const unsigned char *record,
             struct err *e)
{
  struct iso_section s = { iso_record_start (iso, record),
                           iso_record_size (record) };

  /* 9.1.8: blocks of the file and gaps take turns. */
  if (record[27] != 0)
    n->unreadable = "interleaved file";
  if (n->sections.len == ISO_MAX_SECTIONS)
    return err_set (e, EIO, "file of more than %d sections",
                    ISO_MAX_SECTIONS);
  if (iso_section_vec_push (&n->sections, s) == -1)
    return err_set (e, ENOMEM, "out of memory");
  n->stored += s.size;
  n->size = n->stored;
  return 0;
}

/* The further sections of N, whose RECORD lies at OFF.  A record does not
 * cross the end of a sector: zeros fill it up (6.8.1.1). */
static int
add_sections (struct iso *iso, struct iso_node *n, uint64_t off,
              const unsigned char *record, struct err *e)
{
  unsigned char next[ISO_RECORD_MAX];
  unsigned flags = record[25], len = record[0];

  while (flags & ISO_MORE_SECTIONS) {
    off += len;
    if (iso_read_record (iso, off, next, &len, e) == -1)
      return -1;
    if (len == 0) {
      off = round_up (off + 1, ISO_SECTOR);
      if (iso_read_record (iso, off, next, &len, e) == -1)
        return -1;
    }
    if (len == 0 || !iso_same_file (record, next))
      return err_set (e, EIO, "a section of the file is missing");
    if (add_section (iso, n, next, e) == -1)
      return -1;
    flags = next[25];
  }
  return 0;
}

/* Owner and permissions are Linux's defaults. */
static int
node_read (struct iso *iso, uint64_t ino, struct iso_node *n, struct err *e)
{
  unsigned char record[ISO_RECORD_MAX];
  unsigned len = 0;

  if (iso_read_record (iso, ino, record, &len, e) == -1)
    return -1;
  if (len == 0)
    return err_set (e, EIO, "there is no record at 0x%" PRIx64, ino);
  n->ino = ino;
  n->mode = (record[25] & ISO_DIRECTORY ? S_IFDIR : S_IFREG) | 0555;
  n->nlink = 1;
  n->mtime = n->atime = n->ctime = iso_date (record + 18);
  if (add_section (iso, n, record, e) == -1 ||
      add_sections (iso, n, ino, record, e) == -1)
    return -1;
  n->blocks = div_up (n->size, 512);
  if (iso->names != ISO_JOLIET && iso_rock_node (iso, record, n, e) == -1)
    return -1;
  if (!fs_type_is_known (n->mode))
    return err_set (e, EIO, "impossible mode 0%o", n->mode);
  if (S_ISLNK (n->mode))
    n->size = n->link.len;
  return 0;
}

void
iso_node_forget (struct iso_node *n)
{
  free (n->sections.items);
  buf_free (&n->link);
  *n = (struct iso_node){ 0 };
}

int
iso_node_get (struct iso *iso, uint64_t ino, struct iso_node **ret,
              struct err *e)
{
  struct iso_node *oldest = iso->nodes;

  for (struct iso_node *n = iso->nodes; n < iso->nodes + ISO_NODES; n++) {
    if (n->ino == ino && n->used) {
      n->used = ++iso->clock;
      *ret = n;
      return 0;
    }
    if (n->used < oldest->used)
      oldest = n;
  }
  iso_node_forget (oldest);
  if (node_read (iso, ino, oldest, e) == -1) {
    iso_node_forget (oldest);
    return -1;
  }
  oldest->used = ++iso->clock;
  *ret = oldest;
  return 0;
}
