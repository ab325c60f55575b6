/* xrayfs: what the boot loader starts
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The loaders' configurations are text, parsed in grub.c, loaders.c and
 * bls.c; here it is decided which of them counts, and what the paths in its
 * default entry are in the guest's tree.
 */
#include <string.h>

#include "base/bytes.h"
#include "inspect/boot_priv.h"
#include "inspect/loaders.h"

/* --- paths ----------------------------------------------------------- */

/* Directories that are taken off the front of a path at the most: of a Btrfs
 * subvolume (/@/boot/vmlinuz). */
#define MAX_STRIPPED 3

/* 1: *RET is PREFIX + PATH, which is there. */
static int
there (const struct vfs *v, const char *prefix, const char *path, char **ret,
       struct err *e)
{
  CLEANUP_FREE char *whole = NULL;
  int r;

  if (asprintf (&whole, "%s%s%s", prefix, *path == '/' ? "" : "/", path) ==
      -1) {
    whole = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = vfs_exists (v, whole, e);
  if (r == 1)
    *ret = steal_ptr (&whole);
  return r;
}

/* A loader's paths start at the filesystem that it reads: the root
 * filesystem, that of /boot, or BASE (the ESP, or the directory of the
 * configuration; NULL: none).  *RET: the guest's path, or NULL. */
static int
guest_path (const struct vfs *v, const char *base, const char *path,
            char **ret, struct err *e)
{
  const char *p = path;
  int r = 0;

  *ret = NULL;
  if (*p == '(') /* (hd0,msdos1)/boot/... */
    p += strcspn (p, "/");
  if (base)
    r = there (v, base, p, ret, e);
  for (unsigned i = 0; r == 0 && i <= MAX_STRIPPED && *p; i++) {
    r = there (v, "", p, ret, e);
    if (r == 0)
      r = there (v, "/boot", p, ret, e);
    p += strcspn (p + 1, "/") + 1;
  }
  return r == -1 ? -1 : 0;
}

/* --- the default entry ----------------------------------------------- */

int
boot_choose (struct boot *b, struct kernel *k, const char *why, struct err *e)
{
  b->chosen = k;
  fact_evidence (&b->default_kernel, "%s", why);
  return fact_set (&b->default_kernel, e, "%s", k->version);
}

/* GRUB's `initrd A B` loads all, one after another, or none if one is not
 * there. */
static int
resolve_initrds (struct boot *b, const struct vfs *v, const char *base,
                 const struct boot_entry *entry, const char *config,
                 struct err *e)
{
  const char *initrds = entry->initrd_path;
  CLEANUP_FREE char *list = strdup (initrds);
  CLEANUP_BUF struct buf paths = { 0 };
  char *word, *save = NULL;

