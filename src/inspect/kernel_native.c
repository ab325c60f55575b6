/* xrayfs: are the kernels the distribution's own?
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A kernel is native if a package owns its image, and whoever made that
 * package also made one that every system of the distribution has
 * (base-files, filesystem, ...).  Owned by nobody, or by a package that was
 * made at home, it is not.  A package of somebody else's is left unknown:
 * distributions that are built from another's packages ship kernels under
 * their own name.  What a module says of its build is evidence besides.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/module_info.h"
#include "inspect/rpm.h"

#define DATABASE_MAX ((size_t) 64 << 20)
/* The newest kernels only: each is looked for in every package. */
#define MAX_ASKED 16
#define N_PATHS   6

struct owner {
  char *paths[N_PATHS]; /* that the kernel's package would own; or NULL */
  const char *version;
  char *package; /* which does, or NULL */
  char *path;    /* which of them */
  char *maker;   /* vendor or maintainer; NULL: does not say */
  bool homemade;
  char *not_read; /* the package's file list, which could not be read */
};

struct search {
  const struct vfs *v;
  struct owner *owners;
  size_t n;
  const char *database;
  char *base, *base_maker; /* a package of the distribution, and its maker */
  struct err *err;
};

static void
cleanup_search (struct search *s)
{
  for (size_t i = 0; i < s->n; i++) {
    struct owner *o = &s->owners[i];
    for (size_t k = 0; k < N_PATHS; k++)
      free (o->paths[k]);
    free (o->package);
    free (o->path);
    free (o->maker);
    free (o->not_read);
  }
  free (s->owners);
  free (s->base);
  free (s->base_maker);
}

static int
no_memory (struct err *e)
{
  return err_set (e, ENOMEM, "out of memory");
}

/* modules.builtin is made with the kernel, whatever name its image has in
 * /boot (Arch copies it there, and Fedora does where /boot is no place for
 * packages' files). */
static int
fill_paths (struct owner *o, const struct kernel *k, struct err *e)
{
  static const char *const formats[N_PATHS - 1] = {
    "/boot/vmlinuz-%s", "/lib/modules/%s/vmlinuz",
    "/usr/lib/modules/%s/vmlinuz", "/lib/modules/%s/modules.builtin",
    "/usr/lib/modules/%s/modules.builtin"
  };

  o->version = k->version;
  if (k->image && !(o->paths[0] = strdup (k->image)))
    return no_memory (e);
  for (size_t i = 0; i < ARRAY_SIZE (formats); i++) {
    CLEANUP_BUF struct buf path = { 0 };
    const char *at = strchr (formats[i], '%');
    buf_printf (&path, "%.*s%s%s", (int) (at - formats[i]), formats[i],
                k->version, at + 2);
    if (buf_check (&path, e) == -1)
      return -1;
    o->paths[i + 1] = path.data;
    path = (struct buf){ 0 };
  }
  return 0;
}

/* --- what was found -------------------------------------------------- */

/* O's kernel is PACKAGE's, which has PATH.  The first counts. */
static int
found_owner (struct owner *o, const char *package, const char *path,
             const char *maker, bool homemade, struct err *e)
{
  if (o->package)
    return 0;
  o->package = strdup (package);
  o->path = strdup (path);
  o->maker = maker && *maker ? strdup (maker) : NULL;
  o->homemade = homemade;
  return o->package && o->path && (o->maker || !maker || !*maker)
             ? 0
             : no_memory (e);
}

/* Remembers the maker of the first of BASES that is met. */
static int
found_base (struct search *s, const char *package, const char *maker)
{
  static const char *const bases[] = { "base-files", "filesystem",
                                       "setup",      "alpine-baselayout",
                                       "glibc",      "bash" };

  if (s->base || !maker || !*maker)
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE (bases); i++)
    if (!strcmp (package, bases[i])) {
      s->base = strdup (package);
      s->base_maker = strdup (maker);
      return s->base && s->base_maker ? 0 : no_memory (s->err);
    }
  return 0;
}

/* The last two labels of the address in "A Name <name@lists.debian.org>". */
static const char *
address_domain (const char *maker, size_t *ret_len)
{
  const char *at = strrchr (maker, '@'), *end, *p;
  unsigned dots = 0;

  if (!at)
    return NULL;
  end = at + strcspn (at, "> \t");
  for (p = end; p > at + 1; p--)
    if (p[-1] == '.' && ++dots == 2)
      break;
  *ret_len = (size_t) (end - p);
  return dots && *ret_len ? p : NULL;
}

/* One organisation: people have addresses there; a vendor's name may have
 * grown longer (Rocky, Rocky Enterprise Software Foundation). */
