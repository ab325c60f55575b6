/* xrayfs: inflate_exact gives so many bytes, or an error
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "format/inflate.h"

#include <zlib.h>

#include "test.h"

#define SIZE 5000

static unsigned char plain[SIZE], packed[2 * SIZE], out[2 * SIZE];

static size_t
pack (int window)
{
  z_stream z = { .next_in = plain, .avail_in = SIZE, .next_out = packed };

  z.avail_out = sizeof packed;
  CHECK (deflateInit2 (&z, 9, Z_DEFLATED, window, 8, 0) == Z_OK);
  CHECK (deflate (&z, Z_FINISH) == Z_STREAM_END);
  deflateEnd (&z);
  return sizeof packed - z.avail_out;
}

static int
unpack (enum inflate_kind kind, size_t len, size_t size)
{
  struct err e = { 0 };
  int r;

  memset (out, 0xee, sizeof out);
  r = inflate_exact (kind, packed, len, out, size, &e);
  CHECK (out[size] == 0xee);
  CHECK (r == 0 || (e.code == EIO && strstr (e.msg, "damaged")));
  CHECK (r == -1 || !memcmp (out, plain, size));
  return r;
}

static void
test_kind (enum inflate_kind kind, int window)
{
  size_t len = pack (window);

  CHECK (unpack (kind, len, SIZE) == 0);
  CHECK (unpack (kind, len + 100, SIZE) == 0); /* what follows is ignored */
  CHECK (unpack (kind, len, SIZE - 1) == 0);   /* as qemu has it */
  CHECK (unpack (kind, len, SIZE + 1) == -1);
  CHECK (unpack (kind, len / 2, SIZE) == -1);
  CHECK (unpack (kind, 0, SIZE) == -1);
  CHECK (unpack (kind == INFLATE_RAW ? INFLATE_ZLIB : INFLATE_RAW, len,
                 SIZE) == -1);
}

int
main (void)
{
  size_t len;

  for (size_t i = 0; i < SIZE; i++)
    plain[i] = (unsigned char) (i * i >> 5);
  test_kind (INFLATE_RAW, -12);
  test_kind (INFLATE_RAW, -15);
  test_kind (INFLATE_ZLIB, 15);
  len = pack (15);
  packed[len - 1] ^= 1; /* the checksum */
  CHECK (unpack (INFLATE_ZLIB, len, SIZE) == -1);
  return 0;
}