  if (!list)
    return err_set (e, ENOMEM, "out of memory");
  for (word = strtok_r (list, " ", &save); word;
       word = strtok_r (NULL, " ", &save)) {
    CLEANUP_FREE char *path = NULL;
    if (guest_path (v, base, word, &path, e) == -1)
      return -1;
    if (!path) {
      fact_evidence (&b->default_kernel, "%s: initrd %s (is not there)",
                     config, word);
      return 0;
    }
    buf_printf (&paths, "%s%s", paths.len ? " " : "", path);
  }
  fact_evidence (&b->default_kernel, "%s: initrd %s%s", config, initrds,
                 entry->second_try ? " (when the start without it failed)"
                                   : "");
  if (buf_check (&paths, e) == -1)
    return -1;
  b->initramfs = paths.data;
  paths = (struct buf){ 0 };
  return 0;
}

/* Ubuntu's GRUB sets it by the screen that it finds: to the console that a
 * splash screen is handed over on (vt.handoff=7), or to nothing. */
#define VT_HANDOFF "$vt_handoff"

/* Text that GRUB's shell would expand, and that is not known here. */
static bool
has_variable (const char *text)
{
  for (const char *p = text ? strchr (text, '$') : NULL; p;
       p = strchr (p + 1, '$')) {
    size_t len = sizeof VT_HANDOFF - 1;
    if (strncmp (p, VT_HANDOFF, len) || (p[len] && p[len] != ' '))
      return true;
  }
  return false;
}

/* The command line of ENTRY, or why it is not known. */
static int
use_options (struct boot *b, const struct boot_entry *entry,
             const char *config, struct err *e)
{
  fact_evidence (&b->cmdline, "%s", config);
  if (entry->conditional)
    return fact_unknown (&b->cmdline, e, "%s: it depends on a condition",
                         config);
  if (has_variable (entry->options))
    return fact_unknown (&b->cmdline, e, "%s: '%s' has a variable", config,
                         entry->options);
  if (entry->options && strchr (entry->options, '$'))
    fact_evidence (&b->cmdline, "%s is vt.handoff=7 or empty", VT_HANDOFF);
  return fact_set (&b->cmdline, e, "%s",
                   entry->options ? entry->options : "");
}

/* Another system, a program of the firmware, or a hypervisor. */
static int
no_kernel (struct boot *b, const struct boot_entry *entry, const char *config,
           struct err *e)
{
  if (fact_unknown (&b->default_kernel, e,
                    "%s: the default entry '%s' starts no Linux kernel by"
                    " itself",
                    config, entry->title ? entry->title : entry->id) == -1)
    return -1;
  return fact_unknown (&b->cmdline, e, "%s", b->default_kernel.reason);
}

/* Uses ENTRY.  Returns 1 when it settled the default kernel. */
int
boot_use_entry (struct boot *b, const struct vfs *v, const char *base,
                const struct boot_entry *entry, const char *config,
                struct err *e)
{
  CLEANUP_FREE char *image = NULL;
  struct kernel *k = NULL;

  fact_evidence (&b->default_kernel, "%s: default entry '%s': %s", config,
                 entry->title ? entry->title : entry->id,
                 entry->linux_path ? entry->linux_path : "no kernel");
  if (!entry->linux_path)
    return no_kernel (b, entry, config, e) == -1 ? -1 : 1;
  if (use_options (b, entry, config, e) == -1 ||
      guest_path (v, base, entry->linux_path, &image, e) == -1 ||
      (image && kernel_of_image (b, v, image, &k, e) == -1))
    return -1;
  if (!k)
    return fact_unknown (&b->default_kernel, e,
                         "%s starts '%s', which is not among the kernels of"
                         " /boot and /lib/modules",
                         config, entry->linux_path) == -1
               ? -1
               : 1;
  b->by_entry = true;
  if (!entry->initrd_path)
    fact_evidence (&b->default_kernel, "%s: no initrd", config);
  else if (resolve_initrds (b, v, base, entry, config, e) == -1)
    return -1;
  if (has_variable (entry->initrd_path) &&
      asprintf (&b->initramfs_unknown, "%s: '%s' has a variable", config,
                entry->initrd_path) == -1) {
    b->initramfs_unknown = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return boot_choose (b, k, "the boot loader's default entry", e) == -1 ? -1
                                                                        : 1;
}

/* --- GRUB 2 ---------------------------------------------------------- */

/* What a configuration names by paths of GRUB's. */
struct config_files {
  const struct vfs *v;
  const char *dir; /* of the configuration */
};

static int
read_candidate (const struct vfs *v, const char *prefix, const char *path,
                struct buf *ret, struct err *e)
{
  CLEANUP_FREE char *whole = NULL;
  int r;

  if (asprintf (&whole, "%s%s", prefix, path) == -1) {
    whole = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, whole, ret, e);
  if (r != -1 || err_is_transient (e))
    return r;
  err_clear (e); /* it is there, but not to be read */
  return 2;
}

#define SECTOR      512
#define MAX_SECTORS 128

/* "512+1": the first sector of the device below the configuration, and how
 * many; an environment block. */
static int
read_sectors (const struct config_files *c, const char *list, struct buf *ret,
              struct err *e)
{
  static const char signature[] = "# GRUB Environment Block\n";
  unsigned long long first, n;
  struct vfs_node node;
  struct fs *fs = NULL;
  char *to;
  int end = 0;