static bool
same_maker (const char *a, const char *b)
{
  size_t la, lb, len = MIN (strlen (a), strlen (b));
  const char *da = address_domain (a, &la), *db = address_domain (b, &lb);

  if (da && db)
    return la == lb && !strncasecmp (da, db, la);
  return !strncmp (a, b, len) && strchr (" ,", a[len]) &&
         strchr (" ,", b[len]);
}

static int
judge (const struct search *s, const struct owner *o, struct fact *f,
       struct err *e)
{
  if (!o->package && o->not_read)
    return fact_unknown (f, e, "%s: %s", s->database, o->not_read);
  if (!o->package) {
    fact_evidence (f, "%s: no package owns %s", s->database,
                   o->paths[0] ? o->paths[0] : o->paths[2]);
    return fact_set (f, e, "no");
  }
  fact_evidence (f, "%s: %s owns %s, made by: %s", s->database, o->package,
                 o->path, o->maker ? o->maker : "(not said)");
  fact_evidence (f, "%s: %s, made by: %s", s->database,
                 s->base ? s->base : "no package of the base system",
                 s->base ? s->base_maker : "(not said)");
  if (!s->base)
    return fact_unknown (f, e,
                         "package %s has it, and no package says who makes"
                         " this distribution's",
                         o->package);
  if (o->homemade) {
    fact_evidence (f, "%s was not built by a distribution", o->package);
    return fact_set (f, e, "no");
  }
  if (!o->maker)
    return fact_unknown (f, e, "package %s does not say who made it",
                         o->package);
  if (same_maker (o->maker, s->base_maker))
    return fact_set (f, e, "yes");
  return fact_unknown (f, e, "package %s is made by '%s', and %s by '%s'",
                       o->package, o->maker, s->base, s->base_maker);
}

/* --- dpkg and apk: paragraphs of lines -------------------------------- */

/* The value of KEY in the paragraph P, which ends with a NUL; to be freed. */
static char *
field (const char *p, const char *key)
{
  for (size_t len = strlen (key); *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, key, len))
      return strndup (p + len, strcspn (p + len, "\n"));
  return NULL;
}

/* 1, or 0 if there is no such file. */
static int
paragraphs (struct search *s, int (*fn) (struct search *, const char *))
{
  CLEANUP_BUF struct buf text = { 0 };
  char *p, *end, *next;

  if (vfs_read (s->v, s->database, DATABASE_MAX, &text, s->err) == -1) {
    if (!err_is_absent (s->err))
      return -1;
    err_clear (s->err);
    return 0;
  }
  for (p = text.data; p && *p; p = next) {
    end = strstr (p, "\n\n");
    next = end ? end + 2 + strspn (end + 2, "\n") : p + strlen (p);
    if (end)
      end[1] = '\0';
    if (fn (s, p) == -1)
      return -1;
  }
  return 1;
}

/* Is PATH one of the lines of TEXT? */
static bool
has_line (const char *text, const char *path)
{
  size_t len = strlen (path);

  for (const char *p = text; *p; p += strcspn (p, "\n"), p += *p == '\n')
    if (!strncmp (p, path, len) && (p[len] == '\n' || !p[len]))
      return true;
  return false;
}

/* What the kernel's own `make deb-pkg` and Debian's make-kpkg leave. */
static bool
deb_is_homemade (const char *maintainer, const char *source)
{
  return (maintainer && strstr (maintainer, "kernel-pkg.conf")) ||
         (maintainer && !strncmp (maintainer, "Anonymous <", 11)) ||
         (source && !strncmp (source, "linux-upstream", 14));
}

/* 1: TEXT is PACKAGE's file list; 0: it is not there. */
static int
dpkg_list (struct search *s, const char *package, const char *arch,
           struct buf *text)
{
  CLEANUP_BUF struct buf plain = { 0 }, with_arch = { 0 };
  int r;

  buf_printf (&plain, "/var/lib/dpkg/info/%s.list", package);
  buf_printf (&with_arch, "/var/lib/dpkg/info/%s:%s.list", package,
              arch ? arch : "");
  if (buf_check (&plain, s->err) == -1 ||
      buf_check (&with_arch, s->err) == -1)
    return -1;
  r = guest_text (s->v, buf_str (&plain), text, s->err);
  return r ? r : guest_text (s->v, buf_str (&with_arch), text, s->err);
}

