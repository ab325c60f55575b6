/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/grub_vars.h"

#include <ctype.h>
#include <string.h>

#include "base/bytes.h"

/* Configurations have a few dozen; each is looked for among all. */
#define MAX_VARS 256
/* `set a=$a$a` doubles it each time. */
#define MAX_VALUE 4096
/* Files are looked at for a few conditions; and each time they are read. */
#define MAX_LOOKS 256
/* Real blocks have 1 KiB. */
#define MAX_ENV (64 * KiB)

void
grub_vars_free (struct grub_vars *v)
{
  for (size_t i = 0; i < v->items.len; i++) {
    free (v->items.items[i].name);
    free (v->items.items[i].value);
  }
  free (v->items.items);
  v->items = (struct grub_var_vec){ 0 };
}

/* --- setting --------------------------------------------------------- */

static struct grub_var *
find (const struct grub_vars *v, const char *name, size_t len)
{
  for (size_t i = 0; i < v->items.len; i++)
    if (!strncmp (v->items.items[i].name, name, len) &&
        !v->items.items[i].name[len])
      return &v->items.items[i];
  return NULL;
}

/* NULL: it cannot be kept, and so no other is known either. */
static struct grub_var *
find_or_add (struct grub_vars *v, const char *name, bool *ret_new)
{
  struct grub_var *var = find (v, name, strlen (name)), fresh = { 0 };

  *ret_new = !var;
  if (var)
    return var;
  fresh.name = v->items.len < MAX_VARS ? strdup (name) : NULL;
  if (!fresh.name || grub_var_vec_push (&v->items, fresh) == -1) {
    free (fresh.name);
    v->lost = true;
    return NULL;
  }
  return &v->items.items[v->items.len - 1];
}

void
grub_set (struct grub_vars *v, const char *name, const char *value,
          enum truth when)
{
  struct grub_var *var;
  bool fresh;

  if (when == NO)
    return;
  /* Set on a condition, it leads to another copy of the same directory
   * (Fedora CoreOS, for a mirrored /boot). */
  if (when == MAYBE && !strcmp (name, "prefix"))
    return;
  var = find_or_add (v, name, &fresh);
  if (!var)
    return;
  if (value && strlen (value) > MAX_VALUE)
    value = NULL;
  if (var->asked && (!value || !var->value || strcmp (var->value, value)))
    v->late = true;
  if (when == MAYBE) {
    const char *before = fresh ? "" : var->value;
    if (before && value && !strcmp (before, value) && (!fresh || !*value)) {
      if (fresh)
        var->value = strdup ("");
      return;
    }
    value = NULL;
  }
  free (var->value);
  var->value = value ? strdup (value) : NULL;
}

void
grub_set_local (struct grub_vars *v, const char *name)
{
  bool fresh;
  struct grub_var *var = find_or_add (v, name, &fresh);

  if (!var)
    return;
  var->local = true;
  if (fresh)
    var->value = strdup ("");
}

/* In the block a backslash stands before what is to be taken as it is. */
static void
unescape (char *s)
{
  char *to = s;

  for (; *s; s++) {
    if (*s == '\\' && s[1])
      s++;
    *to++ = *s;
  }
  *to = '\0';
}

/* A block that is not known may set all of them; but it is none of its uses
 * to say where GRUB's directory is. */
static void
forget_all (struct grub_vars *v)
{
  v->lost = true;
  for (size_t i = 0; i < v->items.len; i++) {
    const char *name = v->items.items[i].name;
    if (strcmp (name, "prefix") && strcmp (name, "config_directory"))
      grub_set (v, name, NULL, YES);
  }
}

/* What `load_env` says: the file, or NULL; and which variables, or all. */
struct env_words {
  char *file;
  char **names;
  size_t n_names;
};

static void
read_env_words (char **w, size_t n, struct env_words *ret)
{
  *ret = (struct env_words){ .names = w };
  for (size_t i = 0; i < n; i++)
    if ((!strcmp (w[i], "-f") || !strcmp (w[i], "--file")) && i + 1 < n)
      ret->file = w[++i];
    else if (!strncmp (w[i], "--file=", 7))
      ret->file = w[i] + 7;
    else if (*w[i] != '-')
      w[ret->n_names++] = w[i];
}

/* On Btrfs GRUB writes to sectors that the filesystem leaves free, and the
 * block in the file says where they are: "env_block=512+1" (the GRUB manual,
 * "env_block").  *RET: the path of those, or NULL. */
