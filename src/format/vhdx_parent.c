/* xrayfs: VHDX: the parent of a differencing image
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "format/vhdx.h"

#define LOCATOR_HEADER 20 /* 2.6.2.6.1 */
#define LOCATOR_ENTRY  12

/* --- text ------------------------------------------------------------ */

static void
add_utf8 (struct buf *out, uint32_t c)
{
  unsigned n = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
  char text[4];

  text[0] = (char) (first[n] | c >> 6 * n);
  for (unsigned i = 1; i <= n; i++)
    text[i] = (char) (0x80 | (c >> 6 * (n - i) & 0x3f));
  buf_add (out, text, n + 1);
}

/* The character at unit *I of N; half a surrogate pair is U+FFFD. */
static uint32_t
next_character (const unsigned char *text, size_t n, size_t *i)
{
  uint32_t c = load_le16 (text + 2 * (*i)++), low;

  if (c < 0xd800 || c > 0xdfff)
    return c;
  low = c < 0xdc00 && *i < n ? load_le16 (text + 2 * *i) : 0;
  if (low < 0xdc00 || low > 0xdfff)
    return 0xfffd;
  (*i)++;
  return 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
}

char *
vhdx_utf8 (const unsigned char *text, size_t n)
{
  struct buf out = { 0 };
  uint32_t c;

  buf_reserve (&out, 1); /* the empty string is one, too */
  for (size_t i = 0; i < n && (c = next_character (text, n, &i));)
    add_utf8 (&out, c);
  if (out.failed) {
    buf_free (&out);
    return NULL;
  }
  out.data[out.len] = '\0';
  return out.data;
}

/* "{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}", as it is stored. */
static bool
parse_id (const char *text, unsigned char *ret)
{
  static const unsigned char order[VHDX_ID_LENGTH] = { 3,  2,  1,  0, 5,  4,
                                                       7,  6,  8,  9, 10, 11,
                                                       12, 13, 14, 15 };
  unsigned byte;

  text += *text == '{';
  for (unsigned i = 0; i < VHDX_ID_LENGTH; i++) {
    text += *text == '-';
    if (strspn (text, "0123456789abcdefABCDEF") < 2 ||
        sscanf (text, "%2x", &byte) != 1)
      return false;
    ret[order[i]] = (unsigned char) byte;
    text += 2;
  }
  return true;
}

static bool
is_id (const char *text, const unsigned char *id)
{
  unsigned char parsed[VHDX_ID_LENGTH];

  return text && parse_id (text, parsed) &&
         !memcmp (parsed, id, VHDX_ID_LENGTH);
}

bool
vhdx_is_linked (const struct vhdx_locator *locator, const struct vhdx *v)
{
  return is_id (locator->linkage, v->header.data_write_id) ||
         is_id (locator->linkage2, v->header.data_write_id);
}

/* --- the locator (2.6.2.6) ------------------------------------------- */

static char **
value_of (struct vhdx_locator *l, const char *key)
{
  const struct {
    const char *key;
    char **value;
  } keys[] = {
    { "parent_linkage", &l->linkage },
    { "parent_linkage2", &l->linkage2 },
    { "relative_path", &l->relative_path },
    { "volume_path", &l->volume_path },
    { "absolute_win32_path", &l->absolute_path },
  };

  for (size_t i = 0; i < ARRAY_SIZE (keys); i++)
    if (!strcmp (key, keys[i].key))
      return keys[i].value;
  return NULL;
}

static int
parse_pair (struct vhdx_locator *l, const unsigned char *item, size_t len,
            const unsigned char *entry, struct err *e)
{
  uint32_t key_off = load_le32 (entry), value_off = load_le32 (entry + 4);
  uint16_t key_len = load_le16 (entry + 8),
           value_len = load_le16 (entry + 10);
  CLEANUP_FREE char *key = NULL, *value = NULL;
  char **to;

  if (!range_within (key_off, key_len, len) ||
      !range_within (value_off, value_len, len))
    return err_set (e, EINVAL, "lies outside of the locator");
  key = vhdx_utf8 (item + key_off, key_len / 2);
  value = vhdx_utf8 (item + value_off, value_len / 2);
  if (!key || !value)
    return err_set (e, ENOMEM, "out of memory");
  to = value_of (l, key);
  if (to && *to)
    return err_set (e, EINVAL, "'%s' is there twice", key);
  if (to)
    *to = steal_ptr (&value);
  return 0;
}

