/* xrayfs: the packages of a Linux guest
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A line each, sorted: name, version and architecture as the distribution's
 * own program prints them (dpkg-query, rpm -qa, apk info, pacman -Q).
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/image_priv.h"
#include "inspect/rpm.h"

/* A database of text; a server's has a few MiB. */
#define DATABASE_MAX ((size_t) 64 << 20)
/* Bytes of all lines together: half a million packages. */
#define LIST_MAX ((size_t) 32 << 20)

struct list {
  struct text_vec lines;
  size_t bytes;
  struct err *err;
};

static void
cleanup_list (struct list *l)
{
  for (size_t i = 0; i < l->lines.len; i++)
    free (l->lines.items[i]);
  free (l->lines.items);
}

/* Texts that are NULL are empty. */
static int
add_package (struct list *l, const char *name, const char *version,
             const char *arch)
{
  CLEANUP_BUF struct buf b = { 0 };
  const char *texts[] = { name, version, arch };

  for (size_t i = 0; i < ARRAY_SIZE (texts); i++) {
    if (i)
      buf_puts (&b, "\t");
    if (texts[i])
      buf_add_line_text (&b, texts[i], strlen (texts[i]));
  }
  l->bytes += b.len;
  if (l->bytes > LIST_MAX)
    return err_set (l->err, EFBIG, "more packages than a system can have");
  if (b.failed || text_vec_push (&l->lines, b.data) == -1)
    return err_set (l->err, ENOMEM, "out of memory");
  b = (struct buf){ 0 };
  return 0;
}

/* --- dpkg and apk: paragraphs of lines -------------------------------- */

/* The value of KEY ("Package: ") in the paragraph of LEN bytes at P, to be
 * freed; NULL: it has none. */
static char *
field (const char *p, size_t len, const char *key)
{
  size_t key_len = strlen (key), line;

  for (const char *end = p + len; p < end; p += line + 1) {
    const char *newline = memchr (p, '\n', (size_t) (end - p));
    line = newline ? (size_t) (newline - p) : (size_t) (end - p);
    if (line >= key_len && !memcmp (p, key, key_len))
      return strndup (p + key_len, line - key_len);
  }
  return NULL;
}

/* What is removed and has left its configuration is not installed. */
static int
dpkg_paragraph (struct list *l, const char *p, size_t len)
{
  CLEANUP_FREE char *status = field (p, len, "Status: "),
                    *name = field (p, len, "Package: "),
                    *version = field (p, len, "Version: "),
                    *arch = field (p, len, "Architecture: ");

  if (!status || !name || !strstr (status, " installed"))
    return 0;
  return add_package (l, name, version, arch);
}

static int
apk_paragraph (struct list *l, const char *p, size_t len)
{
  CLEANUP_FREE char *name = field (p, len, "P:"),
                    *version = field (p, len, "V:"),
                    *arch = field (p, len, "A:");

  return name ? add_package (l, name, version, arch) : 0;
}

