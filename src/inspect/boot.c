/* xrayfs: kernels, and which of them starts
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <string.h>

#include "base/bytes.h"
#include "inspect/grub.h"
#include "inspect/image_priv.h"

#define MAX_KERNELS 256

static void
kernel_free (struct kernel *k)
{
  free (k->version);
  free (k->image);
  free (k->config);
  free (k->initramfs);
  free (k->modules);
  fact_free (&k->native);
}

static void
free_kernels (struct boot *b)
{
  for (size_t i = 0; i < b->n_kernels; i++)
    kernel_free (&b->kernels[i]);
  free (b->kernels);
  b->kernels = NULL;
  b->n_kernels = 0;
}

void
boot_free (struct boot *b)
{
  free_kernels (b);
  free (b->kernels_unknown);
  free (b->initramfs);
  free (b->initramfs_unknown);
  free (b->boot_code_unknown);
  fact_free (&b->firmware);
  fact_free (&b->bootloader);
  fact_free (&b->default_kernel);
  fact_free (&b->cmdline);
  *b = (struct boot){ 0 };
}

/* --- the kernels that are there -------------------------------------- */

DEFINE_VEC (kernel_vec, struct kernel)

struct collect {
  struct kernel_vec kernels;
  const char *prefix; /* of file names in /boot; NULL: /lib/modules */
  bool failed;
};

static bool
have_version (const struct kernel_vec *v, const char *version)
{
  for (size_t i = 0; i < v->len; i++)
    if (!strcmp (v->items[i].version, version))
      return true;
  return false;
}

/* What is left of an upgrade, or is not for an ordinary boot. */
static bool
is_no_kernel (const char *version)
{
  return strstr (version, "rescue") || strstr (version, ".old") ||
         strstr (version, ".dpkg-") || !strncmp (version, ".", 1) ||
         strstr (version, "kdump");
}

static int
collect_entry (void *arg, const char *name, size_t len,
               uint64_t ino unused_arg, unsigned type)
{
  struct collect *c = arg;
  struct kernel k = { 0 };
  size_t skip = c->prefix ? strlen (c->prefix) : 0;
  CLEANUP_FREE char *version = NULL;

  if (len <= skip || (skip && memcmp (name, c->prefix, skip)) ||
      (!c->prefix && type != DT_DIR && type != DT_UNKNOWN) ||
      c->kernels.len >= MAX_KERNELS)
    return 0;
  version = strndup (name + skip, len - skip);
  if (!version) {
    c->failed = true;
    return 1;
  }
  if (is_no_kernel (version) || have_version (&c->kernels, version))
    return 0;
  k.version = steal_ptr (&version);
  if (kernel_vec_push (&c->kernels, k) == -1) {
    free (k.version);
    c->failed = true;
    return 1;
  }
  return 0;
}

