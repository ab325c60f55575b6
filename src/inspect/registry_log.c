/* xrayfs: bringing a hive up to date from its transaction logs
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two forms: until Windows 8 a log holds a bitmap of dirty pages and the
 * pages ("Old format"); since 8.1 a chain of entries with sequence numbers
 * and hashes, which may be divided over two files ("New format").
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/registry_priv.h"

/* Logs have some MiB at most: the new form is written back within an hour,
 * the old one with each flush. */
#define LOG_MAX      ((uint64_t) 64 << 20)
#define ENTRY_HEADER 40u

struct log {
  const struct hive_file *file;
  struct hive_header header;
  bool applied;
};

static int stale (struct hive *h, struct err *e, const char *fmt, ...)
    printf_like (3, 4);

static int
stale (struct hive *h, struct err *e, const char *fmt, ...)
{
  va_list ap;
  int r;

  va_start (ap, fmt);
  r = vasprintf (&h->stale, fmt, ap);
  va_end (ap);
  if (r != -1)
    return 0;
  h->stale = NULL;
  return err_set (e, ENOMEM, "out of memory");
}

static int
log_read (const struct log *l, uint64_t off, void *buf, size_t len,
          struct err *e)
{
  if (!range_within (off, len, l->file->size))
    return err_set (e, EIO, "the log ends at %" PRIu64 " bytes",
                    l->file->size);
  return l->file->pread (l->file->arg, buf, len, off, e);
}

/* --- Marvin32 -------------------------------------------------------- */

static uint32_t
rotate (uint32_t v, unsigned by)
{
  return v << by | v >> (32 - by);
}

struct marvin {
  uint32_t lo, hi;
};

static void
marvin_mix (struct marvin *m, uint32_t word)
{
  m->lo += word;
  m->hi ^= m->lo;
  m->lo = rotate (m->lo, 20) + m->hi;
  m->hi = rotate (m->hi, 9) ^ m->lo;
  m->lo = rotate (m->lo, 27) + m->hi;
  m->hi = rotate (m->hi, 19);
}

/* The hash of "Log entries", with its seed; LEN is a multiple of 4 here. */
uint64_t
hive_hash (const unsigned char *p, size_t len)
{
  struct marvin m = { 0x7a4e55c5, 0x82ef4d88 };

  for (size_t i = 0; i + 4 <= len; i += 4)
    marvin_mix (&m, load_le32 (p + i));
  marvin_mix (&m, 0x80);
  marvin_mix (&m, 0);
  return (uint64_t) m.hi << 32 | m.lo;
}

/* --- the new form ---------------------------------------------------- */

struct entry {
  uint32_t size, sequence, bins_size, n_pages;
  struct buf bytes;
};

/* 1: there is a whole entry at OFF; 0: there is not, which is how a chain
 * ends ("Log entries", notes 7 and 8). */
static int
read_entry (const struct log *l, uint64_t off, struct entry *ret,
            struct err *e)
{
  unsigned char head[ENTRY_HEADER], *p;

  if (!range_within (off, sizeof head, l->file->size))
    return 0;
  if (log_read (l, off, head, sizeof head, e) == -1)
    return -1;
  ret->size = load_le32 (head + 4);
  ret->sequence = load_le32 (head + 12);
  ret->bins_size = load_le32 (head + 16);
  ret->n_pages = load_le32 (head + 20);
  if (memcmp (head, "HvLE", 4) || ret->size < HIVE_SECTOR ||
      ret->size % HIVE_SECTOR ||
      !range_within (off, ret->size, l->file->size))
    return 0;
  if (hive_hash (head, 32) != load_le64 (head + 32) ||
      ret->bins_size % HIVE_PAGE || ret->bins_size == 0)
    return 0;
  /* No more than the log has, which is at most LOG_MAX. */
  buf_reset (&ret->bytes);
  p = (unsigned char *) buf_reserve (&ret->bytes, ret->size);
  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (log_read (l, off, p, ret->size, e) == -1)
    return -1;
  return hive_hash (p + ENTRY_HEADER, ret->size - ENTRY_HEADER) ==
         load_le64 (head + 24);
}

/* Checks all page references before the first page is put in place: an
 * entry is applied as a whole or not at all. */