/* 1, or 0 if there is no such file. */
static int
paragraphs (const struct vfs *v, const char *path, struct list *l,
            int (*fn) (struct list *, const char *, size_t), struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *p, *end;

  if (vfs_read (v, path, DATABASE_MAX, &text, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  for (p = buf_str (&text); *p; p = end + strspn (end, "\n")) {
    end = strstr (p, "\n\n");
    if (!end)
      end = p + strlen (p);
    if (fn (l, p, (size_t) (end - p)) == -1)
      return -1;
  }
  return 1;
}

static int
from_dpkg (const struct vfs *v, struct list *l, const char **ret,
           struct err *e)
{
  *ret = "/var/lib/dpkg/status";
  return paragraphs (v, *ret, l, dpkg_paragraph, e);
}

static int
from_apk (const struct vfs *v, struct list *l, const char **ret,
          struct err *e)
{
  static const char *const paths[] = { "/lib/apk/db/installed",
                                       "/usr/lib/apk/db/installed" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (paths); i++) {
    *ret = paths[i];
    r = paragraphs (v, paths[i], l, apk_paragraph, e);
  }
  return r;
}

/* --- rpm ------------------------------------------------------------- */

static int
rpm_package (void *arg, const struct rpm_header *h)
{
  struct list *l = arg;
  const char *name = rpm_string (h, RPM_NAME),
             *version = rpm_string (h, RPM_VERSION),
             *release = rpm_string (h, RPM_RELEASE);
  CLEANUP_BUF struct buf full = { 0 };
  uint32_t epoch;

  if (!name || !version || !release)
    return err_set (l->err, EIO, "a package without a name or a version");
  if (rpm_number (h, RPM_EPOCH, 0, &epoch))
    buf_printf (&full, "%u:", epoch);
  buf_printf (&full, "%s-%s", version, release);
  if (buf_check (&full, l->err) == -1)
    return -1;
  return add_package (l, name, full.data, rpm_string (h, RPM_ARCH));
}

static int
from_rpm (const struct vfs *v, struct list *l, const char **ret,
          struct err *e)
{
  return rpm_each (v, rpm_package, l, ret, e);
}

/* --- pacman ---------------------------------------------------------- */

/* The line behind "%KEY%" in a desc file, to be freed, or NULL. */
static char *
desc_value (const char *text, const char *key)
{
  const char *p = strstr (text, key);

  if (!p || (p > text && p[-1] != '\n'))
    return NULL;
  p += strlen (key);
  return strndup (p, strcspn (p, "\n"));
}

static int
pacman_package (const struct vfs *v, const char *dir, const char *name,
                struct list *l, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  CLEANUP_BUF struct buf text = { 0 };
  int r;

  if (asprintf (&path, "%s/%s/desc", dir, name) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, path, &text, e);
  if (r != 1)
    return r;
  CLEANUP_FREE char *package = desc_value (buf_str (&text), "%NAME%\n"),
                    *version = desc_value (buf_str (&text), "%VERSION%\n"),
                    *arch = desc_value (buf_str (&text), "%ARCH%\n");
  return package ? add_package (l, package, version, arch)
                 : err_set (e, EIO, "%s: no name in it", path);
}

static int
collect_name (void *arg, const char *name, size_t len,
              uint64_t ino unused_arg, unsigned type unused_arg)
{
  struct list *names = arg;
  char *copy = strndup (name, len);

  names->bytes += len;
  if (names->bytes > LIST_MAX || !copy ||
      text_vec_push (&names->lines, copy) == -1) {
    free (copy);
    return err_set (names->err, ENOMEM, "out of memory");
  }
  return 0;
}

static int
from_pacman (const struct vfs *v, struct list *l, const char **ret,
             struct err *e)
{
  __attribute__ ((cleanup (cleanup_list))) struct list names = { .err = e };

  *ret = "/var/lib/pacman/local";
  if (vfs_list (v, *ret, collect_name, &names, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  if (e->code)
    return -1; /* said by collect_name */
  for (size_t i = 0; i < names.lines.len; i++)
    if (pacman_package (v, *ret, names.lines.items[i], l, e) == -1)
      return -1;
  return 1;
}

/* --- the list -------------------------------------------------------- */

static int
by_line (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static int
set_list (struct fact *f, struct list *l, const char *path, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  if (l->lines.len)
    qsort (l->lines.items, l->lines.len, sizeof *l->lines.items, by_line);
  for (size_t i = 0; i < l->lines.len; i++)
    buf_printf (&text, "%s%s", i ? "\n" : "", l->lines.items[i]);
  fact_evidence (f, "%s: %zu packages", path, l->lines.len);
  return buf_check (&text, e) == -1 ? -1
                                    : fact_set (f, e, "%s", buf_str (&text));
}

/* The databases, in the order of packages_format: the first that is there. */
static int
read_databases (const struct vfs *v, struct fact *f, struct err *e)
{
  static int (*const readers[]) (
      const struct vfs *, struct list *, const char **,
      struct err *) = { from_dpkg, from_rpm, from_apk, from_pacman };

  for (size_t i = 0; i < ARRAY_SIZE (readers); i++) {
    __attribute__ ((cleanup (cleanup_list))) struct list l = { .err = e };
    const char *path = NULL;
    int r = readers[i](v, &l, &path, e);

    if (r == -1)
      return fact_could_not_look (f, e);
    if (r == 1)
      return set_list (f, &l, path, e);
  }
  return fact_set (f, e, "%s", "");
}

int
packages_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  const struct guest *g = image_guest (img, e);

  if (!g)
    return -1;
  fact_free (&img->packages);
  if (g->root)
    return read_databases (&g->vfs, &img->packages, e);
  return g->family.value
             ? fact_set (&img->packages, e, "%s", "")
             : fact_unknown (&img->packages, e, "%s", g->family.reason);
}
