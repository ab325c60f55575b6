/* xrayfs: qcow2 headers that lie: each number in turn, and each read
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case changes one field of a small good image.  It must open (OPENS),
 * open and fail to give its first bytes (UNREADABLE), or be refused, with a
 * message that has the words; never crash, and never take much memory.
 */
#include <endian.h>

#include "base/bytes.h"
#include "block/block.h"
#include "block/cache.h"
#include "test.h"

#define CLUSTER 512
#define SIZE    (5 * CLUSTER)

enum outcome { REFUSED, UNREADABLE, OPENS };

struct change {
  const char *name;
  unsigned offset, width;
  uint64_t value;
  enum outcome outcome;
  const char *words; /* in the message */
};

#define L1     CLUSTER
#define L2     (2 * CLUSTER)
#define DATA   (3 * CLUSTER)
#define COPIED (UINT64_C (1) << 63)

static const struct change changes[] = {
  { "none", 0, 4, 0x514649fb, OPENS, NULL },
  { "magic", 0, 4, 0, REFUSED, "not a qcow2" },
  { "version 0", 4, 4, 0, REFUSED, "version 0 is not known" },
  { "version 4", 4, 4, 4, REFUSED, "version 4 is not known" },
  { "version max", 4, 4, UINT32_MAX, REFUSED, "is not known" },
  { "backing at end", 8, 8, UINT64_MAX, REFUSED, "backing file name" },
  { "backing behind cluster", 8, 8, 513, REFUSED, "backing file name" },
  { "backing without directory", 8, 8, 300, OPENS, NULL },
  { "backing long", 16, 4, UINT32_MAX, OPENS, NULL }, /* no offset */
  { "cluster_bits 8", 20, 4, 8, REFUSED, "cluster size" },
  { "cluster_bits 22", 20, 4, 22, REFUSED, "cluster size" },
  { "cluster_bits 64", 20, 4, 64, REFUSED, "cluster size" },
  { "cluster_bits max", 20, 4, UINT32_MAX, REFUSED, "cluster size" },
  { "cluster_bits 21", 20, 4, 21, REFUSED, "offset" },
  { "size 0", 24, 8, 0, OPENS, NULL },
  { "size odd", 24, 8, 1000, OPENS, NULL },
  { "size needs 2 L1 entries", 24, 8, 32769, REFUSED, "too small" },
  { "size max", 24, 8, INT64_MAX, REFUSED, "too small" },
  { "size negative", 24, 8, UINT64_MAX, REFUSED, "virtual size" },
  { "size 2^63", 24, 8, UINT64_C (1) << 63, REFUSED, "virtual size" },
  { "crypt 1", 32, 4, 1, UNREADABLE, "encrypted (AES)" },
  { "crypt 2", 32, 4, 2, UNREADABLE, "encrypted (LUKS)" },
  { "crypt 3", 32, 4, 3, REFUSED, "encryption method 3" },
  { "crypt max", 32, 4, UINT32_MAX, REFUSED, "encryption method" },
  { "l1_size 0", 36, 4, 0, REFUSED, "too small" },
  { "l1_size beyond file", 36, 4, 1 << 20, REFUSED, "end of the file" },
  { "l1_size cap", 36, 4, (4 << 20) + 1, REFUSED, "too large" },
  { "l1_size max", 36, 4, UINT32_MAX, REFUSED, "too large" },
  { "l1_offset unaligned", 40, 8, 513, REFUSED, "L1 table: offset" },
  { "l1_offset beyond", 40, 8, 1 << 30, REFUSED, "end of the file" },
  { "l1_offset overflow", 40, 8, UINT64_MAX - 511, REFUSED, "L1 table" },
  { "l1_offset INT64_MAX", 40, 8, INT64_MAX - 511, REFUSED, "end of the" },
  { "refcount unaligned", 48, 8, 1, REFUSED, "refcount table" },
  { "refcount overflow", 48, 8, UINT64_MAX - 511, REFUSED, "refcount" },
  { "refcount clusters 0", 56, 4, 0, REFUSED, "no refcount table" },
  { "refcount clusters max", 56, 4, UINT32_MAX, REFUSED, "too large" },
  { "snapshots many", 60, 4, 65537, REFUSED, "too large" },
  { "snapshots max", 60, 4, UINT32_MAX, REFUSED, "too large" },
  { "snapshots offset", 64, 8, 7, REFUSED, "snapshot table" },
  { "snapshots overflow", 64, 8, UINT64_MAX - 511, REFUSED, "snapshot" },
  { "feature bit 5", 72, 8, 1 << 5, REFUSED, "bit 5 is not" },
  { "feature bit 63", 72, 8, COPIED, REFUSED, "bit 63 is not" },
  { "dirty and corrupt", 72, 8, 3, OPENS, NULL },
  { "data file without name", 72, 8, 4, REFUSED, "data file" },
  { "compression bit alone", 72, 8, 8, REFUSED, "disagree" },
  { "subclusters too small", 72, 8, 16, REFUSED, "subclusters" },
  { "compatible unknown", 80, 8, UINT64_MAX, OPENS, NULL },
  { "autoclear unknown", 88, 8, UINT64_MAX & ~UINT64_C (2), OPENS, NULL },
  { "raw without data file", 88, 8, 2, REFUSED, "data-file-raw" },
  { "refcount_order 7", 96, 4, 7, REFUSED, "refcount order" },
  { "refcount_order max", 96, 4, UINT32_MAX, REFUSED, "refcount order" },
  { "header_length 103", 100, 4, 103, REFUSED, "header length" },
  { "header_length 513", 100, 4, 513, REFUSED, "header length" },
  { "header_length max", 100, 4, UINT32_MAX, REFUSED, "header length" },
  { "header_length 512", 100, 4, 512, OPENS, NULL },
  { "compression 1 alone", 104, 1, 1, REFUSED, "disagree" },
  { "compression 2", 104, 1, 2, REFUSED, "compression type 2" },
  { "extension too long", 116, 4, UINT32_MAX, REFUSED, "too large" },
  { "extension unknown", 112, 4, 0x12345678, OPENS, NULL },
  { "extension long", 112, 8, 0x12345678fffffff8, REFUSED, "too large" },
  { "backing format long", 112, 8, 0xe2792aca00000010, REFUSED, "too long" },
  { "data file name long", 112, 8, 0x4441544100000189, REFUSED, "too large" },
  { "crypto without LUKS", 112, 8, 0x0537be7700000010, REFUSED, "method" },
  { "feature names cut", 112, 8, 0x6803f8570000002f, OPENS, NULL },
  { "L2 unaligned", L1, 8, L2 + 512 * 7 / 8, OPENS, NULL }, /* masked */
  { "L2 beyond", L1, 8, 1 << 20, UNREADABLE, "L2 table at 0x100000" },
  { "L2 cut", L1, 8, SIZE, UNREADABLE, "L2 table" },
  { "L2 none", L1, 8, 0, OPENS, NULL },
  { "L2 is L1", L1, 8, L1, OPENS, NULL },
  { "data beyond", L2, 8, 1 << 20, UNREADABLE, "cluster at 0x100000 lies" },
  { "data far beyond", L2, 8, UINT64_C (0xfffffffffffe00) | COPIED,
    UNREADABLE, "lies beyond" },
  { "compressed beyond", L2, 8, UINT64_C (1) << 62 | 1 << 20, UNREADABLE,
    "compressed cluster at 0x100000 lies" },
  { "compressed far", L2, 8, (UINT64_C (1) << 63) - 1, UNREADABLE,
    "lies beyond" },
  { "compressed rubbish", L2, 8, UINT64_C (1) << 62 | DATA, UNREADABLE,
    "damaged" },
  { "compressed to the end", L2, 8, UINT64_C (3) << 61 | (SIZE - 1),
    UNREADABLE, "damaged" },
};

