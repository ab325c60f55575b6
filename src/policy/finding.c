/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/finding.h"

#include <stdarg.h>
#include <stdio.h>

int
finding_ok (struct finding_of_rule *f)
{
  f->result = RESULT_OK;
  return 0;
}

int
finding_na (struct finding_of_rule *f, const char *why)
{
  f->result = RESULT_NA;
  buf_puts (&f->value, "n/a");
  buf_puts (&f->reason, why);
  return 0;
}

int
finding_fail (struct finding_of_rule *f, const char *fmt, ...)
{
  char text[1024];
  va_list ap;

  va_start (ap, fmt);
  vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  f->result = RESULT_FAIL;
  buf_puts (&f->reason, text);
  return 0;
}

int
finding_unknown (struct finding_of_rule *f, const char *why)
{
  f->result = RESULT_UNKNOWN;
  buf_puts (&f->reason, why ? why : "could not be determined");
  return 0;
}

int
finding_by_fact (struct finding_of_rule *f, const struct fact *fact,
                 const char *wanted)
{
  buf_puts (&f->value, fact->value ? fact->value : "unknown");
  if (!fact_known (fact))
    return finding_unknown (f, fact->reason);
  if (fact_is (fact, wanted))
    return finding_ok (f);
  return 1;
}
