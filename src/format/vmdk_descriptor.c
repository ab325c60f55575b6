/* xrayfs: VMDK: the descriptor, a text of lines
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * VMware, Virtual Disk Format 5.0, "The Descriptor File".  Keywords are
 * compared without regard to case.  qemu 7.2 leaves out lines that it does
 * not know, and with them a part of the disk: here such a line is an error,
 * and RDONLY, NOACCESS and ZERO extents are what the format says they are.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "format/vmdk.h"

void
vmdk_descriptor_free (struct vmdk_descriptor *d)
{
  free (d->version);
  free (d->create_type);
  free (d->parent_name);
  free (d->encryption);
  for (size_t i = 0; i < d->lines.len; i++) {
    free (d->lines.items[i].type);
    free (d->lines.items[i].name);
  }
  free (d->lines.items);
}

/* --- words ----------------------------------------------------------- */

static bool
is_blank (char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static char *
skip_blanks (char *s)
{
  while (is_blank (*s))
    s++;
  return s;
}

/* Cuts the next word off *S, which goes behind it; "" at the end. */
static char *
next_word (char **s)
{
  char *word = skip_blanks (*s), *end = word;

  while (*end && !is_blank (*end))
    end++;
  *s = *end ? end + 1 : end;
  *end = 0;
  return word;
}

/* A decimal number and nothing else. */
static int
parse_number (const char *word, uint64_t *ret)
{
  uint64_t v = 0;

  if (!*word)
    return -1;
  for (; *word; word++)
    if (!isdigit ((unsigned char) *word) ||
        __builtin_mul_overflow (v, 10, &v) ||
        __builtin_add_overflow (v, (uint64_t) (*word - '0'), &v))
      return -1;
  *ret = v;
  return 0;
}

/* A CID: up to eight hexadecimal digits. */
static int
parse_cid (const char *word, uint32_t *ret)
{
  char *end;
  unsigned long v;

  if (!isxdigit ((unsigned char) *word))
    return -1;
  errno = 0;
  v = strtoul (word, &end, 16);
  if (errno || *end || v > UINT32_MAX)
    return -1;
  *ret = (uint32_t) v;
  return 0;
}

static int
copy_text (const char *text, char **ret, struct err *e)
{
  char *copy = strdup (text);

  if (!copy)
    return err_set (e, ENOMEM, "out of memory");
  free (*ret);
  *ret = copy;
  return 0;
}

/* --- extent lines ---------------------------------------------------- */

static const char *const access_words[] = { "RW", "RDONLY", "NOACCESS" };

static bool
is_access (const char *line)
{
  size_t n = strcspn (line, " \t\r");

  for (size_t i = 0; i < ARRAY_SIZE (access_words); i++)
    if (n == strlen (access_words[i]) &&
        !strncasecmp (line, access_words[i], n))
      return true;
  return false;
}

/* The name in quotes at *S, which goes behind it; no quotes: NULL. */
static char *
next_name (char **s)
{
  char *name = skip_blanks (*s), *end;

  if (*name != '"' || !(end = strchr (name + 1, '"')))
    return NULL;
  *end = 0;
  *s = end + 1;
  return name + 1;
}

static int
invalid_line (unsigned number, const char *what, struct err *e)
{
  return err_set (e, EINVAL, "descriptor line %u: %s", number, what);
}

/* What follows the type. */
static int
parse_place (char *s, struct vmdk_line *line, struct err *e)
{
  const char *name, *offset;

  if (!strcasecmp (line->type, "ZERO"))
    return 0;
  name = next_name (&s);
  if (!name || !*name)
    return invalid_line (line->number, "the extent has no file name", e);
  if (copy_text (name, &line->name, e) == -1)
    return -1;
  offset = next_word (&s);
  if (*offset && parse_number (offset, &line->offset) == -1)
    return invalid_line (line->number, "the extent's offset", e);
  if (!*offset && !strcasecmp (line->type, "FLAT"))
    return invalid_line (line->number, "the extent has no offset", e);
  return 0;
}

static int
parse_extent (char *s, unsigned number, struct vmdk_descriptor *d,
              struct err *e)
{
  struct vmdk_line *line;

  if (d->lines.len == VMDK_MAX_EXTENTS)
    return err_set (e, EFBIG, "descriptor: more than %d extents",
                    VMDK_MAX_EXTENTS);
  if (vmdk_lines_push (&d->lines, (struct vmdk_line){ .number = number }) ==
      -1)
    return err_set (e, ENOMEM, "out of memory");
  line = &d->lines.items[d->lines.len - 1];
  line->no_access = !strcasecmp (next_word (&s), "NOACCESS");
  if (parse_number (next_word (&s), &line->sectors) == -1 ||
      line->sectors > INT64_MAX / VMDK_SECTOR)
    return invalid_line (number, "the extent's size", e);
  if (copy_text (next_word (&s), &line->type, e) == -1)
    return -1;
  return parse_place (s, line, e);
}

/* --- keys ------------------------------------------------------------ */

static int
parse_key (const char *key, const char *value, struct vmdk_descriptor *d,
           struct err *e)
{
  if (!strcasecmp (key, "version"))
    return copy_text (value, &d->version, e);
  if (!strcasecmp (key, "createType"))
    return copy_text (value, &d->create_type, e);
  if (!strcasecmp (key, "parentFileNameHint"))
    return copy_text (value, &d->parent_name, e);
  if (!strcasecmp (key, "CID"))
    d->has_cid = parse_cid (value, &d->cid) == 0;
  else if (!strcasecmp (key, "parentCID"))
    d->has_parent_cid = parse_cid (value, &d->parent_cid) == 0;
  else if (!strcasecmp (key, "changeTrackPath"))
    d->tracks_changes = true;
  else if (!strncasecmp (key, "encryption.", 11))
    return copy_text ("VMware Workstation", &d->encryption, e);
  else if (!strcasecmp (key, "ddb.iofilters") && strstr (value, "vmcrypt"))
    return copy_text (value, &d->encryption, e);
  return 0;
}

/* Cuts what is blank, and quotes if there are, from both ends. */
static char *
unquote (char *s)
{
  size_t n;

  s = skip_blanks (s);
  n = strlen (s);
  while (n > 0 && is_blank (s[n - 1]))
    s[--n] = 0;
  if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
    s[n - 1] = 0;
    s++;
  }
  return s;
}