static struct block_env env = { .dir_fd = -1 };

static void
store (unsigned char *to, unsigned width, uint64_t value)
{
  value = htobe64 (value);
  memcpy (to, (char *) &value + 8 - width, width);
}

static void
make_good (unsigned char *image)
{
  memset (image, 0, SIZE);
  store (image, 8, UINT64_C (0x514649fb00000003));
  store (image + 16, 4, 5);
  store (image + 20, 4, 9);
  store (image + 24, 8, 4096);
  store (image + 36, 4, 1);
  store (image + 40, 8, L1);
  store (image + 48, 8, 4 * CLUSTER);
  store (image + 56, 4, 1);
  store (image + 96, 4, 4);
  store (image + 100, 4, 112);
  memcpy (image + 300, "x.raw", 5);
  store (image + L1, 8, L2 | COPIED);
  store (image + L2, 8, DATA | COPIED);
  store (image + L2 + 8, 8, DATA | COPIED);
  memset (image + DATA, 0xff, CLUSTER);
}

static int
open_image (const void *image, size_t size, struct block **ret, struct err *e)
{
  struct block *m;

  CHECK (block_mem_open (&env, image, size, &m, e) == 0);
  return block_format_open (m, "qcow2", ret, e);
}

static enum outcome
outcome_of (const void *image, size_t size, struct err *e)
{
  CLEANUP_BLOCK struct block *b = NULL;
  struct block_info info;
  char buf[2 * CLUSTER];
  struct err ignored;

  if (open_image (image, size, &b, e) == -1)
    return REFUSED;
  if (block_info (b, &info, &ignored) == 0)
    block_info_free (&info);
  if (block_pread (b, buf, MIN (b->size, sizeof buf), 0, e) == -1)
    return UNREADABLE;
  return OPENS;
}

