/* xrayfs: VHDX headers that lie: each number in turn, and each read
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case changes one field of a small good image, whose checksums are made
 * right again.  It must open (OPENS), open and fail to give its first bytes
 * (UNREADABLE), or be refused, with a message that has the words; never
 * crash, and never take much memory.
 */
#include <endian.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "block/block.h"
#include "block/cache.h"
#include "test.h"

enum outcome { REFUSED, UNREADABLE, OPENS };

struct change {
  const char *name;
  unsigned offset, width;
  uint64_t value;
  enum outcome outcome;
  const char *words; /* in the message */
};

#define HEAD    (64 * 1024)
#define HEAD2   (128 * 1024)
#define REGION  (192 * 1024)
#define REGION2 (256 * 1024)
#define LOG     (1 << 20)
#define BAT     (2 << 20)
#define META    (3 << 20)
#define ITEM(i) (META + 32 + 32 * (i)) /* as items[] has them */
#define DATA    (4 << 20)
#define SIZE    (5 << 20)
#define DISK    ((1 << 20) + 512)
#define BLOCK   (1 << 20)

/* Of the items: those that are required, and the parent locator. */
#define PARAMETERS (META + 65536)
#define DISK_SIZE  (META + 65536 + 8)
#define LOGICAL    (META + 65536 + 32)