static int
dpkg_kernel (struct search *s, struct owner *o, const char *paragraph,
             const char *package, const char *maintainer)
{
  CLEANUP_FREE char *source = field (paragraph, "Source: "),
                    *arch = field (paragraph, "Architecture: ");
  CLEANUP_BUF struct buf text = { 0 };
  int r = dpkg_list (s, package, arch, &text);

  if (r == -1)
    return -1;
  if (r == 0) {
    if (!o->not_read &&
        asprintf (&o->not_read, "the file list of %s is not there",
                  package) == -1) {
      o->not_read = NULL;
      return no_memory (s->err);
    }
    return 0;
  }
  for (size_t i = 0; i < N_PATHS; i++)
    if (o->paths[i] && has_line (buf_str (&text), o->paths[i]))
      return found_owner (o, package, o->paths[i], maintainer,
                          deb_is_homemade (maintainer, source), s->err);
  return 0;
}

/* Debian's kernels have their version in the package's name. */
static int
dpkg_paragraph (struct search *s, const char *p)
{
  CLEANUP_FREE char *name = field (p, "Package: "),
                    *status = field (p, "Status: "),
                    *maintainer = field (p, "Maintainer: ");

  if (!name || !status || !strstr (status, " installed"))
    return 0;
  if (found_base (s, name, maintainer) == -1)
    return -1;
  for (size_t i = 0; i < s->n; i++)
    if (!s->owners[i].package && strstr (name, s->owners[i].version) &&
        !strstr (name, "headers") &&
        dpkg_kernel (s, &s->owners[i], p, name, maintainer) == -1)
      return -1;
  return 0;
}

static int
from_dpkg (struct search *s)
{
  s->database = "/var/lib/dpkg/status";
  return paragraphs (s, dpkg_paragraph);
}

/* "F:boot" is a directory, and "R:vmlinuz-virt" a file in the last one. */
static bool
apk_owns (const char *paragraph, const char *path)
{
  const char *base = strrchr (path, '/') + 1;
  size_t dir_len = (size_t) (base - path) - 2, base_len = strlen (base);
  bool here = false;

  for (const char *p = paragraph; *p;
       p += strcspn (p, "\n"), p += *p == '\n') {
    size_t len = strcspn (p, "\n");
    if (!strncmp (p, "F:", 2))
      here = len == dir_len + 2 && !strncmp (p + 2, path + 1, dir_len);
    else if (here && len == base_len + 2 && !strncmp (p, "R:", 2) &&
             !strncmp (p + 2, base, base_len))
      return true;
  }
  return false;
}

static int
apk_paragraph (struct search *s, const char *p)
{
  CLEANUP_FREE char *name = field (p, "P:"), *maintainer = field (p, "m:");

  if (!name)
    return 0;
  if (found_base (s, name, maintainer) == -1)
    return -1;
  for (size_t i = 0; i < s->n; i++)
    for (size_t k = 0; k < N_PATHS; k++)
      if (s->owners[i].paths[k] && apk_owns (p, s->owners[i].paths[k]) &&
          found_owner (&s->owners[i], name, s->owners[i].paths[k], maintainer,
                       false, s->err) == -1)
        return -1;
  return 0;
}

static int
from_apk (struct search *s)
{
  static const char *const paths[] = { "/lib/apk/db/installed",
                                       "/usr/lib/apk/db/installed" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (paths); i++) {
    s->database = paths[i];
    r = paragraphs (s, apk_paragraph);
  }
  return r;
}

/* --- rpm ------------------------------------------------------------- */

/* `make rpm-pkg` gives no vendor. */
static int
rpm_package (void *arg, const struct rpm_header *h)
{
  struct search *s = arg;
  const char *name = rpm_string (h, RPM_NAME),
             *vendor = rpm_string (h, RPM_VENDOR);

  if (!name)
    return err_set (s->err, EIO, "a package without a name");
  if (found_base (s, name, vendor) == -1)
    return -1;
  for (size_t i = 0; i < s->n; i++) {
    struct owner *o = &s->owners[i];
    for (size_t k = 0; !o->package && k < N_PATHS; k++)
      if (o->paths[k] && rpm_owns (h, o->paths[k]) &&
          found_owner (o, name, o->paths[k], vendor, !vendor, s->err) == -1)
        return -1;
  }
  return 0;
}

static int
from_rpm (struct search *s)
{
  return rpm_each (s->v, rpm_package, s, &s->database, s->err);
}

/* --- pacman ---------------------------------------------------------- */

/* The line behind "%KEY%" in a desc file, to be freed, or NULL. */
static char *
desc_value (const char *text, const char *key)
{
  const char *p = strstr (text, key);

  if (!p)
    return NULL;
  p += strlen (key);
  return strndup (p, strcspn (p, "\n"));
}