static int
parse_line (char *s, unsigned number, struct vmdk_descriptor *d,
            struct err *e)
{
  char *equals;

  s = skip_blanks (s);
  if (!*s || *s == '#')
    return 0;
  if (is_access (s))
    return parse_extent (s, number, d, e);
  equals = strchr (s, '=');
  if (!equals)
    return 0; /* the safety check names it */
  *equals = 0;
  return parse_key (unquote (s), unquote (equals + 1), d, e);
}

int
vmdk_descriptor_parse (const char *text, struct vmdk_descriptor *ret,
                       struct err *e)
{
  CLEANUP_FREE char *copy = strdup (text);
  char *line, *rest = copy;
  unsigned number = 0;

  if (!copy)
    return err_set (e, ENOMEM, "out of memory");
  while ((line = strsep (&rest, "\n")))
    if (parse_line (line, ++number, ret, e) == -1)
      return -1;
  if (!ret->has_cid)
    return err_set (e, EINVAL, "the descriptor has no CID");
  return 0;
}

/* --- safety ---------------------------------------------------------- */

/* Is it "word=..."? */
static bool
is_assignment (const char *line)
{
  size_t n = strcspn (line, "=");

  return line[n] == '=' && !memchr (line, ' ', n);
}

static bool
is_ascii (const char *s)
{
  while (*s && (unsigned char) *s < 0x80)
    s++;
  return !*s;
}

static void
add_line (struct buf *reasons, const char *what, const char *line)
{
  buf_puts (reasons, what);
  buf_puts (reasons, " '");
  buf_add_line_text (reasons, line, strnlen (line, 100));
  buf_puts (reasons, "'\n");
}

void
vmdk_descriptor_safety (const char *text, struct buf *reasons)
{
  CLEANUP_FREE char *copy = strdup (text);
  char *line, *rest = copy;
  unsigned extents = 0;

  if (!copy)
    reasons->failed = true;
  if (!is_ascii (text))
    buf_puts (reasons, "the descriptor is not ASCII\n");
  while ((line = strsep (&rest, "\n"))) {
    line = skip_blanks (line);
    line[strcspn (line, "\r")] = 0;
    if (is_access (line)) {
      extents++;
      if (strchr (line, '/'))
        add_line (reasons, "an extent lies in another directory:", line);
    } else if (*line && *line != '#' && strncasecmp (line, "ddb", 3) &&
               !is_assignment (line))
      add_line (reasons, "the descriptor has an unknown line", line);
  }
  if (extents == 0)
    buf_puts (reasons, "the descriptor names no extent\n");
}
