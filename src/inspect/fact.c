/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/fact.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int
set_text (char **to, struct err *e, const char *fmt, va_list ap)
{
  char *text;

  if (vasprintf (&text, fmt, ap) == -1)
    return err_set (e, ENOMEM, "out of memory");
  free (*to);
  *to = text;
  return 0;
}

/* A reason is one line, whatever bytes of the guest are quoted in it. */
static void
make_one_line (char *s)
{
  for (; *s; s++)
    if ((unsigned char) *s < 0x20 || *s == 0x7f)
      *s = '?';
}

int
fact_set (struct fact *f, struct err *e, const char *fmt, ...)
{
  va_list ap;
  int r;

  va_start (ap, fmt);
  r = set_text (&f->value, e, fmt, ap);
  va_end (ap);
  return r;
}

int
fact_reason (struct fact *f, struct err *e, const char *fmt, ...)
{
  va_list ap;
  int r;

  va_start (ap, fmt);
  r = set_text (&f->reason, e, fmt, ap);
  va_end (ap);
  if (r == 0)
    make_one_line (f->reason);
  return r;
}

int
fact_unknown (struct fact *f, struct err *e, const char *fmt, ...)
{
  va_list ap;
  int r;

  va_start (ap, fmt);
  r = set_text (&f->reason, e, fmt, ap);
  va_end (ap);
  if (r == 0)
    make_one_line (f->reason);
  free (f->value);
  f->value = NULL;
  return r;
}

int
fact_could_not_look (struct fact *f, struct err *why)
{
  struct err none = { 0 };
  int r;

  if (err_is_transient (why))
    return -1;
  r = fact_unknown (f, &none, "%s", why->msg);
  *why = none;
  return r;
}

void
fact_evidence (struct fact *f, const char *fmt, ...)
{
  char *text;
  va_list ap;
  int len;

  va_start (ap, fmt);
  len = vasprintf (&text, fmt, ap);
  va_end (ap);
  if (len == -1) {
    f->evidence.failed = true;
    return;
  }
  buf_add_line_text (&f->evidence, text, (size_t) len);
  buf_puts (&f->evidence, "\n");
  free (text);
}

bool
fact_is (const struct fact *f, const char *value)
{
  return f->value && !strcmp (f->value, value);
}

bool
fact_known (const struct fact *f)
{
  return f->value != NULL;
}

void
fact_free (struct fact *f)
{
  free (f->value);
  free (f->reason);
  buf_free (&f->evidence);
  *f = (struct fact){ 0 };
}
