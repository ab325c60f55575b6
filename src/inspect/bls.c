/* xrayfs: the Boot Loader Specification's entries
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * UAPI.1: text files (type 1) and unified kernel images (type 2).  GRUB's
 * blscfg and systemd-boot order them differently, and name the default in
 * their own ways.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "inspect/boot_priv.h"
#include "inspect/loaders.h"
#include "inspect/pe.h"
#include "inspect/versions.h"

/* Texts in a unified kernel image. */
#define SECTION_MAX ((size_t) 64 << 10)
/* Of type 1: real ones have less than 1 KiB. */
#define ENTRY_MAX SECTION_MAX

DEFINE_VEC (entry_vec, struct boot_entry)

static void
cleanup_entries (struct entry_vec *v)
{
  for (size_t i = 0; i < v->len; i++)
    boot_entry_free (&v->items[i]);
  free (v->items);
}
#define CLEANUP_ENTRIES __attribute__ ((cleanup (cleanup_entries)))

static int
push (struct entry_vec *v, struct boot_entry *entry, struct err *e)
{
  if (entry_vec_push (v, *entry) == 0)
    return 0;
  boot_entry_free (entry);
  return err_set (e, ENOMEM, "out of memory");
}

/* --- type 1 ---------------------------------------------------------- */

static int
read_entry (const struct vfs *v, const char *dir, const char *name,
            struct grub_vars *vars, struct entry_vec *to, struct err *e)
{
  CLEANUP_FREE char *path = NULL, *id = NULL;
  CLEANUP_BUF struct buf text = { 0 };
  struct boot_entry entry = { 0 };
  int r;

  if (asprintf (&path, "%s/%s", dir, name) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, path, &text, e);
  if (r != 1 || !text.data)
    return MIN (r, 0);
  if (text.len > ENTRY_MAX)
    return err_set (e, EFBIG, "%s: more than %zu bytes", path, ENTRY_MAX);
  id = strndup (name, strlen (name) - strlen (".conf"));
  if (!id)
    return err_set (e, ENOMEM, "out of memory");
  if (bls_entry (text.data, id, vars, &entry, e) == -1)
    return -1;
  return push (to, &entry, e);
}

static int
read_entries (const struct vfs *v, const char *dir, struct grub_vars *vars,
              struct entry_vec *to, struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = "", .suffix = ".conf" };

  if (names_in (v, dir, &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++)
    if (read_entry (v, dir, files.list.items[i], vars, to, e) == -1)
      return -1;
  return 0;
}

/* --- type 2 ---------------------------------------------------------- */

/* The value of the first of KEYS that os-release has, to be freed. */
static char *
first_value (const char *osrel, const char *const *keys, size_t n)
{
  char *value = NULL;

  for (size_t i = 0; !value && i < n; i++)
    value = shell_value (osrel ? osrel : "", keys[i]);
  return value;
}

/* 1: the program at PATH is a unified kernel image, and *RET its entry. */
static int
read_uki (const struct vfs *v, const char *path, const char *id,
          struct boot_entry *ret, struct err *e)
{
  static const char *const sort_keys[] = { "IMAGE_ID", "ID" };
  static const char *const versions[] = { "IMAGE_VERSION", "VERSION",
                                          "VERSION_ID", "BUILD_ID" };
  CLEANUP_FREE char *osrel = NULL;
  struct boot_entry b = { 0 };
  struct pe_section s;
  struct vfs_file f;
  int r = vfs_open (v, path, &f, e);

  if (r == 1)
    r = pe_find_section (&f, ".linux", &s, e);
  if (r != 1)
    return r;
  if (pe_section_text (&f, ".osrel", SECTION_MAX, &osrel, e) == -1 ||
      pe_section_text (&f, ".cmdline", SECTION_MAX, &b.options, e) == -1) {
    boot_entry_free (&b);
    return -1;
  }
  b.id = strdup (id);
  b.linux_path = strdup (path);
  b.initrd_path = strdup (path);
  b.title = shell_value (osrel ? osrel : "", "PRETTY_NAME");
  b.sort_key = first_value (osrel, sort_keys, ARRAY_SIZE (sort_keys));
  b.version = first_value (osrel, versions, ARRAY_SIZE (versions));
  b.unified = true;
  if (b.options)
    b.options[strcspn (b.options, "\n")] = '\0';
  if (!b.id || !b.linux_path || !b.initrd_path) {
    boot_entry_free (&b);
    return err_set (e, ENOMEM, "out of memory");
  }
  *ret = b;
  return 1;
}