  if (sscanf (list, "%20llu+%3llu%n", &first, &n, &end) != 2 || list[end] ||
      n == 0 || n > MAX_SECTORS)
    return 2;
  if (vfs_walk (c->v, c->dir, 0, &node, e) == 0)
    fs = vfs_fs (c->v, node);
  if (fs && range_within (first, n, fs->block->size / SECTOR)) {
    to = buf_reserve (ret, n * SECTOR);
    if (!to)
      return buf_check (ret, e);
    if (block_pread (fs->block, to, n * SECTOR, first * SECTOR, e) == 0) {
      ret->len += strnlen (to, n * SECTOR);
      buf_puts (ret, "");
      return !strncmp (buf_str (ret), signature, strlen (signature));
    }
  }
  if (err_is_transient (e))
    return -1;
  err_clear (e);
  return 2;
}

/* "/x" is on the filesystem of /boot, or on root's. */
static int
read_config_file (void *arg, const char *path, struct buf *ret, struct err *e)
{
  static const char beside[] = "(config)";
  const struct config_files *c = arg;
  int r;

  if (!strncmp (path, beside, strlen (beside)))
    return path[strlen (beside)] == '/'
               ? read_candidate (c->v, c->dir, path + strlen (beside), ret, e)
               : read_sectors (c, path + strlen (beside), ret, e);
  if (*path != '/')
    return 2;
  r = read_candidate (c->v, "/boot", path, ret, e);
  return r ? r : read_candidate (c->v, "", path, ret, e);
}

static int
use_grub_cfg (struct boot *b, const struct vfs *v, const char *cfg_path,
              char *text, struct grub_vars *vars, struct err *e)
{
  struct boot_entry entry = { 0 };
  struct grub_bls bls;
  int r = grub_default (text, vars, &entry, &bls, e);

  if (r == 0 && bls.there)
    r = bls_read_grub (b, v, "/boot/loader/entries", &bls, vars, e);
  else if (r == 1 || (r == 0 && entry.title))
    r = boot_use_entry (b, v, NULL, &entry, cfg_path, e);
  boot_entry_free (&entry);
  free (bls.key);
  return r;
}

/* 1: settled; 0: it has no default entry, as the stub on an ESP. */
static int
from_grub_cfg (struct boot *b, const struct vfs *v, const char *dir,
               struct err *e)
{
  struct config_files paths = { v, dir };
  const struct grub_files files = { read_config_file, &paths };
  CLEANUP_BUF struct buf cfg = { 0 }, env = { 0 };
  struct grub_vars vars = { .files = &files };
  char cfg_path[512], env_path[512];
  int r;

