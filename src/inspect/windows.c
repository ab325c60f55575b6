/* xrayfs: a Windows guest's registry and programs
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "inspect/windows.h"

#include <string.h>

#include "base/bytes.h"

/* --- where it is ----------------------------------------------------- */

static const char *const windows_dirs[] = { "/Windows", "/WINNT" };

static char *
join (const char *a, const char *b)
{
  char *path;

  return asprintf (&path, "%s%s", a, b) == -1 ? NULL : path;
}

int
windows_dir (const struct vfs *v, const char **ret, struct err *e)
{
  int r = 0;

  for (size_t i = 0; i < ARRAY_SIZE (windows_dirs) && r == 0; i++) {
    CLEANUP_FREE char *path =
        join (windows_dirs[i], "/System32/config/SYSTEM");
    if (!path)
      return err_set (e, ENOMEM, "out of memory");
    r = vfs_exists (v, path, e);
    if (r == 1)
      *ret = windows_dirs[i];
  }
  return r;
}

int
windows_is_root (struct guest *g, struct volume *vol, struct fs *fs,
                 struct err *e)
{
  CLEANUP_FREE struct vfs *v = malloc (sizeof *v);
  const char *dir;
  int r;

  if (!v)
    return err_set (e, ENOMEM, "out of memory");
  vfs_init (v, fs);
  r = windows_dir (v, &dir, e);
  if (r == 1)
    fact_evidence (&g->family,
                   "%s: root of a Windows: %s/System32/config/SYSTEM",
                   vol->label, dir);
  return r;
}

bool
guest_is_windows (const struct guest *g)
{
  return g->root && fact_is (&g->family, "windows");
}

/* --- hives ----------------------------------------------------------- */

static int
file_pread (void *arg, void *buf, size_t len, uint64_t off, struct err *e)
{
  return vfs_file_read (arg, buf, len, off, e);
}

int
windows_hive_open (const struct vfs *v, const char *path,
                   struct windows_hive *ret, struct err *e)
{
  static const char *const suffixes[] = { "", ".LOG1", ".LOG2", ".LOG" };
  struct hive_file files[1 + HIVE_MAX_LOGS];
  size_t n = 0;
  int r;

  for (size_t i = 0; i < ARRAY_SIZE (suffixes); i++) {
    CLEANUP_FREE char *name = join (path, suffixes[i]);
    if (!name)
      return err_set (e, ENOMEM, "out of memory");
    r = guest_open (v, name, &ret->files[n], e);
    if (r == -1)
      return err_in (e, "%s", name);
    if (r == 0 && i == 0)
      return err_set (e, ENOENT, "%s: it is not there", path);
    if (r == 0)
      continue;
    files[n] =
        (struct hive_file){ ret->files[n].size, file_pread, &ret->files[n] };
    n++;
  }
  if (hive_open (&files[0], files + 1, n - 1, &ret->hive, e) == -1)
    return err_in (e, "%s", path);
  if (!hive_stale (ret->hive))
    return 0;
  err_set (e, EIO, "%s: %s", path, hive_stale (ret->hive));
  windows_hive_close (ret);
  return -1;
}

void
windows_hive_close (struct windows_hive *h)
{
  hive_close (h->hive);
  h->hive = NULL;
}

/* --- the control set ------------------------------------------------- */

/* Select\Default is what the next boot uses; it is Current unless the last
 * one failed. */
static int
find_control_set (struct windows *w, struct err *e)
{
  struct hive *h = w->system.hive;
  uint64_t number = 0;
  hive_key select;
  int r;

  w->current_set = UINT64_MAX;
  if (hive_find (h, hive_root (h), "Select", &select, e) == -1 ||
      hive_maybe_number (h, select, "Current", &w->current_set, e) == -1)
    return -1;
  r = hive_maybe_number (h, select, "Default", &number, e);
  if (r == -1)
    return -1;
  if (r == 0)
    number = w->current_set;
  if (number > 999)
    return err_set (e, EIO, "Select names no control set");
  snprintf (w->set_name, sizeof w->set_name, "ControlSet%03u",
            (unsigned) number);
  return hive_find (h, hive_root (h), w->set_name, &w->set, e);
}

int
windows_find (struct windows *w, const char *path, hive_key *ret,
              struct err *e)
{
  if (hive_find (w->system.hive, w->set, path, ret, e) == 0)
    return 0;
  return err_in (e, "SYSTEM\\%s\\%s", w->set_name, path);
}

