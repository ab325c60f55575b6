/* xrayfs: VHD headers that lie: each number in turn, cuts, and each read
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case changes one field of a small good image, and puts the checksums
 * right.  It must open (OPENS), open and fail to give its first bytes
 * (UNREADABLE), or be refused, with a message that has the words.
 */
#include <endian.h>

#include "base/bytes.h"
#include "base/utf16.h"
#include "block/block.h"
#include "block/cache.h"
#include "format/vhd.h"
#include "test.h"

#define BLOCK 4096
#define BAT   1536
#define DATA  2048 /* a bitmap of a sector, then the block */
#define END   (DATA + 512 + BLOCK)
#define SIZE  (END + 512)

enum outcome { REFUSED, UNREADABLE, OPENS };

/* Offset in the footer; from 512 on in the header, from BAT on in the BAT. */
static const struct change {
  const char *name;
  unsigned offset, width;
  uint64_t value;
  enum outcome outcome;
  const char *words; /* in the message */
} changes[] = {
  { "none", FOOTER_FEATURES, 4, 2, OPENS, NULL },
  { "cookie", 0, 4, 0, REFUSED, "not a VHD" },
  { "features", FOOTER_FEATURES, 4, UINT32_MAX, OPENS, NULL },
  { "version 0", FOOTER_VERSION, 4, 0, REFUSED, "version 0.0 is not" },
  { "version 1.1", FOOTER_VERSION, 4, 0x10001, OPENS, NULL },
  { "version 2", FOOTER_VERSION, 4, 0x20000, REFUSED, "version 2.0 is not" },
  { "version max", FOOTER_VERSION, 4, UINT32_MAX, REFUSED, "is not known" },
  { "header at 0", FOOTER_DATA_OFFSET, 8, 0, REFUSED, "signature" },
  { "header at end", FOOTER_DATA_OFFSET, 8, SIZE, REFUSED,
    "end of the file" },
  { "header cut", FOOTER_DATA_OFFSET, 8, SIZE - 1023, REFUSED, "end of the" },
  { "header max", FOOTER_DATA_OFFSET, 8, UINT64_MAX, REFUSED, "end of the" },
  { "size 0", FOOTER_CURRENT_SIZE, 8, 0, OPENS, NULL },
  { "size odd", FOOTER_CURRENT_SIZE, 8, 5000, OPENS, NULL },
  { "size + 1 sector", FOOTER_CURRENT_SIZE, 8, 33280, REFUSED, "too small" },
  { "size 2040G", FOOTER_CURRENT_SIZE, 8, UINT64_C (0xff000000) * 512,
    REFUSED, "too small" },
  { "size over 2040G", FOOTER_CURRENT_SIZE, 8, UINT64_C (0xff000001) * 512,
    REFUSED, "virtual size" },
  { "size max", FOOTER_CURRENT_SIZE, 8, UINT64_MAX, REFUSED, "virtual size" },
  { "type 0", FOOTER_TYPE, 4, 0, REFUSED, "disk type 0 is not" },
  { "type 1", FOOTER_TYPE, 4, 1, REFUSED, "disk type 1 is not" },
  { "type fixed", FOOTER_TYPE, 4, 2, OPENS, NULL },
  { "type differencing", FOOTER_TYPE, 4, 4, UNREADABLE, "does not name" },
  { "type 5", FOOTER_TYPE, 4, 5, REFUSED, "disk type 5 is not" },
  { "type max", FOOTER_TYPE, 4, UINT32_MAX, REFUSED, "is not known" },
  { "header signature", 512, 1, 'C', REFUSED, "signature" },
  { "header version 2", 512 + HEADER_VERSION, 4, 0x20000, REFUSED,
    "version 2 is not" },
  { "BAT at end", 512 + HEADER_TABLE_OFFSET, 8, END, REFUSED, "BAT at" },
  { "BAT cut", 512 + HEADER_TABLE_OFFSET, 8, END - 31, REFUSED, "BAT at" },
  { "BAT fits", 512 + HEADER_TABLE_OFFSET, 8, END - 32, UNREADABLE,
    "end of" },
  { "BAT max", 512 + HEADER_TABLE_OFFSET, 8, UINT64_MAX, REFUSED, "BAT at" },
  { "entries 7", 512 + HEADER_MAX_ENTRIES, 4, 7, REFUSED, "too small" },
  { "entries 0", 512 + HEADER_MAX_ENTRIES, 4, 0, REFUSED, "too small" },
  { "entries max", 512 + HEADER_MAX_ENTRIES, 4, UINT32_MAX, OPENS, NULL },
  { "block 0", 512 + HEADER_BLOCK_SIZE, 4, 0, REFUSED, "block size of 0" },
  { "block 2048", 512 + HEADER_BLOCK_SIZE, 4, 2048, REFUSED, "block size" },
  { "block odd", 512 + HEADER_BLOCK_SIZE, 4, 4097, REFUSED, "block size" },
  { "block max", 512 + HEADER_BLOCK_SIZE, 4, UINT32_MAX, REFUSED, "block" },
  { "block 2G", 512 + HEADER_BLOCK_SIZE, 4, UINT32_C (1) << 31, UNREADABLE,
    "lies beyond the end" },
  { "at 0", BAT, 4, 0, UNREADABLE, "lies over the headers" },
  { "over the BAT", BAT, 4, 3, UNREADABLE, "lies over the headers" },
  { "ends in the footer", BAT, 4, 5, UNREADABLE, "end of the data" },
  { "behind the footer", BAT, 4, 14, UNREADABLE, "end of the data" },
  { "far", BAT, 4, UINT32_MAX - 1, UNREADABLE, "end of the data" },
  { "unused", BAT, 4, UINT32_MAX, OPENS, NULL },
};

