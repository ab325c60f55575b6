/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/grub.h"

#include <ctype.h>
#include <string.h>

#include "base/bytes.h"
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
      *s->to++ = *s->from == '$' ? GRUB_DOLLAR : *s->from;
      continue;
    }
    *s->to++ = quote == '\'' && *s->from == '$' ? GRUB_DOLLAR : *s->from;
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
    else if (c == '\\' && *s->from) {
      *s->to++ = *s->from == '$' ? GRUB_DOLLAR : *s->from;
      s->from++;
    } else
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
    if (w->len && *s->from == '}' && ends_word (s->from[1]))
      break; /* a block ends behind a command, too */
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

/* --- grub.cfg -------------------------------------------------------- */

struct item {
  struct boot_entry entry;
  int parent; /* index of the submenu it is in, or -1 */
  bool submenu;
  bool maybe;   /* it may be there or not */
  bool unclear; /* what it starts depends on conditions */
  struct {
    unsigned maybe; /* lines that are there on a condition */
    bool sure;      /* and one without */
  } kernels, initrds;
};
DEFINE_VEC (item_vec, struct item)

struct branch {
  enum truth now;   /* is this branch taken? */
  enum truth taken; /* was one before it? */
  bool second;      /* it is for a second try, of the same kernel */
};

/* Files that a configuration reads: of Fedora CoreOS four, one in one. */
#define MAX_SOURCED 32
#define MAX_NESTED  4
/* Of menus: each is kept. */
#define MAX_ITEMS 10000

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
  struct grub_vars *vars;
  unsigned sourced; /* files that were read besides */
  unsigned nested;  /* of them, those around */
  bool left;        /* what starts may be said where it is not read */
  bool bls;
  bool bls_maybe;    /* whether, and where, is not known */
  size_t bls_before; /* entries of the menu before those */
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
    t = truth_and (t, p->branches[i].now);
  return t;
}

static void
push_block (struct parser *p, int item)
{
  if (p->depth < MAX_DEPTH)
    p->blocks[p->depth++] = item;
  else
    p->left = true;
}

static char *
plain_text (const char *word)
{
  char *copy = strdup (word);

  for (char *p = copy; p && *p; p++)
    if (*p == GRUB_DOLLAR)
      *p = '$';
  return copy;
}

