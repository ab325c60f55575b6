/* xrayfs: the keys and values of a hive
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything is an offset to a cell.  A list that cannot be read to its end,
 * or does not have as many entries as its key counts, is an error: what is
 * not found in it may be in the part that is lost.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf16.h"
#include "inspect/registry_priv.h"

/* Section "Key node", "Flags". */
#define KEY_SYM_LINK      0x0010
#define KEY_COMP_NAME     0x0020
#define KEY_PREDEF_HANDLE 0x0040
#define VALUE_COMP_NAME   0x0001

#define NK_SIZE 76u
#define VK_SIZE 20u
/* A cell of a key takes at least so much. */
#define NK_CELL 80u
/* The largest keys seen have some 20,000 subkeys and some 1,000 values; a
 * hostile one lets each entry be the same, and its name 64 KiB long. */
#define MAX_SUBKEYS (1u << 18)
#define MAX_VALUES  (1u << 16)
/* --- cells ----------------------------------------------------------- */

struct cell {
  uint64_t off; /* of its data */
  uint32_t len;
};

/* Section "Cell": a negative size is one that is in use. */
static int
find_cell (struct hive *h, uint32_t off, struct cell *ret, struct err *e)
{
  unsigned char p[4];
  int32_t size;

  if (off % 8)
    return err_set (e, EIO, "cell at 0x%" PRIx32 " is not aligned", off);
  if (hive_read (h, off, p, sizeof p, e) == -1)
    return err_in (e, "cell at 0x%" PRIx32, off);
  size = (int32_t) load_le32 (p);
  if (size >= 0)
    return err_set (e, EIO, "cell at 0x%" PRIx32 " is not in use", off);
  if (size > -8 || size == INT32_MIN ||
      !range_within (off, (uint32_t) -size, h->bins_size))
    return err_set (e, EIO,
                    "cell at 0x%" PRIx32 " has a size of %" PRId32 " bytes",
                    off, size);
  *ret = (struct cell){ (uint64_t) off + 4, (uint32_t) -size - 4 };
  return 0;
}

static int
cell_read (struct hive *h, const struct cell *c, uint32_t at, void *buf,
           size_t len, struct err *e)
{
  if (!range_within (at, len, c->len))
    return err_set (e, EIO, "cell at 0x%" PRIx64 " is too short", c->off - 4);
  return hive_read (h, c->off + at, buf, len, e);
}

static int
cell_le32 (struct hive *h, const struct cell *c, uint32_t at, uint32_t *ret,
           struct err *e)
{
  unsigned char p[4];

  if (cell_read (h, c, at, p, sizeof p, e) == -1)
    return -1;
  *ret = load_le32 (p);
  return 0;
}

/* --- text ------------------------------------------------------------ */

/* A name of either kind, as UTF-8; all of it, NULs too.  What is stored as
 * "extended ASCII" are the codes below 256. */
static void
add_name (struct buf *out, const unsigned char *p, size_t len, bool compact)
{
  unsigned char wide[2] = { 0, 0 };
  size_t n;

  if (compact) {
    for (size_t i = 0; i < len; i++) {
      wide[0] = p[i];
      if (p[i])
        utf16_add (out, wide, 2, false);
      else
        buf_add (out, "", 1);
    }
    return;
  }
  for (; len >= 2; p += n, len -= n) {
    utf16_add (out, p, len, false); /* up to a NUL */
    for (n = 0; n + 2 <= len && load_le16 (p + n); n += 2)
      ;
    if (n + 2 <= len) {
      buf_add (out, "", 1);
      n += 2;
    }
    if (n == 0)
      break;
  }
}

static int
read_name (struct hive *h, const struct cell *c, uint32_t at, uint32_t len,
           bool compact, struct buf *ret, struct err *e)
{
  CLEANUP_FREE unsigned char *p = malloc (len + 1); /* 16 bits */

  if (!p)
    return err_set (e, ENOMEM, "out of memory");
  if (cell_read (h, c, at, p, len, e) == -1)
    return -1;
  buf_reset (ret);
  add_name (ret, p, len, compact);
  return buf_check (ret, e);
}