static struct block_env env = { .dir_fd = -1 };

static void
store (unsigned char *to, unsigned width, uint64_t value)
{
  value = htobe64 (value);
  memcpy (to, (char *) &value + 8 - width, width);
}

static void
seal (unsigned char *image)
{
  store (image + FOOTER_CHECKSUM, 4,
         vhd_checksum (image, VHD_FOOTER_SIZE, FOOTER_CHECKSUM));
  store (image + 512 + HEADER_CHECKSUM, 4,
         vhd_checksum (image + 512, VHD_HEADER_SIZE, HEADER_CHECKSUM));
  memcpy (image + END, image, VHD_FOOTER_SIZE);
}

static void
make_good (unsigned char *image)
{
  memset (image, 0, SIZE);
  memcpy (image, "conectix", 8);
  store (image + FOOTER_VERSION, 4, 0x10000);
  store (image + FOOTER_DATA_OFFSET, 8, 512);
  memcpy (image + FOOTER_CREATOR, "win ", 4);
  store (image + FOOTER_CURRENT_SIZE, 8, (uint64_t) 8 * BLOCK);
  store (image + FOOTER_TYPE, 4, VHD_DYNAMIC);
  memcpy (image + 512, "cxsparse", 8);
  store (image + 512 + HEADER_TABLE_OFFSET, 8, BAT);
  store (image + 512 + HEADER_VERSION, 4, 0x10000);
  store (image + 512 + HEADER_MAX_ENTRIES, 4, 8);
  store (image + 512 + HEADER_BLOCK_SIZE, 4, BLOCK);
  memset (image + BAT, 0xff, DATA - BAT);
  store (image + BAT, 4, DATA / 512);
  memset (image + DATA + 512, 0x5a, BLOCK);
}

static int
open_image (const void *image, size_t size, struct block **ret, struct err *e)
{
  struct block *m;

  CHECK (block_mem_open (&env, image, size, &m, e) == 0);
  return block_format_open (m, "vhd", ret, e);
}

