/* xrayfs: ISO 9660: Rock Ridge
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A record's system use area holds entries (SUSP, 4): a signature of two
 * letters, the length, a version, data; CE leads to more of them.  Where an
 * SP says that these are entries, what is not one is damage; without it they
 * are read for as long as they look like entries, as Linux does.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/bytes.h"
#include "fs/iso9660.h"

/* Linux: RR_MAX_CE_ENTRIES.  A circle ends here. */
#define MAX_CONTINUATIONS 32
#define MAX_NAME          255
#define XA_SIZE           14 /* CD-ROM XA's own part, before SUSP's */

struct susp {
  struct iso *iso;
  const unsigned char *p;
  size_t left;
  uint64_t next; /* of a continuation; 0: none */
  size_t next_size;
  unsigned hops;
  unsigned char area[ISO_SECTOR];
};

/* SKIP bytes into the system use area, which begins at an even place behind
 * the name (ECMA-119, 9.1.13). */
static void
susp_begin (struct susp *s, struct iso *iso, const unsigned char *record,
            unsigned skip)
{
  size_t at = 33u + record[32];

  at += at % 2 + skip;
  s->iso = iso;
  s->p = record + at;
  s->left = at < record[0] ? record[0] - at : 0;
  s->next = 0;
  s->hops = 0;
}

static int
continue_in (struct susp *s, const unsigned char *ce, struct err *e)
{
  uint64_t size = load_le32 (ce + 20);

  if (size > sizeof s->area)
    return err_set (e, EIO, "continuation of %" PRIu64 " bytes", size);
  s->next =
      iso_block_offset (s->iso, load_le32 (ce + 4)) + load_le32 (ce + 12);
  s->next_size = size;
  return 0;
}

static int
read_continuation (struct susp *s, struct err *e)
{
  if (++s->hops > MAX_CONTINUATIONS)
    return err_set (e, EIO, "more than %d continuations", MAX_CONTINUATIONS);
  if (iso_read (s->iso, s->next, s->area, s->next_size, e) == -1)
    return err_in (e, "continuation at 0x%" PRIx64, s->next);
  s->p = s->area;
  s->left = s->next_size;
  s->next = 0;
  return 0;
}

static bool
is (const unsigned char *entry, const char *signature)
{
  return !memcmp (entry, signature, 2);
}

/* The length of an entry that is looked into, at least (SUSP 5, RRIP 4). */
static size_t
least_length (const unsigned char *entry)
{
  static const struct {
    char signature[3];
    unsigned char length;
  } least[] = {
    { "CE", 28 }, { "SP", 7 },  { "PX", 36 }, { "PN", 20 }, { "SL", 5 },
    { "NM", 5 },  { "CL", 12 }, { "TF", 5 },  { "ZF", 16 },
  };

  for (size_t i = 0; i < ARRAY_SIZE (least); i++)
    if (is (entry, least[i].signature))
      return least[i].length;
  return 4;
}

/* The next entry: 1, 0: that were all, or -1. */
static int
susp_next (struct susp *s, const unsigned char **ret, struct err *e)
{
  const unsigned char *p;

  for (;;) {
    /* Less than four bytes are no entry, and zeros fill up. */
    while (s->left < 4 || s->p[0] == 0 || is (s->p, "ST")) {
      if (s->next == 0)
        return 0;
      if (read_continuation (s, e) == -1)
        return -1;
    }
    p = s->p;
    if (p[2] > s->left || p[2] < least_length (p))
      return s->iso->susp
                 ? err_set (e, EIO, "damaged system use entry '%c%c'",
                            p[0] >= 'A' && p[0] <= 'Z' ? p[0] : '?',
                            p[1] >= 'A' && p[1] <= 'Z' ? p[1] : '?')
                 : 0;
    s->p += p[2];
    s->left -= p[2];
    if (!is (p, "CE")) {
      *ret = p;
      return 1;
    }
    if (continue_in (s, p, e) == -1)
      return s->iso->susp ? -1 : 0;
  }
}

/* --- is it there? ---------------------------------------------------- */