static bool
same_name (const char *a, size_t a_len, const char *b, size_t b_len)
{
  if (a_len != b_len)
    return false;
  for (size_t i = 0; i < a_len; i++)
    if (tolower ((unsigned char) a[i]) != tolower ((unsigned char) b[i]))
      return false;
  return true;
}

/* --- keys ------------------------------------------------------------ */

struct nk {
  struct cell cell;
  uint16_t flags, name_len;
  uint32_t n_subkeys, subkeys, n_values, values;
};

static int
read_nk (struct hive *h, hive_key key, struct nk *ret, struct err *e)
{
  unsigned char p[NK_SIZE];

  if (find_cell (h, key, &ret->cell, e) == -1 ||
      cell_read (h, &ret->cell, 0, p, sizeof p, e) == -1)
    return err_in (e, "key");
  if (memcmp (p, "nk", 2))
    return err_set (e, EIO, "the cell at 0x%" PRIx32 " is not a key", key);
  ret->flags = load_le16 (p + 2);
  ret->n_subkeys = load_le32 (p + 20);
  ret->subkeys = load_le32 (p + 28);
  ret->n_values = load_le32 (p + 36);
  ret->values = load_le32 (p + 40);
  ret->name_len = load_le16 (p + 72);
  /* No list can have more entries than there is room for their cells. */
  if (ret->n_subkeys > h->bins_size / NK_CELL)
    return err_set (e, EIO,
                    "the key at 0x%" PRIx32 " counts %" PRIu32 " subkeys",
                    key, ret->n_subkeys);
  if (ret->n_subkeys > MAX_SUBKEYS)
    return err_set (e, EFBIG,
                    "the key at 0x%" PRIx32 " has %" PRIu32 " subkeys", key,
                    ret->n_subkeys);
  return 0;
}

struct subkeys {
  struct hive *h;
  hive_key_fn fn;
  void *arg;
  uint32_t seen, counted;
  struct buf name;
};

static void
cleanup_subkeys (struct subkeys *s)
{
  buf_free (&s->name);
}

static int
visit_subkey (struct subkeys *s, uint32_t off, struct err *e)
{
  struct nk nk;

  if (s->seen++ >= s->counted)
    return err_set (e, EIO, "more subkeys are listed than the key counts");
  if (read_nk (s->h, off, &nk, e) == -1 ||
      read_name (s->h, &nk.cell, NK_SIZE, nk.name_len,
                 nk.flags & KEY_COMP_NAME, &s->name, e) == -1)
    return -1;
  return s->fn (s->arg, buf_str (&s->name), s->name.len, off, e);
}

/* Sections "Index leaf", "Fast leaf", "Hash leaf", "Index root".  The hints
 * and hashes are not used: what they say could hide a key. */
static int
visit_list (struct subkeys *s, uint32_t off, bool is_root, struct err *e)
{
  unsigned char head[4];
  struct cell c;
  uint32_t n, step, element;
  int r = 0;

  if (find_cell (s->h, off, &c, e) == -1 ||
      cell_read (s->h, &c, 0, head, sizeof head, e) == -1)
    return err_in (e, "list of subkeys");
  n = load_le16 (head + 2);
  if (!memcmp (head, "lf", 2) || !memcmp (head, "lh", 2))
    step = 8;
  else if (!memcmp (head, "li", 2) || (!memcmp (head, "ri", 2) && is_root))
    step = 4;
  else
    return err_set (
        e, EIO, "the cell at 0x%" PRIx32 " is not a list of subkeys", off);
  for (uint32_t i = 0; i < n && r == 0; i++) {
    if (cell_le32 (s->h, &c, 4 + i * step, &element, e) == -1)
      return err_in (e, "list of subkeys");
    r = head[0] == 'r' ? visit_list (s, element, false, e)
                       : visit_subkey (s, element, e);
  }
  return r;
}

