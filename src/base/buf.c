/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

char *
buf_reserve (struct buf *b, size_t len)
{
  size_t want, cap = b->cap ? b->cap : 64;
  char *data;

  if (b->failed || __builtin_add_overflow (b->len, len, &want) ||
      __builtin_add_overflow (want, 1, &want)) {
    b->failed = true;
    return NULL;
  }
  if (want > b->cap) {
    while (cap < want)
      cap = cap > SIZE_MAX / 2 ? want : cap * 2;
    data = realloc (b->data, cap);
    if (!data) {
      b->failed = true;
      return NULL;
    }
    b->data = data;
    b->cap = cap;
  }
  return b->data + b->len;
}

void
buf_add (struct buf *b, const void *data, size_t len)
{
  char *to = buf_reserve (b, len);

  if (!to)
    return;
  if (len)
    memcpy (to, data, len);
  b->len += len;
  b->data[b->len] = '\0';
}

void
buf_puts (struct buf *b, const char *s)
{
  buf_add (b, s, strlen (s));
}

void
buf_printf (struct buf *b, const char *fmt, ...)
{
  va_list ap;
  int len;

  va_start (ap, fmt);
  len = vsnprintf (NULL, 0, fmt, ap);
  va_end (ap);
  if (len < 0 || !buf_reserve (b, (size_t) len))
    return;
  va_start (ap, fmt);
  vsnprintf (b->data + b->len, (size_t) len + 1, fmt, ap);
  va_end (ap);
  b->len += (size_t) len;
}

void
buf_add_word (struct buf *b, const char *word)
{
  if (b->len)
    buf_puts (b, " ");
  buf_puts (b, word);
}

void
buf_add_line_text (struct buf *b, const char *s, size_t len)
{
  char *to = buf_reserve (b, len);

  if (!to)
    return;
  for (size_t i = 0; i < len; i++)
    to[i] = (unsigned char) s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
  b->len += len;
  b->data[b->len] = '\0';
}

void
buf_reset (struct buf *b)
{
  b->len = 0;
  b->failed = false;
  if (b->data)
    b->data[0] = '\0';
}

void
buf_free (struct buf *b)
{
  free (b->data);
  *b = (struct buf){ 0 };
}

const char *
buf_str (const struct buf *b)
{
  return b->data ? b->data : "";
}

int
buf_check (const struct buf *b, struct err *e)
{
  return b->failed ? err_set (e, ENOMEM, "out of memory") : 0;
}

int
text_copy (const char *s, char **ret, struct err *e)
{
  if (s && !(*ret = strdup (s)))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}