  snprintf (cfg_path, sizeof cfg_path, "%s/grub.cfg", dir);
  snprintf (env_path, sizeof env_path, "%s/grubenv", dir);
  r = guest_text (v, cfg_path, &cfg, e);
  if (r != 1 || !cfg.data)
    return MIN (r, 0);
  if (guest_text (v, env_path, &env, e) == -1 ||
      fact_set (&b->bootloader, e, "grub2") == -1)
    return -1;
  fact_evidence (&b->bootloader, "%s: there", cfg_path);
  vars.env = env.data;
  r = use_grub_cfg (b, v, cfg_path, cfg.data, &vars, e);
  grub_vars_free (&vars);
  return r;
}

/* Where distributions that start by UEFI keep it: /boot/efi/EFI/centos. */
static int
from_grub_on_esp (struct boot *b, const struct vfs *v, struct err *e)
{
  CLEANUP_NAMES struct names dirs = { .prefix = "", .suffix = "" };
  int r = 0;

  if (names_in (v, "/boot/efi/EFI", &dirs, e) == -1)
    return -1;
  for (size_t i = 0; r == 0 && i < dirs.list.len; i++) {
    char dir[320];

    snprintf (dir, sizeof dir, "/boot/efi/EFI/%s", dirs.list.items[i]);
    r = from_grub_cfg (b, v, dir, e);
  }
  return r;
}

static int
from_grub2 (struct boot *b, const struct vfs *v, struct err *e)
{
  int r = from_grub_cfg (b, v, "/boot/grub", e);

  if (r == 0)
    r = from_grub_cfg (b, v, "/boot/grub2", e);
  return r ? r : from_grub_on_esp (b, v, e);
}

/* --- other loaders --------------------------------------------------- */

/* What each parser takes besides its text. */
typedef int (*parse_fn) (char *text, const char *saved,
                         struct boot_entry *ret, struct err *e);

static int
parse_syslinux (char *text, const char *saved unused_arg,
                struct boot_entry *ret, struct err *e)
{
  return syslinux_default (text, ret, e);
}

static int
parse_zipl (char *text, const char *saved unused_arg, struct boot_entry *ret,
            struct err *e)
{
  return zipl_default (text, ret, e);
}

static int
parse_lilo (char *text, const char *saved unused_arg, struct boot_entry *ret,
            struct err *e)
{
  return lilo_default (text, ret, e);
}

static const struct loader {
  const char *name, *path;
  parse_fn parse;
  const char *base;  /* of relative paths; or NULL */
  const char *saved; /* where the saved default is; or NULL */
} loaders[] = {
  { "grub-legacy", "/boot/grub/menu.lst", grub_legacy_default, NULL,
    "/boot/grub/default" },
  { "grub-legacy", "/boot/grub/grub.conf", grub_legacy_default, NULL,
    "/boot/grub/default" },
  { "grub-legacy", "/boot/efi/EFI/redhat/grub.conf", grub_legacy_default,
    "/boot/efi/EFI/redhat", NULL },
  { "extlinux", "/boot/extlinux/extlinux.conf", parse_syslinux,
    "/boot/extlinux", NULL },
  { "extlinux", "/boot/extlinux.conf", parse_syslinux, "/boot", NULL },
  { "extlinux", "/extlinux.conf", parse_syslinux, NULL, NULL },
  { "syslinux", "/boot/syslinux/syslinux.cfg", parse_syslinux,
    "/boot/syslinux", NULL },
  { "syslinux", "/boot/syslinux.cfg", parse_syslinux, "/boot", NULL },
  { "zipl", "/etc/zipl.conf", parse_zipl, NULL, NULL },
  { "lilo", "/etc/lilo.conf", parse_lilo, NULL, NULL },
};

/* --- what SYSLINUX includes ------------------------------------------- */

/* Files that one configuration includes, and those in them, at the most. */
#define MAX_INCLUDED      32
#define MAX_WITH_INCLUDED (4 * 1024 * 1024)

struct included {
  const struct vfs *v;
  const char *base;
  unsigned n;
  struct buf text;
};

/* "include FILE", "MENU INCLUDE FILE": *RET, to be freed, is the file, or
 * NULL. */
static int
included_file (const char *line, size_t len, char **ret, struct err *e)
{
  static const char key[] = "include";
  const char *p = line + strspn (line, " \t"), *end = line + len;

  *ret = NULL;
  if (!strncasecmp (p, "menu", 4) && p[4] && strchr (" \t", p[4]))
    p += 4 + strspn (p + 4, " \t");
  if (strncasecmp (p, key, strlen (key)) != 0)
    return 0;
  p += strlen (key);
  if (p >= end || !strchr (" \t", *p))
    return 0;
  p += strspn (p, " \t");
  *ret = strndup (p, MIN (strcspn (p, " \t\r\n"), (size_t) (end - p)));
  return *ret ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int add_with_included (struct included *in, const char *text,
                              struct err *e);

/* One that is not there is passed over. */
static int
add_file (struct included *in, const char *name, struct err *e)
{
  CLEANUP_FREE char *path = NULL;
  CLEANUP_BUF struct buf text = { 0 };
  int r;

  if (!*name)
    return 0;
  if (++in->n > MAX_INCLUDED)
    return err_set (e, EFBIG, "more than %d files are included",
                    MAX_INCLUDED);
  if (guest_path (in->v, in->base, name, &path, e) == -1)
    return -1;
  r = path ? guest_text (in->v, path, &text, e) : 0;
  if (r == -1)
    return err_in (e, "%s", name);
  if (in->text.len > MAX_WITH_INCLUDED)
    return err_set (e, EFBIG, "more than %d bytes with what is included",
                    MAX_WITH_INCLUDED);
  return text.data ? add_with_included (in, text.data, e) : 0;
}

/* Adds TEXT with the files that it includes in the places of their lines.
 * That they include each other ends with their number. */
static int
add_with_included (struct included *in, const char *text, struct err *e)
{
  size_t len;

  for (const char *p = text; *p; p += len) {
    CLEANUP_FREE char *file = NULL;

    len = strcspn (p, "\n");
    len += p[len] == '\n';
    if (included_file (p, len, &file, e) == -1 ||
        (file && add_file (in, file, e) == -1))
      return -1;
    if (!file)
      buf_add (&in->text, p, len);
    else
      buf_puts (&in->text, "\n");
  }
  return buf_check (&in->text, e);
}

static int
include_all (const struct vfs *v, const char *base, struct buf *text,
             struct err *e)
{
  struct included in = { .v = v, .base = base };
  int r = add_with_included (&in, text->data, e);

  if (r == 0) {
    buf_free (text);
    *text = in.text;
  } else
    buf_free (&in.text);
  return r;
}

static int
from_loader (struct boot *b, const struct vfs *v, const struct loader *l,
             struct err *e)
{
  CLEANUP_BUF struct buf text = { 0 }, saved = { 0 };
  struct boot_entry entry = { 0 };
  int r = guest_text (v, l->path, &text, e);

  if (r != 1 || !text.data)
    return MIN (r, 0);
  if ((l->saved && guest_text (v, l->saved, &saved, e) == -1) ||
      (l->parse == parse_syslinux &&
       include_all (v, l->base, &text, e) == -1) ||
      fact_set (&b->bootloader, e, "%s", l->name) == -1)
    return -1;
  fact_evidence (&b->bootloader, "%s: there", l->path);
  r = l->parse (text.data, saved.data, &entry, e);
  if (r == 1)
    r = boot_use_entry (b, v, l->base, &entry, l->path, e);
  boot_entry_free (&entry);
  return r;
}

/* zipl of RHEL 8 and later reads the specification's entries. */
static int
from_bare_entries (struct boot *b, const struct vfs *v, struct err *e)
{
  char first[] = "0";

  if (!fact_known (&b->bootloader) || strcmp (b->bootloader.value, "zipl"))
    return 0;
  return bls_read_grub (b, v, "/boot/loader/entries",
                        &(struct grub_bls){ .key = first }, NULL, e);
}

static int
from_systemd_boot (struct boot *b, const struct vfs *v, struct err *e)
{
  static const char *const esps[] = { "/efi", "/boot/efi", "/boot" };
  int r = 0;

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (esps); i++)
    r = bls_read_systemd_boot (b, v, esps[i], e);
  return r;
}

static int
find_entry (struct boot *b, const struct vfs *v, struct err *e)
{
  int r = from_grub2 (b, v, e);

  if (r == 0 && !fact_known (&b->bootloader))
    r = from_systemd_boot (b, v, e);
  for (size_t i = 0;
       r == 0 && !fact_known (&b->bootloader) && i < ARRAY_SIZE (loaders);
       i++)
    r = from_loader (b, v, &loaders[i], e);
  return r ? r : from_bare_entries (b, v, e);
}

int
boot_no_answer (struct boot *b, struct err *e)
{
  if (fact_could_not_look (&b->default_kernel, e) == -1 ||
      fact_unknown (&b->cmdline, e, "%s", b->default_kernel.reason) == -1)
    return -1;
  if (fact_known (&b->bootloader))
    return 0;
  return fact_unknown (&b->bootloader, e, "%s", b->default_kernel.reason);
}

int
boot_loader_read (struct boot *b, const struct vfs *v, struct err *e)
{
  int r = find_entry (b, v, e);

  if (r == -1)
    return boot_no_answer (b, e) == -1 ? -1 : 1;
  return r;
}

int
boot_cmdline (const struct vfs *v, struct fact *ret, struct err *e)
{
  struct boot b = { 0 };
  int r = find_entry (&b, v, e);

  if (r >= 0) {
    *ret = b.cmdline;
    b.cmdline = (struct fact){ 0 };
  }
  boot_free (&b);
  return r == -1 ? -1 : 0;
}