int
hive_each_key (struct hive *h, hive_key key, hive_key_fn fn, void *arg,
               struct err *e)
{
  __attribute__ ((cleanup (
      cleanup_subkeys))) struct subkeys s = { h, fn, arg, 0, 0, { 0 } };
  struct nk nk;
  int r;

  if (read_nk (h, key, &nk, e) == -1)
    return -1;
  s.counted = nk.n_subkeys;
  if (nk.n_subkeys == 0)
    return 0;
  r = visit_list (&s, nk.subkeys, true, e);
  if (r == 0 && s.seen != s.counted)
    return err_set (e, EIO,
                    "the key at 0x%" PRIx32 " counts %" PRIu32
                    " subkeys and lists %" PRIu32,
                    key, s.counted, s.seen);
  return r;
}

struct wanted {
  const char *name;
  size_t len;
  hive_key found;
};

static int
is_wanted_key (void *arg, const char *name, size_t len, hive_key key,
               struct err *e unused_arg)
{
  struct wanted *w = arg;

  if (!same_name (name, len, w->name, w->len))
    return 0;
  w->found = key;
  return 1;
}

/* A link leads to where this hive does not reach. */
static int
check_no_link (struct hive *h, hive_key key, struct err *e)
{
  struct nk nk;

  if (read_nk (h, key, &nk, e) == -1)
    return -1;
  return nk.flags & KEY_SYM_LINK
             ? err_set (e, ENOTSUP, "the key is a symbolic link")
             : 0;
}

int
hive_find (struct hive *h, hive_key key, const char *path, hive_key *ret,
           struct err *e)
{
  struct wanted w;
  int r;

  for (; *path; path += w.len + (path[w.len] == '\\')) {
    w = (struct wanted){ path, strcspn (path, "\\"), 0 };
    if (check_no_link (h, key, e) == -1)
      return -1;
    r = hive_each_key (h, key, is_wanted_key, &w, e);
    if (r == -1)
      return err_in (e, "looking for '%.*s'", (int) w.len, path);
    if (r == 0)
      return err_set (e, ENOENT, "there is no key '%.*s'", (int) w.len, path);
    key = w.found;
  }
  *ret = key;
  return 0;
}

/* --- values ---------------------------------------------------------- */

void
hive_value_free (struct hive_value *v)
{
  buf_free (&v->data);
}

/* Where a value's data are: sections "Key value" and "Big data". */
struct vk {
  struct cell cell;
  uint16_t name_len, flags;
  uint32_t size, type, data;
};

#define DATA_IN_OFFSET 0x80000000u
#define BIG_DATA       16344u /* what is longer is cut into such segments */

static int
read_vk (struct hive *h, uint32_t off, struct vk *ret, struct err *e)
{
  unsigned char p[VK_SIZE];

  if (find_cell (h, off, &ret->cell, e) == -1 ||
      cell_read (h, &ret->cell, 0, p, sizeof p, e) == -1)
    return err_in (e, "value");
  if (memcmp (p, "vk", 2))
    return err_set (e, EIO, "the cell at 0x%" PRIx32 " is not a value", off);
  ret->name_len = load_le16 (p + 2);
  ret->size = load_le32 (p + 4);
  ret->data = load_le32 (p + 8);
  ret->type = load_le32 (p + 12);
  ret->flags = load_le16 (p + 16);
  return 0;
}

static int
read_big_data (struct hive *h, const struct cell *db, char *to, uint32_t size,
               struct err *e)
{
  uint32_t list_off, segment, n, count = (size + BIG_DATA - 1) / BIG_DATA;
  unsigned char head[4];
  struct cell list, c;

  if (cell_read (h, db, 0, head, sizeof head, e) == -1 ||
      cell_le32 (h, db, 4, &list_off, e) == -1)
    return -1;
  if (load_le16 (head + 2) < count)
    return err_set (e, EIO, "%u segments for %" PRIu32 " bytes",
                    load_le16 (head + 2), size);
  if (find_cell (h, list_off, &list, e) == -1)
    return -1;
  for (uint32_t i = 0; i < count; i++, to += n, size -= n) {
    n = MIN (size, BIG_DATA);
    if (cell_le32 (h, &list, i * 4, &segment, e) == -1 ||
        find_cell (h, segment, &c, e) == -1 ||
        cell_read (h, &c, 0, to, n, e) == -1)
      return -1;
  }
  return 0;
}

