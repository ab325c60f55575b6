/* xrayfs: FAT and exFAT: names and times
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

#include "base/bytes.h"
#include "base/utf16.h"
#include "fs/fat.h"

/* Short names are in the code page of whoever wrote them, which is not
 * stored.  Linux takes 437 (CONFIG_FAT_DEFAULT_CODEPAGE).  The characters
 * from 0x80 on. */
static const uint16_t cp437[128] = {
  0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea,
  0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6,
  0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc,
  0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
  0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc,
  0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561,
  0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b,
  0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
  0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568,
  0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518,
  0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
  0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
  0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
  0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2,
  0x25a0, 0x00a0
};

/* Those of them that have a small letter there; its number is 32 larger. */
static const uint16_t capitals437[] = { 0x00c7, 0x00c4, 0x00c5, 0x00c9,
                                        0x00c6, 0x00d6, 0x00dc, 0x00d1,
                                        0x03a3, 0x03a6 };

/* --- capitals -------------------------------------------------------- */

static uint16_t default_upcase[65536];
static pthread_once_t default_once = PTHREAD_ONCE_INIT;

/* The C library's, in its locale that is always there; ASCII without. */
static void
make_default (void)
{
  locale_t locale = newlocale (LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);
  wint_t up;

  for (uint32_t c = 0; c < 65536; c++) {
    up = locale ? towupper_l (c, locale) : c >= 'a' && c <= 'z' ? c - 32 : c;
    default_upcase[c] = (uint16_t) (up < 65536 ? up : c);
  }
  if (locale)
    freelocale (locale);
}

const uint16_t *
fat_default_upcase (void)
{
  pthread_once (&default_once, make_default);
  return default_upcase;
}

/* Takes a character of UTF-8 off *S; a byte that is none stands for itself,
 * apart from all characters. */
static uint32_t
take_char (const unsigned char **s, const unsigned char *end)
{
  static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
  const unsigned char *p = *s;
  uint32_t c = *p++, first = c;
  int more = c >= 0xf0 && c < 0xf8 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

  *s = p;
  if (c < 0x80)
    return c;
  if (more == 0 || c >= 0xf8 || end - p < more)
    return 0x110000 + first;
  c &= 0x3f >> more;
  for (int i = 0; i < more; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return 0x110000 + first;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (c < least[more])
    return 0x110000 + first;
  *s = p + more;
  return c;
}

static uint32_t
take_upper (const struct fat *f, const unsigned char **s,
            const unsigned char *end)
{
  uint32_t c = take_char (s, end);

  return c < 65536 ? f->upcase[c] : c;
}

/* Dots at the end of a name do not count in any of these systems. */
static size_t
without_dots (const char *name, size_t len)
{
  while (len > 0 && name[len - 1] == '.')
    len--;
  return len;
}

/* FNV-1a, over characters. */
uint32_t
fat_name_hash (const struct fat *f, const char *name, size_t len)
{
  const unsigned char *s = (const unsigned char *) name;
  const unsigned char *end = s + without_dots (name, len);
  uint32_t hash = UINT32_C (2166136261);

  while (s < end)
    hash = (hash ^ take_upper (f, &s, end)) * UINT32_C (16777619);
  return hash;
}

bool
fat_name_equal (const struct fat *f, const char *a, size_t a_len,
                const char *b, size_t b_len)
{
  const unsigned char *s = (const unsigned char *) a;
  const unsigned char *t = (const unsigned char *) b;
  const unsigned char *s_end = s + without_dots (a, a_len);
  const unsigned char *t_end = t + without_dots (b, b_len);

  while (s < s_end && t < t_end)
    if (take_upper (f, &s, s_end) != take_upper (f, &t, t_end))
      return false;
  return s == s_end && t == t_end;
}

/* --- long names ------------------------------------------------------ */

size_t
fat_long_name (const void *from, size_t len, char *ret)
{
  CLEANUP_BUF struct buf b = { 0 };

  utf16_add (&b, from, len, false);
  len = MIN (b.len, FAT_MAX_NAME - 1);
  memcpy (ret, buf_str (&b), len);
  ret[len] = '\0';
  return len;
}

/* --- short names ----------------------------------------------------- */

static unsigned
decode (unsigned char c)
{
  return c < 0x80 ? c : cp437[c - 0x80];
}

/* In lower case, if the code page has that. */
static unsigned
decode_lower (unsigned char c)
{
  unsigned wide = decode (c);

  if (c < 0x80)
    return c >= 'A' && c <= 'Z' ? c + 32U : c;
  for (size_t i = 0; i < ARRAY_SIZE (capitals437); i++)
    if (capitals437[i] == wide)
      return wide + 32;
  return wide;
}

/* Adds COUNT bytes of a name, without the blanks that fill it up. */
static size_t
add_part (const unsigned char *from, size_t count, bool lower, char *ret)
{
  unsigned char units[16];
  uint16_t wide;

  for (size_t i = 0; i < count; i++)
    if (from[i] == '\0')
      count = i;
  while (count > 0 && from[count - 1] == ' ')
    count--;
  for (size_t i = 0; i < count; i++) {
    wide = htole16 (
        (uint16_t) (lower ? decode_lower (from[i]) : decode (from[i])));
    memcpy (units + 2 * i, &wide, 2);
  }
  return fat_long_name (units, 2 * count, ret);
}

/* Windows NT's flags, in a byte that FATGEN reserves. */
#define LOWER_BASE      0x08
#define LOWER_EXTENSION 0x10
#define LOWER_AT        12

void
fat_short_name (const unsigned char *slot, char *ret, size_t size)
{
  char base[FAT_MAX_NAME], extension[FAT_MAX_NAME];
  unsigned char name[11];

  memcpy (name, slot, sizeof name);
  if (name[0] == 0x05) /* 0xe5 would say that it is deleted */
    name[0] = 0xe5;
  add_part (name, 8, slot[LOWER_AT] & LOWER_BASE, base);
  add_part (name + 8, 3, slot[LOWER_AT] & LOWER_EXTENSION, extension);
  snprintf (ret, size, "%s%s%s", base, extension[0] ? "." : "", extension);
}

/* --- times ----------------------------------------------------------- */

/* Days and months of zero are those of files that have no time. */
struct timespec
fat_time (unsigned date, unsigned time, unsigned cs)
{
  unsigned month = date >> 5 & 15, day = date & 31;
  struct tm tm = {
    .tm_year = (int) (80 + (date >> 9)),
    .tm_mon = month == 0 || month > 12 ? 0 : (int) month - 1,
    .tm_mday = day ? (int) day : 1,
    .tm_hour = (int) (time >> 11),
    .tm_min = time >> 5 & 63,
    .tm_sec = (int) ((time & 31) * 2 + cs / 100),
  };

  return (struct timespec){ .tv_sec = timegm (&tm),
                            .tv_nsec = cs % 100 * 10000000L };
}
