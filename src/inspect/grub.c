/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/grub.h"

#include <ctype.h>
#include <string.h>

#include "base/vec.h"
#include "inspect/image_priv.h"

void
boot_entry_free (struct boot_entry *b)
{
  free (b->title);
  free (b->id);
  free (b->linux_path);
  free (b->initrd_path);
  free (b->options);
  free (b->version);
  free (b->machine_id);
  free (b->sort_key);
  *b = (struct boot_entry){ 0 };
}

char *
grub_env (const char *block, const char *key)
{
  size_t len = strlen (key);

  for (const char *p = block; p && *p;
       p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, key, len) && p[len] == '=')
      return p[len + 1] == '\n' || !p[len + 1]
                 ? NULL
                 : strndup (p + len + 1, strcspn (p + len + 1, "\n"));
  return NULL;
}

/* --- words ----------------------------------------------------------- */

DEFINE_VEC (word_vec, char *)

/* GRUB's shell: words and statements.  Words are written over the text, which
 * is never shorter than they are; variables stay as they are written. */
struct lexer {
  char *from, *to;
};

/* A quoted part, with S->from behind its first quote. */
static void
take_quoted (struct lexer *s, char quote)
{
  for (; *s->from && *s->from != quote; s->from++) {
    if (quote == '"' && *s->from == '\\' && s->from[1] &&
        strchr ("$\"\\\n", s->from[1])) {
      s->from++;
      if (*s->from == '\n')
        continue;
    }
    *s->to++ = *s->from;
  }
  if (*s->from)
    s->from++;
}

static bool
ends_word (char c)
{
  return !c || isspace ((unsigned char) c) || c == ';';
}

static void
take_word (struct lexer *s)
{
  while (!ends_word (*s->from)) {
    char c = *s->from++;
    if (c == '"' || c == '\'')
      take_quoted (s, c);
    else if (c == '\\' && *s->from == '\n')
      s->from++; /* the line goes on */
    else if (c == '\\' && *s->from)
      *s->to++ = *s->from++;
    else
      *s->to++ = c;
  }
}

/* The next statement: words up to a line's end or ';', "{" being a last word
 * and "}" a statement.  false: there is none. */
static int
next_statement (struct lexer *s, struct word_vec *w, bool *ret)
{
  char *start, end;

  for (w->len = 0; *s->from;) {
    if (*s->from == '\\' && s->from[1] == '\n') {
      s->from += 2;
      continue;
    }
    if (*s->from == '#') {
      s->from += strcspn (s->from, "\n");
      continue;
    }
    if (ends_word (*s->from)) {
      end = *s->from++;
      if (w->len && (end == '\n' || end == ';'))
        break;
      continue;
    }
    start = s->to;
    take_word (s);
    end = *s->from;
    if (end)
      s->from++;
    *s->to++ = '\0';
    if (word_vec_push (w, start) == -1)
      return -1;
    if (end == '\n' || end == ';' || !strcmp (start, "{") ||
        (w->len == 1 && !strcmp (start, "}")))
      break;
  }
  *ret = w->len > 0;
  return 0;
}

/* --- what is true ---------------------------------------------------- */

enum truth { NO, YES, MAYBE };

static enum truth
both (enum truth a, enum truth b)
{
  return a == NO || b == NO ? NO : a == MAYBE || b == MAYBE ? MAYBE : YES;
}

/* What is known of variables: those that come from the environment block
 * alone, and "default" so far (NULL: not known). */
struct known {
  const char *env, *chosen;
};

/* To be freed; NULL: empty, or with *RET false not known. */
static char *
known_value (const struct known *k, const char *name, size_t len, bool *ret)
{
  static const char *const names[] = { "next_entry", "saved_entry",
                                       "prev_saved_entry", "prev_entry",
                                       "initrdfail" };
  char *copy = NULL;

  *ret = true;
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (strlen (names[i]) == len && !strncmp (names[i], name, len))
      return grub_env (k->env, names[i]);
  if (k->chosen && len == 7 && !strncmp (name, "default", len))
    copy = strdup (k->chosen);
  *ret = copy != NULL;
  return copy;
}

