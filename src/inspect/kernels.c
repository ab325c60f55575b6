/* xrayfs: the kernels that a Linux guest has
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A kernel is known by its version (uname -r), which its image says itself:
 * file names need not (vmlinuz-linux, vmlinuz-virt).
 */
#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "inspect/boot_priv.h"
#include "inspect/pe.h"

#define MAX_KERNELS 256

DEFINE_VEC (kernel_vec, struct kernel)

void
kernel_free (struct kernel *k)
{
  free (k->version);
  free (k->suffix);
  free (k->image);
  free (k->config);
  free (k->initramfs);
  free (k->modules);
}

/* --- what an image says ---------------------------------------------- */

/* The x86 boot protocol (Documentation/arch/x86/boot.rst): "HdrS" at 0x202,
 * and at 0x20e where a text begins, less 0x200, whose first word is the
 * version. */
#define SETUP_HEADER  0x200
#define VERSION_FIELD 0x20e
#define MAX_VERSION   128

/* A word that can be the name of a directory in /lib/modules. */
static bool
is_version (const char *s, size_t len)
{
  if (len == 0 || len > MAX_VERSION || !isdigit ((unsigned char) *s))
    return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum ((unsigned char) s[i]) && !strchr ("._-+~", s[i]))
      return false;
  return true;
}

/* The version in the bzImage at BASE of FILE; *RET NULL: it is none. */
static int
bzimage_version (const struct vfs_file *file, uint64_t base, char **ret,
                 struct err *e)
{
  unsigned char head[16];
  char text[MAX_VERSION + 1] = { 0 };
  uint64_t at;
  size_t len;

  if (!range_within (base, SETUP_HEADER + sizeof head, file->size))
    return 0;
  if (vfs_file_read (file, head, sizeof head, base + SETUP_HEADER, e) == -1)
    return -1;
  if (memcmp (head + 2, "HdrS", 4) != 0 || load_le16 (head + 14) == 0)
    return 0;
  at =
      base + SETUP_HEADER + load_le16 (head + (VERSION_FIELD - SETUP_HEADER));
  if (at >= file->size)
    return 0;
  if (vfs_file_read (file, text, MIN (MAX_VERSION, file->size - at), at, e) ==
      -1)
    return -1;
  len = strcspn (text, " \t\n");
  if (!is_version (text, len))
    return 0;
  *ret = strndup (text, len);
  return *ret ? 0 : err_set (e, ENOMEM, "out of memory");
}

int
kernel_image_version (const struct vfs *v, const char *path, char **ret,
                      struct err *e)
{
  struct vfs_file file;
  struct pe_section section;
  int r = vfs_open (v, path, &file, e);

  *ret = NULL;
  if (r != 1)
    return r;
  r = pe_find_section (&file, ".linux", &section, e);
  if (r == -1)
    return -1;
  return bzimage_version (&file, r ? section.offset : 0, ret, e);
}

/* --- which there are ------------------------------------------------- */

/* What is left of an upgrade, or is not for an ordinary boot. */
static bool
is_no_kernel (const char *version)
{
  return strstr (version, "rescue") || strstr (version, ".old") ||
         strstr (version, ".dpkg-") || !strncmp (version, ".", 1) ||
         strstr (version, "kdump");
}

static struct kernel *
find_version (const struct kernel_vec *v, const char *version)
{
  for (size_t i = 0; i < v->len; i++)
    if (!strcmp (v->items[i].version, version))
      return &v->items[i];
  return NULL;
}

/* VERSION's kernel, which is made if there is none; NULL: out of memory, or
 * too many. */
static struct kernel *
get_version (struct kernel_vec *v, const char *version, struct err *e)
{
  struct kernel *k = find_version (v, version);
  struct kernel fresh = { 0 };

  if (k)
    return k;
  if (v->len >= MAX_KERNELS) {
    err_set (e, EFBIG, "more than %d kernels", MAX_KERNELS);
    return NULL;
  }
  fresh.version = strdup (version);
  if (!fresh.version || kernel_vec_push (v, fresh) == -1) {
    free (fresh.version);
    err_set (e, ENOMEM, "out of memory");
    return NULL;
  }
  return &v->items[v->len - 1];
}

