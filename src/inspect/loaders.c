/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/loaders.h"

#include <ctype.h>
#include <string.h>

#include "base/vec.h"
#include "inspect/image_priv.h"

/* A menu of more is none that people made. */
#define MAX_ENTRIES 1000
/* Nor is a list of files of more bytes. */
#define MAX_LIST (16 * 1024)

DEFINE_VEC (entry_vec, struct boot_entry)

/* The entries of a configuration; the last one is being filled. */
struct menu {
  struct entry_vec entries;
  struct boot_entry global; /* what stands before the first: defaults */
  char *chosen;             /* name or number of the default, or NULL */
  char *after_waiting;      /* the label that starts then instead, or NULL */
  bool in_entry;
  bool hypervisor; /* `kernel` was Xen: Linux is the first `module` */
  struct err *err;
};

static int
no_memory (struct menu *m)
{
  return err_set (m->err, ENOMEM, "out of memory");
}

static struct boot_entry *
current (struct menu *m)
{
  return m->in_entry ? &m->entries.items[m->entries.len - 1] : &m->global;
}

static int
set (struct menu *m, char **field, const char *value)
{
  char *copy = strdup (value);

  if (!copy)
    return no_memory (m);
  free (*field);
  *field = copy;
  return 0;
}

/* Joins with a blank; commas separate too. */
static int
add_words (struct menu *m, char **field, const char *value)
{
  char *whole;

  if (*field && strlen (*field) > MAX_LIST)
    return err_set (m->err, EFBIG, "a list of more than %d bytes", MAX_LIST);
  if (asprintf (&whole, "%s%s%s", *field ? *field : "", *field ? " " : "",
                value) == -1)
    return no_memory (m);
  for (char *p = whole; *p; p++)
    if (*p == ',')
      *p = ' ';
  free (*field);
  *field = whole;
  return 0;
}

static int
begin_entry (struct menu *m, const char *title)
{
  if (m->entries.len >= MAX_ENTRIES)
    return err_set (m->err, EFBIG, "more than %d entries", MAX_ENTRIES);
  if (entry_vec_push (&m->entries, (struct boot_entry){ 0 }) == -1)
    return no_memory (m);
  m->in_entry = true;
  return set (m, &current (m)->title, title);
}

static void
cleanup_menu (struct menu *m)
{
  for (size_t i = 0; i < m->entries.len; i++)
    boot_entry_free (&m->entries.items[i]);
  free (m->entries.items);
  boot_entry_free (&m->global);
  free (m->chosen);
  free (m->after_waiting);
}
#define MENU(name, error)                                                    \
  __attribute__ ((cleanup (cleanup_menu))) struct menu name = { .err = error }

/* Gives entry I away. */
static int
take (struct menu *m, size_t i, struct boot_entry *ret)
{
  if (i >= m->entries.len || !m->entries.items[i].linux_path)
    return 0;
  *ret = m->entries.items[i];
  m->entries.items[i] = (struct boot_entry){ 0 };
  return 1;
}

static int
take_title (struct menu *m, const char *title, bool any_case,
            struct boot_entry *ret)
{
  for (size_t i = 0; title && i < m->entries.len; i++) {
    const char *t = m->entries.items[i].title;
    if (any_case ? !strcasecmp (t, title) : !strcmp (t, title))
      return take (m, i, ret);
  }
  return 0;
}

/* Cuts LINE into a key and a value at blanks or '='; comments and empty
 * lines have none.  *RET_VALUE is "" where there is none. */
static char *
cut (char *line, const char *separators, char **ret_value)
{
  char *key = line + strspn (line, " \t"), *end;
  size_t len;

  len = strcspn (key, separators);
  *ret_value = key + len;
  if (key[len]) {
    key[len] = '\0';
    *ret_value += 1 + strspn (*ret_value + 1, separators);
  }
  end = *ret_value + strlen (*ret_value);
  while (end > *ret_value && isspace ((unsigned char) end[-1]))
    *--end = '\0';
  return *key && *key != '#' ? key : NULL;
}

static int
each (struct menu *m, char *text, int (*fn) (void *, char *))
{
  return each_line (text, fn, m) ? -1 : 0;
}

/* --- GRUB 0.97 ------------------------------------------------------- */

/* kernel [--type=T] [--no-mem-option] FILE OPTIONS */
static int
grub_legacy_kernel (struct menu *m, char *value)
{
  struct boot_entry *b = current (m);
  char *options;

  while (!strncmp (value, "--", 2)) {
    value += strcspn (value, " \t");
    value += strspn (value, " \t");
  }
  cut (value, " \t", &options);
  return set (m, &b->linux_path, value) || set (m, &b->options, options);
}

