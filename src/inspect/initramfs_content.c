/* xrayfs: which files of an initramfs count, and for what
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * initramfs-tools, dracut, mkinitcpio, mkinitfs (Alpine) and SUSE's mkinitrd
 * keep modules in lib/modules/VERSION, and load them by modalias.  Red Hat's
 * mkinitrd (until 5) puts them into lib, and its script loads them with
 * insmod (initramfs_init.c); booster puts them into usr/lib/modules, beside
 * its list of aliases.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/initramfs_priv.h"

#define MAX_TEXT    (8 * MiB)
#define MAX_SCRIPT  (1 * MiB) /* a larger init is a program */
#define MAX_CONFIGS 2000
/* Of all texts that are read: a file may pass by again and again. */
#define MAX_TEXTS (64 * MiB)

void
content_free (struct content *c)
{
  for (size_t i = 0; i < c->modprobe.len; i++) {
    free (c->modprobe.items[i].name);
    buf_free (&c->modprobe.items[i].text);
  }
  free (c->modprobe.items);
  for (size_t i = 0; i < c->direct.len; i++)
    free (c->direct.items[i]);
  free (c->direct.items);
  buf_free (&c->init);
}

/* --- names ----------------------------------------------------------- */

bool
module_name (const char *path, size_t len, char *to, size_t size)
{
  static const char *const endings[] = { ".ko",     ".ko.gz",  ".ko.xz",
                                         ".ko.zst", ".ko.bz2", ".ko.lzma" };
  const char *base = memrchr (path, '/', len);
  size_t n = base ? len - (size_t) (++base - path) : len, cut = 0;

  base = base ? base : path;
  for (size_t i = 0; i < ARRAY_SIZE (endings); i++) {
    size_t l = strlen (endings[i]);
    if (n > l && !memcmp (base + n - l, endings[i], l))
      cut = l;
  }
  if (cut == 0 || n - cut >= size)
    return false;
  for (size_t i = 0; i < n - cut; i++)
    to[i] = base[i] == '-' ? '_' : base[i];
  to[n - cut] = '\0';
  return true;
}

static const char *
without_usr (const char *name)
{
  return strncmp (name, "usr/", 4) ? name : name + 4;
}

/* "./usr/lib/modules/6.1/kernel/x.ko" -> "kernel/x.ko" if it is VERSION's. */
static const char *
below_modules (const char *name, const char *version)
{
  size_t len = strlen (version);

  name = without_usr (name);
  if (strncmp (name, "lib/modules/", 12) ||
      strncmp (name + 12, version, len) || name[12 + len] != '/')
    return NULL;
  return name + 12 + len + 1;
}

/* Is it another kernel's? */
static bool
is_below_other_modules (const char *name)
{
  name = without_usr (name);
  return !strncmp (name, "lib/modules/", 12) && strchr (name + 12, '/');
}

/* The name in its directory, and how much that counts; or NULL. */
static const char *
modprobe_config (const char *name, unsigned *ret_rank)
{
  static const char *const dirs[] = { "lib/modprobe.d/",
                                      "local/lib/modprobe.d/",
                                      "run/modprobe.d/", "etc/modprobe.d/" };
  size_t len;

  name = without_usr (name);
  for (unsigned i = 0; i < ARRAY_SIZE (dirs); i++)
    if (!strncmp (name, dirs[i], strlen (dirs[i]))) {
      name += strlen (dirs[i]);
      len = strlen (name);
      *ret_rank = i;
      return len > 5 && !strcmp (name + len - 5, ".conf") &&
                     !strchr (name, '/')
                 ? name
                 : NULL;
    }
  return NULL;
}

/* --- one file -------------------------------------------------------- */

static int
read_text (struct content *c, const struct initramfs_file *f, struct buf *to,
           struct err *e)
{
  char *data;

  if (f->size > MAX_TEXT || (c->texts += f->size) > MAX_TEXTS)
    return err_set (e, EFBIG, "%s is too large", f->name);
  buf_reset (to);
  data = buf_reserve (to, (size_t) f->size + 1);
  if (!data)
    return err_set (e, ENOMEM, "out of memory");
  if (f->read (f->arg, data, e) == -1)
    return -1;
  to->len += (size_t) f->size;
  buf_puts (to, "\n");
  return buf_check (to, e);
}