/* *RET: WORD with the one variable that it consists of expanded ("x$name" and
 * quotes are gone); false: not known. */
static bool
expand_known (const char *word, const struct known *k, char **ret)
{
  const char *dollar = strchr (word, '$'), *name;
  CLEANUP_FREE char *value = NULL;
  size_t len;
  bool known;

  if (!dollar)
    return (*ret = strdup (word)) != NULL;
  name = dollar + (dollar[1] == '{' ? 2 : 1);
  len = strcspn (name, "}");
  if (name[len + (name[len] == '}')])
    return false;
  value = known_value (k, name, len, &known);
  if (known && asprintf (ret, "%.*s%s", (int) (dollar - word), word,
                         value ? value : "") == -1) {
    *ret = NULL;
    return false;
  }
  return known;
}

/* "[ "${next_entry}" ]", "[ "${initrdfail}" = 1 ]", and of Red Hat 7
 * "[ "x$default" = 'CentOS Linux (3.10.0-1160.el7.x86_64) 7 (Core)' ]". */
static enum truth
condition (char *const *w, size_t n, const struct known *k)
{
  CLEANUP_FREE char *a = NULL, *b = NULL;

  if (n < 3 || strcmp (w[0], "[") || strcmp (w[n - 1], "]"))
    return MAYBE;
  if (n == 3)
    return expand_known (w[1], k, &a) ? *a != '\0' : MAYBE;
  if (n == 5 && (!strcmp (w[2], "=") || !strcmp (w[2], "==")))
    return expand_known (w[1], k, &a) && expand_known (w[3], k, &b)
               ? !strcmp (a, b)
               : MAYBE;
  return MAYBE;
}

/* --- grub.cfg -------------------------------------------------------- */

struct item {
  struct boot_entry entry;
  int parent; /* index of the submenu it is in, or -1 */
  bool submenu;
  bool maybe;   /* it may be there or not */
  bool unclear; /* what it starts depends on conditions */
};
DEFINE_VEC (item_vec, struct item)

struct branch {
  enum truth now;   /* is this branch taken? */
  enum truth taken; /* was one before it? */
};

#define MAX_DEPTH     64
#define BLOCK_OTHER   (-1) /* of a function */
#define BLOCK_SKIPPED (-2) /* of an entry that is not there */

struct parser {
  struct item_vec items;
  int blocks[MAX_DEPTH];
  unsigned depth;
  struct branch branches[MAX_DEPTH];
  unsigned n_branches;
  char *chosen; /* of `set default=` */
  bool unclear; /* which is the default, or what there is */
  int pending;  /* an entry whose "{" is still to come, or BLOCK_OTHER */
  const char *env;
  bool bls;
  struct err *err;
};

static int
out_of_memory (struct parser *p)
{
  return err_set (p->err, ENOMEM, "out of memory");
}

/* The entry or submenu around; BLOCK_OTHER: none; BLOCK_SKIPPED. */
static int
current_item (const struct parser *p)
{
  for (unsigned i = p->depth; i > 0; i--)
    if (p->blocks[i - 1] != BLOCK_OTHER)
      return p->blocks[i - 1];
  return BLOCK_OTHER;
}

static bool
in_function (const struct parser *p)
{
  return p->depth && p->blocks[p->depth - 1] == BLOCK_OTHER;
}

static enum truth
now (const struct parser *p)
{
  enum truth t = YES;

  for (unsigned i = 0; i < p->n_branches; i++)
    t = both (t, p->branches[i].now);
  return t;
}

static void
push_block (struct parser *p, int item)
{
  if (p->depth < MAX_DEPTH)
    p->blocks[p->depth++] = item;
  else
    p->unclear = true;
}

static struct known
known (const struct parser *p)
{
  return (struct known){ p->env, p->unclear ? NULL : p->chosen };
}