/* The text of FILE of the package in the database's directory DIR. */
static int
pacman_file (struct search *s, const char *dir, const char *file,
             struct buf *text)
{
  CLEANUP_FREE char *path = NULL;

  if (asprintf (&path, "%s/%s/%s", s->database, dir, file) == -1) {
    path = NULL;
    return no_memory (s->err);
  }
  return guest_text (s->v, path, text, s->err);
}

/* Of several kernels' packages each has its own list. */
static int
pacman_package (struct search *s, const char *dir)
{
  CLEANUP_BUF struct buf desc = { 0 }, files = { 0 };
  int r = pacman_file (s, dir, "desc", &desc);

  if (r != 1)
    return r;
  CLEANUP_FREE char *name = desc_value (buf_str (&desc), "%NAME%\n"),
                    *packager = desc_value (buf_str (&desc), "%PACKAGER%\n");
  bool homemade = packager && !strcmp (packager, "Unknown Packager");
  if (!name || found_base (s, name, packager) == -1)
    return name ? -1 : err_set (s->err, EIO, "%s/desc: no name in it", dir);
  if (pacman_file (s, dir, "files", &files) == -1)
    return -1;
  for (size_t i = 0; i < s->n; i++)
    for (size_t k = 0; k < N_PATHS; k++) /* without the first slash */
      if (s->owners[i].paths[k] &&
          has_line (buf_str (&files), s->owners[i].paths[k] + 1) &&
          found_owner (&s->owners[i], name, s->owners[i].paths[k], packager,
                       homemade, s->err) == -1)
        return -1;
  return 0;
}

static int
from_pacman (struct search *s)
{
  CLEANUP_NAMES struct names dirs = { .prefix = "", .suffix = "" };

  s->database = "/var/lib/pacman/local";
  if (names_in (s->v, s->database, &dirs, s->err) == -1)
    return -1;
  for (size_t i = 0; i < dirs.list.len; i++)
    if (pacman_package (s, dirs.list.items[i]) == -1)
      return -1;
  return dirs.list.len > 0;
}

/* --- the answers ----------------------------------------------------- */

/* The first database that is there, in the order of packages_format. */
static int
read_databases (struct search *s)
{
  static int (*const readers[]) (struct search *) = { from_dpkg, from_rpm,
                                                      from_apk, from_pacman };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (readers); i++)
    r = readers[i](s);
  return r;
}

static int
all_unknown (struct natives *n, struct err *why)
{
  struct fact *first = &n->items[0];

  if (fact_could_not_look (first, why) == -1)
    return -1;
  for (size_t i = 1; i < n->n; i++)
    if (fact_unknown (&n->items[i], why, "%s", first->reason) == -1)
      return -1;
  return 0;
}

static int
set_natives (const struct search *s, const struct boot *b, bool database,
             struct natives *n)
{
  for (size_t i = 0; i < n->n; i++) {
    struct fact *f = &n->items[i];
    int r;

    if (!database)
      r = fact_unknown (f, s->err, "no package database");
    else if (i >= s->n)
      r = fact_unknown (f, s->err, "one of more than %d kernels", MAX_ASKED);
    else
      r = judge (s, &s->owners[i], f, s->err);
    if (r == -1 ||
        (i < s->n && module_evidence (s->v, &b->kernels[i], f, s->err) == -1))
      return -1;
  }
  return 0;
}

static int
ask (const struct vfs *v, const struct boot *b, struct natives *n,
     struct err *e)
{
  __attribute__ ((cleanup (cleanup_search))) struct search s = { .v = v,
                                                                 .err = e };
  size_t asked = MIN (b->n_kernels, MAX_ASKED);
  int r;

  s.owners = calloc (asked, sizeof *s.owners);
  if (!s.owners)
    return no_memory (e);
  for (; s.n < asked; s.n++)
    if (fill_paths (&s.owners[s.n], &b->kernels[s.n], e) == -1)
      return -1;
  r = read_databases (&s);
  return r == -1 ? all_unknown (n, e) : set_natives (&s, b, r == 1, n);
}

void
natives_free (struct natives *n)
{
  for (size_t i = 0; i < n->n; i++)
    fact_free (&n->items[i]);
  free (n->items);
  *n = (struct natives){ 0 };
}

int
natives_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  const struct guest *g = image_guest (img, e);
  const struct boot *b = g ? image_boot (img, e) : NULL;

  if (!b)
    return -1;
  natives_free (&img->natives);
  if (!b->n_kernels)
    return 0;
  img->natives.items = calloc (b->n_kernels, sizeof (struct fact));
  if (!img->natives.items)
    return no_memory (e);
  img->natives.n = b->n_kernels;
  return ask (&g->vfs, b, &img->natives, e);
}
