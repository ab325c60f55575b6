/* xrayfs: reading text files of a guest
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <ctype.h>
#include <string.h>

#include "inspect/image_priv.h"

/* In one directory; modprobe.d, cloud.cfg.d and their like have a few. */
#define MAX_NAMES      1000
#define MAX_YAML_MARKS 10000

int
guest_text (const struct vfs *v, const char *path, struct buf *ret,
            struct err *e)
{
  buf_reset (ret);
  if (vfs_read (v, path, TEXT_FILE_MAX, ret, e) == 0)
    return 1;
  /* What was read before it failed is no text. */
  buf_reset (ret);
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  return 0;
}

int
guest_open (const struct vfs *v, const char *path, struct vfs_file *ret,
            struct err *e)
{
  int r = vfs_open (v, path, ret, e);

  if (r == 0)
    return err_set (e, EIO, "it is not a regular file");
  if (r == 1 || !err_is_absent (e))
    return r;
  err_clear (e);
  return 0;
}

/* Takes away the quoting of a shell word, as os-release(5) defines it. */
static void
unquote (char *s)
{
  char quote = 0, *to = s;

  for (; *s; s++) {
    if (*s == '\\' && s[1] && quote != '\'')
      *to++ = *++s;
    else if ((*s == '"' || *s == '\'') && (!quote || quote == *s))
      quote = quote ? 0 : *s;
    else if (!quote && isspace ((unsigned char) *s))
      break;
    else
      *to++ = *s;
  }
  *to = '\0';
}

char *
shell_value (const char *text, const char *key)
{
  size_t len = strlen (key), line_len;
  char *found = NULL;

  for (const char *p = text; *p; p += line_len + (p[line_len] == '\n')) {
    const char *s = p;
    line_len = strcspn (p, "\n");
    while (s < p + line_len && isblank ((unsigned char) *s))
      s++;
    if (strncmp (s, key, len) || s[len] != '=')
      continue;
    s += len + 1;
    free (found);
    found = strndup (s, (size_t) (p + line_len - s));
    if (found)
      unquote (found);
  }
  return found;
}

int
each_line (char *text, int (*fn) (void *, char *), void *arg)
{
  char *line, *save = NULL;
  int r = 0;

  for (line = strtok_r (text, "\n", &save); line && !r;
       line = strtok_r (NULL, "\n", &save))
    r = fn (arg, line);
  return r;
}

int
yaml_is_bounded (const char *text, struct err *e)
{
  size_t n = 0;

  for (const char *p = text; (p = strpbrk (p, "[{&")); p++)
    if (++n > MAX_YAML_MARKS)
      return err_set (e, EFBIG, "more than %d brackets and anchors in YAML",
                      MAX_YAML_MARKS);
  return 0;
}

size_t
split_words (char *line, char **words, size_t max)
{
  char *word, *save = NULL;
  size_t n = 0;

  for (word = strtok_r (line, " \t\r", &save); word && n < max;
       word = strtok_r (NULL, " \t\r", &save))
    words[n++] = word;
  return n;
}

const char *
cmdline_word (const char *cmdline, const char *prefix)
{
  const char *found = NULL;

  for (const char *p = cmdline; *p; p += strcspn (p, " \t")) {
    p += strspn (p, " \t");
    if (!strncmp (p, prefix, strlen (prefix)))
      found = p;
  }
  return found;
}

/* --- the names in a directory ---------------------------------------- */

static int
take_name (void *arg, const char *name, size_t len, uint64_t ino unused_arg,
           unsigned type unused_arg)
{
  struct names *n = arg;
  size_t p = strlen (n->prefix), s = strlen (n->suffix);
  char *copy;

  if (len < p + s || memcmp (name, n->prefix, p) ||
      memcmp (name + len - s, n->suffix, s))
    return 0;
  if (n->list.len >= MAX_NAMES) {
    n->too_many = true;
    return 1;
  }
  copy = strndup (name, len);
  if (!copy || text_vec_push (&n->list, copy) == -1) {
    free (copy);
    n->failed = true;
    return 1;
  }
  return 0;
}

void
names_free (struct names *n)
{
  for (size_t i = 0; i < n->list.len; i++)
    free (n->list.items[i]);
  free (n->list.items);
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

int
names_in (const struct vfs *v, const char *dir, struct names *n,
          struct err *e)
{
  if (vfs_list (v, dir, take_name, n, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
  }
  if (n->failed)
    return err_set (e, ENOMEM, "out of memory");
  if (n->too_many)
    return err_set (e, EFBIG, "%s: more than %d names", dir, MAX_NAMES);
  if (n->list.len)
    qsort (n->list.items, n->list.len, sizeof (char *), compare_names);
  return 0;
}
