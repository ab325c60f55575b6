/* xrayfs: OVA: the OVF descriptor
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DMTF DSP0243, Open Virtualization Format, 7.1 "File references" and 9.1
 * "DiskSection": a <Disk> names a <File> by its id, and that one names the
 * file.  Of the XML this takes start tags and their attributes, whatever
 * their namespace prefix is; comments, CDATA, processing instructions and
 * declarations are skipped.  No entity but the five of XML and numbers is
 * known, and nothing is ever fetched or expanded: a parser that does more
 * would only be more to attack.
 */
#include "format/ova.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"

/* Of an OVF of a megabyte. */
#define MAX_FILES  1024
#define MAX_ENTITY 8 /* with '&' and ';' */

/* A part of the text. */
struct span {
  const char *at;
  size_t len;
};

static bool
span_is (struct span s, const char *word)
{
  return s.len == strlen (word) && !memcmp (s.at, word, s.len);
}

static bool
starts_with (struct span s, const char *prefix)
{
  size_t n = strlen (prefix);

  return s.len >= n && !memcmp (s.at, prefix, n);
}

static void
advance (struct span *s, size_t n)
{
  s->at += n;
  s->len -= n;
}

/* Goes behind the next WORD, or to the end. */
static void
skip_past (struct span *s, const char *word)
{
  const char *found = memmem (s->at, s->len, word, strlen (word));

  if (found)
    advance (s, (size_t) (found - s->at) + strlen (word));
  else
    advance (s, s->len);
}