static bool
entry_is_sound (const struct entry *n, const unsigned char *p)
{
  uint64_t at = ENTRY_HEADER + (uint64_t) n->n_pages * 8;
  uint32_t off, len;

  if (at > n->size)
    return false;
  for (uint32_t i = 0; i < n->n_pages; i++) {
    off = load_le32 (p + ENTRY_HEADER + (size_t) i * 8);
    len = load_le32 (p + ENTRY_HEADER + (size_t) i * 8 + 4);
    if (off % HIVE_SECTOR || len % HIVE_SECTOR || len == 0 ||
        !range_within (off, len, n->bins_size) ||
        !range_within (at, len, n->size))
      return false;
    at += len;
  }
  return true;
}

static int
apply_entry (struct hive *h, const struct entry *n, struct err *e)
{
  const unsigned char *p = (const unsigned char *) n->bytes.data;
  size_t at = ENTRY_HEADER + (size_t) n->n_pages * 8;
  uint32_t off, len;

  if (hive_resize (h, n->bins_size, e) == -1)
    return -1;
  for (uint32_t i = 0; i < n->n_pages; i++) {
    off = load_le32 (p + ENTRY_HEADER + (size_t) i * 8);
    len = load_le32 (p + ENTRY_HEADER + (size_t) i * 8 + 4);
    if (hive_patch (h, off, p + at, len, e) == -1)
      return -1;
    at += len;
  }
  h->recovered++;
  return 0;
}

/* Applies the entries of L from sequence number *NEXT on, and counts it up.
 */
static int
apply_chain (struct hive *h, const struct log *l, uint32_t *next,
             struct err *e)
{
  CLEANUP_BUF struct buf bytes = { 0 };
  struct entry n = { 0 };
  int r = 0;

  for (uint64_t off = HIVE_SECTOR;; off += n.size) {
    n.bytes = bytes;
    r = read_entry (l, off, &n, e);
    bytes = n.bytes;
    if (r != 1 || n.sequence != *next ||
        !entry_is_sound (&n, (unsigned char *) bytes.data))
      return r == -1 ? -1 : 0;
    if (apply_entry (h, &n, e) == -1)
      return -1;
    ++*next;
  }
}

/* A log begins with the number that its base block has ("Log entries", note
 * 7). */
static int
recover_new (struct hive *h, const struct hive_header *header,
             struct log *logs, size_t n_logs, struct err *e)
{
  uint32_t next = 0;

  for (;;) {
    struct log *first = NULL;
    for (size_t i = 0; i < n_logs; i++) {
      struct log *l = &logs[i];
      if (l->applied || l->header.type != HIVE_TYPE_LOG_NEW ||
          (header->valid && l->header.seq1 < header->seq2))
        continue;
      /* Of a hive whose base block is lost, only the log with the latest
       * entries counts ("Multiple transaction log files", new format). */
      if (!first || (header->valid ? l->header.seq1 < first->header.seq1
                                   : l->header.seq1 > first->header.seq1))
        first = l;
    }
    if (!first || (h->recovered && first->header.seq1 != next))
      return 0;
    if (!header->valid) {
      h->root = first->header.root;
      h->minor = first->header.minor;
    }
    first->applied = true;
    next = first->header.seq1;
    if (apply_chain (h, first, &next, e) == -1)
      return -1;
    if (!header->valid)
      return 0;
  }
}

/* --- the old form ---------------------------------------------------- */

/* When the first hive bin was written: the copy of the base block's
 * timestamp ("Hive bin", note 3). */
static int
bin_timestamp (const struct hive *h, uint64_t *ret, struct err *e)
{
  unsigned char p[32];

  if (h->primary.size < HIVE_BASE + sizeof p)
    return err_set (e, EIO, "the hive ends before its first bin");
  if (h->primary.pread (h->primary.arg, p, sizeof p, HIVE_BASE, e) == -1)
    return -1;
  *ret = load_le64 (p + 20);
  return 0;
}

static bool
old_log_fits (const struct log *l, const uint64_t written[2])
{
  return (l->header.type == HIVE_TYPE_LOG ||
          l->header.type == HIVE_TYPE_LOG_NT) &&
         l->header.seq1 == l->header.seq2 &&
         (l->header.written == written[0] ||
          l->header.written == written[1]) &&
         l->header.bins_size && l->header.bins_size % HIVE_PAGE == 0;
}