static enum outcome
outcome_of (const void *image, size_t size, struct err *e)
{
  CLEANUP_BLOCK struct block *b = NULL;
  struct block_check check = { 0 };
  struct block_info info;
  char buf[BLOCK];
  struct err ignored;

  if (open_image (image, size, &b, e) == -1)
    return REFUSED;
  if (block_info (b, &info, &ignored) == 0)
    block_info_free (&info);
  CHECK (block_check (b, &check, &ignored) == 0);
  block_check_free (&check);
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
  seal (image);
  o = outcome_of (image, SIZE, &e);
  if (o == c->outcome && (!c->words || strstr (e.msg, c->words)))
    return 0;
  fprintf (stderr, "%s: outcome %d: %s\n", c->name, o, e.msg);
  return 1;
}

/* Cut anywhere: its bytes, or an error; never others. */
static void
test_cut (void)
{
  unsigned char image[SIZE], got[BLOCK], want[BLOCK];
  struct err e;

  make_good (image);
  seal (image);
  memset (want, 0x5a, sizeof want);
  for (size_t n = 0; n < SIZE; n++) {
    CLEANUP_BLOCK struct block *b = NULL;
    unsigned char *cut = malloc (n ? n : 1);
    int r;

    CHECK (cut);
    memcpy (cut, image, n);
    r = open_image (cut, n, &b, &e);
    CHECK ((r == 0) == (n >= BAT + 8 * 4));
    if (r == 0) {
      r = block_pread (b, got, sizeof got, 0, &e);
      CHECK ((r == 0) == (n >= END));
      CHECK (r == -1 || !memcmp (got, want, sizeof want));
    }
    free (cut);
  }
}

static void
check_utf16 (const void *from, size_t len, bool big, const char *want)
{
  CLEANUP_BUF struct buf out = { 0 };

  utf16_add (&out, from, len, big);
  CHECK_STR (buf_str (&out), want);
}

static void
test_utf16 (void)
{
  check_utf16 ("", 0, false, "");
  check_utf16 ("a\0b\0", 4, false, "ab");
  check_utf16 ("\0a\0b\0\0\0c", 8, true, "ab");
  check_utf16 ("a\0b", 3, false, "a");
  check_utf16 ("\xe9\0\xac\x20", 4, false, "\u00e9\u20ac");
  check_utf16 ("\x3d\xd8\xbe\xdc", 4, false, "\U0001f4be");
  check_utf16 ("\xff\xdb\xff\xdf", 4, false, "\U0010ffff");
  check_utf16 ("\x3d\xd8", 2, false, "\ufffd");
  check_utf16 ("\x3d\xd8x\0", 4, false, "\ufffdx");
  check_utf16 ("\xbe\xdcx\0", 4, false, "\ufffdx");
  check_utf16 ("\x3d\xd8\x3d\xd8\xbe\xdc", 6, false, "\ufffd\U0001f4be");
}

/* A cookie alone is no footer; what has a signature at its start wins. */
static void
test_bid (void)
{
  unsigned char image[SIZE] = { 0 };
  struct block *m;
  struct err e;

  memcpy (image + END, "conectix", 8);
  CHECK_OK (block_mem_open (&env, image, SIZE, &m, &e));
  CHECK (vhd_bid (m, &e) == 0);
  block_close (m);
  make_good (image);
  seal (image);
  CHECK_OK (block_mem_open (&env, image, SIZE, &m, &e));
  CHECK (vhd_bid (m, &e) == 96);
  image[100] = 1;
  CHECK (vhd_bid (m, &e) == 64);
  memset (image, 0, 512);
  CHECK (vhd_bid (m, &e) == 24);
  image[END + 100] = 1;
  CHECK (vhd_bid (m, &e) == 24);
  block_close (m);
  CHECK_OK (block_mem_open (&env, image, 0, &m, &e));
  CHECK (vhd_bid (m, &e) == 0);
  block_close (m);
}

int
main (void)
{
  int failed = 0;

  env.cache = cache_new (1 * MiB);
  for (size_t i = 0; i < ARRAY_SIZE (changes); i++)
    failed |= check_change (&changes[i]);
  CHECK (!failed);
  test_cut ();
  test_utf16 ();
  test_bid ();
  cache_free (env.cache);
  return 0;
}
