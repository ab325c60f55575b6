/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/grub.h"

#include <ctype.h>
#include <string.h>

#include "base/vec.h"
#include "inspect/image_priv.h"

#define MAX_WORDS 64

void
boot_entry_free (struct boot_entry *b)
{
  free (b->title);
  free (b->id);
  free (b->linux_path);
  free (b->initrd_path);
  free (b->options);
  *b = (struct boot_entry){ 0 };
}

char *
grub_env (const char *block, const char *key)
{
  size_t len = strlen (key);

  for (const char *p = block; p && *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, key, len) && p[len] == '=')
      return p[len + 1] == '\n' || !p[len + 1]
                 ? NULL
                 : strndup (p + len + 1, strcspn (p + len + 1, "\n"));
  return NULL;
}

/* Splits a line into words as GRUB's shell does; quotes are taken away, the
 * line is changed.  Comments end it. */
static size_t
words_of (char *line, char **words, size_t max)
{
  char *to = line, *s = line, quote = 0;
  size_t n = 0;
  bool in_word = false;

  for (; n < max; s++) {
    char c = *s;
    if (!c || (!quote && (isspace ((unsigned char) c) || c == ';'))) {
      if (in_word)
        *to++ = '\0';
      in_word = false;
      if (!c)
        break;
      continue;
    }
    if (!in_word && c == '#' && !quote)
      break;
    if (!in_word) {
      in_word = true;
      words[n++] = to;
    }
    if (quote ? c == quote : c == '"' || c == '\'')
      quote = quote ? 0 : c;
    else if (c == '\\' && s[1] && quote != '\'')
      *to++ = *++s;
    else
      *to++ = c;
  }
  if (in_word)
    *to = '\0';
  return n;
}

/* --- grub.cfg --------------------------------------------------------------- */

struct item {
  struct boot_entry entry;
  int parent; /* index of the submenu it is in, or -1 */
  bool submenu;
};
DEFINE_VEC (item_vec, struct item)

struct parser {
  struct item_vec items;
  int stack[16]; /* open blocks: index of the item, or -1 for another */
  unsigned depth;
  char *chosen; /* of `set default=` */
  const char *env;
  bool bls;
  struct err *err;
};

static int
out_of_memory (struct parser *p)
{
  err_set (p->err, ENOMEM, "out of memory");
  return 1;
}

static int
current_item (const struct parser *p)
{
  for (unsigned i = p->depth; i > 0; i--)
    if (p->stack[i - 1] >= 0)
      return p->stack[i - 1];
  return -1;
}

static void
push_block (struct parser *p, int item)
{
  if (p->depth < ARRAY_SIZE (p->stack))
    p->stack[p->depth++] = item;
}

static int
open_item (struct parser *p, char **w, size_t n)
{
  struct item item = { .parent = current_item (p),
                       .submenu = !strcmp (w[0], "submenu") };

  item.entry.title = strdup (n > 1 ? w[1] : "");
  for (size_t i = 2; i + 1 < n; i++)
    if (!strcmp (w[i], "$menuentry_id_option") || !strcmp (w[i], "--id"))
      if (!item.entry.id)
        item.entry.id = strdup (w[i + 1]);
  if (!item.entry.title || item_vec_push (&p->items, item) == -1) {
    boot_entry_free (&item.entry);
    return out_of_memory (p);
  }
  push_block (p, (int) p->items.len - 1);
  return 0;
}

static char *
join (char **w, size_t n)
{
  struct buf b = { 0 };

  for (size_t i = 0; i < n; i++) {
    if (i)
      buf_puts (&b, " ");
    buf_puts (&b, w[i]);
  }
  buf_puts (&b, "");
  return b.failed ? (buf_free (&b), NULL) : b.data;
}

static int
set_default (struct parser *p, const char *value)
{
  const char *variable = NULL;
  char *chosen;

  if (!strcmp (value, "${next_entry}") || !strcmp (value, "$next_entry"))
    variable = "next_entry";
  if (!strcmp (value, "${saved_entry}") || !strcmp (value, "$saved_entry"))
    variable = "saved_entry";
  chosen = variable ? grub_env (p->env, variable) : strdup (value);
  if (!chosen && variable && !strcmp (variable, "next_entry"))
    return 0; /* not set: that branch is not taken */
  if (!chosen)
    chosen = strdup ("0"); /* GRUB's default for an unset one */
  if (!chosen)
    return out_of_memory (p);
  free (p->chosen);
  p->chosen = chosen;
  return 0;
}

static int
entry_line (struct parser *p, char **w, size_t n)
{
  int i = current_item (p);
  struct boot_entry *b;

  if (i < 0 || n < 2)
    return 0;
  b = &p->items.items[i].entry;
  if (!strncmp (w[0], "initrd", 6)) {
    free (b->initrd_path);
    b->initrd_path = join (w + 1, n - 1);
    return b->initrd_path ? 0 : out_of_memory (p);
  }
  free (b->linux_path);
  free (b->options);
  b->linux_path = strdup (w[1]);
  b->options = join (w + 2, n - 2);
  return b->linux_path && b->options ? 0 : out_of_memory (p);
}

/* next_entry is set in the environment only for one boot; where it is, the
 * first branch of grub-mkconfig's header counts and its else branch not. */
static bool
skip_else_branch (struct parser *p, const char *value)
{
  char *next = grub_env (p->env, "next_entry");
  bool skip = next && p->chosen && !strcmp (p->chosen, next)
              && !strchr (value, '$');

  free (next);
  return skip;
}