static bool
is_sp (const unsigned char *p)
{
  return is (p, "SP") && p[2] >= 7 && p[4] == 0xbe && p[5] == 0xef;
}

static unsigned
skip_of (const struct iso *iso, const unsigned char *record)
{
  bool is_dot = record[32] == 1 && record[33] == 0;

  return is_dot && iso_record_start (iso, record) == iso->root
             ? iso->root_skip
             : iso->susp_skip;
}

/* SUSP 5.3: SP is the first entry of the root's first record, behind XA's
 * part if there is one.  RRIP 4.3: an ER says that Rock Ridge is meant; Linux
 * takes any for it. */
int
iso_rock_detect (struct iso *iso, const unsigned char *record, struct err *e)
{
  static const unsigned skips[] = { 0, XA_SIZE };
  const unsigned char *p;
  struct susp s;
  int r;

  for (size_t i = 0; i < ARRAY_SIZE (skips) && !iso->susp; i++) {
    susp_begin (&s, iso, record, skips[i]);
    if (s.left >= 7 && is_sp (s.p)) {
      iso->susp = true;
      iso->susp_skip = s.p[6];
      iso->root_skip = skips[i];
    }
  }
  susp_begin (&s, iso, record, iso->root_skip);
  while ((r = susp_next (&s, &p, e)) == 1)
    if (is (p, "ER"))
      iso->rock_ridge = true;
  return r;
}

/* --- names ----------------------------------------------------------- */

/* RRIP 4.1.4: flags 2 and 4 are "." and "..", of which the record's own name
 * tells. */
static int
add_name_part (const unsigned char *p, struct buf *ret, struct err *e)
{
  if (p[4] & ~1u)
    return 0;
  if (ret->len + p[2] - 5 > MAX_NAME)
    return err_set (e, EIO, "name of more than %d bytes", MAX_NAME);
  buf_add (ret, p + 5, p[2] - 5);
  return 0;
}

int
iso_rock_name (struct iso *iso, const unsigned char *record, struct buf *ret,
               bool *ret_hidden, struct err *e)
{
  const unsigned char *p;
  struct susp s;
  int r;

  susp_begin (&s, iso, record, skip_of (iso, record));
  while ((r = susp_next (&s, &p, e)) == 1) {
    if (is (p, "RE"))
      *ret_hidden = true;
    if (is (p, "NM") && add_name_part (p, ret, e) == -1)
      return -1;
  }
  return r;
}

/* --- symbolic links (RRIP 4.1.3) ------------------------------------- */

/* A path comes in components, which may be cut in two and spread over several
 * entries. */
struct link {
  struct buf *target;
  bool slash; /* between the last component and the next */
};

static int
add_component (struct link *l, const unsigned char *c, struct err *e)
{
  static const struct {
    unsigned char flag;
    const char *text;
  } special[] = { { 2, "." }, { 4, ".." }, { 8, "/" } };
  unsigned flags = c[0] & ~1u;

  if (l->slash)
    buf_puts (l->target, "/");
  l->slash = !(c[0] & 1) && flags != 8;
  if (flags == 0)
    buf_add (l->target, c + 2, c[1]);
  for (size_t i = 0; i < ARRAY_SIZE (special); i++)
    if (flags == special[i].flag) {
      buf_puts (l->target, special[i].text);
      flags = 0;
    }
  if (flags)
    return err_set (e, EIO, "symbolic link: component with flags 0x%x", c[0]);
  if (l->target->len > ISO_MAX_LINK)
    return err_set (e, EIO, "symbolic link of more than %d bytes",
                    ISO_MAX_LINK);
  return 0;
}

static int
add_link_part (struct link *l, const unsigned char *p, struct err *e)
{
  size_t at = 5;

  for (; p[2] - at >= 2; at += 2u + p[at + 1])
    if (2u + p[at + 1] > p[2] - at)
      return err_set (e, EIO, "symbolic link is cut off");
    else if (add_component (l, p + at, e) == -1)
      return -1;
  return 0;
}

/* --- what an inode has ----------------------------------------------- */

/* RRIP 4.1.6: flags for seven times, of which the first four are known, and
 * one for the longer form. */
