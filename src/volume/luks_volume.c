/* xrayfs: LUKS on a partition: what it says without a key
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Version 1: format/luks.h.  Version 2: LUKS2 On-Disk Format Specification
 * 1.1: a binary header of 4 KiB, and behind it JSON (section 3).  The
 * checksum over both is not looked at: no hash is at hand, and nothing but
 * names comes from them.  Where the first header is no good there is a second
 * one.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "base/bytes.h"
#include "format/luks.h"
#include "volume/volume.h"

#define BINARY_SIZE UINT64_C (4096)
#define MIN_SIZE    (16 * KiB) /* section 2.2, with the JSON */
#define MAX_SIZE    (4 * MiB)
#define MAX_WORD    64

/* Of a text from the image: words are told by blanks, and have an end. */
static void
add_word (struct buf *out, const char *before, const char *word)
{
  buf_printf (out, "%s%s", out->len ? " " : "", before);
  for (size_t i = 0; word && word[i] && i < MAX_WORD; i++)
    buf_add_line_text (out, word[i] == ' ' ? "_" : &word[i], 1);
}

static void
add_number (struct buf *out, const char *before, uint64_t number,
            const char *behind)
{
  buf_printf (out, "%s%s%" PRIu64 "%s", out->len ? " " : "", before, number,
              behind);
}

static void
say_hidden (struct container_info *ret, int version, const char *cipher,
            uint64_t bits)
{
  CLEANUP_BUF struct buf clean = { 0 };

  buf_add_line_text (&clean, cipher, strnlen (cipher, 60));
  snprintf (ret->hidden, sizeof ret->hidden,
            "encrypted with LUKS%d (%s, %" PRIu64 "-bit key)", version,
            buf_str (&clean), bits);
}

/* --- version 1 ------------------------------------------------------- */

static int
info1 (struct block *b, const unsigned char *h, struct container_info *ret,
       struct err *e)
{
  struct luks_header l = { 0 };
  char cipher[80];

  if (luks_header_load (&l, h, e) == -1)
    return -1;
  snprintf (cipher, sizeof cipher, "%s-%s", l.cipher, l.mode);
  ret->size = l.payload < b->size ? b->size - l.payload : 0;
  add_word (&ret->features, "", cipher);
  add_number (&ret->features, "", l.key_bytes * UINT64_C (8), "-bit");
  add_word (&ret->features, "", l.hash);
  add_number (&ret->features, "keyslots=", luks_active_slots (&l), "");
  snprintf (ret->state, sizeof ret->state, "clean");
  say_hidden (ret, 1, cipher, l.key_bytes * UINT64_C (8));
  return 0;
}

/* --- version 2 ------------------------------------------------------- */

static void
cleanup_json (json_object **o)
{
  json_object_put (*o);
}
#define CLEANUP_JSON __attribute__ ((cleanup (cleanup_json)))

