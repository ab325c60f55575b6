/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of an image end up in messages (names, magic values), and messages
 * end up on terminals and in line-based files: no control characters. */
static void
make_printable (char *s)
{
  for (; *s; s++)
    if ((unsigned char) *s < 0x20 || *s == 0x7f)
      *s = '?';
}

int
err_set (struct err *e, int code, const char *fmt, ...)
{
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (e->msg, sizeof e->msg, fmt, ap);
  va_end (ap);
  make_printable (e->msg);
  e->code = code ? code : EIO;
  return -1;
}

int
err_sys (struct err *e, int code, const char *fmt, ...)
{
  char what[384], why[96];
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (what, sizeof what, fmt, ap);
  va_end (ap);
  return err_set (e, code, "%s: %s", what,
                  strerror_r (code, why, sizeof why));
}

int
err_in (struct err *e, const char *fmt, ...)
{
  char where[256];
  size_t n, len, keep;
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (where, sizeof where - 2, fmt, ap);
  va_end (ap);
  make_printable (where);
  snprintf (where + strlen (where), sizeof where - strlen (where), ": ");
  n = strlen (where);
  len = strlen (e->msg);
  /* The end of the message is the cause: a long chain of places is cut in
   * the middle. */
  keep = MIN (len, sizeof e->msg - 1 - n);
  memmove (e->msg + n, e->msg + (len - keep), keep + 1);
  memcpy (e->msg, where, n);
  if (keep < len)
    memcpy (e->msg + n, "...", 3);
  return -1;
}

void
err_clear (struct err *e)
{
  e->code = 0;
  e->msg[0] = '\0';
}

bool
err_is_absent (const struct err *e)
{
  return e->code == ENOENT || e->code == ENOTDIR;
}

bool
err_is_transient (const struct err *e)
{
  switch (e->code) {
  case ENOMEM:
  case EINTR:
  case EAGAIN:
  case ECANCELED:
  case ETIMEDOUT:
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
    return true;
  default:
    return false;
  }
}