static int
read_data (struct hive *h, const struct vk *vk, struct hive_value *ret,
           struct err *e)
{
  uint32_t size = vk->size & ~DATA_IN_OFFSET;
  struct cell c;
  char magic[2], *to;

  ret->type = vk->type;
  buf_reset (&ret->data);
  if (vk->size & DATA_IN_OFFSET) {
    uint32_t data = htole32 (vk->data);
    if (size > 4)
      return err_set (e, EIO, "%" PRIu32 " bytes of data in a field of 4",
                      size);
    buf_add (&ret->data, &data, size);
    return buf_check (&ret->data, e);
  }
  if (size == 0)
    return 0;
  if (size > HIVE_MAX_VALUE)
    return err_set (e, EFBIG, "it has %" PRIu32 " bytes", size);
  if (size > h->bins_size)
    return err_set (e, EIO, "it has %" PRIu32 " bytes, more than the hive",
                    size);
  if (find_cell (h, vk->data, &c, e) == -1)
    return -1;
  to = buf_reserve (&ret->data, size);
  if (!to)
    return err_set (e, ENOMEM, "out of memory");
  if (size > BIG_DATA && h->minor > 3) {
    if (cell_read (h, &c, 0, magic, sizeof magic, e) == -1)
      return -1;
    if (!memcmp (magic, "db", 2)) {
      if (read_big_data (h, &c, to, size, e) == -1)
        return err_in (e, "big data");
      ret->data.len = size;
      return 0;
    }
  }
  if (cell_read (h, &c, 0, to, size, e) == -1)
    return -1;
  ret->data.len = size;
  return 0;
}

/* Calls VISIT for each value's record and name. */
typedef int (*vk_fn) (void *arg, const struct vk *vk, const struct buf *name,
                      struct err *e);

static int
each_vk (struct hive *h, hive_key key, vk_fn visit, void *arg, struct err *e)
{
  CLEANUP_BUF struct buf name = { 0 };
  struct cell list;
  struct nk nk;
  struct vk vk;
  uint32_t off;
  int r = 0;

  if (read_nk (h, key, &nk, e) == -1)
    return -1;
  if (nk.flags & KEY_PREDEF_HANDLE || nk.n_values == 0)
    return 0; /* the count is a handle there */
  if (nk.n_values > MAX_VALUES)
    return err_set (e, EFBIG,
                    "the key at 0x%" PRIx32 " has %" PRIu32 " values", key,
                    nk.n_values);
  if (find_cell (h, nk.values, &list, e) == -1)
    return err_in (e, "list of values");
  for (uint32_t i = 0; i < nk.n_values && r == 0; i++) {
    if (cell_le32 (h, &list, i * 4, &off, e) == -1)
      return err_in (e, "list of values");
    if (read_vk (h, off, &vk, e) == -1 ||
        read_name (h, &vk.cell, VK_SIZE, vk.name_len,
                   vk.flags & VALUE_COMP_NAME, &name, e) == -1)
      return -1;
    r = visit (arg, &vk, &name, e);
  }
  return r;
}

struct each_value {
  struct hive *h;
  hive_value_fn fn;
  void *arg;
};

static int
give_value (void *arg, const struct vk *vk, const struct buf *name,
            struct err *e)
{
  struct each_value *w = arg;
  CLEANUP_HIVE_VALUE struct hive_value v = { 0 };

  if (read_data (w->h, vk, &v, e) == -1)
    return err_in (e, "value '%s'", buf_str (name));
  return w->fn (w->arg, buf_str (name), name->len, &v, e);
}

int
hive_each_value (struct hive *h, hive_key key, hive_value_fn fn, void *arg,
                 struct err *e)
{
  struct each_value w = { h, fn, arg };

  return each_vk (h, key, give_value, &w, e);
}

struct one_value {
  struct hive *h;
  const char *name;
  struct hive_value *ret;
};