static int
parse_locator (struct vhdx_locator *l, const unsigned char *item, size_t len,
               struct err *e)
{
  static const unsigned char vhdx_type[] = {
    /* B04AEFB7-D19E-4A81-B789-25B8E9445913 */
    0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
    0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13
  };
  uint16_t n = load_le16 (item + 18);

  if (memcmp (item, vhdx_type, sizeof vhdx_type))
    return err_set (e, ENOTSUP, "its type is not known");
  if (n > (len - LOCATOR_HEADER) / LOCATOR_ENTRY)
    return err_set (e, EINVAL, "%u entries do not fit", n);
  for (unsigned i = 0; i < n; i++)
    if (parse_pair (l, item, len, item + LOCATOR_HEADER + i * LOCATOR_ENTRY,
                    e) == -1)
      return err_in (e, "entry %u", i);
  return 0;
}

static int
read_locator (struct vhdx *v, struct err *e)
{
  const struct vhdx_range *r = &v->items[VHDX_PARENT_LOCATOR];
  CLEANUP_FREE unsigned char *item = NULL;

  if (!r->length)
    return err_set (e, EINVAL, "is not there");
  item = malloc (r->length); /* 20 bytes to 1 MiB */
  if (!item)
    return err_set (e, ENOMEM, "out of memory");
  if (block_pread (v->file, item, r->length, r->offset, e) == -1)
    return -1;
  return parse_locator (&v->locator, item, r->length, e);
}

/* --- finding it ------------------------------------------------------ */

/* The file that NAME, of Windows, has beside the image, or NULL. */
static const char *
last_part (const char *name)
{
  const char *slash = name ? strrchr (name, '\\') : NULL;

  return slash && slash[1] ? slash + 1 : NULL;
}

/* Does NAME lie beside the image, and is it the parent?  Only then is it
 * taken, since it is not where the locator says.  *RET stays NULL if not. */
static int
try_beside (struct block *b, const char *name, struct block **ret,
            struct err *e)
{
  const struct vhdx *v = b->priv;
  CLEANUP_BLOCK struct block *found = NULL;
  struct err why = { 0 };

  if (!name)
    return 0;
  if (block_reference_open (b, name, "vhdx", &found, &why) == -1) {
    if (!err_is_transient (&why) && !b->env->read_failed)
      return 0;
    *e = why;
    return -1;
  }
  if (vhdx_is_linked (&v->locator, found->priv))
    *ret = steal_ptr (&found);
  return 0;
}

/* The drives and volumes of Windows are not here; images that were moved
 * together are. */
static int
look_beside (struct block *b, struct block **ret, struct err *e)
{
  const struct vhdx_locator *l = &((struct vhdx *) b->priv)->locator;
  const char *names[] = { last_part (l->relative_path),
                          last_part (l->volume_path),
                          last_part (l->absolute_path) };

  for (size_t i = 0; !*ret && i < ARRAY_SIZE (names); i++)
    if (try_beside (b, names[i], ret, e) == -1)
      return -1;
  return 0;
}

/* As the image has it, and as it is written here. */
static int
name_parent (struct vhdx *v, char **ret_path, struct err *e)
{
  const struct vhdx_locator *l = &v->locator;
  const char *name = l->relative_path   ? l->relative_path
                     : l->absolute_path ? l->absolute_path
                     : l->volume_path   ? l->volume_path
                                        : "";

  v->parent_name = strdup (name);
  *ret_path = strdup (name);
  if (!v->parent_name || !*ret_path)
    return err_set (e, ENOMEM, "out of memory");
  for (char *p = *ret_path; *p; p++)
    if (*p == '\\')
      *p = '/';
  return 0;
}

int
vhdx_open_parent (struct block *b, struct err *e)
{
  struct vhdx *v = b->priv;
  CLEANUP_FREE char *path = NULL;
  struct block *beside = NULL;

  if (read_locator (v, e) == -1)
    return err_in (e, "parent locator");
  if (name_parent (v, &path, e) == -1)
    return -1;
  if (block_reference_or_missing (b, path, "vhdx", v->size, &v->parent, e) ==
      -1)
    return err_in (e, "parent '%s'", v->parent_name);
  if (!block_missing_reason (v->parent))
    return 0;
  if (look_beside (b, &beside, e) == -1)
    return err_in (e, "parent '%s'", v->parent_name);
  if (beside) {
    block_close (v->parent);
    v->parent = beside;
  }
  return 0;
}