static int
grub_line (void *arg, char *line)
{
  struct parser *p = arg;
  char *w[MAX_WORDS];
  size_t n = words_of (line, w, MAX_WORDS);

  if (n == 0)
    return 0;
  if (!strcmp (w[0], "menuentry") || !strcmp (w[0], "submenu"))
    return open_item (p, w, n);
  if (!strcmp (w[0], "}")) {
    if (p->depth)
      p->depth--;
    return 0;
  }
  if (!strcmp (w[0], "linux") || !strcmp (w[0], "linux16")
      || !strcmp (w[0], "linuxefi") || !strncmp (w[0], "initrd", 6))
    return entry_line (p, w, n);
  if (!strcmp (w[0], "blscfg"))
    p->bls = true;
  if (!strcmp (w[0], "set") && n > 1 && !strncmp (w[1], "default=", 8)
      && current_item (p) < 0 && !skip_else_branch (p, w[1] + 8))
    return set_default (p, w[1] + 8);
  if (!strcmp (w[n - 1], "{"))
    push_block (p, -1); /* a function */
  return 0;
}

/* Entry KEY (a number, an id or a title) of the menu PARENT. */
static int
find_in_menu (const struct parser *p, int parent, const char *key,
              size_t len)
{
  char *end;
  long number = strtol (key, &end, 10), i = 0;
  bool numeric = len > 0 && end == key + len;

  for (size_t k = 0; k < p->items.len; k++) {
    const struct item *item = &p->items.items[k];
    if (item->parent != parent)
      continue;
    if (numeric ? i == number
                : (item->entry.id && strlen (item->entry.id) == len
                   && !strncmp (item->entry.id, key, len))
                      || (strlen (item->entry.title) == len
                          && !strncmp (item->entry.title, key, len)))
      return (int) k;
    i++;
  }
  return -1;
}

/* "1>0" and "Advanced options>Debian": through submenus. */
static int
find_default (const struct parser *p)
{
  const char *key = p->chosen ? p->chosen : "0";
  int found = -1;
  size_t len;

  for (;; key += len + 1) {
    len = strcspn (key, ">");
    found = find_in_menu (p, found, key, len);
    if (found < 0 || !key[len])
      break;
  }
  /* GRUB falls back to the first entry, and a submenu shows its first. */
  if (found < 0)
    found = find_in_menu (p, -1, "0", 1);
  for (unsigned i = 0;
       i < 16 && found >= 0 && p->items.items[found].submenu; i++)
    found = find_in_menu (p, found, "0", 1);
  return found;
}

int
grub_default (char *text, const char *env, struct boot_entry *ret,
              bool *ret_bls, struct err *e)
{
  struct parser p = { .env = env, .err = e };
  int r = each_line (text, grub_line, &p) ? -1 : 0, found;

  if (r == 0) {
    found = find_default (&p);
    *ret_bls = p.bls;
    if (found >= 0 && p.items.items[found].entry.linux_path) {
      *ret = p.items.items[found].entry;
      p.items.items[found].entry = (struct boot_entry){ 0 };
      r = 1;
    }
  }
  for (size_t i = 0; i < p.items.len; i++)
    boot_entry_free (&p.items.items[i].entry);
  free (p.items.items);
  free (p.chosen);
  return r;
}

/* --- Boot Loader Specification ---------------------------------------------- */

struct bls {
  struct boot_entry *entry;
  const char *env;
};

static int
replace (char **field, char *value)
{
  if (!value)
    return 1;
  free (*field);
  *field = value;
  return 0;
}

/* Fedora's "options $kernelopts": from the environment block. */
static char *
expand_options (const char *value, const char *env)
{
  char *opts;

  if (strncmp (value, "$kernelopts", 11))
    return strdup (value);
  opts = grub_env (env, "kernelopts");
  if (!opts)
    return strdup (value + 11);
  if (value[11]) {
    char *both = NULL;
    if (asprintf (&both, "%s%s", opts, value + 11) == -1)
      both = NULL;
    free (opts);
    return both;
  }
  return opts;
}

static int
bls_line (void *arg, char *line)
{
  struct bls *b = arg;
  size_t key;
  char *value;

  line += strspn (line, " \t");
  key = strcspn (line, " \t");
  if (!line[key] || line[0] == '#')
    return 0;
  line[key] = '\0';
  value = line + key + 1;
  value += strspn (value, " \t");
  value[strcspn (value, "\r")] = '\0';
  if (!strcmp (line, "title"))
    return replace (&b->entry->title, strdup (value));
  if (!strcmp (line, "linux"))
    return replace (&b->entry->linux_path, strdup (value));
  if (!strcmp (line, "initrd"))
    return replace (&b->entry->initrd_path,
                    strndup (value, strcspn (value, " \t")));
  if (!strcmp (line, "options"))
    return replace (&b->entry->options, expand_options (value, b->env));
  return 0;
}

int
bls_entry (char *text, const char *id, const char *env,
           struct boot_entry *ret, struct err *e)
{
  struct boot_entry entry = { 0 };
  struct bls b = { &entry, env };

  if (each_line (text, bls_line, &b) || !(entry.id = strdup (id))) {
    boot_entry_free (&entry);
    return err_set (e, ENOMEM, "out of memory");
  }
  *ret = entry;
  return 0;
}
