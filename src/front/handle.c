/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/handle.h"

#include <string.h>

void
handles_init (struct handles *hs)
{
  pthread_mutex_init (&hs->lock, NULL);
  hs->all = NULL;
}

void
handles_destroy (struct handles *hs)
{
  while (hs->all) {
    hs->all->holders = 1; /* no answer is under way any more */
    handle_free (hs, hs->all);
  }
  pthread_mutex_destroy (&hs->lock);
}

struct handle *
handle_new (struct handles *hs, node_id id, struct err *e)
{
  struct handle *h = calloc (1, sizeof *h);

  if (!h) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  h->id = id;
  h->holders = 1;
  LOCK_SCOPE (&hs->lock);
  h->next = hs->all;
  h->prev = &hs->all;
  if (h->next)
    h->next->prev = &h->next;
  hs->all = h;
  return h;
}

void
handle_hold (struct handle *h)
{
  h->holders++;
}

void
handle_free (struct handles *hs, struct handle *h)
{
  if (!h || --h->holders > 0)
    return;
  pthread_mutex_lock (&hs->lock);
  *h->prev = h->next;
  if (h->next)
    h->next->prev = h->prev;
  pthread_mutex_unlock (&hs->lock);
  stream_close (h->stream);
  buf_free (&h->text);
  buf_free (&h->names);
  free (h->entries.items);
  free (h);
}

int
handle_read_finding (struct handle *h, struct tree *t, struct err *e)
{
  h->text_only = true;
  return tree_read_finding (t, h->id, &h->text, e);
}

static int
add_entry (void *arg, const char *name, size_t len, node_id id, unsigned type)
{
  struct handle *h = arg;
  size_t at = h->names.len;

  buf_add (&h->names, name, len);
  buf_add (&h->names, "", 1);
  if (entry_vec_push (&h->entries, (struct entry){ at, id, type }) == -1)
    h->names.failed = true;
  return h->names.failed;
}

int
handle_read_directory (struct handle *h, struct tree *t, struct err *e)
{
  if (tree_readdir (t, h->id, add_entry, h, e) == -1)
    return -1;
  return buf_check (&h->names, e);
}

struct stream *
handle_bytes (struct handle *h, struct tree *t, struct prefetch *p,
              struct err *e)
{
  struct stream_source source = tree_stream (t, h->id);
  struct stream *s = h->stream, *other = NULL;
  struct node_attr a;

  if (s || tree_peek (t, h->id, &a, e) == -1)
    return s;
  s = stream_open (p, &source, a.size, e);
  if (s && !atomic_compare_exchange_strong (&h->stream, &other, s)) {
    stream_close (s);
    s = other;
  }
  return s;
}