/* "Dirty vector" and "Dirty pages".  1: applied; 0: it holds no vector. */
static int
apply_old (struct hive *h, const struct log *l, struct err *e)
{
  uint64_t sector = l->header.clustering == 8 ? 4096 : HIVE_SECTOR, at;
  size_t n_bytes = l->header.bins_size / HIVE_SECTOR / 8;
  CLEANUP_FREE unsigned char *bits = malloc (n_bytes + 4); /* <= 256 KiB */
  unsigned char page[HIVE_SECTOR];

  if (!bits)
    return err_set (e, ENOMEM, "out of memory");
  if (hive_resize (h, l->header.bins_size, e) == -1)
    return -1;
  if (!range_within (sector, n_bytes + 4, l->file->size))
    return 0;
  if (log_read (l, sector, bits, n_bytes + 4, e) == -1)
    return -1;
  if (memcmp (bits, "DIRT", 4))
    return 0;
  at = round_up (sector + 4 + n_bytes, sector);
  for (size_t i = 0; i < n_bytes * 8; i++) {
    if (!(bits[4 + i / 8] & 1u << i % 8))
      continue;
    if (log_read (l, at, page, sizeof page, e) == -1 ||
        hive_patch (h, (uint64_t) i * HIVE_SECTOR, page, sizeof page, e) ==
            -1)
      return -1;
    at += sizeof page;
  }
  h->recovered++;
  return 1;
}

/* The first log that belongs to this state of the hive is it: the time is
 * the same ("Old format", note 3). */
static int
recover_old (struct hive *h, const struct hive_header *header,
             struct log *logs, size_t n_logs, struct err *e)
{
  uint64_t written[2] = { header->written, header->written };
  int r;

  if (!header->valid && bin_timestamp (h, &written[1], e) == -1)
    return -1;
  for (size_t i = 0; i < n_logs; i++) {
    if (!old_log_fits (&logs[i], written))
      continue;
    r = apply_old (h, &logs[i], e);
    if (r == 0)
      continue;
    h->root = logs[i].header.root;
    h->minor = logs[i].header.minor;
    return r;
  }
  return 0;
}

/* --- which logs ------------------------------------------------------ */

/* Those that can be used; WHY is what the last of the others lacks. */
static int
usable_logs (const struct hive_file *files, size_t n, struct log *ret,
             size_t *ret_n, struct err *why)
{
  struct err e = { 0 };

  *ret_n = 0;
  for (size_t i = 0; i < n && i < HIVE_MAX_LOGS; i++) {
    struct log *l = &ret[*ret_n];
    *l = (struct log){ .file = &files[i] };
    err_clear (&e);
    if (files[i].size == 0)
      continue;
    if (files[i].size > LOG_MAX)
      err_set (&e, EFBIG, "a log has %" PRIu64 " bytes", files[i].size);
    else if (hive_read_header (&files[i], &l->header, &e) == 0 &&
             l->header.valid && hive_is_known (&l->header))
      ++*ret_n;
    if (e.code && e.code != EINVAL) {
      *why = e;
      if (err_is_transient (&e))
        return -1;
    }
  }
  return 0;
}

int
hive_recover (struct hive *h, const struct hive_header *header,
              const struct hive_file *files, size_t n_files, struct err *e)
{
  struct log logs[HIVE_MAX_LOGS];
  struct err why = { 0 };
  size_t n;

  if (usable_logs (files, n_files, logs, &n, &why) == -1) {
    *e = why;
    return -1;
  }
  /* A log of which a part cannot be read may hold what is newest. */
  if (!why.code &&
      (recover_new (h, header, logs, n, &why) == -1 ||
       (!h->recovered && recover_old (h, header, logs, n, &why) == -1)) &&
      err_is_transient (&why)) {
    *e = why;
    return -1;
  }
  if (!why.code && h->recovered)
    return 0;
  if (!h->bins_size) {
    if (why.code)
      *e = why;
    else
      err_set (e, EIO,
               "the checksum of its base block does not match, and no"
               " log has a copy");
    return -1;
  }
  if (why.code)
    return stale (h, e,
                  "it was not written completely, and its transaction log"
                  " cannot be used: %s",
                  why.msg);
  return stale (h, e,
                "it was not written completely (sequence numbers %" PRIu32
                " and %" PRIu32 "), and %s",
                header->seq1, header->seq2,
                n ? "no transaction log continues it"
                  : "there is no transaction log to complete it from");
}
