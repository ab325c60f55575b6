/* xrayfs: fuzz target: a registry hive and its transaction logs
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input is a header of 12 bytes (flags, length of the hive, length of the
 * first log), the hive, and two logs.  Bit 0 of the flags: the checksums and
 * the logs' hashes are made right first, so that what they guard is reached.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/registry_priv.h"

#define MAX_KEYS   2000 /* visited; subkeys may be their own parents */
#define MAX_DEPTH  40
#define MAKE_RIGHT 1u

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

struct bytes {
  uint8_t *data;
  size_t size;
};

static int
bytes_pread (void *arg, void *buf, size_t len, uint64_t off, struct err *e)
{
  struct bytes *b = arg;

  if (!range_within (off, len, b->size))
    abort (); /* it is asked for nothing beyond the size */
  memcpy (buf, b->data + off, len);
  (void) e;
  return 0;
}

static void
store_le32 (uint8_t *p, uint32_t v)
{
  v = htole32 (v);
  memcpy (p, &v, sizeof v);
}

static void
store_le64 (uint8_t *p, uint64_t v)
{
  v = htole64 (v);
  memcpy (p, &v, sizeof v);
}

static void
make_right (struct bytes *b)
{
  uint32_t size;

  if (b->size < HIVE_SECTOR)
    return;
  store_le32 (b->data + 508, hive_checksum (b->data));
  for (size_t off = HIVE_SECTOR; off + HIVE_SECTOR <= b->size; off += size) {
    uint8_t *p = b->data + off;
    size = load_le32 (p + 4);
    if (memcmp (p, "HvLE", 4) || size < HIVE_SECTOR || size % 4 ||
        !range_within (off, size, b->size))
      return;
    store_le64 (p + 24, hive_hash (p + 40, size - 40));
    store_le64 (p + 32, hive_hash (p, 32));
  }
}

struct walk {
  struct hive *h;
  unsigned keys, depth;
};

static int
visit_value (void *arg unused_arg, const char *name, size_t len,
             const struct hive_value *v, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  if (name[len] != '\0')
    abort ();
  if (hive_value_text (v, &text, e) == -1)
    err_clear (e);
  return 0;
}

static int
visit_key (void *arg, const char *name, size_t len, hive_key key,
           struct err *e)
{
  struct walk *w = arg;
  struct err mine = { 0 };

  if (name[len] != '\0')
    abort ();
  (void) e;
  if (w->keys++ >= MAX_KEYS || w->depth >= MAX_DEPTH)
    return 1;
  w->depth++;
  if (hive_each_value (w->h, key, visit_value, w, &mine) == -1)
    err_clear (&mine);
  if (hive_each_key (w->h, key, visit_key, w, &mine) == -1)
    err_clear (&mine);
  w->depth--;
  return 0;
}

static void
ask (struct hive *h)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct walk w = { .h = h };
  struct err e = { 0 };
  uint64_t number;
  hive_key key;

  visit_key (&w, "", 0, hive_root (h), &e);
  if (hive_find (h, hive_root (h), "A\\New", &key, &e) == 0 &&
      hive_text (h, key, "Text", &text, &e) == 0 &&
      hive_number (h, key, "One", &number, &e) == 0)
    return;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct bytes parts[3] = { 0 };
  struct hive_file files[3];
  CLEANUP_HIVE struct hive *h = NULL;
  struct err e = { 0 };
  uint8_t *copy;

  if (size < 12)
    return 0;
  copy = malloc (size);
  if (!copy)
    return 0;
  memcpy (copy, data, size);
  parts[0].size = MIN (load_le32 (data + 4), size - 12);
  parts[1].size = MIN (load_le32 (data + 8), size - 12 - parts[0].size);
  parts[2].size = size - 12 - parts[0].size - parts[1].size;
  for (size_t i = 0, at = 12; i < 3; at += parts[i++].size) {
    parts[i].data = copy + at;
    if (load_le32 (data) & MAKE_RIGHT)
      make_right (&parts[i]);
    files[i] = (struct hive_file){ parts[i].size, bytes_pread, &parts[i] };
  }
  if (hive_open (&files[0], files + 1, 2, &h, &e) == 0)
    ask (h);
  hive_close (h);
  h = NULL;
  free (copy);
  return 0;
}