static bool
is_other_block (const struct grub_vars *v, const char *word, char **ret)
{
  static const char key[] = "\nenv_block=";
  const char *at = v->env ? strstr (v->env, key) : NULL;

  *ret = NULL;
  if (!at || (strcmp (word, "${env_block}") && strcmp (word, "$env_block")))
    return false;
  at += strlen (key);
  if (asprintf (ret, "(config)%.*s", (int) MIN (strcspn (at, "\n"), 64),
                at) == -1)
    *ret = NULL;
  return true;
}

/* 1: TEXT is the block's; 0: it is not there; 2: it is not known. */
static int
read_env (struct grub_vars *v, const char *file, struct buf *text)
{
  CLEANUP_FREE char *path = NULL;
  int r = 2;

  if (file && !is_other_block (v, file, &path) &&
      !grub_expand (v, file, false, &path))
    return 2;
  if (!file || (path && !strcmp (path, "(config)/grubenv"))) {
    buf_puts (text, v->env ? v->env : "");
    r = 1;
  } else if (path && v->files && !v->err.code && v->looks++ < MAX_LOOKS)
    r = v->files->read (v->files->arg, path, text, &v->err);
  return r == -1 || text->failed || text->len > MAX_ENV ? 2 : r;
}

static bool
is_wanted (const struct env_words *w, const char *name)
{
  for (size_t i = 0; i < w->n_names; i++)
    if (!strcmp (w->names[i], name))
      return true;
  return w->n_names == 0;
}

void
grub_load_env (struct grub_vars *v, char **words, size_t n, enum truth when)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct env_words w;
  char *line, *save = NULL;
  int r;

  if (when == NO)
    return;
  read_env_words (words, n, &w);
  r = read_env (v, w.file, &text);
  if (r == 2)
    forget_all (v);
  /* Without -f the condition is whether the block is there, and it is. */
  for (line = r == 1 && text.len ? strtok_r (text.data, "\n", &save) : NULL;
       line; line = strtok_r (NULL, "\n", &save)) {
    char *value = strchr (line, '=');
    if (*line == '#' || !value)
      continue;
    *value++ = '\0';
    unescape (value);
    if (is_wanted (&w, line))
      grub_set (v, line, value, w.file ? when : YES);
  }
}

/* --- expanding ------------------------------------------------------- */

/* What GRUB sets by itself. */
static bool
is_of_grub (const char *name, size_t len)
{
  static const char *const beginnings[] = { "feature_", "net_", "pxe_",
                                            "grub_", "config_" };
  static const char *const names[] = { "root",      "prefix", "cmdpath",
                                       "chosen",    "lang",   "shim_lock",
                                       "locale_dir" };

  if (len == 0 || !(isalpha ((unsigned char) *name) || *name == '_'))
    return true; /* $?, $1, $@ */
  for (size_t i = 0; i < ARRAY_SIZE (beginnings); i++)
    if (!strncmp (name, beginnings[i], MIN (len, strlen (beginnings[i]))) &&
        len >= strlen (beginnings[i]))
      return true;
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (strlen (names[i]) == len && !strncmp (name, names[i], len))
      return true;
  return false;
}

/* NULL: not known. */
static const char *
value_of (struct grub_vars *v, const char *name, size_t len, bool in_entry)
{
  struct grub_var *var = find (v, name, len);
  CLEANUP_FREE char *copy = NULL;
  bool fresh;

  if (!var && (v->lost || is_of_grub (name, len)))
    return NULL;
  if (!var && in_entry) {
    copy = strndup (name, len);
    var = copy ? find_or_add (v, copy, &fresh) : NULL;
    if (!var || !(var->value = strdup ("")))
      return NULL;
  }
  if (!var)
    return "";
  var->asked = var->asked || in_entry;
  return in_entry && var->local ? NULL : var->value;
}

/* The name behind a '$': *RET_LEN bytes; returns what follows it. */
static const char *
variable_name (const char *p, const char **ret, size_t *ret_len)
{
  bool braced = *p == '{';

  p += braced;
  *ret = p;
  while (isalnum ((unsigned char) *p) || *p == '_')
    p++;
  *ret_len = (size_t) (p - *ret);
  if (*ret_len == 0 && *p && !braced)
    return p + 1;
  return p + (braced && *p == '}');
}