static int
check_change (const struct change *c)
{
  unsigned char image[SIZE];
  struct err e = { 0 };
  enum outcome o;

  make_good (image);
  store (image + c->offset, c->width, c->value);
  o = outcome_of (image, SIZE, &e);
  if (o == c->outcome && (!c->words || strstr (e.msg, c->words)))
    return 0;
  fprintf (stderr, "%s: outcome %d: %s\n", c->name, o, e.msg);
  return 1;
}

/* The rest of what the image says of itself is known all the same. */
static void
test_bad_snapshots (const void *image)
{
  CLEANUP_BLOCK struct block *b = NULL;
  struct block_info info;
  struct err e;

  CHECK_OK (open_image (image, SIZE, &b, &e));
  CHECK_OK (block_info (b, &info, &e));
  CHECK (info.cluster_size == CLUSTER && !info.snapshots.len);
  CHECK (strstr (info.snapshots_err.msg, "qcow2: snapshot 0: read at"));
  block_info_free (&info);
}

/* Two fields at once. */
static void
test_pairs (void)
{
  unsigned char image[SIZE];
  struct err e = { 0 };

  make_good (image); /* version 2 has no zero flag */
  store (image + 4, 4, 2);
  store (image + L2, 8, 1);
  CHECK (outcome_of (image, SIZE, &e) == UNREADABLE);
  CHECK (strstr (e.msg, "version 2 has no zero cluster"));
  make_good (image); /* a snapshot table that the file does not hold */
  store (image + 60, 4, 65536);
  store (image + 64, 8, 1 << 20);
  CHECK (outcome_of (image, SIZE, &e) == OPENS);
  test_bad_snapshots (image);
}

/* "Extended L2 Entries": 16 KiB clusters, subclusters of 512 bytes. */
static void
test_extended (void)
{
  static const struct {
    uint64_t entry, bitmap;
    enum outcome outcome;
  } cases[] = {
    { 4 << 14, 0x00000000ffffffff, OPENS },
    { 4 << 14, 0xffffffff00000000, OPENS },
    { 0, 0xffffffff00000000, OPENS },
    { 4 << 14 | 1, 0x0000000000000001, OPENS }, /* no zero flag here */
    { 4 << 14, 0x0000000100000001, UNREADABLE },
    { 4 << 14, 0x8000000080000000, UNREADABLE },
    { 0, 0x0000000000000001, UNREADABLE },
    { 4 << 14 | 512, 0x0000000000000001, UNREADABLE },
    { 5 << 14, 0x0000000000000001, UNREADABLE },
    { 5 << 14, 0x00000000fffffff0, OPENS }, /* not those that are read */
  };
  const size_t size = (4 << 14) + 512; /* the last cluster is short */
  unsigned char *image = malloc (size);
  struct err e = { 0 };

  CHECK (image);
  for (size_t i = 0; i < ARRAY_SIZE (cases); i++) {
    memset (image, 0, size);
    make_good (image);
    memset (image + 112, 0, SIZE - 112);
    store (image + 20, 4, 14);
    store (image + 40, 8, 1 << 14);
    store (image + 48, 8, 3 << 14);
    store (image + 72, 8, 16);
    store (image + (1 << 14), 8, (2 << 14) | COPIED);
    store (image + (2 << 14), 8, cases[i].entry);
    store (image + (2 << 14) + 8, 8, cases[i].bitmap);
    /* A file that has no whole sectors was cut off. */
    CHECK (outcome_of (image, size - 1, &e) != OPENS || i == 1 || i == 2 ||
           i == 9);
    if (outcome_of (image, size, &e) != cases[i].outcome) {
      fprintf (stderr, "subclusters %zu: %s\n", i, e.msg);
      exit (1);
    }
  }
  free (image);
}