static int
read_ukis (const struct vfs *v, const char *esp, struct entry_vec *to,
           struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = "", .suffix = ".efi" };
  CLEANUP_FREE char *dir = NULL;

  if (asprintf (&dir, "%s/EFI/Linux", esp) == -1) {
    dir = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  if (names_in (v, dir, &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    CLEANUP_FREE char *path = NULL;
    struct boot_entry entry = { 0 };
    int r;

    if (asprintf (&path, "%s/%s", dir, files.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = read_uki (v, path, files.list.items[i], &entry, e);
    if (r == -1 || (r == 1 && push (to, &entry, e) == -1))
      return -1;
  }
  return 0;
}

/* --- order ----------------------------------------------------------- */

static int
grub_order (const void *a, const void *b)
{
  return grub_entry_compare (((const struct boot_entry *) b)->id,
                             ((const struct boot_entry *) a)->id);
}

static int
compare_texts (const char *a, const char *b)
{
  return strcmp (a ? a : "", b ? b : "");
}

/* systemd-boot's ids are names of files, in small letters. */
static void
file_id (const struct boot_entry *b, char *to, size_t size)
{
  snprintf (to, size, "%s%s", b->id, b->unified ? "" : ".conf");
  for (; *to; to++)
    *to = (char) tolower ((unsigned char) *to);
}

static int
newest_file_first (const struct boot_entry *a, const struct boot_entry *b)
{
  char x[512], y[512];

  file_id (a, x, sizeof x);
  file_id (b, y, sizeof y);
  return systemd_version_compare (y, x);
}

/* Boot counting, NAME+LEFT-DONE.conf: no more tries are left. */
static bool
has_failed (const struct boot_entry *b)
{
  const char *plus = strrchr (b->id, '+');
  size_t digits = plus ? strspn (plus + 1, "0123456789") : 0;
  const char *rest = digits ? plus + 1 + digits : "";

  if (*rest == '-')
    rest += 1 + strspn (rest + 1, "0123456789");
  return digits && strspn (plus + 1, "0") == digits &&
         (!*rest || (b->unified && !strcasecmp (rest, ".efi")));
}

/* systemd-boot(7): those that have failed are the last; with a sort key
 * before those without; then by sort key, machine, and the newest version
 * first. */
static int
systemd_order (const void *p, const void *q)
{
  const struct boot_entry *a = p, *b = q;
  int r;

  if (has_failed (a) != has_failed (b))
    return has_failed (a) ? 1 : -1;
  if (!a->sort_key != !b->sort_key)
    return a->sort_key ? -1 : 1;
  if (a->sort_key) {
    r = strcmp (a->sort_key, b->sort_key);
    if (r == 0)
      r = compare_texts (a->machine_id, b->machine_id);
    if (r == 0)
      r = systemd_version_compare (b->version ? b->version : "",
                                   a->version ? a->version : "");
    if (r != 0)
      return r;
  }
  return newest_file_first (a, b);
}

/* --- GRUB ------------------------------------------------------------ */

/* Where the key names none, the first of the whole menu starts, and a number
 * counts on behind them.  NULL: it is none of these. */
static const struct boot_entry *
find_key (const struct entry_vec *v, const struct grub_bls *bls)
{
  const char *key = bls->key;
  unsigned long i;
  char *end;

  if (!key)
    return v->len == 1 && bls->first && bls->last ? v->items : NULL;
  for (size_t k = 0; k < v->len; k++)
    if (!strcmp (v->items[k].id, key) ||
        (v->items[k].title && !strcmp (v->items[k].title, key)))
      return &v->items[k];
  if (isdigit ((unsigned char) *key)) {
    i = strtoul (key, &end, 10);
    if (!*end && i < v->len)
      return &v->items[i];
    if (!*end && !bls->last)
      return NULL;
  }
  return bls->first ? v->items : NULL;
}

int
bls_read_grub (struct boot *b, const struct vfs *v, const char *dir,
               const struct grub_bls *bls, struct grub_vars *vars,
               struct err *e)
{
  CLEANUP_ENTRIES struct entry_vec entries = { 0 };
  const struct boot_entry *entry;
  char config[512];

  if (read_entries (v, dir, vars, &entries, e) == -1)
    return -1;
  if (entries.len == 0)
    return 0;
  qsort (entries.items, entries.len, sizeof *entries.items, grub_order);
  entry = find_key (&entries, bls);
  if (!entry)
    return 0;
  snprintf (config, sizeof config, "%s/%s.conf", dir, entry->id);
  return boot_use_entry (b, v, NULL, entry, config, e);
}

/* --- systemd-boot ---------------------------------------------------- */

/* PATTERN is a glob over ids, with ".conf" for type 1; @saved is what the
 * firmware's variables hold, which are not in the image. */
static const struct boot_entry *
find_pattern (const struct entry_vec *v, const char *pattern)
{
  char id[512];

  for (size_t i = 0; pattern && i < v->len; i++) {
    file_id (&v->items[i], id, sizeof id);
    if (fnmatch (pattern, id, FNM_CASEFOLD) == 0 ||
        fnmatch (pattern, v->items[i].id, FNM_CASEFOLD) == 0)
      return &v->items[i];
  }
  return v->items;
}

static int
use_systemd_entry (struct boot *b, const struct vfs *v, const char *esp,
                   const struct entry_vec *entries, const char *pattern,
                   struct err *e)
{
  const struct boot_entry *entry = find_pattern (entries, pattern);
  char config[512];

  if (pattern && !strcmp (pattern, "@saved") && entries->len > 1)
    return fact_unknown (&b->default_kernel, e,
                         "systemd-boot's default is saved in the firmware,"
                         " which is not in the image") == -1
               ? -1
               : 1;
  snprintf (config, sizeof config, "%s/loader: %s", esp, entry->id);
  return boot_use_entry (b, v, esp, entry, config, e);
}

/* 1: systemd-boot is there; *RET (freed by the caller) its loader.conf, or
 * NULL. */
static int
is_there (const struct vfs *v, const char *esp, char **ret, struct err *e)
{
  static const char *const programs[] = {
    "EFI/systemd/systemd-bootx64.efi", "EFI/systemd/systemd-bootaa64.efi",
    "EFI/systemd/systemd-bootia32.efi"
  };
  CLEANUP_BUF struct buf text = { 0 };
  char path[512];
  int r;

  snprintf (path, sizeof path, "%s/loader/loader.conf", esp);
  r = guest_text (v, path, &text, e);
  if (r == -1)
    return -1;
  if (r == 1) {
    *ret = strdup (buf_str (&text));
    return *ret ? 1 : err_set (e, ENOMEM, "out of memory");
  }
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (programs); i++) {
    snprintf (path, sizeof path, "%s/%s", esp, programs[i]);
    r = vfs_exists (v, path, e);
  }
  return r;
}

int
bls_read_systemd_boot (struct boot *b, const struct vfs *v, const char *esp,
                       struct err *e)
{
  CLEANUP_ENTRIES struct entry_vec entries = { 0 };
  CLEANUP_FREE char *conf = NULL, *pattern = NULL;
  char dir[512];
  int r = is_there (v, esp, &conf, e);

  if (r != 1)
    return r;
  if (fact_set (&b->bootloader, e, "systemd-boot") == -1)
    return -1;
  fact_evidence (&b->bootloader, "%s: systemd-boot is there", esp);
  snprintf (dir, sizeof dir, "%s/loader/entries", esp);
  if (read_entries (v, dir, NULL, &entries, e) == -1 ||
      read_ukis (v, esp, &entries, e) == -1)
    return -1;
  if (entries.len == 0)
    return 0;
  qsort (entries.items, entries.len, sizeof *entries.items, systemd_order);
  pattern = systemd_boot_default (conf ? conf : "");
  return use_systemd_entry (b, v, esp, &entries, pattern, e);
}