/* Xen's entries start the hypervisor as `kernel`, and Linux as the first
 * `module`, its initrd as the second. */
static int
grub_legacy_module (struct menu *m, char *value)
{
  struct boot_entry *b = current (m);

  if (m->hypervisor) {
    m->hypervisor = false;
    return grub_legacy_kernel (m, value);
  }
  value[strcspn (value, " \t")] = '\0';
  return add_words (m, &b->initrd_path, value);
}

/* /xen.gz, /boot/xen-4.1-amd64.gz */
static bool
is_hypervisor (const char *path)
{
  const char *base = strrchr (path, '/');

  return !strncmp (base ? base + 1 : path, "xen", 3);
}

static int
grub_legacy_line (void *arg, char *line)
{
  struct menu *m = arg;
  char *value, *key = cut (line, " \t=", &value);

  if (!key)
    return 0;
  if (!strcmp (key, "default") && !m->in_entry)
    return set (m, &m->chosen, value);
  if (!strcmp (key, "title"))
    return begin_entry (m, value);
  if (!m->in_entry)
    return 0;
  if (!strcmp (key, "kernel")) {
    if (grub_legacy_kernel (m, value))
      return -1;
    m->hypervisor = is_hypervisor (current (m)->linux_path);
    return 0;
  }
  if (!strcmp (key, "module") || !strcmp (key, "modulenounzip"))
    return grub_legacy_module (m, value);
  if (!strcmp (key, "initrd"))
    return add_words (m, &current (m)->initrd_path, value);
  return 0;
}

int
grub_legacy_default (char *text, const char *saved, struct boot_entry *ret,
                     struct err *e)
{
  MENU (m, e);
  const char *number;
  char *end;
  unsigned long i;

  if (each (&m, text, grub_legacy_line) == -1)
    return -1;
  number = m.chosen && strcmp (m.chosen, "saved") ? m.chosen
           : m.chosen                             ? saved
                                                  : "0";
  if (!number || !isdigit ((unsigned char) *number))
    return take (&m, 0, ret); /* nothing was saved yet: the first */
  i = strtoul (number, &end, 10);
  /* A number that is not there shows the menu and waits. */
  return take (&m, i, ret);
}

/* --- syslinux -------------------------------------------------------- */

/* The words of APPEND but initrd=, which goes where INITRD does. */
static int
syslinux_append (struct menu *m, char *value)
{
  CLEANUP_BUF struct buf options = { 0 };
  struct boot_entry *b = current (m);
  char *word, *save = NULL;

  if (!strcmp (value, "-"))
    return set (m, &b->options, ""); /* not the global one */
  for (word = strtok_r (value, " \t", &save); word;
       word = strtok_r (NULL, " \t", &save)) {
    if (strncmp (word, "initrd=", 7) != 0)
      buf_add_word (&options, word);
    else if (add_words (m, &b->initrd_path, word + 7))
      return -1;
  }
  if (buf_check (&options, m->err) == -1)
    return -1;
  free (b->options);
  b->options = options.data;
  options = (struct buf){ 0 };
  return 0;
}

static int
syslinux_line (void *arg, char *line)
{
  struct menu *m = arg;
  char *value, *key = cut (line, " \t", &value);

  if (!key)
    return 0;
  if (!strcasecmp (key, "label"))
    return begin_entry (m, value);
  if (!strcasecmp (key, "default"))
    return set (m, &m->chosen, value);
  if (!strcasecmp (key, "ontimeout"))
    return set (m, &m->after_waiting, value);
  if (!strcasecmp (key, "menu") && !strcasecmp (value, "default") &&
      m->in_entry)
    return set (m, &m->chosen, current (m)->title);
  if (!strcasecmp (key, "kernel") || !strcasecmp (key, "linux"))
    return m->in_entry ? set (m, &current (m)->linux_path, value) : 0;
  if (!strcasecmp (key, "initrd"))
    return add_words (m, &current (m)->initrd_path, value);
  if (!strcasecmp (key, "append"))
    return syslinux_append (m, value);
  return 0;
}

