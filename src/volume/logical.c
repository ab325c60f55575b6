/* xrayfs: what is common to logical volumes and arrays
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "volume/logical.h"

#include <stdarg.h>
#include <string.h>

static void
logical_free (struct logical *l)
{
  if (!l)
    return;
  free (l->name);
  free (l->vg);
  free (l->lv);
  free (l->array);
  buf_free (&l->segments);
  block_close (l->block);
  free (l);
}

struct logical *
logical_add (struct logical_set *set, struct err *e)
{
  struct logical *l;

  if (set->volumes.len >= LOGICAL_MAX) {
    err_set (e, EFBIG, "more than %d logical volumes", LOGICAL_MAX);
    return NULL;
  }
  l = calloc (1, sizeof *l);
  if (l && logical_vec_push (&set->volumes, l) == 0)
    return l;
  free (l);
  err_set (e, ENOMEM, "out of memory");
  return NULL;
}

void
logical_cut (struct logical_set *set, size_t n)
{
  while (set->volumes.len > n)
    logical_free (set->volumes.items[--set->volumes.len]);
}

bool
logical_has (const struct logical_set *set, const char *name)
{
  for (size_t i = 0; i < set->volumes.len; i++)
    if (set->volumes.items[i]->name &&
        !strcmp (set->volumes.items[i]->name, name))
      return true;
  return false;
}

int
logical_hide (struct logical_set *set, struct block *b, struct err *e)
{
  struct block **all;

  if (set->n_hidden == set->hidden_cap) {
    size_t cap = set->hidden_cap ? set->hidden_cap * 2 : 64;
    all = reallocarray (set->hidden, cap, sizeof (*all));
    if (!all) {
      block_close (b);
      return err_set (e, ENOMEM, "out of memory");
    }
    set->hidden = all;
    set->hidden_cap = cap;
  }
  set->hidden[set->n_hidden++] = b;
  return 0;
}

const char *
logical_text (struct logical_set *set, struct err *e, const char *fmt, ...)
{
  CLEANUP_FREE char *text = NULL;
  va_list args;

  va_start (args, fmt);
  if (vasprintf (&text, fmt, args) == -1)
    text = NULL;
  va_end (args);
  if (text && logical_text_vec_push (&set->texts, text) == 0)
    return steal_ptr (&text);
  err_set (e, ENOMEM, "out of memory");
  return NULL;
}

void
logical_set_free (struct logical_set *set)
{
  logical_cut (set, 0);
  free (set->volumes.items);
  /* Those above come behind those below. */
  for (size_t i = set->n_hidden; i > 0; i--)
    block_close (set->hidden[i - 1]);
  free (set->hidden);
  for (size_t i = 0; i < set->texts.len; i++)
    free (set->texts.items[i]);
  free (set->texts.items);
  buf_free (&set->notes);
  *set = (struct logical_set){ 0 };
}

void
member_free (struct member *m)
{
  buf_free (&m->features);
  *m = (struct member){ 0 };
}