static int
open_item (struct parser *p, char **w, size_t n)
{
  bool braced = !strcmp (w[n - 1], "{");
  int parent = current_item (p);
  struct item item = { .parent = parent,
                       .maybe = now (p) == MAYBE,
                       .submenu = !strcmp (w[0], "submenu") };

  p->pending = BLOCK_SKIPPED;
  if (now (p) != NO && parent != BLOCK_SKIPPED) {
    item.entry.title = strdup (n > 1 ? w[1] : "");
    for (size_t i = 2; i + 1 < n && !item.entry.id; i++)
      if (!strcmp (w[i], "$menuentry_id_option") || !strcmp (w[i], "--id"))
        item.entry.id = strdup (w[i + 1]);
    if (!item.entry.title || item_vec_push (&p->items, item) == -1) {
      boot_entry_free (&item.entry);
      return out_of_memory (p);
    }
    p->pending = (int) p->items.len - 1;
  }
  if (braced) {
    push_block (p, p->pending);
    p->pending = BLOCK_OTHER;
  }
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
  struct known k = known (p);
  enum truth t = now (p);
  char *chosen;

  if (t == NO)
    return 0;
  if (!expand_known (value, &k, &chosen)) {
    p->unclear = true;
    return 0;
  }
  if (t == MAYBE) {
    p->unclear = p->unclear || !p->chosen || strcmp (p->chosen, chosen);
    free (chosen);
    return 0;
  }
  free (p->chosen);
  p->chosen = chosen;
  p->unclear = false;
  return 0;
}

/* A second value is for another branch: then none is claimed. */
static void
replace_field (char **field, char *value, bool *unclear)
{
  if (*field && strcmp (*field, value))
    *unclear = true;
  free (*field);
  *field = value;
}

static int
entry_line (struct parser *p, char **w, size_t n)
{
  CLEANUP_FREE char *rest = NULL, *path = NULL;
  bool initrd = !strncmp (w[0], "initrd", 6);
  int i = current_item (p);
  struct item *item;

  if (i < 0 || n < 2)
    return 0;
  item = &p->items.items[i];
  rest = initrd ? join (w + 1, n - 1) : join (w + 2, n - 2);
  path = strdup (w[1]);
  if (!rest || !path)
    return out_of_memory (p);
  if (initrd) {
    replace_field (&item->entry.initrd_path, steal_ptr (&rest),
                   &item->unclear);
    return 0;
  }
  replace_field (&item->entry.linux_path, steal_ptr (&path), &item->unclear);
  replace_field (&item->entry.options, steal_ptr (&rest),
                 &item->entry.conditional);
  return 0;
}

/* if, elif, else, fi.  1: it was one of them. */
static int
branch_word (struct parser *p, char **w, size_t n)
{
  struct branch *b = p->n_branches ? &p->branches[p->n_branches - 1] : NULL;
  struct known k = known (p);

  if (!strcmp (w[0], "if")) {
    enum truth t = condition (w + 1, n - 1, &k);
    if (p->n_branches == MAX_DEPTH)
      p->unclear = true;
    else
      p->branches[p->n_branches++] = (struct branch){ t, t };
    return 1;
  }
  if (!b)
    return 0;
  if (!strcmp (w[0], "fi"))
    p->n_branches--;
  else if (!strcmp (w[0], "elif") || !strcmp (w[0], "else")) {
    enum truth t = w[0][2] == 's' ? YES : condition (w + 1, n - 1, &k);
    b->now = b->taken == YES ? NO : b->taken == MAYBE && t != NO ? MAYBE : t;
    if (b->now == YES || (b->now == MAYBE && b->taken == NO))
      b->taken = b->now;
  } else
    return 0;
  return 1;
}