int
syslinux_default (char *text, struct boot_entry *ret, struct err *e)
{
  MENU (m, e);
  int r;

  if (each (&m, text, syslinux_line) == -1)
    return -1;
  /* Whether it waits depends on more than is read here. */
  if (m.after_waiting &&
      (!m.chosen || strcasecmp (m.chosen, m.after_waiting)))
    return 0;
  /* DEFAULT may name a label with options behind it; or a menu system
   * (vesamenu.c32), whose own default is the first label. */
  if (m.chosen)
    m.chosen[strcspn (m.chosen, " \t")] = '\0';
  if (m.chosen && strlen (m.chosen) > 4 &&
      !strcasecmp (m.chosen + strlen (m.chosen) - 4, ".c32"))
    r = take (&m, 0, ret);
  else
    r = m.chosen ? take_title (&m, m.chosen, true, ret) : take (&m, 0, ret);
  if (r == 1 && !ret->options && m.global.options)
    ret->options = steal_ptr (&m.global.options);
  if (r == 1 && !ret->initrd_path && m.global.initrd_path)
    ret->initrd_path = steal_ptr (&m.global.initrd_path);
  return r;
}

/* --- zipl and LILO: KEY = VALUE -------------------------------------- */

static char *
unquoted (char *value)
{
  size_t len = strlen (value);

  if (len >= 2 && (*value == '"' || *value == '\'') &&
      value[len - 1] == *value) {
    value[len - 1] = '\0';
    value++;
  }
  return value;
}

static int
zipl_line (void *arg, char *line)
{
  struct menu *m = arg;
  char *start = line + strspn (line, " \t"), *key, *value;

  if (*start == '[' || *start == ':') { /* [section] and :menu */
    start[strcspn (start, "]")] = '\0';
    return begin_entry (m, start + (*start == '['));
  }
  key = cut (line, " \t=", &value);
  if (!key || !m->in_entry)
    return 0;
  value = unquoted (value);
  if (!strcmp (key, "default") && !strcmp (current (m)->title, "defaultboot"))
    return set (m, &m->chosen, value);
  if (!strcmp (key, "image"))
    value[strcspn (value, ",")] = '\0'; /* ,ADDRESS */
  if (!strcmp (key, "image"))
    return set (m, &current (m)->linux_path, value);
  if (!strcmp (key, "ramdisk")) {
    value[strcspn (value, ",")] = '\0';
    return set (m, &current (m)->initrd_path, value);
  }
  if (!strcmp (key, "parameters"))
    return set (m, &current (m)->options, value);
  return 0;
}

int
zipl_default (char *text, struct boot_entry *ret, struct err *e)
{
  MENU (m, e);

  if (each (&m, text, zipl_line) == -1)
    return -1;
  return take_title (&m, m.chosen, false, ret);
}

static int
lilo_line (void *arg, char *line)
{
  struct menu *m = arg;
  char *value, *key = cut (line, " \t=", &value);
  struct boot_entry *b = current (m);

  if (!key)
    return 0;
  value = unquoted (value);
  if (!strcmp (key, "default") && !m->in_entry)
    return set (m, &m->chosen, value);
  if (!strcmp (key, "image") || !strcmp (key, "other")) {
    const char *base = strrchr (value, '/');
    if (begin_entry (m, base ? base + 1 : value))
      return -1;
    return *key == 'o' ? 0 : set (m, &current (m)->linux_path, value);
  }
  if (!strcmp (key, "label"))
    return m->in_entry ? set (m, &b->title, value) : 0;
  if (!strcmp (key, "initrd"))
    return set (m, &b->initrd_path, value);
  if (!strcmp (key, "append"))
    return set (m, &b->options, value);
  return 0;
}

int
lilo_default (char *text, struct boot_entry *ret, struct err *e)
{
  MENU (m, e);
  int r;

  if (each (&m, text, lilo_line) == -1)
    return -1;
  r = m.chosen ? take_title (&m, m.chosen, false, ret) : take (&m, 0, ret);
  if (r == 1 && !ret->initrd_path && m.global.initrd_path)
    ret->initrd_path = steal_ptr (&m.global.initrd_path);
  if (r == 1 && !ret->options && m.global.options)
    ret->options = steal_ptr (&m.global.options);
  return r;
}

/* --- systemd-boot ---------------------------------------------------- */

char *
systemd_boot_default (const char *text)
{
  const char *found = NULL;

  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n') {
    p += strspn (p, " \t");
    if (!strncmp (p, "default", 7) && (p[7] == ' ' || p[7] == '\t'))
      found = p + 7 + strspn (p + 7, " \t");
  }
  return found ? strndup (found, strcspn (found, " \t\r\n")) : NULL;
}