bool
grub_expand (struct grub_vars *v, const char *word, bool in_entry, char **ret)
{
  CLEANUP_BUF struct buf out = { 0 };
  const char *name, *value;
  size_t len;

  buf_puts (&out, "");
  while (*word) {
    if (*word != '$') {
      len = strcspn (word, "$");
      buf_add (&out, word, len);
      word += len;
      continue;
    }
    word = variable_name (word + 1, &name, &len);
    value = value_of (v, name, len, in_entry);
    if (!value)
      return false;
    buf_puts (&out, value);
    if (out.len > MAX_VALUE * 16)
      return false;
  }
  if (out.failed)
    return false;
  *ret = out.data;
  out = (struct buf){ 0 };
  for (char *p = *ret; *p; p++)
    if (*p == GRUB_DOLLAR)
      *p = '$';
  return true;
}

/* --- conditions ------------------------------------------------------ */

static enum truth
file_is_there (struct grub_vars *v, const char *path, bool filled)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = v->files && !v->err.code && v->looks++ < MAX_LOOKS
              ? v->files->read (v->files->arg, path, &text, &v->err)
              : 2;

  if (r != 1)
    return r == 0 ? NO : MAYBE;
  return !filled || text.len ? YES : NO;
}

static enum truth
one_operand (struct grub_vars *v, const char *operator, const char * value)
{
  if (!strcmp (operator, "-n"))
    return *value ? YES : NO;
  if (!strcmp (operator, "-z"))
    return *value ? NO : YES;
  if (!strcmp (operator, "-f") || !strcmp (operator, "-e") ||
      !strcmp (operator, "-s"))
    return file_is_there (v, value, operator[1] == 's');
  return MAYBE;
}

/* What has no -a and no -o in it. */
static enum truth
primary (struct grub_vars *v, char **w, size_t n, bool in_entry)
{
  CLEANUP_FREE char *a = NULL, *b = NULL;
  enum truth t;

  if (n > 1 && !strcmp (w[0], "!"))
    return truth_not (primary (v, w + 1, n - 1, in_entry));
  if (n == 0 || n > 3)
    return MAYBE;
  if (!grub_expand (v, w[n - 1], in_entry, &b))
    return MAYBE;
  if (n == 1)
    return *b ? YES : NO;
  if (n == 2)
    return one_operand (v, w[0], b);
  if (!grub_expand (v, w[0], in_entry, &a))
    return MAYBE;
  t = !strcmp (a, b) ? YES : NO;
  if (!strcmp (w[1], "=") || !strcmp (w[1], "=="))
    return t;
  return !strcmp (w[1], "!=") ? truth_not (t) : MAYBE;
}

/* Words up to the next OPERATOR. */
static size_t
up_to (char **w, size_t n, const char *operator)
{
  for (size_t i = 0; i < n; i++)
    if (!strcmp (w[i], operator))
      return i;
  return n;
}

/* -a binds more than -o. */
static enum truth
expression (struct grub_vars *v, char **w, size_t n, bool in_entry)
{
  enum truth any = NO;

  for (size_t i = 0, len; i < n; i += len + 1) {
    enum truth all = YES;

    len = up_to (w + i, n - i, "-o");
    for (size_t k = 0, part; k < len; k += part + 1) {
      part = up_to (w + i + k, len - k, "-a");
      all = truth_and (all, primary (v, w + i + k, part, in_entry));
    }
    any = truth_not (truth_and (truth_not (any), truth_not (all)));
  }
  return any;
}

enum truth
grub_condition (struct grub_vars *v, char **w, size_t n, bool in_entry)
{
  if (n == 0)
    return MAYBE;
  if (!strcmp (w[0], "!"))
    return truth_not (grub_condition (v, w + 1, n - 1, in_entry));
  if (n == 1 && (!strcmp (w[0], "true") || !strcmp (w[0], "false")))
    return w[0][0] == 't' ? YES : NO;
  for (size_t i = 0; i < n; i++)
    if (!strcmp (w[i], "(") || !strcmp (w[i], ")"))
      return MAYBE;
  if (n > 2 && !strcmp (w[0], "[") && !strcmp (w[n - 1], "]"))
    return expression (v, w + 1, n - 2, in_entry);
  return n > 1 && !strcmp (w[0], "test")
             ? expression (v, w + 1, n - 1, in_entry)
             : MAYBE;
}
