/* xrayfs: the text that LVM2 keeps its metadata in
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   name { key = value ... section { ... } }
 *
 * Values are numbers, "strings" (with \" and \\) and [lists] of them; '#'
 * starts a comment.  lvm.conf(5) describes the same grammar.
 */
#ifndef XRAYFS_VOLUME_LVM2_TEXT_H
#define XRAYFS_VOLUME_LVM2_TEXT_H

#include <stdint.h>

#include "base/buf.h"

enum text_kind { TEXT_SECTION, TEXT_LIST, TEXT_STRING, TEXT_NUMBER };

struct text_node {
  enum text_kind kind;
  const char *key;    /* of an element of a list: NULL */
  const char *string; /* TEXT_STRING */
  uint64_t number;    /* TEXT_NUMBER */
  uint32_t child;     /* first one of a section or a list; 0: none */
  uint32_t next;      /* 0: none */
};

struct lvm2_text;

/* Parses TEXT, which is taken over, also on failure.
 * Errors: EINVAL with the line; EFBIG for more than this reads. */
int lvm2_text_parse (struct buf *text, struct lvm2_text **ret,
                     struct err *e) must_check nonnull (1, 2, 3);
void lvm2_text_free (struct lvm2_text *t); /* NULL is fine */

/* The section that all others lie in: that of the file. */
const struct text_node *text_top (const struct lvm2_text *t);

/* Walks the children of a section or a list; NULL: no more. */
const struct text_node *text_first (const struct lvm2_text *t,
                                    const struct text_node *of);
const struct text_node *text_next (const struct lvm2_text *t,
                                   const struct text_node *n);

/* The child KEY of SECTION if it is of KIND, or NULL.  Cost: the number of
 * the section's children. */
const struct text_node *text_find (const struct lvm2_text *t,
                                   const struct text_node *section,
                                   const char *key, enum text_kind kind);

/* Errors: EINVAL if it is not there, or not of that kind. */
int text_number (const struct lvm2_text *t, const struct text_node *section,
                 const char *key, uint64_t *ret, struct err *e) must_check;
int text_string (const struct lvm2_text *t, const struct text_node *section,
                 const char *key, const char **ret, struct err *e) must_check;

/* Does the list KEY of SECTION hold the string WORD? */
bool text_has_word (const struct lvm2_text *t,
                    const struct text_node *section, const char *key,
                    const char *word);

#endif
