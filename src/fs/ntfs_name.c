/* xrayfs: NTFS: names
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A name is up to 255 units of UTF-16, none of which Windows checks.
 */
#include <string.h>

#include "fs/ntfs.h"

/* --- to UTF-8 --------------------------------------------------------- */

static void
add_character (struct buf *out, uint32_t c)
{
  char b[4];
  size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

  for (size_t i = n - 1; i > 0; i--, c >>= 6)
    b[i] = (char) (0x80 | (c & 0x3f));
  b[0] = (char) (lead[n] | c);
  buf_add (out, b, n);
}

static bool
is_high (uint32_t c)
{
  return c >= 0xd800 && c < 0xdc00;
}

static bool
is_low (uint32_t c)
{
  return c >= 0xdc00 && c < 0xe000;
}

void
nt_name_add (struct buf *out, const void *name, size_t len)
{
  const char *p = name;
  uint32_t c, next;

  for (size_t i = 0; i < len; i++) {
    c = load_le16 (p + 2 * i);
    next = i + 1 < len ? load_le16 (p + 2 * (i + 1)) : 0;
    if (is_high (c) && is_low (next)) {
      c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
      i++;
    }
    add_character (out, c);
  }
}

/* --- from UTF-8 ------------------------------------------------------- */

/* The character at P, which is *RET_LEN bytes long; -1: it is none.  Halves
 * of surrogate pairs are let through (WTF-8). */
static int32_t
character_at (const unsigned char *p, size_t len, size_t *ret_len)
{
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t n = p[0] < 0x80   ? 1
             : p[0] < 0xc2 ? 0
             : p[0] < 0xe0 ? 2
             : p[0] < 0xf0 ? 3
             : p[0] < 0xf5 ? 4
                           : 0;
  uint32_t c;

  if (n == 0 || n > len)
    return -1;
  c = n == 1 ? p[0] : p[0] & (0x7f >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return -1;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (c < least[n] || c > 0x10ffff)
    return -1;
  *ret_len = n;
  return (int32_t) c;
}

int
nt_name_units (const char *name, size_t len, ntfschar units[NT_MAX_NAME])
{
  size_t n = 0, used = 0;
  int32_t c;

  for (; len > 0; name += used, len -= used) {
    c = character_at ((const unsigned char *) name, len, &used);
    if (c == -1 || n + (c >= 0x10000 ? 2 : 1) > NT_MAX_NAME)
      return -1;
    if (c >= 0x10000) {
      c -= 0x10000;
      units[n++] = htole16 ((uint16_t) (0xd800 + (c >> 10)));
      c = 0xdc00 + (c & 0x3ff);
    }
    units[n++] = htole16 ((uint16_t) c);
  }
  return (int) n;
}

/* --- the volume's $UpCase --------------------------------------------- */

static uint16_t
upper (const struct nt *nt, uint16_t c)
{
  return c < nt->vol->upcase_len ? le16toh (nt->vol->upcase[c]) : c;
}

bool
nt_name_same (const struct nt *nt, const void *a, const void *b, size_t len)
{
  const char *p = a, *q = b;

  for (size_t i = 0; i < 2 * len; i += 2)
    if (upper (nt, load_le16 (p + i)) != upper (nt, load_le16 (q + i)))
      return false;
  return true;
}

/* FNV-1a of the upper case. */
uint32_t
nt_name_hash (const struct nt *nt, const void *name, size_t len)
{
  uint32_t h = 2166136261U;
  const char *p = name;
  uint16_t c;

  for (size_t i = 0; i < len; i++) {
    c = upper (nt, load_le16 (p + 2 * i));
    h = (h ^ (c & 0xff)) * 16777619U;
    h = (h ^ (c >> 8)) * 16777619U;
  }
  return h;
}
