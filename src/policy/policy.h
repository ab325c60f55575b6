/* xrayfs: would a cloud take this image?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A policy is a table of rules that follow one document of a provider.  Each
 * rule looks at facts and gives one result; the provider's error codes, the
 * warnings, the remedy and the verdict are made from the results alone.
 * For now policies are built in; they become data files.
 */
#ifndef XRAYFS_POLICY_POLICY_H
#define XRAYFS_POLICY_POLICY_H

#include "inspect/image.h"

enum result { RESULT_NA, RESULT_OK, RESULT_UNKNOWN, RESULT_FAIL };
const char *result_name (enum result r); /* "n/a" "ok" "unknown" "fail" */

/* What one rule found. */
struct finding_of_rule {
  enum result result;
  struct buf value;  /* this image's value */
  struct buf reason; /* sentences: why, and what to do */
  struct buf remedy; /* steps, one a line */
};

struct rule {
  const char *name;   /* "virtual-size" */
  const char *limit;  /* "at most 536870912000 bytes" */
  const char *code;   /* the provider's; "none": documented without one;
                         NULL: advice, whose failure is a warning */
  const char *source; /* the page of the provider */
  bool needs_guest;   /* n/a without an operating system, and unknown where it
                         is unknown whether there is one */
  const char *family; /* of the guests it is about; NULL: of all */
  int (*judge) (struct image *img, struct finding_of_rule *ret,
                struct err *e);
};

struct policy {
  const char *name;     /* "tencent-cvm-2019" */
  const char *provider; /* "tencent-cvm": the alias of its default policy */
  const char *document; /* the document followed, with its date */
  const char *const *codes; /* the provider's error codes; ends with NULL */
  const char *damaged; /* the code of an image whose container is damaged */
  const struct rule *rules; /* ends with a NULL name */
  uint64_t qcow2_limit; /* the least size as qcow2 that a rule asks for; where
                           the bound is over it the exact one is needed; 0:
                           no rule asks */
};

struct policy_result {
  const struct policy *policy;
  const char *verdict;           /* pass fail unknown */
  struct finding_of_rule *rules; /* one per rule of the policy */
  size_t n_rules;
};

/* Judges every rule.  Fails only with transient errors: what could not be
 * determined is a result. */
int policy_evaluate (const struct policy *p, struct image *img,
                     struct policy_result *ret, struct err *e) must_check;
void policy_result_free (struct policy_result *r);

/* The result of a code: the worst of its rules. */
enum result policy_code_result (const struct policy_result *r,
                                const char *code);

/* Texts made from the results, lines ended by "\n". */
void policy_errors (const struct policy_result *r, struct buf *ret);
void policy_reasons (const struct policy_result *r, const char *code,
                     struct buf *ret);
void policy_warnings (const struct policy_result *r, struct buf *ret);
void policy_remedy (const struct policy_result *r, struct buf *ret);
void policy_requirements (const struct policy_result *r, struct buf *ret);

/* The policy of that name; a provider's name is its default policy, and
 * "default" the default of all.  NULL: not known. */
const struct policy *policy_find (const char *name);

/* The policies, generated from Makefile.am; the first is the default one. */
extern const struct policy *const policies[];

#endif
