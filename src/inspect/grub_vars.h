/* xrayfs: GRUB's variables, and the conditions on them
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The GRUB manual, "Shell-like scripting" and "Special environment
 * variables".  A variable that nobody set is empty.  What the firmware, a
 * search for devices or an unknown command sets is not known.
 */
#ifndef XRAYFS_INSPECT_GRUB_VARS_H
#define XRAYFS_INSPECT_GRUB_VARS_H

#include "base/buf.h"
#include "base/vec.h"

enum truth { NO, YES, MAYBE };

static inline enum truth
truth_and (enum truth a, enum truth b)
{
  return a == NO || b == NO ? NO : a == MAYBE || b == MAYBE ? MAYBE : YES;
}

static inline enum truth
truth_not (enum truth t)
{
  return t == MAYBE ? MAYBE : t == NO;
}

/* How files are read that a configuration names by a path of GRUB's: "/x" on
 * the filesystem that is its root, "(config)/x" beside the configuration, or
 * "(config)FIRST+NUMBER": sectors of the device that it lies on.
 * Returns 1: read into RET; 0: it is not there; 2: that cannot be told; -1: a
 * failure that may pass. */
struct grub_files {
  int (*read) (void *arg, const char *path, struct buf *ret, struct err *e);
  void *arg;
};

/* In words: a '$' that was quoted. */
#define GRUB_DOLLAR '\1'

struct grub_var {
  char *name, *value; /* value NULL: not known */
  bool local;         /* set by an entry or a function, too */
  bool asked;         /* by a condition in an entry, which runs later */
};
DEFINE_VEC (grub_var_vec, struct grub_var)

struct grub_vars {
  const char *env;                /* the environment block, or NULL */
  const struct grub_files *files; /* or NULL */
  struct grub_var_vec items;
  bool lost;      /* some may be set that are not among the items */
  bool late;      /* one was set anew after an entry asked for it */
  unsigned looks; /* files that were looked at */
  struct err err; /* code != 0: why a condition could not be looked at now */
};
void grub_vars_free (struct grub_vars *v);

/* With WHEN not YES it may be set or not.  VALUE NULL: to something.  What
 * cannot be kept is not known any more. */
void grub_set (struct grub_vars *v, const char *name, const char *value,
               enum truth when);
/* An entry or a function sets it: not known inside of entries. */
void grub_set_local (struct grub_vars *v, const char *name);
/* load_env [-f FILE] [NAME]...: what an environment block has; the N words
 * behind the command. */
void grub_load_env (struct grub_vars *v, char **words, size_t n,
                    enum truth when);

/* *RET, to be freed: WORD with its variables ($x, ${x}) expanded, as seen by
 * an entry if IN_ENTRY.  false: one of them is not known. */
bool grub_expand (struct grub_vars *v, const char *word, bool in_entry,
                  char **ret);

/* The words behind `if`: "[ -f x ]", "test", "!", -a, -o. */
enum truth grub_condition (struct grub_vars *v, char **words, size_t n,
                           bool in_entry);

#endif