static int
statement (struct parser *p, char **w, size_t n)
{
  /* `then` and `else` may have a command on their line. */
  while (n && (!strcmp (w[0], "then") || !strcmp (w[0], "else"))) {
    if (w[0][0] == 'e')
      branch_word (p, w, 1);
    w++;
    n--;
  }
  if (n == 0 || branch_word (p, w, n))
    return 0;
  if (!strcmp (w[0], "menuentry") || !strcmp (w[0], "submenu"))
    return open_item (p, w, n);
  if (!strcmp (w[0], "}")) {
    p->depth -= p->depth > 0;
    return 0;
  }
  if (!strcmp (w[n - 1], "{")) {
    push_block (p, n == 1 ? p->pending : BLOCK_OTHER);
    p->pending = BLOCK_OTHER;
    return 0;
  }
  if (!strcmp (w[0], "linux") || !strcmp (w[0], "linux16") ||
      !strcmp (w[0], "linuxefi") || !strncmp (w[0], "initrd", 6))
    return entry_line (p, w, n);
  if (!strcmp (w[0], "blscfg") && now (p) != NO)
    p->bls = true;
  if (!strcmp (w[0], "set") && n > 1) {
    w++;
    n--;
  }
  if (!strncmp (w[0], "default=", 8) && current_item (p) == BLOCK_OTHER &&
      !in_function (p))
    return set_default (p, w[0] + 8);
  return 0;
}

static int
parse (struct parser *p, char *text)
{
  struct lexer s = { text, text };
  struct word_vec w = { 0 };
  bool there;
  int r = 0;

  while (r == 0) {
    if (next_statement (&s, &w, &there) == -1)
      r = out_of_memory (p);
    else if (!there)
      break;
    else
      r = statement (p, w.items, w.len);
  }
  free (w.items);
  return r;
}

#define NOT_FOUND (-1)
#define NOT_CLEAR (-2)

static bool
is_named (const struct item *item, const char *key)
{
  return (item->entry.id && !strcmp (item->entry.id, key)) ||
         !strcmp (item->entry.title, key);
}

/* Entry KEY (a number, an id or a title) of the menu PARENT. */
static int
find_in_menu (const struct parser *p, int parent, const char *key)
{
  char *end;
  long number = strtol (key, &end, 10), i = 0;
  bool numeric = *key && !*end;

  for (size_t k = 0; k < p->items.len; k++) {
    const struct item *item = &p->items.items[k];
    if (item->parent != parent)
      continue;
    /* An entry that may be missing moves all that follow. */
    if (numeric ? i == number || item->maybe : is_named (item, key))
      return item->maybe ? NOT_CLEAR : (int) k;
    i++;
  }
  return NOT_FOUND;
}

/* The part of KEY before a single '>' ("1>0"), with ">>" made ">".  Returns
 * what follows it, or NULL. */
static char *
split_key (char *key)
{
  char *to = key;

  for (; *key; *to++ = *key++) {
    if (*key != '>')
      continue;
    if (key[1] != '>') {
      *to = '\0';
      return key + 1;
    }
    key++;
  }
  *to = '\0';
  return NULL;
}

/* "1>0" and "Advanced options>Debian": through submenus.  What is not there
 * is the first of its menu; a submenu shows its first. */
static int
find_default (const struct parser *p, char *key)
{
  int found = BLOCK_OTHER, menu;
  char *rest;

  do {
    menu = found;
    rest = split_key (key);
    found = find_in_menu (p, menu, key);
    if (found == NOT_FOUND) {
      found = find_in_menu (p, menu, "0");
      rest = NULL;
    }
    key = rest;
  } while (key && found >= 0);
  for (unsigned i = 0; i < 16 && found >= 0 && p->items.items[found].submenu;
       i++)
    found = find_in_menu (p, found, "0");
  return found;
}

/* SUSE's entries have ${extra_cmdline}, which its menu of snapshots sets for
 * the one that is chosen there: without that it is empty. */
#define SNAPSHOT_VARIABLE "extra_cmdline"

static bool
has_snapshot_variable (const char *text, const char *env)
{
  CLEANUP_FREE char *saved = grub_env (env, SNAPSHOT_VARIABLE);

  return saved || strstr (text, SNAPSHOT_VARIABLE "=");
}

