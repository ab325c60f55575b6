/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "front/front.h"

#include <stdarg.h>

#include "base/buf.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "(unknown version)"
#endif

const char *
front_version (void)
{
  return PACKAGE_VERSION;
}

void
say (const char *fmt, ...)
{
  CLEANUP_BUF struct buf line = { 0 };
  CLEANUP_FREE char *text = NULL;
  va_list ap;
  int len;

  va_start (ap, fmt);
  len = vasprintf (&text, fmt, ap);
  va_end (ap);
  if (len < 0) {
    text = NULL;
    return;
  }
  buf_puts (&line, "xrayfs: ");
  buf_add_line_text (&line, text, (size_t) len);
  buf_puts (&line, "\n");
  fputs (buf_str (&line), stderr);
  fflush (stderr);
}