static int
take_value (void *arg, const struct vk *vk, const struct buf *name,
            struct err *e)
{
  struct one_value *w = arg;

  if (!same_name (buf_str (name), name->len, w->name, strlen (w->name)))
    return 0;
  return read_data (w->h, vk, w->ret, e) == -1 ? -1 : 1;
}

int
hive_value (struct hive *h, hive_key key, const char *name,
            struct hive_value *ret, struct err *e)
{
  CLEANUP_HIVE_VALUE struct hive_value v = { 0 };
  struct one_value w = { h, name, &v };
  int r = each_vk (h, key, take_value, &w, e);

  if (r == -1)
    return err_in (e, "value '%s'", name);
  if (r == 0)
    return err_set (e, ENOENT, "there is no value '%s'", name);
  hive_value_free (ret);
  *ret = v;
  v = (struct hive_value){ 0 };
  return 0;
}

/* --- values as text and as numbers ----------------------------------- */

static bool
number_of (const struct hive_value *v, uint64_t *ret)
{
  if (v->type == HIVE_DWORD && v->data.len == 4)
    *ret = load_le32 (v->data.data);
  else if (v->type == HIVE_DWORD_BIG_ENDIAN && v->data.len == 4)
    *ret = load_be32 (v->data.data);
  else if (v->type == HIVE_QWORD && v->data.len == 8)
    *ret = load_le64 (v->data.data);
  else
    return false;
  return true;
}

/* The last string may lack its NUL, and the list its empty string. */
static void
add_strings (struct buf *out, const struct buf *data)
{
  const unsigned char *p = (const unsigned char *) data->data;
  size_t len = data->len & ~(size_t) 1, n;

  for (; len >= 2 && load_le16 (p); p += n, len -= n) {
    if (out->len)
      buf_puts (out, "\n");
    utf16_add (out, p, len, false);
    for (n = 0; n < len && load_le16 (p + n); n += 2)
      ;
    n = MIN (n + 2, len);
  }
}

int
hive_value_text (const struct hive_value *v, struct buf *ret, struct err *e)
{
  uint64_t number;

  buf_reset (ret);
  if (number_of (v, &number))
    buf_printf (ret, "%" PRIu64, number);
  else if (v->type == HIVE_SZ || v->type == HIVE_EXPAND_SZ)
    utf16_add (ret, v->data.data ? v->data.data : "", v->data.len, false);
  else if (v->type == HIVE_MULTI_SZ)
    add_strings (ret, &v->data);
  else
    return err_set (e, EINVAL, "its type is %" PRIu32 ", of %zu bytes",
                    v->type, v->data.len);
  return buf_check (ret, e);
}

int
hive_text (struct hive *h, hive_key key, const char *name, struct buf *ret,
           struct err *e)
{
  CLEANUP_HIVE_VALUE struct hive_value v = { 0 };

  if (hive_value (h, key, name, &v, e) == -1)
    return -1;
  if (hive_value_text (&v, ret, e) == -1)
    return err_in (e, "value '%s'", name);
  return 0;
}

int
hive_number (struct hive *h, hive_key key, const char *name, uint64_t *ret,
             struct err *e)
{
  CLEANUP_HIVE_VALUE struct hive_value v = { 0 };

  if (hive_value (h, key, name, &v, e) == -1)
    return -1;
  if (!number_of (&v, ret))
    return err_set (e, EINVAL,
                    "value '%s': its type is %" PRIu32 ", of %zu bytes", name,
                    v.type, v.data.len);
  return 0;
}

static int
maybe (int r, struct err *e)
{
  if (r == 0)
    return 1;
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  return 0;
}

int
hive_maybe_text (struct hive *h, hive_key key, const char *name,
                 struct buf *ret, struct err *e)
{
  return maybe (hive_text (h, key, name, ret, e), e);
}

int
hive_maybe_number (struct hive *h, hive_key key, const char *name,
                   uint64_t *ret, struct err *e)
{
  return maybe (hive_number (h, key, name, ret, e), e);
}