static void
drop_snapshot_variable (char *options)
{
  static const char word[] = "${" SNAPSHOT_VARIABLE "}";
  char *at = options ? strstr (options, word) : NULL;
  size_t len;

  if (!at)
    return;
  len = strlen (word);
  len += strspn (at + len, " ");
  memmove (at, at + len, strlen (at + len) + 1);
}

int
grub_default (char *text, const char *env, struct boot_entry *ret,
              bool *ret_bls, struct err *e)
{
  struct parser p = { .env = env, .err = e, .pending = BLOCK_OTHER };
  bool snapshots = has_snapshot_variable (text, env);
  int r = parse (&p, text), found;

  if (r == 0 && !p.chosen && !(p.chosen = strdup ("0")))
    r = out_of_memory (&p);
  if (r == 0) {
    found = find_default (&p, p.chosen);
    *ret_bls = p.bls;
    if (!p.unclear && found >= 0 && !p.items.items[found].unclear &&
        p.items.items[found].entry.linux_path) {
      *ret = p.items.items[found].entry;
      p.items.items[found].entry = (struct boot_entry){ 0 };
      if (!snapshots)
        drop_snapshot_variable (ret->options);
      r = 1;
    }
    if (p.bls && r == 0 && !p.unclear)
      ret->id = steal_ptr (&p.chosen);
  }
  for (size_t i = 0; i < p.items.len; i++)
    boot_entry_free (&p.items.items[i].entry);
  free (p.items.items);
  free (p.chosen);
  return r;
}

/* --- Boot Loader Specification --------------------------------------- */

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

/* Keys that may come more than once add up. */
static int
append (char **field, char *value)
{
  char *whole;

  if (!value || !*field)
    return replace (field, value);
  if (asprintf (&whole, "%s %s", *field, value) == -1)
    whole = NULL;
  free (value);
  return replace (field, whole);
}

/* Fedora's variables: $kernelopts from the environment block, and tuned's,
 * which are empty unless the block has them. */
static char *
expand_variables (const char *value, const char *env)
{
  static const char *const names[] = { "kernelopts", "tuned_params",
                                       "tuned_initrd" };
  struct buf out = { 0 };

  for (; *value; value++) {
    size_t i = 0, len = 0;
    for (; *value == '$' && i < ARRAY_SIZE (names); i++) {
      len = strlen (names[i]);
      if (!strncmp (value + 1, names[i], len) &&
          !isalnum ((unsigned char) value[1 + len]) && value[1 + len] != '_')
        break;
    }
    if (*value != '$' || i == ARRAY_SIZE (names)) {
      buf_add (&out, value, 1);
      continue;
    }
    CLEANUP_FREE char *known = grub_env (env, names[i]);
    /* Without the block GRUB's own default counts, which is not known. */
    if (known)
      buf_puts (&out, known);
    else if (i == 0)
      buf_puts (&out, "$kernelopts");
    value += len;
  }
  while (out.len && isspace ((unsigned char) out.data[out.len - 1]))
    out.data[--out.len] = '\0';
  buf_puts (&out, "");
  return out.failed ? (buf_free (&out), NULL) : out.data;
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
  if (!strcmp (line, "version"))
    return replace (&b->entry->version, strdup (value));
  if (!strcmp (line, "machine-id"))
    return replace (&b->entry->machine_id, strdup (value));
  if (!strcmp (line, "sort-key"))
    return replace (&b->entry->sort_key, strdup (value));
  if (!strcmp (line, "linux"))
    return replace (&b->entry->linux_path, strdup (value));
  /* A unified kernel image brings its initramfs. */
  if (!strcmp (line, "uki"))
    return replace (&b->entry->linux_path, strdup (value)) ||
           append (&b->entry->initrd_path, strdup (value));
  if (!strcmp (line, "initrd"))
    return append (&b->entry->initrd_path, expand_variables (value, b->env));
  if (!strcmp (line, "options"))
    return append (&b->entry->options, expand_variables (value, b->env));
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