/* The directories of /lib/modules. */
static int
add_module_dirs (const struct vfs *v, struct kernel_vec *kernels,
                 struct err *e)
{
  CLEANUP_NAMES struct names dirs = { .prefix = "", .suffix = "" };

  if (names_in (v, "/lib/modules", &dirs, e) == -1)
    return -1;
  for (size_t i = 0; i < dirs.list.len; i++) {
    CLEANUP_FREE char *path = NULL;
    struct fs_stat st;

    if (is_no_kernel (dirs.list.items[i]))
      continue;
    if (asprintf (&path, "/lib/modules/%s", dirs.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    if (vfs_stat (v, path, 0, &st, e) == -1) {
      if (!err_is_absent (e) && e->code != ELOOP)
        return -1;
      err_clear (e);
      continue;
    }
    if (S_ISDIR (st.mode) && !get_version (kernels, dirs.list.items[i], e))
      return -1;
  }
  return 0;
}

static int
add_image (const struct vfs *v, struct kernel_vec *kernels, const char *path,
           const char *suffix, struct err *e)
{
  CLEANUP_FREE char *said = NULL;
  struct kernel *k;

  if (kernel_image_version (v, path, &said, e) == -1)
    return -1;
  k = get_version (kernels, said ? said : suffix, e);
  if (!k)
    return -1;
  if (k->image)
    return 0;
  k->image = strdup (path);
  k->suffix = strdup (suffix);
  return k->image && k->suffix ? 0 : err_set (e, ENOMEM, "out of memory");
}

static int
add_images (const struct vfs *v, struct kernel_vec *kernels,
            const char *prefix, struct err *e)
{
  CLEANUP_NAMES struct names files = { .prefix = prefix, .suffix = "" };

  if (names_in (v, "/boot", &files, e) == -1)
    return -1;
  for (size_t i = 0; i < files.list.len; i++) {
    const char *suffix = files.list.items[i] + strlen (prefix);
    CLEANUP_FREE char *path = NULL;

    if (!*suffix || is_no_kernel (suffix))
      continue;
    if (asprintf (&path, "/boot/%s", files.list.items[i]) == -1) {
      path = NULL;
      return err_set (e, ENOMEM, "out of memory");
    }
    if (add_image (v, kernels, path, suffix, e) == -1)
      return -1;
  }
  return 0;
}

/* Container Linux has two, for its two /usr, in a directory of the EFI system
 * partition: it is the one that says the version of the modules. */
static int
add_coreos_images (const struct vfs *v, struct kernel_vec *kernels,
                   struct err *e)
{
  static const char *const paths[] = { "/boot/coreos/vmlinuz-a",
                                       "/boot/coreos/vmlinuz-b",
                                       "/boot/flatcar/vmlinuz-a",
                                       "/boot/flatcar/vmlinuz-b" };

  for (size_t i = 0; i < ARRAY_SIZE (paths); i++) {
    CLEANUP_FREE char *said = NULL;
    struct kernel *k;
    int r = vfs_exists (v, paths[i], e);

    if (r == 1)
      r = kernel_image_version (v, paths[i], &said, e);
    if (r == -1)
      return -1;
    k = said ? find_version (kernels, said) : NULL;
    if (k && !k->image && add_image (v, kernels, paths[i], said, e) == -1)
      return -1;
  }
  return 0;
}

/* --- what belongs to each -------------------------------------------- */

/* *RET: the first of FORMATS, with * = VERSION, that is there, or NULL. */
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

static const char *const image_names[] = { "/lib/modules/*/vmlinuz" };
static const char *const config_names[] = { "/boot/config-*",
                                            "/lib/modules/*/config" };
static const char *const initramfs_names[] = {
  "/boot/initrd.img-*", "/boot/initramfs-*.img", "/boot/initrd-*",
  "/boot/initrd-*.img", "/boot/initramfs-*",     "/lib/modules/*/initrd",
  "/lib/modules/*/initramfs.img"
};
static const char *const modules_names[] = { "/lib/modules/*/modules.dep",
                                             "/lib/modules/*/modules.builtin",
                                             "/lib/modules/*" };

/* By the version, or by what follows the image's prefix. */
static int
find_named (const struct vfs *v, const char *const *formats, size_t n,
            const struct kernel *k, char **ret, struct err *e)
{
  if (find_file (v, formats, n, k->version, ret, e) == -1)
    return -1;
  if (*ret || !k->suffix || !strcmp (k->suffix, k->version))
    return 0;
  return find_file (v, formats, n, k->suffix, ret, e);
}

static int
complete_kernel (const struct vfs *v, struct kernel *k, struct err *e)
{
  char *last;

  if ((!k->image && find_file (v, image_names, ARRAY_SIZE (image_names),
                               k->version, &k->image, e) == -1) ||
      find_named (v, config_names, ARRAY_SIZE (config_names), k, &k->config,
                  e) == -1 ||
      find_named (v, initramfs_names, ARRAY_SIZE (initramfs_names), k,
                  &k->initramfs, e) == -1 ||
      find_file (v, modules_names, ARRAY_SIZE (modules_names), k->version,
                 &k->modules, e) == -1)
    return -1;
  if (k->modules && (last = strstr (k->modules, "/modules.")))
    *last = '\0'; /* the directory */
  return 0;
}

static int
newest_first (const void *a, const void *b)
{
  return version_compare (((const struct kernel *) b)->version,
                          ((const struct kernel *) a)->version);
}

int
kernels_list (const struct vfs *v, struct boot *b, struct err *e)
{
  static const char *const prefixes[] = { "vmlinuz-", "vmlinux-", "kernel-",
                                          "bzImage-", "Image-" };
  struct kernel_vec kernels = { 0 };
  int r = add_module_dirs (v, &kernels, e);

  for (size_t i = 0; r == 0 && i < ARRAY_SIZE (prefixes); i++)
    r = add_images (v, &kernels, prefixes[i], e);
  if (r == 0)
    r = add_coreos_images (v, &kernels, e);
  b->kernels = kernels.items;
  b->n_kernels = kernels.len;
  for (size_t i = 0; r == 0 && i < b->n_kernels; i++)
    r = complete_kernel (v, &b->kernels[i], e);
  if (r == 0 && b->n_kernels)
    qsort (b->kernels, b->n_kernels, sizeof *b->kernels, newest_first);
  return r;
}

/* --- which of them an image is --------------------------------------- */

/* vmlinuz-VERSION, or a directory VERSION on the way to it. */
static struct kernel *
kernel_of_name (struct boot *b, const char *path)
{
  for (size_t i = 0; i < b->n_kernels; i++) {
    const char *version = b->kernels[i].version, *at = strstr (path, version);
    size_t len = strlen (version);

    if (at && at > path && strchr ("/-", at[-1]) &&
        (!at[len] || at[len] == '/' || !strcmp (at + len, ".efi")))
      return &b->kernels[i];
  }
  return NULL;
}

int
kernel_of_image (struct boot *b, const struct vfs *v, const char *path,
                 struct kernel **ret, struct err *e)
{
  CLEANUP_FREE char *said = NULL;
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
  if (kernel_image_version (v, path, &said, e) == -1)
    return -1;
  for (size_t i = 0; said && i < b->n_kernels; i++)
    if (!strcmp (b->kernels[i].version, said))
      *ret = &b->kernels[i];
  if (!said)
    *ret = kernel_of_name (b, path);
  return 0;
}