static void
take_times (struct iso_node *n, const unsigned char *p)
{
  struct timespec *const times[] = { &n->ctime, &n->mtime, &n->atime,
                                     &n->ctime };
  bool is_text = p[4] & 0x80;
  size_t size = is_text ? 17 : 7, at = 5;

  for (size_t i = 0; i < ARRAY_SIZE (times); i++) {
    if (!(p[4] & (1u << i)))
      continue;
    if (at + size > p[2])
      return;
    *times[i] = is_text ? iso_date_text (p + at) : iso_date (p + at);
    at += size;
  }
}

/* RRIP 4.1.2: high and low part.  Who has 32 bits for both puts all into the
 * low part, as Linux knows. */
static dev_t
load_rdev (const unsigned char *p)
{
  uint32_t high = load_le32 (p + 4), low = load_le32 (p + 12);

  if (high == 0 && low > 0xff)
    return makedev (low >> 8 & 0xfff, low & 0xff);
  return makedev (high & 0xfff, low & 0xfffff);
}

/* zisofs: algorithm, bytes of the header in units of four, size of a block as
 * a power of two, size.  Others than Linux knows are shown as they are
 * stored, which is what Linux does. */
static void
take_zisofs (struct iso_node *n, const unsigned char *p)
{
  if (!is (p + 4, "pz") || p[7] < 15 || p[7] > 17)
    return;
  n->header = p[6] * 4u;
  n->block_log = p[7];
  n->size = load_le32 (p + 8);
}

static int rock_node (struct iso *iso, const unsigned char *record,
                      struct iso_node *n, bool moved, struct err *e);

/* RRIP 4.1.5.1: the directory that belongs here lies somewhere else, and its
 * record "." has what this one would have. */
static int
take_moved (struct iso *iso, uint32_t block, struct iso_node *n,
            struct err *e)
{
  unsigned char record[ISO_RECORD_MAX];
  uint64_t at = iso_block_offset (iso, block);
  unsigned len = 0;

  if (iso_read_record (iso, at, record, &len, e) == -1)
    return err_in (e, "directory that was moved");
  if (len == 0 || !(record[25] & ISO_DIRECTORY))
    return err_set (e, EIO, "directory that was moved is not at 0x%" PRIx64,
                    at);
  n->sections.len = 1;
  n->sections.items[0] = (struct iso_section){ at, iso_record_size (record) };
  n->size = n->stored = n->sections.items[0].size;
  n->blocks = div_up (n->size, 512);
  n->mode = S_IFDIR | 0555;
  n->mtime = n->atime = n->ctime = iso_date (record + 18);
  return rock_node (iso, record, n, true, e);
}

static int
take (struct iso *iso, const unsigned char *p, struct iso_node *n,
      struct link *l, bool moved, struct err *e)
{
  if (is (p, "PX")) {
    n->mode = load_le32 (p + 4) & 0177777;
    n->nlink = load_le32 (p + 12);
    n->uid = load_le32 (p + 20);
    n->gid = load_le32 (p + 28);
  } else if (is (p, "PN"))
    n->rdev = load_rdev (p);
  else if (is (p, "TF"))
    take_times (n, p);
  else if (is (p, "SL"))
    return add_link_part (l, p, e);
  else if (is (p, "SF"))
    n->unreadable = "sparse file of Rock Ridge";
  else if (is (p, "ZF"))
    take_zisofs (n, p);
  else if (is (p, "CL") && !moved)
    return take_moved (iso, load_le32 (p + 4), n, e);
  return 0;
}

static int
rock_node (struct iso *iso, const unsigned char *record, struct iso_node *n,
           bool moved, struct err *e)
{
  struct link l = { .target = &n->link };
  const unsigned char *p;
  struct susp s;
  int r;

  susp_begin (&s, iso, record, skip_of (iso, record));
  while ((r = susp_next (&s, &p, e)) == 1)
    if (take (iso, p, n, &l, moved, e) == -1)
      return -1;
  return r == -1 ? -1 : buf_check (&n->link, e);
}

int
iso_rock_node (struct iso *iso, const unsigned char *record,
               struct iso_node *n, struct err *e)
{
  return rock_node (iso, record, n, false, e);
}