/* --- architecture ---------------------------------------------------- */

int
windows_machine (const struct vfs *v, const char *path, const char **ret,
                 struct err *e)
{
  static const struct {
    uint16_t machine;
    const char *name;
  } machines[] = { { 0x014c, "i386" },
                   { 0x8664, "x86_64" },
                   { 0xaa64, "aarch64" },
                   { 0x01c4, "arm" },
                   { 0x0200, "ia64" } };
  unsigned char head[64], pe[6];
  struct vfs_file f;
  uint32_t at;
  int r = guest_open (v, path, &f, e);

  if (r == -1)
    return err_in (e, "%s", path);
  if (r == 0)
    return err_set (e, ENOENT, "%s: it is not there", path);
  if (f.size < sizeof head)
    return err_set (e, EINVAL, "%s: it is no program", path);
  if (vfs_file_read (&f, head, sizeof head, 0, e) == -1)
    return err_in (e, "%s", path);
  at = load_le32 (head + 60); /* e_lfanew */
  if (memcmp (head, "MZ", 2) || !range_within (at, sizeof pe, f.size))
    return err_set (e, EINVAL, "%s: it is no program", path);
  if (vfs_file_read (&f, pe, sizeof pe, at, e) == -1)
    return err_in (e, "%s", path);
  if (memcmp (pe, "PE\0\0", 4))
    return err_set (e, EINVAL, "%s: it is no program", path);
  *ret = "";
  for (size_t i = 0; i < ARRAY_SIZE (machines); i++)
    if (machines[i].machine == load_le16 (pe + 4))
      *ret = machines[i].name;
  return 0;
}

/* "AMD64" in Session Manager\Environment.  1, 0, -1. */
static int
arch_from_registry (struct windows *w, const char **ret, struct err *e)
{
  static const char *const names[][2] = { { "AMD64", "x86_64" },
                                          { "x86", "i386" },
                                          { "ARM64", "aarch64" } };
  CLEANUP_BUF struct buf text = { 0 };
  hive_key key;

  if (windows_find (w, "Control\\Session Manager\\Environment", &key, e) ==
          -1 ||
      hive_text (w->system.hive, key, "PROCESSOR_ARCHITECTURE", &text, e) ==
          -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
    return 0;
  }
  for (size_t i = 0; i < ARRAY_SIZE (names); i++)
    if (!strcasecmp (buf_str (&text), names[i][0])) {
      *ret = names[i][1];
      return 1;
    }
  return 0;
}

/* By the kernel; by what the registry says; by the command interpreter. */
static int
find_arch (struct windows *w, const char **ret, struct err *e)
{
  static const char *const programs[] = { "/System32/ntoskrnl.exe",
                                          "/System32/cmd.exe" };
  int r;

  for (size_t i = 0; i < ARRAY_SIZE (programs); i++) {
    CLEANUP_FREE char *path = join (w->dir, programs[i]);
    if (!path)
      return err_set (e, ENOMEM, "out of memory");
    snprintf (w->arch_from, sizeof w->arch_from, "%s", path);
    if (windows_machine (w->v, path, ret, e) == 0)
      return 0;
    if (!err_is_absent (e) && e->code != EINVAL)
      return -1;
    err_clear (e);
    r = i == 0 && w->system.hive ? arch_from_registry (w, ret, e) : 0;
    snprintf (w->arch_from, sizeof w->arch_from, "PROCESSOR_ARCHITECTURE");
    if (r != 0)
      return r == 1 ? 0 : -1;
  }
  return err_set (e, EIO,
                  "%s/System32/ntoskrnl.exe is not there, and the"
                  " registry does not say",
                  w->dir);
}

int
windows_arch (struct windows *w, struct err *e)
{
  const char *arch = "";

  if (find_arch (w, &arch, &w->arch_why) == -1 &&
      err_is_transient (&w->arch_why)) {
    *e = w->arch_why;
    return -1;
  }
  if (!*arch && !w->arch_why.code)
    err_set (&w->arch_why, EIO, "%s is for a machine without a name here",
             w->arch_from);
  snprintf (w->arch, sizeof w->arch, "%s", arch);
  return 0;
}

