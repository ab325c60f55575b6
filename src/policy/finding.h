/* xrayfs: how a rule says what it found
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each returns 0, so that a rule ends with `return finding_ok (f);`.
 */
#ifndef XRAYFS_POLICY_FINDING_H
#define XRAYFS_POLICY_FINDING_H

#include "policy/policy.h"

int finding_ok (struct finding_of_rule *f);
int finding_na (struct finding_of_rule *f, const char *why);
int finding_unknown (struct finding_of_rule *f, const char *why);
/* Sentences: why, and what to do. */
int finding_fail (struct finding_of_rule *f, const char *fmt, ...)
    printf_like (2, 3);

/* For a fact that says yes, no or nothing: the value WANTED is ok.  Returns
 * 1 when the fact says otherwise and the caller is to explain. */
int finding_by_fact (struct finding_of_rule *f, const struct fact *fact,
                     const char *wanted);

#endif
