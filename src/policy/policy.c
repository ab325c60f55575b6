/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

#include <string.h>

const char *
result_name (enum result r)
{
  static const char *const names[] = { [RESULT_NA] = "n/a",
                                       [RESULT_OK] = "ok",
                                       [RESULT_UNKNOWN] = "unknown",
                                       [RESULT_FAIL] = "fail" };

  return names[r];
}

static void
finding_free (struct finding_of_rule *f)
{
  buf_free (&f->value);
  buf_free (&f->reason);
  buf_free (&f->remedy);
  *f = (struct finding_of_rule){ 0 };
}

void
policy_result_free (struct policy_result *r)
{
  for (size_t i = 0; i < r->n_rules; i++)
    finding_free (&r->rules[i]);
  free (r->rules);
  *r = (struct policy_result){ 0 };
}

/* 1: there is a guest to judge; 0: F says why not; -1. */
static int
find_guest (const struct rule *rule, struct image *img,
            struct finding_of_rule *f, struct err *e)
{
  const struct guest *g = image_guest (img, e);
  bool none;

  if (!g)
    return -1;
  if (g->root && (!rule->family || fact_is (&g->family, rule->family)))
    return 1;
  if (g->root) {
    f->result = RESULT_NA;
    buf_puts (&f->value, "n/a");
    buf_printf (&f->reason, "this is asked of %s guests", rule->family);
    return 0;
  }
  none = g->family.value != NULL;
  f->result = none ? RESULT_NA : RESULT_UNKNOWN;
  buf_puts (&f->value, none ? "n/a" : "unknown");
  buf_puts (&f->reason,
            none ? "there is no operating system" : g->family.reason);
  return 0;
}

static int
judge_rule (const struct rule *rule, struct image *img,
            struct finding_of_rule *f, struct err *e)
{
  int r = rule->needs_guest ? find_guest (rule, img, f, e) : 1;

  return r == 1 ? rule->judge (img, f, e) : r;
}

static int
judge (const struct rule *rule, struct image *img, struct finding_of_rule *f,
       struct err *e)
{
  if (judge_rule (rule, img, f, e) == 0)
    return buf_check (&f->reason, e);
  if (err_is_transient (e))
    return -1;
  finding_free (f);
  f->result = RESULT_UNKNOWN;
  buf_puts (&f->value, "unknown");
  buf_puts (&f->reason, e->msg);
  err_clear (e);
  return 0;
}

/* A failure is certain whatever is unknown besides; advice never decides. */
static const char *
verdict (const struct policy_result *r)
{
  enum result worst = RESULT_OK;

  for (size_t i = 0; i < r->n_rules; i++)
    if (r->policy->rules[i].code && r->rules[i].result > worst)
      worst = r->rules[i].result;
  return worst == RESULT_FAIL ? "fail"
         : worst == RESULT_OK ? "pass"
                              : "unknown";
}

int
policy_evaluate (const struct policy *p, struct image *img,
                 struct policy_result *ret, struct err *e)
{
  struct policy_result r = { .policy = p };
  size_t n = 0;

  while (p->rules[n].name)
    n++;
  r.rules = calloc (n, sizeof *r.rules);
  if (!r.rules)
    return err_set (e, ENOMEM, "out of memory");
  r.n_rules = n;
  for (size_t i = 0; i < n; i++)
    if (judge (&p->rules[i], img, &r.rules[i], e) == -1) {
      policy_result_free (&r);
      return -1;
    }
  r.verdict = verdict (&r);
  *ret = r;
  return 0;
}

static bool
has_code (const struct rule *rule, const char *code)
{
  return rule->code && !strcmp (rule->code, code);
}

enum result
policy_code_result (const struct policy_result *r, const char *code)
{
  enum result worst = RESULT_NA;

  for (size_t i = 0; i < r->n_rules; i++)
    if (has_code (&r->policy->rules[i], code) && r->rules[i].result > worst)
      worst = r->rules[i].result;
  return worst;
}

void
policy_errors (const struct policy_result *r, struct buf *ret)
{
  for (const char *const *c = r->policy->codes; *c; c++)
    if (policy_code_result (r, *c) == RESULT_FAIL)
      buf_printf (ret, "%s\n", *c);
  if (policy_code_result (r, "none") == RESULT_FAIL)
    buf_puts (ret, "none\n");
}

static void
add_line (struct buf *ret, const struct buf *text)
{
  if (!text->len)
    return;
  buf_add (ret, text->data, text->len);
  if (text->data[text->len - 1] != '\n')
    buf_puts (ret, "\n");
}

void
policy_reasons (const struct policy_result *r, const char *code,
                struct buf *ret)
{
  enum result worst = policy_code_result (r, code);

  for (size_t i = 0; i < r->n_rules; i++)
    if (has_code (&r->policy->rules[i], code) && r->rules[i].result == worst)
      add_line (ret, &r->rules[i].reason);
}

void
policy_warnings (const struct policy_result *r, struct buf *ret)
{
  for (size_t i = 0; i < r->n_rules; i++)
    if (!r->policy->rules[i].code && r->rules[i].result == RESULT_FAIL)
      add_line (ret, &r->rules[i].reason);
}

void
policy_remedy (const struct policy_result *r, struct buf *ret)
{
  for (size_t i = 0; i < r->n_rules; i++)
    if (r->rules[i].result == RESULT_FAIL)
      add_line (ret, &r->rules[i].remedy);
}

void
policy_requirements (const struct policy_result *r, struct buf *ret)
{
  for (size_t i = 0; i < r->n_rules; i++) {
    const struct rule *rule = &r->policy->rules[i];
    const struct finding_of_rule *f = &r->rules[i];
    buf_printf (ret, "%s\t%s\t", rule->name, rule->limit);
    buf_add_line_text (ret, buf_str (&f->value), f->value.len);
    buf_printf (ret, "\t%s\t%s\t%s\n",
                rule->code || f->result != RESULT_FAIL
                    ? result_name (f->result)
                    : "warning",
                rule->code ? rule->code : "-", rule->source);
  }
}

const struct policy *
policy_find (const char *name)
{
  if (!strcmp (name, "default"))
    return policies[0];
  for (size_t i = 0; policies[i]; i++)
    if (!strcmp (policies[i]->name, name))
      return policies[i];
  for (size_t i = 0; policies[i]; i++)
    if (!strcmp (policies[i]->provider, name))
      return policies[i];
  return NULL;
}
