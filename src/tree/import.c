/* xrayfs: import/<policy>/
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tree/node.h"

static int
evaluate_policy (void *arg, struct err *e)
{
  struct policy_cell *c = arg;

  return policy_evaluate (c->policy, c->tree->image, &c->result, e);
}

static const struct policy_result *
node_result (struct node *n, struct err *e)
{
  struct policy_cell *c = &n->tree->policy_cells[n->index];

  return lazy_get (&c->cell, evaluate_policy, c, e) == 0 ? &c->result : NULL;
}

/* What a verdict rests on: the rules that are not ok. */
static void
add_evidence (struct finding *f, const struct policy_result *r)
{
  for (size_t i = 0; i < r->n_rules; i++)
    if (r->rules[i].result >= RESULT_UNKNOWN)
      buf_printf (&f->evidence, "%s: %s: %s\n", r->policy->rules[i].name,
                  result_name (r->rules[i].result),
                  buf_str (&r->rules[i].reason));
}

static int
show_verdict (struct node *n, struct finding *f, struct err *e)
{
  const struct policy_result *r = node_result (n, e);

  if (!r)
    return -1;
  add_evidence (f, r);
  if (!strcmp (r->verdict, "unknown")) {
    CLEANUP_BUF struct buf why = { 0 };
    for (size_t i = 0; i < r->n_rules; i++)
      if (r->policy->rules[i].code && r->rules[i].result == RESULT_UNKNOWN &&
          !strstr (buf_str (&why), buf_str (&r->rules[i].reason)))
        buf_printf (&why, "%s%s", why.len ? "; " : "",
                    buf_str (&r->rules[i].reason));
    return err_set (e, ENOTSUP, "%s", buf_str (&why));
  }
  return show_text (f, r->verdict);
}

#define SHOW_LINES(function, make)                                           \
  static int function (struct node *n, struct finding *f, struct err *e)     \
  {                                                                          \
    const struct policy_result *r = node_result (n, e);                      \
    if (!r)                                                                  \
      return -1;                                                             \
    make (r, &f->text);                                                      \
    return 0;                                                                \
  }
SHOW_LINES (show_errors, policy_errors)
SHOW_LINES (show_warnings, policy_warnings)
SHOW_LINES (show_remedy, policy_remedy)
SHOW_LINES (show_requirements, policy_requirements)

static int
show_document (struct node *n, struct finding *f, struct err *e unused_arg)
{
  return show_text (f, policies[n->index]->document);
}

static int
show_code (struct node *n, struct finding *f, struct err *e)
{
  const struct policy_result *r = node_result (n, e);
  enum result result;
  CLEANUP_BUF struct buf why = { 0 };

  if (!r)
    return -1;
  result = policy_code_result (r, n->name);
  policy_reasons (r, n->name, &why);
  buf_add (&f->evidence, buf_str (&why), why.len);
  if (result == RESULT_UNKNOWN) {
    if (why.len)
      why.data[strcspn (why.data, "\n")] = '\0';
    return err_set (e, ENOTSUP, "%s", buf_str (&why));
  }
  return show_text (f, result_name (result));
}

static int
show_reason (struct node *n, struct finding *f, struct err *e)
{
  const struct policy_result *r = node_result (n, e);

  if (!r)
    return -1;
  policy_reasons (r, n->name, &f->text);
  return 0;
}

static const struct node_def code_row[] = {
  TEXT_ROW ("<Code>", show_code, "ok, fail, unknown or n/a"),
  END_ROWS,
};
static const struct node_def reason_row[] = {
  LIST_ROW ("<Code>", show_reason, "why, and what to do, as sentences"),
  END_ROWS,
};

static int
list_of_codes (struct node *n, const struct node_def *row, struct err *e)
{
  for (const char *const *c = policies[n->index]->codes; *c; c++)
    if (node_add (n, *c, row, n->index, e) == -1)
      return -1;
  return 0;
}

static int
list_codes (struct node *n, struct err *e)
{
  return list_of_codes (n, code_row, e);
}

static int
list_reasons (struct node *n, struct err *e)
{
  /* `none` is where a requirement without a code says why. */
  return node_add (n, "none", reason_row, n->index, e) == -1
             ? -1
             : list_of_codes (n, reason_row, e);
}

static const struct node_def policy_rows[] = {
  TEXT_ROW ("verdict", show_verdict, "pass, fail or unknown"),
  LIST_ROW ("errors", show_errors,
            "the codes that fail; none for a requirement without a code"),
  COMPUTED_ROW ("codes", list_codes, code_row, "one file per error code"),
  COMPUTED_ROW ("reasons", list_reasons, reason_row,
                "why, one file per error code"),
  TEXT_ROW ("document", show_document,
            "the provider's document that the policy follows"),
  LIST_ROW ("warnings", show_warnings,
            "what the provider advises against and would not refuse"),
  LIST_ROW ("remedy", show_remedy,
            "the steps that would make it pass, in order"),
  LIST_ROW ("requirements", show_requirements,
            "the policy itself: rule, limit, this image's value, result,"
            " code and source; tab-separated"),
  END_ROWS,
};

const struct node_def policy_dirs[] = {
  DIR_ROW ("<policy>", policy_rows, "one policy"),
  { .name = "<alias>",
    .type = NODE_LINK,
    .not_reported = true,
    .help = "the default policy of a provider; default: of all" },
  END_ROWS,
};

int
list_policies (struct node *n, struct err *e)
{
  for (size_t i = 0; policies[i]; i++) {
    bool first = true;
    if (node_add (n, policies[i]->name, &policy_dirs[0], i, e) == -1)
      return -1;
    for (size_t k = 0; k < i; k++)
      first = first && strcmp (policies[k]->provider, policies[i]->provider);
    if (first && node_add_link (n, policies[i]->provider, policies[i]->name,
                                &policy_dirs[1], e) == -1)
      return -1;
  }
  return node_add_link (n, "default", policies[0]->provider, &policy_dirs[1],
                        e);
}