static int
add_module (struct name_vec *to, const char *path, struct err *e)
{
  char name[128], *copy;

  if (!module_name (path, strlen (path), name, sizeof name))
    return 0;
  copy = strdup (name);
  if (!copy || name_vec_push (to, copy) == -1) {
    free (copy);
    return err_set (e, ENOMEM, "out of memory");
  }
  return 0;
}

/* The place for the file NAME; NULL without an error: one that counts more
 * is there. */
static struct modprobe_file *
modprobe_place (struct content *c, const char *name, unsigned rank,
                struct err *e)
{
  struct modprobe_file fresh = { .rank = rank };

  for (size_t i = 0; i < c->modprobe.len; i++) {
    struct modprobe_file *p = &c->modprobe.items[i];
    if (strcmp (p->name, name))
      continue;
    if (p->rank > rank)
      return NULL;
    p->rank = rank;
    return p;
  }
  if (c->modprobe.len >= MAX_CONFIGS) {
    err_set (e, EFBIG, "more than %d files of modprobe.d", MAX_CONFIGS);
    return NULL;
  }
  fresh.name = strdup (name);
  if (!fresh.name || modprobe_vec_push (&c->modprobe, fresh) == -1) {
    free (fresh.name);
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  return &c->modprobe.items[c->modprobe.len - 1];
}

static int
take_modprobe (struct content *c, const struct initramfs_file *f,
               const char *name, unsigned rank, struct err *e)
{
  struct modprobe_file *p;

  /* A link to another of these files says what that one says. */
  if (!f->regular && (!f->target || strcmp (f->target, "/dev/null")))
    return 0;
  p = modprobe_place (c, name, rank, e);
  if (!p)
    return e->code ? -1 : 0;
  buf_reset (&p->text);
  if (!f->regular || read_text (c, f, &p->text, e) == 0)
    return 0;
  if (e->code != ENOTSUP)
    return -1;
  if (!c->out->modprobe_why.code)
    c->out->modprobe_why = *e;
  err_clear (e);
  return 0;
}

/* What is there in a form that is not read is as good as not there: each of
 * these has another source. */
static int
take_text (struct content *c, const struct initramfs_file *f, struct buf *to,
           struct err *e)
{
  if (!f->regular || read_text (c, f, to, e) == 0)
    return 0;
  if (e->code != ENOTSUP)
    return -1;
  buf_reset (to);
  err_clear (e);
  return 0;
}

/* The kernel starts /init of an initramfs, and /linuxrc of an initrd.  What
 * is large is a program. */
static int
take_init (struct content *c, const struct initramfs_file *f, bool linuxrc,
           struct err *e)
{
  if (linuxrc && c->init.len && !c->init_is_linuxrc)
    return 0;
  buf_reset (&c->init);
  c->init_is_linuxrc = linuxrc;
  return f->size <= MAX_SCRIPT ? take_text (c, f, &c->init, e) : 0;
}

/* Files by which it is known what made the initramfs, and so what counts on
 * the command line. */
static void
note_maker (struct content *c, const char *name)
{
  struct initramfs *out = c->out;

  if (!strcmp (name, "lib/modules/booster.alias"))
    c->booster = true;
  else if (!strcmp (name, "scripts/init-top/blacklist"))
    out->takes_blacklist = true;
  else if (!strcmp (name, "sbin/nlplug-findfs"))
    out->mkinitfs = true;
  else if (!strcmp (name, "lib/systemd/systemd"))
    out->systemd = true;
  else if (!strncmp (name, "lib/dracut", 10))
    out->dracut = true;
}

int
content_take (struct content *c, const struct initramfs_file *f,
              struct err *e)
{
  const char *name = f->name, *below, *config;
  unsigned rank;

