/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "front/buffers.h"

void
buffers_init (struct buffers *bs)
{
  pthread_mutex_init (&bs->lock, NULL);
  bs->n = 0;
}

void
buffers_destroy (struct buffers *bs)
{
  while (bs->n > 0)
    free (bs->kept[--bs->n]);
  pthread_mutex_destroy (&bs->lock);
}

void *
buffers_get (struct buffers *bs, size_t len)
{
  void *buffer;

  if (len > BUFFER_BYTES)
    return malloc (len);
  pthread_mutex_lock (&bs->lock);
  buffer = bs->n > 0 ? bs->kept[--bs->n] : NULL;
  pthread_mutex_unlock (&bs->lock);
  return buffer ? buffer : malloc (BUFFER_BYTES);
}

void
buffers_put (struct buffers *bs, void *buffer, size_t len)
{
  if (buffer && len <= BUFFER_BYTES) {
    LOCK_SCOPE (&bs->lock);
    if (bs->n < BUFFERS_KEPT) {
      bs->kept[bs->n++] = buffer;
      return;
    }
  }
  free (buffer);
}