static const struct change changes[] = {
  { "none", 0, 1, 'v', OPENS, NULL },
  { "signature", 0, 1, 'V', REFUSED, "not a VHDX" },
  { "header signature", HEAD, 1, 'x', REFUSED, "has no signature" },
  { "version 0", HEAD + 66, 2, 0, REFUSED, "version 0 is not known" },
  { "version 2", HEAD + 66, 2, 2, REFUSED, "version 2 is not known" },
  { "log version, no log", HEAD + 64, 2, 1, OPENS, NULL },
  { "log id, log empty", HEAD + 48, 8, 1, OPENS, NULL },
  { "log length odd", HEAD + 68, 4, 4096, REFUSED, "log: length" },
  { "log length max", HEAD + 68, 4, UINT32_MAX, REFUSED, "log: length" },
  { "log length 4 GiB", HEAD + 68, 4, 0xfff00000, REFUSED, "overlap" },
  { "log offset 0", HEAD + 72, 8, 0, REFUSED, "log: offset" },
  { "log offset odd", HEAD + 72, 8, LOG + 4096, REFUSED, "log: offset" },
  { "log offset max", HEAD + 72, 8, UINT64_MAX, REFUSED, "log: offset" },
  { "log offset high", HEAD + 72, 8, UINT64_C (0x7ffffffffff00000), REFUSED,
    "log: offset" },
  { "log in BAT", HEAD + 72, 8, BAT, REFUSED, "overlap" },
  { "log in metadata", HEAD + 72, 8, META, REFUSED, "overlap" },
  { "log in block", HEAD + 72, 8, DATA, UNREADABLE, "lies in the log" },
  { "log beyond", HEAD + 72, 8, 1 << 30, OPENS, NULL },
  { "regions 0", REGION + 8, 4, 0, REFUSED, "no BAT" },
  { "regions 1", REGION + 8, 4, 1, REFUSED, "no metadata" },
  { "regions 2048", REGION + 8, 4, 2048, REFUSED, "2048 entries" },
  { "regions max", REGION + 8, 4, UINT32_MAX, REFUSED, "entries" },
  { "regions 3", REGION + 8, 4, 3, REFUSED, "offset 0x0" },
  { "region unknown", REGION + 16, 8, 7, REFUSED, "required region" },
  { "BAT offset 0", REGION + 32, 8, 0, REFUSED, "entry 0: offset" },
  { "BAT offset odd", REGION + 32, 8, BAT + 512, REFUSED, "entry 0: offset" },
  { "BAT offset max", REGION + 32, 8, UINT64_MAX, REFUSED, "offset" },
  { "BAT beyond", REGION + 32, 8, 1 << 30, UNREADABLE, "BAT" },
  { "BAT far beyond", REGION + 32, 8, UINT64_C (0x7fffff0000000000),
    UNREADABLE, "BAT" },
  { "BAT in metadata", REGION + 32, 8, META, REFUSED, "overlap" },
  { "BAT length 0", REGION + 40, 4, 0, REFUSED, "length of 0" },
  { "BAT length odd", REGION + 40, 4, 8192, REFUSED, "length of 8192" },
  { "BAT length max", REGION + 40, 4, 0xfff00000, REFUSED, "overlap" },
  { "BAT twice", REGION + 48, 16, BAT, REFUSED, "second" },
  { "metadata offset", REGION + 64, 8, 4096, REFUSED, "entry 1: offset" },
  { "metadata beyond", REGION + 64, 8, 1 << 30, REFUSED, "metadata" },
  { "metadata in BAT", REGION + 64, 8, BAT, REFUSED, "overlap" },
  { "metadata length", REGION + 72, 4, 1, REFUSED, "length of 1" },
  { "metadata signature", META, 1, 'M', REFUSED, "metadata: there is no" },
  { "items 0", META + 10, 2, 0, REFUSED, "file parameters is not there" },
  { "items 1", META + 10, 2, 1, REFUSED, "virtual disk size is not there" },
  { "items 2", META + 10, 2, 2, REFUSED, "logical sector size is not" },
  { "items 3", META + 10, 2, 3, OPENS, NULL },
  { "items 2048", META + 10, 2, 2048, REFUSED, "2048 entries" },
  { "item unknown", ITEM (0), 8, 7, REFUSED, "a required item" },
  { "item of a user", ITEM (0) + 24, 4, 5, REFUSED, "a required item" },
  { "item offset 0", ITEM (0) + 16, 4, 0, REFUSED, "offset 0x0" },
  { "item offset low", ITEM (0) + 16, 4, 65535, REFUSED, "offset 0xffff" },
  { "item offset high", ITEM (0) + 16, 4, 0xffff9, REFUSED, "offset" },
  { "item offset max", ITEM (0) + 16, 4, UINT32_MAX, REFUSED, "offset" },
  { "item length 0", ITEM (0) + 20, 4, 0, REFUSED, "length of 0" },
  { "item length 7", ITEM (0) + 20, 4, 7, REFUSED, "length of 7" },
  { "item length max", ITEM (0) + 20, 4, UINT32_MAX, REFUSED, "length" },
  { "block size 0", PARAMETERS, 4, 0, REFUSED, "block size of 0" },
  { "block size 512K", PARAMETERS, 4, 1 << 19, REFUSED, "block size" },
  { "block size 512M", PARAMETERS, 4, 1 << 29, REFUSED, "block size" },
  { "block size 3M", PARAMETERS, 4, 3 << 20, REFUSED, "block size" },
  { "block size 2M", PARAMETERS, 4, 2 << 20, OPENS, NULL },
  { "block size 256M", PARAMETERS, 4, 1 << 28, OPENS, NULL },
  { "fixed", PARAMETERS + 4, 4, 1, OPENS, NULL },
  { "flags unknown", PARAMETERS + 4, 4, 0xfffffffc, OPENS, NULL },
  { "child, no locator", PARAMETERS + 4, 4, 2, REFUSED, "parent locator" },
  { "size 0", DISK_SIZE, 8, 0, OPENS, NULL },
  { "size odd", DISK_SIZE, 8, 1000, OPENS, NULL },
  { "size 64 TiB", DISK_SIZE, 8, UINT64_C (1) << 46, REFUSED, "too small" },
  { "size of BAT", DISK_SIZE, 8, UINT64_C (131040) << 20, OPENS, NULL },
  { "size behind BAT", DISK_SIZE, 8, UINT64_C (131073) << 20, REFUSED,
    "too small" },
  { "size above", DISK_SIZE, 8, (UINT64_C (1) << 46) + 1, REFUSED,
    "virtual disk size" },
  { "size max", DISK_SIZE, 8, UINT64_MAX, REFUSED, "virtual disk size" },
  { "sector 0", LOGICAL, 4, 0, REFUSED, "logical sector size of 0" },
  { "sector 1024", LOGICAL, 4, 1024, REFUSED, "logical sector size" },
  { "sector 4096", LOGICAL, 4, 4096, OPENS, NULL },
  { "entry 0", BAT, 8, 0, OPENS, NULL },
  { "entry zero", BAT, 8, 2, OPENS, NULL },
  { "entry 4", BAT, 8, 4, UNREADABLE, "BAT entry 0: state 4" },
  { "entry partial", BAT, 8, DATA | 7, UNREADABLE, "without a parent" },
  { "entry reserved", BAT, 8, DATA | 0xffff8 | 6, OPENS, NULL },
  { "entry beyond", BAT, 8, SIZE | 6, UNREADABLE, "block at 0x500000 lies" },
  { "entry max", BAT, 8, UINT64_MAX - 1, UNREADABLE, "lies beyond" },
  { "entry at 0", BAT, 8, 6, UNREADABLE, "lies in the header" },
  { "entry in log", BAT, 8, LOG | 6, UNREADABLE, "lies in the log" },
  { "entry in BAT", BAT, 8, BAT | 6, UNREADABLE, "lies in the BAT" },
  { "entry in metadata", BAT, 8, META | 6, UNREADABLE, "in the metadata" },
};