/* *RET: the first "DIR/NAMES[i] with %s = version" that is there, or NULL. */
static int
find_file (const struct vfs *v, const char *const *formats, size_t n,
           const char *version, char **ret, struct err *e)
{
  for (size_t i = 0; i < n; i++) {
    CLEANUP_FREE char *path = NULL;
    const char *at = strchr (formats[i], '*');
    int r;

    if (asprintf (&path, "%.*s%s%s", (int) (at - formats[i]), formats[i],
                  version, at + 1) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = vfs_exists (v, path, e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = steal_ptr (&path);
      return 0;
    }
  }
  return 0;
}

static const char *const image_names[] = {
  "/boot/vmlinuz-*", "/boot/vmlinux-*", "/lib/modules/*/vmlinuz",
  "/boot/kernel-*", "/boot/Image-*"
};
static const char *const config_names[] = { "/boot/config-*",
                                            "/lib/modules/*/config" };
static const char *const initramfs_names[] = { "/boot/initrd.img-*",
                                               "/boot/initramfs-*.img",
                                               "/boot/initrd-*",
                                               "/boot/initrd-*.img" };
static const char *const modules_names[] = { "/lib/modules/*/modules.dep",
                                             "/lib/modules/*/modules.builtin",
                                             "/lib/modules/*" };

/* Owned by the distribution's package?  dpkg's file lists say so. */
static int
find_native (const struct vfs *v, struct kernel *k, struct err *e)
{
  static const char *const lists[] = {
    "/var/lib/dpkg/info/linux-image-*.list",
    "/var/lib/dpkg/info/linux-image-*:amd64.list",
    "/var/lib/dpkg/info/linux-image-*:i386.list",
    "/var/lib/dpkg/info/linux-image-*:arm64.list",
    "/var/lib/dpkg/info/linux-modules-*.list"
  };
  CLEANUP_FREE char *path = NULL;
  int dpkg = vfs_exists (v, "/var/lib/dpkg/status", e);

  if (dpkg == -1)
    return fact_could_not_look (&k->native, e);
  if (dpkg == 0)
    return fact_unknown (&k->native, e,
                         "no dpkg database (others are not read)");
  if (find_file (v, lists, ARRAY_SIZE (lists), k->version, &path, e) == -1)
    return fact_could_not_look (&k->native, e);
  fact_evidence (&k->native, "dpkg: %s",
                 path ? path : "no package linux-image of that version");
  return fact_set (&k->native, e, path ? "yes" : "no");
}

static int
complete_kernel (const struct vfs *v, struct kernel *k, struct err *e)
{
  char *last;

  if (find_file (v, image_names, ARRAY_SIZE (image_names), k->version,
                 &k->image, e) == -1 ||
      find_file (v, config_names, ARRAY_SIZE (config_names), k->version,
                 &k->config, e) == -1 ||
      find_file (v, initramfs_names, ARRAY_SIZE (initramfs_names), k->version,
                 &k->initramfs, e) == -1 ||
      find_file (v, modules_names, ARRAY_SIZE (modules_names), k->version,
                 &k->modules, e) == -1)
    return -1;
  if (k->modules && (last = strstr (k->modules, "/modules.")))
    *last = '\0'; /* the directory */
  return find_native (v, k, e);
}

static int
newest_first (const void *a, const void *b)
{
  return version_compare (((const struct kernel *) b)->version,
                          ((const struct kernel *) a)->version);
}

static int
list_into (const struct vfs *v, const char *dir, struct collect *c,
           struct err *e)
{
  if (vfs_list (v, dir, collect_entry, c, e) == -1) {
    if (!err_is_absent (e))
      return -1;
    err_clear (e);
  }
  return c->failed ? err_set (e, ENOMEM, "out of memory") : 0;
}

static int
list_kernels (const struct vfs *v, struct boot *b, struct err *e)
{
  static const char *const prefixes[] = { "vmlinuz-", "vmlinux-", "kernel-" };
  struct collect c = { 0 };
  int r = list_into (v, "/lib/modules", &c, e);

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (prefixes); i++) {
    c.prefix = prefixes[i];
    r = list_into (v, "/boot", &c, e);
  }
  b->kernels = c.kernels.items;
  b->n_kernels = c.kernels.len;
  for (size_t i = 0; r == 0 && i < b->n_kernels; i++)
    r = complete_kernel (v, &b->kernels[i], e);
  if (r == 0 && b->n_kernels)
    qsort (b->kernels, b->n_kernels, sizeof *b->kernels, newest_first);
  return r;
}

/* --- what the boot loader says --------------------------------------- */

/* GRUB's paths start at the filesystem that holds /boot, which is the root
 * filesystem or one of its own.  *RET: the guest's path, or NULL. */
static int
guest_path (const struct vfs *v, const char *grub_path, char **ret,
            struct err *e)
{
  static const char *const prefixes[] = { "", "/boot" };
  const char *p = grub_path;

  if (*p == '(') /* (hd0,msdos1)/boot/... */
    p += strcspn (p, "/");
  for (size_t i = 0; i < ARRAY_SIZE (prefixes); i++) {
    CLEANUP_FREE char *path = NULL;
    int r;

    if (asprintf (&path, "%s%s", prefixes[i], p) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    r = vfs_exists (v, path, e);
    if (r == -1)
      return -1;
    if (r == 1) {
      *ret = steal_ptr (&path);
      return 0;
    }
  }
  *ret = NULL;
  return 0;
}

/* *RET: the kernel whose image PATH leads to, or NULL. */
static int
kernel_of_image (struct boot *b, const struct vfs *v, const char *path,
                 struct kernel **ret, struct err *e)
{
  struct vfs_node a, k;

