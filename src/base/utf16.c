/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/utf16.h"

#include "base/bytes.h"

#define REPLACEMENT 0xfffd

static void
add_utf8 (struct buf *out, uint32_t c)
{
  unsigned char s[4];
  size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

  for (size_t i = n - 1; i > 0; i--, c >>= 6)
    s[i] = (unsigned char) (0x80 | (c & 0x3f));
  s[0] = (unsigned char) (lead[n] | c);
  buf_add (out, s, n);
}

void
utf16_add (struct buf *out, const void *from, size_t len, bool big_endian)
{
  const unsigned char *p = from;
  uint32_t c, high = 0;

  for (; len >= 2; p += 2, len -= 2) {
    c = big_endian ? load_be16 (p) : load_le16 (p);
    if (c == 0)
      break;
    if (high && (c & 0xfc00) == 0xdc00)
      add_utf8 (out, 0x10000 + ((high & 0x3ff) << 10) + (c & 0x3ff));
    else if (high)
      add_utf8 (out, REPLACEMENT);
    if (!high && (c & 0xfc00) == 0xdc00)
      add_utf8 (out, REPLACEMENT);
    else if ((c & 0xf800) != 0xd800)
      add_utf8 (out, c);
    high = (c & 0xfc00) == 0xd800 ? c : 0;
  }
  if (high)
    add_utf8 (out, REPLACEMENT);
}