static struct block_env env = { .dir_fd = -1 };

static void
store (unsigned char *to, unsigned width, uint64_t value)
{
  value = htole64 (value);
  memcpy (to, &value, MIN (width, 8));
}

static void
make_checksum (unsigned char *table, size_t len)
{
  store (table + 4, 4, 0);
  store (table + 4, 4, crc32c (0, table, len));
}

static void
make_checksums (unsigned char *image)
{
  make_checksum (image + HEAD, 4096);
  make_checksum (image + REGION, 65536);
}

static const unsigned char bat_id[] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6,
                                        0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e,
                                        0x9b, 0xfd, 0x4a, 0x08 };
static const unsigned char metadata_id[] = { 0x06, 0xa2, 0x7c, 0x8b,
                                             0x90, 0x47, 0x9a, 0x4b,
                                             0xb8, 0xfe, 0x57, 0x5f,
                                             0x05, 0x0f, 0x88, 0x6e };

static void
put_region (unsigned char *entry, const unsigned char *id, uint64_t off)
{
  memcpy (entry, id, 16);
  store (entry + 16, 8, off);
  store (entry + 24, 4, 1 << 20);
  store (entry + 28, 4, 1);
}

static void
put_metadata (unsigned char *image)
{
  static const unsigned char ids[][16] = {
    { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0,
      0xaa, 0x44, 0xe7, 0x6b },
    { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe,
      0xd8, 0x3b, 0xf4, 0xb8 },
    { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33,
      0xa8, 0xfa, 0xab, 0x5f },
    { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88,
      0x52, 0x51, 0xc5, 0x56 },
  };
  static const struct {
    unsigned offset, length;
    uint64_t value;
  } values[] = {
    { PARAMETERS, 8, BLOCK },
    { DISK_SIZE, 8, DISK },
    { LOGICAL, 4, 512 },
    { LOGICAL + 4, 4, 4096 },
  };

  memcpy (image + META, "metadata", 8);
  store (image + META + 10, 2, ARRAY_SIZE (ids));
  for (unsigned i = 0; i < ARRAY_SIZE (ids); i++) {
    memcpy (image + ITEM (i), ids[i], 16);
    store (image + ITEM (i) + 16, 4, values[i].offset - META);
    store (image + ITEM (i) + 20, 4, values[i].length);
    store (image + ITEM (i) + 24, 4, 4);
    store (image + values[i].offset, values[i].length, values[i].value);
  }
}