  *ret = NULL;
  if (vfs_walk (v, path, 0, &a, e) == -1)
    return -1;
  for (size_t i = 0; i < b->n_kernels; i++) {
    if (!b->kernels[i].image)
      continue;
    if (vfs_walk (v, b->kernels[i].image, 0, &k, e) == -1)
      return -1;
    if (k.mount == a.mount && k.ino == a.ino) {
      *ret = &b->kernels[i];
      return 0;
    }
  }
  return 0;
}

static int
choose (struct boot *b, struct kernel *k, const char *why, struct err *e)
{
  b->chosen = k;
  fact_evidence (&b->default_kernel, "%s", why);
  return fact_set (&b->default_kernel, e, "%s", k->version);
}

/* GRUB's `initrd A B` loads all, one after another, or none if one is not
 * there. */
static int
resolve_initrds (struct boot *b, const struct vfs *v, const char *initrds,
                 const char *config, struct err *e)
{
  CLEANUP_FREE char *list = strdup (initrds);
  CLEANUP_BUF struct buf paths = { 0 };
  char *word, *save = NULL;

  if (!list)
    return err_set (e, ENOMEM, "out of memory");
  for (word = strtok_r (list, " ", &save); word;
       word = strtok_r (NULL, " ", &save)) {
    CLEANUP_FREE char *path = NULL;
    if (guest_path (v, word, &path, e) == -1)
      return -1;
    if (!path) {
      fact_evidence (&b->default_kernel, "%s: initrd %s (is not there)",
                     config, word);
      return 0;
    }
    buf_printf (&paths, "%s%s", paths.len ? " " : "", path);
  }
  fact_evidence (&b->default_kernel, "%s: initrd %s", config, initrds);
  if (buf_check (&paths, e) == -1)
    return -1;
  b->initramfs = paths.data;
  paths = (struct buf){ 0 };
  return 0;
}

/* Text that GRUB's shell would expand, and that is not known here. */
static bool
has_variable (const char *text)
{
  return text && strchr (text, '$');
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
  return fact_set (&b->cmdline, e, "%s",
                   entry->options ? entry->options : "");
}

/* Uses ENTRY.  Returns 1 when it settled the default kernel. */
static int
use_entry (struct boot *b, const struct vfs *v,
           const struct boot_entry *entry, const char *config, struct err *e)
{
  CLEANUP_FREE char *image = NULL;
  struct kernel *k = NULL;

  fact_evidence (&b->default_kernel, "%s: default entry '%s': %s", config,
                 entry->title ? entry->title : entry->id,
                 entry->linux_path ? entry->linux_path : "no kernel");
  if (!entry->linux_path)
    return 0;
  if (use_options (b, entry, config, e) == -1 ||
      guest_path (v, entry->linux_path, &image, e) == -1 ||
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
  else if (resolve_initrds (b, v, entry->initrd_path, config, e) == -1)
    return -1;
  if (has_variable (entry->initrd_path) &&
      asprintf (&b->initramfs_unknown, "%s: '%s' has a variable", config,
                entry->initrd_path) == -1) {
    b->initramfs_unknown = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return choose (b, k, "the boot loader's default entry", e) == -1 ? -1 : 1;
}

struct bls_search {
  const struct vfs *v;
  const char *env, *saved;
  char *best_name;
  bool failed;
};

/* The saved entry, else the one whose name sorts last: the newest. */
static int
bls_candidate (void *arg, const char *name, size_t len,
               uint64_t ino unused_arg, unsigned type unused_arg)
{
  struct bls_search *s = arg;
  char *id;

  if (len < 6 || memcmp (name + len - 5, ".conf", 5) ||
      memmem (name, len, "rescue", 6))
    return 0;
  id = strndup (name, len - 5);
  if (!id) {
    s->failed = true;
    return 1;
  }
  if (s->best_name && s->saved && !strcmp (s->best_name, s->saved)) {
    free (id);
    return 0;
  }
  if (!s->best_name || (s->saved && !strcmp (id, s->saved)) ||
      version_compare (id, s->best_name) > 0) {
    free (s->best_name);
    s->best_name = id;
  } else
    free (id);
  return 0;
}

static int
bls_default (struct boot *b, const struct vfs *v, const char *env,
             struct err *e)
{
  CLEANUP_FREE char *saved = grub_env (env, "saved_entry"), *path = NULL,
                    *best = NULL;
  struct bls_search s = { .v = v, .env = env, .saved = saved };
  CLEANUP_BUF struct buf text = { 0 };
  struct boot_entry entry = { 0 };
  int r;

  r = vfs_list (v, "/boot/loader/entries", bls_candidate, &s, e);
  best = s.best_name;
  if (r == -1 && !err_is_absent (e))
    return -1;
  err_clear (e);
  if (s.failed)
    return err_set (e, ENOMEM, "out of memory");
  if (!best)
    return 0;
  if (saved && strcmp (saved, "0") && !saved[strspn (saved, "0123456789")])
    return fact_unknown (&b->default_kernel, e,
                         "grubenv names entry number"
                         " %s of the menu, whose order is not known",
                         saved) == -1
               ? -1
               : 1;
  if (asprintf (&path, "/boot/loader/entries/%s.conf", best) == -1) {
    path = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  r = guest_text (v, path, &text, e);
  if (r <= 0 || !text.data)
    return r < 0 ? -1 : 0;
  if (bls_entry (text.data, best, env, &entry, e) == -1)
    return -1;
  r = use_entry (b, v, &entry, path, e);
  boot_entry_free (&entry);
  return r;
}

/* 1: settled; 0: no GRUB 2 configuration; -1: could not look. */
static int
from_grub2 (struct boot *b, const struct vfs *v, struct err *e)
{
  static const struct {
    const char *cfg, *env;
  } places[] = { { "/boot/grub/grub.cfg", "/boot/grub/grubenv" },
                 { "/boot/grub2/grub.cfg", "/boot/grub2/grubenv" } };

  for (size_t i = 0; i < ARRAY_SIZE (places); i++) {
    CLEANUP_BUF struct buf cfg = { 0 }, env = { 0 };
    struct boot_entry entry = { 0 };
    bool bls = false;
    int r = guest_text (v, places[i].cfg, &cfg, e);

    if (r == -1)
      return -1;
    if (r == 0 || !cfg.data)
      continue;
    if (fact_set (&b->bootloader, e, "grub2") == -1 ||
        guest_text (v, places[i].env, &env, e) == -1)
      return -1;
    fact_evidence (&b->bootloader, "%s: there", places[i].cfg);
    r = grub_default (cfg.data, env.data, &entry, &bls, e);
    if (bls && r >= 0) {
      boot_entry_free (&entry);
      return bls_default (b, v, env.data, e);
    }
    if (r == 1)
      r = use_entry (b, v, &entry, places[i].cfg, e);
    boot_entry_free (&entry);
    return r;
  }
  return 0;
}

/* Loaders that are named and whose configuration is not read. */
static int
from_other_loaders (struct boot *b, const struct vfs *v, struct err *e)
{
  static const struct {
    const char *path, *name;
  } loaders[] = { { "/boot/grub/menu.lst", "grub-legacy" },
                  { "/boot/grub/grub.conf", "grub-legacy" },
                  { "/boot/extlinux/extlinux.conf", "extlinux" },
                  { "/extlinux.conf", "extlinux" },
                  { "/boot/syslinux/syslinux.cfg", "syslinux" },
                  { "/boot/loader/loader.conf", "systemd-boot" },
                  { "/etc/zipl.conf", "zipl" },
                  { "/etc/lilo.conf", "lilo" } };

  for (size_t i = 0; i < ARRAY_SIZE (loaders); i++) {
    int r = vfs_exists (v, loaders[i].path, e);
    if (r == -1)
      return -1;
    if (r == 0)
      continue;
    fact_evidence (&b->bootloader, "%s: there", loaders[i].path);
    return fact_set (&b->bootloader, e, "%s", loaders[i].name);
  }
  return 0;
}

/* No entry was found: with one kernel there is nothing to choose. */
static int
choose_without_loader (struct boot *b, struct err *e)
{
  struct kernel *newest = NULL;
  size_t bootable = 0;

  for (size_t i = 0; i < b->n_kernels; i++)
    if (b->kernels[i].image) {
      bootable++;
      newest = newest ? newest : &b->kernels[i];
    }
  if (!newest)
    return fact_unknown (&b->default_kernel, e,
                         "no kernel image in /boot or /lib/modules");
  if (bootable == 1)
    return choose (b, newest, "the only kernel there is", e);
  if (fact_known (&b->bootloader))
    return fact_unknown (&b->default_kernel, e,
                         "%zu kernels, and %s's configuration names none of"
                         " them as default",
                         bootable, b->bootloader.value);
  return choose (b, newest, "no boot loader configuration: the newest kernel",
                 e);
}

/* The loader's configuration is not read, or names no entry: what the chosen
 * kernel is started with is not known. */
static int
loader_not_read (struct boot *b, const char *why, struct err *e)
{
  free (b->initramfs_unknown);
  if (asprintf (&b->initramfs_unknown,
                "%s, so it is not known which initramfs"
                " is loaded",
                why) == -1) {
    b->initramfs_unknown = NULL;
    return err_set (e, ENOMEM, "out of memory");
  }
  return fact_unknown (&b->cmdline, e, "%s", why);
}

/* Nothing settled the default kernel. */
static int
fall_back (struct boot *b, struct err *e)
{
  char why[160];

  if (fact_known (&b->bootloader) && *b->bootloader.value)
    snprintf (why, sizeof why,
              "the configuration of %s is not read or names no default entry",
              b->bootloader.value);
  else if (b->esp)
    snprintf (why, sizeof why,
              "the boot loader's configuration lies on the"
              " EFI system partition, which this version does not read");
  else
    return choose_without_loader (b, e);
  return loader_not_read (b, why, e) == -1 ? -1
                                           : choose_without_loader (b, e);
}

/* What could not be looked at leaves all that it would say unknown. */
static int
no_answer (struct boot *b, struct err *e)
{
  if (fact_could_not_look (&b->default_kernel, e) == -1 ||
      fact_unknown (&b->cmdline, e, "%s", b->default_kernel.reason) == -1)
    return -1;
  if (fact_known (&b->bootloader))
    return 0;
  return fact_unknown (&b->bootloader, e, "%s", b->default_kernel.reason);
}

/* Returns 1 when the default kernel is settled, be it as unknown. */
static int
find_default (struct boot *b, const struct vfs *v, struct err *e)
{
  int r = from_grub2 (b, v, e);

  if (r == 0 && !fact_known (&b->bootloader))
    r = from_other_loaders (b, v, e);
  if (r == -1)
    return no_answer (b, e) == -1 ? -1 : 1;
  return r;
}

/* Of other loaders no entry is read. */
int
boot_cmdline (const struct vfs *v, struct fact *ret, struct err *e)
{
  struct boot b = { 0 };
  int r = from_grub2 (&b, v, e);

  if (r >= 0) {
    *ret = b.cmdline;
    b.cmdline = (struct fact){ 0 };
  }
  boot_free (&b);
  return r == -1 ? -1 : 0;
}

/* --- firmware -------------------------------------------------------- */

static const struct {
  const char *text, *name;
} boot_codes[] = { { "GRUB", "grub2" },
                   { "SYSLINUX", "syslinux" },
                   { "EXTLINUX", "extlinux" },
                   { "LILO", "lilo" },
                   { "Missing operating system", "windows" } };

static int
no_first_sector (struct boot *b, struct err *e)
{
  if (fact_could_not_look (&b->firmware, e) == -1)
    return -1;
  b->boot_code_unknown = strdup (b->firmware.reason);
  if (!b->boot_code_unknown)
    return err_set (e, ENOMEM, "out of memory");
  if (fact_known (&b->bootloader) || b->bootloader.reason)
    return 0;
  return fact_unknown (&b->bootloader, e, "%s", b->firmware.reason);
}

/* What a disk can boot with: BIOS needs code in the first sector; UEFI an
 * EFI system partition with a loader, which lies in a FAT. */
static int
detect_firmware (struct image *img, struct boot *b, struct err *e)
{
  const struct partition_table *t = image_table (img, e);
  unsigned char mbr[512];
  bool code, esp = false;

  if (!t)
    return -1;
  if (img->disk->size < sizeof mbr)
    return fact_set (&b->firmware, e, "none");
  for (size_t i = 0; i < t->n_partitions; i++)
    esp = esp || (t->partitions[i].type_name &&
                  strstr (t->partitions[i].type_name, "EFI"));
  b->esp = esp;
  if (block_pread (img->disk, mbr, sizeof mbr, 0, e) == -1)
    return no_first_sector (b, e);
  code = !is_zero (mbr, 440) && mbr[510] == 0x55 && mbr[511] == 0xaa;
  fact_evidence (&b->firmware, "disk: boot code in the first sector: %s",
                 code ? "yes" : "no");
  fact_evidence (&b->firmware, "partition table: EFI system partition: %s",
                 esp ? "yes" : "no");
  for (size_t i = 0;
       code && !fact_known (&b->bootloader) && i < ARRAY_SIZE (boot_codes);
       i++)
    if (memmem (mbr, 440, boot_codes[i].text, strlen (boot_codes[i].text))) {
      fact_evidence (&b->bootloader, "disk: first sector says '%s'",
                     boot_codes[i].text);
      if (fact_set (&b->bootloader, e, "%s", boot_codes[i].name) == -1)
        return -1;
    }
  b->boot_code = code;
  if (esp)
    return fact_unknown (&b->firmware, e,
                         "there is an EFI system partition, whose files this"
                         " version does not read");
  return fact_set (&b->firmware, e, code ? "bios" : "none");
}

/* Facts that nothing set. */
static int
settle (struct fact *f, const struct guest *g, struct err *e)
{
  if (f->value || f->reason)
    return 0;
  if (g->family.value)
    return fact_set (f, e, "%s", "");
  return fact_unknown (f, e, "%s", g->family.reason);
}

static int
make_virtio_cells (struct image *img, struct err *e)
{
  img->virtio = calloc (img->boot.n_kernels + 1, sizeof *img->virtio);
  if (!img->virtio)
    return err_set (e, ENOMEM, "out of memory");
  for (size_t i = 0; i < img->boot.n_kernels; i++) {
    lazy_init (&img->virtio[i].cell, "os/kernels", &img->running);
    img->virtio[i].image = img;
    img->virtio[i].kernel = i;
  }
  return 0;
}

/* Half a list would say that the others are not there. */
static int
no_kernels (struct boot *b, struct err *e)
{
  free_kernels (b);
  if (no_answer (b, e) == -1)
    return -1;
  b->kernels_unknown = strdup (b->default_kernel.reason);
  return b->kernels_unknown ? 1 : err_set (e, ENOMEM, "out of memory");
}

int
boot_compute (void *arg, struct err *e)
{
  struct image *img = arg;
  const struct guest *g = image_guest (img, e);
  struct boot *b = &img->boot;
  int settled = 1;

  if (!g)
    return -1;
  boot_free (b);
  if (g->root) {
    settled = list_kernels (&g->vfs, b, e) == -1
                  ? no_kernels (b, e)
                  : find_default (b, &g->vfs, e);
    if (settled == -1)
      return -1;
  } else if (!g->family.value &&
             !(b->kernels_unknown = strdup (g->family.reason)))
    return err_set (e, ENOMEM, "out of memory");
  if (detect_firmware (img, b, e) == -1 ||
      (!settled && fall_back (b, e) == -1) ||
      settle (&b->default_kernel, g, e) || settle (&b->cmdline, g, e) ||
      settle (&b->bootloader, g, e))
    return -1;
  return make_virtio_cells (img, e);
}