  if (c->fn)
    c->fn (c->fn_arg, name);
  while (!strncmp (name, "./", 2) || *name == '/')
    name += *name == '/' ? 1 : 2;
  below = below_modules (name, c->version);
  if (below && !strcmp (below, "modules.dep"))
    return take_text (c, f, &c->out->modules_dep, e);
  if (below && !strcmp (below, "modules.builtin"))
    return take_text (c, f, &c->out->builtin, e);
  if (below)
    return add_module (&c->out->modules, below, e);
  config = modprobe_config (name, &rank);
  if (config)
    return take_modprobe (c, f, config, rank, e);
  if (!strcmp (name, "conf/modules"))
    return take_text (c, f, &c->out->forced, e);
  if (!strcmp (name, "init") || !strcmp (name, "linuxrc"))
    return take_init (c, f, *name == 'l', e);
  note_maker (c, without_usr (name));
  return is_below_other_modules (name) ? 0 : add_module (&c->direct, name, e);
}

/* --- all of them ----------------------------------------------------- */

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static int
compare_modprobe (const void *a, const void *b)
{
  const struct modprobe_file *x = a, *y = b;

  return strcmp (x->name, y->name);
}

static void
sort_names (struct name_vec *v)
{
  if (v->len)
    qsort (v->items, v->len, sizeof (char *), compare_names);
}

static bool
has_name (const struct name_vec *v, const char *name)
{
  return v->len &&
         bsearch (&name, v->items, v->len, sizeof (char *), compare_names);
}

bool
initramfs_has (const struct initramfs *i, const char *module)
{
  return has_name (&i->modules, module);
}

bool
initramfs_inserts (const struct initramfs *i, const char *module)
{
  return has_name (&i->inserted, module);
}

bool
initramfs_may_have (const struct initramfs *i, const char *module)
{
  return has_name (&i->elsewhere, module);
}

/* Of a module that init inserts, if it is there. */
struct insertion {
  struct content *content;
  struct err *err;
};

static int
insert (void *arg, const char *path)
{
  struct insertion *i = arg;
  struct content *c = i->content;
  char name[128];

  if (!module_name (path, strlen (path), name, sizeof name) ||
      !has_name (&c->direct, name))
    return 0;
  buf_printf (&c->out->layout, "init inserts %s\n", path);
  if (add_module (&c->out->inserted, path, i->err) == -1)
    return -1;
  return add_module (&c->out->modules, path, i->err);
}

/* Modules outside lib/modules/VERSION: booster's list of aliases is of all of
 * them; else init inserts those that it names. */
static int
add_direct (struct content *c, struct err *e)
{
  struct insertion i = { c, e };
  enum init_kind kind;

  sort_names (&c->direct);
  if (!c->booster && (!c->direct.len || !c->init.len))
    return 0;
  if (c->booster) {
    for (size_t k = 0; k < c->direct.len; k++) {
      if (name_vec_push (&c->out->modules, c->direct.items[k]) == -1)
        return err_set (e, ENOMEM, "out of memory");
      c->direct.items[k] = NULL;
    }
    c->direct.len = 0;
    return 0;
  }
  kind = init_script (c->init.data, insert, &i);
  if (kind == INIT_NO_MEMORY)
    return -1;
  if (kind != INIT_UNDERSTOOD)
    return 0;
  buf_puts (&c->out->layout, "init is a script for nash, which loads no"
                             " other modules than those\n");
  for (size_t k = 0; k < c->direct.len; k++)
    free (c->direct.items[k]);
  c->direct.len = 0;
  return 0;
}

int
content_finish (struct content *c, struct err *e)
{
  struct initramfs *out = c->out;

  if (c->modprobe.len)
    qsort (c->modprobe.items, c->modprobe.len, sizeof *c->modprobe.items,
           compare_modprobe);
  for (size_t i = 0; i < c->modprobe.len; i++)
    buf_puts (&out->modprobe, buf_str (&c->modprobe.items[i].text));
  if (add_direct (c, e) == -1)
    return -1;
  sort_names (&out->modules);
  sort_names (&out->inserted);
  out->elsewhere = c->direct;
  c->direct = (struct name_vec){ 0 };
  return buf_check (&out->modprobe, e);
}