/* The second header and the second region table are damaged. */
static void
make_good (unsigned char *image)
{
  memset (image, 0, SIZE);
  memcpy (image, "vhdxfile", 8);
  memcpy (image + HEAD, "head", 4);
  store (image + HEAD + 8, 8, 1);
  store (image + HEAD + 66, 2, 1);
  store (image + HEAD + 68, 4, 1 << 20);
  store (image + HEAD + 72, 8, LOG);
  memcpy (image + REGION, "regi", 4);
  store (image + REGION + 8, 4, 2);
  put_region (image + REGION + 16, bat_id, BAT);
  put_region (image + REGION + 48, metadata_id, META);
  put_metadata (image);
  store (image + BAT, 8, DATA | 6);
  memset (image + DATA, 0xff, BLOCK);
}

static int
open_image (const void *image, size_t size, struct block **ret, struct err *e)
{
  struct block *m;

  CHECK (block_mem_open (&env, image, size, &m, e) == 0);
  return block_format_open (m, "vhdx", ret, e);
}

static enum outcome
outcome_of (const void *image, size_t size, struct err *e)
{
  CLEANUP_BLOCK struct block *b = NULL;
  struct block_check c = { 0 };
  struct block_info info;
  static char buf[65536];
  struct err ignored;

  if (open_image (image, size, &b, e) == -1)
    return REFUSED;
  if (block_info (b, &info, &ignored) == 0)
    block_info_free (&info);
  (void) !block_check (b, &c, &ignored);
  block_check_free (&c);
  if (block_pread (b, buf, MIN (b->size, sizeof buf), 0, e) == -1)
    return UNREADABLE;
  return OPENS;
}

static int
check_change (unsigned char *image, const struct change *c)
{
  struct err e = { 0 };
  enum outcome o;

  make_good (image);
  if (c->width == 16) /* a second one of the region's kind */
    put_region (image + c->offset, bat_id, c->value);
  else
    store (image + c->offset, c->width, c->value);
  make_checksums (image);
  o = outcome_of (image, SIZE, &e);
  if (o == c->outcome && (!c->words || strstr (e.msg, c->words)))
    return 0;
  fprintf (stderr, "%s: outcome %d: %s\n", c->name, o, e.msg);
  return 1;
}

/* The header that counts. */
static void
test_headers (unsigned char *image)
{
  struct err e = { 0 };

  make_good (image);
  make_checksums (image);
  store (image + HEAD + 4, 1, ~image[HEAD + 4]);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "both headers are damaged"));
  make_checksums (image);
  memcpy (image + HEAD2, image + HEAD, 4096);
  CHECK (outcome_of (image, SIZE, &e) == OPENS); /* as Disk2vhd has it */
  store (image + HEAD2 + 66, 2, 9);
  make_checksum (image + HEAD2, 4096);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "sequence number 1 and differ"));
  store (image + HEAD2 + 8, 8, 0);
  make_checksum (image + HEAD2, 4096);
  CHECK (outcome_of (image, SIZE, &e) == OPENS); /* is the older one */
  store (image + HEAD2 + 8, 8, UINT64_MAX);
  make_checksum (image + HEAD2, 4096);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "version 9 is not known"));
}

static void
test_region_tables (unsigned char *image)
{
  struct err e = { 0 };

  make_good (image);
  make_checksums (image);
  memcpy (image + REGION2, image + REGION, 65536);
  image[REGION + 65535] = 1;
  CHECK (outcome_of (image, SIZE, &e) == OPENS);
  image[REGION2 + 65535] = 1;
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "both region tables are damaged: checksum"));
}

/* A log that claims what it cannot hold, or more than we take. */
static void
test_log (unsigned char *image)
{
  struct err e = { 0 };

  make_good (image);
  store (image + HEAD + 48, 8, 1); /* in use */
  store (image + HEAD + 64, 2, 1);
  make_checksums (image);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "log version 1 is not known"));
  store (image + HEAD + 64, 2, 0);
  store (image + HEAD + 68, 4, 65 << 20);
  make_checksums (image);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED && e.code == ENOTSUP);
  store (image + HEAD + 68, 4, 1 << 20);
  store (image + HEAD + 72, 8, 1 << 30);
  make_checksums (image);
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "log: read at 0x40000000 lies beyond the end"));
  /* Each sector is an entry of the whole log: not read 256 times. */
  store (image + HEAD + 72, 8, LOG);
  make_checksums (image);
  for (unsigned at = LOG; at < BAT; at += 4096) {
    memcpy (image + at, "loge", 4);
    store (image + at + 8, 4, 1 << 20);
    store (image + at + 16, 8, 1);
    store (image + at + 32, 8, 1);
  }
  CHECK (outcome_of (image, SIZE, &e) == REFUSED);
  CHECK (strstr (e.msg, "log: its entries overlap"));
}

