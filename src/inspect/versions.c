/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/versions.h"

#include <string.h>

#include "base/bytes.h"

/* Locales have no say in it. */
static bool
is_digit (char c)
{
  return c >= '0' && c <= '9';
}

static bool
is_letter (char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int
sign (bool more, bool less)
{
  return more - less;
}

/* A text that may end before its NUL. */
struct span {
  const char *p, *end;
};

static char
first (const struct span *s)
{
  return s->p < s->end ? *s->p : '\0';
}

static struct span
whole (const char *s)
{
  return (struct span){ s, s + strlen (s) };
}

/* Takes off what S begins with of one kind. */
static struct span
take (struct span *s, bool (*is) (char))
{
  struct span taken = { s->p, s->p };

  while (s->p < s->end && is (*s->p))
    s->p++;
  taken.end = s->p;
  return taken;
}

static size_t
length (const struct span *s)
{
  return (size_t) (s->end - s->p);
}

static int
compare_letters (const struct span *a, const struct span *b)
{
  size_t la = length (a), lb = length (b);
  int r = memcmp (a->p, b->p, MIN (la, lb));

  return r ? sign (r > 0, r < 0) : sign (la > lb, la < lb);
}

/* Of any length, leading zeros aside. */
static int
compare_numbers (struct span *a, struct span *b)
{
  while (first (a) == '0')
    a->p++;
  while (first (b) == '0')
    b->p++;
  if (length (a) != length (b))
    return sign (length (a) > length (b), length (a) < length (b));
  return compare_letters (a, b);
}

/* --- rpm, GRUB ------------------------------------------------------- */

static bool
is_no_part (char c)
{
  return !is_digit (c) && !is_letter (c) && c != '~' && c != '+';
}

/* Both begin with a letter or a digit. */
static int
compare_parts (struct span *a, struct span *b)
{
  bool number = is_digit (*a->p);
  struct span x = take (a, number ? is_digit : is_letter),
              y = take (b, number ? is_digit : is_letter);

  if (y.p == y.end) /* of another kind: numbers are newer */
    return number ? 1 : -1;
  return number ? compare_numbers (&x, &y) : compare_letters (&x, &y);
}

static int
rpm_compare (struct span a, struct span b)
{
  int r = 0;

  while (r == 0) {
    take (&a, is_no_part);
    take (&b, is_no_part);
    if (first (&a) == '~' || first (&b) == '~') {
      r = sign (first (&a) != '~', first (&b) != '~');
    } else if (first (&a) == '+' || first (&b) == '+') {
      if (!first (&a) || !first (&b))
        return first (&a) ? 1 : -1;
      r = sign (first (&a) != '+', first (&b) != '+');
    } else if (!first (&a) || !first (&b)) {
      return sign (first (&a), first (&b));
    } else {
      r = compare_parts (&a, &b);
      continue;
    }
    a.p++;
    b.p++;
  }
  return r;
}

int
rpm_version_compare (const char *a, const char *b)
{
  return rpm_compare (whole (a), whole (b));
}

/* A name, a version and a release, cut at the last two '-'; of fewer parts
 * the last are missing: "ostree-2" has a name and a version. */
static void
split (const char *id, struct span parts[3])
{
  struct span rest = whole (id), last[2], none = { rest.end, rest.end };
  size_t n = 0;
  const char *dash;

  while (n < 2 && (dash = memrchr (rest.p, '-', length (&rest))) != NULL) {
    last[n++] = (struct span){ dash + 1, rest.end };
    rest.end = dash;
  }
  parts[0] = rest;
  parts[1] = n > 0 ? last[n - 1] : none;
  parts[2] = n > 1 ? last[0] : none;
}

int
grub_entry_compare (const char *a, const char *b)
{
  struct span x[3], y[3];
  int r = 0;

  split (a, x);
  split (b, y);
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (x); i++)
    r = rpm_compare (x[i], y[i]);
  return r;
}

/* --- systemd --------------------------------------------------------- */

static bool
is_separator (char c)
{
  return !is_digit (c) && !is_letter (c) && !strchr ("~-^.", c);
}

/* Does one begin with C, and the other not?  Else both go over it.  WITH: the
 * answer for A with it. */
static int
compare_mark (struct span *a, struct span *b, char c, int with)
{
  bool in_a = first (a) == c, in_b = first (b) == c;

  if (in_a != in_b)
    return in_a ? with : -with;
  a->p += in_a;
  b->p += in_b;
  return 0;
}

/* As the program does it: '~' is looked for before the end, and what goes on
 * with '^' is older than what goes on with a part; UAPI.10 has both the other
 * way. */
static int
systemd_step (struct span *a, struct span *b, bool *end)
{
  struct span x, y;
  int r;

  take (a, is_separator);
  take (b, is_separator);
  r = compare_mark (a, b, '~', -1);
  if (r != 0)
    return r;
  *end = !first (a) || !first (b);
  if (*end)
    return sign (first (a), first (b));
  if ((r = compare_mark (a, b, '-', -1)) != 0 ||
      (r = compare_mark (a, b, '^', -1)) != 0 ||
      (r = compare_mark (a, b, '.', -1)) != 0)
    return r;
  if (is_digit (first (a)) != is_digit (first (b)))
    return is_digit (first (a)) ? 1 : -1;
  if (is_digit (first (a))) {
    x = take (a, is_digit);
    y = take (b, is_digit);
    return compare_numbers (&x, &y);
  }
  x = take (a, is_letter);
  y = take (b, is_letter);
  return compare_letters (&x, &y);
}

int
systemd_version_compare (const char *a, const char *b)
{
  struct span x = whole (a), y = whole (b);
  bool end = false;
  int r = 0;

  while (r == 0 && !end)
    r = systemd_step (&x, &y, &end);
  return r;
}
