/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "volume/lvm2_text.h"

#include <string.h>

#include "base/vec.h"

/* Metadata nest four deep (volume group, logical_volumes, one, segment). */
#define MAX_DEPTH 16
/* 40 bytes each; a logical volume has about twenty. */
#define MAX_NODES 400000

DEFINE_VEC (text_node_vec, struct text_node)

struct lvm2_text {
  struct buf text;            /* keys and strings point into it */
  struct text_node_vec nodes; /* [0] is the file's section */
};

struct parser {
  struct lvm2_text *t;
  char *at;
  struct err *err;
};

void
lvm2_text_free (struct lvm2_text *t)
{
  if (!t)
    return;
  buf_free (&t->text);
  free (t->nodes.items);
  free (t);
}

static int
wrong (struct parser *p, const char *what)
{
  unsigned line = 1;

  /* Strings were cut with NULs where they ended; lines still count. */
  for (const char *c = p->t->text.data; c < p->at; c++)
    line += *c == '\n';
  return err_set (p->err, EINVAL, "line %u of the metadata: %s", line, what);
}

static void
skip_blanks (struct parser *p)
{
  for (;;) {
    p->at += strspn (p->at, " \t\r\n");
    if (*p->at != '#')
      return;
    p->at += strcspn (p->at, "\n");
  }
}

/* Returns the number of a new node, or 0. */
static uint32_t
node_new (struct parser *p, struct text_node node)
{
  struct text_node_vec *v = &p->t->nodes;

  if (v->len >= MAX_NODES)
    err_set (p->err, EFBIG, "more than %d values in the metadata", MAX_NODES);
  else if (text_node_vec_push (v, node) == -1)
    err_set (p->err, ENOMEM, "out of memory");
  else
    return (uint32_t) v->len - 1;
  return 0;
}

/* --- values ---------------------------------------------------------- */

/* Unescapes in place; p->at stands on the quote. */
static int
parse_string (struct parser *p, struct text_node *ret)
{
  char *from = p->at + 1, *to = from;

  ret->kind = TEXT_STRING;
  ret->string = to;
  for (; *from && *from != '"'; from++) {
    if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
      from++;
    *to++ = *from;
  }
  if (!*from)
    return wrong (p, "a string does not end");
  *to = '\0';
  p->at = from + 1;
  return 0;
}

/* Negative and floating ones, which nothing here asks for, become a text
 * without value. */
static int
parse_number (struct parser *p, struct text_node *ret)
{
  size_t digits = strspn (p->at, "0123456789");
  size_t len = strspn (p->at, "0123456789+-.eE");

  if (len == 0)
    return wrong (p, "no value where one should be");
  errno = 0;
  *ret = (struct text_node){ .kind = TEXT_NUMBER,
                             .key = ret->key,
                             .number = strtoull (p->at, NULL, 10) };
  if (digits != len)
    *ret = (struct text_node){ .kind = TEXT_STRING,
                               .key = ret->key,
                               .string = "" };
  else if (errno)
    return wrong (p, "a number is too large");
  p->at += len;
  return 0;
}

static int
parse_scalar (struct parser *p, struct text_node *ret)
{
  return *p->at == '"' ? parse_string (p, ret) : parse_number (p, ret);
}

/* p->at stands behind the bracket; the list is node LIST. */
static int
parse_list (struct parser *p, uint32_t list)
{
  uint32_t last = 0, i;

  for (skip_blanks (p); *p->at != ']'; skip_blanks (p)) {
    struct text_node n = { 0 };
    if (parse_scalar (p, &n) == -1 || !(i = node_new (p, n)))
      return -1;
    *(last ? &p->t->nodes.items[last].next : &p->t->nodes.items[list].child) =
        i;
    last = i;
    skip_blanks (p);
    if (*p->at == ',')
      p->at++;
    else if (*p->at != ']')
      return wrong (p, "a list does not end");
  }
  p->at++;
  return 0;
}

/* --- sections -------------------------------------------------------- */

static bool
is_key_char (char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c && strchr ("_-.+/@:", c));
}

static int parse_section (struct parser *p, uint32_t section, unsigned depth);