static bool
is_space (char c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
skip_spaces (struct span *s)
{
  while (s->len && is_space (*s->at))
    advance (s, 1);
}

/* Cuts what comes before any of STOPS off *S. */
static struct span
cut_word (struct span *s, const char *stops)
{
  struct span word = { s->at, 0 };

  while (s->len && !is_space (*s->at) && !strchr (stops, *s->at)) {
    advance (s, 1);
    word.len++;
  }
  return word;
}

/* Without "prefix:". */
static struct span
local_name (struct span name)
{
  const char *colon = memchr (name.at, ':', name.len);

  if (colon)
    advance (&name, (size_t) (colon + 1 - name.at));
  return name;
}

/* The next attribute of a start tag whose rest is *S; false: no more. */
static bool
next_attribute (struct span *s, struct span *ret_name, struct span *ret_value)
{
  const char *end;

  skip_spaces (s);
  *ret_name = local_name (cut_word (s, "=/>"));
  skip_spaces (s);
  if (!s->len || *s->at != '=')
    return false;
  advance (s, 1);
  skip_spaces (s);
  if (!s->len || (*s->at != '"' && *s->at != '\''))
    return false;
  end = memchr (s->at + 1, *s->at, s->len - 1);
  if (!end)
    return false;
  *ret_value = (struct span){ s->at + 1, (size_t) (end - s->at - 1) };
  advance (s, (size_t) (end + 1 - s->at));
  return true;
}

/* The next start tag: its name, and its attributes in *RET_REST. */
static bool
next_tag (struct span *s, struct span *ret_name, struct span *ret_rest)
{
  struct span name, value;

  for (;;) {
    skip_past (s, "<");
    if (!s->len)
      return false;
    if (starts_with (*s, "!--"))
      skip_past (s, "-->");
    else if (starts_with (*s, "![CDATA["))
      skip_past (s, "]]>");
    else if (starts_with (*s, "?"))
      skip_past (s, "?>");
    else if (!starts_with (*s, "!") && !starts_with (*s, "/"))
      break;
  }
  *ret_name = local_name (cut_word (s, "/>"));
  *ret_rest = *s;
  /* A '<' or '>' in a value starts or ends nothing. */
  while (next_attribute (s, &name, &value))
    ;
  return true;
}

/* --- values ---------------------------------------------------------- */

/* The character that "&NAME;" stands for; 0: not known. */
static char
entity (struct span name)
{
  static const struct {
    const char *name;
    char c;
  } known[] = {
    { "amp", '&' },  { "lt", '<' },    { "gt", '>' },
    { "quot", '"' }, { "apos", '\'' },
  };
  char number[8] = { 0 };
  bool hex = starts_with (name, "#x");
  unsigned long v;

  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (span_is (name, known[i].name))
      return known[i].c;
  if (!starts_with (name, "#") || name.len >= sizeof number)
    return 0;
  memcpy (number, name.at + 1 + hex, name.len - 1 - hex);
  v = strtoul (number, NULL, hex ? 16 : 10);
  return v < 0x80 ? (char) v : 0;
}

/* VALUE with its entities resolved, to be freed. */
static char *
decode (struct span value)
{
  char *out = malloc (value.len + 1), *to = out;
  const char *semicolon;
  char c;

  for (; out && value.len; advance (&value, 1)) {
    semicolon = memchr (value.at, ';', MIN (value.len, MAX_ENTITY));
    c = 0;
    if (*value.at == '&' && semicolon)
      c = entity (
          (struct span){ value.at + 1, (size_t) (semicolon - value.at - 1) });
    if (c)
      advance (&value, (size_t) (semicolon - value.at));
    *to++ = c ? c : *value.at;
  }
  if (out)
    *to = 0;
  return out;
}

/* --- files and disks ------------------------------------------------- */

/* Attributes of a <File>; at is NULL where one is not there. */
struct file {
  struct span id, href, compression;
  bool in_chunks;
};
DEFINE_VEC (file_vec, struct file)

static struct file
file_of (struct span rest)
{
  struct file f = { 0 };
  struct span name, value;

  while (next_attribute (&rest, &name, &value))
    if (span_is (name, "id"))
      f.id = value;
    else if (span_is (name, "href"))
      f.href = value;
    else if (span_is (name, "compression"))
      f.compression = value;
    else if (span_is (name, "chunkSize"))
      f.in_chunks = true;
  return f;
}

static const struct file *
file_with_id (const struct file_vec *v, struct span id)
{
  for (size_t i = 0; i < v->len; i++)
    if (v->items[i].href.at && v->items[i].id.at &&
        v->items[i].id.len == id.len &&
        !memcmp (v->items[i].id.at, id.at, id.len))
      return &v->items[i];
  return NULL;
}

static int
take_file (const struct file *f, struct ovf_disk *ret, struct err *e)
{
  ret->href = decode (f->href);
  if (f->compression.at)
    ret->compression = decode (f->compression);
  ret->in_chunks = f->in_chunks;
  if (!ret->href || (f->compression.at && !ret->compression))
    return err_set (e, ENOMEM, "out of memory");
  return 0;
}

/* A <Disk>: without a file it is empty. */
static int
add_disk (struct span rest, const struct file_vec *files,
          struct ovf_disk *ret, struct err *e)
{
  const struct file *f = NULL;
  struct span name, value;

  while (next_attribute (&rest, &name, &value))
    if (span_is (name, "fileRef"))
      f = file_with_id (files, value);
  if (!f)
    return 0;
  return ret->count++ ? 0 : take_file (f, ret, e);
}

static int
parse_tags (struct span text, struct file_vec *files, struct ovf_disk *ret,
            struct err *e)
{
  struct span name, rest;

  /* References come before the disks (7.1). */
  while (next_tag (&text, &name, &rest)) {
    if (span_is (name, "Disk") && add_disk (rest, files, ret, e) == -1)
      return -1;
    if (span_is (name, "File") && files->len < MAX_FILES &&
        file_vec_push (files, file_of (rest)) == -1)
      return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

int
ovf_parse (const char *text, size_t len, struct ovf_disk *ret, struct err *e)
{
  struct file_vec files = { 0 };
  int r = parse_tags ((struct span){ text, len }, &files, ret, e);

  free (files.items);
  return r;
}

void
ovf_disk_free (struct ovf_disk *d)
{
  free (d->href);
  free (d->compression);
}