/* `menuentry [OPTION]... TITLE [OPTION|ARGUMENT]...` */
static int
read_heading (struct item *item, char **w, size_t n)
{
  const char *title = NULL, *id = NULL;

  for (size_t i = 1; i < n; i++) {
    if (!strncmp (w[i], "--id=", 5))
      id = w[i] + 5;
    else if (!strcmp (w[i], "$menuentry_id_option") || !strcmp (w[i], "--id"))
      id = ++i < n ? w[i] : id;
    else if (!strcmp (w[i], "--class") || !strcmp (w[i], "--users") ||
             !strcmp (w[i], "--hotkey") || !strcmp (w[i], "--source"))
      i++;
    else if (strncmp (w[i], "--", 2) != 0 && !title)
      title = w[i];
  }
  item->entry.title = plain_text (title ? title : "");
  item->entry.id = id ? plain_text (id) : NULL;
  return item->entry.title && (item->entry.id || !id) ? 0 : -1;
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
  p->left = p->left || p->items.len == MAX_ITEMS;
  if (now (p) != NO && parent != BLOCK_SKIPPED && !p->left) {
    if (read_heading (&item, w, n - braced) == -1 ||
        item_vec_push (&p->items, item) == -1) {
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
  enum truth t = now (p);
  char *chosen;

  if (t == NO)
    return 0;
  if (!grub_expand (p->vars, value, false, &chosen)) {
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

static bool
in_second_try (const struct parser *p)
{
  for (unsigned i = 0; i < p->n_branches; i++)
    if (p->branches[i].second)
      return true;
  return false;
}

static int
entry_line (struct parser *p, char **w, size_t n)
{
  CLEANUP_FREE char *rest = NULL, *path = NULL;
  bool initrd = !strncmp (w[0], "initrd", 6);
  int i = current_item (p);
  struct item *item;

  if (i < 0 || n < 2 || now (p) == NO)
    return 0;
  item = &p->items.items[i];
  rest = initrd ? join (w + 1, n - 1) : join (w + 2, n - 2);
  path = strdup (w[1]);
  if (!rest || !path)
    return out_of_memory (p);
  if (in_second_try (p)) {
    /* Without the block each start would be a first one. */
    if (!initrd || !p->vars->env || !*p->vars->env)
      return 0;
    item->entry.second_try = true;
  }
  if (initrd) {
    item->initrds.maybe += now (p) == MAYBE;
    item->initrds.sure |= now (p) == YES;
    replace_field (&item->entry.initrd_path, steal_ptr (&rest),
                   &item->unclear);
    return 0;
  }
  item->kernels.maybe += now (p) == MAYBE;
  item->kernels.sure |= now (p) == YES;
  replace_field (&item->entry.linux_path, steal_ptr (&path), &item->unclear);
  replace_field (&item->entry.options, steal_ptr (&rest),
                 &item->entry.conditional);
  return 0;
}

/* Ubuntu tries images of clouds (GRUB_FORCE_PARTUUID) without their initramfs
 * first, with `panic=-1`, and with it when that failed, which the environment
 * block remembers:
 *
 *   if [ "${initrdfail}" = 1 ]; then linux ...; initrd ...; else linux ...;
 * fi
 */
static bool
is_second_try (const struct parser *p, char **w, size_t n)
{
  return current_item (p) >= 0 && n == 6 && !strcmp (w[1], "[") &&
         (!strcmp (w[2], "${initrdfail}") || !strcmp (w[2], "$initrdfail")) &&
         !strcmp (w[3], "=") && !strcmp (w[4], "1") && !strcmp (w[5], "]");
}

static bool
is_loop (const char *word)
{
  return !strcmp (word, "for") || !strcmp (word, "while") ||
         !strcmp (word, "until");
}

/* What a loop repeats may be run or not. */
static void
push_branch (struct parser *p, struct branch b)
{
  if (p->n_branches == MAX_DEPTH)
    p->left = true;
  else
    p->branches[p->n_branches++] = b;
}

/* if, elif, else, fi; and loops.  1: it was one of them. */
static int
branch_word (struct parser *p, char **w, size_t n)
{
  struct branch *b = p->n_branches ? &p->branches[p->n_branches - 1] : NULL;

  if (!strcmp (w[0], "if")) {
    bool second = is_second_try (p, w, n);
    enum truth t = second ? YES
                          : grub_condition (p->vars, w + 1, n - 1,
                                            current_item (p) >= 0);
    push_branch (p, (struct branch){ t, second ? NO : t, second });
    return 1;
  }
  if (is_loop (w[0])) {
    if (w[0][0] == 'f' && n > 1)
      grub_set (p->vars, w[1], NULL, p->depth ? MAYBE : now (p));
    push_branch (p, (struct branch){ .now = MAYBE });
    return 1;
  }
  if (!b)
    return 0;
  if (!strcmp (w[0], "fi") || !strcmp (w[0], "done"))
    p->n_branches--;
  else if (!strcmp (w[0], "elif") || !strcmp (w[0], "else")) {
    enum truth t = w[0][2] == 's' ? YES
                                  : grub_condition (p->vars, w + 1, n - 1,
                                                    current_item (p) >= 0);
    b->second = false;
    b->now = b->taken == YES ? NO : b->taken == MAYBE && t != NO ? MAYBE : t;
    if (b->now == YES || (b->now == MAYBE && b->taken == NO))
      b->taken = b->now;
  } else
    return 0;
  return 1;
}

/* NAME=VALUE, with or without `set`. */
static int
assignment (struct parser *p, const char *word, bool is_set)
{
  size_t len = strspn (word, "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  CLEANUP_FREE char *name = NULL, *value = NULL;

  if (len == 0 || word[len] != '=')
    return 0;
  if (!strncmp (word, "default=", 8) && current_item (p) == BLOCK_OTHER &&
      !in_function (p) && set_default (p, word + 8) == -1)
    return -1;
  name = strndup (word, len);
  if (!name)
    return out_of_memory (p);
  if (p->depth)
    grub_set_local (p->vars, name);
  else if (grub_expand (p->vars, word + len + 1, false, &value))
    grub_set (p->vars, name, value, now (p));
  else
    grub_set (p->vars, name, NULL, now (p));
  return is_set ? 0 : 1;
}

/* Commands that set variables to what the machine says, or that others
 * named. */
static void
other_command (struct parser *p, char **w, size_t n)
{
  static const char *const setters[] = { "read", "increment", "decrement" };
  enum truth t = p->depth ? MAYBE : now (p);

  for (size_t i = 0; i < ARRAY_SIZE (setters); i++)
    if (!strcmp (w[0], setters[i]) && n > 1)
      grub_set (p->vars, w[1], NULL, t);
  if (!strcmp (w[0], "unset") && n > 1)
    grub_set (p->vars, w[1], "", t);
  if (!strcmp (w[0], "eval") && t != NO)
    p->vars->lost = true;
  for (size_t i = 1; i < n; i++)
    if (!strncmp (w[i], "--set=", 6))
      grub_set (p->vars, w[i] + 6, NULL, t);
    else if ((!strcmp (w[i], "--set") || !strcmp (w[i], "-s")) && i + 1 < n)
      grub_set (p->vars, w[i + 1], NULL, t);
}

static int parse (struct parser *p, char *text);

/* `source FILE`, `. FILE`: its lines stand in place of this one. */
static int
source (struct parser *p, const char *word)
{
  CLEANUP_FREE char *path = NULL;
  CLEANUP_BUF struct buf text = { 0 };
  const struct grub_files *f = p->vars->files;
  unsigned depth = p->depth, branches = p->n_branches;
  int r = 2;

  if (now (p) == NO || p->depth)
    return 0;
  if (f && p->nested < MAX_NESTED && p->sourced < MAX_SOURCED &&
      grub_expand (p->vars, word, false, &path))
    r = f->read (f->arg, path, &text, p->err);
  if (r == 2)
    p->vars->lost = p->left = true;
  if (r != 1 || !text.len)
    return MIN (r, 0);
  p->sourced++;
  p->nested++;
  r = parse (p, text.data);
  p->nested--;
  p->depth = depth;
  p->n_branches = branches;
  return r;
}

/* The entries of files that stand here. */
static void
blscfg (struct parser *p)
{
  p->bls_maybe = p->bls_maybe || now (p) == MAYBE || p->depth;
  if (p->bls)
    return;
  p->bls = true;
  for (size_t i = 0; i < p->items.len; i++) {
    p->bls_before += p->items.items[i].parent == BLOCK_OTHER;
    p->bls_maybe = p->bls_maybe || p->items.items[i].maybe;
  }
}

static int
command (struct parser *p, char **w, size_t n)
{
  bool set = !strcmp (w[0], "set");
  int r;

  if (!strcmp (w[0], "linux") || !strcmp (w[0], "linux16") ||
      !strcmp (w[0], "linuxefi") || !strncmp (w[0], "initrd", 6))
    return entry_line (p, w, n);
  if (!strcmp (w[0], "blscfg") && now (p) != NO && !in_function (p))
    blscfg (p);
  /* The menu of another file comes first. */
  if (!strcmp (w[0], "configfile") && now (p) != NO && !p->depth)
    p->left = true;
  if (!strcmp (w[0], "load_env") && !p->depth)
    grub_load_env (p->vars, w + 1, n - 1, now (p));
  if ((!strcmp (w[0], "source") || !strcmp (w[0], ".")) && n == 2)
    return source (p, w[1]);
  r = set && n < 2 ? 1 : assignment (p, w[set], set);
  if (r == 0 && !set)
    other_command (p, w, n);
  return MIN (r, 0);
}

static int
statement (struct parser *p, char **w, size_t n)
{
  /* `then`, `else` and `do` may have a command on their line. */
  while (n && (!strcmp (w[0], "then") || !strcmp (w[0], "else") ||
               !strcmp (w[0], "do"))) {
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
  return command (p, w, n);
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

/* What of ENTRY is known by now; the rest stays as it is written. */
static void
expand_field (struct grub_vars *v, char **field, bool squeeze)
{
  char *known, *to;

  if (!*field || !grub_expand (v, *field, true, &known))
    return;
  free (*field);
  *field = to = known;
  /* An empty variable is no word. */
  for (char *p = known; squeeze && *p; p++)
    if (*p != ' ' || (to > known && to[-1] != ' '))
      *to++ = *p;
  while (squeeze && to > known && to[-1] == ' ')
    to--;
  if (squeeze)
    *to = '\0';
}

void
grub_expand_entry (struct grub_vars *v, struct boot_entry *b)
{
  expand_field (v, &b->linux_path, false);
  expand_field (v, &b->initrd_path, true);
  expand_field (v, &b->options, true);
}

/* One line on a condition is not made up for by another's. */
static bool
is_clear (const struct item *item)
{
  return !item->unclear && (item->kernels.sure || item->kernels.maybe > 1) &&
         (item->initrds.sure || item->initrds.maybe != 1 ||
          item->entry.second_try);
}

/* Gives entry I of P away, if it is known what it starts. */
static int
give_entry (struct parser *p, int i, struct boot_entry *ret)
{
  struct item *item = i >= 0 ? &p->items.items[i] : NULL;

  if (item && !item->entry.linux_path && !item->unclear)
    ret->title = steal_ptr (&item->entry.title);
  if (!item || !item->entry.linux_path || !is_clear (item))
    return 0;
  *ret = item->entry;
  item->entry = (struct boot_entry){ 0 };
  grub_expand_entry (p->vars, ret);
  return 1;
}

/* With blscfg: as find_default where RET_BLS->there is false; else the
 * default is among its files, by RET_BLS->key. */
static int
find_with_bls (struct parser *p, struct grub_bls *ret_bls, bool clear)
{
  size_t others = 0;
  char *end;
  unsigned long number = strtoul (p->chosen, &end, 10);
  bool numeric = isdigit ((unsigned char) *p->chosen) && !*end;

  for (size_t i = 0; i < p->items.len; i++)
    others += p->items.items[i].parent == BLOCK_OTHER;
  *ret_bls = (struct grub_bls){ .there = true,
                                .first = p->bls_before == 0,
                                .last = others == p->bls_before };
  if (p->left || p->bls_maybe || strchr (p->chosen, '>'))
    ret_bls->there = false; /* not even if there is only one */
  if (!clear || !ret_bls->there)
    return NOT_CLEAR;
  if (numeric ? number < p->bls_before
              : find_in_menu (p, BLOCK_OTHER, p->chosen) != NOT_FOUND) {
    ret_bls->there = false;
    return find_default (p, p->chosen);
  }
  if (numeric &&
      asprintf (&ret_bls->key, "%lu", number - p->bls_before) == -1)
    ret_bls->key = NULL;
  else if (!numeric)
    ret_bls->key = steal_ptr (&p->chosen);
  return NOT_FOUND;
}

int
grub_default (char *text, struct grub_vars *vars, struct boot_entry *ret,
              struct grub_bls *ret_bls, struct err *e)
{
  struct parser p = { .vars = vars, .err = e, .pending = BLOCK_OTHER };
  bool clear;
  int r;

  *ret_bls = (struct grub_bls){ 0 };

  grub_set (vars, "prefix", "(config)", YES);
  grub_set (vars, "config_directory", "(config)", YES);
  r = parse (&p, text);
  if (r == 0 && vars->err.code) {
    *e = vars->err;
    r = -1;
  }
  if (r == 0 && !p.chosen && !(p.chosen = strdup ("0")))
    r = out_of_memory (&p);
  clear = !p.unclear && !p.left && !vars->late;
  if (r == 0 && p.bls)
    r = give_entry (&p, find_with_bls (&p, ret_bls, clear), ret);
  else if (r == 0 && clear)
    r = give_entry (&p, find_default (&p, p.chosen), ret);
  for (size_t i = 0; i < p.items.len; i++)
    boot_entry_free (&p.items.items[i].entry);
  free (p.items.items);
  free (p.chosen);
  return r;
}
