/* xrayfs: what registry.c, registry_cells.c and registry_log.c share
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef XRAYFS_INSPECT_REGISTRY_PRIV_H
#define XRAYFS_INSPECT_REGISTRY_PRIV_H

#include "inspect/registry.h"

#define HIVE_BASE   4096u /* the base block; hive bins data follow */
#define HIVE_PAGE   4096u /* hive bins are made of these */
#define HIVE_SECTOR 512u

/* Windows's own limit for a hive is 2 GiB; the largest seen (SOFTWARE and
 * COMPONENTS of old servers) have a few hundred MiB. */
#define HIVE_MAX_BINS ((uint64_t) 1 << 30)
/* Pages in memory at a time: an inspection touches some hundred. */
#define HIVE_MAX_LOADED ((size_t) 64 << 20)

/* The base block (section "Base block"), of a hive or at the start of a log.
 */
struct hive_header {
  uint32_t seq1, seq2; /* primary and secondary sequence number */
  uint64_t written;    /* last written timestamp */
  uint32_t major, minor, type, root, bins_size, clustering;
  bool valid; /* the checksum matches */
};

#define HIVE_TYPE_PRIMARY 0
#define HIVE_TYPE_LOG     1
#define HIVE_TYPE_LOG_NT  2
#define HIVE_TYPE_LOG_NEW 6

struct hive_page {
  unsigned char *data;
  uint8_t valid; /* one bit per sector that is there */
};

struct hive {
  struct hive_file primary;
  uint64_t bins_size; /* of the hive bins data */
  uint32_t root, minor;
  struct hive_page *pages;
  size_t n_pages, loaded;
  size_t recovered;
  char *stale;
};

/* Reads and checks the first sector.  EINVAL: it is no hive and no log. */
int hive_read_header (const struct hive_file *f, struct hive_header *ret,
                      struct err *e) must_check;

bool hive_is_known (const struct hive_header *header); /* its version */

/* Of the base block's first sector; of LEN bytes, a multiple of 4, of a log's
 * entry (Marvin32). */
uint32_t hive_checksum (const unsigned char *sector);
uint64_t hive_hash (const unsigned char *p, size_t len);

/* Sets the size of the hive bins data, which may grow. */
int hive_resize (struct hive *h, uint64_t bins_size,
                 struct err *e) must_check;

/* LEN bytes at OFF of the hive bins data. */
int hive_read (struct hive *h, uint64_t off, void *buf, size_t len,
               struct err *e) must_check;

/* Puts LEN bytes, whole sectors, over what the file has at OFF. */
int hive_patch (struct hive *h, uint64_t off, const void *data, size_t len,
                struct err *e) must_check;

/* Brings H up to date.  HEADER is that of the primary file.  Sets h->stale
 * where that is not possible. */
int hive_recover (struct hive *h, const struct hive_header *header,
                  const struct hive_file *logs, size_t n_logs,
                  struct err *e) must_check;

#endif
