/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/inflate.h"

#include <limits.h>
#include <zlib.h>

int
inflate_exact (enum inflate_kind kind, const void *from, size_t len, void *to,
               size_t size, struct err *e)
{
  z_stream z = { .next_in = (Bytef *) from,
                 .avail_in = (uInt) len,
                 .next_out = to,
                 .avail_out = (uInt) size };
  int r;

  if (len > UINT_MAX || size > UINT_MAX)
    return err_set (e, EFBIG, "deflate data are too large");
  /* The largest window: writers differ (qemu's qcow2 has one of 4 KiB). */
  if (inflateInit2 (&z, kind == INFLATE_RAW ? -MAX_WBITS : MAX_WBITS) != Z_OK)
    return err_set (e, ENOMEM, "out of memory");
  r = inflate (&z, Z_FINISH);
  inflateEnd (&z);
  if (r == Z_MEM_ERROR)
    return err_set (e, ENOMEM, "out of memory");
  /* Z_BUF_ERROR: there are SIZE bytes before the stream ends. */
  if ((r == Z_STREAM_END || r == Z_BUF_ERROR) && z.avail_out == 0)
    return 0;
  return err_set (e, EIO, "deflate data are damaged");
}