static int
open_into (struct windows *w, struct err *e)
{
  CLEANUP_FREE char *path = join (w->dir, "/System32/config/SYSTEM");

  if (!path)
    return err_set (e, ENOMEM, "out of memory");
  if (windows_hive_open (w->v, path, &w->system, e) == -1)
    return -1;
  if (find_control_set (w, e) == -1) {
    if (err_is_absent (e))
      e->code = EIO; /* a hive without it is damaged: nothing is absent */
    return err_in (e, "%s", path);
  }
  return windows_arch (w, e);
}

int
windows_open (const struct vfs *v, struct windows *ret, struct err *e)
{
  int r;

  *ret = (struct windows){ .v = v };
  r = windows_dir (v, &ret->dir, e);
  if (r == 0)
    return err_set (e, EIO, "there is no SYSTEM hive");
  if (r == 1 && open_into (ret, e) == 0)
    return 0;
  windows_close (ret);
  return -1;
}

void
windows_close (struct windows *w)
{
  windows_hive_close (&w->system);
}

/* --- values and paths ------------------------------------------------ */

int
windows_value (struct fact *f, struct hive *h, hive_key key,
               const char *where, const char *name, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };

  if (hive_text (h, key, name, &text, e) == -1) {
    if (!err_is_absent (e)) {
      err_in (e, "%s", where);
      return fact_could_not_look (f, e);
    }
    err_clear (e);
    fact_evidence (f, "%s: no value %s", where, name);
    return fact_set (f, e, "%s", "");
  }
  fact_evidence (f, "%s: %s is '%s'", where, name, buf_str (&text));
  return fact_set (f, e, "%s", buf_str (&text));
}

static bool
skip_prefix (const char **s, const char *prefix)
{
  size_t len = strlen (prefix);

  if (strncasecmp (*s, prefix, len))
    return false;
  *s += len;
  return true;
}

/* "\SystemRoot\System32\x.sys", "System32\x.sys", "%SystemRoot%\x.sys",
 * "\??\C:\Windows\x.sys", "\"C:\Program Files\x.exe\" arguments".  The drive
 * of Windows is C: nearly always, and the only one that is composed. */
char *
windows_path (const char *dir, const char *image_path)
{
  const char *s = image_path, *root = dir;
  bool quoted = *s == '"';
  char *path;

  s += quoted;
  skip_prefix (&s, "\\??\\");
  if (skip_prefix (&s, "\\SystemRoot\\") ||
      skip_prefix (&s, "%SystemRoot%\\") || skip_prefix (&s, "%windir%\\"))
    ;
  else if (skip_prefix (&s, "C:\\"))
    root = "";
  else if (s[0] == '\\' || s[0] == '%' || (s[0] && s[1] == ':'))
    return NULL;
  if (asprintf (&path, "%s/%.*s", root,
                (int) (quoted ? strcspn (s, "\"") : strlen (s)), s) == -1)
    return NULL;
  for (char *p = path; *p; p++)
    if (*p == '\\')
      *p = '/';
  return path;
}

/* --- version --------------------------------------------------------- */

int
windows_version (struct hive *software, unsigned *ret, struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 };
  uint64_t major, minor;
  unsigned a, b;
  hive_key key;

  if (hive_find (software, hive_root (software), WINDOWS_CURRENT_VERSION,
                 &key, e) == -1)
    return -1;
  if (hive_number (software, key, "CurrentMajorVersionNumber", &major, e) ==
          0 &&
      hive_number (software, key, "CurrentMinorVersionNumber", &minor, e) ==
          0) {
    *ret = (unsigned) (MIN (major, 1000) * 100 + MIN (minor, 99));
    return 0;
  }
  if (!err_is_absent (e))
    return -1;
  err_clear (e);
  if (hive_text (software, key, "CurrentVersion", &text, e) == -1)
    return -1;
  if (sscanf (buf_str (&text), "%3u.%2u", &a, &b) != 2)
    return err_set (e, EIO, "CurrentVersion is '%s'", buf_str (&text));
  *ret = a * 100 + b;
  return 0;
}

bool
windows_is_guid (const unsigned char *p, const char *text)
{
  char guid[40];

  snprintf (guid, sizeof guid,
            "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", load_le32 (p),
            load_le16 (p + 4), load_le16 (p + 6), p[8], p[9], p[10], p[11],
            p[12], p[13], p[14], p[15]);
  return text && !strcasecmp (text, guid);
}