/* Cut anywhere: refused, or an error, or what is there. */
static void
test_cut (unsigned char *image)
{
  static const size_t at[] = {
    0,          4,         8,       HEAD,        HEAD + 9,
    HEAD2,      HEAD2 + 9, REGION,  REGION2,     LOG,
    LOG + 4096, BAT,       BAT + 8, BAT + 16,    META,
    META + 40,  LOGICAL,   DATA,    DATA + 4096, DATA + 65536
  };
  enum outcome o;
  struct err e;

  make_good (image);
  make_checksums (image);
  for (size_t i = 0; i < ARRAY_SIZE (at); i++) {
    unsigned char *cut = malloc (at[i] ? at[i] : 1);

    CHECK (cut);
    memcpy (cut, image, at[i]);
    o = outcome_of (cut, at[i], &e);
    free (cut);
    CHECK (at[i] >= LOGICAL + 8 || o == REFUSED);
    CHECK (at[i] >= REGION2 || strstr (e.msg, "header is cut off"));
    CHECK (at[i] >= DATA + 65536 || o != OPENS);
    CHECK (at[i] < DATA + 65536 || o == OPENS);
  }
}

/* "vhdxfile" is an image that is cut off, not a raw one of eight bytes. */
static void
test_bid (void)
{
  struct block *b, *opened;
  struct err e = { 0 };

  CHECK_OK (block_mem_open (&env, "vhdxfile", 8, &b, &e));
  CHECK (block_format_open (b, NULL, &opened, &e) == -1);
  CHECK_STR (e.msg, "vhdx: header is cut off");
  CHECK_OK (block_mem_open (&env, "vhdxfil", 7, &b, &e));
  CHECK_OK (block_format_open (b, NULL, &opened, &e));
  CHECK_STR (opened->ops->name, "raw");
  block_close (opened);
}

/* Every read fails once: an error, or the right bytes. */
static void
test_faults (unsigned char *image)
{
  static unsigned char got[DISK], want[DISK];
  _Atomic uint64_t count = 0;
  uint64_t total = UINT64_MAX;
  struct err e;

  make_good (image);
  make_checksums (image);
  for (uint64_t nth = UINT64_MAX; nth == UINT64_MAX || nth < total; nth++) {
    CLEANUP_BLOCK struct block *b = NULL;
    struct block *m;

    count = 0;
    CHECK_OK (block_mem_open (&env, image, SIZE, &m, &e));
    CHECK_OK (block_fault_open (m, nth, &count, &m, &e));
    if (block_format_open (m, "vhdx", &b, &e) == 0) {
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

/* RFC 3720, B.4 "CRC Examples" */
static void
test_crc32c (void)
{
  unsigned char data[32];

  memset (data, 0, sizeof data);
  CHECK (crc32c (0, data, sizeof data) == 0x8a9136aa);
  for (unsigned i = 0; i < sizeof data; i++)
    data[i] = (unsigned char) i;
  CHECK (crc32c (0, data, sizeof data) == 0x46dd794e);
  CHECK (crc32c (crc32c (0, data, 5), data + 5, 27) == 0x46dd794e);
}

int
main (void)
{
  unsigned char *image = malloc (SIZE);
  int failed = 0;

  CHECK (image);
  env.cache = cache_new (1 * MiB);
  test_crc32c ();
  for (size_t i = 0; i < ARRAY_SIZE (changes); i++)
    failed |= check_change (image, &changes[i]);
  CHECK (!failed);
  test_headers (image);
  test_region_tables (image);
  test_log (image);
  test_cut (image);
  test_bid ();
  test_faults (image);
  cache_free (env.cache);
  free (image);
  return 0;
}