/* p->at stands behind the key of node I, which ends at KEY_END. */
static int
parse_value (struct parser *p, uint32_t i, char *key_end, unsigned depth)
{
  char c = *p->at;

  *key_end = '\0';
  if (c == '{') {
    p->at++;
    p->t->nodes.items[i].kind = TEXT_SECTION;
    return parse_section (p, i, depth + 1);
  }
  if (c != '=')
    return wrong (p, "neither '=' nor '{' behind a name");
  p->at++;
  skip_blanks (p);
  if (*p->at != '[')
    return parse_scalar (p, &p->t->nodes.items[i]);
  p->at++;
  p->t->nodes.items[i].kind = TEXT_LIST;
  return parse_list (p, i);
}

/* Up to its brace, or at depth 0 to the end. */
static int
parse_section (struct parser *p, uint32_t section, unsigned depth)
{
  uint32_t last = 0, i;
  char *key_end;

  if (depth > MAX_DEPTH)
    return wrong (p, "sections nest too deep");
  for (skip_blanks (p); *p->at && *p->at != '}'; skip_blanks (p)) {
    if (!is_key_char (*p->at))
      return wrong (p, "no name where one should be");
    i = node_new (p, (struct text_node){ .key = p->at });
    if (!i)
      return -1;
    *(last ? &p->t->nodes.items[last].next
           : &p->t->nodes.items[section].child) = i;
    last = i;
    while (is_key_char (*p->at))
      p->at++;
    key_end = p->at;
    skip_blanks (p);
    if (parse_value (p, i, key_end, depth) == -1)
      return -1;
  }
  if ((*p->at == '}') != (depth > 0))
    return wrong (p, depth ? "a section does not end" : "a '}' too many");
  p->at += depth > 0;
  return 0;
}

int
lvm2_text_parse (struct buf *text, struct lvm2_text **ret, struct err *e)
{
  struct lvm2_text *t = calloc (1, sizeof *t);
  struct parser p = { .t = t, .err = e };

  if (!t) {
    buf_free (text);
    return err_set (e, ENOMEM, "out of memory");
  }
  t->text = *text;
  *text = (struct buf){ 0 };
  p.at = t->text.data;
  if (!p.at || memchr (p.at, '\0', t->text.len)) {
    lvm2_text_free (t);
    return err_set (e, EINVAL, "the metadata are no text");
  }
  node_new (&p, (struct text_node){ .kind = TEXT_SECTION });
  if (t->nodes.len == 0 || parse_section (&p, 0, 0) == -1) {
    lvm2_text_free (t);
    return -1;
  }
  *ret = t;
  return 0;
}

/* --- questions ------------------------------------------------------- */

const struct text_node *
text_top (const struct lvm2_text *t)
{
  return t->nodes.items;
}

const struct text_node *
text_first (const struct lvm2_text *t, const struct text_node *of)
{
  return of->child ? &t->nodes.items[of->child] : NULL;
}

const struct text_node *
text_next (const struct lvm2_text *t, const struct text_node *n)
{
  return n->next ? &t->nodes.items[n->next] : NULL;
}

const struct text_node *
text_find (const struct lvm2_text *t, const struct text_node *section,
           const char *key, enum text_kind kind)
{
  for (const struct text_node *n = text_first (t, section); n;
       n = text_next (t, n))
    if (!strcmp (n->key, key))
      return n->kind == kind ? n : NULL;
  return NULL;
}

int
text_number (const struct lvm2_text *t, const struct text_node *section,
             const char *key, uint64_t *ret, struct err *e)
{
  const struct text_node *n = text_find (t, section, key, TEXT_NUMBER);

  if (!n)
    return err_set (e, EINVAL, "the metadata have no %s", key);
  *ret = n->number;
  return 0;
}

int
text_string (const struct lvm2_text *t, const struct text_node *section,
             const char *key, const char **ret, struct err *e)
{
  const struct text_node *n = text_find (t, section, key, TEXT_STRING);

  if (!n)
    return err_set (e, EINVAL, "the metadata have no %s", key);
  *ret = n->string;
  return 0;
}

bool
text_has_word (const struct lvm2_text *t, const struct text_node *section,
               const char *key, const char *word)
{
  const struct text_node *list = text_find (t, section, key, TEXT_LIST);
  const struct text_node *n = list ? text_first (t, list) : NULL;

  for (; n; n = text_next (t, n))
    if (n->kind == TEXT_STRING && !strcmp (n->string, word))
      return true;
  return false;
}