/* Cut anywhere: refused, or an error, or what is there; and within the
 * header always refused. */
static void
test_cut (void)
{
  struct err e;

  for (size_t n = 0; n < SIZE; n++) {
    unsigned char image[SIZE], *cut = malloc (n ? n : 1);
    enum outcome o;

    make_good (image);
    memcpy (cut, image, n);
    o = outcome_of (cut, n, &e);
    free (cut);
    CHECK (n >= L1 + 8 || o == REFUSED);
    CHECK (n >= 104 || strstr (e.msg, "header is cut off"));
    /* The refcount table lies behind the data: they are not short. */
    CHECK ((n >= DATA + CLUSTER) == (o == OPENS));
  }
}

/* "QFI\xfb" is a qcow2 that is cut off, not a raw image of four bytes. */
static void
test_bid (void)
{
  struct block *b, *opened;
  struct err e = { 0 };

  CHECK_OK (block_mem_open (&env, "QFI\xfb", 4, &b, &e));
  CHECK (block_format_open (b, NULL, &opened, &e) == -1);
  CHECK_STR (e.msg, "qcow2: header is cut off");
  CHECK_OK (block_mem_open (&env, "QFI\xfb\0\0\0\1", 8, &b, &e));
  CHECK (block_format_open (b, NULL, &opened, &e) == -1);
  CHECK_STR (e.msg, "qcow: header is cut off"); /* version 1 */
}

/* Every read fails once: an error, or the right bytes. */
static void
test_faults (void)
{
  unsigned char image[SIZE], got[4096], want[4096];
  _Atomic uint64_t count = 0;
  uint64_t total = UINT64_MAX;
  struct err e;

  make_good (image);
  for (uint64_t nth = UINT64_MAX; nth == UINT64_MAX || nth < total; nth++) {
    CLEANUP_BLOCK struct block *b = NULL;
    struct block *m;

    count = 0;
    CHECK_OK (block_mem_open (&env, image, SIZE, &m, &e));
    CHECK_OK (block_fault_open (m, nth, &count, &m, &e));
    if (block_format_open (m, "qcow2", &b, &e) == 0) {
      if (block_pread (b, got, sizeof got, 0, &e) == -1)
        CHECK_OK (block_pread (b, got, sizeof got, 0, &e));
      if (nth == UINT64_MAX)
        memcpy (want, got, sizeof got);
      CHECK (!memcmp (got, want, sizeof got));
    } else
      CHECK (nth != UINT64_MAX && strstr (e.msg, "injected fault"));
    if (nth == UINT64_MAX)
      total = count;
  }
  CHECK (total >= 6 && total < 100);
}

/* The same for the check: could not look, or what is found without. */
static void
test_check_faults (void)
{
  unsigned char image[SIZE];
  _Atomic uint64_t count = 0;
  char want[512] = "";
  uint64_t total = UINT64_MAX;
  struct err e;

  make_good (image);
  for (uint64_t nth = UINT64_MAX; nth == UINT64_MAX || nth < total; nth++) {
    CLEANUP_BLOCK struct block *b = NULL;
    struct block_check c = { 0 };
    struct block *m;

    CHECK_OK (block_mem_open (&env, image, SIZE, &m, &e));
    count = 0;
    CHECK_OK (block_fault_open (m, nth, &count, &m, &e));
    if (block_format_open (m, "qcow2", &b, &e) == -1)
      continue;
    if (block_check (b, &c, &e) == -1)
      CHECK (nth != UINT64_MAX && strstr (e.msg, "injected fault"));
    else if (nth == UINT64_MAX) {
      snprintf (want, sizeof want, "%s", buf_str (&c.findings));
      CHECK (strstr (want, "reference count is 0, references are 2"));
      total = count;
    } else
      CHECK_STR (buf_str (&c.findings), want);
    block_check_free (&c);
  }
  CHECK (total >= 6 && total < 100);
}

int
main (void)
{
  int failed = 0;

  env.cache = cache_new (1 * MiB);
  for (size_t i = 0; i < ARRAY_SIZE (changes); i++)
    failed |= check_change (&changes[i]);
  CHECK (!failed);
  test_pairs ();
  test_extended ();
  test_cut ();
  test_bid ();
  test_faults ();
  test_check_faults ();
  cache_free (env.cache);
  return 0;
}