/* The JSON behind the binary header at OFF.  NULL: E is set. */
static json_object *
read_json (struct block *b, uint64_t off, struct err *e)
{
  CLEANUP_FREE char *text = NULL;
  unsigned char h[BINARY_SIZE];
  json_object *o;
  uint64_t size;

  if (!range_within (off, sizeof h, b->size)) {
    err_set (e, EINVAL, "the LUKS2 header is cut off");
    return NULL;
  }
  if (block_pread (b, h, sizeof h, off, e) == -1)
    return NULL;
  size = load_be64 (h + 8);
  if (memcmp (h, off ? "SKUL\xba\xbe\0\2" : "LUKS\xba\xbe\0\2", 8) ||
      load_be64 (h + 256) != off || size < MIN_SIZE || size > MAX_SIZE ||
      !range_within (off, size, b->size)) {
    err_set (e, EINVAL, "the LUKS2 header is damaged");
    return NULL;
  }
  text = malloc (size - BINARY_SIZE + 1);
  if (!text) {
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  if (block_pread (b, text, size - BINARY_SIZE, off + BINARY_SIZE, e) == -1)
    return NULL;
  text[size - BINARY_SIZE] = '\0';
  o = json_tokener_parse (text);
  if (!o)
    err_set (e, EINVAL, "the JSON of the LUKS2 header is damaged");
  return o;
}

/* Section 2.1: a second header lies at one of these. */
static json_object *
find_json (struct block *b, struct err *e)
{
  json_object *o = read_json (b, 0, e);

  for (uint64_t off = MIN_SIZE; !o && off <= MAX_SIZE; off *= 2) {
    struct err again = { 0 };
    if (err_is_transient (e) || e->code == EIO)
      return NULL;
    o = read_json (b, off, &again);
    if (o)
      err_clear (e);
    else if (again.code == EIO || err_is_transient (&again))
      *e = again;
  }
  return o;
}

static json_object *
member_of (json_object *o, const char *key)
{
  json_object *v = NULL;

  if (o && json_object_is_type (o, json_type_object))
    json_object_object_get_ex (o, key, &v);
  return v;
}

static const char *
text_of (json_object *o, const char *key)
{
  json_object *v = member_of (o, key);

  return json_object_is_type (v, json_type_string)
             ? json_object_get_string (v)
             : NULL;
}

/* Numbers of 64 bits are texts, section 3.1. */
static uint64_t
number_of (json_object *o, const char *key)
{
  const char *text = text_of (o, key);
  json_object *v = member_of (o, key);

  if (text && *text >= '0' && *text <= '9')
    return strtoull (text, NULL, 10);
  return json_object_is_type (v, json_type_int) ? json_object_get_uint64 (v)
                                                : UINT64_MAX;
}

static json_object *
first_of (json_object *o)
{
  json_object *v = NULL;

  if (json_object_is_type (o, json_type_object)) {
    json_object_object_foreach (o, key, value)
    {
      (void) key;
      v = value;
      break;
    }
  }
  return v;
}

/* Section 3.7: what a reader must know, such as an encryption under way. */
static void
add_requirements (struct container_info *ret, json_object *top)
{
  json_object *list = member_of (
      member_of (member_of (top, "config"), "requirements"), "mandatory");
  size_t n = json_object_is_type (list, json_type_array)
                 ? json_object_array_length (list)
                 : 0;

  for (size_t i = 0; i < MIN (n, 8); i++) {
    json_object *v = json_object_array_get_idx (list, i);
    if (json_object_is_type (v, json_type_string))
      add_word (&ret->features, "requires=", json_object_get_string (v));
  }
  snprintf (ret->state, sizeof ret->state, n ? "dirty" : "clean");
}

static int
info2 (struct block *b, struct container_info *ret, struct err *e)
{
  CLEANUP_JSON json_object *top = find_json (b, e);
  json_object *segment = first_of (member_of (top, "segments"));
  json_object *slots = member_of (top, "keyslots");
  json_object *slot = first_of (slots);
  const char *cipher = text_of (segment, "encryption");
  uint64_t off = number_of (segment, "offset");
  uint64_t size = number_of (segment, "size");
  uint64_t bytes = number_of (slot, "key_size");

  if (!top)
    return -1;
  cipher = cipher ? cipher : "cipher not known";
  bytes = bytes == UINT64_MAX ? 0 : bytes;
  if (size != UINT64_MAX)
    ret->size = size;
  else if (off < b->size)
    ret->size = b->size - off;
  add_word (&ret->features, "", cipher);
  add_number (&ret->features, "", bytes * 8, "-bit");
  add_word (&ret->features, "", text_of (member_of (slot, "af"), "hash"));
  add_word (&ret->features,
            "kdf=", text_of (member_of (slot, "kdf"), "type"));
  add_number (&ret->features, "keyslots=",
              json_object_is_type (slots, json_type_object)
                  ? (uint64_t) json_object_object_length (slots)
                  : 0,
              "");
  if (number_of (segment, "sector_size") != UINT64_MAX)
    add_number (&ret->features, "sector=", number_of (segment, "sector_size"),
                "");
  add_requirements (ret, top);
  say_hidden (ret, 2, cipher, bytes * 8);
  return 0;
}

static int
luks_volume_info (struct block *b, struct container_info *ret, struct err *e)
{
  unsigned char h[LUKS_HEADER_SIZE];
  struct container_info c = { .size = UINT64_MAX };
  bool first;

  if (b->size < sizeof h)
    return err_set (e, EINVAL, "the LUKS header is cut off");
  if (block_pread (b, h, sizeof h, 0, e) == -1)
    return err_in (e, "LUKS");
  first = !memcmp (h, "LUKS\xba\xbe", 6) && load_be16 (h + 6) == 1;
  if ((first ? info1 (b, h, &c, e) : info2 (b, &c, e)) == -1) {
    container_info_free (&c);
    return -1;
  }
  *ret = c;
  return 0;
}

const struct container_ops luks_container = { "crypto_LUKS",
                                              luks_volume_info };
